//! `geolocate world`: the same bytes from any run, refusals, going on after a stop.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::common::{command, finish, names_in, npy, run};

/// Names and bytes of all files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in names_in(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
    found
}

/// Runs `geolocate world` with arguments in one text.
fn world(arguments: &str, out: &Path) -> crate::common::Run {
    finish(command("world").args(arguments.split_whitespace()).arg("--out").arg(out))
}

const TILES: &str = "tiles --seed 1005 --size-m 160 --px 48";
const FLIGHTS: &str = "fly --seed 1005 --size-m 400 --px 48 --flights 3 --frames 4 --leaving 0.5 --bad 0.3";
const STREET: &str = "street --seed 1005 --size-m 400 --px 48 --columns 96 --views 3";
const PAIRS: &str = "pairs --seeds 3..5 --count 5 --px 32 --group 2 --street";

#[test]
fn bytes_do_not_depend_on_threads_nor_on_a_stop() {
    let folder = TempDir::new().unwrap();
    for (name, arguments) in [("tiles", TILES), ("fly", FLIGHTS), ("street", STREET), ("pairs", PAIRS)] {
        let (one, three) = (folder.path().join(name), folder.path().join(format!("{name}-3")));
        world(&format!("{arguments} --threads 1"), &one).expect(0);
        world(&format!("{arguments} --threads 3"), &three).expect(0);
        let whole = files(&one);
        assert!(whole == files(&three), "{name}");
        // As a stopped run leaves it: no end, some files missing, an array cut in the middle of a record.
        fs::rename(three.join("world.toml"), three.join("world.toml.part")).unwrap();
        if name == "pairs" {
            let drone = three.join("drone.npy");
            let bytes = fs::read(&drone).unwrap();
            fs::write(&drone, &bytes[..bytes.len() * 2 / 3]).unwrap();
        } else {
            fs::remove_file(three.join("poses.csv")).unwrap();
            let first = names_in(&three.join("images")).remove(1);
            fs::remove_file(three.join("images").join(first)).unwrap();
        }
        world(&format!("{arguments} --resume"), &three).expect(0);
        assert!(whole == files(&three), "{name}: resumed");
    }
}

#[test]
fn a_folder_that_is_not_empty_is_refused() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    world(TILES, &out).expect(0);
    let refused = world(TILES, &out).expect(1);
    assert!(refused.stderr.contains("--resume") && refused.stderr.contains("out"), "{}", refused.stderr);
    let other = world("tiles --seed 1006 --size-m 160 --px 48 --resume", &out).expect(1);
    assert!(other.stderr.contains("1005") && other.stderr.contains("1006"), "{}", other.stderr);
    world("tiles --seed 1006 --size-m 160 --px 48 --force", &out).expect(0);
    fs::write(out.join("mine.txt"), "").unwrap();
    let foreign = world(&format!("{TILES} --force"), &out).expect(1);
    assert!(foreign.stderr.contains("mine.txt"), "{}", foreign.stderr);
}

#[test]
fn values_out_of_range_are_usage_errors_that_name_the_option() {
    let folder = TempDir::new().unwrap();
    for (arguments, named) in [
        ("tiles --seed=-1", "seed"),
        ("tiles --seed 99999999999", "seed"),
        ("tiles --size-m 100", "--seed"),
        ("tiles --seed 1 --size-m 1e9", "size-m"),
        ("tiles --seed 1 --px 7", "px"),
        ("tiles --seed 1 --overlap 1", "overlap"),
        ("tiles --setting hard --px 64", "px"),
        ("fly --seed 1 --hfov-deg 180", "hfov-deg"),
        ("fly --seed 1 --flights 0", "flights"),
        ("pairs --seeds 900..1001 --count 1", "seeds"),
        ("pairs --seeds 5..5 --count 1", "seeds"),
    ] {
        let refused = world(arguments, &folder.path().join("out")).expect(2);
        assert!(refused.stderr.contains(named), "{arguments}: {}", refused.stderr);
    }
    let refused = world("tiles --seed 1 --size-m 50 --tile-m 80", &folder.path().join("out")).expect(1);
    assert!(refused.stderr.contains("tile-m"), "{}", refused.stderr);
    let refused = world("street --setting hard", &folder.path().join("out")).expect(1);
    assert!(refused.stderr.contains("street-level"), "{}", refused.stderr);
}

#[test]
fn tables_are_as_build_reads_them() {
    let folder = TempDir::new().unwrap();
    let (map, flights, street) = (folder.path().join("m"), folder.path().join("f"), folder.path().join("s"));
    world("tiles --seed 1005 --size-m 400 --px 32", &map).expect(0);
    world(FLIGHTS, &flights).expect(0);
    world(STREET, &street).expect(0);
    for (poses, rows) in [(map.join("poses.csv"), 81), (flights.join("poses.csv"), 12), (street.join("poses.csv"), 3)] {
        let vectors = folder.path().join("v.npy");
        npy(&vectors, &(0..rows).map(|row| vec![1.0, row as f32]).collect::<Vec<_>>());
        let shard = folder.path().join("out.shard");
        let roles = "reference,query,outside,border";
        let text = fs::read_to_string(&poses).unwrap();
        let known: Vec<&str> = roles
            .split(',')
            .filter(|role| text.contains(&format!(",{role},")) || text.contains(&format!(",{role}\n")))
            .collect();
        let built = run(
            "build",
            &[
                &"--vectors",
                &vectors,
                &"--poses",
                &poses,
                &"--space",
                &"s",
                &"--role",
                &known.join(","),
                &"--strict",
                &"--out",
                &shard,
            ],
        );
        built.expect(0);
    }
    let table = fs::read_to_string(street.join("poses.csv")).unwrap();
    let tiles = names_in(&map.join("images"));
    assert!(table.lines().skip(1).all(|row| tiles.iter().any(|tile| row.contains(tile.as_str()))), "{table}");
}
