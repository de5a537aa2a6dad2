//! One row of a CSV file with a header: typed access to its fields.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

use csv::{ByteRecord, StringRecord};
use index_shards::{Footprint, Place};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::poses::{Pose, PosesError, RowError};

/// The header of a CSV file: which name stands in which column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    names: Vec<String>,
    at: HashMap<String, usize>,
}

impl Columns {
    /// Checks the header: every column once, all needed ones there.
    pub(crate) fn from_header(path: &Path, header: &ByteRecord, needed: &[&'static str]) -> Result<Self, PosesError> {
        let mut columns = Self::default();
        for (position, name) in header.iter().enumerate() {
            let text = String::from_utf8_lossy(name);
            let name = text.trim_start_matches('\u{feff}').trim().to_owned();
            if columns.at.insert(name.clone(), position).is_some() {
                return Err(PosesError::DuplicateColumn { path: path.to_owned(), column: name });
            }
            columns.names.push(name);
        }
        match needed.iter().find(|name| !columns.at.contains_key(**name)) {
            None => Ok(columns),
            Some(column) => Err(PosesError::MissingColumn {
                path: path.to_owned(),
                column,
                expected: needed.join(","),
                found: columns.names.join(","),
            }),
        }
    }

    /// The names in the order of the file.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

/// One row with what its errors need to name it.
pub(crate) struct Row<'a> {
    path: &'a Path,
    columns: &'a Columns,
    record: &'a StringRecord,
    line: u64,
}

const LATITUDES: RangeInclusive<f64> = -90.0..=90.0;
const LONGITUDES: RangeInclusive<f64> = -180.0..=180.0;

impl<'a> Row<'a> {
    pub(crate) fn new(path: &'a Path, columns: &'a Columns, record: &'a StringRecord, line: u64) -> Self {
        Self { path, columns, record, line }
    }

    /// Line of the file where the row starts, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The trimmed text of a column; `None` when it is empty or when there is no such column.
    pub(crate) fn text(&self, column: &str) -> Option<&'a str> {
        let position = self.columns.at.get(column)?;
        self.record.get(*position).map(str::trim).filter(|text| !text.is_empty())
    }

