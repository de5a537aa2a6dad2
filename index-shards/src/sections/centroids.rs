//! The section of centroids: the mean of the vectors, and what the lists lie around.
//!
//! Everything is under the shard's rotation. With `D` dimensions:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | f32 × D | mean of all vectors |
//! | `4 D` | record × centroids | below |
//!
//! A record has `20 + D` bytes, filled up with zeros to a multiple of 4:
//!
//! | offset in the record | type | what |
//! |---|---|---|
//! | 0 | u32 | first block of its list; 0 in a flat shard |
//! | 4 | u32 | rows that are nearest to it; in a list shard they are its list |
//! | 8 | u32 | medoid: the row that is nearest to the centroid; 2^32 - 1 without rows |
//! | 12 | f32 | radius: how far from the centroid its rows are |
//! | 16 | f32 | scale |
//! | 20 | i8 × D | the centroid, divided by the scale |

use super::stream::{SectionError, SectionStream};
use crate::fault::{Fault, expect};
use crate::fields::{Fields, zero};
use crate::layers::BLOCK_SLOTS;
use std::io::Read;

/// Most centroids of a shard.
pub const MAX_CENTROIDS: usize = 65_536;
/// What stands for the medoid of a centroid without rows.
pub(crate) const NO_ROW: u32 = u32::MAX;
/// Bytes of a record before the vector.
const FIXED_BYTES: usize = 20;

/// Bytes of a record.
fn stride(dimensions: usize) -> usize {
    (FIXED_BYTES + dimensions).next_multiple_of(size_of::<f32>())
}

/// Bytes of the section; nothing without rows.
pub(crate) fn length(rows: u32, dimensions: usize, centroids: u32) -> Option<u64> {
    let mean = u64::try_from(dimensions).ok()?.checked_mul(size_of::<f32>() as u64)?;
    let records = u64::from(centroids).checked_mul(u64::try_from(stride(dimensions)).ok()?)?;
    if rows == 0 { Some(0) } else { mean.checked_add(records) }
}

/// One centroid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Centroid<'a> {
    pub(crate) first_block: u32,
    pub(crate) rows: u32,
    pub(crate) medoid: u32,
    pub(crate) radius: f32,
    pub(crate) scale: f32,
    /// Signed bytes; times `scale`, the centroid.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Centroid<'a> {
    /// Appends the record to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let end = out.len() + stride(self.bytes.len());
        out.extend([self.first_block, self.rows, self.medoid].into_iter().flat_map(u32::to_le_bytes));
        out.extend([self.radius, self.scale].into_iter().flat_map(f32::to_le_bytes));
        out.extend(self.bytes);
        out.resize(end, 0);
    }

    fn decode(record: &'a [u8], dimensions: usize) -> Result<Self, Fault> {
        let mut fields = Fields::new(record);
        Ok(Self {
            first_block: fields.u32("first block")?,
            rows: fields.u32("rows")?,
            medoid: fields.u32("medoid")?,
            radius: fields.f32("radius")?,
            scale: fields.f32("scale")?,
            bytes: fields.bytes("centroid", dimensions)?,
        })
    }

    /// Checks what does not depend on the other centroids, in a shard of `rows` rows.
    fn check(&self, rows: u32) -> Result<(), Fault> {
        let size = |value: f32| value.is_finite() && value >= 0.0;
        expect(size(self.radius), "radius", "a finite number, not negative", self.radius)?;
        expect(size(self.scale), "scale", "a finite number, not negative", self.scale)?;
        let good = if self.rows == 0 { self.medoid == NO_ROW } else { self.medoid < rows };
        expect(good, "medoid", format_args!("less than {rows}, or {NO_ROW} without rows"), self.medoid)
    }

    /// Blocks that its rows take.
    pub(crate) fn blocks(&self) -> u32 {
        self.rows.div_ceil(BLOCK_SLOTS as u32)
    }
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Centroids<'a> {
    mean: &'a [u8],
    records: &'a [u8],
    dimensions: usize,
    count: usize,
}

impl<'a> Centroids<'a> {
    /// `None` when the section is too short for `count` centroids; the section of a shard without rows has none.
    pub(crate) fn new(section: &'a [u8], dimensions: usize, count: u32) -> Option<Self> {
        let count = usize::try_from(count).ok()?;
        if section.is_empty() && count == 0 {
            return Some(Self { mean: section, records: section, dimensions, count });
        }
        let (mean, records) = section.split_at_checked(dimensions.checked_mul(size_of::<f32>())?)?;
        let records = records.get(..count.checked_mul(stride(dimensions))?)?;
        Some(Self { mean, records, dimensions, count })
    }

