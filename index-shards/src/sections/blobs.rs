//! The section of blobs: bytes of a row that mean nothing here (a thumbnail, another program's tokens). What they are,
//! and what made them, the description says.
//!
//! Nothing in a shard whose description has no blobs. Else, with `n` rows:
//!
//! | offset | type | what |
//! |---|---|---|
//! | `8 i`, `i` in `0..=n` | u64 | where the blob of row `i` begins, counted from the end of this table |
//! | `8 (n + 1)` | bytes | the blobs one after the other |
//!
//! The first offset is 0, none is less than the one before, and the last one, of no row, is where the last blob ends. A
//! row without a blob has one of no bytes.

use super::stream::{SectionError, SectionStream, in_row};
use crate::fault::{Fault, expect};
use std::io::Read;
use std::ops::RangeInclusive;

/// Largest blob, bytes.
pub const MAX_BLOB_BYTES: usize = 16 << 20;
/// One entry of the table as it lies in the file.
type Offset = [u8; size_of::<u64>()];

/// Bytes of the table of offsets.
pub(crate) fn table_bytes(rows: u32) -> u64 {
    (u64::from(rows) + 1) * size_of::<Offset>() as u64
}

/// Least and most bytes of the section.
pub(crate) fn length_range(rows: u32, there: bool) -> RangeInclusive<u64> {
    let table = table_bytes(rows);
    if there { table..=table + u64::from(rows) * MAX_BLOB_BYTES as u64 } else { 0..=0 }
}

/// Where the blob of `row` lies in the section; `None` without one.
///
/// # Errors
/// No such row, or offsets that do not rise or leave the section.
pub(crate) fn find(section: &[u8], rows: u32, row: u32) -> Result<Option<std::ops::Range<u64>>, Fault> {
    let table = section.as_chunks::<{ size_of::<Offset>() }>().0;
    let Some([from, to]) = table.get(row as usize..).and_then(<[_]>::first_chunk).filter(|_| row < rows) else {
        return Err(Fault::new("row", format_args!("less than {rows}"), row));
    };
    let (from, to) = (u64::from_le_bytes(*from), u64::from_le_bytes(*to));
    let room = (section.len() as u64).saturating_sub(table_bytes(rows));
    let good = from <= to && to <= room && to - from <= MAX_BLOB_BYTES as u64;
    let expected = format_args!("rising, at most {MAX_BLOB_BYTES} each and {room} in all");
    expect(good, "blob offsets", expected, format_args!("{from} and {to}"))?;
    let table = table_bytes(rows);
    Ok((from < to).then_some(table + from..table + to))
}

/// The blob of `row`; `None` without one.
pub(crate) fn get(section: &[u8], rows: u32, row: u32) -> Result<Option<&[u8]>, Fault> {
    let range = find(section, rows, row)?;
    let bytes =
        range.and_then(|range| section.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?));
    Ok(bytes)
}

/// Checks the offsets of the section of `length` bytes that `stream` reads.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, rows: u32, length: u64) -> Result<(), SectionError> {
    if length == 0 {
        return Ok(());
    }
    let mut end = 0;
    stream.records(u64::from(rows) + 1, |position, offset: &Offset| {
        let next = u64::from_le_bytes(*offset);
        let most = if position == 0 { 0 } else { end + MAX_BLOB_BYTES as u64 };
        let good = (end..=most).contains(&next);
        expect(good, "blob offsets", format_args!("{end} to {most}"), next)
            .map_err(in_row(position.saturating_sub(1)))?;
        end = next;
        Ok(())
    })?;
    expect(end == stream.left(), "blob offsets", format_args!("{} last", stream.left()), end)?;
    stream.skip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(offsets: &[u64], blobs: &[u8]) -> Vec<u8> {
        offsets.iter().flat_map(|offset| offset.to_le_bytes()).chain(blobs.iter().copied()).collect()
    }

    #[test]
    fn blobs_are_found_by_row() {
        let section = section(&[0, 2, 2, 5], b"abcde");
        let found: Vec<_> = (0..3).map(|row| get(&section, 3, row).unwrap()).collect();
        assert_eq!(found, [Some(b"ab".as_slice()), None, Some(b"cde".as_slice())]);
        assert!(get(&section, 3, 3).is_err() && get(&section, 3, u32::MAX).is_err());
    }

    #[test]
    fn damaged_offsets_are_refused() {
        for (offsets, row) in [([0, 6], 0), ([3, 2], 0), ([0, u64::MAX], 0), ([u64::MAX, u64::MAX], 0)] {
            assert!(get(&section(&offsets, b"abcde"), 1, row).is_err(), "{offsets:?}");
        }
        assert!(get(&[], 1, 0).is_err());
    }
}
