//! The section of places: coordinates in columns for searching, then one record of details per row.
//!
//! With `n` rows:
//!
//! | offset | type | what |
//! |---|---|---|
//! | `4 * row` | i32 | latitude, 1e-7 degree |
//! | `4 * n + 4 * row` | i32 | longitude, 1e-7 degree |
//! | `8 * n + 40 * row` | record | details, below |
//!
//! A record of details; what is absent is zero:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u32 | what is there: bit 0 altitude, 1 heading, 2 time, 3 footprint; other bits zero |
//! | 4 | f32 | altitude above mean sea level, metres |
//! | 8 | f32 | heading clockwise from true north, degrees |
//! | 12 | i32 × 4 | footprint: north, west, south, east, 1e-7 degree |
//! | 28 | u32 | zero |
//! | 32 | i64 | time of capture, Unix milliseconds UTC |

use super::{SectionError, SectionSink, SectionStream, in_row};
use crate::fault::{Fault, expect};
use crate::fields::{Fields, zero};
use crate::place::{Footprint, HALF_TURN, Place, QUARTER_TURN, to_degrees, to_units};
use crate::region::{Bounds, Extent};
use std::io::{self, Read, Write};

/// One coordinate as it lies in the file.
type Coordinate = [u8; size_of::<i32>()];
/// The details of one row as they lie in the file.
type Details = [u8; 40];
/// Bytes that a row takes in this section.
const ROW_BYTES: u64 = 48;

const HAS_ALTITUDE: u32 = 1;
const HAS_HEADING: u32 = 1 << 1;
const HAS_TIME: u32 = 1 << 2;
const HAS_FOOTPRINT: u32 = 1 << 3;

/// Bytes of the section.
pub(crate) fn length(rows: u32) -> u64 {
    u64::from(rows) * ROW_BYTES
}

/// Collects the section in memory, 48 bytes a row.
#[derive(Debug, Default)]
pub(crate) struct PlacesWriter {
    lats: Vec<Coordinate>,
    lons: Vec<Coordinate>,
    details: Vec<Details>,
    extent: Extent,
}

impl PlacesWriter {
    /// Appends a place that has been checked.
    pub(crate) fn push(&mut self, place: &Place) {
        let (lat, lon) = (to_units(place.lat_deg), to_units(place.lon_deg));
        self.lats.push(lat.to_le_bytes());
        self.lons.push(lon.to_le_bytes());
        self.details.push(encode_details(place));
        self.extent.add_lat(lat);
        self.extent.add_lon(lon);
    }

    /// Bounds of all places; `None` without a row.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        self.extent.bounds()
    }

    /// Writes the section.
    pub(crate) fn write(&self, sink: &mut SectionSink, out: &mut impl Write) -> io::Result<()> {
        sink.write(out, self.lats.as_flattened())?;
        sink.write(out, self.lons.as_flattened())?;
        sink.write(out, self.details.as_flattened())
    }
}

fn encode_details(place: &Place) -> Details {
    let flags = [
        (HAS_ALTITUDE, place.alt_m.is_some()),
        (HAS_HEADING, place.heading_deg.is_some()),
        (HAS_TIME, place.captured_at_ms.is_some()),
        (HAS_FOOTPRINT, place.footprint.is_some()),
    ];
    let flags: u32 = flags.iter().filter(|(_, there)| *there).map(|(flag, _)| flag).sum();
    let edges = place.footprint.map_or([0; 4], |footprint| {
        [footprint.north_deg, footprint.west_deg, footprint.south_deg, footprint.east_deg].map(to_units)
    });
    let mut details: Details = [0; 40];
    let fields = flags
        .to_le_bytes()
        .into_iter()
        .chain(place.alt_m.unwrap_or_default().to_le_bytes())
        .chain(place.heading_deg.unwrap_or_default().to_le_bytes())
        .chain(edges.into_iter().flat_map(i32::to_le_bytes))
        .chain([0; 4])
        .chain(place.captured_at_ms.unwrap_or_default().to_le_bytes());
    details.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    details
}

