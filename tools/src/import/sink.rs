//! Where the rows of all data sets go: checked, counted, written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

use super::Request;
use super::archives::Extracted;
use super::check::Check;
use super::coordinates;
use super::dropped::Dropped;
use super::row_writer::RowWriter;
use super::summary::Summary;
use super::trimmed;
use super::without::Without;
use crate::pictures::path_below;

/// One row, as texts of the source.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row<'a> {
    /// Line of the source, from 1; 0 where rows are no lines.
    pub(super) line: u64,
    /// The picture, relative to the root of the data set.
    pub(super) file: &'a str,
    /// Latitude in degrees.
    pub(super) lat: &'a str,
    /// Longitude in degrees.
    pub(super) lon: &'a str,
    /// Number of the photo, where it has one.
    pub(super) photo: &'a str,
    /// Its owner, where one is known.
    pub(super) user: &'a str,
    /// The other columns, in the order of the header.
    pub(super) more: &'a [&'a str],
}

/// Which pictures are looked for.
enum Pictures {
    /// None.
    Any,
    /// Those below the root; files of so many bytes or fewer stand for photos that were deleted.
    Below { placeholder_bytes: u64 },
}

/// Writes a poses CSV. The file appears under its name when it is whole.
pub(super) struct Sink {
    data_set: &'static str,
    root: PathBuf,
    out: PathBuf,
    writer: RowWriter,
    places: bool,
    pictures: Pictures,
    dropped: Dropped,
    without: Without,
    check: Option<Check>,
    notes: Vec<String>,
    rows: u64,
    written: u64,
    bytes: u64,
    start: Instant,
    extracted: Option<Extracted>,
}

/// The columns of every row of places, and those of rows that have none.
const PLACE: [&str; 3] = ["file", "lat", "lon"];

impl Sink {
    /// A sink of places, with more columns than `file,lat,lon`.
    ///
    /// # Errors
    /// An archive cannot be unpacked, or a file cannot be written.
    pub(super) fn places(request: &Request, data_set: &'static str, more: &[&str]) -> anyhow::Result<Self> {
        Self::open(request, data_set, &PLACE, more)
    }

    /// A sink of pictures that are nowhere on the Earth: rows have no `lat,lon`.
    ///
    /// # Errors
    /// As [`Self::places`].
    pub(super) fn pairs(request: &Request, data_set: &'static str, more: &[&str]) -> anyhow::Result<Self> {
        Self::open(request, data_set, &["file"], more)
    }

    fn open(request: &Request, data_set: &'static str, first: &[&str], more: &[&str]) -> anyhow::Result<Self> {
        let start = Instant::now();
        if !request.root.is_dir() {
            bail!("--root {}: expected a folder, found none", request.root.display());
        }
        let extracted = request.extract.then(|| super::archives::extract_all(&request.root)).transpose()?;
        let folder = match request.out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = NamedTempFile::new_in(folder).with_context(|| format!("{}: cannot write", request.out.display()))?;
        let mut writer = RowWriter::new(file);
        // The shard keeps it, so that a gallery of several sets can be searched by parts.
        let source: &[&str] = if first.len() > 1 { &["source"] } else { &[] };
        writer.row(&[first, more, source]).with_context(|| format!("{}: cannot write", request.out.display()))?;
        Ok(Self {
            data_set,
            root: request.root.clone(),
            out: request.out.clone(),
            writer,
            places: first.len() > 1,
            pictures: if request.no_pictures { Pictures::Any } else { Pictures::Below { placeholder_bytes: 0 } },
            dropped: Dropped::new(request.dropped.as_deref())?,
            without: Without::read(&request.without)?,
            check: request.check.then(|| Check::new(folder)),
            notes: Vec::new(),
            rows: 0,
            written: 0,
            bytes: 0,
            start,
            extracted,
        })
    }

    /// Takes pictures of so many bytes or fewer for placeholders of photos that were deleted.
    pub(super) fn with_placeholders(mut self, bytes: u64) -> Self {
        if let Pictures::Below { placeholder_bytes } = &mut self.pictures {
            *placeholder_bytes = bytes;
        }
        self
    }

