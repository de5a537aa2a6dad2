//! Which references look most and least like this embedding?
//!
//! A **shard** is one immutable file with the embeddings, places and names of reference images. It is written once
//! ([`ShardWriter`]), moved into place atomically, mapped read-only ([`Shard`]), and never modified. A [`ShardSet`] is
//! one or more shards of one embedding space; [`ShardSet::search`] returns the most similar AND the most dissimilar
//! references of all of them, both from one pass. [`verify`] reads a whole file and refuses any flipped bit.
//!
//! # The file, format 0
//!
//! Everything is little-endian. Sections follow each other without gaps, each begins at a multiple of 64 bytes, and
//! the zero padding up to the next one belongs to the section before it, so that every byte of the file lies under a
//! digest.
//!
//! | part | what | byte table in |
//! |---|---|---|
//! | header | one page of 4096 bytes: identity, counts, section table, description | `header.rs` |
//! | vectors | unit vectors, f32, row-major | `sections/vectors.rs` |
//! | places | coordinates in columns, then one record per row | `sections/places.rs` |
//! | names | table of offsets, then UTF-8 | `sections/names.rs` |
//!
//! The header's table holds a SHA-256 per section; the SHA-256 of the header page therefore stands for the whole file
//! and is the shard's digest. Opening checks the header completely and compares the file's length with it; it does not
//! read the sections, so it takes the same time for any number of rows. Everything in a section is treated as unproven
//! when it is read: damaged content gives an error or is skipped, it never panics and never leaves the mapping.
//!
//! ```
//! use index_shards::{Place, PositionOf, SearchOptions, ShardDescription, ShardSet, ShardWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("two.shard");
//! let mut writer = ShardWriter::create(&path, ShardDescription {
//!     space: "example-2d".into(),
//!     dimensions: 2,
//!     encoder: "example".into(),
//!     encoder_sha256: None,
//!     position_of: PositionOf::Camera,
//!     licence: "CC0-1.0".into(),
//!     attribution: String::new(),
//!     created_at_ms: 0,
//! })?;
//! writer.push("north.jpg", &Place::at(52.0, 13.0), &[0.0, 1.0])?;
//! writer.push("east.jpg", &Place::at(51.0, 14.0), &[1.0, 0.0])?;
//! writer.finish()?;
//!
//! let shards = ShardSet::open(&[path])?;
//! let found = shards.search(&[0.1, 0.9], &SearchOptions { k: 1, window: None })?;
//! assert_eq!(shards.reference(&found.similar[0])?.name, "north.jpg");
//! assert_eq!(shards.reference(&found.dissimilar[0])?.name, "east.jpg");
//! # Ok(())
//! # }
//! ```

mod description;
mod digest;
mod ends;
mod error;
mod fault;
mod fields;
mod header;
mod mapping;
mod place;
mod region;
mod search;
mod sections;
mod set;
mod shard;
mod verify;
mod window;
mod writer;

pub use description::{PositionOf, ShardDescription};
pub use error::{OpenError, ReadError, SearchError, VerifyError, WriteError};
pub use fault::Fault;
pub use header::{HEADER_BYTES, HeaderError, MAX_DESCRIPTION_BYTES};
pub use place::{Footprint, Place};
pub use region::Region;
pub use search::{Hit, Retrieval, SearchOptions};
pub use sections::names::MAX_NAME_BYTES;
pub use sections::vectors::{MAX_DIMENSIONS, UNIT_TOLERANCE};
pub use set::ShardSet;
pub use shard::{Reference, SectionInfo, Shard};
pub use verify::verify;
pub use window::{MEAN_EARTH_RADIUS_M, Window};
pub use writer::{ShardSummary, ShardWriter};

/// A proptest configuration that tries the same cases on every run.
#[cfg(test)]
fn deterministic() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}
