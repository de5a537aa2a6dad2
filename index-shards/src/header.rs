//! The header: the first page of a shard. It holds everything that is needed to trust the file's shape, and digests of
//! everything else.
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u8 × 8 | magic, `GEOSHARD` |
//! | 8 | u32 | format version, 1 |
//! | 12 | u32 | bytes of the header, 4096 |
//! | 16 | u8 × 32 | SHA-256 of these 4096 bytes with this field zero: the shard's digest |
//! | 48 | u64 | bytes of the file |
//! | 56 | u64 | rows, 0 to 2^32 - 64; 0 only in a shard with tombstones |
//! | 64 | u32 | width of a vector |
//! | 68 | u32 | sections, 12 |
//! | 72 | u32 | bytes of the description |
//! | 76 | i32 × 4 | region of the places: south, west, north, east, 1e-7 degree; zeros without rows |
//! | 92 | u32 | centroids |
//! | 96 | u64 | seed of the rotation |
//! | 104 | u32 | layout of the codes: 0 flat, 1 in lists by centroid |
//! | 108 | u32 | slots of the codes, a multiple of 64 |
//! | 112 | u32 | dimensions in the first layer of the codes |
//! | 116 | zero | to 128 |
//! | 128 | entry × 12 | section table |
//! | 896 | TOML, UTF-8 | description |
//! | | zero | to 4096 |
//!
//! An entry of the section table, 64 bytes:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u32 | kind, 1 to 12 in this order; below |
//! | 4 | u32 | zero |
//! | 8 | u64 | where it begins, bytes from the beginning of the file |
//! | 16 | u64 | its length without the padding, bytes |
//! | 24 | u64 | zero |
//! | 32 | u8 × 32 | SHA-256 of the section and its padding |
//!
//! Kinds: 1 vectors, 2 codes, 3 second, 4 centroids, 5 slots, 6 columns, 7 zones, 8 details, 9 sources, 10 blobs,
//! 11 removed, 12 decoder. A region that crosses the antimeridian has west > east.
//!
//! Magic, version, the header's size and its digest stay where they are in every version, so that damage can be told
//! from a version that is not known.

use crate::decoder;
use crate::description::ShardDescription;
use crate::digest::{DIGEST_BYTES, Digest};
use crate::fault::{Fault, expect};
use crate::fields::{Fields, zero};
use crate::layers::{BLOCK_SLOTS, Layers};
use crate::region::Bounds;
use crate::sections::centroids::MAX_CENTROIDS;
use crate::sections::{Entry, Kind, blobs, centroids, codes, columns, details, slots, sources, vectors, zones};
use sha2::{Digest as _, Sha256};
use std::ops::RangeInclusive;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 4096;
/// Most bytes that a description may have as TOML.
pub const MAX_DESCRIPTION_BYTES: usize = HEADER_BYTES - DESCRIPTION_AT;

/// How every shard begins.
pub(crate) const MAGIC: [u8; 8] = *b"GEOSHARD";
/// The format that is written and read.
pub const VERSION: u32 = 1;
/// Most rows of a shard: their slots, whole blocks of 64, can be counted in 32 bits.
pub(crate) const MAX_ROWS: u32 = u32::MAX - 63;

const DIGEST_AT: usize = 16;
const TABLE_AT: usize = 128;
const ENTRY_BYTES: usize = 64;
const DESCRIPTION_AT: usize = TABLE_AT + Kind::COUNT * ENTRY_BYTES;

/// The header's bytes.
pub(crate) type Page = [u8; HEADER_BYTES];

/// Why a header was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file does not begin as a shard does.
    #[error("not a shard: expected it to begin with \"GEOSHARD\", found \"{}\"", found.escape_ascii())]
    Magic {
        /// The first bytes of the file, at most 8.
        found: Vec<u8>,
    },
    /// The header is not as it was written.
    #[error("damaged header: its SHA-256 should be {expected}, but is {found} (it says format version {version})")]
    Digest {
        /// The digest that the header carries.
        expected: String,
        /// The digest that it has.
        found: String,
        /// The format version that the damaged header says; this library reads 1.
        version: u32,
    },
    /// An intact header of a format that is not known here.
    #[error("format version {found}: this program reads version {supported}")]
    Version {
        /// The version that the shard has.
        found: u32,
        /// The version that is read.
        supported: u32,
    },
    /// An intact header with an impossible value.
    #[error("impossible header: {0}")]
    Field(Fault),
}

