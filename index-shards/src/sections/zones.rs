//! The section of zones: where and when the rows of each run of 1024 are, so that a search with a window can pass over
//! whole runs.
//!
//! One record per 1024 rows, the last one of what is left, 32 bytes:
//!
//! | offset in the record | type | what |
//! |---|---|---|
//! | 0 | i32 × 4 | least latitude, least longitude, greatest latitude, greatest longitude, 1e-7 degree |
//! | 16 | i64 × 2 | first and last time of capture, Unix milliseconds; -2^63 and -2^63 when no row has one |
//!
//! Longitudes are compared as numbers: a run on both sides of the antimeridian spans nearly all of them.

use super::columns::NO_TIME;
use super::stream::{SectionError, SectionStream};
use crate::fault::{Fault, expect};
use crate::fields::Fields;
use std::io::Read;

/// Rows of a zone.
pub(crate) const ZONE_ROWS: u32 = 1024;
/// One record as it lies in the file.
type Record = [u8; 32];

/// Bytes of the section.
pub(crate) fn length(rows: u32) -> u64 {
    u64::from(rows.div_ceil(ZONE_ROWS)) * size_of::<Record>() as u64
}

/// Bounds of up to [`ZONE_ROWS`] rows, stored units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) south: i32,
    pub(crate) west: i32,
    pub(crate) north: i32,
    pub(crate) east: i32,
    /// First and last time of capture; `None` when no row has one.
    pub(crate) captured: Option<(i64, i64)>,
}

impl Zone {
    /// Of no row yet.
    pub(crate) const EMPTY: Self =
        Self { south: i32::MAX, west: i32::MAX, north: i32::MIN, east: i32::MIN, captured: None };

    pub(crate) fn add_lat(&mut self, lat: i32) {
        (self.south, self.north) = (self.south.min(lat), self.north.max(lat));
    }

    pub(crate) fn add_lon(&mut self, lon: i32) {
        (self.west, self.east) = (self.west.min(lon), self.east.max(lon));
    }

    /// Takes in a time as it is stored, [`NO_TIME`] included.
    pub(crate) fn add_time(&mut self, at_ms: i64) {
        if at_ms != NO_TIME {
            let (first, last) = self.captured.unwrap_or((at_ms, at_ms));
            self.captured = Some((first.min(at_ms), last.max(at_ms)));
        }
    }

    pub(crate) fn encode(&self) -> Record {
        let (first, last) = self.captured.unwrap_or((NO_TIME, NO_TIME));
        let edges = [self.south, self.west, self.north, self.east].into_iter().flat_map(i32::to_le_bytes);
        let mut record = Record::default();
        let fields = edges.chain([first, last].into_iter().flat_map(i64::to_le_bytes));
        record.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
        record
    }

    fn decode(record: &Record) -> Result<Self, Fault> {
        let mut fields = Fields::new(record);
        let [south, west, north, east] =
            [fields.i32("zone")?, fields.i32("zone")?, fields.i32("zone")?, fields.i32("zone")?];
        let (first, last) = (fields.i64("zone")?, fields.i64("zone")?);
        let captured = (first != NO_TIME || last != NO_TIME).then_some((first, last));
        Ok(Self { south, west, north, east, captured })
    }
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zones<'a> {
    records: &'a [Record],
}

impl<'a> Zones<'a> {
    pub(crate) fn new(section: &'a [u8]) -> Self {
        Self { records: section.as_chunks().0 }
    }

    /// Zone `at`, that of the rows from [`ZONE_ROWS`] times `at` on, unchecked.
    pub(crate) fn get(&self, at: usize) -> Option<Zone> {
        Zone::decode(self.records.get(at)?).ok()
    }
}

/// Checks that the section that `stream` reads holds `expected`.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, expected: &[Zone]) -> Result<(), SectionError> {
    let mut zones = expected.iter();
    stream.records(expected.len() as u64, |_, record: &Record| {
        let found = Zone::decode(record)?;
        let expected = zones.next();
        Ok(expect(expected == Some(&found), "zone", format_args!("{expected:?}"), format_args!("{found:?}"))?)
    })
}
