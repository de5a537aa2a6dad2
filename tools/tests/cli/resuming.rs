//! `geolocate build` that is stopped goes on where it stood.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{Run, build_matrix, finish, matrix, names_in};

/// Starts a build and kills it as soon as so many bytes of its work are kept.
fn stop_at(build: &mut Command, kept: &Path, bytes: u64) {
    let mut process = build.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while fs::metadata(kept).map_or(0, |metadata| metadata.len()) < bytes {
        assert!(process.try_wait().unwrap().is_none(), "it was done before it could be stopped");
        assert!(Instant::now() < end, "it does not go on");
    }
    process.kill().unwrap();
    process.wait().unwrap();
}

/// A set of which every thousandth row cannot go in.
fn inputs(folder: &TempDir) -> (std::path::PathBuf, std::path::PathBuf) {
    let inputs = matrix(folder, 60_000, 64);
    let poses = fs::read_to_string(&inputs.1).unwrap();
    let spoil = |(line, text): (usize, &str)| match (line % 1000, text.split_once(',')) {
        (500, Some((name, place))) => format!("\"{name}\tbad\",{place}\n"),
        _ => format!("{text}\n"),
    };
    fs::write(&inputs.1, poses.lines().enumerate().map(spoil).collect::<String>()).unwrap();
    inputs
}

fn left_out(run: &Run) -> serde_json::Value {
    run.json()["left_out_files"].clone()
}

#[test]
fn a_build_that_is_killed_goes_on_and_has_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let inputs = inputs(&folder);
    let (whole, out) = (folder.path().join("whole.shard"), folder.path().join("out.shard"));
    let kept = folder.path().join(".out.shard.building");
    let undisturbed = finish(build_matrix(&inputs, &whole).args(["--json", "-"])).expect(0);
    for bytes in [200_000, 2_000_000] {
        stop_at(&mut build_matrix(&inputs, &out), &kept, bytes);
        assert!(!out.exists() && kept.exists());
    }
    let resumed = finish(build_matrix(&inputs, &out).args(["--json", "-", "--threads", "1"])).expect(0);
    assert!(resumed.stderr.contains("of 60000 rows are taken over"), "{}", resumed.stderr);
    assert!(resumed.json()["taken_over"].as_u64().unwrap() > 10_000, "{}", resumed.json()["taken_over"]);
    assert_eq!(left_out(&resumed), left_out(&undisturbed));
    assert_eq!(left_out(&resumed).as_array().unwrap().len(), 60);
    assert!(fs::read(&whole).unwrap() == fs::read(&out).unwrap());
    assert_eq!(names_in(folder.path()), ["matrix.csv", "matrix.npy", "out.shard", "whole.shard"]);
}

#[test]
fn other_inputs_or_a_wish_begin_anew() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 60_000, 64);
    let out = folder.path().join("out.shard");
    let kept = folder.path().join(".out.shard.building");
    let stop = || stop_at(&mut build_matrix(&inputs, &out), &kept, 500_000);
    stop();
    let json = finish(build_matrix(&inputs, &out).args(["--json", "-", "--afresh"])).expect(0).json();
    assert_eq!((&json["taken_over"], &json["rows"]), (&0.into(), &60_000.into()));
    fs::remove_file(&out).unwrap();
    stop();
    let json = finish(build_matrix(&inputs, &out).args(["--json", "-", "--source", "elsewhere"])).expect(0).json();
    assert_eq!((&json["taken_over"], &json["rows"]), (&0.into(), &60_000.into()));
    assert_eq!(names_in(folder.path()), ["matrix.csv", "matrix.npy", "out.shard"]);
}

#[test]
fn a_build_that_fails_keeps_its_rows_and_says_so() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 50, 4);
    let poses = fs::read_to_string(&inputs.1).unwrap();
    let out = folder.path().join("out.shard");
    fs::write(&inputs.1, poses.replace("r40,", "\"r\t40\",")).unwrap();
    let stopped = finish(build_matrix(&inputs, &out).arg("--strict")).expect(1);
    assert!(stopped.stderr.contains("40 rows are kept") && stopped.stderr.contains("--afresh"), "{}", stopped.stderr);
    fs::write(&inputs.1, fs::read_to_string(&inputs.1).unwrap().replace("r49,", "\"r\t49\",")).unwrap();
    assert!(finish(build_matrix(&inputs, &out).arg("--strict")).expect(1).stderr.contains("40 rows are kept"));
    let resumed = finish(build_matrix(&inputs, &out).args(["--json", "-"])).expect(0).json();
    assert_eq!((&resumed["taken_over"], &resumed["rows"]), (&40.into(), &48.into()));
}

#[test]
fn a_build_that_leaves_everything_out_begins_anew() {
    let folder = TempDir::new().unwrap();
    let inputs = matrix(&folder, 3, 4);
    let images = folder.path().join("images");
    let out = folder.path().join("out.shard");
    fs::create_dir(&images).unwrap();
    let mut build = build_matrix(&inputs, &out);
    build.arg("--images").arg(&images);
    let empty = finish(&mut build).expect(1);
    assert!(empty.stderr.contains("missing_picture x 3"), "{}", empty.stderr);
    for row in 0..3 {
        fs::write(images.join(format!("r{row}")), b"").unwrap();
    }
    assert!(finish(&mut build).expect(0).stdout.contains("in: 3, left out: 0"));
}