    /// Whether rows are left out whose pictures are not there.
    pub(super) fn looks_at_pictures(&self) -> bool {
        matches!(self.pictures, Pictures::Below { .. })
    }

    /// Something that a reader of the figures must know.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// So many bytes of tables were read.
    pub(super) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Leaves a row out.
    ///
    /// # Errors
    /// The list of what is left out cannot be written.
    pub(super) fn drop_row(&mut self, row: &str, reason: &'static str, message: &str) -> anyhow::Result<()> {
        self.rows += 1;
        self.dropped.add(row, reason, message)
    }

    /// Leaves a line of a table out that is no row.
    ///
    /// # Errors
    /// As [`Self::drop_row`].
    pub(super) fn drop_line(&mut self, source: &Path, line: u64, message: &str) -> anyhow::Result<()> {
        self.drop_row(&format!("{}, line {line}", source.display()), "bad_row", message)
    }

    /// Writes a row, or leaves it out and counts why.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn row(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        self.rows += 1;
        if let Err((reason, message)) = self.verdict(row) {
            let line = if row.line > 0 { format!("line {}", row.line) } else { String::new() };
            let name = [line.as_str(), row.file].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
            return self.dropped.add(&name.join(", "), reason, &message);
        }
        let place = self.places.then_some((row.lat, row.lon));
        if let Some(check) = &mut self.check {
            check.add(row.file, place)?;
        }
        let written = match place {
            Some((lat, lon)) => self.writer.row(&[&[row.file, trimmed(lat), trimmed(lon)], row.more, &[self.data_set]]),
            None => self.writer.row(&[&[row.file], row.more]),
        };
        written.with_context(|| format!("{}: cannot write", self.out.display()))?;
        self.written += 1;
        Ok(())
    }

    fn verdict(&self, row: &Row<'_>) -> Result<(), (&'static str, String)> {
        if row.file.is_empty() {
            return Err(("bad_row", "expected the name of a picture, found none".to_owned()));
        }
        if self.places {
            coordinates::check(row.lat, row.lon)?;
        }
        if let Some(reason) = self.without.reason(row.photo, row.user) {
            return Err((reason, "it is among the photos or users of --without".to_owned()));
        }
        if row.file.starts_with('/') || row.file.contains("..") {
            path_below(&self.root, row.file).map_err(|error| (error.reason(), error.to_string()))?;
        }
        let Pictures::Below { placeholder_bytes } = self.pictures else { return Ok(()) };
        let path = self.root.join(row.file);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() == 0 => Err(("empty_picture", "the file is empty".to_owned())),
            Ok(found) if found.is_file() && found.len() <= placeholder_bytes => {
                let message = format!("{} bytes, as what stands for a deleted photo has", found.len());
                Err(("placeholder", message))
            }
            Ok(found) if found.is_file() => Ok(()),
            _ => Err(("no_picture", format!("{}: no such picture", path.display()))),
        }
    }

    /// Ends the file and says what came of it.
    ///
    /// # Errors
    /// No row is left, or a file cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<Summary> {
        let images = self.looks_at_pictures().then(|| self.root.clone());
        if self.written == 0 {
            let missing = self.dropped.of("no_picture");
            let hint = if missing > 0 {
                format!(
                    "; {missing} of them name a picture that is not there (--extract unpacks the archives, --no-pictures \
                     keeps such rows)"
                )
            } else {
                String::new()
            };
            let reasons = self.dropped.finish()?;
            let counts: Vec<String> =
                reasons.iter().map(|(reason, found)| format!("{reason} x {}", found.rows)).collect();
            bail!("{}: none of {} rows can be used ({}){hint}", self.root.display(), self.rows, counts.join(", "));
        }
        let file = self.writer.finish().with_context(|| format!("{}: cannot write", self.out.display()))?;
        let check = self.check.map(|check| check.finish(images.as_deref())).transpose()?;
        crate::import::persist(file, &self.out)?;
        Ok(Summary {
            data_set: self.data_set,
            rows: self.rows,
            written: self.written,
            dropped: self.dropped.finish()?,
            notes: self.notes,
            check,
            extracted: self.extracted,
            table_bytes: self.bytes,
            seconds: self.start.elapsed().as_secs_f64(),
            out: self.out,
        })
    }
}
