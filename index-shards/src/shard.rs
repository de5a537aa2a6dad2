//! One shard, open.

mod references;
mod sections;

use crate::clusters::Layout;
use crate::description::ShardDescription;
use crate::digest::Digest;
use crate::error::{OpenError, ReadError};
use crate::fault::Fault;
use crate::header::Header;
use crate::mapping::Mapping;
use crate::open_file::OpenFile;
use crate::region::Region;
use crate::rotation::Rotation;
use crate::row::dequantize;
use crate::sections::{Entry, Kind, blobs};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

/// An open shard: its header checked, its sections mapped and unread. Cheap to keep; shared between threads freely.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    header: Header,
    digest: Digest,
    digits: String,
    rotation: Rotation,
    mapping: Mapping,
    /// For how many searches more vectors are asked for before they are read.
    cold: AtomicU32,
}

/// A section of the file, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionInfo {
    /// What it holds: `vectors`, `codes`, `second`, `centroids`, `slots`, `columns`, `zones`, `details`, `sources`,
    /// `blobs`, `removed` or `decoder`.
    pub name: &'static str,
    /// Where it begins, bytes from the beginning of the file.
    pub offset: u64,
    /// Its length without padding, bytes; 0 for one that the shard does not have.
    pub length: u64,
    /// SHA-256 over the section and its padding, 64 hexadecimal digits.
    pub digest: String,
}

