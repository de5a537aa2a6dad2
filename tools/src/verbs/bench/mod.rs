//! `geolocate bench`: how fast and how exact the search is, vectors to measure others on, schedules of reranking, wrong labels.

mod cold;
mod labels;
mod make;
mod measure;
mod report;
mod rerank;
mod run_again;
mod scaling;
mod search;
mod text;
mod vectors;

use clap::{Args, Subcommand};

use crate::cli::Status;
use crate::output::JsonTarget;

/// Measures the search: recall against exact search, time, memory, bytes; writes vectors to measure others on; or
/// simulates reranking.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate bench search --rows 1000000 --json bench.json\n  \
    geolocate bench search --scaling 10000,100000,1000000\n  geolocate bench vectors --rows 100000 --out vectors\n  \
    geolocate bench rerank --svg docs/rerank")]
pub struct BenchArgs {
    /// What to do
    #[command(subcommand)]
    what: BenchVerb,
    /// Write the figures as JSON
    #[arg(long, global = true, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

#[derive(Debug, Subcommand)]
enum BenchVerb {
    Search(Box<search::SearchBenchArgs>),
    Vectors(vectors::VectorsArgs),
    Rerank(rerank::RerankBenchArgs),
    Labels(labels::LabelsBenchArgs),
}

/// Runs the verb.
///
/// # Errors
/// Files cannot be read or written, or do not fit one another.
pub fn run(args: &BenchArgs) -> anyhow::Result<Status> {
    match &args.what {
        BenchVerb::Search(search) => search::run(search, args.json.as_ref()),
        BenchVerb::Vectors(vectors) => vectors::run(vectors, args.json.as_ref()),
        BenchVerb::Labels(labels) => labels::run(labels, args.json.as_ref()),
        BenchVerb::Rerank(rerank) => rerank::run(rerank, args.json.as_ref()),
    }
}
