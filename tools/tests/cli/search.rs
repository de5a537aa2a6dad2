//! `geolocate search`.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::common::{at_angle, command, finish, npy, plane_shard, run};

#[test]
fn both_ends_are_found_by_the_rows_given_to_build() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[170.0, 10.0, 90.0, 40.0]);
    let (queries, out) = (folder.path().join("q.npy"), folder.path().join("found.json"));
    npy(&queries, &[at_angle(12.0), at_angle(171.0)]);
    run("search", &[&"--index", &shard, &"--vectors", &queries, &"-k", &"3", &"--json", &out]).expect(0);
    let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!((&found["k"], &found["queries"]), (&json!(3), &json!(2)));
    assert_eq!(found["similar"], json!([[1, 3, 2], [0, 2, 3]]));
    assert_eq!(found["dissimilar"], json!([[0, 2, 3], [1, 3, 2]]));
    let score = |end: &str, rank: usize| found[end][0][rank].as_f64().unwrap();
    // A stored vector of two bytes is up to a quarter of a degree off.
    assert!((score("similar_score", 0) - f64::cos(2.0_f64.to_radians())).abs() < 1e-3);
    assert!((score("dissimilar_score", 0) - f64::cos(158.0_f64.to_radians())).abs() < 3e-3);
    assert!(found["ms"]["p50"].as_f64().unwrap() <= found["ms"]["p99"].as_f64().unwrap());
}

#[test]
fn threads_do_not_change_what_is_found() {
    let folder = TempDir::new().unwrap();
    let angles: Vec<f32> = (0..200).map(|i| ((i * 7919) % 3600) as f32 / 10.0).collect();
    let shard = plane_shard(&folder, "a", &angles);
    let queries = folder.path().join("q.npy");
    npy(&queries, &(0..50).map(|i| at_angle(i as f32 * 7.3)).collect::<Vec<_>>());
    let found = |threads: &str| {
        let mut json =
            run("search", &[&"--index", &shard, &"--vectors", &queries, &"--threads", &threads]).expect(0).json();
        json.as_object_mut().unwrap().remove("ms");
        json
    };
    assert_eq!(found("1"), found("4"));
}

#[test]
fn with_several_shards_a_row_names_its_shard() {
    let folder = TempDir::new().unwrap();
    let index = [plane_shard(&folder, "a", &[0.0, 50.0]), plane_shard(&folder, "b", &[10.0])];
    let index = index.map(|path| path.display().to_string()).join(",");
    let queries = folder.path().join("q.npy");
    npy(&queries, &[at_angle(12.0)]);
    let found = run("search", &[&"--index", &index, &"--vectors", &queries]).expect(0).json();
    assert_eq!(found["similar"], json!([["1#0", "0#0", "0#1"]]));
}

#[test]
fn near_leaves_only_references_in_the_circle() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0, 10.0, 20.0, 30.0]);
    let queries = folder.path().join("q.npy");
    npy(&queries, &[at_angle(0.0)]);
    let near = |circle: &str| run("search", &[&"--index", &shard, &"--vectors", &queries, &"--near", &circle]);
    assert_eq!(near("50.003,8,150").expect(0).json()["similar"], json!([[2, 3]]));
    assert_eq!(near("-10,8,150").expect(0).json()["similar"], json!([[]]));
    let result = near("8,50.003").expect(2);
    assert!(result.stderr.contains("LAT,LON,RADIUS_M"), "{}", result.stderr);
}

