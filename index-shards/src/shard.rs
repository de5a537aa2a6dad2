//! One shard, open.

use crate::description::ShardDescription;
use crate::ends::Ends;
use crate::error::{OpenError, ReadError};
use crate::fault::Fault;
use crate::header::{HEADER_BYTES, Header, HeaderError, MAGIC, Page};
use crate::mapping::Mapping;
use crate::place::Place;
use crate::region::Region;
use crate::search::Scan;
use crate::sections::names::Names;
use crate::sections::places::Places;
use crate::sections::vectors::Vectors;
use crate::sections::{Entry, Kind};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// An open shard: its header checked, its sections mapped and unread. Cheap to keep; shared between threads freely.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    header: Header,
    digest: String,
    mapping: Mapping,
}

/// One reference of a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference<'a> {
    /// Its row: its position in the order in which references were pushed, from 0.
    pub row: u32,
    /// Its name, unique in the shard.
    pub name: &'a str,
    /// Where it was taken.
    pub place: Place,
}

/// A section of the file, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo {
    /// What it holds: `vectors`, `places`, `names`.
    pub name: &'static str,
    /// Where it begins, bytes from the beginning of the file.
    pub offset: u64,
    /// Its length without padding, bytes.
    pub length: u64,
    /// SHA-256 over the section and its padding, 64 hexadecimal digits.
    pub digest: String,
}

/// A file whose header is that of an intact shard and whose length is what the header says.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) header: Header,
    pub(crate) digest: String,
    pub(crate) bytes: u64,
}

impl OpenFile {
    /// Reads and checks the header; what is left to read begins at the first section.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let refused = |action| move |error| OpenError::Io { path: path.into(), action, error };
        // Looked at before it is opened: opening a pipe would wait for somebody to write into it.
        if !fs::metadata(path).map_err(refused("open"))?.is_file() {
            return Err(OpenError::NotAFile { path: path.into() });
        }
        let file = File::open(path).map_err(refused("open"))?;
        let found = file.metadata().map_err(refused("read the length"))?.len();
        let mut start = Vec::new();
        (&file).take(HEADER_BYTES as u64).read_to_end(&mut start).map_err(refused("read the header"))?;
        let (header, digest) = decode(path, &start)?;
        let expected = header.file_bytes().unwrap_or(u64::MAX);
        if found != expected {
            return Err(OpenError::Length { path: path.into(), expected, found });
        }
        Ok(Self { file, header, digest, bytes: found })
    }
}

/// The header in the first bytes of a file.
fn decode(path: &Path, start: &[u8]) -> Result<(Header, String), OpenError> {
    let refused = |fault| OpenError::Header { path: path.into(), fault };
    if !start.starts_with(&MAGIC) {
        return Err(refused(HeaderError::Magic { found: start.iter().copied().take(MAGIC.len()).collect() }));
    }
    let Some(page) = start.first_chunk::<HEADER_BYTES>() else {
        let (expected, found) = (HEADER_BYTES as u64, start.len() as u64);
        return Err(OpenError::Cut { path: path.into(), expected, found });
    };
    let page: &Page = page;
    let (header, digest) = Header::decode(page).map_err(refused)?;
    Ok((header, digest.to_string()))
}

impl Shard {
    /// Opens and maps a shard. Checks the header completely and the file's length; does not read the sections, so it
    /// takes the same time for any number of rows. Whether the sections are intact is what [`verify`](crate::verify())
    /// says.
    ///
    /// # Errors
    /// [`OpenError`] names the file and what is wrong: no such file, not a shard, cut, damaged header, unknown version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let OpenFile { file, header, digest, bytes } = OpenFile::open(path)?;
        let refused = |error| OpenError::Io { path: path.into(), action: "map", error };
        let length = usize::try_from(bytes).map_err(|error| refused(io::Error::other(error)))?;
        let mapping = Mapping::new(file, length).map_err(refused)?;
        Ok(Self { path: path.into(), header, digest, mapping })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn description(&self) -> &ShardDescription {
        &self.header.description
    }

    /// Number of references, at least 1.
    pub fn len(&self) -> usize {
        self.header.rows as usize
    }

    /// Always false: a shard without references cannot be written and is not opened.
    pub fn is_empty(&self) -> bool {
        self.header.rows == 0
    }

    /// The shard's digest, which stands for all of its content: 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// A region that all its places lie in.
    pub fn region(&self) -> Region {
        self.header.bounds.region()
    }

    /// Length of the file, bytes.
    pub fn bytes(&self) -> u64 {
        self.mapping.len()
    }

    /// Its sections, in the order in which they stand in the file.
    pub fn sections(&self) -> impl Iterator<Item = SectionInfo> {
        self.header.sections.iter().map(|entry| SectionInfo {
            name: entry.kind.name(),
            offset: entry.offset,
            length: entry.length,
            digest: entry.digest.to_string(),
        })
    }

    /// The reference of a row.
    ///
    /// # Errors
    /// No such row; or the file is damaged there or was cut.
    pub fn reference(&self, row: u32) -> Result<Reference<'_>, ReadError> {
        if row >= self.header.rows {
            return Err(ReadError::NoSuchRow { path: self.path.clone(), found: row, rows: self.header.rows });
        }
        let name = self.names()?.get(row).map_err(|fault| self.damaged(Kind::Names, Some(row), fault))?;
        let place = self.places()?.get(row).map_err(|fault| self.damaged(Kind::Places, Some(row), fault))?;
        Ok(Reference { row, name, place })
    }

    /// Offers every row to `ends`; `position` is the shard's position in its set.
    pub(crate) fn scan(&self, scan: &Scan, position: usize, ends: &mut Ends) -> Result<(), ReadError> {
        let vectors = Vectors::new(self.section(Kind::Vectors)?, self.header.description.dimensions);
        scan.run(position, self.header.rows, vectors, self.places()?, ends);
        Ok(())
    }

    fn places(&self) -> Result<Places<'_>, ReadError> {
        Places::new(self.section(Kind::Places)?, self.header.rows).ok_or_else(|| self.too_short(Kind::Places))
    }

    fn names(&self) -> Result<Names<'_>, ReadError> {
        Names::new(self.section(Kind::Names)?, self.header.rows).ok_or_else(|| self.too_short(Kind::Names))
    }

    /// The bytes of a section, without padding.
    fn section(&self, kind: Kind) -> Result<&[u8], ReadError> {
        let bytes = self.mapping.bytes().map_err(|error| ReadError::Io { path: self.path.clone(), error })?;
        let (path, expected) = (&self.path, self.mapping.len());
        let bytes = bytes.map_err(|found| ReadError::Cut { path: path.clone(), expected, found })?;
        let entry = self.header.sections.iter().find(|entry| entry.kind == kind);
        entry.and_then(|entry| range(entry, bytes)).ok_or_else(|| self.too_short(kind))
    }

    fn damaged(&self, kind: Kind, row: Option<u32>, fault: Fault) -> ReadError {
        ReadError::Damaged { path: self.path.clone(), section: kind.name(), row, fault }
    }

    fn too_short(&self, kind: Kind) -> ReadError {
        self.damaged(kind, None, Fault::new("length", "enough for all rows", "less"))
    }
}

fn range<'a>(entry: &Entry, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let start = usize::try_from(entry.offset).ok()?;
    let length = usize::try_from(entry.length).ok()?;
    bytes.get(start..start.checked_add(length)?)
}
