//! NumPy's `.npy` files that hold a matrix of float32, one row per vector, or of int32.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 6 | `\x93NUMPY` |
//! | 6 | 2 | version: 1.0, 2.0 or 3.0 |
//! | 8 | 2 (version 1) or 4 | length of the header, little-endian |
//! | then | that many | Python dictionary: `descr` `<f4` or `<i4`, `fortran_order` False, `shape` (rows, columns) |
//! | then | rows * columns * 4 | float32 or int32, little-endian, row after row, to the end of the file |

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Longest header that is read, in bytes. NumPy itself writes 128.
const MAX_HEADER: usize = 65_536;

/// Why a file cannot be used as a matrix.
#[derive(Debug, Error)]
#[error("{path}: {kind}")]
pub struct NpyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: NpyErrorKind,
}

/// What is wrong with a `.npy` file.
#[derive(Debug, Error)]
pub enum NpyErrorKind {
    /// The file cannot be opened or read.
    #[error("cannot read: {0}")]
    Read(std::io::Error),
    /// The first bytes are those of something else.
    #[error("expected a NumPy file (it starts with \\x93NUMPY), found other bytes")]
    Magic,
    /// A version of the format that is not known.
    #[error("expected format version 1, 2 or 3, found {0}")]
    Version(u8),
    /// The header is longer than any real one, or than the file.
    #[error("expected a header of at most {limit} bytes, found a length of {found}")]
    HeaderLength {
        /// Bytes that it may have.
        limit: usize,
        /// Bytes that it claims.
        found: usize,
    },
    /// The header is not the dictionary that NumPy writes.
    #[error("expected {expected} in the header, found {found:?}")]
    Header {
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The file is shorter or longer than its shape says.
    #[error("expected {expected} bytes for {rows} x {columns} numbers of 4 bytes and their header, found {found}")]
    Length {
        /// Bytes that the shape asks for; `None` when that is more than any file can have.
        expected: Size,
        /// Rows that the header names.
        rows: usize,
        /// Columns that the header names.
        columns: usize,
        /// Bytes of the file.
        found: u64,
    },
}

/// A number of bytes, or more than a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub Option<u64>);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{bytes}"),
            None => f.write_str("more than 2^64"),
        }
    }
}

/// A type of number of 4 bytes.
#[derive(Debug, Clone, Copy)]
struct Element {
    /// NumPy's name of it.
    descr: &'static str,
    /// What the header should say.
    expected: &'static str,
}

const FLOAT32: Element = Element { descr: "<f4", expected: "'descr': '<f4' (float32, little-endian)" };
const INT32: Element = Element { descr: "<i4", expected: "'descr': '<i4' (int32, little-endian)" };

/// Reads the rows of a matrix one after the other; the file is never in memory as a whole.
#[derive(Debug)]
pub struct NpyReader {
    path: PathBuf,
    input: BufReader<File>,
    rows: usize,
    columns: usize,
    buffer: Vec<u8>,
}

impl NpyReader {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// The file cannot be read, is not a matrix of little-endian float32 in C order, or is cut or too long.
    pub fn open(path: &Path) -> Result<Self, NpyError> {
        Self::open_as(path, FLOAT32)
    }

    fn open_as(path: &Path, element: Element) -> Result<Self, NpyError> {
        let fail = |kind| NpyError { path: path.to_owned(), kind };
        let file = File::open(path).map_err(|error| fail(NpyErrorKind::Read(error)))?;
        let length = file.metadata().map_err(|error| fail(NpyErrorKind::Read(error)))?.len();
        let mut input = BufReader::with_capacity(1 << 20, file);
        let (rows, columns) = read_header(&mut input, length, element).map_err(fail)?;
        let row_bytes = columns.saturating_mul(4);
        Ok(Self { path: path.to_owned(), input, rows, columns, buffer: vec![0; row_bytes] })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of values of a vector.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The next row: [`Self::columns`] values as they stand in the file. To be called [`Self::rows`] times.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter since it was opened.
    pub fn next_row(&mut self) -> Result<Vec<f32>, NpyError> {
        self.next_numbers(f32::from_le_bytes)
    }

    /// Leaves out the next `rows` rows without reading them.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn skip(&mut self, rows: usize) -> Result<(), NpyError> {
        let beyond = || std::io::Error::from(std::io::ErrorKind::FileTooLarge);
        let bytes = rows.checked_mul(self.buffer.len()).and_then(|bytes| i64::try_from(bytes).ok());
        bytes
            .ok_or_else(beyond)
            .and_then(|bytes| self.input.seek_relative(bytes))
            .map_err(|error| NpyError { path: self.path.clone(), kind: NpyErrorKind::Read(error) })
    }