#[test]
fn vectors_that_do_not_fit_are_refused_by_file() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0, 10.0]);
    let queries = folder.path().join("q.npy");
    npy(&queries, &[vec![1.0, 0.0, 0.0]]);
    let result = run("search", &[&"--index", &shard, &"--vectors", &queries]).expect(1);
    assert!(result.stderr.contains("2 dimensions") && result.stderr.contains("found 3"), "{}", result.stderr);
    npy(&queries, &[vec![1.0, 0.0], vec![f32::NAN, 0.0]]);
    let result = run("search", &[&"--index", &shard, &"--vectors", &queries]).expect(1);
    assert!(result.stderr.contains("q.npy: row 1"), "{}", result.stderr);
    fs::write(&queries, b"\x93NUMPY").unwrap();
    let result = run("search", &[&"--index", &shard, &"--vectors", &queries]).expect(1);
    assert!(result.stderr.contains("q.npy"), "{}", result.stderr);
}

#[test]
fn shards_of_two_spaces_are_refused_by_both_names() {
    let folder = TempDir::new().unwrap();
    let a = plane_shard(&folder, "a", &[0.0]);
    let (vectors, poses) = (folder.path().join("a.npy"), folder.path().join("a.csv"));
    let b = folder.path().join("b.shard");
    run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"elsewhere", &"--out", &b]).expect(0);
    let index = format!("{},{}", a.display(), b.display());
    let result = run("search", &[&"--index", &index, &"--vectors", &vectors]).expect(1);
    assert!(result.stderr.contains("plane") && result.stderr.contains("elsewhere"), "{}", result.stderr);
    assert!(result.stderr.contains("a.shard") && result.stderr.contains("b.shard"), "{}", result.stderr);
}

/// Rows around a circle of places and of angles, with times and sources.
fn world(folder: &TempDir) -> (std::path::PathBuf, std::path::PathBuf) {
    let (vectors, poses) = (folder.path().join("w.npy"), folder.path().join("w.csv"));
    npy(&vectors, &[0.0, 10.0, 20.0, 100.0, 180.0, 190.0].map(at_angle));
    let rows = "file,lat,lon,time,source\na,50,8,2026-05-01T10:00:00Z,walk\nb,50.0001,8,2026-05-02T10:00:00Z,walk\n\
                c,50.01,8,,flight\nd,50.02,8,2026-05-03T10:00:00Z,flight\ne,-10,179.9,2026-05-04T10:00:00Z,\n\
                f,-10,-179.9,2026-05-05T10:00:00Z,\n";
    fs::write(&poses, rows).unwrap();
    let shard = folder.path().join("w.shard");
    run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"w", &"--out", &shard]).expect(0);
    npy(&vectors, &[at_angle(1.0)]);
    (shard, vectors)
}

/// What is found at either end, sorted.
fn ends(world: &(std::path::PathBuf, std::path::PathBuf), arguments: &[&str]) -> (Vec<u64>, Vec<u64>, String) {
    let mut search = command("search");
    search.arg("--index").arg(&world.0).arg("--vectors").arg(&world.1).args(arguments);
    let run = finish(&mut search).expect(0);
    let found = run.json();
    let sorted = |end: &str| {
        let mut rows: Vec<u64> = found[end][0].as_array().unwrap().iter().map(|row| row.as_u64().unwrap()).collect();
        rows.sort_unstable();
        rows
    };
    (sorted("similar"), sorted("dissimilar"), run.stderr)
}

#[test]
fn filters_limit_both_ends() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder);
    for (arguments, expected) in [
        (&["--box", "49,7,51,9"][..], &[0, 1, 2, 3][..]),
        (&["--box", "-11,179,-9,-179"], &[4, 5]),
        (&["--box", "-11,-179,-9,179"], &[]),
        (&["--near", "50,8,500"], &[0, 1]),
        (&["--captured", "2026-05-02T10:00:00Z/2026-05-04T10:00:00Z"], &[1, 3, 4]),
        (&["--captured", "2026-05-04T00:00:00/"], &[4, 5]),
        (&["--captured", "/2026-05-01T12:00:00Z"], &[0]),
        (&["--source", "flight"], &[2, 3]),
        (&["--source", "flight,walk", "--near", "50.01,8,100"], &[2]),
    ] {
        let (similar, dissimilar, _) = ends(&world, arguments);
        assert_eq!((similar.as_slice(), dissimilar.as_slice()), (expected, expected), "{arguments:?}");
    }
    let (similar, _, stderr) = ends(&world, &["--source", "walk,ship"]);
    assert_eq!(similar, [0, 1]);
    assert!(stderr.contains("--source ship") && !stderr.contains("--source walk"), "{stderr}");
}