/// Reads what [`encode_details`] wrote, for the given coordinates in stored units, and checks all of it.
fn decode(lat: i32, lon: i32, details: &Details) -> Result<Place, Fault> {
    let mut fields = Fields::new(details);
    let flags = fields.u32("flags")?;
    let known = HAS_ALTITUDE | HAS_HEADING | HAS_TIME | HAS_FOOTPRINT;
    expect(flags & !known == 0, "flags", "bits 0 to 3 only", format_args!("{flags:#x}"))?;
    let alt_m = present(flags & HAS_ALTITUDE, fields.f32("alt_m")?, f32::to_bits, "alt_m")?;
    let heading_deg = present(flags & HAS_HEADING, fields.f32("heading_deg")?, f32::to_bits, "heading_deg")?;
    let edges: [u8; 16] = fields.array("footprint")?;
    let edges = present(flags & HAS_FOOTPRINT, edges, u128::from_le_bytes, "footprint")?;
    zero("reserved", &fields.array::<4>("reserved")?)?;
    let captured_at_ms = present(flags & HAS_TIME, fields.i64("captured_at_ms")?, |ms| ms, "captured_at_ms")?;
    let footprint = edges.map(|edges| decode_footprint(&edges)).transpose()?;
    let place =
        Place { lat_deg: to_degrees(lat), lon_deg: to_degrees(lon), alt_m, heading_deg, captured_at_ms, footprint };
    place.check().map(|()| place)
}

/// The value where its flag is set; where it is not, its bits must be zero.
fn present<T: Copy, B: Default + PartialEq>(
    flag: u32,
    value: T,
    bits: impl Fn(T) -> B,
    field: &'static str,
) -> Result<Option<T>, Fault> {
    if flag != 0 {
        return Ok(Some(value));
    }
    expect(bits(value) == B::default(), field, "zero where it is absent", "another value").map(|()| None)
}

fn decode_footprint(edges: &[u8; 16]) -> Result<Footprint, Fault> {
    let mut fields = Fields::new(edges);
    Ok(Footprint {
        north_deg: to_degrees(fields.i32("footprint.north_deg")?),
        west_deg: to_degrees(fields.i32("footprint.west_deg")?),
        south_deg: to_degrees(fields.i32("footprint.south_deg")?),
        east_deg: to_degrees(fields.i32("footprint.east_deg")?),
    })
}

/// The section as it is mapped.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    lats: &'a [Coordinate],
    lons: &'a [Coordinate],
    details: &'a [Details],
}

impl<'a> Places<'a> {
    /// `None` when the section is too short for `rows`.
    pub(crate) fn new(section: &'a [u8], rows: u32) -> Option<Self> {
        let column = usize::try_from(rows).ok()?.checked_mul(size_of::<Coordinate>())?;
        let (lats, rest) = section.split_at_checked(column)?;
        let (lons, details) = rest.split_at_checked(column)?;
        Some(Self { lats: lats.as_chunks().0, lons: lons.as_chunks().0, details: details.as_chunks().0 })
    }

    /// Latitude and longitude of every row, in stored units, unchecked.
    pub(crate) fn coordinates(&self) -> impl Iterator<Item = (i32, i32)> + use<'a> {
        let units = |bytes: &Coordinate| i32::from_le_bytes(*bytes);
        self.lats.iter().map(units).zip(self.lons.iter().map(units))
    }

    /// The place of `row`, checked.
    pub(crate) fn get(&self, row: u32) -> Result<Place, Fault> {
        let at = row as usize;
        let (Some(lat), Some(lon), Some(details)) = (self.lats.get(at), self.lons.get(at), self.details.get(at)) else {
            return Err(Fault::new("row", format_args!("less than {}", self.details.len()), row));
        };
        decode(i32::from_le_bytes(*lat), i32::from_le_bytes(*lon), details)
    }
}

/// Checks every row of the section that `stream` reads, and that the places' bounds are those of the header.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, rows: u32, bounds: Bounds) -> Result<(), SectionError> {
    let mut extent = Extent::default();
    stream.records(u64::from(rows), |row, lat: &Coordinate| {
        let lat = i32::from_le_bytes(*lat);
        extent.add_lat(lat);
        check_units("lat_deg", lat, QUARTER_TURN).map_err(in_row(row))
    })?;
    stream.records(u64::from(rows), |row, lon: &Coordinate| {
        let lon = i32::from_le_bytes(*lon);
        extent.add_lon(lon);
        check_units("lon_deg", lon, HALF_TURN).map_err(in_row(row))
    })?;
    stream.records(u64::from(rows), |row, details: &Details| decode(0, 0, details).map(drop).map_err(in_row(row)))?;
    let found = extent.bounds();
    let good = found == Some(bounds);
    Ok(expect(good, "region", format_args!("{found:?} as the places have"), format_args!("{bounds:?}"))?)
}

fn check_units(field: &'static str, units: i32, limit: i32) -> Result<(), Fault> {
    let good = (-limit..=limit).contains(&units);
    let found = to_degrees(units);
    expect(good, field, format_args!("-{0} to {0} degrees", to_degrees(limit)), found)
}
