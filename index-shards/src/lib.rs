//! Which references look most and least like this embedding?
//!
//! A **shard** is one immutable file with the embeddings, places and names of reference images. It is written once
//! ([`ShardWriter`]), moved into place atomically, mapped read-only ([`Shard`]), and never modified. A [`ShardSet`] is
//! one or more shards of one embedding space, with what later ones remove from earlier ones; [`ShardSet::search`]
//! returns the most similar AND the most dissimilar references of all of them, both from one pass. [`merge()`] joins
//! shards into one. [`verify()`] reads a whole file and refuses any flipped bit.
//!
//! # The file, format 1
//!
//! Everything is little-endian. Sections follow each other without gaps, each begins at a multiple of 64 bytes, and
//! the zero padding up to the next one belongs to the section before it, so that every byte of the file lies under a
//! digest. A section that a shard does not have has no bytes. `n` rows of `D` dimensions take:
//!
//! | part | what | bytes | byte table in |
//! |---|---|---|---|
//! | header | identity, counts, section table, description | 4096 | `header.rs` |
//! | vectors | unit vectors under a random rotation, i8 and a scale | `n (4 + D)` | `sections/vectors.rs` |
//! | codes | the first layer of 1-bit codes, in blocks of 64 slots | about `n (D / 24 + 6)` | `layers.rs` |
//! | second | the second layer | `n D / 8` | `layers.rs` |
//! | centroids | the mean, and what lists lie around | `D (4 + centroids)` | `sections/centroids.rs` |
//! | slots | which row is in which slot, with lists | `4 n` | `sections/slots.rs` |
//! | columns | place, time, source and position of each row | `22 n` | `sections/columns.rs` |
//! | zones | bounds of each run of 1024 rows | `n / 32` | `sections/zones.rs` |
//! | details | names and the rest of the places, compressed | some `9 n` | `sections/details.rs`, `frame.rs` |
//! | sources | names of what references come from | | `sections/sources.rs` |
//! | blobs | bytes of a row that mean nothing here | | `sections/blobs.rs` |
//! | removed | rows of other shards that are not to be found any more | | `sections/removed.rs` |
//! | decoder | what makes estimates from codes more exact | about `2 D D` | `decoder.rs` |
//!
//! The header's table holds a SHA-256 per section; the SHA-256 of the header page therefore stands for the whole file
//! and is the shard's digest. Opening checks the header completely and compares the file's length with it; it does not
//! read the sections, so it takes the same time for any number of rows. Everything in a section is treated as unproven
//! when it is read: damaged content gives an error or is skipped, it never panics and never leaves the mapping.
//!
//! ```
//! use index_shards::{
//!     Place, PositionOf, Row, SearchOptions, ShardDescription, ShardSet, ShardWriter, WriterOptions,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("two.shard");
//! let description = ShardDescription {
//!     space: "example-2d".into(),
//!     dimensions: 2,
//!     encoder: "example".into(),
//!     encoder_sha256: None,
//!     position_of: PositionOf::Camera,
//!     licence: "CC0-1.0".into(),
//!     attribution: String::new(),
//!     created_at_ms: 0,
//!     blobs: None,
//! };
//! let mut writer = ShardWriter::create(&path, description, WriterOptions::default())?;
//! for (name, place, embedding) in
//!     [("north.jpg", Place::at(52.0, 13.0), [0.0, 1.0]), ("east.jpg", Place::at(51.0, 14.0), [1.0, 0.0])]
//! {
//!     writer.push(&Row { name, place: &place, source: None, embedding: &embedding, blob: None })?;
//! }
//! writer.finish()?;
//!
//! let shards = ShardSet::open(&[path])?;
//! let found = shards.search(&[0.1, 0.9], &SearchOptions { k: 1, ..SearchOptions::default() })?;
//! assert_eq!(shards.reference(&found.similar[0])?.name, "north.jpg");
//! assert_eq!(shards.reference(&found.dissimilar[0])?.name, "east.jpg");
//! # Ok(())
//! # }
//! ```

mod clusters;
mod decoder;
mod description;
mod digest;
mod disk;
mod dissimilar;
mod distinct;
mod ends;
mod error;
mod fault;
mod fields;
mod filter;
mod header;
mod kernels;
mod layers;
mod lists;
mod mapping;
mod merge;
mod open_file;
mod place;
mod query;
mod reference;
mod region;
mod rotation;
mod row;
mod scan;
mod search;
mod sections;
mod set;
mod set_search;
mod shard;
mod shard_search;
mod thin;
mod tiles;
mod verify;
mod whole;
mod window;
mod writer;

pub use clusters::LayoutChoice;
pub use description::{BlobDescription, PositionOf, ShardDescription};
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::{MergeError, OpenError, ReadError, SearchError, VerifyError, WriteError};
pub use fault::Fault;
pub use filter::Filter;
pub use header::{HEADER_BYTES, HeaderError, MAX_DESCRIPTION_BYTES, VERSION as FORMAT_VERSION};
pub use kernels::{Kernel, UnavailableKernel, UnknownKernel, active_kernel, force_kernel};
pub use merge::{MergeOptions, MergeSummary, merge};
pub use place::{Footprint, Place};
pub use reference::Reference;
pub use region::Region;
pub use scan::{Effort, ListEffort};
pub use search::{Dissimilar, Hit, PerPlace, Retrieval, SearchOptions, Work};
pub use sections::blobs::MAX_BLOB_BYTES;
pub use sections::centroids::MAX_CENTROIDS;
pub use sections::frame::MAX_NAME_BYTES;
pub use sections::removed::MAX_SHARDS_REMOVED_FROM;
pub use sections::sources::{MAX_SOURCE_BYTES, MAX_SOURCES};
pub use sections::vectors::{MAX_DIMENSIONS, UNIT_TOLERANCE};
pub use set::ShardSet;
pub use shard::{LayoutInfo, SectionInfo, Shard};
pub use verify::{verify, verify_with};
pub use window::{MEAN_EARTH_RADIUS_M, Window};
pub use writer::{Resumed, Row, ShardSummary, ShardWriter, WriterOptions};

/// A proptest configuration that tries the same cases on every run.
#[cfg(test)]
fn deterministic() -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed};
    Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}
