//! Several shards made into one: deltas joined with their base, removed rows left out.

use crate::clusters::LayoutChoice;
use crate::description::ShardDescription;
use crate::disk::{Disk, RealDisk};
use crate::error::MergeError;
use crate::fault::Fault;
use crate::place::Place;
use crate::sections::Kind;
use crate::sections::columns::NO_TIME;
use crate::sections::details;
use crate::sections::frame::BLOCK_ROWS;
use crate::shard::Shard;
use crate::verify::verify;
use crate::writer::{Row, Scratch, ShardSummary, ShardWriter, Sorter, WriterOptions, name_key};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How shards are merged.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// How the codes of the new shard are laid out.
    pub layout: LayoutChoice,
    /// How many threads work when the shard is finished; at least 1. Its bytes do not depend on it.
    pub threads: usize,
    /// When the new shard says that it was made, Unix milliseconds UTC; `None` for the newest of the inputs' times.
    pub created_at_ms: Option<i64>,
    /// The file system that the new shard is written to.
    pub disk: Arc<dyn Disk>,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self { layout: LayoutChoice::Auto, threads: 1, created_at_ms: None, disk: Arc::new(RealDisk) }
    }
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeSummary {
    /// The new shard.
    pub shard: ShardSummary,
    /// Rows that were left out because a tombstone removed them.
    pub removed: usize,
    /// Rows that were left out because a later input has one of the same name.
    pub replaced: usize,
}

/// Joins shards of one space, and of one rotation, into a new one at `out`, which may be one of them. Every input is
/// [verified](verify) first. Rows keep their stored vectors, bit for bit; they follow each other in the order of the
/// inputs, and of their positions there, and are renumbered. Rows that a tombstone of any input removes are left out,
/// and so are those whose name a later input has too. Tombstones for shards that are not among the inputs are kept.
///
/// Licence and attribution are those of all inputs that differ, with `; ` between; the rest of the description is that
/// of the first. Takes 1 bit of memory for each row beside what [`ShardWriter`] takes.
///
/// # Errors
/// No inputs; one that cannot be opened, is damaged, or differs from the first in its space, width, rotation, kind of
/// position or blobs; the new shard cannot be written, or would be empty.
pub fn merge(inputs: &[PathBuf], out: &Path, options: &MergeOptions) -> Result<MergeSummary, MergeError> {
    let shards = inputs.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let first = shards.first().ok_or(MergeError::NoInputs)?;
    shards.iter().try_for_each(|shard| fits(first, shard))?;
    let description = describe(first, &shards, options.created_at_ms);
    let writer_options =
        WriterOptions { layout: options.layout, threads: options.threads, plan: None, disk: Arc::clone(&options.disk) };
    let mut writer = ShardWriter::create_with_seed(out, description, writer_options, first.seed())?;
    let mut merge = Merge { shards: &shards, out, left_out: Vec::new(), scratch: writer.another_scratch() };
    let removed = merge.leave_out_removed(&mut writer)?;
    let replaced = merge.leave_out_replaced()?;
    for at in 0..shards.len() {
        merge.copy(at, &mut writer)?;
    }
    Ok(MergeSummary { shard: writer.finish()?, removed, replaced })
}

/// Verifies and opens an input.
fn open(path: &Path) -> Result<Shard, MergeError> {
    let verified = verify(path)?;
    let shard = Shard::open(path)?;
    if shard.digest() != verified.digest {
        return Err(MergeError::Changed { path: path.into() });
    }
    Ok(shard)
}

/// Passes when `shard` can be merged with `first`.
fn fits(first: &Shard, shard: &Shard) -> Result<(), MergeError> {
    let (wanted, has) = (first.description(), shard.description());
    let blobs = |description: &ShardDescription| {
        let blobs = description.blobs.as_ref();
        blobs.map_or("none".to_owned(), |blobs| format!("{} by {}", blobs.codec, blobs.producer))
    };
    let fields = [
        ("space", wanted.space.clone(), has.space.clone()),
        ("dimensions", wanted.dimensions.to_string(), has.dimensions.to_string()),
        ("rotation", format!("{:#018x}", first.seed()), format!("{:#018x}", shard.seed())),
        ("position_of", format!("{:?}", wanted.position_of), format!("{:?}", has.position_of)),
        ("blobs", blobs(wanted), blobs(has)),
    ];
    match fields.into_iter().find(|(_, wanted, has)| wanted != has) {
        None => Ok(()),
        Some((field, expected, found)) => Err(MergeError::Differs {
            path: shard.path().into(),
            first: first.path().into(),
            fault: Fault { field, expected, found },
        }),
    }
}

