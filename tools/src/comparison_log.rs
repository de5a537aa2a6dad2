//! Every answer of a comparator, a line of JSON for each query and strategy: what gains can be looked for in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use geolocated::locate::rerank::{Answer, Comparison, Probe, Strategy};
use serde::Serialize;

use crate::evaluation::{Answered, JudgedCandidate, SecondAnswer};

/// Candidates of a query that are listed: those that can be compared lie among them.
const LISTED: usize = 64;

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    query: &'a str,
    /// Whether it was taken where no reference is.
    outside: bool,
    flight: &'a str,
    /// The other columns of its row of the poses.
    columns: &'a BTreeMap<String, String>,
    strategy: Strategy,
    stopped_by: &'a str,
    ms: f64,
    /// In the order of retrieval; comparisons count them from 0.
    candidates: &'a [JudgedCandidate],
    /// Positions in the order of retrieval, best first, as far as candidates are listed.
    order: Vec<usize>,
    comparisons: &'a [Comparison],
    answers: &'a [Answer],
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<&'a Probe>,
    /// Metres from the truth of the published position; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix_m: Option<f64>,
    /// The same by retrieval alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    retrieved_fix_m: Option<f64>,
}

impl<'a> Line<'a> {
    fn of(query: &'a Answered, second: &'a SecondAnswer) -> Self {
        let listed = second.candidates.len().min(LISTED);
        Self {
            query: &query.file,
            outside: query.outside,
            flight: &query.belief.flight,
            columns: &query.columns,
            strategy: second.reranking.strategy,
            stopped_by: second.reranking.end.as_str(),
            ms: second.reranking.ms,
            candidates: second.candidates.get(..listed).unwrap_or_default(),
            order: second.ranking.order.iter().copied().filter(|position| *position < listed).collect(),
            comparisons: &second.ranking.comparisons,
            answers: &second.ranking.answers,
            probe: second.ranking.probe.as_ref(),
            fix_m: second.judged.fix_m,
            retrieved_fix_m: query.retrieved.fix_m,
        }
    }
}

/// Writes the lines of all queries.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: &Path, answers: &[Answered]) -> anyhow::Result<()> {
    let cannot = || format!("{}: cannot write", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(cannot)?);
    for (query, second) in answers.iter().flat_map(|query| query.second.iter().map(move |second| (query, second))) {
        serde_json::to_writer(&mut file, &Line::of(query, second)).with_context(cannot)?;
        file.write_all(b"\n").with_context(cannot)?;
    }
    file.flush().with_context(cannot)
}
