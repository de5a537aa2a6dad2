//! A start with cold pages.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use index_shards::{SearchOptions, ShardSet};
use rustix::fs::{Advice, fadvise};

use super::report::{ColdPart, ColdQuery};
use crate::bench::process::Reads;

/// Sections that [`index_shards::Shard::prefault`] brings in.
const POPULATED: [&str; 7] = ["codes", "second", "centroids", "slots", "zones", "removed", "decoder"];

/// Measures the first query after the pages of `shard` were given up, with and without bringing in the codes before.
/// Nobody may have the file mapped meanwhile, or its pages stay.
///
/// # Errors
/// The shard cannot be opened, read or searched.
pub(super) fn measure(shard: &Path, query: &[f32], options: &SearchOptions) -> anyhow::Result<ColdPart> {
    forget(shard)?;
    let shards = ShardSet::open(&[shard.to_owned()])?;
    let (start, before) = (Instant::now(), Reads::now());
    shards.shards().iter().try_for_each(|shard| shard.prefault())?;
    let (populate_ms, populated) = (elapsed_ms(start), Reads::now().since(before));
    let sections = shards.shards().iter().flat_map(|shard| shard.sections());
    let populated_bytes = sections.filter(|section| POPULATED.contains(&section.name)).map(|section| section.length);
    let populated_bytes = populated_bytes.sum();
    let first_query = ask(&shards, query, options)?;
    drop(shards);
    forget(shard)?;
    let unpopulated_first_query = ask(&ShardSet::open(&[shard.to_owned()])?, query, options)?;
    Ok(ColdPart {
        populate_ms,
        populate_read_bytes: populated.bytes,
        populated_bytes,
        first_query,
        unpopulated_first_query,
    })
}

fn ask(shards: &ShardSet, query: &[f32], options: &SearchOptions) -> anyhow::Result<ColdQuery> {
    let (start, before) = (Instant::now(), Reads::now());
    shards.search(query, options)?;
    let (ms, reads) = (elapsed_ms(start), Reads::now().since(before));
    Ok(ColdQuery { ms, read_bytes: reads.bytes, major_faults: reads.major_faults })
}

/// Asks the system to give up the pages of a file; those that are not on the disk yet are written first.
fn forget(path: &Path) -> anyhow::Result<()> {
    let refused = || format!("{}: cannot give up its pages", path.display());
    let file = File::open(path).with_context(refused)?;
    file.sync_all().with_context(refused)?;
    fadvise(&file, 0, None, Advice::DontNeed).with_context(refused)
}

pub(super) fn elapsed_ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
