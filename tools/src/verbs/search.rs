//! `geolocate search`: the references most like and most unlike given vectors.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use index_shards::{Hit, SearchOptions, ShardSet, Window};
use serde::Serialize;

use crate::cli::Status;
use crate::index_args::{IndexArgs, Near, at_least_one, check_width};
use crate::metrics::{Ordered, quantile};
use crate::npy::NpyReader;
use crate::ordered::ordered_map;
use crate::output::JsonTarget;
use crate::progress::Progress;

/// Finds the references most similar and most dissimilar to each vector of a NumPy file.
///
/// Rows are positions in the order given to `build`. With several shards a row is written "SHARD#ROW", where SHARD is
/// the position of the shard in --index, from 0.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate search --index a.shard --vectors queries.npy -k 16 --json found.json")]
pub struct SearchArgs {
    #[command(flatten)]
    index: IndexArgs,
    /// Query vectors: float32, one per row
    #[arg(long, value_name = "FILE.npy")]
    vectors: PathBuf,
    /// How many references to find at either end
    #[arg(short, long, default_value_t = 16, value_parser = at_least_one)]
    k: usize,
    /// Search only references within this circle
    #[arg(long, value_name = "LAT,LON,RADIUS_M", allow_hyphen_values = true)]
    near: Option<Near>,
    /// How many queries to search for at the same time
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    threads: usize,
    /// Where the result goes as JSON
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    json: JsonTarget,
}

/// A row, with its shard when there are several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum RowName {
    Row(u32),
    ShardRow(String),
}

#[derive(Debug, Default, Serialize)]
struct Found {
    k: usize,
    queries: usize,
    similar: Vec<Vec<RowName>>,
    dissimilar: Vec<Vec<RowName>>,
    similar_score: Vec<Vec<f32>>,
    dissimilar_score: Vec<Vec<f32>>,
    ms: Ordered<f64>,
}

/// Runs the verb.
///
/// # Errors
/// The index or the vectors cannot be used, or the result cannot be written.
pub fn run(args: &SearchArgs) -> anyhow::Result<Status> {
    let shards = args.index.open()?;
    let mut vectors = NpyReader::open(&args.vectors)?;
    check_width(&vectors, &shards)?;
    let window = args.near.map(|Near(prior)| Window::from(prior));
    let options = SearchOptions { k: args.k, window };
    let progress = Progress::new("searching", vectors.rows());
    let mut found = Found { k: args.k, ..Found::default() };
    let mut times_ms = Vec::new();
    let queries = (0..vectors.rows()).map(|_| vectors.next_row());
    let work = |query: Result<Vec<f32>, _>| {
        let query = query?;
        let start = Instant::now();
        let retrieval = shards.search(&query, &options)?;
        anyhow::Ok((retrieval, start.elapsed().as_secs_f64() * 1e3))
    };
    ordered_map(queries, args.threads, work, |result| {
        let row = found.queries;
        let (retrieval, ms) = result.with_context(|| format!("{}: row {row}", args.vectors.display()))?;
        found.queries += 1;
        found.similar.push(rows(&retrieval.similar, &shards));
        found.dissimilar.push(rows(&retrieval.dissimilar, &shards));
        found.similar_score.push(scores(&retrieval.similar));
        found.dissimilar_score.push(scores(&retrieval.dissimilar));
        times_ms.push(ms);
        progress.step();
        anyhow::Ok(())
    })?;
    for (name, fraction) in [("p50", 0.5), ("p99", 0.99)] {
        found.ms.0.extend(quantile(&times_ms, fraction).map(|ms| (name.to_owned(), ms)));
    }
    args.json.write_line(&found)?;
    Ok(Status::Done)
}

fn rows(hits: &[Hit], shards: &ShardSet) -> Vec<RowName> {
    let several = shards.shards().len() > 1;
    let name = |hit: &Hit| {
        if several { RowName::ShardRow(format!("{}#{}", hit.shard, hit.row)) } else { RowName::Row(hit.row) }
    };
    hits.iter().map(name).collect()
}

fn scores(hits: &[Hit]) -> Vec<f32> {
    hits.iter().map(|hit| hit.score).collect()
}
