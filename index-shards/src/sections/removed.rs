//! The section of tombstones: rows of other shards that are not to be found any more in a set with this one.
//!
//! One record per shard that rows are removed from, by ascending digest, at most 4096:
//!
//! | offset in the record | type | what |
//! |---|---|---|
//! | 0 | u8 × 32 | digest of that shard |
//! | 32 | u32 | number of rows, at least 1 |
//! | 36 | u32 × rows | the rows, ascending |

use super::stream::{SectionError, SectionStream};
use crate::digest::{DIGEST_BYTES, Digest};
use crate::fault::{Fault, expect};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Most shards that one removes rows from.
pub const MAX_SHARDS_REMOVED_FROM: usize = 4096;

/// Removed rows, by the digest of their shard.
pub(crate) type Tombstones = BTreeMap<[u8; DIGEST_BYTES], BTreeSet<u32>>;

/// One row as it lies in the file.
type Row = [u8; size_of::<u32>()];

/// The section's bytes.
pub(crate) fn encode(tombstones: &Tombstones) -> Vec<u8> {
    let mut section = Vec::new();
    for (digest, rows) in tombstones.iter().filter(|(_, rows)| !rows.is_empty()) {
        section.extend(digest);
        section.extend(u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes());
        section.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
    }
    section
}

/// The rows that are removed from one shard, as they are mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RemovedRows<'a> {
    pub(crate) digest: Digest,
    rows: &'a [Row],
}

impl<'a> RemovedRows<'a> {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows; ascending, unless the section is damaged.
    pub(crate) fn rows(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.rows.iter().map(|row| u32::from_le_bytes(*row))
    }

    /// Whether `row` is among them.
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.rows.binary_search_by_key(&row, |row| u32::from_le_bytes(*row)).is_ok()
    }
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removed<'a> {
    rest: &'a [u8],
}

impl<'a> Removed<'a> {
    pub(crate) fn new(section: &'a [u8]) -> Self {
        Self { rest: section }
    }

    /// What is removed from the shard of this digest; `None` when nothing is.
    pub(crate) fn of(&self, digest: Digest) -> Option<RemovedRows<'a>> {
        self.records().map_while(Result::ok).find(|record| record.digest == digest)
    }

    /// All records; ends after a fault.
    pub(crate) fn records(&self) -> impl Iterator<Item = Result<RemovedRows<'a>, Fault>> + use<'a> {
        let (mut rest, mut count) = (self.rest, 0);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let next = check_count(count).and_then(|()| split(rest));
            count += 1;
            rest = next.as_ref().map_or(&[], |(_, after)| after);
            Some(next.map(|(record, _)| record))
        })
    }
}

/// Passes when there may be a record after so many.
fn check_count(count: usize) -> Result<(), Fault> {
    let expected = format_args!("at most {MAX_SHARDS_REMOVED_FROM} shards");
    expect(count < MAX_SHARDS_REMOVED_FROM, "removed", expected, "one more")
}

/// The first record and what is behind it.
fn split(rest: &[u8]) -> Result<(RemovedRows<'_>, &[u8]), Fault> {
    let short = || Fault::new("length", "whole records", format_args!("{} bytes left", rest.len()));
    let (digest, rows) = rest.split_first_chunk().ok_or_else(short)?;
    let (count, rows) = rows.split_first_chunk().ok_or_else(short)?;
    let bytes = (u32::from_le_bytes(*count) as usize).checked_mul(size_of::<Row>()).ok_or_else(short)?;
    let (rows, rest) = rows.split_at_checked(bytes).ok_or_else(short)?;
    Ok((RemovedRows { digest: Digest(*digest), rows: rows.as_chunks().0 }, rest))
}

/// Checks the section that `stream` reads.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>) -> Result<(), SectionError> {
    let mut before: Option<[u8; DIGEST_BYTES]> = None;
    let mut count = 0;
    while stream.left() > 0 {
        check_count(count)?;
        count += 1;
        let mut digest = [0; DIGEST_BYTES];
        stream.read(&mut digest)?;
        let found = Digest(digest);
        let rising = before.is_none_or(|before| before < digest);
        expect(rising, "digest of a shard", "ascending", found)?;
        before = Some(digest);
        let mut rows = [0; size_of::<u32>()];
        stream.read(&mut rows)?;
        let rows = u32::from_le_bytes(rows);
        let good = rows > 0 && u64::from(rows) * size_of::<Row>() as u64 <= stream.left();
        expect(good, "rows", format_args!("1 to {}", stream.left() / size_of::<Row>() as u64), rows)?;
        let mut last = None;
        stream.records(u64::from(rows), |_, row: &Row| {
            let row = u32::from_le_bytes(*row);
            expect(last.is_none_or(|last| last < row), "removed row", "ascending", row)?;
            last = Some(row);
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let tombstones: Tombstones =
            [([7; 32], [9, 0, 4].into()), ([1; 32], [u32::MAX].into()), ([3; 32], BTreeSet::new())].into();
        encode(&tombstones)
    }

    #[test]
    fn rows_come_back_by_digest() {
        let section = sample();
        let removed = Removed::new(&section);
        let found: Vec<(u8, Vec<u32>)> =
            removed.records().map(Result::unwrap).map(|record| (record.digest.0[0], record.rows().collect())).collect();
        assert_eq!(found, [(1, vec![u32::MAX]), (7, vec![0, 4, 9])]);
        let seven = removed.of(Digest([7; 32])).unwrap();
        assert_eq!((seven.len(), seven.contains(4), seven.contains(5)), (3, true, false));
        assert!(removed.of(Digest([3; 32])).is_none());
    }

    #[test]
    fn so_many_shards_and_no_more() {
        let section: Vec<u8> = (0..=MAX_SHARDS_REMOVED_FROM)
            .flat_map(|at| [&at.to_be_bytes()[..], &[0; 24], &1_u32.to_le_bytes(), &[9, 0, 0, 0]].concat())
            .collect();
        let records = |bytes: usize| Removed::new(&section[..bytes]).records().collect::<Vec<_>>();
        let all = records(section.len());
        assert_eq!(all.iter().filter(|record| record.is_ok()).count(), MAX_SHARDS_REMOVED_FROM);
        assert!(all.last().unwrap().is_err());
        assert!(records(section.len() - 40).iter().all(Result::is_ok));
    }

    #[test]
    fn cut_records_are_faults() {
        let section = sample();
        for length in 1..section.len() {
            let records: Vec<_> = Removed::new(&section[..length]).records().collect();
            assert_eq!(records.iter().all(Result::is_ok), length == 40, "{length} bytes");
        }
        assert!(Removed::new(&[255; 80]).of(Digest([255; 32])).is_none());
    }
}
