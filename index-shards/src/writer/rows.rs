//! First pass over the rows, in their order: the vectors go into the shard, and what is needed of all of them is taken.
//! The rest of each row goes into the scratch file, in row order, for the passes after it.

use super::order::Rows;
use super::reader::Reader;
use super::record::Told;
use super::scratch::Scratch;
use super::spool::{Kind as SpoolKind, Spool};
use crate::clusters::StoredRows;
use crate::disk::DiskFile;
use crate::place::to_units;
use crate::region::{Bounds, Extent};
use crate::sections::writer::{Appender, SectionWriter};
use crate::sections::{Entry, Kind, vectors};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

/// Bytes of the vectors in the sample, at most.
const SAMPLE_BYTES: usize = 64 << 20;
/// Bytes of a kept row before what was told of it: its own length, position, source, place and length of its blob.
const KEPT_BYTES: usize = 4 + 4 + 2 + 8 + 4;

/// Vectors that were taken at even distances from all rows, in row order.
#[derive(Debug, Default)]
pub(super) struct Sample {
    scales: Vec<f32>,
    bytes: Vec<u8>,
}

impl Sample {
    pub(super) fn stored(&self, dimensions: usize) -> StoredRows<'_> {
        StoredRows { scales: &self.scales, bytes: &self.bytes, dimensions }
    }
}

/// What the pass took.
#[derive(Debug)]
pub(super) struct Taken {
    /// The section of vectors.
    pub(super) vectors: Entry,
    /// The mean of all vectors.
    pub(super) mean: Vec<f32>,
    pub(super) sample: Sample,
    pub(super) bounds: Option<Bounds>,
    /// Where in the scratch file the rest of the rows lies.
    pub(super) kept: Range<u64>,
}

/// Writes the section of vectors at `offset`. `rows` are `count` references in the order of their rows.
pub(super) fn write(
    file: &dyn DiskFile,
    offset: u64,
    (rows, count, dimensions): (Rows<'_>, u32, usize),
    spool: &Spool,
    sources: &BTreeSet<String>,
    scratch: &Scratch,
) -> io::Result<Taken> {
    let mut section = SectionWriter::new(file, Kind::Vectors, offset);
    let mut keeper = Appender::new(scratch.file()?, scratch.end());
    let mut collected = Collector::new(count, dimensions);
    let codes: Vec<&String> = sources.iter().collect();
    let (mut entry, mut record) = (Vec::new(), Vec::new());
    for row in rows {
        let row = row?;
        spool.read(SpoolKind::Row, row.offset, row.bytes, &mut entry)?;
        let told = Told::decode(&entry, dimensions).map_err(io::Error::other)?;
        let (scale, bytes) = told.vector;
        vectors::encode(scale, bytes, &mut record);
        section.write(&record)?;
        collected.add(&told);
        let source = told.source.map_or(0, |source| codes.partition_point(|code| code.as_str() <= source));
        let blob_at = row.offset + u64::from(row.bytes) - told.blob.len() as u64;
        keep(&told, row.position, source, blob_at, &mut record);
        keeper.write(&record)?;
    }
    keeper.flush()?;
    let kept = scratch.end()..keeper.position();
    let (mean, sample, bounds) = collected.finish();
    Ok(Taken { vectors: section.finish()?, mean, sample, bounds, kept })
}

/// What is taken of all rows.
struct Collector {
    rows: u32,
    seen: u32,
    sums: Vec<f64>,
    sampled: u32,
    sample: Sample,
    extent: Extent,
}

impl Collector {
    fn new(rows: u32, dimensions: usize) -> Self {
        let sampled = u32::try_from(SAMPLE_BYTES / dimensions.max(1)).unwrap_or(u32::MAX).min(rows);
        Self {
            rows,
            seen: 0,
            sums: vec![0.0; dimensions],
            sampled,
            sample: Sample::default(),
            extent: Extent::default(),
        }
    }

    fn add(&mut self, told: &Told<'_>) {
        let (scale, bytes) = told.vector;
        for (sum, byte) in self.sums.iter_mut().zip(bytes) {
            *sum += f64::from(scale) * f64::from(byte.cast_signed());
        }
        // Row i of n is in a sample of s when i * s / n, in whole numbers, is not what it is for the row before.
        let share = |row: u32| u64::from(row) * u64::from(self.sampled) / u64::from(self.rows.max(1));
        if self.seen == 0 || share(self.seen) != share(self.seen - 1) {
            self.sample.scales.push(scale);
            self.sample.bytes.extend(bytes);
        }
        self.seen += 1;
        self.extent.add_lat(to_units(told.place.lat_deg));
        self.extent.add_lon(to_units(told.place.lon_deg));
    }

    fn finish(self) -> (Vec<f32>, Sample, Option<Bounds>) {
        let count = f64::from(self.seen.max(1));
        #[expect(clippy::cast_possible_truncation, reason = "the component of a mean of unit vectors, rounded to f32")]
        let mean = self.sums.iter().map(|sum| (sum / count) as f32).collect();
        (mean, self.sample, self.extent.bounds())
    }
}

/// What is kept of a row for the passes after the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) position: u32,
    /// As columns hold it.
    pub(super) source: u16,
    /// Where in the spool its blob lies, and how long it is.
    pub(super) blob: (u64, u32),
    /// Place and name; nothing else.
    pub(super) told: Told<'a>,
}

fn keep(told: &Told<'_>, position: u32, source: usize, blob_at: u64, record: &mut Vec<u8>) {
    record.clear();
    record.extend([0; 4]);
    record.extend(position.to_le_bytes());
    record.extend(u16::try_from(source).unwrap_or_default().to_le_bytes());
    record.extend(blob_at.to_le_bytes());
    record.extend(u32::try_from(told.blob.len()).unwrap_or(u32::MAX).to_le_bytes());
    Told { source: None, vector: (0.0, &[]), blob: &[], ..*told }.encode(record);
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    record.iter_mut().zip(length.to_le_bytes()).for_each(|(to, from)| *to = from);
}

/// Hands every kept row to `visit`, in row order.
pub(super) fn for_each_kept(
    scratch: &Scratch,
    kept: &Range<u64>,
    mut visit: impl FnMut(Kept<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = Reader::new(scratch.file()?, kept.start, kept.end);
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "a temporary file is not as it was written");
    while reader.offset() < kept.end {
        let length = reader.peek(0, 4)?.and_then(<[u8]>::first_chunk).map(|length| u32::from_le_bytes(*length));
        let record = reader.take(length.filter(|length| *length > 0).ok_or_else(broken)? as usize)?;
        let (fixed, told) = record.and_then(|record| record.split_at_checked(KEPT_BYTES)).ok_or_else(broken)?;
        let mut fields = crate::fields::Fields::new(fixed.get(4..).unwrap_or_default());
        let kept = Kept {
            position: fields.u32("position").map_err(io::Error::other)?,
            source: fields.array("source").map(u16::from_le_bytes).map_err(io::Error::other)?,
            blob: (fields.u64("blob").map_err(io::Error::other)?, fields.u32("blob").map_err(io::Error::other)?),
            told: Told::decode(told, 0).map_err(io::Error::other)?,
        };
        visit(kept)?;
    }
    Ok(())
}
