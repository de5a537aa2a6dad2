//! Rows of a CSV, fast where nothing in them needs quotes.

use std::io::{self, Write};

use tempfile::NamedTempFile;

/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 16;

/// Writes rows into a file that has no name yet.
#[derive(Debug)]
pub(super) struct RowWriter {
    file: NamedTempFile,
    buffer: Vec<u8>,
}

impl RowWriter {
    pub(super) fn new(file: NamedTempFile) -> Self {
        Self { file, buffer: Vec::with_capacity(2 * WRITE_BYTES) }
    }

    /// Writes the fields of all parts as one row. A row is put together as if no field needed quotes; commas, quotes and
    /// line ends beyond those between the fields tell that one does, and crate `csv` writes it then.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn row(&mut self, parts: &[&[&str]]) -> io::Result<()> {
        let start = self.buffer.len();
        let mut fields = 0_u32;
        for field in parts.iter().copied().flatten() {
            self.buffer.extend_from_slice(field.as_bytes());
            self.buffer.push(b',');
            fields += 1;
        }
        let row = self.buffer.get(start..).unwrap_or_default();
        // Where a sum may wrap, many bytes are looked at at once; no row is long enough for it to wrap.
        let special = row
            .iter()
            .fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(matches!(byte, b',' | b'"' | b'\r' | b'\n'))));
        let is_plain = special == fields && row.len() > 1;
        match self.buffer.last_mut() {
            Some(last) if is_plain => *last = b'\n',
            _ => {
                self.buffer.truncate(start);
                csv::Writer::from_writer(&mut self.buffer).write_record(parts.iter().copied().flatten())?;
            }
        }
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// The file, with all rows in it and on the disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn finish(mut self) -> io::Result<NamedTempFile> {
        self.flush()?;
        self.file.as_file().sync_all()?;
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_those_of_crate_csv(
            rows in prop::collection::vec(prop::collection::vec("[ab,\"\r\n é]{0,4}", 3), 0..20),
        ) {
            let mut ours = RowWriter::new(NamedTempFile::new().unwrap());
            let mut theirs = csv::Writer::from_writer(Vec::new());
            for row in &rows {
                let fields: Vec<&str> = row.iter().map(String::as_str).collect();
                ours.row(&[&fields[..1], &fields[1..]]).unwrap();
                theirs.write_record(&fields).unwrap();
            }
            prop_assert_eq!(std::fs::read(ours.finish().unwrap().path()).unwrap(), theirs.into_inner().unwrap());
        }
    }

    #[test]
    fn a_row_of_one_empty_field_is_no_empty_line() {
        let mut writer = RowWriter::new(NamedTempFile::new().unwrap());
        writer.row(&[&[""]]).unwrap();
        assert_eq!(std::fs::read(writer.finish().unwrap().path()).unwrap(), b"\"\"\n");
    }
}