    fn next_numbers<T>(&mut self, number: impl Fn([u8; 4]) -> T) -> Result<Vec<T>, NpyError> {
        self.input
            .read_exact(&mut self.buffer)
            .map_err(|error| NpyError { path: self.path.clone(), kind: NpyErrorKind::Read(error) })?;
        Ok(self.buffer.as_chunks().0.iter().map(|bytes| number(*bytes)).collect())
    }
}

/// Reads a matrix of int32, whole.
///
/// # Errors
/// The file cannot be read, is not a matrix of little-endian int32 in C order, or is cut or too long.
pub fn read_rows_i32(path: &Path) -> Result<Vec<Vec<i32>>, NpyError> {
    let mut reader = NpyReader::open_as(path, INT32)?;
    (0..reader.rows).map(|_| reader.next_numbers(i32::from_le_bytes)).collect()
}

fn read_header(input: &mut impl Read, length: u64, element: Element) -> Result<(usize, usize), NpyErrorKind> {
    let mut start = [0_u8; 8];
    read_or(input, &mut start, || NpyErrorKind::Magic)?;
    let [magic @ .., major, _minor] = start;
    if &magic != b"\x93NUMPY" {
        return Err(NpyErrorKind::Magic);
    }
    let (prefix, claimed) = match major {
        1 => {
            let mut bytes = [0_u8; 2];
            read_or(input, &mut bytes, || NpyErrorKind::Magic)?;
            (10_u64, usize::from(u16::from_le_bytes(bytes)))
        }
        2 | 3 => {
            let mut bytes = [0_u8; 4];
            read_or(input, &mut bytes, || NpyErrorKind::Magic)?;
            (12_u64, usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX))
        }
        other => return Err(NpyErrorKind::Version(other)),
    };
    let left = usize::try_from(length.saturating_sub(prefix)).unwrap_or(usize::MAX);
    if claimed > left.min(MAX_HEADER) {
        return Err(NpyErrorKind::HeaderLength { limit: left.min(MAX_HEADER), found: claimed });
    }
    let mut header = vec![0_u8; claimed];
    read_or(input, &mut header, || NpyErrorKind::HeaderLength { limit: left, found: claimed })?;
    let (rows, columns) = parse_header(&String::from_utf8_lossy(&header), element)?;
    let expected = matrix_bytes(rows, columns).and_then(|bytes| bytes.checked_add(prefix)?.checked_add(claimed as u64));
    if expected == Some(length) {
        Ok((rows, columns))
    } else {
        Err(NpyErrorKind::Length { expected: Size(expected), rows, columns, found: length })
    }
}

fn read_or(input: &mut impl Read, bytes: &mut [u8], cut: impl FnOnce() -> NpyErrorKind) -> Result<(), NpyErrorKind> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => cut(),
        _ => NpyErrorKind::Read(error),
    })
}

fn matrix_bytes(rows: usize, columns: usize) -> Option<u64> {
    u64::try_from(rows.checked_mul(columns)?.checked_mul(4)?).ok()
}

/// Reads the dictionary; rows and columns.
fn parse_header(header: &str, element: Element) -> Result<(usize, usize), NpyErrorKind> {
    let value = |key: &'static str, expected: &'static str| {
        let found = || NpyErrorKind::Header { expected, found: header.trim().to_owned() };
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let after = quoted.iter().find_map(|key| header.split_once(key.as_str())).ok_or_else(found)?.1;
        after.trim_start().strip_prefix(':').map(str::trim_start).ok_or_else(found)
    };
    let descr = value("descr", "the key 'descr'")?;
    if ![format!("'{}'", element.descr), format!("\"{}\"", element.descr)].iter().any(|name| descr.starts_with(name)) {
        return Err(NpyErrorKind::Header { expected: element.expected, found: first(descr) });
    }
    let order = value("fortran_order", "the key 'fortran_order'")?;
    if !order.starts_with("False") {
        return Err(NpyErrorKind::Header { expected: "'fortran_order': False (row after row)", found: first(order) });
    }
    let shape = value("shape", "the key 'shape'")?;
    parse_shape(shape).ok_or_else(|| NpyErrorKind::Header {
        expected: "'shape': (rows, columns), both at least 1",
        found: shape.split_inclusive(')').next().unwrap_or_default().to_owned(),
    })
}

fn first(text: &str) -> String {
    text.split([',', '}']).next().unwrap_or_default().trim().to_owned()
}

