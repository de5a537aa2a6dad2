//! Runs the tool, makes small inputs, finds the shared imagery.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// How a run of the tool ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Fails the test unless the exit status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A run of the tool that can be given further arguments.
pub(crate) fn command(verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_geolocate"));
    command.arg(verb).env("SOURCE_DATE_EPOCH", "1700000000").env_remove("RUST_LOG");
    command
}

/// Runs the tool with arguments that may be paths or texts.
pub(crate) fn run(verb: &str, arguments: &[&dyn AsRef<OsStr>]) -> Run {
    finish(command(verb).args(arguments.iter().map(AsRef::as_ref)))
}

pub(crate) fn finish(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let run = Run { status: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) };
    assert!(!run.stderr.contains("panicked at"), "{}", run.stderr);
    run
}

/// Writes a matrix of float32 as NumPy does.
pub(crate) fn npy(path: &Path, rows: &[Vec<f32>]) {
    let header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n", rows.len(), rows[0].len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.iter().flatten().flat_map(|value| value.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// A unit vector in the plane at this angle.
pub(crate) fn at_angle(degrees: f32) -> Vec<f32> {
    vec![degrees.to_radians().cos(), degrees.to_radians().sin()]
}

/// A shard of the plane: one row per angle, rows 0.001 degrees of latitude (111 m) apart, named r0, r1, ...
pub(crate) fn plane_shard(folder: &TempDir, name: &str, angles: &[f32]) -> PathBuf {
    let (vectors, poses) = (folder.path().join(format!("{name}.npy")), folder.path().join(format!("{name}.csv")));
    npy(&vectors, &angles.iter().map(|&angle| at_angle(angle)).collect::<Vec<_>>());
    let rows: Vec<String> =
        (0..angles.len()).map(|row| format!("r{row},{:.3},8\n", 50.0 + row as f64 / 1000.0)).collect();
    fs::write(&poses, format!("file,lat,lon\n{}", rows.concat())).unwrap();
    let shard = folder.path().join(format!("{name}.shard"));
    run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"plane", &"--out", &shard]).expect(0);
    shard
}

/// The shared imagery, or `None` after saying that `test` is skipped.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("GEOLOCATED_SHARED").map_or(beside, PathBuf::from);
    if folder.join("imagery").is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("GEOLOCATED_REQUIRE_SHARED").is_none_or(|value| value != "1"),
        "{test}: expected the shared imagery in {} (GEOLOCATED_SHARED)",
        folder.display()
    );
    println!("skipped: {test}: no shared imagery in {}", folder.display());
    None
}

/// Manifest of the encoder that the tests on imagery use.
pub(crate) fn model(shared: &Path) -> PathBuf {
    shared.join("encoders/mobilenetv3_small_576/model_w8.toml")
}

/// Manifest of the same network with weights that are not quantized.
pub(crate) fn model_fp32(shared: &Path) -> PathBuf {
    shared.join("encoders/mobilenetv3_small_576/model.toml")
}

/// A shard of caliterra's reference frames, built once for all tests.
pub(crate) fn caliterra(shared: &Path) -> &'static Path {
    static SHARD: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, shard) = SHARD.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let shard = folder.path().join("caliterra.shard");
        let set = shared.join("imagery/caliterra");
        build_set(&set, &model(shared), &shard).expect(0);
        (folder, shard)
    });
    shard
}

/// Builds a shard from the reference frames of a set with images, poses.csv and split.csv.
pub(crate) fn build_set(set: &Path, model: &Path, shard: &Path) -> Run {
    run(
        "build",
        &[
            &"--images",
            &set.join("images"),
            &"--poses",
            &set.join("poses.csv"),
            &"--split",
            &set.join("split.csv"),
            &"--role",
            &"reference",
            &"--encoder",
            &model,
            &"--out",
            &shard,
        ],
    )
}

/// A matrix of unit vectors in all directions, always the same, and poses for it: rows named r0, r1, ... along a
/// parallel, 11 m apart. `.npy` and `.csv` below the folder.
pub(crate) fn matrix(folder: &TempDir, rows: usize, dimensions: usize) -> (PathBuf, PathBuf) {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let vectors: Vec<Vec<f32>> = (0..rows).map(|_| (0..dimensions).map(|_| next()).collect()).collect();
    let (npy_path, csv_path) = (folder.path().join("matrix.npy"), folder.path().join("matrix.csv"));
    npy(&npy_path, &vectors);
    let poses: Vec<String> = (0..rows).map(|row| format!("r{row},{:.4},8\n", 40.0 + row as f64 / 10_000.0)).collect();
    fs::write(&csv_path, format!("file,lat,lon\n{}", poses.concat())).unwrap();
    (npy_path, csv_path)
}

/// `build` of that matrix, to be given further arguments.
pub(crate) fn build_matrix((vectors, poses): &(PathBuf, PathBuf), out: &Path) -> Command {
    let mut build = command("build");
    build.arg("--vectors").arg(vectors).arg("--poses").arg(poses).args(["--space", "matrix"]).arg("--out").arg(out);
    build
}

/// The names of all files in a folder, also of hidden ones, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort_unstable();
    names
}
