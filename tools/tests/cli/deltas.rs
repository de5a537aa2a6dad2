//! Deltas: `geolocate build --replaces`, `--remove`, and `geolocate merge`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::common::{Run, at_angle, command, finish, npy, plane_shard, run};

/// A delta of `base` with rows of these names and angles.
fn delta(folder: &TempDir, base: &Path, rows: &[(&str, f32)]) -> (Run, PathBuf) {
    let (vectors, poses) = (folder.path().join("delta.npy"), folder.path().join("delta.csv"));
    npy(&vectors, &rows.iter().map(|(_, angle)| at_angle(*angle)).collect::<Vec<_>>());
    let lines: String = rows.iter().map(|(name, _)| format!("{name},50.5,8\n")).collect();
    fs::write(&poses, format!("file,lat,lon\n{lines}")).unwrap();
    let out = folder.path().join("delta.shard");
    let mut build = command("build");
    build.arg("--vectors").arg(vectors).arg("--poses").arg(poses).args(["--space", "plane", "--json", "-"]);
    (finish(build.arg("--replaces").arg(base).arg("--out").arg(&out)).expect(0), out)
}

fn names(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("names.txt");
    fs::write(&path, text).unwrap();
    path
}

fn found(folder: &TempDir, index: &[&Path], angle: f32) -> serde_json::Value {
    let query = folder.path().join("query.npy");
    npy(&query, &[at_angle(angle)]);
    let index: Vec<String> = index.iter().map(|path| path.display().to_string()).collect();
    run("search", &[&"--index", &index.join(","), &"--vectors", &query]).expect(0).json()["similar"][0].clone()
}

#[test]
fn a_row_that_comes_again_replaces_the_one_of_the_base() {
    let folder = TempDir::new().unwrap();
    let base = plane_shard(&folder, "a", &[0.0, 10.0, 20.0]);
    let (built, delta) = delta(&folder, &base, &[("r1", 60.0), ("new", 5.0)]);
    assert_eq!(built.json()["removed"][0]["removed"], 1);
    assert!(built.stderr.contains("removes 1 rows of") && built.stderr.contains("a.shard"), "{}", built.stderr);
    assert_eq!(found(&folder, &[&base, &delta], 11.0), json!(["1#1", "0#2", "0#0", "1#0"]));
    let shown = run("inspect", &[&delta, &"--json", &"-"]).expect(0).json();
    let digest = run("inspect", &[&base, &"--json", &"-"]).expect(0).json()["digest"].clone();
    assert_eq!(shown["removes"], json!([{"digest": digest, "rows": 1}]));
    let report = run("merge", &[&base, &delta, &"--out", &base, &"--json", &"-"]).expect(0).json();
    assert_eq!((&report["rows"], &report["removed"], &report["replaced"]), (&json!(4), &json!(1), &json!(0)));
    assert_eq!(found(&folder, &[&base], 11.0), json!([3, 1, 0, 2]));
    run("verify", &[&base]).expect(0);
}

#[test]
fn without_a_tombstone_a_merge_takes_the_later_row_of_a_name() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (plane_shard(&folder, "a", &[0.0, 10.0]), plane_shard(&folder, "b", &[90.0]));
    let out = folder.path().join("c.shard");
    let merged = run("merge", &[&a, &b, &"--out", &out]).expect(0);
    assert!(merged.stdout.contains("in: 2, removed: 0, replaced by a later one: 1"), "{}", merged.stdout);
    assert_eq!(found(&folder, &[&out], 90.0), json!([1, 0]));
}

#[test]
fn references_are_removed_by_name_without_any_new_ones() {
    let folder = TempDir::new().unwrap();
    let base = plane_shard(&folder, "a", &[0.0, 10.0, 20.0]);
    let out = folder.path().join("removed.shard");
    let list = names(&folder, "r0\n\nr2\r\nnobody\nr0\n");
    let remove = |strict: &[&str]| {
        let mut build = command("build");
        build.arg("--remove").arg(&list).arg("--replaces").arg(&base).arg("--out").arg(&out).args(["--json", "-"]);
        finish(build.args(strict))
    };
    let strict = remove(&["--strict"]).expect(1);
    assert!(strict.stderr.contains("nobody") && !out.exists(), "{}", strict.stderr);
    let built = remove(&[]).expect(0);
    assert!(built.stderr.contains("nobody: ") && built.stderr.contains("names.txt"), "{}", built.stderr);
    let json = built.json();
    assert_eq!((&json["rows"], &json["left_out"]), (&json!(0), &json!({"not_in_base": 1})));
    assert_eq!(found(&folder, &[&base, &out], 0.0), json!(["0#1"]));
    run("verify", &[&out]).expect(0);
    let shown = run("inspect", &[&out]).expect(0).stdout;
    assert!(shown.contains("2 rows of the shard") && shown.contains("(no references)"), "{shown}");
    let merged = folder.path().join("merged.shard");
    run("merge", &[&base, &out, &"--out", &merged]).expect(0);
    assert_eq!(found(&folder, &[&merged], 0.0), json!([0]));
}

#[test]
fn a_delta_of_another_space_and_lists_of_no_names_are_refused() {
    let folder = TempDir::new().unwrap();
    let base = plane_shard(&folder, "a", &[0.0]);
    let (vectors, poses) = (folder.path().join("a.npy"), folder.path().join("a.csv"));
    let out = folder.path().join("b.shard");
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 10] =
        [&"--vectors", &vectors, &"--poses", &poses, &"--space", &"other", &"--replaces", &base, &"--out", &out];
    let error = run("build", &arguments).expect(1).stderr;
    for part in ["b.shard", "\"other\"", "a.shard", "\"plane\""] {
        assert!(error.contains(part), "{part}: {error}");
    }
    for list in [names(&folder, "\n\n"), folder.path().join("none.txt")] {
        let error = run("build", &[&"--remove", &list, &"--replaces", &base, &"--out", &out]).expect(1).stderr;
        assert!(error.contains(list.to_str().unwrap()), "{error}");
    }
    let nothing = names(&folder, "nobody\n");
    let error = run("build", &[&"--remove", &nothing, &"--replaces", &base, &"--out", &out]).expect(1).stderr;
    assert!(error.contains("not_in_base x 1"), "{error}");
    assert!(!out.exists());
}