/// How the codes of a shard are laid out, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutInfo {
    /// Number of lists, of which a search scans some; 0 in a flat shard, where it scans all codes.
    pub lists: usize,
    /// Number of centroids: one per list, or some that are typical of a flat shard's rows.
    pub centroids: usize,
    /// Slots of the codes: one per row, and those that fill up blocks of 64.
    pub slots: usize,
    /// Dimensions whose signs are read of every scanned row.
    pub first_layer_dimensions: usize,
    /// Dimensions whose signs are read only of rows that the first layer leaves.
    pub second_layer_dimensions: usize,
    /// Why it is as it is, in words.
    pub reason: String,
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
        // A query needs few pages of these, here and there: the next ones are not worth reading. Of both layers of the
        // codes it needs nearly all, in order.
        for kind in [Kind::Vectors, Kind::Details, Kind::Blobs] {
            mapping.read_at_random(header.section(kind).range());
        }
        let rotation = Rotation::new(header.description.dimensions, header.coding.seed);
        let cold = AtomicU32::new(sections::COLD_SEARCHES);
        Ok(Self { path: path.into(), header, digest, digits: digest.to_string(), rotation, mapping, cold })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn description(&self) -> &ShardDescription {
        &self.header.description
    }

    /// Number of references.
    pub fn len(&self) -> usize {
        self.header.rows as usize
    }

    /// Whether there are only tombstones.
    pub fn is_empty(&self) -> bool {
        self.header.rows == 0
    }

    /// The shard's digest, which stands for all of its content: 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digits
    }

    /// A region that all its places lie in; `None` without references.
    pub fn region(&self) -> Option<Region> {
        self.header.bounds.map(|bounds| bounds.region())
    }

    /// How its codes are laid out, and why.
    pub fn layout(&self) -> LayoutInfo {
        let (coding, layers) = (self.header.coding, self.layers());
        let layout = Layout { lists: coding.lists, centroids: coding.centroids };
        let first = layers.first().min(layers.dimensions());
        LayoutInfo {
            lists: if coding.lists { coding.centroids as usize } else { 0 },
            centroids: coding.centroids as usize,
            slots: coding.slots as usize,
            first_layer_dimensions: first,
            second_layer_dimensions: layers.dimensions() - first,
            reason: layout.reason(self.header.rows),
        }
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

    /// The position of a row in the order in which references were given to the writer. Reads nothing but that.
    ///
    /// # Errors
    /// No such row; or the file was cut.
    pub fn position(&self, row: u32) -> Result<u32, ReadError> {
        self.check_row(row)?;
        self.columns()?.position(row).ok_or_else(|| self.too_short(Kind::Columns))
    }

    /// The row of a position; `None` where no reference has it. Looks through all rows.
    ///
    /// # Errors
    /// The file was cut.
    pub fn row_at(&self, position: u32) -> Result<Option<u32>, ReadError> {
        let columns = self.columns()?;
        Ok((0..self.header.rows).find(|row| columns.position(*row) == Some(position)))
    }

    /// The blob of a row; `None` without one. Brings in no other row's.
    ///
    /// # Errors
    /// No such row; or the file is damaged there or was cut.
    pub fn blob(&self, row: u32) -> Result<Option<&[u8]>, ReadError> {
        self.check_row(row)?;
        let section = self.section(Kind::Blobs)?;
        if section.is_empty() {
            return Ok(None);
        }
        blobs::get(section, self.header.rows, row).map_err(|fault| self.damaged(Kind::Blobs, Some(row), fault))
    }

    /// The embedding of a row, as it came back from the bytes that it is stored in: unit length, and some hundredths of
    /// a degree from what was given to the writer.
    ///
    /// # Errors
    /// No such row; or the file was cut.
    pub fn vector(&self, row: u32) -> Result<Vec<f32>, ReadError> {
        self.check_row(row)?;
        let (scale, bytes) = self.vectors()?.get(row).ok_or_else(|| self.too_short(Kind::Vectors))?;
        let mut vector = vec![0.0; bytes.len()];
        dequantize(scale, bytes, &mut vector);
        self.rotation.invert(&mut vector);
        Ok(vector)
    }

    /// The names of all sources that its references come from, rising by their bytes.
    ///
    /// # Errors
    /// The file is damaged there or was cut.
    pub fn source_names(&self) -> Result<Vec<&str>, ReadError> {
        let names: Result<Vec<_>, Fault> = self.sources()?.names().collect();
        names.map_err(|fault| self.damaged(Kind::Sources, None, fault))
    }

    /// From which shards, by their digests, it removes how many rows.
    ///
    /// # Errors
    /// The file is damaged there or was cut.
    pub fn tombstones(&self) -> Result<Vec<(String, usize)>, ReadError> {
        let records = self.removed()?.records();
        let shown = records.map(|record| record.map(|record| (record.digest.to_string(), record.len())));
        shown.collect::<Result<_, _>>().map_err(|fault| self.damaged(Kind::Removed, None, fault))
    }

    /// Brings in from the disk what every query reads, the codes and what belongs to them, and waits until it is there.
    ///
    /// # Errors
    /// The operating system refused, or a page cannot be read.
    pub fn prefault(&self) -> Result<(), ReadError> {
        let refused = |error| ReadError::Io { path: self.path.clone(), action: "bring in the codes", error };
        for kind in [Kind::Codes, Kind::Second, Kind::Centroids, Kind::Slots, Kind::Zones, Kind::Removed, Kind::Decoder]
        {
            self.mapping.populate(self.header.section(kind).range()).map_err(refused)?;
        }
        Ok(())
    }

    fn check_row(&self, row: u32) -> Result<(), ReadError> {
        let rows = self.header.rows;
        let missing = || ReadError::NoSuchRow { path: self.path.clone(), found: row, rows };
        if row < rows { Ok(()) } else { Err(missing()) }
    }

    /// The bytes of a section, without padding.
    fn section(&self, kind: Kind) -> Result<&[u8], ReadError> {
        let refused = |error| ReadError::Io { path: self.path.clone(), action: "read its length", error };
        let bytes = self.mapping.bytes().map_err(refused)?;
        let (path, expected) = (&self.path, self.mapping.len());
        let bytes = bytes.map_err(|found| ReadError::Cut { path: path.clone(), expected, found })?;
        range(&self.header.section(kind), bytes).ok_or_else(|| self.too_short(kind))
    }

    pub(crate) fn damaged(&self, kind: Kind, row: Option<u32>, fault: Fault) -> ReadError {
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