#[test]
fn the_dissimilar_end_can_be_made_of_others() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder);
    let far = |arguments: &[&str]| ends(&world, &[&["-k", "2"], arguments].concat()).1;
    assert_eq!(far(&[]), [4, 5]);
    assert_eq!(far(&["--dissimilar", "farthest"]), [4, 5]);
    assert_eq!(far(&["--dissimilar", "none"]), [0; 0]);
    assert_eq!(ends(&world, &["-k", "2", "--dissimilar", "none"]).0, ends(&world, &["-k", "2"]).0);
    assert_eq!(far(&["--dissimilar", "far_in_window"]), [1, 2], "d is 2.2 km from the best match");
    assert_eq!(far(&["--dissimilar", "far_in_window", "--far-radius-m", "100"]), [0, 1]);
    assert_eq!(far(&["--dissimilar", "far_in_window", "--box", "-11,179,-9,-179"]), [4, 5]);
    assert_eq!(far(&["--dissimilar", "centroid"]).len(), 2);
    let drawn: std::collections::BTreeSet<_> =
        (0..20).map(|seed| far(&["--dissimilar", "random", "--seed", &seed.to_string()])).collect();
    assert!(drawn.len() > 5, "{drawn:?}");
    assert_eq!(far(&["--dissimilar", "random", "--seed", "3"]), far(&["--dissimilar", "random", "--seed", "3"]));
}

#[test]
fn references_of_one_place_do_not_crowd_out_the_others() {
    let folder = TempDir::new().unwrap();
    let world = world(&folder);
    let near = |arguments: &[&str]| ends(&world, &[&["-k", "2"], arguments].concat()).0;
    assert_eq!(near(&[]), [0, 1]);
    assert_eq!(near(&["--per-place", "1"]), [0, 2]);
    assert_eq!(near(&["--per-place", "1,5"]), [0, 1]);
    assert_eq!(near(&["--per-place", "2"]), [0, 1]);
}

#[test]
fn the_work_of_a_query_is_told_and_one_query_may_have_several_threads() {
    let folder = TempDir::new().unwrap();
    let (shard, query) = world(&folder);
    let found = |threads: &str| {
        let mut json =
            run("search", &[&"--index", &shard, &"--vectors", &query, &"--threads", &threads]).expect(0).json();
        json.as_object_mut().unwrap().remove("ms");
        json
    };
    let json = found("1");
    for figure in ["scanned_rows", "second_rows", "exact_rows", "lists", "bytes"] {
        assert!(json["work"][figure].is_number(), "{json}");
    }
    assert_eq!(json["work"]["exact_rows"], 6.0);
    assert_eq!(json, found("3"));
}

#[test]
fn impossible_filters_are_wrong_usage_and_say_what_was_expected() {
    for (arguments, part) in [
        (&["--box", "51,8,50,9"][..], "SOUTH not above NORTH"),
        (&["--box", "1,2,3"], "SOUTH,WEST,NORTH,EAST"),
        (&["--box", "1,2,3,4", "--near", "1,2,3"], "--near"),
        (&["--captured", "yesterday"], "FROM/TO"),
        (&["--captured", "2026-05-02/2026-05-01"], "FROM not after TO"),
        (&["--dissimilar", "nearest"], "far_in_window"),
        (&["--per-place", "0"], "at least 1"),
        (&["--seed", "7"], "--dissimilar"),
    ] {
        let run =
            finish(command("search").args(["--index", "a.shard", "--vectors", "q.npy"]).args(arguments)).expect(2);
        assert!(run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    }
}
