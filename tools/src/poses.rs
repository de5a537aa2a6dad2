//! The poses CSV: where and how each picture was taken.
//!
//! A header with at least `file,lat,lon`, in any order, then one row per picture. UTF-8, with or without a byte order
//! mark, with LF or CRLF. Empty fields are absent values. Columns that are not known are kept as text. Times are
//! RFC 3339; a time without a zone is taken as UTC.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use index_shards::Place;
use thiserror::Error;

use crate::pose_row::{Columns, Row};

/// One row of a poses CSV, or the position that a picture's EXIF tags give.
#[derive(Debug, Clone, PartialEq)]
pub struct Pose {
    /// Position of the row among the rows below the header, from 0, bad rows counted.
    pub index: usize,
    /// Line of the file where the row starts, from 1; 0 when the pose is from EXIF tags.
    pub line: u64,
    /// The picture, relative to the folder of pictures; also the name of the reference.
    pub file: String,
    /// Position, altitude above mean sea level, heading, time and footprint.
    pub place: Place,
    /// What the picture is for: `reference`, `query`, `outside`, or whatever the file says.
    pub role: Option<String>,
    /// The reference that shows this picture's place.
    pub positive: Option<String>,
    /// References that also show it, but less well.
    pub semi_positives: Vec<String>,
    /// Every other column by its name, the known ones too, as text; empty fields are left out.
    pub columns: BTreeMap<String, String>,
}

/// A row or picture that cannot be used, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The picture, or the place in the CSV when the row names none.
    pub name: String,
    /// One word for the kind of reason, to count by.
    pub reason: &'static str,
    /// What was expected and what was found.
    pub message: String,
}

/// All rows of one source of poses.
#[derive(Debug, Clone, Default)]
pub struct PoseTable {
    /// The CSV file, or the folder whose pictures carry EXIF positions.
    pub path: PathBuf,
    /// The names of the columns in the order of the header.
    pub columns: Vec<String>,
    /// The good rows in the order of the file.
    pub poses: Vec<Pose>,
    /// The bad rows in the order of the file.
    pub refused: Vec<Refused>,
    /// The pictures that the bad rows name, as far as they name one.
    pub refused_files: Vec<String>,
    /// Number of rows below the header, good and bad.
    pub rows: usize,
}

/// Why a CSV file cannot be used at all.
#[derive(Debug, Error)]
pub enum PosesError {
    /// The file cannot be opened or read.
    #[error("{path}: cannot read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: csv::Error,
    },
    /// The header lacks a column that every row needs.
    #[error("{path}, line 1: column {column:?} is missing, expected at least {expected}, found {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// All columns that are needed.
        expected: String,
        /// The columns of the header.
        found: String,
    },
    /// The header names a column twice.
    #[error("{path}, line 1: column {column:?} stands there twice, expected every column once")]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A row cannot be used.
    #[error("{0}")]
    Row(#[from] RowError),
}

/// Why one row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}, line {line}, column {column}: found {found:?}, expected {expected}")]
pub struct RowError {
    /// The file.
    pub path: PathBuf,
    /// Line where the row starts, from 1.
    pub line: u64,
    /// The column.
    pub column: String,
    /// The text that stands there.
    pub found: String,
    /// What should stand there.
    pub expected: String,
}

/// Reads a poses CSV. Bad rows do not fail the call: they stand in [`PoseTable::refused`].
///
/// # Errors
/// The file cannot be read, a needed column is missing, a column stands in the header twice.
pub fn read(path: &Path) -> Result<PoseTable, PosesError> {
    let file = File::open(path).map_err(|error| PosesError::Read { path: path.to_owned(), source: error.into() })?;
    parse(path, file)
}

/// Parses a poses CSV from any reader; `path` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, input: impl Read) -> Result<PoseTable, PosesError> {
    let mut records = Records::open(path, input, &["file", "lat", "lon"])?;
    let mut table =
        PoseTable { path: path.to_owned(), columns: records.columns.names().to_vec(), ..PoseTable::default() };
    let mut seen: HashMap<String, u64> = HashMap::new();
    while let Some(record) = records.next_record()? {
        let index = table.rows;
        table.rows += 1;
        let file =
            record.as_ref().ok().and_then(|line| line.row(path, &records.columns).text("file").map(str::to_owned));
        match record.and_then(|line| line.row(path, &records.columns).pose(index, &mut seen)) {
            Ok(pose) => table.poses.push(pose),
            Err(error) => {
                table.refused.push(error.refused());
                table.refused_files.extend(file);
            }
        }
    }
    Ok(table)
}