    /// The mean of all vectors; components that are not finite are damaged, and come as 0.
    pub(crate) fn mean(&self) -> Vec<f32> {
        let components = self.mean.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let sane = components.map(|component| if component.is_finite() { component } else { 0.0 });
        let mut mean: Vec<f32> = sane.collect();
        mean.resize(self.dimensions, 0.0);
        mean
    }

    /// Centroid `at`, unchecked; `None` beyond the last.
    pub(crate) fn get(&self, at: usize) -> Option<Centroid<'a>> {
        let start = at.checked_mul(stride(self.dimensions))?;
        Centroid::decode(self.records.get(start..)?, self.dimensions).ok()
    }

    /// All centroids, unchecked.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Centroid<'a>> + use<'a> {
        let (this, count) = (*self, self.count);
        (0..count).map_while(move |at| this.get(at))
    }
}

/// What the header says that the section has to agree with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) rows: u32,
    pub(crate) dimensions: usize,
    pub(crate) centroids: u32,
    pub(crate) lists: bool,
    pub(crate) slots: u32,
}

/// Checks every record of the section that `stream` reads, that all rows belong to a centroid, and that the lists
/// follow each other without gaps. Returns how many rows each centroid has.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, expected: &Expected) -> Result<Vec<u32>, SectionError> {
    let mut rows_of = Vec::new();
    if expected.rows == 0 {
        return Ok(rows_of);
    }
    stream.records(expected.dimensions as u64, |_, component: &[u8; 4]| {
        let component = f32::from_le_bytes(*component);
        let good = component.is_finite() && component.abs() <= 2.0;
        Ok(expect(good, "mean", "components of a mean of unit vectors", component)?)
    })?;
    let mut record = vec![0; stride(expected.dimensions)];
    let (mut rows, mut blocks) = (0_u64, 0_u64);
    for _ in 0..expected.centroids {
        stream.read(&mut record)?;
        let centroid = Centroid::decode(&record, expected.dimensions)?;
        centroid.check(expected.rows)?;
        zero("padding", record.get(FIXED_BYTES + expected.dimensions..).unwrap_or_default())?;
        let first = if expected.lists { blocks } else { 0 };
        expect(u64::from(centroid.first_block) == first, "first block", first, centroid.first_block)?;
        rows += u64::from(centroid.rows);
        rows_of.push(centroid.rows);
        blocks += u64::from(centroid.blocks());
    }
    if expected.centroids > 0 {
        expect(rows == u64::from(expected.rows), "rows of all centroids", expected.rows, rows)?;
    }
    if expected.lists {
        let found = blocks * BLOCK_SLOTS as u64;
        expect(found == u64::from(expected.slots), "slots of all lists", expected.slots, found)?;
    }
    Ok(rows_of)
}

/// How many slots of each block have rows, block by block: in a flat shard of `rows`, or by its lists.
pub(crate) fn filled(rows_of_lists: impl Iterator<Item = u32>) -> impl Iterator<Item = usize> {
    rows_of_lists.flat_map(|rows| {
        let blocks = rows.div_ceil(BLOCK_SLOTS as u32) as usize;
        (0..blocks).map(move |block| (rows as usize - block * BLOCK_SLOTS).min(BLOCK_SLOTS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut section: Vec<u8> = [0.5_f32, f32::NAN, -0.25].iter().flat_map(|mean| mean.to_le_bytes()).collect();
        for rows in [65, 0] {
            let (first_block, medoid) = if rows > 0 { (0, 7) } else { (2, NO_ROW) };
            let centroid = Centroid { first_block, rows, medoid, radius: 0.5, scale: 0.25, bytes: &[1, 2, 255] };
            centroid.encode(&mut section);
        }
        section
    }

    #[test]
    fn records_come_back() {
        let section = sample();
        assert_eq!(length(9, 3, 2), Some(section.len() as u64));
        let centroids = Centroids::new(&section, 3, 2).unwrap();
        assert_eq!(centroids.mean(), [0.5, 0.0, -0.25]);
        let found: Vec<_> = centroids.iter().collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].rows, found[0].medoid, found[0].blocks(), found[1].first_block), (65, 7, 2, 2));
        assert_eq!((found[1].scale, found[1].bytes), (0.25, [1, 2, 255].as_slice()));
        assert!(centroids.get(2).is_none() && centroids.get(usize::MAX).is_none());
    }

    #[test]
    fn short_sections_are_refused() {
        let section = sample();
        assert!(Centroids::new(&section[..section.len() - 1], 3, 2).is_none());
        assert!(Centroids::new(&[], 3, 2).is_none());
        assert_eq!(Centroids::new(&[], 3, 0).unwrap().mean(), [0.0; 3]);
    }

    #[test]
    fn blocks_are_filled_list_by_list() {
        assert_eq!(filled([65, 0, 64, 3].into_iter()).collect::<Vec<_>>(), [64, 1, 64, 3]);
    }
}
