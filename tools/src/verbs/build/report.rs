//! What a build says at its end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use index_shards::{BlobDescription, PositionOf, Shard, ShardDescription, ShardSummary};
use serde::Serialize;

use super::args::{BuildArgs, Pictures};
use super::base::Hidden;
use crate::left_out::{LeftOut, LeftOutFiles};
use crate::output::say;

/// What became of a build.
pub(super) struct Outcome<'a> {
    pub(super) args: &'a BuildArgs,
    pub(super) description: &'a ShardDescription,
    pub(super) summary: &'a ShardSummary,
    pub(super) left_out: &'a LeftOut,
    /// Rows that an earlier run had done.
    pub(super) taken_over: usize,
    /// Rows of other shards that are hidden.
    pub(super) hidden: &'a [Hidden],
    /// The share that was built, as text.
    pub(super) partition: Option<String>,
}

#[derive(Debug, Serialize)]
struct BuildReport<'a> {
    path: &'a Path,
    rows: usize,
    bytes: u64,
    digest: &'a str,
    space: &'a str,
    dimensions: usize,
    position_of: PositionOf,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<&'a str>,
    /// Rows that were taken over from a build that was stopped, left out or not.
    taken_over: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    blobs: Option<BlobsPart<'a>>,
    #[serde(skip_serializing_if = "<[Hidden]>::is_empty")]
    removed: &'a [Hidden],
    left_out: &'a BTreeMap<&'static str, usize>,
    left_out_files: LeftOutFiles<'a>,
}

#[derive(Debug, Serialize)]
struct BlobsPart<'a> {
    #[serde(flatten)]
    made: &'a BlobDescription,
    bytes: u64,
}

impl Outcome<'_> {
    /// Says it, to people and as JSON.
    ///
    /// # Errors
    /// It cannot be written, or the shard cannot be opened.
    pub(super) fn report(&self) -> anyhow::Result<()> {
        let (args, summary) = (self.args, self.summary);
        let section = |name| Shard::open(&args.out).map(|shard| section_bytes(&shard, name));
        let made = self.description.blobs.as_ref();
        let blobs =
            made.map(|made| Ok::<_, anyhow::Error>(BlobsPart { made, bytes: section("blobs")? })).transpose()?;
        say(args.json.as_ref(), &self.text(blobs.as_ref().map(|blobs| blobs.bytes)))?;
        let Some(json) = &args.json else { return Ok(()) };
        json.write(&BuildReport {
            path: &args.out,
            rows: summary.rows,
            bytes: summary.bytes,
            digest: &summary.digest,
            space: &self.description.space,
            dimensions: self.description.dimensions,
            position_of: self.description.position_of,
            partition: self.partition.as_deref(),
            taken_over: self.taken_over,
            blobs,
            removed: self.hidden,
            left_out: self.left_out.counts(),
            left_out_files: self.left_out.files(),
        })
    }

    fn text(&self, blob_bytes: Option<u64>) -> String {
        let (rows, bytes) = (self.summary.rows, self.summary.bytes);
        let mut text = format!("{}: in: {rows}, left out: {}; {bytes} bytes", self.args.out.display(), self.left_out);
        if let Some(bytes) = blob_bytes {
            let what = if self.args.pictures() == Pictures::Tokens { "tokens with thumbnails" } else { "thumbnails" };
            let _ = write!(text, ", {bytes} of them {what}");
        }
        for hidden in self.hidden {
            let _ = write!(text, "; removes {} rows of {}", hidden.rows.len(), hidden.path.display());
        }
        text + "\n"
    }
}

/// Bytes of a section; 0 when there is none of this name.
fn section_bytes(shard: &Shard, name: &str) -> u64 {
    shard.sections().find(|section| section.name == name).map_or(0, |section| section.length)
}
