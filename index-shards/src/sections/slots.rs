//! The section of slots: which row's code is where. Only list shards have it; in a flat shard slot and row are one.
//!
//! | offset | type | what |
//! |---|---|---|
//! | `4 * slot` | u32 | the row; 2^32 - 1 in a slot without one |
//!
//! Every row has one slot. The slots of a list come first in its blocks, by ascending row.

use super::centroids::NO_ROW;
use super::stream::{SectionError, SectionStream};
use crate::distinct::Distinct;
use crate::fault::{Fault, expect};
use std::io::Read;

/// One slot as it lies in the file.
type Slot = [u8; size_of::<u32>()];

/// Bytes of the section.
pub(crate) fn length(slots: u32, lists: bool) -> u64 {
    if lists { u64::from(slots) * size_of::<Slot>() as u64 } else { 0 }
}

/// The section as it is mapped, or what stands for it in a flat shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots<'a> {
    rows: u32,
    slots: Option<&'a [Slot]>,
}

impl<'a> Slots<'a> {
    /// Of a shard of `rows`. `section` is `None` for a flat one.
    pub(crate) fn new(section: Option<&'a [u8]>, rows: u32) -> Self {
        Self { rows, slots: section.map(|section| section.as_chunks().0) }
    }

    /// The row of a slot, less than the shard's number of rows; `None` for a slot without one or a damaged one.
    pub(crate) fn row(&self, slot: u32) -> Option<u32> {
        let row = match self.slots {
            Some(slots) => u32::from_le_bytes(*slots.get(usize::try_from(slot).ok()?)?),
            None => slot,
        };
        (row < self.rows).then_some(row)
    }
}

/// Checks the section that `stream` reads: `filled` says of each block how many of its slots have rows. Which of the
/// rows were seen goes into `seen`.
pub(crate) fn verify<R: Read>(
    stream: &mut SectionStream<R>,
    rows: u32,
    filled: impl Iterator<Item = usize>,
    seen: &mut Distinct,
) -> Result<(), SectionError> {
    for (filled, block) in filled.zip(0_u64..) {
        let mut before = None;
        stream.records(crate::layers::BLOCK_SLOTS as u64, |slot, row: &Slot| {
            let row = u32::from_le_bytes(*row);
            if slot >= filled as u64 {
                return Ok(expect(row == NO_ROW, "row of a slot without one", NO_ROW, row)?);
            }
            let place = || format!("{row} in slot {slot} of block {block}");
            let good = row < rows && before.is_none_or(|before| before < row);
            expect(good, "row of a slot", format_args!("rising, less than {rows}"), place())?;
            before = Some(row);
            Ok(seen
                .insert(row)
                .map_err(|row| Fault::new("row of a slot", "no row twice", format_args!("{row} again")))?)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_slots_are_rows() {
        let slots = Slots::new(None, 3);
        assert_eq!([0, 2, 3, u32::MAX].map(|slot| slots.row(slot)), [Some(0), Some(2), None, None]);
    }

    #[test]
    fn list_slots_are_looked_up_and_unproven() {
        let section: Vec<u8> = [2_u32, NO_ROW, 3].iter().flat_map(|row| row.to_le_bytes()).collect();
        let slots = Slots::new(Some(&section), 3);
        assert_eq!([0, 1, 2, 3, u32::MAX].map(|slot| slots.row(slot)), [Some(2), None, None, None, None]);
    }
}
