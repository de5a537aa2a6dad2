//! `geolocate evaluate --sequence`: frames of a flight against its track.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Run, command, finish, npy, run};

const FRAMES: usize = 24;

/// A flight along 24 references that lie 111 m apart and look like nothing but themselves, one every ten seconds; the sixth
/// frame sees another place.
fn evaluate(folder: &TempDir, with_times: bool, more: &[&str]) -> Run {
    let path = |name: &str| folder.path().join(name);
    let looks_like = |row: usize| (0..FRAMES).map(|column| f32::from(u8::from(column == row))).collect::<Vec<_>>();
    npy(&path("r.npy"), &(0..FRAMES).map(looks_like).collect::<Vec<_>>());
    let references: String = (0..FRAMES).map(|row| format!("r{row},{:.3},8\n", 50.0 + row as f64 / 1000.0)).collect();
    fs::write(path("r.csv"), format!("file,lat,lon\n{references}")).unwrap();
    let shard = path("r.shard");
    run("build", &[&"--vectors", &path("r.npy"), &"--poses", &path("r.csv"), &"--space", &"one", &"--out", &shard])
        .expect(0);
    let seen = |row: usize| if row == 5 { 20 } else { row };
    let (vectors, poses) = (path("q.npy"), path("q.csv"));
    npy(&vectors, &(0..FRAMES).map(|row| looks_like(seen(row))).collect::<Vec<_>>());
    let line = |row: usize| {
        let time =
            if with_times { format!("2026-05-04T12:{:02}:{:02}Z", row / 6, row % 6 * 10) } else { String::new() };
        let role = if row == 23 { "outside" } else { "query" };
        format!("q{row},{:.3},8,{role},one,{time}\n", 50.0 + row as f64 / 1000.0)
    };
    fs::write(&poses, format!("file,lat,lon,role,flight,time\n{}", (0..FRAMES).map(line).collect::<String>())).unwrap();
    let mut evaluate = command("evaluate");
    evaluate.arg("--index").arg(&shard).arg("--query-vectors").arg(&vectors).arg("--poses").arg(&poses);
    finish(evaluate.args(["--sequence", "--thresholds-m", "60,500", "--json", "-"]).args(more))
}

fn figure(report: &Value, path: &str) -> f64 {
    path.split('.').fold(&report["sequence"], |value, key| &value[key]).as_f64().unwrap()
}

#[test]
fn single_frames_stand_beside_the_track_and_plots_are_written() {
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("pages");
    let result = evaluate(&folder, true, &["--html", pages.to_str().unwrap()]).expect(0);
    let report = result.json();
    let sequence = &report["sequence"];
    assert_eq!((&sequence["flights"], &sequence["frames"], &sequence["outside"]), (&json!(1), &json!(23), &json!(1)));
    assert_eq!(sequence["single"]["positions"].as_u64().unwrap(), report["fixes"].as_u64().unwrap());
    assert!(figure(&report, "track.positions") >= 8.0, "{sequence}");
    assert!(figure(&report, "track.error_m.p95") < 120.0, "{sequence}");
    assert!(figure(&report, "best_candidate.error_m.p50") < 1.0, "{sequence}");
    assert_eq!(figure(&report, "jump_rate"), 0.0);
    let since = sequence["by_frames_since_start"].as_array().unwrap();
    assert_eq!(since.iter().map(|group| group["frames"].as_u64().unwrap()).sum::<u64>(), 23);
    assert!(result.stderr.contains("track after ten frames"), "{}", result.stderr);
    for plot in ["sequence-error.svg", "sequence-within.svg"] {
        assert!(fs::read_to_string(pages.join(plot)).unwrap().contains("<polyline"), "{plot}");
    }
}

#[test]
fn a_window_changes_what_is_searched_and_not_what_is_found() {
    let folder = TempDir::new().unwrap();
    let report = evaluate(&folder, true, &["--track-window"]).expect(0).json();
    assert!(figure(&report, "window_share") > 0.0, "{}", report["sequence"]);
    assert!(figure(&report, "track.error_m.p95") < 120.0, "{}", report["sequence"]);
}

#[test]
fn frames_without_times_and_wrong_arguments_are_named() {
    let folder = TempDir::new().unwrap();
    let result = evaluate(&folder, false, &[]).expect(1);
    assert!(result.stderr.contains("--sequence: q0 (line 2)"), "{}", result.stderr);
    let folder = TempDir::new().unwrap();
    let result = evaluate(&folder, true, &["--camera-kind", "flying"]).expect(2);
    assert!(result.stderr.contains("nadir, forward or handheld"), "{}", result.stderr);
    let folder = TempDir::new().unwrap();
    evaluate(&folder, true, &["--max-speed-m-s", "0"]).expect(2);
}
