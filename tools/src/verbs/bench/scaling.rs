//! How time, memory and size grow with the number of vectors.

use serde::Serialize;

use super::report::Report;
use super::search::{SearchBenchArgs, measure_made};
use super::text;
use crate::cli::Status;
use crate::output::{JsonTarget, say};

#[derive(Debug, Serialize)]
struct Scaling {
    schema: u32,
    runs: Vec<Report>,
}

/// Makes and measures shards of so many rows, one after the other.
///
/// # Errors
/// A temporary shard cannot be written or searched.
pub(super) fn run(args: &SearchBenchArgs, rows: &[usize], json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    say(json, text::SCALING_HEAD)?;
    let mut scaling = Scaling { schema: 1, runs: Vec::new() };
    for &rows in rows {
        let report = measure_made(args, rows)?;
        say(json, &text::scaling_row(&report))?;
        scaling.runs.push(report);
    }
    if let Some(last) = scaling.runs.last() {
        say(json, &format!("\n{}", text::sections(last)))?;
    }
    if let Some(json) = json {
        json.write(&scaling)?;
    }
    Ok(Status::Done)
}
