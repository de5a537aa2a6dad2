//! Writing a shard.

use crate::description::ShardDescription;
use crate::error::WriteError;
use crate::fault::{Fault, expect};
use crate::header::{HEADER_BYTES, Header, check_description_length};
use crate::place::Place;
use crate::sections::names::{self, NamesWriter};
use crate::sections::places::PlacesWriter;
use crate::sections::{Entry, Kind, SectionSink, vectors};
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Bytes that are written to the file at once.
const BUFFER_BYTES: usize = 1 << 20;
/// Longest part of a name that an error shows, in characters.
const SHOWN_NAME_CHARS: usize = 100;

/// A shard that has been written or verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSummary {
    /// Where it is.
    pub path: PathBuf,
    /// Number of references.
    pub rows: usize,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// What stands for all of its content: 64 hexadecimal digits.
    pub digest: String,
}

/// Writes one shard. Embeddings go straight to a temporary file in the output's folder (`.geoshard.*.tmp`); names and
/// places stay in memory, some 100 bytes a row and the names. [`finish`](Self::finish) makes the file appear under its name; a
/// writer that is dropped instead leaves nothing behind. The same calls write the same bytes.
#[derive(Debug)]
pub struct ShardWriter {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    description: ShardDescription,
    vectors: SectionSink,
    places: PlacesWriter,
    names: NamesWriter,
    rows: u32,
    /// The row that is being written, as bytes.
    scratch: Vec<u8>,
    /// Whether a write failed: what is in the file then is not known.
    failed: bool,
}

impl ShardWriter {
    /// Begins a shard that will be at `out`; what is there now stays until [`finish`](Self::finish) replaces it.
    ///
    /// # Errors
    /// An impossible or too long description; `out` is a folder; its folder does not exist or cannot be written to.
    pub fn create(out: &Path, description: ShardDescription) -> Result<Self, WriteError> {
        check_description(&description).map_err(|fault| WriteError::Description { path: out.into(), fault })?;
        if out.file_name().is_none() || out.is_dir() {
            return Err(WriteError::NotAFile { path: out.into() });
        }
        // As any new file: readable by whom the umask allows it, not only by the owner as temporary files are.
        let file = tempfile::Builder::new()
            .prefix(".geoshard.")
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder(out))
            .map_err(refused(out, "create a temporary file beside it"))?;
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        file.write_all(&[0; HEADER_BYTES]).map_err(refused(out, "write the header"))?;
        Ok(Self {
            path: out.into(),
            file,
            description,
            vectors: SectionSink::default(),
            places: PlacesWriter::default(),
            names: NamesWriter::default(),
            rows: 0,
            scratch: Vec::new(),
            failed: false,
        })
    }

    /// Adds a reference and returns its row, counted from 0. `name` has 1 to [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES)
    /// bytes, no control characters, and is unique; `embedding` has the description's dimensions, is finite, and has
    /// unit length within [`UNIT_TOLERANCE`](crate::UNIT_TOLERANCE).
    ///
    /// # Errors
    /// A refused row names the reference and the field; the writer goes on without it. After a failed write the writer
    /// refuses everything.
    pub fn push(&mut self, name: &str, place: &Place, embedding: &[f32]) -> Result<u32, WriteError> {
        self.check_failed()?;
        self.check_row(name, place, embedding).map_err(|fault| WriteError::Row {
            path: self.path.clone(),
            name: name.chars().take(SHOWN_NAME_CHARS).collect(),
            fault,
        })?;
        let row = self.rows;
        let next = row.checked_add(1).ok_or_else(|| WriteError::Full { path: self.path.clone() })?;
        if let Err(error) = vectors::write_row(&mut self.vectors, &mut self.file, &mut self.scratch, embedding) {
            self.failed = true;
            return Err(refused(&self.path, "write a vector")(error));
        }
        self.places.push(place);
        self.names.push(name, row);
        self.rows = next;
        Ok(row)
    }

    /// Writes the rest, has it all on the disk, and moves it into place in one step, replacing what was there.
    ///
    /// # Errors
    /// No row was added; or the operating system refused: then the output is as it was before. Only when it is the
    /// folder that cannot be synced, which is the last step, the new file is in place already.
    pub fn finish(mut self) -> Result<ShardSummary, WriteError> {
        self.check_failed()?;
        let bounds = self.places.bounds().ok_or_else(|| WriteError::Empty { path: self.path.clone() })?;
        let sections = self.write_sections().map_err(refused(&self.path, "write places and names"))?;
        let header = Header { description: self.description, rows: self.rows, bounds, sections };
        let fault = |fault| WriteError::Description { path: self.path.clone(), fault };
        let (page, digest) = header.encode().map_err(fault)?;
        let file = self.file.into_inner().map_err(|error| refused(&self.path, "write")(error.into_error()))?;
        let bytes = place(file, &self.path, page.as_slice())?;
        Ok(ShardSummary { path: self.path, rows: header.rows as usize, bytes, digest: digest.to_string() })
    }

    fn check_failed(&self) -> Result<(), WriteError> {
        if self.failed { Err(WriteError::Failed { path: self.path.clone() }) } else { Ok(()) }
    }

    fn check_row(&self, name: &str, place: &Place, embedding: &[f32]) -> Result<(), Fault> {
        names::check(name)?;
        if let Some(row) = self.names.row_of(name) {
            return Err(Fault::new("name", "no name twice", format_args!("the name of row {row} again")));
        }
        place.check()?;
        let wanted = self.description.dimensions;
        let found = format_args!("{} components", embedding.len()).to_string();
        expect(embedding.len() == wanted, "embedding", format_args!("{wanted} components"), found)?;
        vectors::check(embedding.iter().copied())
    }

    /// Pads the vectors and writes the other sections behind them.
    fn write_sections(&mut self) -> io::Result<[Entry; 3]> {
        let file = &mut self.file;
        let beyond = || io::Error::from(io::ErrorKind::FileTooLarge);
        let vectors = std::mem::take(&mut self.vectors).finish(file, Kind::Vectors, HEADER_BYTES as u64)?;
        let mut sink = SectionSink::default();
        self.places.write(&mut sink, file)?;
        let places = sink.finish(file, Kind::Places, vectors.end().ok_or_else(beyond)?)?;
        let mut sink = SectionSink::default();
        self.names.write(&mut sink, file)?;
        let names = sink.finish(file, Kind::Names, places.end().ok_or_else(beyond)?)?;
        Ok([vectors, places, names])
    }
}

/// Writes the header into the otherwise complete file, and makes it durable under its name. Returns its length, bytes.
fn place(mut file: NamedTempFile, path: &Path, header: &[u8]) -> Result<u64, WriteError> {
    file.seek(SeekFrom::Start(0)).map_err(refused(path, "seek"))?;
    file.write_all(header).map_err(refused(path, "write the header"))?;
    file.as_file().sync_all().map_err(refused(path, "sync"))?;
    let bytes = file.as_file().metadata().map_err(refused(path, "read the length"))?.len();
    file.persist(path).map_err(|error| refused(path, "move the finished file into place")(error.error))?;
    File::open(folder(path)).and_then(|folder| folder.sync_all()).map_err(refused(path, "sync the folder"))?;
    Ok(bytes)
}

fn check_description(description: &ShardDescription) -> Result<(), Fault> {
    description.check()?;
    check_description_length(description.to_toml()?.len())
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> WriteError {
    move |error| WriteError::Io { path: path.into(), action, error }
}