impl From<Fault> for HeaderError {
    fn from(fault: Fault) -> Self {
        Self::Field(fault)
    }
}

/// How the codes are laid out, and under which rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coding {
    /// Seed of the rotation.
    pub(crate) seed: u64,
    /// Number of centroids.
    pub(crate) centroids: u32,
    /// Whether the codes stand in lists by centroid; else they stand in row order.
    pub(crate) lists: bool,
    /// Slots of the codes.
    pub(crate) slots: u32,
}

impl Coding {
    /// Checks that slots and centroids suit so many rows.
    fn check(&self, rows: u32) -> Result<(), Fault> {
        let most = if rows == 0 { 0 } else { rows.min(MAX_CENTROIDS as u32) };
        let least = u32::from(self.lists);
        let good = (least..=most).contains(&self.centroids);
        expect(good, "centroids", format_args!("{least} to {most}"), self.centroids)?;
        let flat = u64::from(rows).next_multiple_of(BLOCK_SLOTS as u64);
        let room = if self.lists { u64::from(self.centroids) * (BLOCK_SLOTS as u64 - 1) } else { 0 };
        let most = flat.max(u64::from(rows) + room);
        let good = (flat..=most).contains(&u64::from(self.slots)) && self.slots.is_multiple_of(BLOCK_SLOTS as u32);
        expect(good, "slots", format_args!("{flat} to {most}, whole blocks of 64"), self.slots)
    }
}

/// A header whose fields agree with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) description: ShardDescription,
    pub(crate) rows: u32,
    /// `None` without rows.
    pub(crate) bounds: Option<Bounds>,
    pub(crate) coding: Coding,
    pub(crate) sections: [Entry; Kind::COUNT],
}

impl Header {
    /// Bytes of the file: where the last section ends.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        self.sections.last().and_then(Entry::end)
    }

    /// Where a section lies.
    pub(crate) fn section(&self, kind: Kind) -> Entry {
        let [first, ..] = self.sections;
        self.sections.get(kind as usize).copied().unwrap_or(first)
    }

    /// The page and its digest. Fails when the description is too long for it.
    pub(crate) fn encode(&self) -> Result<(Box<Page>, Digest), Fault> {
        let description = self.description.to_toml()?;
        check_description_length(description.len())?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((HEADER_BYTES as u32).to_le_bytes());
        bytes.extend([0; DIGEST_BYTES]);
        let file_bytes = self.file_bytes().ok_or_else(|| Fault::new("file length", "at most 64 bits", "more"))?;
        bytes.extend(file_bytes.to_le_bytes());
        bytes.extend(u64::from(self.rows).to_le_bytes());
        for count in [self.description.dimensions, self.sections.len(), description.len()] {
            bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        let edges = self.bounds.map_or([0; 4], |Bounds { south, west, north, east }| [south, west, north, east]);
        bytes.extend(edges.into_iter().flat_map(i32::to_le_bytes));
        let Coding { seed, centroids, lists, slots } = self.coding;
        bytes.extend(centroids.to_le_bytes());
        bytes.extend(seed.to_le_bytes());
        let first_layer = u32::try_from(Layers::new(self.description.dimensions).first()).unwrap_or(u32::MAX);
        bytes.extend([u32::from(lists), slots, first_layer].into_iter().flat_map(u32::to_le_bytes));
        bytes.resize(TABLE_AT, 0);
        self.sections.iter().for_each(|entry| encode_entry(entry, &mut bytes));
        bytes.extend(description.as_bytes());
        bytes.resize(HEADER_BYTES, 0);
        let mut page = Box::new([0; HEADER_BYTES]);
        page.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        let digest = seal(&mut page);
        Ok((page, digest))
    }

    /// Reads a page and checks everything that can be checked without the rest of the file.
    pub(crate) fn decode(page: &Page) -> Result<(Self, Digest), HeaderError> {
        let mut fields = Fields::new(page);
        let magic: [u8; 8] = fields.array("magic")?;
        if magic != MAGIC {
            return Err(HeaderError::Magic { found: magic.to_vec() });
        }
        let version = fields.u32("version")?;
        let header_bytes = fields.u32("header length")?;
        let expected = Digest(fields.array("digest")?);
        let found = digest(page);
        if found != expected {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(HeaderError::Digest { expected, found, version });
        }
        if version != VERSION {
            return Err(HeaderError::Version { found: version, supported: VERSION });
        }
        expect(header_bytes == HEADER_BYTES as u32, "header length", HEADER_BYTES, header_bytes)?;
        Ok((decode_body(fields)?, found))
    }
}

