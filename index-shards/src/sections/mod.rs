//! The sections of a shard. Each section's writer, reader and verifier share a file; here is what they have in common:
//! the table entry in the header, the digest that is taken while writing, and the checked stream for verifying.

pub(crate) mod blobs;
pub(crate) mod centroids;
pub(crate) mod codes;
pub(crate) mod columns;
pub(crate) mod decoder;
pub(crate) mod details;
pub(crate) mod frame;
pub(crate) mod removed;
pub(crate) mod slots;
pub(crate) mod sources;
pub(crate) mod stream;
pub(crate) mod vectors;
pub(crate) mod writer;
pub(crate) mod zones;

use crate::digest::Digest;
use std::ops::Range;

/// Every section begins at a multiple of this many bytes.
pub(crate) const ALIGNMENT: u64 = 64;

/// The sections, in the order in which they stand in the file. One that a shard does not have has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vectors,
    Codes,
    Second,
    Centroids,
    Slots,
    Columns,
    Zones,
    Details,
    Sources,
    Blobs,
    Removed,
    Decoder,
}

impl Kind {
    pub(crate) const COUNT: usize = 12;
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Vectors,
        Self::Codes,
        Self::Second,
        Self::Centroids,
        Self::Slots,
        Self::Columns,
        Self::Zones,
        Self::Details,
        Self::Sources,
        Self::Blobs,
        Self::Removed,
        Self::Decoder,
    ];

    /// The number that stands for the kind in the section table: its place there, from 1.
    pub(crate) fn code(self) -> u32 {
        self as u32 + 1
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vectors => "vectors",
            Self::Codes => "codes",
            Self::Second => "second",
            Self::Centroids => "centroids",
            Self::Slots => "slots",
            Self::Columns => "columns",
            Self::Zones => "zones",
            Self::Details => "details",
            Self::Sources => "sources",
            Self::Blobs => "blobs",
            Self::Removed => "removed",
            Self::Decoder => "decoder",
        }
    }
}

/// Where a section lies and what its digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// From the beginning of the file, bytes.
    pub(crate) offset: u64,
    /// Without the padding, bytes.
    pub(crate) length: u64,
    /// Over the section and the padding after it.
    pub(crate) digest: Digest,
}

impl Entry {
    /// Where the next section begins; `None` beyond 64 bits.
    pub(crate) fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.length)?.checked_next_multiple_of(ALIGNMENT)
    }

    /// The section's bytes in the file, without padding.
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.length)
    }
}

/// Bytes of padding after a section of `length` bytes.
pub(crate) fn padding(length: u64) -> u64 {
    length.wrapping_neg() % ALIGNMENT
}
