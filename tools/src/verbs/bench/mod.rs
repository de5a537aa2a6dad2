//! `geolocate bench`: how fast and how exact the search is, and vectors to measure others on.

mod cold;
mod make;
mod measure;
mod report;
mod run_again;
mod scaling;
mod search;
mod text;
mod vectors;

use clap::{Args, Subcommand};

use crate::cli::Status;
use crate::output::JsonTarget;

/// Measures the search: recall against exact search, time, memory, bytes; or writes vectors to measure others on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate bench search --rows 1000000 --json bench.json\n  \
    geolocate bench search --scaling 10000,100000,1000000\n  geolocate bench vectors --rows 100000 --out vectors")]
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
}

/// Runs the verb.
///
/// # Errors
/// Files cannot be read or written, or do not fit one another.
pub fn run(args: &BenchArgs) -> anyhow::Result<Status> {
    match &args.what {
        BenchVerb::Search(search) => search::run(search, args.json.as_ref()),
        BenchVerb::Vectors(vectors) => vectors::run(vectors, args.json.as_ref()),
    }
}
