//! `geolocate inspect` and `geolocate verify`, and what holds for every verb.

use std::fs;
use std::process::Stdio;

use tempfile::TempDir;

use crate::common::{command, finish, plane_shard, run};

#[test]
fn a_good_shard_verifies_and_tells_what_it_is() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0, 10.0, 20.0]);
    let verified = run("verify", &[&shard, &"--json", &"-"]).expect(0).json();
    let inspected = run("inspect", &[&shard, &"--json", &"-"]).expect(0).json();
    assert_eq!(verified[0]["good"], true);
    assert_eq!(verified[0]["digest"], inspected["digest"]);
    assert_eq!(inspected["rows"], 3);
    assert_eq!(inspected["space"], "plane");
    assert_eq!(inspected["created_at"], "2023-11-14T22:13:20.000Z");
    assert_eq!(inspected["bytes"].as_u64().unwrap(), fs::metadata(&shard).unwrap().len());
    assert!((inspected["region"]["north"].as_f64().unwrap() - 50.002).abs() < 1e-6);
    let text = run("inspect", &[&shard]).expect(0).stdout;
    assert!(text.contains("plane (2 dimensions)") && text.contains("camera"), "{text}");
}

#[test]
fn damage_is_status_3_and_a_missing_file_is_status_1() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0, 10.0, 20.0]);
    let bytes = fs::read(&shard).unwrap();
    let damaged = folder.path().join("damaged.shard");
    for (what, content) in [
        (
            "a flipped bit in the middle",
            [&bytes[..bytes.len() / 2], &[bytes[bytes.len() / 2] ^ 4], &bytes[bytes.len() / 2 + 1..]].concat(),
        ),
        ("a flipped bit at the end", [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 128]].concat()),
        ("a cut", bytes[..bytes.len() - 1].to_vec()),
        ("more bytes", [&bytes[..], &[0]].concat()),
        ("nothing", Vec::new()),
    ] {
        fs::write(&damaged, content).unwrap();
        let result = run("verify", &[&damaged]);
        assert_eq!(result.status, 3, "{what}: {}", result.stderr);
        assert!(result.stderr.contains("damaged.shard"), "{what}: {}", result.stderr);
    }
    let result = run("verify", &[&folder.path().join("none.shard")]).expect(1);
    assert!(result.stderr.contains("none.shard"), "{}", result.stderr);
    run("verify", &[&shard, &damaged]).expect(3);
    run("inspect", &[&damaged]).expect(1);
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0, 10.0]);
    let mut child = command("inspect").arg(&shard).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}

#[test]
fn every_verb_shows_an_example() {
    for verb in ["build", "search", "locate", "evaluate", "inspect", "verify", "merge"] {
        let help = finish(command(verb).arg("--help")).expect(0).stdout;
        assert!(help.contains("Example") && help.contains(&format!("geolocate {verb} ")), "{help}");
    }
}

#[test]
fn a_json_file_that_cannot_be_written_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0]);
    let result = run("inspect", &[&shard, &"--json", &"/no/such/folder/x.json"]).expect(1);
    assert!(result.stderr.contains("/no/such/folder/x.json"), "{}", result.stderr);
}