    /// As [`Self::text`], but an empty field is an error.
    pub(crate) fn needed_text(&self, column: &str, expected: &str) -> Result<&'a str, RowError> {
        self.text(column).ok_or_else(|| self.error(column, expected))
    }

    /// The error that the text of `column` is not what was expected.
    pub(crate) fn error(&self, column: &str, expected: impl Into<String>) -> RowError {
        RowError {
            path: self.path.to_owned(),
            line: self.line,
            column: column.to_owned(),
            found: self.text(column).unwrap_or_default().to_owned(),
            expected: expected.into(),
        }
    }

    fn number(&self, column: &str, range: &RangeInclusive<f64>, unit: &str) -> Result<Option<f64>, RowError> {
        let Some(text) = self.text(column) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(self.error(column, format!("{unit} within {} and {}", range.start(), range.end()))),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the field is stored as f32")]
    fn small(&self, column: &str, range: &RangeInclusive<f64>, unit: &str) -> Result<Option<f32>, RowError> {
        Ok(self.number(column, range, unit)?.map(|value| value as f32))
    }

    fn coordinate(&self, column: &str, range: &RangeInclusive<f64>) -> Result<f64, RowError> {
        self.number(column, range, "degrees")?
            .ok_or_else(|| self.error(column, format!("degrees within {} and {}", range.start(), range.end())))
    }

    /// Reads the whole row as a pose; `seen` holds the files of the rows above with their lines.
    pub(crate) fn pose(&self, index: usize, seen: &mut HashMap<String, u64>) -> Result<Pose, RowError> {
        let file = self.file()?.to_owned();
        if let Some(first) = seen.get(&file) {
            return Err(self.error("file", once(*first)));
        }
        let place = self.place()?;
        seen.insert(file.clone(), self.line);
        let text = |column: &str| self.text(column).map(str::to_owned);
        let semi_positives = self.text("semi_positives").unwrap_or_default();
        Ok(Pose {
            index,
            line: self.line,
            file,
            place,
            role: text("role"),
            positive: text("positive"),
            semi_positives: semi_positives
                .split(';')
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect(),
            columns: self.all_columns(),
        })
    }

    /// The picture's name.
    pub(crate) fn file(&self) -> Result<&'a str, RowError> {
        self.needed_text("file", "the name of a picture")
    }

    /// Where and how the picture was taken. Known columns that a place does not hold are checked too.
    pub(crate) fn place(&self) -> Result<Place, RowError> {
        let lat_deg = self.coordinate("lat", &LATITUDES).map_err(|error| self.perhaps_swapped(error))?;
        let place = Place {
            lat_deg,
            lon_deg: self.coordinate("lon", &LONGITUDES)?,
            alt_m: self.small("alt_m", &(-1e5..=1e6), "metres")?,
            heading_deg: self.small("heading_deg", &(-360.0..=360.0), "degrees")?.map(|deg| deg.rem_euclid(360.0)),
            captured_at_ms: self.time()?,
            footprint: self.footprint()?,
        };
        for (column, range, unit) in [
            ("rel_alt_m", -1e5..=1e5, "metres"),
            ("agl_m", -1e5..=1e5, "metres"),
            ("pitch_deg", -90.0..=90.0, "degrees"),
            ("hfov_deg", f64::MIN_POSITIVE..=360.0, "degrees"),
        ] {
            self.number(column, &range, unit)?;
        }
        Ok(place)
    }

    fn all_columns(&self) -> BTreeMap<String, String> {
        let named = self.columns.names.iter().filter_map(|name| Some((name.clone(), self.text(name)?.to_owned())));
        named.collect()
    }

    fn perhaps_swapped(&self, mut error: RowError) -> RowError {
        let value = |column: &str| self.text(column).and_then(|text| text.parse::<f64>().ok());
        if value("lat").is_some_and(|lat| LONGITUDES.contains(&lat))
            && value("lon").is_some_and(|lon| LATITUDES.contains(&lon))
        {
            error.expected.push_str("; latitude and longitude look swapped");
        }
        error
    }

    /// Capture time in Unix milliseconds; a time without zone counts as UTC.
    fn time(&self) -> Result<Option<i64>, RowError> {
        let Some(text) = self.text("time") else { return Ok(None) };
        let time_ms = time_ms(text).ok_or_else(|| self.error("time", "an RFC 3339 time like 2026-05-04T12:30:00Z"))?;
        Ok(Some(time_ms))
    }

    fn footprint(&self) -> Result<Option<Footprint>, RowError> {
        const CORNERS: [&str; 4] = ["top_left_lat", "top_left_lon", "bottom_right_lat", "bottom_right_lon"];
        if CORNERS.iter().all(|column| self.text(column).is_none()) {
            return Ok(None);
        }
        let [north, west, south, east] = CORNERS;
        let footprint = Footprint {
            north_deg: self.coordinate(north, &LATITUDES)?,
            west_deg: self.coordinate(west, &LONGITUDES)?,
            south_deg: self.coordinate(south, &LATITUDES)?,
            east_deg: self.coordinate(east, &LONGITUDES)?,
        };
        if footprint.north_deg <= footprint.south_deg {
            return Err(self.error(north, format!("a latitude north of {south} {}", footprint.south_deg)));
        }
        Ok(Some(footprint))
    }
}

/// What is expected of a file that stands in a line above already.
pub(crate) fn once(first_line: u64) -> String {
    format!("every file once; this one stands in line {first_line} already")
}

/// Unix milliseconds of an RFC 3339 time; one without a zone counts as UTC.
pub(crate) fn time_ms(text: &str) -> Option<i64> {
    let zoned = text.parse::<Timestamp>().ok();
    let instant = zoned.or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
    });
    instant.map(Timestamp::as_millisecond)
}
