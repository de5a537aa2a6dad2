//! `geolocate calibrate` and what `evaluate` says by it: promises that hold on other flights, and refusals.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Run, build_matrix, command, finish, matrix, npy};

const DIMENSIONS: usize = 16;
const REFERENCES: usize = 256;

/// An index of unlike references 11 m apart, and flights over them: a frame is its reference with noise; every fifth one
/// shows something else.
struct Ground {
    folder: TempDir,
    shard: PathBuf,
    references: Vec<Vec<f32>>,
}

impl Ground {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let files = matrix(&folder, REFERENCES, DIMENSIONS);
        let shard = folder.path().join("a.shard");
        assert!(build_matrix(&files, &shard).output().unwrap().status.success());
        let bytes = fs::read(&files.0).unwrap();
        let values: Vec<f32> = bytes[bytes.len() - REFERENCES * DIMENSIONS * 4..]
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect();
        let references = values.chunks_exact(DIMENSIONS).map(<[f32]>::to_vec).collect();
        Self { folder, shard, references }
    }

    /// Vectors and poses of so many flights of ten frames: `NAME.npy` and `NAME.csv`.
    fn fly(&self, name: &str, flights: usize, seed: u64) {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        let (mut vectors, mut poses) = (Vec::new(), "file,lat,lon,role,flight\n".to_owned());
        for frame in 0..flights * 10 {
            let outside = frame % 5 == 4;
            let row = (next().abs() * REFERENCES as f32) as usize % REFERENCES;
            let noise = if next() > 0.6 { 1.2 } else { 0.4 };
            let reference = &self.references[row];
            let length = reference.iter().map(|part| part * part).sum::<f32>().sqrt();
            let of_ground = |part: &f32| if outside { 0.0 } else { part / length };
            let vector: Vec<f32> = reference.iter().map(|part| of_ground(part) + noise * next() * 0.5).collect();
            vectors.push(vector);
            let (lat, role) = (40.0 + row as f64 / 10_000.0, if outside { "outside" } else { "query" });
            writeln!(poses, "{name}{frame},{lat:.4},8,{role},{name}{}", frame / 10).unwrap();
        }
        npy(&self.folder.path().join(format!("{name}.npy")), &vectors);
        fs::write(self.folder.path().join(format!("{name}.csv")), poses).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, verb: &str, shard: &Path, flights: &str, more: &[&str]) -> Run {
        let mut run = command(verb);
        run.arg("--index").arg(shard).arg("--query-vectors").arg(self.path(&format!("{flights}.npy")));
        finish(run.arg("--poses").arg(self.path(&format!("{flights}.csv"))).current_dir(self.folder.path()).args(more))
    }
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {report:#}"))
}

#[test]
fn what_is_promised_on_some_flights_holds_on_others() {
    let ground = Ground::new();
    ground.fly("known", 90, 3);
    ground.fly("other", 90, 5);
    let calibrated = ground.run("calibrate", &ground.shard, "known", &["--out", "c.toml", "--json", "-"]).expect(0);
    let calibration = calibrated.json();
    assert_eq!((&calibration["fitted_on"]["flights"], &calibration["fitted_on"]["frames"]), (&90.into(), &720.into()));
    assert!(calibration["fuse"]["sharpness"].as_f64().is_some(), "{calibration:#}");
    assert!(calibration.get("reranked").is_none());

    let told = ["--calibration", "c.toml", "--html", "pages", "--json", "-"];
    let report = ground.run("evaluate", &ground.shard, "other", &told).expect(0).json();
    assert!(number(&report, "/radius_95_coverage") >= 0.93, "{report:#}");
    assert!(number(&report, "/radius_68_coverage") >= 0.63, "{report:#}");
    assert!(number(&report, "/radius_68_m/p50") <= number(&report, "/radius_95_m/p50"));
    // A risk of 0.05, read off 120 frames and seen on 180: give or take 0.026, twice.
    assert!(number(&report, "/outside_fixes") / number(&report, "/outside") <= 0.102, "{report:#}");
    assert!(number(&report, "/fixes") > 0.6 * number(&report, "/queries"), "{report:#}");
    assert!(number(&report, "/abstention/right_share") > 0.9, "{report:#}");
    assert!(number(&report, "/abstention/auroc/mapped") > 0.85, "{report:#}");
    assert!(number(&report, "/abstention/auroc/confidence") > 0.8, "{report:#}");
    assert!(number(&report, "/abstention/calibration_error") < 0.15, "{report:#}");
    let curve = report["abstention"]["risk_coverage"]["confidence"].as_array().unwrap();
    assert!(curve.len() > 5 && curve.iter().all(|point| number(point, "/risk") <= 1.0));
    let page = fs::read_to_string(ground.path("pages/report.html")).unwrap();
    assert!(page.contains("Risk and coverage") && page.contains("class=\"map\"") && page.contains("Worst frames"));
    assert!(!page.contains("NaN"));

    // Without it there are no radii, and what tells mapped ground from outside is measured all the same.
    let bare = ground.run("evaluate", &ground.shard, "other", &["--json", "-"]).expect(0).json();
    assert!(bare.get("radius_95_coverage").is_none() && bare["abstention"].get("reliability").is_none());
    assert!(number(&bare, "/abstention/auroc/cosine") > 0.5);
}

#[test]
fn a_calibration_of_another_index_gives_no_radii_and_says_so() {
    let ground = Ground::new();
    ground.fly("known", 60, 3);
    ground.run("calibrate", &ground.shard, "known", &["--out", "c.toml"]).expect(0);
    let other = ground.path("b.shard");
    let files = matrix(&ground.folder, REFERENCES / 2, DIMENSIONS);
    assert!(build_matrix(&files, &other).output().unwrap().status.success());
    let run = ground.run("evaluate", &other, "known", &["--calibration", "c.toml", "--json", "-"]).expect(0);
    assert!(run.stderr.contains("no radii") && run.stderr.contains("calibrated for the shards"), "{}", run.stderr);
    assert!(run.json().get("radius_95_coverage").is_none());
    let lost = ground.run("evaluate", &ground.shard, "known", &["--calibration", "none.toml", "--json", "-"]).expect(0);
    assert!(lost.stderr.contains("none.toml: cannot be read"), "{}", lost.stderr);
}

#[test]
fn too_little_to_promise_anything_is_refused_with_the_number_needed() {
    let ground = Ground::new();
    let refusal = |flights: usize, more: &[&str]| {
        ground.fly("few", flights, 3);
        let run = ground.run("calibrate", &ground.shard, "few", &[&["--out", "c.toml"], more].concat()).expect(1);
        assert!(!ground.path("c.toml").exists());
        run.stderr
    };
    let said = refusal(1, &[]);
    assert!(said.contains("at least 50 frames") && said.contains("found 8"), "{said}");
    let said = refusal(15, &[]);
    assert!(said.contains("at least 19 flights") && said.contains("29 in all") && said.contains("found 10"), "{said}");
    let said = refusal(15, &["--role", "query"]);
    assert!(said.contains("at least 19 flights with fixes") && said.contains("found 10"), "{said}");
    let usage = ground.run("calibrate", &ground.shard, "few", &["--out", "c.toml", "--risk", "2"]).expect(2);
    assert!(usage.stderr.contains("a share above 0 and below 1"), "{}", usage.stderr);
}
