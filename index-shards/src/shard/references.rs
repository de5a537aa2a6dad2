//! What a shard says of its rows: names, places, sources.

use super::Shard;
use crate::error::ReadError;
use crate::fault::Fault;
use crate::place::Place;
use crate::reference::Reference;
use crate::sections::Kind;
use crate::sections::columns::{Columned as Known, NO_TIME};
use crate::sections::details::{block_of, blocks};
use crate::sections::frame::Detail;
use std::collections::BTreeMap;

/// What is packed of a row.
struct Unpacked {
    row: u32,
    known: Known,
    name: String,
    place: Place,
}

impl Unpacked {
    fn of(row: u32, known: Known, detail: Detail<'_>) -> Result<Self, Fault> {
        let captured_at_ms = Some(known.captured_ms).filter(|time| *time != NO_TIME);
        let place = detail.place(known.lat, known.lon, captured_at_ms)?;
        Ok(Self { row, known, name: detail.name()?.to_owned(), place })
    }
}

impl Shard {
    /// The reference of a row.
    ///
    /// # Errors
    /// No such row; or the file is damaged there or was cut.
    pub fn reference(&self, row: u32) -> Result<Reference, ReadError> {
        self.check_row(row)?;
        let known = self.columns()?.get(row).ok_or_else(|| self.too_short(Kind::Columns))?;
        let unpacked = self.details()?.look(row, |detail| Unpacked::of(row, known, detail));
        self.told(unpacked.map_err(|fault| self.damaged(Kind::Details, Some(row), fault))?)
    }

    /// The references of some rows, in their order. What is packed together is unpacked once, which takes most of the
    /// time: this is faster than asking for one after the other.
    ///
    /// # Errors
    /// One of the rows does not exist; or the file is damaged there or was cut.
    pub fn references(&self, rows: &[u32]) -> Result<Vec<Reference>, ReadError> {
        rows.iter().try_for_each(|row| self.check_row(*row))?;
        let mut wanted = rows.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut references = BTreeMap::new();
        for of_block in wanted.chunk_by(|a, b| block_of(*a) == block_of(*b)) {
            for unpacked in self.unpack(of_block)? {
                references.insert(unpacked.row, self.told(unpacked)?);
            }
        }
        let missing = || self.too_short(Kind::Details);
        rows.iter().map(|row| references.get(row).cloned().ok_or_else(missing)).collect()
    }

    /// Calls `visit` for all references by row, each packed part of the file unpacked once; so it is much faster than
    /// asking for one after the other.
    ///
    /// # Errors
    /// Those of `visit`; or the file is damaged or was cut.
    pub fn for_each_reference<E: From<ReadError>>(
        &self,
        mut visit: impl FnMut(Reference) -> Result<(), E>,
    ) -> Result<(), E> {
        let (columns, details) = (self.columns()?, self.details()?);
        for block in 0..blocks(self.header.rows) {
            let mut of_block = Vec::new();
            let unpacked = details.for_each(block, |row, detail| {
                let known = columns.get(row).map(|known| Unpacked::of(row, known, detail));
                of_block.extend(known.transpose()?);
                Ok(())
            });
            unpacked.map_err(|fault| self.damaged(Kind::Details, None, fault))?;
            of_block.into_iter().try_for_each(|unpacked| visit(self.told(unpacked)?))?;
        }
        Ok(())
    }

    /// What is packed of rows of one block, which rise.
    fn unpack(&self, rows: &[u32]) -> Result<Vec<Unpacked>, ReadError> {
        let (columns, details) = (self.columns()?, self.details()?);
        let mut unpacked = Vec::with_capacity(rows.len());
        // Until the first of them is reached, what is wrong is wrong with all of the block.
        let mut at = None;
        let look = |row, detail: Detail<'_>| {
            if rows.binary_search(&row).is_ok() {
                at = Some(row);
                let known = columns.get(row).map(|known| Unpacked::of(row, known, detail));
                unpacked.extend(known.transpose()?);
            }
            Ok(())
        };
        let block = rows.first().map_or(0, |row| block_of(*row));
        details.for_each(block, look).map_err(|fault| self.damaged(Kind::Details, at, fault))?;
        Ok(unpacked)
    }

    /// The reference, with the name of its source.
    fn told(&self, unpacked: Unpacked) -> Result<Reference, ReadError> {
        let Unpacked { row, known, name, place } = unpacked;
        let source =
            self.sources()?.get(known.source).map_err(|fault| self.damaged(Kind::Sources, Some(row), fault))?;
        Ok(Reference { row, position: known.position, name, place, source: source.map(String::from) })
    }
}
