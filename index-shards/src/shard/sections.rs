//! The sections of an open shard, for those who search and merge. Each is looked up once per search, which compares the
//! file's length; what it is made of is then read freely, and is unproven.

use super::Shard;
use crate::decoder::Decoder;
use crate::digest::Digest;
use crate::error::ReadError;
use crate::layers::Layers;
use crate::rotation::Rotation;
use crate::sections::Kind;
use crate::sections::centroids::Centroids;
use crate::sections::columns::Columns;
use crate::sections::details::Details;
use crate::sections::removed::Removed;
use crate::sections::slots::Slots;
use crate::sections::sources::Sources;
use crate::sections::vectors::{Rows, stride};
use crate::sections::zones::Zones;
use std::sync::atomic::Ordering;

/// Bytes of a page, at least: ranges that are closer than that are asked for as one.
const PAGE_BYTES: u64 = 4096;
/// For how many searches vectors are asked for before they are read, after a page was missing.
pub(super) const COLD_SEARCHES: u32 = 256;

impl Shard {
    /// Number of references.
    pub(crate) fn rows(&self) -> u32 {
        self.header.rows
    }

    /// The shard's digest.
    pub(crate) fn digest_bytes(&self) -> Digest {
        self.digest
    }

    /// Whether the codes stand in lists.
    pub(crate) fn has_lists(&self) -> bool {
        self.header.coding.lists
    }

    /// How the dimensions are shared out between the layers of the codes.
    pub(crate) fn layers(&self) -> Layers {
        Layers::new(self.header.description.dimensions)
    }

    /// The rotation that everything in the shard is under.
    pub(crate) fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// What the rotation is made from.
    pub(crate) fn seed(&self) -> u64 {
        self.header.coding.seed
    }

    /// The stored vectors.
    pub(crate) fn vectors(&self) -> Result<Rows<'_>, ReadError> {
        Ok(Rows::new(self.section(Kind::Vectors)?, self.header.description.dimensions))
    }

    /// The blocks of the first layer.
    pub(crate) fn codes(&self) -> Result<&[u8], ReadError> {
        self.section(Kind::Codes)
    }

    /// The second layer, [`Layers::second_bytes`] for each slot.
    pub(crate) fn second(&self) -> Result<&[u8], ReadError> {
        self.section(Kind::Second)
    }

    /// Mean and centroids.
    pub(crate) fn centroids(&self) -> Result<Centroids<'_>, ReadError> {
        let (dimensions, count) = (self.header.description.dimensions, self.header.coding.centroids);
        let centroids = Centroids::new(self.section(Kind::Centroids)?, dimensions, count);
        centroids.ok_or_else(|| self.too_short(Kind::Centroids))
    }

    /// Which row is in which slot of the codes.
    pub(crate) fn slots(&self) -> Result<Slots<'_>, ReadError> {
        let section = if self.has_lists() { Some(self.section(Kind::Slots)?) } else { None };
        Ok(Slots::new(section, self.header.rows))
    }

    /// What filters ask about.
    pub(crate) fn columns(&self) -> Result<Columns<'_>, ReadError> {
        let columns = Columns::new(self.section(Kind::Columns)?, self.header.rows);
        columns.ok_or_else(|| self.too_short(Kind::Columns))
    }

    /// Bounds of runs of rows.
    pub(crate) fn zones(&self) -> Result<Zones<'_>, ReadError> {
        Ok(Zones::new(self.section(Kind::Zones)?))
    }

    /// Names and the rest of the places.
    pub(crate) fn details(&self) -> Result<Details<'_>, ReadError> {
        let details = Details::new(self.section(Kind::Details)?, self.header.rows);
        details.ok_or_else(|| self.too_short(Kind::Details))
    }

    /// What the columns hold for these sources; those that no row has are left out.
    pub(crate) fn source_codes(&self, names: &[String]) -> Result<Vec<u16>, ReadError> {
        let sources = self.sources()?;
        Ok(names.iter().filter_map(|name| sources.code(name)).collect())
    }

    /// The names of the sources.
    pub(crate) fn sources(&self) -> Result<Sources<'_>, ReadError> {
        let section = self.section(Kind::Sources)?;
        Sources::new(section).map_err(|fault| self.damaged(Kind::Sources, None, fault))
    }

    /// The tombstones.
    pub(crate) fn removed(&self) -> Result<Removed<'_>, ReadError> {
        Ok(Removed::new(self.section(Kind::Removed)?))
    }

    /// What makes a query's weights of the codes; `None` in a shard that does not have it.
    pub(crate) fn decoder(&self) -> Result<Option<Decoder<'_>>, ReadError> {
        Ok(Decoder::new(self.section(Kind::Decoder)?, self.layers()))
    }

    /// Takes note that reading vectors had to wait for the disk.
    pub(crate) fn was_slow(&self) {
        self.cold.store(COLD_SEARCHES, Ordering::Relaxed);
    }

    /// Begins to bring in the vectors of these rows together, so that reading them does not wait for one after the
    /// other.
    ///
    /// That costs a call to the system per page, so it is done while pages are found missing: for the first searches,
    /// and again after [`was_slow`](Self::was_slow).
    pub(crate) fn expect_rows(&self, rows: impl Iterator<Item = u32>) {
        let left = self.cold.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        self.cold.store(left - 1, Ordering::Relaxed);
        let entry = self.header.section(Kind::Vectors);
        let bytes = stride(self.header.description.dimensions) as u64;
        let mut starts: Vec<u64> = rows.map(|row| entry.offset + u64::from(row) * bytes).collect();
        starts.sort_unstable();
        let mut starts = starts.into_iter();
        let Some(first) = starts.next() else { return };
        let mut range = first..first + bytes;
        for start in starts {
            if start > range.end + PAGE_BYTES {
                self.mapping.will_need(std::mem::replace(&mut range, start..start));
            }
            range.end = start + bytes;
        }
        self.mapping.will_need(range);
    }
}
