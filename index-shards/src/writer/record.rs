//! What the writer was told about one reference, as bytes: in the spool, in the order in which it was told, and in the
//! scratch file, in row order and without vector and blob.
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u8 | what there is: bit 0 altitude, 1 heading, 2 time, 3 footprint |
//! | 1 | i32 × 2 | latitude, longitude, 1e-7 degree |
//! | 9 | f32 × 2 | altitude, heading |
//! | 17 | i64 | time of capture, Unix milliseconds |
//! | 25 | i32 × 4 | footprint: north, west, south, east, 1e-7 degree |
//! | 41 | u16 | bytes of the name |
//! | 43 | u16 | bytes of the source, 0 for none |
//! | 45 | u32 | bytes of the blob |
//! | 49 | UTF-8 | name, source |
//! | | f32, i8 × dimensions | scale and vector |
//! | | bytes | blob |

use super::Row;
use crate::fault::Fault;
use crate::fields::Fields;
use crate::place::{Footprint, Place, to_degrees, to_units};

const HAS_ALTITUDE: u8 = 1;
const HAS_HEADING: u8 = 1 << 1;
const HAS_TIME: u8 = 1 << 2;
const HAS_FOOTPRINT: u8 = 1 << 3;

/// A reference as it was told, checked when it was told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told<'a> {
    pub(super) place: Place,
    pub(super) name: &'a str,
    pub(super) source: Option<&'a str>,
    /// Scale and bytes of the stored vector.
    pub(super) vector: (f32, &'a [u8]),
    pub(super) blob: &'a [u8],
}

impl<'a> Told<'a> {
    /// Of a row, with its vector as it will be stored.
    pub(super) fn new(row: &Row<'a>, vector: (f32, &'a [u8])) -> Self {
        let Row { name, place, source, blob, .. } = *row;
        Self { place: *place, name, source, vector, blob: blob.unwrap_or_default() }
    }

    /// Appends the record to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let place = &self.place;
        let flags = [
            (HAS_ALTITUDE, place.alt_m.is_some()),
            (HAS_HEADING, place.heading_deg.is_some()),
            (HAS_TIME, place.captured_at_ms.is_some()),
            (HAS_FOOTPRINT, place.footprint.is_some()),
        ];
        out.push(flags.iter().filter(|(_, there)| *there).map(|(flag, _)| flag).sum());
        out.extend([place.lat_deg, place.lon_deg].into_iter().flat_map(|deg| to_units(deg).to_le_bytes()));
        let numbers = [place.alt_m, place.heading_deg];
        out.extend(numbers.into_iter().flat_map(|number| number.unwrap_or_default().to_le_bytes()));
        out.extend(place.captured_at_ms.unwrap_or_default().to_le_bytes());
        let edges = place.footprint.map_or([0; 4], |footprint| {
            [footprint.north_deg, footprint.west_deg, footprint.south_deg, footprint.east_deg].map(to_units)
        });
        out.extend(edges.into_iter().flat_map(i32::to_le_bytes));
        let source = self.source.unwrap_or_default();
        for text in [self.name, source] {
            out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        }
        out.extend(u32::try_from(self.blob.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(self.name.bytes().chain(source.bytes()));
        let (scale, bytes) = self.vector;
        out.extend(scale.to_le_bytes());
        out.extend(bytes);
        out.extend(self.blob);
    }

    /// Reads what [`encode`](Self::encode) wrote, with a vector of `dimensions`.
    pub(super) fn decode(record: &'a [u8], dimensions: usize) -> Result<Self, Fault> {
        let mut fields = Fields::new(record);
        let [flags] = fields.array("flags")?;
        let (lat, lon) = (fields.i32("lat_deg")?, fields.i32("lon_deg")?);
        let (alt_m, heading_deg) = (fields.f32("alt_m")?, fields.f32("heading_deg")?);
        let time = fields.i64("captured_at_ms")?;
        let mut edge = || fields.i32("footprint").map(to_degrees);
        let (north_deg, west_deg, south_deg, east_deg) = (edge()?, edge()?, edge()?, edge()?);
        let footprint = Footprint { north_deg, west_deg, south_deg, east_deg };
        let place = Place {
            lat_deg: to_degrees(lat),
            lon_deg: to_degrees(lon),
            alt_m: (flags & HAS_ALTITUDE != 0).then_some(alt_m),
            heading_deg: (flags & HAS_HEADING != 0).then_some(heading_deg),
            captured_at_ms: (flags & HAS_TIME != 0).then_some(time),
            footprint: (flags & HAS_FOOTPRINT != 0).then_some(footprint),
        };
        let [name_bytes, source_bytes] = [fields.array("name")?, fields.array("source")?].map(u16::from_le_bytes);
        let blob_bytes = fields.u32("blob")?;
        let name = text(&mut fields, "name", name_bytes)?;
        let source = Some(text(&mut fields, "source", source_bytes)?).filter(|source| !source.is_empty());
        let vector = (fields.f32("scale")?, fields.bytes("vector", dimensions)?);
        let blob = fields.bytes("blob", blob_bytes as usize)?;
        Ok(Self { place, name, source, vector, blob })
    }
}

fn text<'a>(fields: &mut Fields<'a>, field: &'static str, bytes: u16) -> Result<&'a str, Fault> {
    let bytes = fields.bytes(field, bytes.into())?;
    str::from_utf8(bytes).map_err(|error| Fault::new(field, "UTF-8", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_comes_back() {
        let footprint = Footprint { north_deg: 1.0, west_deg: 179.0, south_deg: -1.0, east_deg: -179.0 };
        let full = Place {
            alt_m: Some(0.0),
            heading_deg: Some(360.0),
            captured_at_ms: Some(0),
            footprint: Some(footprint),
            ..Place::at(-90.0, 180.0)
        };
        for (place, source, blob) in [(full, Some("s"), b"blob".as_slice()), (Place::at(0.5, -0.5), None, b"")] {
            let told = Told { place, name: "näme", source, vector: (0.25, &[1, 2, 255]), blob };
            let mut record = Vec::new();
            told.encode(&mut record);
            assert_eq!(Told::decode(&record, 3), Ok(told));
            assert!((0..record.len()).all(|length| Told::decode(&record[..length], 3).is_err()));
        }
    }
}
