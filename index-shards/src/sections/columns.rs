//! The section of columns: what a search may ask of a row beside its vector.
//!
//! With `n` rows:
//!
//! | offset | type | what |
//! |---|---|---|
//! | `4 row` | i32 | latitude, 1e-7 degree |
//! | `4 n + 4 row` | i32 | longitude, 1e-7 degree |
//! | `8 n + 8 row` | i64 | time of capture, Unix milliseconds UTC; -2^63 when it is not known |
//! | `16 n + 2 row` | u16 | source: 0 for none, else its place in the section of sources, from 1 |
//! | `18 n + 4 row` | u32 | position in the order in which references were given to the writer; no two are the same |

use super::stream::{SectionError, SectionStream, in_row};
use super::zones::{ZONE_ROWS, Zone};
use crate::distinct::Distinct;
use crate::fault::{Fault, expect};
use crate::place::{HALF_TURN, QUARTER_TURN, TIME_RANGE_MS, to_degrees};
use crate::region::{Bounds, Extent};
use std::io::Read;

/// What stands for a time that is not known.
pub(crate) const NO_TIME: i64 = i64::MIN;
/// Bytes that a row takes in each column.
const WIDTHS: [u64; 5] = [4, 4, 8, 2, 4];

/// Bytes of the section.
pub(crate) fn length(rows: u32) -> u64 {
    WIDTHS.iter().sum::<u64>() * u64::from(rows)
}

/// Where each column begins, bytes from the beginning of the section: latitude, longitude, time, source, position.
pub(crate) fn offsets(rows: u32) -> [u64; 5] {
    let mut next = 0;
    WIDTHS.map(|width| {
        let offset = next;
        next += width * u64::from(rows);
        offset
    })
}

/// What the columns say of a row, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columned {
    pub(crate) lat: i32,
    pub(crate) lon: i32,
    /// [`NO_TIME`] when it is not known.
    pub(crate) captured_ms: i64,
    /// 0 for none.
    pub(crate) source: u16,
    pub(crate) position: u32,
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    lats: &'a [[u8; 4]],
    lons: &'a [[u8; 4]],
    times: &'a [[u8; 8]],
    sources: &'a [[u8; 2]],
    positions: &'a [[u8; 4]],
}

impl<'a> Columns<'a> {
    /// `None` when the section is too short for `rows`.
    pub(crate) fn new(section: &'a [u8], rows: u32) -> Option<Self> {
        let rows = usize::try_from(rows).ok()?;
        let (lats, rest) = section.split_at_checked(rows.checked_mul(4)?)?;
        let (lons, rest) = rest.split_at_checked(rows.checked_mul(4)?)?;
        let (times, rest) = rest.split_at_checked(rows.checked_mul(8)?)?;
        let (sources, rest) = rest.split_at_checked(rows.checked_mul(2)?)?;
        let (positions, _) = rest.split_at_checked(rows.checked_mul(4)?)?;
        Some(Self {
            lats: lats.as_chunks().0,
            lons: lons.as_chunks().0,
            times: times.as_chunks().0,
            sources: sources.as_chunks().0,
            positions: positions.as_chunks().0,
        })
    }

    /// Latitude and longitude of a row, stored units, unchecked.
    pub(crate) fn coordinates(&self, row: u32) -> Option<(i32, i32)> {
        let at = row as usize;
        Some((i32::from_le_bytes(*self.lats.get(at)?), i32::from_le_bytes(*self.lons.get(at)?)))
    }

    /// Time of capture of a row, Unix milliseconds, [`NO_TIME`] when it is not known, unchecked.
    pub(crate) fn captured_ms(&self, row: u32) -> Option<i64> {
        self.times.get(row as usize).map(|time| i64::from_le_bytes(*time))
    }

    /// Source of a row, 0 for none, unchecked.
    pub(crate) fn source(&self, row: u32) -> Option<u16> {
        self.sources.get(row as usize).map(|source| u16::from_le_bytes(*source))
    }

