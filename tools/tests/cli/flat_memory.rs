//! `geolocate build` takes no more memory for more rows.
#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::common::{build_matrix, matrix};

/// What ten times as many rows may take beside what the rows take, bytes: what the writer and the sorting hold at most.
/// A table of the poses would take five times as much.
const MOST_BYTES: u64 = 48 << 20;

/// Runs a build and returns the most memory that it had, bytes, and what it says.
fn run(mut build: Command) -> (u64, String) {
    let mut process = build.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0;
    let end = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak = kib.map_or(peak, |kib: u64| kib * 1024);
        match process.try_wait().unwrap() {
            Some(end) => break end,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    assert!(end.success() && peak > 0, "{end}, {peak} bytes");
    (peak, std::io::read_to_string(process.stdout.unwrap()).unwrap())
}

/// A build of so many rows with everything that looks up names: a split, and a base whose rows are replaced.
fn build(folder: &TempDir, rows: usize, base: Option<&Path>) -> (Command, PathBuf) {
    let inputs = matrix(folder, rows, 4);
    let (split, out) = (folder.path().join("split.csv"), folder.path().join(format!("{rows}.shard")));
    let mut text = "file,role\n".to_owned();
    for row in (0..rows).rev() {
        writeln!(text, "r{row},{}", if row % 10 == 3 { "query" } else { "reference" }).unwrap();
    }
    fs::write(&split, text).unwrap();
    let mut build = build_matrix(&inputs, &out);
    build.arg("--split").arg(split).args(["--threads", "2"]);
    build.args(base.iter().flat_map(|base| ["--replaces".as_ref(), base.as_os_str()]));
    (build, out)
}

#[test]
fn ten_times_the_rows_take_no_more_memory_than_the_writer_holds() {
    let folder = TempDir::new().unwrap();
    let (few_rows, base) = build(&folder, 20_000, None);
    let (few_bytes, _) = run(few_rows);
    let (many_rows, _) = build(&folder, 200_000, Some(&base));
    let (many_bytes, said) = run(many_rows);
    assert!(said.contains("in: 180000, left out: 0") && said.contains("removes 18000 rows of"), "{said}");
    println!("{few_bytes} bytes for 20,000 rows, {many_bytes} for 200,000");
    assert!(many_bytes < few_bytes + MOST_BYTES, "{few_bytes} bytes for 20,000 rows, {many_bytes} for 200,000");
}
