//! Writing a shard.

mod codes;
mod finish;
mod leftovers;
mod order;
mod paths;
mod places;
mod plan;
mod reader;
mod record;
mod rows;
mod scratch;
mod seen;
mod sorter;
mod spool;
mod unique;

use crate::clusters::LayoutChoice;
use crate::description::ShardDescription;
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::error::WriteError;
use crate::fault::{Fault, expect};
use crate::header::{MAX_ROWS, check_description_length};
use crate::place::Place;
use crate::rotation::Rotation;
use crate::row::quantize;
use crate::sections::removed::MAX_SHARDS_REMOVED_FROM;
use crate::sections::{blobs, frame, sources, vectors};
use leftovers::Leftovers;
use paths::Paths;
use plan::Plan;
use record::Told;
pub(crate) use scratch::Scratch;
use seen::Seen;
use sha2::{Digest as _, Sha256};
pub(crate) use sorter::Sorter;
use spool::{Kind, Spool};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub(crate) use unique::{NameKey, key as name_key};

/// Longest part of a name that an error shows, in characters.
const SHOWN_NAME_CHARS: usize = 100;
/// Longest note on something skipped that is kept, in characters.
const MAX_NOTE_CHARS: usize = 1000;

/// A shard that has been written or verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSummary {
    /// Where it is.
    pub path: PathBuf,
    /// Number of references.
    pub rows: usize,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// What stands for all of its content: 64 hexadecimal digits.
    pub digest: String,
}

/// One reference, for [`ShardWriter::push`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its name: 1 to [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) bytes, no control characters, unique in the shard.
    pub name: &'a str,
    /// Where it was taken.
    pub place: &'a Place,
    /// What it comes from, so that a search can ask for it: 1 to [`MAX_SOURCE_BYTES`](crate::MAX_SOURCE_BYTES) bytes,
    /// no control characters; at most [`MAX_SOURCES`](crate::MAX_SOURCES) different ones in a shard.
    pub source: Option<&'a str>,
    /// Its embedding: as many components as the description says, finite, of unit length within
    /// [`UNIT_TOLERANCE`](crate::UNIT_TOLERANCE).
    pub embedding: &'a [f32],
    /// Its blob, at most [`MAX_BLOB_BYTES`](crate::MAX_BLOB_BYTES), where the description says what blobs are. One of
    /// no bytes is none.
    pub blob: Option<&'a [u8]>,
}

/// How a shard is written.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// How the codes are laid out.
    pub layout: LayoutChoice,
    /// How many threads work when the shard is finished; at least 1. The bytes of the shard do not depend on it.
    pub threads: usize,
    /// What stands for the inputs, the digest of a list of them for example. With it the build can be resumed: a writer
    /// of the same plan and description goes on where one that was killed or dropped stood. Without, it begins anew.
    pub plan: Option<String>,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { layout: LayoutChoice::Auto, threads: 1, plan: None, disk: Arc::new(RealDisk) }
    }
}

/// What a writer had been told before it was resumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resumed {
    /// Number of inputs: references that were taken in, and what was skipped. The next input is the one after them.
    pub inputs: u64,
    /// The notes on what was skipped.
    pub notes: Vec<String>,
}

/// Writes one shard. What it is told goes to a spool beside the output (`.<name>.building`) at once;
/// [`finish`](Self::finish) puts the rows in order, makes the codes, and lets the file appear under its name in one
/// step. Memory does not grow with the number of rows, but for 4 bytes for each row of the largest list, about 24 of
/// each removed row, and the names of the sources; some 140 MiB of sample and buffers at 768 dimensions.
///
/// A writer that is dropped without a [plan](WriterOptions::plan) leaves nothing behind; with one it leaves the spool,
/// and so does one that is killed. While there is a writer for an output, nobody else can begin one. The same calls
/// write the same bytes, whatever the number of threads, and also when the build was resumed in between.
#[derive(Debug)]
pub struct ShardWriter {
    // Dropped before the spool, which is claimed until it is closed.
    leftovers: Leftovers,
    description: ShardDescription,
    layout: LayoutChoice,
    threads: usize,
    seed: u64,
    rotation: Rotation,
    spool: Spool,
    told: Seen,
    resumed: Resumed,
    /// The row that is being taken in, rotated, and as bytes.
    rotated: Vec<f32>,
    quantized: Vec<i8>,
    /// Whether a write failed: what is in the spool then is not known.
    failed: bool,
}

