//! `geolocate verify --labels` and `geolocate bench labels`: references with wrong positions.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{at_angle, command, finish, model, npy, run, shared};

/// A walk of 60 references, 111 m and 3 degrees of an angle apart; `wrong` is labelled far away.
fn walk(folder: &TempDir, wrong: Option<usize>) -> std::path::PathBuf {
    let [vectors, poses, shard] = ["walk.npy", "walk.csv", "walk.shard"].map(|name| folder.path().join(name));
    npy(&vectors, &(0..60_u8).map(|row| at_angle(f32::from(row) * 3.0)).collect::<Vec<_>>());
    let lat = |row: usize| if wrong == Some(row) { 51.0 } else { 50.0 + row as f64 / 1000.0 };
    let rows: Vec<String> = (0..60).map(|row| format!("r{row},{:.3},8\n", lat(row))).collect();
    fs::write(&poses, format!("file,lat,lon\n{}", rows.concat())).unwrap();
    run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"plane", &"--out", &shard]).expect(0);
    shard
}

#[test]
fn one_wrong_position_is_listed_and_right_ones_are_not() {
    for wrong in [None, Some(30)] {
        let folder = TempDir::new().unwrap();
        let shard = walk(&folder, wrong);
        let verdicts = run("verify", &[&"--labels", &"--json", &"-", &shard]).expect(0).json();
        let suspects = verdicts[0]["suspects"].as_array().unwrap();
        let names: Vec<&Value> = suspects.iter().map(|suspect| &suspect["reference"]).collect();
        let expected: Vec<Value> = wrong.iter().map(|row| json!(format!("r{row}"))).collect();
        assert_eq!(names, expected.iter().collect::<Vec<_>>());
        if let Some(suspect) = suspects.first() {
            assert!((suspect["looks_like_lat"].as_f64().unwrap() - 50.03).abs() < 2e-3, "{suspect}");
            assert!(suspect["distance_m"].as_f64().unwrap() > 100_000.0, "{suspect}");
        }
    }
    let folder = TempDir::new().unwrap();
    let shard = walk(&folder, None);
    let plain = run("verify", &[&"--json", &"-", &shard]).expect(0).json();
    assert!(plain[0].get("suspects").is_none(), "nobody asked");
}

#[test]
fn wrong_positions_in_a_drawn_town_are_found_with_known_precision_and_recall() {
    let test = "wrong_positions_in_a_drawn_town_are_found_with_known_precision_and_recall";
    let Some(shared) = shared(test) else { return };
    let folder = TempDir::new().unwrap();
    let [map, shard] = ["map", "map.shard"].map(|name| folder.path().join(name));
    let tiles = "tiles --seed 1007 --size-m 720 --px 96";
    finish(command("world").args(tiles.split(' ')).arg("--out").arg(&map)).expect(0);
    let (images, poses) = (map.join("images"), map.join("poses.csv"));
    let model = model(&shared);
    run("build", &[&"--images", &images, &"--poses", &poses, &"--encoder", &model, &"--out", &shard]).expect(0);
    let arguments = ["labels", "--json", "-", "--shares", "0,0.01,0.05,0.1", "--index"];
    let report = finish(command("bench").args(arguments).arg(&shard)).expect(0).json();
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    let shares = report["shares"].as_array().unwrap();
    assert_eq!((shares.len(), &report["references"]), (4, &json!(289)));
    let at = |share: usize, key: &str| shares[share]["found"][2][key].as_f64().unwrap();
    assert_eq!(at(0, "wrong"), 0.0);
    assert!(at(0, "suspects") <= 13.0, "of 289 right ones");
    for (share, precision, recall) in [(2, 0.35, 0.3), (3, 0.5, 0.3)] {
        assert!(at(share, "precision") >= precision, "{report}");
        assert!(at(share, "recall") >= recall, "{report}");
    }
}
