//! `geolocate build --partition`, and `geolocate merge` of what it builds.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::common::{build_matrix, command, finish, matrix, names_in, npy, run};

#[test]
fn a_partition_has_the_same_bytes_whatever_the_threads_and_the_time() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 500, 12);
    let build = |name: &str, partition: &str, threads: &str, index: Option<&str>| {
        let out = folder.path().join(name);
        let mut build = build_matrix(&inputs, &out);
        build.args(["--partition", partition, "--threads", threads, "--json", "-"]);
        build.env_remove("SOURCE_DATE_EPOCH").env_remove("SLURM_ARRAY_TASK_ID").env_remove("JOB_COMPLETION_INDEX");
        if let Some(index) = index {
            build.env("JOB_COMPLETION_INDEX", index);
        }
        let json = finish(&mut build).expect(0).json();
        (fs::read(out).unwrap(), json)
    };
    let (bytes, json) = build("a.shard", "1/3", "1", None);
    assert_eq!((&json["rows"], &json["partition"]), (&167.into(), &"1/3".into()));
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert!(bytes == build("b.shard", "1/3", "4", None).0);
    assert!(bytes == build("a.shard", "auto/3", "2", Some("1")).0, "again, over the old one");
    let inspected = run("inspect", &[&folder.path().join("a.shard"), &"--json", &"-"]).expect(0).json();
    assert_eq!(inspected.get("created_at"), None, "nobody said when");
}

#[test]
fn merged_partitions_are_the_whole() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 401, 12);
    let whole = folder.path().join("whole.shard");
    finish(&mut build_matrix(&inputs, &whole)).expect(0);
    let parts: Vec<PathBuf> = (0..4).map(|part| folder.path().join(format!("{part}.shard"))).collect();
    let mut rows = 0;
    for (part, out) in parts.iter().enumerate() {
        let mut build = build_matrix(&inputs, out);
        build.args(["--partition", &format!("{part}/4"), "--json", "-"]);
        rows += finish(&mut build).expect(0).json()["rows"].as_u64().unwrap();
    }
    assert_eq!(rows, 401);
    let merged = folder.path().join("merged.shard");
    let report = run("merge", &[&parts[0], &parts[1], &parts[2], &parts[3], &"--out", &merged, &"--json", &"-"])
        .expect(0)
        .json();
    assert_eq!((&report["rows"], &report["removed"], &report["replaced"]), (&401.into(), &0.into(), &0.into()));
    let found = |shard: &PathBuf| {
        let mut found = run("search", &[&"--index", shard, &"--vectors", &inputs.0]).expect(0).json();
        found.as_object_mut().unwrap().remove("ms");
        found
    };
    assert_eq!(found(&whole), found(&merged));
    assert!(fs::read(whole).unwrap() == fs::read(merged).unwrap(), "byte for byte");
}

#[test]
fn a_layout_can_be_chosen_and_inspect_says_so() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 300, 12);
    let out = folder.path().join("a.shard");
    for (layout, kind, lists) in
        [("auto", "flat", 0), ("flat", "flat", 0), ("lists=8", "lists", 8), ("lists", "lists", 2)]
    {
        finish(build_matrix(&inputs, &out).args(["--layout", layout])).expect(0);
        let shown = run("inspect", &[&out, &"--json", &"-"]).expect(0).json();
        assert_eq!((&shown["layout"]["kind"], &shown["layout"]["lists"]), (&kind.into(), &lists.into()), "{layout}");
        assert!(!shown["layout"]["reason"].as_str().unwrap().is_empty());
    }
    let again = folder.path().join("b.shard");
    run("merge", &[&out, &"--layout", &"lists=16", &"--out", &again]).expect(0);
    assert_eq!(run("inspect", &[&again, &"--json", &"-"]).expect(0).json()["layout"]["lists"], 16);
}

#[test]
fn a_partition_that_is_empty_or_not_known_is_refused() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 2, 4);
    let out = folder.path().join("a.shard");
    let refused = |partition: &str, variables: &[(&str, &str)]| {
        let mut build = build_matrix(&inputs, &out);
        build.args(["--partition", partition]).env_remove("SLURM_ARRAY_TASK_ID").env_remove("JOB_COMPLETION_INDEX");
        finish(build.envs(variables.iter().copied())).expect(1).stderr
    };
    assert!(refused("0/3", &[]).contains("found 2 rows in all"));
    assert!(refused("auto/2", &[]).contains("JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID"));
    let error = refused("auto/2", &[("SLURM_ARRAY_TASK_ID", "2")]);
    assert!(error.contains("SLURM_ARRAY_TASK_ID: expected a number from 0 to 1, found \"2\""), "{error}");
}

#[test]
fn shards_that_differ_are_not_merged() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 5, 4);
    let (a, b, out) = (folder.path().join("a.shard"), folder.path().join("b.shard"), folder.path().join("c.shard"));
    finish(&mut build_matrix(&inputs, &a)).expect(0);
    npy(&inputs.0, &vec![vec![1.0, 0.0, 0.0]; 5]);
    let mut other = build_matrix(&inputs, &b);
    finish(other.arg("--afresh")).expect(0);
    let error = run("merge", &[&a, &b, &"--out", &out]).expect(1).stderr;
    assert!(error.contains("b.shard") && error.contains("dimensions") && error.contains("found 3"), "{error}");
    assert!(!out.exists());
    let mut damaged = fs::read(&a).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&b, damaged).unwrap();
    let error = run("merge", &[&a, &b, &"--out", &out]).expect(1).stderr;
    assert!(error.contains("b.shard") && error.contains("damaged"), "{error}");
}

#[test]
fn partitions_that_are_named_by_their_number_merge_in_the_order_of_their_names() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 24, 4);
    let whole = folder.path().join("whole.shard");
    finish(&mut build_matrix(&inputs, &whole)).expect(0);
    let out = folder.path().join("part-{i}.shard");
    for part in 0..11 {
        let built = finish(build_matrix(&inputs, &out).args(["--partition", &format!("{part}/11")])).expect(0);
        assert!(built.stdout.contains(&format!("part-{part:02}.shard: in: ")), "{}", built.stdout);
    }
    let names = names_in(folder.path()).into_iter().filter(|name| name.starts_with("part-"));
    let parts: Vec<PathBuf> = names.map(|name| folder.path().join(name)).collect();
    assert_eq!(parts.len(), 11);
    let merged = folder.path().join("merged.shard");
    finish(command("merge").args(parts).arg("--out").arg(&merged)).expect(0);
    assert!(fs::read(whole).unwrap() == fs::read(merged).unwrap(), "byte for byte");
    let error = finish(&mut build_matrix(&inputs, &out)).expect(1).stderr;
    assert!(error.contains("expected --partition") && error.contains("part-{i}.shard"), "{error}");
}
