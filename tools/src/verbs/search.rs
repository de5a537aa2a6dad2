//! `geolocate search`: the references most like and most unlike given vectors.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use index_shards::{Hit, ReadError, Retrieval, SearchOptions, ShardSet, Work};
use serde::Serialize;

use crate::cli::Status;
use crate::index_args::{IndexArgs, at_least_one, check_width};
use crate::metrics::{Ordered, quantile};
use crate::npy::NpyReader;
use crate::ordered::ordered_map;
use crate::output::JsonTarget;
use crate::progress::Progress;
use crate::search_args::{EndsArgs, FilterArgs};

/// Finds the references most similar and most dissimilar to each vector of a NumPy file.
///
/// Rows are positions in the order given to `build`. With several shards a row is written "SHARD#ROW", where SHARD is
/// the position of the shard in --index, from 0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    geolocate search --index a.shard --vectors queries.npy -k 16 --json found.json\n  \
    geolocate search --index a.shard,b.shard --vectors queries.npy --near 50.1,8.6,2000 --per-place 2,50\n  \
    geolocate search --index a.shard --vectors queries.npy --captured 2026-05-01T00:00:00Z/ --dissimilar random --seed 7")]
pub struct SearchArgs {
    #[command(flatten)]
    index: IndexArgs,
    /// Query vectors: float32, one per row
    #[arg(long, value_name = "FILE.npy")]
    vectors: PathBuf,
    /// How many references to find at either end
    #[arg(short, long, default_value_t = 16, value_parser = at_least_one)]
    k: usize,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    ends: EndsArgs,
    /// How many queries to search for at the same time; a single one is searched for by so many threads
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
    work: MeanWork,
}

/// What a query took on average.
#[derive(Debug, Default, Serialize)]
struct MeanWork {
    /// Rows whose first code layer was read.
    scanned_rows: f64,
    /// Rows whose second code layer was read.
    second_rows: f64,
    /// Rows whose vector was read.
    exact_rows: f64,
    /// Lists that were scanned.
    lists: f64,
    /// Bytes of codes and vectors that all of this comes to.
    bytes: f64,
}

impl MeanWork {
    fn add(&mut self, work: &Work) {
        self.scanned_rows += work.scanned_rows as f64;
        self.second_rows += work.second_rows as f64;
        self.exact_rows += work.exact_rows as f64;
        self.lists += work.lists as f64;
        self.bytes += work.bytes as f64;
    }

    fn over(self, queries: usize) -> Self {
        let mean = |sum: f64| sum / queries.max(1) as f64;
        Self {
            scanned_rows: mean(self.scanned_rows),
            second_rows: mean(self.second_rows),
            exact_rows: mean(self.exact_rows),
            lists: mean(self.lists),
            bytes: mean(self.bytes),
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// The index or the vectors cannot be used, or the result cannot be written.
pub fn run(args: &SearchArgs) -> anyhow::Result<Status> {
    let shards = args.index.open()?;
    let mut vectors = NpyReader::open(&args.vectors)?;
    check_width(&vectors, &shards)?;
    args.filter.note_unknown_sources(&shards)?;
    let (query_threads, threads) = if vectors.rows() == 1 { (1, args.threads) } else { (args.threads, 1) };
    let usual = SearchOptions { k: args.k, filter: args.filter.filter(), threads, ..SearchOptions::default() };
    let options = args.ends.apply(usual);
    let progress = Progress::new("searching", vectors.rows());
    let mut found = Found { k: args.k, ..Found::default() };
    let (mut times_ms, mut work) = (Vec::new(), MeanWork::default());
    let queries = (0..vectors.rows()).map(|_| vectors.next_row());
    let answer = |query: Result<Vec<f32>, _>| {
        let query = query?;
        let start = Instant::now();
        let retrieval = shards.search(&query, &options)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        anyhow::Ok((Named::new(&retrieval, &shards)?, retrieval, ms))
    };
    ordered_map(queries, query_threads, answer, |result| {
        let row = found.queries;
        let (named, retrieval, ms) = result.with_context(|| format!("{}: row {row}", args.vectors.display()))?;
        found.queries += 1;
        found.similar.push(named.similar);
        found.dissimilar.push(named.dissimilar);
        found.similar_score.push(scores(&retrieval.similar));
        found.dissimilar_score.push(scores(&retrieval.dissimilar));
        work.add(&retrieval.work);
        times_ms.push(ms);
        progress.step();
        anyhow::Ok(())
    })?;
    for (name, fraction) in [("p50", 0.5), ("p99", 0.99)] {
        found.ms.0.extend(quantile(&times_ms, fraction).map(|ms| (name.to_owned(), ms)));
    }
    found.work = work.over(found.queries);
    args.json.write_line(&found)?;
    Ok(Status::Done)
}

/// Both ends by the names that the result has for rows.
struct Named {
    similar: Vec<RowName>,
    dissimilar: Vec<RowName>,
}

impl Named {
    fn new(retrieval: &Retrieval, shards: &ShardSet) -> Result<Self, ReadError> {
        Ok(Self { similar: rows(&retrieval.similar, shards)?, dissimilar: rows(&retrieval.dissimilar, shards)? })
    }
}

fn rows(hits: &[Hit], shards: &ShardSet) -> Result<Vec<RowName>, ReadError> {
    let several = shards.shards().len() > 1;
    let name = |hit: &Hit| {
        let missing = || ReadError::NoSuchShard { found: hit.shard, shards: shards.shards().len() };
        let position = shards.shards().get(hit.shard).ok_or_else(missing)?.position(hit.row)?;
        Ok(if several { RowName::ShardRow(format!("{}#{position}", hit.shard)) } else { RowName::Row(position) })
    };
    hits.iter().map(name).collect()
}

fn scores(hits: &[Hit]) -> Vec<f32> {
    hits.iter().map(|hit| hit.score).collect()
}
