//! The section of details: what is asked of a row only when it was found. Compressed, in blocks of 256 rows.
//!
//! With `b` blocks:
//!
//! | offset | type | what |
//! |---|---|---|
//! | `8 i`, `i` in `0..=b` | u64 | where the frame of block `i` begins, counted from the end of this table |
//! | `8 (b + 1)` | bytes | the frames one after the other, Zstandard (RFC 8878) |
//!
//! The first offset is 0, they rise, and the last one, of no block, is where the last frame ends. What a frame holds is
//! in `frame.rs`. No two rows have the same name.
//!
//! 256 rows: with 64, 128, 256, 512, 1024 rows a frame, the poses of real flights, moved about and with other names to
//! make 100,000 of 180, took 10.9, 9.6, 8.7, 8.2, 7.8 bytes a row, and looking one up took 8, 10, 11, 24, 41 µs.

use super::Entry;
use super::frame::{BLOCK_ROWS, Block, Detail, MAX_FRAME_BYTES, unpack};
use super::stream::{SectionError, SectionStream, in_row};
use crate::fault::{Fault, expect};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// One entry of the table as it lies in the file.
type Offset = [u8; size_of::<u64>()];

/// Number of blocks.
pub(crate) fn blocks(rows: u32) -> u32 {
    rows.div_ceil(BLOCK_ROWS)
}

/// The block of a row.
pub(crate) fn block_of(row: u32) -> u32 {
    row / BLOCK_ROWS
}

/// Rows of a block.
fn rows_of(rows: u32, block: u32) -> usize {
    rows.saturating_sub(block.saturating_mul(BLOCK_ROWS)).min(BLOCK_ROWS) as usize
}

/// Bytes of the table of offsets; a shard without rows has none.
pub(crate) fn table_bytes(rows: u32) -> u64 {
    if rows == 0 { 0 } else { (u64::from(blocks(rows)) + 1) * size_of::<Offset>() as u64 }
}

/// Least and most bytes of the section.
pub(crate) fn length_range(rows: u32) -> std::ops::RangeInclusive<u64> {
    let table = table_bytes(rows);
    table..=table + u64::from(blocks(rows)) * MAX_FRAME_BYTES
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Details<'a> {
    table: &'a [Offset],
    frames: &'a [u8],
    rows: u32,
}

impl<'a> Details<'a> {
    /// `None` when the section is too short for `rows`.
    pub(crate) fn new(section: &'a [u8], rows: u32) -> Option<Self> {
        let (table, frames) = section.split_at_checked(usize::try_from(table_bytes(rows)).ok()?)?;
        Some(Self { table: table.as_chunks().0, frames, rows })
    }

