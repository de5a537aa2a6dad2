//! `geolocate search`.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::common::{at_angle, npy, plane_shard, run};

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
    assert!((score("similar_score", 0) - f64::cos(2.0_f64.to_radians())).abs() < 1e-3);
    assert!((score("dissimilar_score", 0) - f64::cos(158.0_f64.to_radians())).abs() < 1e-3);
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