/// What makes the rotation of a space: the same for all of its shards, so that they can be merged as they are stored.
pub(crate) fn seed(space: &str) -> u64 {
    let digest: [u8; 32] = Sha256::new_with_prefix(b"geoshard rotation\n").chain_update(space).finalize().into();
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl ShardWriter {
    /// Begins a shard that will be at `out`, or goes on with one (see [`WriterOptions::plan`]); what is there now stays
    /// until [`finish`](Self::finish) replaces it. A resumed build keeps the time of making that it began with.
    ///
    /// # Errors
    /// An impossible or too long description; `out` is a folder; its folder does not exist or cannot be written to;
    /// somebody else is writing the same shard.
    pub fn create(out: &Path, description: ShardDescription, options: WriterOptions) -> Result<Self, WriteError> {
        let seed = seed(&description.space);
        Self::create_with_seed(out, description, options, seed)
    }

    /// The same with a rotation of one's own, for merging shards that have it.
    pub(crate) fn create_with_seed(
        out: &Path,
        mut description: ShardDescription,
        options: WriterOptions,
        seed: u64,
    ) -> Result<Self, WriteError> {
        let WriterOptions { layout, threads, plan, disk } = options;
        let impossible = |fault| WriteError::Description { path: out.into(), fault };
        check_description(&description).map_err(impossible)?;
        let paths = Paths::new(out).filter(|_| !out.is_dir());
        let paths = paths.ok_or_else(|| WriteError::NotAFile { path: out.into() })?;
        let (leftovers, file) = claim(paths, disk, plan.is_some())?;
        let mut told = Seen::new(Scratch::new(Arc::clone(&leftovers.disk), leftovers.paths.sorting.clone()));
        let (dimensions, mut notes) = (description.dimensions, Vec::new());
        let mut visit = |kind, offset, content: &[u8]| {
            notes.extend(told.resume(kind, offset, content, dimensions)?);
            Ok(())
        };
        let begun = Plan { seed, plan: plan.as_deref(), description: &description };
        let (spool, made_at_ms) = open_spool(out, file, &begun, &mut visit)?;
        if leftovers.keep_spool {
            // So that the spool's name is there after a loss of power, when what was synced of it is.
            leftovers.disk.sync_folder(leftovers.paths.folder()).map_err(refused(out, "sync the folder"))?;
        }
        description.created_at_ms = made_at_ms.unwrap_or(description.created_at_ms);
        Ok(Self {
            leftovers,
            description,
            layout,
            threads: threads.max(1),
            seed,
            rotation: Rotation::new(dimensions, seed),
            spool,
            resumed: Resumed { inputs: told.inputs.into(), notes },
            told,
            rotated: vec![0.0; dimensions],
            quantized: vec![0; dimensions],
            failed: false,
        })
    }

    /// What was told before, if this build was resumed.
    pub fn resumed(&self) -> &Resumed {
        &self.resumed
    }

    /// Takes in a reference and returns its position: how many inputs, references and what was
    /// [skipped](Self::skip), came before it.
    ///
    /// # Errors
    /// A refused row names the reference and the field; the writer goes on without it, and it is no input. After a
    /// failed write the writer refuses everything.
    pub fn push(&mut self, row: &Row<'_>) -> Result<u32, WriteError> {
        self.check_failed()?;
        self.check_row(row).and_then(|()| self.check_embedding(row)).map_err(|fault| self.refused_row(row, fault))?;
        self.rotated.copy_from_slice(row.embedding);
        self.rotation.rotate(&mut self.rotated);
        let mut quantized = std::mem::take(&mut self.quantized);
        let scale = quantize(&self.rotated, &mut quantized);
        let bytes: Vec<u8> = quantized.iter().map(|byte| byte.cast_unsigned()).collect();
        self.quantized = quantized;
        self.take_in(&Told::new(row, (scale, &bytes)))
    }

    /// Takes in a reference with its vector as another shard of the same rotation stores it.
    pub(crate) fn push_stored(&mut self, row: &Row<'_>, vector: (f32, &[u8])) -> Result<u32, WriteError> {
        self.check_failed()?;
        let checked = self.check_row(row).and_then(|()| {
            let wanted = self.description.dimensions;
            expect(vector.1.len() == wanted, "vector", format_args!("{wanted} bytes"), vector.1.len())?;
            vectors::check_scale(vector.0, vector.1)
        });
        checked.map_err(|fault| self.refused_row(row, fault))?;
        self.take_in(&Told::new(row, vector))
    }

    /// Says that an input has no reference, and why; its position stays empty. The note comes back when the build is
    /// resumed, its first 1000 characters.
    ///
    /// # Errors
    /// The operating system refused; then the writer refuses everything.
    pub fn skip(&mut self, note: &str) -> Result<(), WriteError> {
        self.check_failed()?;
        self.check_room()?;
        let note: String = note.chars().take(MAX_NOTE_CHARS).collect();
        self.append(Kind::Skipped, |out| out.extend(note.bytes()))?;
        self.told.inputs += 1;
        Ok(())
    }

    /// Adds tombstones: `rows` of the shard with this digest (64 hexadecimal digits) are not found any more in a set
    /// with this one. They add up, and saying the same again changes nothing; a shard of tombstones alone is allowed.
    ///
    /// # Errors
    /// Something that is no digest; more than [`MAX_SHARDS_REMOVED_FROM`] shards; the operating system refused, then
    /// the writer refuses everything.
    pub fn remove(&mut self, digest: &str, rows: &[u32]) -> Result<(), WriteError> {
        self.check_failed()?;
        let impossible = || Fault::new("digest", "64 hexadecimal digits", format_args!("{digest:?}"));
        let parsed: crate::digest::Digest =
            digest.parse().map_err(|()| WriteError::Description { path: self.out().into(), fault: impossible() })?;
        let known = &self.told.tombstones;
        if known.len() >= MAX_SHARDS_REMOVED_FROM && !known.contains_key(&parsed.0) {
            let expected = format_args!("of at most {MAX_SHARDS_REMOVED_FROM} shards");
            let fault = Fault::new("removed", expected, "one more");
            return Err(WriteError::Description { path: self.out().into(), fault });
        }
        // In entries of at most 4 MiB.
        for rows in rows.chunks(1 << 20) {
            self.append(Kind::Removed, |out| spool::encode_removed(&parsed.0, rows, out))?;
            self.told.tombstones.entry(parsed.0).or_default().extend(rows);
        }
        Ok(())
    }

    /// A file for sorting that goes when the writer goes.
    pub(crate) fn another_scratch(&self) -> Scratch {
        Scratch::new(Arc::clone(&self.leftovers.disk), self.leftovers.paths.merging.clone())
    }

    fn take_in(&mut self, told: &Told<'_>) -> Result<u32, WriteError> {
        self.check_room()?;
        let position = self.told.inputs;
        let place = self.append(Kind::Row, |out| told.encode(out))?;
        if let Err(error) = self.told.push(told, place) {
            self.failed = true;
            return Err(refused(self.out(), "write a temporary file beside it")(error));
        }
        Ok(position)
    }

    fn append(&mut self, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(u64, u32), WriteError> {
        self.spool.append(kind, fill).map_err(|error| {
            self.failed = true;
            refused(self.out(), "write a temporary file beside it")(error)
        })
    }

    fn out(&self) -> &Path {
        &self.leftovers.paths.out
    }

    fn check_failed(&self) -> Result<(), WriteError> {
        if self.failed { Err(WriteError::Failed { path: self.out().into() }) } else { Ok(()) }
    }

    /// Passes while there may be one more input.
    fn check_room(&self) -> Result<(), WriteError> {
        if self.told.inputs < MAX_ROWS { Ok(()) } else { Err(WriteError::Full { path: self.out().into() }) }
    }

    fn refused_row(&self, row: &Row<'_>, fault: Fault) -> WriteError {
        let name = row.name.chars().take(SHOWN_NAME_CHARS).collect();
        WriteError::Row { path: self.out().into(), name, fault }
    }

    /// Checks everything but the vector.
    fn check_row(&self, row: &Row<'_>) -> Result<(), Fault> {
        frame::check_name(row.name)?;
        if let Some(position) = self.told.names.position_of(&unique::key(row.name)) {
            return Err(Fault::new("name", "no name twice", format_args!("the name at position {position} again")));
        }
        row.place.check()?;
        if let Some(source) = row.source {
            sources::check(source)?;
            let known = &self.told.sources;
            let good = known.len() < sources::MAX_SOURCES || known.contains(source);
            expect(good, "source", format_args!("at most {} different ones", sources::MAX_SOURCES), "one more")?;
        }
        let Some(blob) = row.blob else { return Ok(()) };
        expect(self.description.blobs.is_some(), "blob", "none: the description does not say what blobs are", "one")?;
        let most = blobs::MAX_BLOB_BYTES;
        expect(blob.len() <= most, "blob", format_args!("at most {most} bytes"), blob.len())
    }

    fn check_embedding(&self, row: &Row<'_>) -> Result<(), Fault> {
        let wanted = self.description.dimensions;
        let found = format_args!("{} components", row.embedding.len()).to_string();
        expect(row.embedding.len() == wanted, "embedding", format_args!("{wanted} components"), found)?;
        vectors::check(row.embedding)
    }
}

/// Claims the spool of an output, and removes what else an earlier build left.
fn claim(paths: Paths, disk: Arc<dyn Disk>, keep_spool: bool) -> Result<(Leftovers, Box<dyn DiskFile>), WriteError> {
    let out = paths.out.clone();
    let claimed = disk.claim(&paths.building).map_err(refused(&out, "create a temporary file beside it"))?;
    let file = claimed.ok_or_else(|| WriteError::Busy { path: out.clone() })?;
    let leftovers = Leftovers { disk, paths, keep_spool };
    for leftover in [&leftovers.paths.sorting, &leftovers.paths.merging, &leftovers.paths.finishing] {
        leftovers.disk.remove(leftover).map_err(refused(&out, "remove what an earlier build left"))?;
    }
    Ok((leftovers, file))
}

/// Goes on with the spool in `file`, if it is that of the same plan, or begins anew. Returns it with the time at which
/// a shard that goes on was begun.
fn open_spool(
    out: &Path,
    file: Box<dyn DiskFile>,
    begun: &Plan<'_>,
    visit: &mut spool::Visit<'_>,
) -> Result<(Spool, Option<i64>), WriteError> {
    let mut made_at_ms = None;
    let accept = |found: &[u8]| {
        made_at_ms = begun.accepts(found);
        made_at_ms.is_some()
    };
    match Spool::resume(file, accept, visit).map_err(refused(out, "read what an earlier build left"))? {
        Ok(spool) => Ok((spool, made_at_ms)),
        Err(file) => {
            let plan = begun.encode().map_err(|fault| WriteError::Description { path: out.into(), fault })?;
            let spool = Spool::begin(file, &plan).map_err(refused(out, "write a temporary file beside it"))?;
            Ok((spool, None))
        }
    }
}

fn check_description(description: &ShardDescription) -> Result<(), Fault> {
    description.check()?;
    check_description_length(description.to_toml()?.len())
}

fn refused(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> WriteError {
    move |error| WriteError::Io { path: path.into(), action, error }
}