impl RowError {
    /// The row, as it is named among what is left out.
    pub(crate) fn refused(&self) -> Refused {
        Refused {
            name: format!("{}, line {}", self.path.display(), self.line),
            reason: "bad_row",
            message: format!("column {}: found {:?}, expected {}", self.column, self.found, self.expected),
        }
    }
}

/// One record with the line where it starts.
pub(crate) struct Line {
    record: StringRecord,
    number: u64,
}

impl Line {
    /// The record as a row of the file at `path` whose header is `columns`.
    pub(crate) fn row<'a>(&'a self, path: &'a Path, columns: &'a Columns) -> Row<'a> {
        Row::new(path, columns, &self.record, self.number)
    }
}

/// Walks over the rows of a CSV file whose header has been checked.
pub(crate) struct Records<R> {
    path: PathBuf,
    reader: csv::Reader<R>,
    pub(crate) columns: Columns,
}

impl<R: Read> Records<R> {
    /// Reads and checks the header.
    pub(crate) fn open(path: &Path, input: R, needed: &[&'static str]) -> Result<Self, PosesError> {
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
        let mut header = ByteRecord::new();
        reader.read_byte_record(&mut header).map_err(|source| PosesError::Read { path: path.to_owned(), source })?;
        let columns = Columns::from_header(path, &header, needed)?;
        Ok(Self { path: path.to_owned(), reader, columns })
    }

    /// The next row; the inner error is of this row alone, the rows below it can still be read.
    pub(crate) fn next_record(&mut self) -> Result<Option<Result<Line, RowError>>, PosesError> {
        let mut record = ByteRecord::new();
        let more = self
            .reader
            .read_byte_record(&mut record)
            .map_err(|source| PosesError::Read { path: self.path.clone(), source })?;
        if !more {
            return Ok(None);
        }
        let number = record.position().map_or(0, csv::Position::line);
        let fields = record.len();
        let fail = |column: &str, found: String, expected: String| RowError {
            path: self.path.clone(),
            line: number,
            column: column.to_owned(),
            found,
            expected,
        };
        let expected_fields = self.columns.names().len();
        if fields != expected_fields {
            let expected = format!("{expected_fields} fields as in the header (a comma in a name needs quotes)");
            return Ok(Some(Err(fail("(all)", format!("{fields} fields"), expected))));
        }
        Ok(Some(StringRecord::from_byte_record(record).map(|record| Line { record, number }).map_err(|error| {
            let column = self.columns.names().get(error.utf8_error().field()).cloned().unwrap_or_default();
            fail(&column, "bytes that are not UTF-8".to_owned(), "UTF-8 text".to_owned())
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> PoseTable {
        parse(Path::new("p.csv"), text.as_bytes()).expect("the header is good")
    }

    fn refused(text: &str) -> String {
        let table = table(text);
        assert_eq!(table.refused.len(), 1, "{:?}", table.refused);
        let refused = table.refused.first().expect("one");
        format!("{}: {}", refused.name, refused.message)
    }

    #[test]
    fn known_columns_are_read_and_unknown_ones_kept() {
        let table = table(
            "lon,file,lat,alt_m,heading_deg,time,role,positive,semi_positives,weather\n\
             8.5,a.jpg,50.25,120.5,-90,2014-10-19T13:20:51,query,r1.jpg,r2.jpg; r3.jpg,fog\n",
        );
        let pose = table.poses.first().expect("one row");
        assert_eq!((pose.place.lat_deg, pose.place.lon_deg), (50.25, 8.5));
        assert_eq!(pose.place.alt_m, Some(120.5));
        assert_eq!(pose.place.heading_deg, Some(270.0));
        assert_eq!(pose.place.captured_at_ms, Some(1_413_724_851_000));
        assert_eq!(pose.role.as_deref(), Some("query"));
        assert_eq!(pose.positive.as_deref(), Some("r1.jpg"));
        assert_eq!(pose.semi_positives, ["r2.jpg", "r3.jpg"]);
        assert_eq!(pose.columns.get("weather").map(String::as_str), Some("fog"));
        assert_eq!((pose.index, pose.line), (0, 2));
    }

    #[test]
    fn byte_order_mark_carriage_returns_quotes_and_empty_fields_are_tolerated() {
        let table = table("\u{feff}file,lat,lon,alt_m\r\n\"a, b.jpg\",1,2,\r\nc.jpg,3,4,5\r\n");
        assert!(table.refused.is_empty(), "{:?}", table.refused);
        assert_eq!(table.poses.iter().map(|pose| pose.file.as_str()).collect::<Vec<_>>(), ["a, b.jpg", "c.jpg"]);
        assert_eq!(table.poses[0].place.alt_m, None);
    }

    #[test]
    fn times_with_zone_without_zone_and_with_fractions_are_read_as_utc() {
        let times = "file,lat,lon,time\na,1,2,2019-11-18T23:45:14.500\nb,1,2,2019-11-18T23:45:14.5Z\n\
                     c,1,2,2019-11-19T00:45:14.500+01:00\n";
        for pose in table(times).poses {
            assert_eq!(pose.place.captured_at_ms, Some(1_574_120_714_500), "{}", pose.file);
        }
    }

    #[test]
    fn a_footprint_comes_from_two_corners() {
        let head = "file,lat,lon,top_left_lat,top_left_lon,bottom_right_lat,bottom_right_lon\n";
        let footprint = table(&format!("{head}a,1,2,1.5,1.5,0.5,2.5\n")).poses[0].place.footprint.expect("a footprint");
        assert_eq!(
            (footprint.north_deg, footprint.west_deg, footprint.south_deg, footprint.east_deg),
            (1.5, 1.5, 0.5, 2.5)
        );
        assert!(refused(&format!("{head}a,1,2,1.5,,0.5,2.5\n")).contains("top_left_lon"));
        assert!(refused(&format!("{head}a,1,2,0.5,1.5,1.5,2.5\n")).contains("north of"));
    }

    #[test]
    fn swapped_coordinates_are_recognised() {
        let message = refused("file,lat,lon\na.jpg,-98.08,30.17\n");
        assert_eq!(
            message,
            "p.csv, line 2: column lat: found \"-98.08\", expected degrees within -90 and 90; latitude and longitude look \
             swapped"
        );
    }

    #[test]
    fn impossible_values_name_line_column_and_value() {
        for (row, part) in [
            ("a,91,200", "line 2: column lat: found \"91\""),
            ("a,1,180.5", "column lon: found \"180.5\""),
            ("a,NaN,5", "column lat: found \"NaN\""),
            ("a,inf,5", "column lat: found \"inf\""),
            ("a,1.5.2,5", "column lat: found \"1.5.2\""),
            ("a,,5", "column lat: found \"\""),
            (",1,5", "column file: found \"\""),
            ("a,1", "found \"2 fields\""),
            ("a,b.jpg,1,2", "found \"4 fields\""),
        ] {
            let message = refused(&format!("file,lat,lon\n{row}\n"));
            assert!(message.contains(part), "{message} should say {part}");
        }
        for (column, value) in
            [("alt_m", "high"), ("alt_m", "inf"), ("heading_deg", "400"), ("pitch_deg", "91"), ("time", "yesterday")]
        {
            let message = refused(&format!("file,lat,lon,{column}\na,1,2,{value}\n"));
            assert!(message.contains(&format!("column {column}: found {value:?}")), "{message}");
        }
    }

    #[test]
    fn a_file_that_stands_there_twice_is_refused_the_second_time() {
        let table = table("file,lat,lon\na,1,2\na,3,4\n");
        assert_eq!(table.poses.len(), 1);
        assert!(table.refused[0].message.contains("line 2"), "{:?}", table.refused);
        assert_eq!(table.rows, 2);
    }

    #[test]
    fn a_bad_row_leaves_the_numbers_of_the_others() {
        let table = table("file,lat,lon\na,1,2\nb,x,2\nc,1,2\n");
        assert_eq!(table.poses.iter().map(|pose| pose.index).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_by_row() {
        let table = parse(Path::new("p.csv"), &b"file,lat,lon\n\xff\xfe,1,2\nb,1,2\n"[..]).expect("the header is good");
        assert_eq!((table.poses.len(), table.refused.len()), (1, 1));
    }

    #[test]
    fn a_bad_header_is_an_error_that_names_the_column() {
        let error = |text: &str| parse(Path::new("p.csv"), text.as_bytes()).expect_err("a bad header").to_string();
        assert!(error("file,latitude,lon\n").contains("\"lat\" is missing"));
        assert!(error("file,latitude,lon\n").contains("latitude"));
        assert!(error("").contains("\"file\" is missing"));
        assert!(error("file,lat,lon,lat\n").contains("\"lat\" stands there twice"));
        assert!(read(Path::new("/no/such/poses.csv")).expect_err("no file").to_string().contains("/no/such/poses.csv"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>) {
            let mut text = b"file,lat,lon,time,heading_deg\n".to_vec();
            text.extend(bytes);
            if let Ok(table) = parse(Path::new("p.csv"), text.as_slice()) {
                proptest::prop_assert_eq!(table.poses.len() + table.refused.len(), table.rows);
            }
        }
    }
}