/// The description of the new shard.
fn describe(first: &Shard, shards: &[Shard], created_at_ms: Option<i64>) -> ShardDescription {
    let joined = |text: fn(&ShardDescription) -> &String| {
        let mut seen = BTreeSet::new();
        let texts = shards.iter().map(|shard| text(shard.description()).as_str());
        texts.filter(|text| !text.is_empty() && seen.insert(*text)).collect::<Vec<_>>().join("; ")
    };
    let newest = shards.iter().map(|shard| shard.description().created_at_ms).max().unwrap_or_default();
    ShardDescription {
        licence: joined(|description| &description.licence),
        attribution: joined(|description| &description.attribution),
        created_at_ms: created_at_ms.unwrap_or(newest),
        ..first.description().clone()
    }
}

/// Rows of one input, a bit each.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn contains(&self, row: u32) -> bool {
        self.words.get((row / u64::BITS) as usize).is_some_and(|word| word >> (row % u64::BITS) & 1 == 1)
    }

    /// Whether the row was not there before.
    fn insert(&mut self, row: u32) -> bool {
        let new = !self.contains(row);
        let at = (row / u64::BITS) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (row % u64::BITS);
        }
        new
    }
}

/// A merge on its way.
struct Merge<'a> {
    shards: &'a [Shard],
    out: &'a Path,
    /// Of each input the rows that do not come into the new shard.
    left_out: Vec<Bits>,
    scratch: Scratch,
}

impl Merge<'_> {
    /// Applies the tombstones for the inputs, and hands on the others. Returns how many rows were removed.
    fn leave_out_removed(&mut self, writer: &mut ShardWriter) -> Result<usize, MergeError> {
        self.left_out.resize_with(self.shards.len(), Bits::default);
        let mut removed = 0;
        for shard in self.shards {
            for record in shard.removed()?.records() {
                let record = record.map_err(|fault| shard.damaged(Kind::Removed, None, fault))?;
                let mut known = false;
                for (other, left_out) in self.shards.iter().zip(&mut self.left_out) {
                    if other.digest_bytes() == record.digest {
                        known = true;
                        let rows = record.rows().filter(|row| *row < other.rows());
                        removed += rows.filter(|row| left_out.insert(*row)).count();
                    }
                }
                if !known {
                    writer.remove(&record.digest.to_string(), &record.rows().collect::<Vec<_>>())?;
                }
            }
        }
        Ok(removed)
    }

    /// Leaves out all but the last row of each name. Returns how many.
    fn leave_out_replaced(&mut self) -> Result<usize, MergeError> {
        let mut sorter = Sorter::<24>::new();
        let (out, scratch) = (self.out, &mut self.scratch);
        for ((shard, left_out), at) in self.shards.iter().zip(&self.left_out).zip(0_u32..) {
            each_name(shard, |row, name| {
                if left_out.contains(row) {
                    return Ok(());
                }
                let mut record = [0; 24];
                let fields = name_key(name).into_iter().chain(at.to_be_bytes()).chain(row.to_be_bytes());
                record.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
                sorter.push(record, scratch).map_err(in_temporary(out))
            })?;
        }
        let (mut replaced, mut before) = (0, None);
        for record in sorter.into_sorted(scratch).map_err(in_temporary(out))? {
            let record = record.map_err(in_temporary(out))?;
            let (key, rest) = record.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
            let [a, b, c, d, e, f, g, h] = rest.first_chunk().copied().unwrap_or_default();
            let (at, row) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
            let same = before.replace((*key, at, row)).filter(|(before, ..)| before == key);
            if let Some((_, at, row)) = same {
                replaced += 1;
                self.left_out.get_mut(at as usize).map(|left_out| left_out.insert(row));
            }
        }
        Ok(replaced)
    }

    /// Hands the rows of one input to the writer, in the order of their positions.
    fn copy(&mut self, at: usize, writer: &mut ShardWriter) -> Result<(), MergeError> {
        let (Some(shard), Some(left_out)) = (self.shards.get(at), self.left_out.get(at)) else { return Ok(()) };
        let columns = shard.columns()?;
        let mut sorter = Sorter::<8>::new();
        for row in (0..shard.rows()).filter(|row| !left_out.contains(*row)) {
            let position = columns.position(row).unwrap_or_default();
            let record = (u64::from(position) << 32 | u64::from(row)).to_be_bytes();
            sorter.push(record, &mut self.scratch).map_err(in_temporary(self.out))?;
        }
        let mut details = DetailsCache { shard, block: None, rows: Vec::new() };
        for record in sorter.into_sorted(&self.scratch).map_err(in_temporary(self.out))? {
            let [.., a, b, c, d] = record.map_err(in_temporary(self.out))?;
            copy_row(shard, u32::from_be_bytes([a, b, c, d]), &mut details, writer)?;
        }
        Ok(())
    }
}