/// Passes when a description of so many bytes fits the header.
pub(crate) fn check_description_length(bytes: usize) -> Result<(), Fault> {
    let expected = format_args!("at most {MAX_DESCRIPTION_BYTES} bytes of TOML");
    expect(bytes <= MAX_DESCRIPTION_BYTES, "description", expected, bytes)
}

/// Writes the page's digest into the page.
pub(crate) fn seal(page: &mut Page) -> Digest {
    let digest = digest(page);
    page.iter_mut().skip(DIGEST_AT).zip(digest.0).for_each(|(to, from)| *to = from);
    digest
}

/// SHA-256 of the page with the digest's own field taken as zero.
fn digest(page: &Page) -> Digest {
    let (before, rest) = page.split_at(DIGEST_AT);
    let (_, after) = rest.split_at(DIGEST_BYTES);
    Digest::of(Sha256::new().chain_update(before).chain_update([0; DIGEST_BYTES]).chain_update(after))
}

/// Everything behind the digest.
fn decode_body(mut fields: Fields<'_>) -> Result<Header, Fault> {
    let file_bytes = fields.u64("file length")?;
    let rows = fields.u64("rows")?;
    let rows = u32::try_from(rows).ok().filter(|&rows| rows <= MAX_ROWS);
    let rows = rows.ok_or_else(|| Fault::new("rows", format_args!("at most {MAX_ROWS}"), "another number"))?;
    let dimensions = fields.u32("dimensions")? as usize;
    let expected = format_args!("1 to {}", vectors::MAX_DIMENSIONS);
    expect((1..=vectors::MAX_DIMENSIONS).contains(&dimensions), "dimensions", expected, dimensions)?;
    let sections = fields.u32("sections")?;
    expect(sections as usize == Kind::COUNT, "sections", Kind::COUNT, sections)?;
    let description_bytes = fields.u32("description length")? as usize;
    check_description_length(description_bytes)?;
    let bounds = decode_bounds(&mut fields, rows)?;
    let coding = decode_coding(&mut fields, rows, dimensions)?;
    zero("reserved", &fields.array::<12>("reserved")?)?;
    let (table, mut fields) = (fields.bytes("section table", Kind::COUNT * ENTRY_BYTES)?, fields);
    let description = ShardDescription::from_toml(dimensions, fields.bytes("description", description_bytes)?)?;
    fields.rest_is_zero("header padding")?;
    let sections = decode_table(&mut Fields::new(table), &|kind| lengths(kind, &description, rows, &coding))?;
    let header = Header { description, rows, bounds, coding, sections };
    let end = header.file_bytes();
    expect(end == Some(file_bytes), "file length", format_args!("{end:?} by the section table"), file_bytes)?;
    let good = rows > 0 || header.section(Kind::Removed).length > 0;
    expect(good, "rows", "at least 1 in a shard without tombstones", rows)?;
    Ok(header)
}

fn decode_bounds(fields: &mut Fields<'_>, rows: u32) -> Result<Option<Bounds>, Fault> {
    let bounds = Bounds {
        south: fields.i32("region")?,
        west: fields.i32("region")?,
        north: fields.i32("region")?,
        east: fields.i32("region")?,
    };
    if rows > 0 {
        return bounds.check().map(|()| Some(bounds));
    }
    let nowhere = bounds == Bounds { south: 0, west: 0, north: 0, east: 0 };
    expect(nowhere, "region", "zeros without rows", format_args!("{bounds:?}")).map(|()| None)
}

