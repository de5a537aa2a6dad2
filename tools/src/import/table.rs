//! Tables of any size: separated by commas or tabs, perhaps compressed by gzip or bzip2.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bzip2::read::MultiBzDecoder;
use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;

use super::line_guard::LineGuard;
use super::trimmed;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 16;

/// Opens a file for reading; one whose name ends in `.gz` or `.bz2` is decompressed, all parts of it: parallel
/// compressors write several, one after the other.
///
/// # Errors
/// It cannot be opened.
pub(super) fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    let file = File::open(path).with_context(|| format!("{}: cannot read", path.display()))?;
    let file = BufReader::with_capacity(READ_BYTES, file);
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(MultiGzDecoder::new(file)),
        Some("bz2") => Box::new(MultiBzDecoder::new(file)),
        _ => Box::new(file),
    })
}

/// What went wrong while a file was read, which for a compressed one most often means that it is not whole.
pub(super) fn read_error(path: &Path, line: u64, error: &io::Error) -> anyhow::Error {
    let compressed = path.extension().is_some_and(|extension| extension == "gz" || extension == "bz2");
    let cut = compressed && matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData);
    let hint = if cut { "; is the download whole?" } else { "" };
    anyhow::anyhow!("{}, after line {line}: cannot read: {error}{hint}", path.display())
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Commas, quotes, a header.
    Csv,
    /// Tabs, no quotes, no header, as many fields as the first row has.
    Tsv,
}

/// A table that is read row by row.
pub(super) struct Table {
    path: PathBuf,
    reader: csv::Reader<LineGuard<Box<dyn Read>>>,
    names: Vec<String>,
    record: ByteRecord,
    fields: usize,
    line: u64,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    record: &'a ByteRecord,
    /// Line where the row starts, from 1.
    pub(super) line: u64,
}

impl<'a> Fields<'a> {
    /// The trimmed text of a column; empty where there is none, or none in UTF-8.
    pub(super) fn text(&self, column: usize) -> &'a str {
        trimmed(self.record.get(column).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default())
    }

    /// The same for a column that the table may not have.
    pub(super) fn optional(&self, column: Option<usize>) -> &'a str {
        column.map(|column| self.text(column)).unwrap_or_default()
    }
}

impl Table {
    /// Opens a table and reads its header, if it has one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(path: &Path, form: Form) -> anyhow::Result<Self> {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).buffer_capacity(READ_BYTES);
        if form == Form::Tsv {
            builder.delimiter(b'\t').quoting(false);
        }
        let reader = builder.from_reader(LineGuard::new(open(path)?));
        let (names, record) = (Vec::new(), ByteRecord::new());
        let mut table = Self { path: path.to_owned(), reader, names, record, fields: 0, line: 0 };
        if form == Form::Csv {
            table.read()?;
            let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').trim().to_owned();
            table.names = table.record.iter().map(name).collect();
            table.fields = table.names.len();
        }
        Ok(table)
    }

    fn read(&mut self) -> anyhow::Result<bool> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(more) => {
                self.line = self.record.position().map_or(self.line, csv::Position::line);
                Ok(more)
            }
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(error) => Err(read_error(&self.path, self.line, &error)),
                kind => bail!("{}, after line {}: cannot read: {kind:?}", self.path.display(), self.line),
            },
        }
    }

    /// Bytes read so far, decompressed.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.get_ref().total()
    }

    /// The first column with one of these names, in upper or lower case.
    pub(super) fn find(&self, names: &[&str]) -> Option<usize> {
        let is_it = |name: &&str| self.names.iter().position(|found| found.eq_ignore_ascii_case(name));
        names.iter().find_map(is_it)
    }

    /// As [`Self::find`], for a column that must be there.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn column(&self, names: &[&str]) -> anyhow::Result<usize> {
        self.find(names).with_context(|| {
            let (path, found) = (self.path.display(), self.names.join(","));
            format!("{path}, line 1: expected a column {}, found {found}", names.join(" or "))
        })
    }

    /// The next row; the inner error says why this one cannot be used, those below it still can.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub(super) fn next_row(&mut self) -> anyhow::Result<Option<Result<Fields<'_>, (u64, String)>>> {
        if !self.read()? {
            return Ok(None);
        }
        let (found, line) = (self.record.len(), self.line);
        if self.fields == 0 {
            self.fields = found;
        }
        Ok(Some(if found == self.fields {
            Ok(Fields { record: &self.record, line })
        } else {
            Err((line, format!("expected {} fields, found {found}", self.fields)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn rows(path: &Path, form: Form) -> anyhow::Result<Vec<String>> {
        let mut table = Table::open(path, form)?;
        let mut rows = Vec::new();
        while let Some(row) = table.next_row()? {
            rows.push(match row {
                Ok(fields) => format!("{}:{}|{}", fields.line, fields.text(0), fields.text(1)),
                Err((line, message)) => format!("{line}: {message}"),
            });
        }
        Ok(rows)
    }

    #[test]
    fn columns_are_found_by_name_and_short_rows_are_named_by_line() {
        let (_folder, path) = file("a.csv", b"\xef\xbb\xbfIMG_ID,Lat\n\"a,b.jpg\", 5 \nc\nd,6\n");
        assert_eq!(rows(&path, Form::Csv).unwrap(), ["2:a,b.jpg|5", "3: expected 2 fields, found 1", "4:d|6"]);
        let table = Table::open(&path, Form::Csv).unwrap();
        assert_eq!((table.find(&["x", "LAT"]), table.find(&["lon"])), (Some(1), None));
        assert!(table.column(&["lon"]).unwrap_err().to_string().contains("found IMG_ID,Lat"));
    }

    #[test]
    fn tabs_need_no_quotes() {
        let (_folder, path) = file("a.txt", b"1\tan \"odd title\n2\tb\n");
        assert_eq!(rows(&path, Form::Tsv).unwrap(), ["1:1|an \"odd title", "2:2|b"]);
    }

    #[test]
    fn several_compressed_parts_are_one_table_and_a_cut_one_is_an_error() {
        let part = |text: &str| {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let whole = [part("a,b\n1,2\n"), part("3,4\n")].concat();
        let (_folder, path) = file("a.csv.bz2", &whole);
        assert_eq!(rows(&path, Form::Csv).unwrap(), ["2:1|2", "3:3|4"]);
        let (_folder, path) = file("a.csv.bz2", &whole[..whole.len() - 9]);
        let error = rows(&path, Form::Csv).unwrap_err().to_string();
        assert!(error.contains("a.csv.bz2") && error.contains("whole"), "{error}");
    }
}
