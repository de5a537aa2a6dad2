//! `geolocate merge`: several shards made into one.

use std::path::PathBuf;

use clap::Args;
use index_shards::{MergeOptions, OpenError, Shard, merge};
use serde::Serialize;

use crate::cli::Status;
use crate::dataset::all_cores;
use crate::index_args::at_least_one;
use crate::layout_arg::LayoutArg;
use crate::output::{JsonTarget, say};

/// Makes several shards of one space into one: partitions into a whole, or a base and its deltas into a new base.
///
/// References follow each other in the order of the shards given. Rows that a shard removes are left out, and so are
/// those whose name a later shard has too. Vectors are copied bit for bit, so every score stays what it was. The new
/// shard says that it was made when the newest of them was.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    geolocate merge parts/part-*.shard --out reference.shard\n  \
    geolocate merge reference.shard delta.shard --out reference.shard")]
pub struct MergeArgs {
    /// Shards to merge; later ones go before earlier ones
    #[arg(required = true, value_name = "FILE.shard")]
    shards: Vec<PathBuf>,
    /// Shard to write; it may be one of those given
    #[arg(long, value_name = "FILE.shard")]
    out: PathBuf,
    /// How codes are laid out: auto, flat, lists, or lists=NUMBER
    #[arg(long, value_name = "LAYOUT", default_value = "auto")]
    layout: LayoutArg,
    /// How many threads to work with [default: all cores]
    #[arg(long, value_parser = at_least_one)]
    threads: Option<usize>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// What became of a merge.
#[derive(Debug, Serialize)]
struct MergeReport {
    path: PathBuf,
    inputs: usize,
    rows: usize,
    bytes: u64,
    digest: String,
    /// Rows that a shard had removed.
    removed: usize,
    /// Rows whose name a later shard has too.
    replaced: usize,
}

/// Runs the verb.
///
/// # Errors
/// A shard is damaged, cannot be read, or differs from the first one; the new one cannot be written or would be empty.
pub fn run(args: &MergeArgs) -> anyhow::Result<Status> {
    let options = MergeOptions {
        layout: args.layout.choice(rows(args)?),
        threads: args.threads.unwrap_or_else(all_cores),
        ..MergeOptions::default()
    };
    let merged = merge(&args.shards, &args.out, &options)?;
    let report = MergeReport {
        path: args.out.clone(),
        inputs: args.shards.len(),
        rows: merged.shard.rows,
        bytes: merged.shard.bytes,
        digest: merged.shard.digest,
        removed: merged.removed,
        replaced: merged.replaced,
    };
    let MergeReport { rows, removed, replaced, bytes, .. } = &report;
    let text = format!("in: {rows}, removed: {removed}, replaced by a later one: {replaced}; {bytes} bytes");
    say(args.json.as_ref(), &format!("{}: {text}\n", args.out.display()))?;
    if let Some(json) = &args.json {
        json.write(&report)?;
    }
    Ok(Status::Done)
}

/// Rows of all shards together.
fn rows(args: &MergeArgs) -> Result<u64, OpenError> {
    args.shards.iter().map(|path| Ok(Shard::open(path)?.len() as u64)).sum()
}