    /// Position of a row, unchecked.
    pub(crate) fn position(&self, row: u32) -> Option<u32> {
        self.positions.get(row as usize).map(|position| u32::from_le_bytes(*position))
    }

    /// All that is said of a row, unchecked.
    pub(crate) fn get(&self, row: u32) -> Option<Columned> {
        let (lat, lon) = self.coordinates(row)?;
        let (captured_ms, source, position) = (self.captured_ms(row)?, self.source(row)?, self.position(row)?);
        Some(Columned { lat, lon, captured_ms, source, position })
    }
}

/// What verifying the section tells about the others.
#[derive(Debug)]
pub(crate) struct Found {
    /// What the section of zones has to hold.
    pub(crate) zones: Vec<Zone>,
    /// The greatest source.
    pub(crate) sources: u16,
    /// The positions that were seen.
    pub(crate) positions: Distinct,
}

/// Checks every row of the section that `stream` reads, and that the places' bounds are those of the header.
pub(crate) fn verify<R: Read>(
    stream: &mut SectionStream<R>,
    rows: u32,
    bounds: Option<Bounds>,
) -> Result<Found, SectionError> {
    let mut zones = vec![Zone::EMPTY; rows.div_ceil(ZONE_ROWS) as usize];
    let mut extent = Extent::default();
    let count = u64::from(rows);
    let mut widen = |row: u64, widen: &dyn Fn(&mut Zone)| {
        let at = usize::try_from(row / u64::from(ZONE_ROWS)).ok();
        if let Some(zone) = at.and_then(|at| zones.get_mut(at)) {
            widen(zone);
        }
    };
    stream.records(count, |row, lat| {
        let lat = i32::from_le_bytes(*lat);
        extent.add_lat(lat);
        widen(row, &|zone| zone.add_lat(lat));
        check_units("lat_deg", lat, QUARTER_TURN).map_err(in_row(row))
    })?;
    stream.records(count, |row, lon| {
        let lon = i32::from_le_bytes(*lon);
        extent.add_lon(lon);
        widen(row, &|zone| zone.add_lon(lon));
        check_units("lon_deg", lon, HALF_TURN).map_err(in_row(row))
    })?;
    stream.records(count, |row, time| {
        let time = i64::from_le_bytes(*time);
        widen(row, &|zone| zone.add_time(time));
        check_time(time).map_err(in_row(row))
    })?;
    let mut sources = 0;
    stream.records(count, |_, source| {
        sources = sources.max(u16::from_le_bytes(*source));
        Ok(())
    })?;
    let positions = verify_positions(stream, count)?;
    check_bounds(extent.bounds(), bounds)?;
    Ok(Found { zones, sources, positions })
}

/// Checks that no position of the first range comes twice.
fn verify_positions<R: Read>(stream: &mut SectionStream<R>, count: u64) -> Result<Distinct, SectionError> {
    let mut positions = Distinct::default();
    stream.records(count, |row, position| {
        let again = |position| Fault::new("position", "no position twice", format_args!("{position} again"));
        positions.insert(u32::from_le_bytes(*position)).map_err(again).map_err(in_row(row))
    })?;
    Ok(positions)
}

/// Passes when the places have the bounds that the header says.
fn check_bounds(found: Option<Bounds>, said: Option<Bounds>) -> Result<(), Fault> {
    expect(found == said, "region", format_args!("{found:?} as the places have"), format_args!("{said:?}"))
}

fn check_units(field: &'static str, units: i32, limit: i32) -> Result<(), Fault> {
    let good = (-limit..=limit).contains(&units);
    let found = to_degrees(units);
    expect(good, field, format_args!("-{0} to {0} degrees", to_degrees(limit)), found)
}

/// Passes for a time as it is stored.
pub(crate) fn check_time(at_ms: i64) -> Result<(), Fault> {
    let good = at_ms == NO_TIME || TIME_RANGE_MS.contains(&at_ms);
    expect(good, "captured_at_ms", "a time in the years 1 to 9999", at_ms)
}
