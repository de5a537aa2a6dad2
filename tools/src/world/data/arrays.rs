//! NumPy arrays of records of equal size that are written one record after the other and can be gone on with.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes of the preamble and the header together, as NumPy aligns them.
const HEADER_BYTES: usize = 128;

/// An array that grows to `rows` records.
#[derive(Debug)]
pub struct ArrayWriter {
    out: BufWriter<File>,
}

/// The header of an array of `rows` records of this type and shape.
fn header(descr: &str, rows: usize, shape: &str) -> Vec<u8> {
    let width = HEADER_BYTES - 10;
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {shape}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(width).unwrap_or_default().to_le_bytes());
    bytes.extend(format!("{text:<pad$}\n", pad = width - 1).as_bytes());
    bytes
}

/// What an array holds.
#[derive(Debug, Clone)]
pub struct Shape {
    /// NumPy's name of the type.
    pub descr: &'static str,
    /// Shape of a record, as it stands in the header.
    pub record: String,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// Number of records when it is complete.
    pub rows: usize,
}

impl Shape {
    /// Complete records of an array that was begun; 0 where there is none or it is another one.
    pub fn rows_in(&self, path: &Path) -> usize {
        let header = header(self.descr, self.rows, &self.record);
        let mut found = vec![0; header.len()];
        let Ok(mut file) = File::open(path) else { return 0 };
        if file.read_exact(&mut found).is_err() || found != header {
            return 0;
        }
        let length = file.metadata().map_or(0, |file| usize::try_from(file.len()).unwrap_or(usize::MAX));
        (length.saturating_sub(header.len()) / self.record_bytes.max(1)).min(self.rows)
    }
}

impl ArrayWriter {
    /// Opens an array for the records from `from` on; what stands behind is cut off.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path, shape: &Shape, from: usize) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.write_all(&header(shape.descr, shape.rows, &shape.record))?;
        let end = HEADER_BYTES as u64 + from as u64 * shape.record_bytes as u64;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self { out: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Writes the next record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn push(&mut self, record: &[u8]) -> io::Result<()> {
        self.out.write_all(record)
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_was_cut_goes_on_at_the_last_whole_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let shape = Shape { descr: "|u1", record: "2, 3".to_owned(), record_bytes: 6, rows: 3 };
        assert_eq!(shape.rows_in(&path), 0);
        let mut whole = ArrayWriter::open(&path, &shape, 0).unwrap();
        (0..3_u8).for_each(|row| whole.push(&[row; 6]).unwrap());
        whole.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((bytes.len(), shape.rows_in(&path)), (HEADER_BYTES + 18, 3));
        std::fs::write(&path, &bytes[..HEADER_BYTES + 15]).unwrap();
        assert_eq!(shape.rows_in(&path), 2);
        let mut rest = ArrayWriter::open(&path, &shape, 2).unwrap();
        rest.push(&[2; 6]).unwrap();
        rest.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(Shape { rows: 4, ..shape }.rows_in(&path), 0);
    }
}
