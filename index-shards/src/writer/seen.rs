//! What is known of everything that a writer was told, beside the spool that holds it.

use super::order::{Order, Pushed};
use super::record::Told;
use super::scratch::Scratch;
use super::spool::{Kind, decode_removed};
use super::unique::{Names, key};
use crate::place::to_units;
use crate::sections::removed::Tombstones;
use std::collections::BTreeSet;
use std::io;

/// What is known of everything that is in the spool.
#[derive(Debug)]
pub(super) struct Seen {
    /// References and what was skipped.
    pub(super) inputs: u32,
    pub(super) rows: u32,
    pub(super) order: Order,
    pub(super) names: Names,
    pub(super) sources: BTreeSet<String>,
    pub(super) tombstones: Tombstones,
    pub(super) scratch: Scratch,
}

impl Seen {
    /// Nothing yet.
    pub(super) fn new(scratch: Scratch) -> Self {
        Self {
            inputs: 0,
            rows: 0,
            order: Order::new(),
            names: Names::new(),
            sources: BTreeSet::new(),
            tombstones: Tombstones::new(),
            scratch,
        }
    }

    /// Takes in a reference that lies in the spool.
    pub(super) fn push(&mut self, told: &Told<'_>, (offset, bytes): (u64, u32)) -> io::Result<()> {
        let (lat, lon) = (to_units(told.place.lat_deg), to_units(told.place.lon_deg));
        let pushed = Pushed { position: self.inputs, offset, bytes };
        self.order.push(lat, lon, pushed, &mut self.scratch)?;
        self.names.push(key(told.name), self.inputs, (offset, bytes), &mut self.scratch)?;
        if let Some(source) = told.source.filter(|source| !self.sources.contains(*source)) {
            self.sources.insert(source.into());
        }
        self.inputs += 1;
        self.rows += 1;
        Ok(())
    }

    /// Takes in an entry of a spool that is resumed.
    pub(super) fn resume(
        &mut self,
        kind: Kind,
        offset: u64,
        content: &[u8],
        dimensions: usize,
    ) -> io::Result<Option<String>> {
        match kind {
            Kind::Plan => {}
            Kind::Row => {
                let told = Told::decode(content, dimensions).map_err(io::Error::other)?;
                self.push(&told, (offset, u32::try_from(content.len()).map_err(io::Error::other)?))?;
            }
            Kind::Skipped => {
                self.inputs += 1;
                return Ok(Some(String::from_utf8_lossy(content).into_owned()));
            }
            Kind::Removed => {
                if let Some((digest, rows)) = decode_removed(content) {
                    self.tombstones.entry(digest).or_default().extend(rows);
                }
            }
        }
        Ok(None)
    }
}
