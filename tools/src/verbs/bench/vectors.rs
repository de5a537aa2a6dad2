//! `geolocate bench vectors`: a folder of vectors, queries and truth for other programs.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::bench::folder::{self, FolderPlan};
use crate::bench::vectors::VectorWorld;
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::output::{JsonTarget, say};
use crate::progress::Progress;

/// Writes vectors that look like embeddings, queries, and the exact answers, as NumPy files.
///
/// The folder gets base.npy; for each kind of query queries_KIND.npy, truth_near_KIND.npy and truth_far_KIND.npy; and
/// in tuning/ the same for other queries, on which settings are chosen. A seed gives the same bytes on every CPU.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate bench vectors --rows 100000 --out vectors")]
pub(super) struct VectorsArgs {
    /// How many vectors
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_one)]
    rows: usize,
    /// Values of a vector
    #[arg(long, value_name = "D", default_value_t = 768, value_parser = at_least_one)]
    dimensions: usize,
    /// Seed of the vectors; the queries' seeds follow from it
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many queries of each kind
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    queries: usize,
    /// How many rows of each end the truth names
    #[arg(short, long, default_value_t = 16, value_parser = at_least_one)]
    k: usize,
    /// Folder to write into; it is made
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Seed of the queries that figures are reported for.
pub(super) const REPORTED_SEED: u64 = 2;
/// Seed of the queries that settings are chosen on.
const TUNING_SEED: u64 = 1;

#[derive(Debug, Serialize)]
struct Written<'a> {
    out: &'a PathBuf,
    rows: usize,
    dimensions: usize,
    seed: u64,
    queries_of_each_kind: usize,
    seconds: f64,
}

/// Runs the verb.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn run(args: &VectorsArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let start = Instant::now();
    let world = VectorWorld::new(args.seed, args.dimensions, args.rows);
    let plan = FolderPlan { queries: args.queries, k: args.k, reported_seed: REPORTED_SEED, tuning_seed: TUNING_SEED };
    let progress = Progress::new("writing", args.rows);
    folder::write(&world, plan, &args.out, || progress.step())
        .with_context(|| format!("{}: cannot write", args.out.display()))?;
    drop(progress);
    let written = Written {
        out: &args.out,
        rows: args.rows,
        dimensions: args.dimensions,
        seed: args.seed,
        queries_of_each_kind: args.queries,
        seconds: start.elapsed().as_secs_f64(),
    };
    let (rows, dimensions, out) = (args.rows, args.dimensions, args.out.display());
    say(json, &format!("{out}: {rows} x {dimensions} in {:.1} s\n", written.seconds))?;
    if let Some(json) = json {
        json.write(&written)?;
    }
    Ok(Status::Done)
}
