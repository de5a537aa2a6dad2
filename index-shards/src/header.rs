//! The header: the first page of a shard. It holds everything that is needed to trust the file's shape, and digests of
//! everything else.
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u8 × 8 | magic, `GEOSHARD` |
//! | 8 | u32 | format version, 0 |
//! | 12 | u32 | bytes of the header, 4096 |
//! | 16 | u8 × 32 | SHA-256 of these 4096 bytes with this field zero: the shard's digest |
//! | 48 | u64 | bytes of the file |
//! | 56 | u64 | rows, 1 to 2^32 - 1 |
//! | 64 | u32 | width of a vector |
//! | 68 | u32 | sections, 3 |
//! | 72 | u32 | bytes of the description |
//! | 76 | i32 × 4 | region of the places: south, west, north, east, 1e-7 degree; west > east across the antimeridian |
//! | 92 | zero | to 128 |
//! | 128 | entry × 3 | section table |
//! | 320 | TOML, UTF-8 | description |
//! | | zero | to 4096 |
//!
//! An entry of the section table, 64 bytes:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u32 | kind: 1 vectors, 2 places, 3 names; in this order |
//! | 4 | u32 | zero |
//! | 8 | u64 | where it begins, bytes from the beginning of the file |
//! | 16 | u64 | its length without the padding, bytes |
//! | 24 | u64 | zero |
//! | 32 | u8 × 32 | SHA-256 of the section and its padding |
//!
//! Magic, version, the header's size and its digest stay where they are in every version, so that damage can be told
//! from a version that is not known.

use crate::description::ShardDescription;
use crate::digest::{DIGEST_BYTES, Digest};
use crate::fault::{Fault, expect};
use crate::fields::{Fields, zero};
use crate::region::Bounds;
use crate::sections::{Entry, Kind, names, places, vectors};
use sha2::{Digest as _, Sha256};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 4096;
/// Most bytes that a description may have as TOML.
pub const MAX_DESCRIPTION_BYTES: usize = HEADER_BYTES - DESCRIPTION_AT;

/// How every shard begins.
pub(crate) const MAGIC: [u8; 8] = *b"GEOSHARD";
/// The format that is written and read.
pub(crate) const VERSION: u32 = 0;

const DIGEST_AT: usize = 16;
const TABLE_AT: usize = 128;
const ENTRY_BYTES: usize = 64;
const DESCRIPTION_AT: usize = TABLE_AT + Kind::ALL.len() * ENTRY_BYTES;

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
        /// The format version that the damaged header says; this library reads 0.
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

/// A header whose fields agree with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) description: ShardDescription,
    pub(crate) rows: u32,
    pub(crate) bounds: Bounds,
    pub(crate) sections: [Entry; 3],
}

impl Header {
    /// Bytes of the file: where the last section ends.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        self.sections.last().and_then(Entry::end)
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
        let Bounds { south, west, north, east } = self.bounds;
        bytes.extend([south, west, north, east].into_iter().flat_map(i32::to_le_bytes));
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
    let rows = u32::try_from(rows).ok().filter(|&rows| rows > 0);
    let rows = rows.ok_or_else(|| Fault::new("rows", format_args!("1 to {}", u32::MAX), "another number"))?;
    let dimensions = fields.u32("dimensions")? as usize;
    let sections = fields.u32("sections")?;
    expect(sections as usize == Kind::ALL.len(), "sections", Kind::ALL.len(), sections)?;
    let description_bytes = fields.u32("description length")? as usize;
    check_description_length(description_bytes)?;
    let bounds = Bounds {
        south: fields.i32("region")?,
        west: fields.i32("region")?,
        north: fields.i32("region")?,
        east: fields.i32("region")?,
    };
    bounds.check()?;
    zero("reserved", &fields.array::<36>("reserved")?)?;
    let sections = decode_table(&mut fields, rows, dimensions)?;
    let description = ShardDescription::from_toml(dimensions, fields.bytes("description", description_bytes)?)?;
    fields.rest_is_zero("header padding")?;
    let header = Header { description, rows, bounds, sections };
    let end = header.file_bytes();
    expect(end == Some(file_bytes), "file length", format_args!("{end:?} by the section table"), file_bytes)?;
    Ok(header)
}

fn encode_entry(entry: &Entry, bytes: &mut Vec<u8>) {
    bytes.extend(entry.kind.code().to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(entry.offset.to_le_bytes());
    bytes.extend(entry.length.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(entry.digest.0);
}

/// The section table: sections follow each other without gaps, and their lengths agree with rows and dimensions.
fn decode_table(fields: &mut Fields<'_>, rows: u32, dimensions: usize) -> Result<[Entry; 3], Fault> {
    let [vectors, places, names] = Kind::ALL;
    let too_long = || Fault::new("section length", "at most 64 bits", format_args!("{rows} rows x {dimensions}"));
    let vectors_bytes = vectors::length(rows, dimensions).ok_or_else(too_long)?;
    let vectors = decode_entry(fields, vectors, Some(HEADER_BYTES as u64), vectors_bytes..=vectors_bytes)?;
    let places_bytes = places::length(rows);
    let places = decode_entry(fields, places, vectors.end(), places_bytes..=places_bytes)?;
    let names = decode_entry(fields, names, places.end(), names::length_range(rows))?;
    Ok([vectors, places, names])
}

fn decode_entry(
    fields: &mut Fields<'_>,
    kind: Kind,
    begins: Option<u64>,
    lengths: std::ops::RangeInclusive<u64>,
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
