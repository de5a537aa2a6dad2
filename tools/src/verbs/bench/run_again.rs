//! Measures in a process of its own, so that what building a shard leaves in memory is not counted as the search's.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use super::report::Report;
use crate::bench::questions::QueryFile;

/// Runs this program again to measure `shard` with the queries and the truth of files.
///
/// # Errors
/// The program cannot be run, fails, or says something else than a report.
pub(super) fn measure(
    shard: &Path,
    queries: &[QueryFile],
    truth_dir: &Path,
    settings: &[OsString],
) -> anyhow::Result<Report> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["bench", "search", "--json", "-", "--index"]).arg(shard).arg("--truth-dir").arg(truth_dir);
    for file in queries {
        let mut named = OsString::from(&file.kind);
        named.push("=");
        named.push(&file.path);
        command.arg("--query-vectors").arg(named);
    }
    let output = command.args(settings).stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.context("cannot run this program again")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "measuring ended with {}: {}", output.status, said.trim());
    serde_json::from_slice(&output.stdout).context("cannot read the figures of the measuring process")
}