fn decode_coding(fields: &mut Fields<'_>, rows: u32, dimensions: usize) -> Result<Coding, Fault> {
    let centroids = fields.u32("centroids")?;
    let seed = fields.u64("seed")?;
    let layout = fields.u32("layout")?;
    expect(layout <= 1, "layout", "0 or 1", layout)?;
    let slots = fields.u32("slots")?;
    let first_layer = fields.u32("first layer")?;
    let expected = Layers::new(dimensions).first();
    expect(first_layer as usize == expected, "first layer", format_args!("{expected} dimensions"), first_layer)?;
    let coding = Coding { seed, centroids, lists: layout == 1, slots };
    coding.check(rows).map(|()| coding)
}

/// Least and most bytes of a section in a shard of `rows` rows; `None` beyond 64 bits.
fn lengths(kind: Kind, description: &ShardDescription, rows: u32, coding: &Coding) -> Option<RangeInclusive<u64>> {
    let dimensions = description.dimensions;
    let layers = Layers::new(dimensions);
    let exactly = |length: u64| length..=length;
    Some(match kind {
        Kind::Vectors => exactly(vectors::length(rows, dimensions)?),
        Kind::Codes => exactly(codes::length(coding.slots, layers)),
        Kind::Second => exactly(codes::second_length(coding.slots, layers)),
        Kind::Centroids => exactly(centroids::length(rows, dimensions, coding.centroids)?),
        Kind::Slots => exactly(slots::length(coding.slots, coding.lists)),
        Kind::Columns => exactly(columns::length(rows)),
        Kind::Zones => exactly(zones::length(rows)),
        Kind::Details => details::length_range(rows),
        Kind::Sources => sources::length_range(),
        Kind::Blobs => blobs::length_range(rows, description.blobs.is_some() && rows > 0),
        Kind::Removed => 0..=u64::MAX,
        Kind::Decoder => 0..=decoder::length(layers),
    })
}

fn encode_entry(entry: &Entry, bytes: &mut Vec<u8>) {
    bytes.extend(entry.kind.code().to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(entry.offset.to_le_bytes());
    bytes.extend(entry.length.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(entry.digest.0);
}

/// The section table: sections follow each other without gaps, and their lengths are among those that `lengths` allows.
fn decode_table(
    fields: &mut Fields<'_>,
    lengths: &dyn Fn(Kind) -> Option<RangeInclusive<u64>>,
) -> Result<[Entry; Kind::COUNT], Fault> {
    let mut begins = Some(HEADER_BYTES as u64);
    let mut sections = Kind::ALL.map(|kind| Entry { kind, offset: 0, length: 0, digest: Digest([0; DIGEST_BYTES]) });
    for entry in &mut sections {
        let too_long =
            || Fault::new("section length", "at most 64 bits", format_args!("more for {}", entry.kind.name()));
        let lengths = lengths(entry.kind).ok_or_else(too_long)?;
        *entry = decode_entry(fields, entry.kind, begins, lengths)?;
        begins = entry.end();
    }
    Ok(sections)
}

fn decode_entry(
    fields: &mut Fields<'_>,
    kind: Kind,
    begins: Option<u64>,
    lengths: RangeInclusive<u64>,
) -> Result<Entry, Fault> {
    let code = fields.u32("section kind")?;
    expect(code == kind.code(), "section kind", format_args!("{} ({})", kind.code(), kind.name()), code)?;
    zero("section reserved", &fields.array::<4>("section reserved")?)?;
    let offset = fields.u64("section offset")?;
    expect(begins == Some(offset), "section offset", format_args!("{begins:?} for {}", kind.name()), offset)?;
    let length = fields.u64("section length")?;
    expect(lengths.contains(&length), "section length", format_args!("{lengths:?} for {}", kind.name()), length)?;
    zero("section reserved", &fields.array::<8>("section reserved")?)?;
    Ok(Entry { kind, offset, length, digest: Digest(fields.array("section digest")?) })
}