/// Hands one row to the writer.
fn copy_row(
    shard: &Shard,
    row: u32,
    details: &mut DetailsCache<'_>,
    writer: &mut ShardWriter,
) -> Result<(), MergeError> {
    let missing = |kind: Kind| shard.damaged(kind, Some(row), Fault::new("row", "one of the section's", row));
    let columns = shard.columns()?.get(row).ok_or_else(|| missing(Kind::Columns))?;
    let source = shard.sources()?.get(columns.source);
    let source = source.map_err(|fault| shard.damaged(Kind::Sources, Some(row), fault))?;
    let (name, place) = details.get(row)?.ok_or_else(|| missing(Kind::Details))?;
    let vector = shard.vectors()?.get(row).ok_or_else(|| missing(Kind::Vectors))?;
    let row = Row { name, place, source, embedding: &[], blob: shard.blob(row)? };
    writer.push_stored(&row, vector)?;
    Ok(())
}

/// Hands the name of each row to `visit`.
fn each_name(shard: &Shard, mut visit: impl FnMut(u32, &str) -> Result<(), MergeError>) -> Result<(), MergeError> {
    let section = shard.details()?;
    for block in 0..details::blocks(shard.rows()) {
        let mut outcome = Ok(());
        let read = section.for_each(block, |row, detail| {
            let name = detail.name()?;
            if outcome.is_ok() {
                outcome = visit(row, name);
            }
            Ok(())
        });
        read.map_err(|fault| shard.damaged(Kind::Details, None, fault))?;
        outcome?;
    }
    Ok(())
}

/// Names and places of the block that was looked into last: rows of one track follow each other.
struct DetailsCache<'a> {
    shard: &'a Shard,
    block: Option<u32>,
    rows: Vec<(String, Place)>,
}

impl DetailsCache<'_> {
    fn get(&mut self, row: u32) -> Result<Option<(&str, &Place)>, MergeError> {
        let (shard, block) = (self.shard, row / BLOCK_ROWS);
        if self.block != Some(block) {
            (self.block, self.rows) = (Some(block), Vec::new());
            let columns = shard.columns()?;
            let read = shard.details()?.for_each(block, |row, detail| {
                let columns = columns.get(row).ok_or_else(|| Fault::new("row", "one of the columns'", row))?;
                let captured_at_ms = Some(columns.captured_ms).filter(|time| *time != NO_TIME);
                let place = detail.place(columns.lat, columns.lon, captured_at_ms)?;
                self.rows.push((detail.name()?.to_owned(), place));
                Ok(())
            });
            read.map_err(|fault| shard.damaged(Kind::Details, None, fault))?;
        }
        let found = self.rows.get((row % BLOCK_ROWS) as usize);
        Ok(found.map(|(name, place)| (name.as_str(), place)))
    }
}

fn in_temporary(out: &Path) -> impl FnOnce(io::Error) -> MergeError {
    let path = out.to_path_buf();
    move |error| MergeError::Io { path, error }
}