    /// The frame of a block.
    pub(crate) fn frame(&self, block: u32) -> Result<&'a [u8], Fault> {
        let Some([from, to]) = self.table.get(block as usize..).and_then(<[_]>::first_chunk) else {
            return Err(Fault::new("block", format_args!("less than {}", blocks(self.rows)), block));
        };
        let (from, to) = (u64::from_le_bytes(*from), u64::from_le_bytes(*to));
        let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX);
        self.frames.get(range).ok_or_else(|| {
            let expected = format_args!("rising and at most {}", self.frames.len()).to_string();
            Fault::new("frame offsets", expected, format_args!("{from} and {to}"))
        })
    }

    /// Hands what is known of `row` to `look`.
    pub(crate) fn look<T>(&self, row: u32, look: impl FnOnce(Detail<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let (block, at) = (block_of(row), (row % BLOCK_ROWS) as usize);
        let rows = rows_of(self.rows, block);
        let missing = || Fault::new("row", format_args!("less than {}", self.rows), row);
        unpack(self.frame(block)?, |raw| look(Block::new(raw, rows)?.nth(at).ok_or_else(missing)?))
    }

    /// Hands every row of a block to `look`, with its number.
    pub(crate) fn for_each(
        &self,
        block: u32,
        mut look: impl FnMut(u32, Detail<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let rows = rows_of(self.rows, block);
        unpack(self.frame(block)?, |raw| {
            (block.saturating_mul(BLOCK_ROWS)..)
                .zip(Block::new(raw, rows)?)
                .try_for_each(|(row, detail)| look(row, detail))
        })
    }
}

/// Checks the section of `length` bytes that `stream` reads. `look` is handed every row with its number, and checks
/// what it has.
pub(crate) fn verify<R: Read>(
    stream: &mut SectionStream<R>,
    rows: u32,
    mut look: impl FnMut(u32, Detail<'_>) -> Result<(), SectionError>,
) -> Result<(), SectionError> {
    if rows == 0 {
        return Ok(());
    }
    let frames = read_table(stream, rows)?;
    let mut frame = Vec::new();
    for (block, bytes) in (0..).zip(frames) {
        frame.resize(bytes as usize, 0);
        stream.read(&mut frame)?;
        look_into(&frame, rows, block, &mut look)?;
    }
    Ok(())
}

/// Reads the section of `entry` once more, which has passed [`verify`], and hands every row with its number to `look`.
pub(crate) fn read_again(
    file: &File,
    entry: &Entry,
    rows: u32,
    mut look: impl FnMut(u32, Detail<'_>) -> Result<(), SectionError>,
) -> Result<(), SectionError> {
    let (mut ends, mut frame) = ([[0; size_of::<u64>()]; 2], Vec::new());
    for block in 0..blocks(rows) {
        file.read_exact_at(ends.as_flattened_mut(), entry.offset + u64::from(block) * size_of::<u64>() as u64)?;
        let [from, to] = ends.map(u64::from_le_bytes);
        let bytes = to.checked_sub(from).filter(|bytes| *bytes <= MAX_FRAME_BYTES).unwrap_or_default();
        frame.resize(usize::try_from(bytes).unwrap_or_default(), 0);
        file.read_exact_at(&mut frame, entry.offset.saturating_add(table_bytes(rows)).saturating_add(from))?;
        look_into(&frame, rows, block, &mut look)?;
    }
    Ok(())
}

/// Hands every row of a frame with its number to `look`.
fn look_into(
    frame: &[u8],
    rows: u32,
    block: u32,
    look: &mut dyn FnMut(u32, Detail<'_>) -> Result<(), SectionError>,
) -> Result<(), SectionError> {
    let first = block.saturating_mul(BLOCK_ROWS);
    let mut outcome = Ok(());
    unpack(frame, |raw| {
        outcome = (first..).zip(Block::new(raw, rows_of(rows, block))?).try_for_each(|(row, detail)| look(row, detail));
        Ok(())
    })
    .map_err(in_row(first))?;
    outcome
}

/// The lengths of the frames, bytes: 4 bytes for 256 rows.
fn read_table<R: Read>(stream: &mut SectionStream<R>, rows: u32) -> Result<Vec<u32>, SectionError> {
    let mut lengths = Vec::new();
    let mut end = 0;
    stream.records(u64::from(blocks(rows)) + 1, |position, offset: &Offset| {
        let next = u64::from_le_bytes(*offset);
        let allowed: Range<u64> = if position == 0 { 0..1 } else { end + 1..end + MAX_FRAME_BYTES + 1 };
        expect(allowed.contains(&next), "frame offsets", format_args!("in {allowed:?}"), next)?;
        if position > 0 {
            lengths.extend(u32::try_from(next - end));
        }
        end = next;
        Ok(())
    })?;
    expect(end == stream.left(), "frame offsets", format_args!("{} last", stream.left()), end)?;
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::super::frame::BlockWriter;
    use super::*;
    use crate::place::{Footprint, Place};

    fn place(alt_m: Option<f32>, footprint: Option<Footprint>) -> Place {
        Place { alt_m, footprint, ..Place::at(52.5, -179.999) }
    }

    fn sample() -> (Vec<(Place, String)>, Vec<u8>) {
        let footprint = Footprint { north_deg: 52.6, west_deg: 179.9, south_deg: 52.4, east_deg: -179.9 };
        let rows: Vec<_> = (0..5)
            .map(|row| {
                let place = place((row % 2 == 0).then_some(-1.5 * row as f32), (row > 2).then_some(footprint));
                (Place { heading_deg: (row == 4).then_some(360.0), ..place }, format!("süd {row}.jpg"))
            })
            .collect();
        let mut writer = BlockWriter::new().unwrap();
        for (place, name) in &rows {
            assert!(!writer.push(place, name));
        }
        let frame = writer.take().unwrap();
        assert!(writer.is_empty());
        let section = [0, frame.len() as u64].into_iter().flat_map(u64::to_le_bytes).chain(frame).collect();
        (rows, section)
    }

    #[test]
    fn rows_come_back() {
        let (rows, section) = sample();
        let details = Details::new(&section, 5).unwrap();
        for ((place, name), row) in rows.iter().zip(0..) {
            details
                .look(row, |found| {
                    assert_eq!(found.name().unwrap(), name);
                    assert_eq!(found.place(525_000_000, -1_799_990_000, None).unwrap(), *place);
                    Ok(())
                })
                .unwrap();
        }
        let mut seen = 0;
        details
            .for_each(0, |row, _| {
                seen += row;
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, 10);
        assert!(details.look(5, |_| Ok(())).is_err() && details.look(u32::MAX, |_| Ok(())).is_err());
        assert!(details.frame(1).is_err());
    }

    #[test]
    fn hostile_frames_are_faults() {
        let (_, section) = sample();
        for at in 0..section.len() {
            for bit in 0..8 {
                let mut section = section.clone();
                section[at] ^= 1 << bit;
                let details = Details::new(&section, 5).unwrap();
                (0..5).for_each(|row| drop(details.look(row, |found| found.name().map(String::from))));
            }
        }
    }
}