fn parse_shape(text: &str) -> Option<(usize, usize)> {
    let inside = text.strip_prefix('(')?.split_once(')')?.0;
    let (rows, columns) = inside.split_once(',')?;
    let columns = columns.trim().strip_suffix(',').unwrap_or(columns);
    let number = |text: &str| text.trim().parse::<usize>().ok().filter(|&number| number > 0);
    Some((number(rows)?, number(columns)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn open(bytes: &[u8]) -> Result<NpyReader, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        NpyReader::open(file.path()).map_err(|error| error.kind.to_string())
    }

    const GOOD: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }    \n";

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn rows_come_as_they_stand_in_the_file_in_all_versions() {
        for version in [1, 2, 3] {
            let mut reader = open(&npy(version, GOOD, &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap();
            assert_eq!((reader.rows(), reader.columns()), (2, 3));
            assert_eq!(reader.next_row().unwrap(), [1.0, 2.0, 3.0]);
            assert_eq!(reader.next_row().unwrap(), [4.0, 5.0, 6.0]);
            assert!(reader.next_row().is_err());
        }
    }

    #[test]
    fn rows_can_be_left_out() {
        let mut reader = open(&npy(1, GOOD, &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))).unwrap();
        reader.skip(0).unwrap();
        reader.skip(1).unwrap();
        assert_eq!(reader.next_row().unwrap(), [4.0, 5.0, 6.0]);
        reader.skip(usize::MAX).unwrap_err();
    }

    #[test]
    fn double_quotes_other_orders_and_a_trailing_comma_are_read() {
        let header = "{\"shape\": (2, 3,), \"fortran_order\": False, \"descr\": \"<f4\"}\n";
        assert!(open(&npy(1, header, &[0; 24])).is_ok());
    }

    #[test]
    fn whole_numbers_are_read_as_such_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let data: Vec<u8> = [0_i32, -1, i32::MAX, 3, 4, 5].iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(file.path(), npy(1, &GOOD.replace("<f4", "<i4"), &data)).unwrap();
        assert_eq!(read_rows_i32(file.path()).unwrap(), [[0, -1, i32::MAX], [3, 4, 5]]);
        assert!(NpyReader::open(file.path()).unwrap_err().to_string().contains("<f4"));
        std::fs::write(file.path(), npy(1, GOOD, &data)).unwrap();
        assert!(read_rows_i32(file.path()).unwrap_err().to_string().contains("<i4"));
    }

    #[test]
    fn a_truncated_file_names_both_lengths() {
        let message = open(&npy(1, GOOD, &[0; 20])).unwrap_err();
        let (whole, cut) = (10 + GOOD.len() + 24, 10 + GOOD.len() + 20);
        assert!(message.contains(&whole.to_string()) && message.contains(&cut.to_string()), "{message}");
        assert!(open(&npy(1, GOOD, &[0; 28])).is_err(), "bytes after the matrix");
    }

    #[test]
    fn every_cut_of_the_header_is_refused() {
        let whole = npy(1, GOOD, &[0; 24]);
        for length in 0..whole.len() {
            assert!(open(&whole[..length]).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn other_types_and_orders_are_refused_by_what_was_found() {
        for (from, to, part) in [
            ("'<f4'", "'<f8'", "<f8"),
            ("'<f4'", "'>f4'", ">f4"),
            ("'<f4'", "'<i8'", "<i8"),
            ("False", "True", "True"),
            ("(2, 3)", "(6,)", "(6,)"),
            ("(2, 3)", "(1, 2, 3)", "(1, 2, 3)"),
            ("(2, 3)", "(0, 3)", "(0, 3)"),
            ("(2, 3)", "(-2, 3)", "(-2, 3)"),
            ("'descr'", "'type'", "descr"),
        ] {
            let message = open(&npy(1, &GOOD.replace(from, to), &[0; 24])).unwrap_err();
            assert!(message.contains(part), "{message} should say {part}");
        }
    }

    #[test]
    fn a_shape_whose_bytes_overflow_is_refused() {
        let header = GOOD.replace("(2, 3)", "(9223372036854775807, 8)");
        assert!(open(&npy(1, &header, &[0; 24])).unwrap_err().contains("more than 2^64"));
        let header = GOOD.replace("(2, 3)", "(99999999999999999999999, 8)");
        assert!(open(&npy(1, &header, &[0; 24])).unwrap_err().contains("shape"));
        let header = GOOD.replace("(2, 3)", "(1, 1000000000000)");
        assert!(open(&npy(1, &header, &[0; 24])).unwrap_err().contains("4000000000"), "no memory is taken for it");
    }

    #[test]
    fn a_huge_header_length_and_a_wrong_start_are_refused() {
        let mut bytes = npy(2, GOOD, &[0; 24]);
        bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(open(&bytes).unwrap_err().contains("4294967295"));
        assert!(open(b"not a numpy file, really").unwrap_err().contains("NUMPY"));
        assert!(open(b"").unwrap_err().contains("NUMPY"));
        assert!(open(&npy(9, GOOD, &[0; 24])).unwrap_err().contains("found 9"));
        assert!(NpyReader::open(Path::new("/no/such.npy")).unwrap_err().to_string().contains("/no/such.npy"));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_or_refused_without_a_panic(header: String, data: Vec<u8>) {
            drop(open(&npy(2, &header, &data)));
            let _ = parse_header(&header, FLOAT32);
        }
    }
}
