//! Where a reference was taken, and how degrees become fixed point.

use crate::fault::{Fault, expect};
use serde::{Deserialize, Serialize};

/// Stored units per degree: coordinates are fixed point, 1e-7 degree (11 mm of latitude).
const UNITS_PER_DEGREE: f64 = 1e7;
/// 180 degrees in stored units.
pub(crate) const HALF_TURN: i32 = 1_800_000_000;
/// 90 degrees in stored units.
pub(crate) const QUARTER_TURN: i32 = 900_000_000;
/// First and last millisecond of the years 1 and 9999 UTC: what RFC 3339 can express.
pub(crate) const TIME_RANGE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A rectangle on the ground, bounded by parallels and meridians (WGS 84 degrees). It reaches from `west_deg` eastwards
/// to `east_deg`; one that crosses the antimeridian has `west_deg > east_deg`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// Northern edge, -90 to 90, above `south_deg`.
    pub north_deg: f64,
    /// Western edge, -180 to 180.
    pub west_deg: f64,
    /// Southern edge, -90 to 90.
    pub south_deg: f64,
    /// Eastern edge, -180 to 180, unlike `west_deg`.
    pub east_deg: f64,
}

/// Where and when a reference was taken. Coordinates are WGS 84 and are stored to 1e-7 degree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Latitude, -90 to 90.
    pub lat_deg: f64,
    /// Longitude, -180 to 180.
    pub lon_deg: f64,
    /// Metres above mean sea level; finite.
    pub alt_m: Option<f32>,
    /// Direction of view clockwise from true north, 0 to 360.
    pub heading_deg: Option<f32>,
    /// Time of capture, Unix milliseconds UTC, years 1 to 9999.
    pub captured_at_ms: Option<i64>,
    /// The ground that the picture shows.
    pub footprint: Option<Footprint>,
}

impl Place {
    /// A place of which only the coordinates are known.
    pub fn at(lat_deg: f64, lon_deg: f64) -> Self {
        Self { lat_deg, lon_deg, alt_m: None, heading_deg: None, captured_at_ms: None, footprint: None }
    }

    /// Checks every field.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if !is_latitude(self.lat_deg) && is_latitude(self.lon_deg) && is_longitude(self.lat_deg) {
            let expected = "-90 to 90 degrees (latitude and longitude look swapped)";
            return Err(Fault::new("lat_deg", expected, self.lat_deg));
        }
        check_latitude("lat_deg", self.lat_deg)?;
        check_longitude("lon_deg", self.lon_deg)?;
        if let Some(alt_m) = self.alt_m {
            expect(alt_m.is_finite(), "alt_m", "a finite number of metres", alt_m)?;
        }
        if let Some(heading_deg) = self.heading_deg {
            expect((0.0..=360.0).contains(&heading_deg), "heading_deg", "0 to 360 degrees", heading_deg)?;
        }
        if let Some(at_ms) = self.captured_at_ms {
            expect(TIME_RANGE_MS.contains(&at_ms), "captured_at_ms", "a time in the years 1 to 9999", at_ms)?;
        }
        self.footprint.as_ref().map_or(Ok(()), Footprint::check)
    }
}

impl Footprint {
    /// Checks the edges and their order, as they will be stored.
    fn check(&self) -> Result<(), Fault> {
        check_latitude("footprint.north_deg", self.north_deg)?;
        check_latitude("footprint.south_deg", self.south_deg)?;
        check_longitude("footprint.west_deg", self.west_deg)?;
        check_longitude("footprint.east_deg", self.east_deg)?;
        let above = to_units(self.north_deg) > to_units(self.south_deg);
        expect(above, "footprint.north_deg", format_args!("more than south_deg {}", self.south_deg), self.north_deg)?;
        let wide = to_units(self.west_deg) != to_units(self.east_deg);
        expect(wide, "footprint.east_deg", "another meridian than west_deg", self.east_deg)
    }
}

fn is_latitude(deg: f64) -> bool {
    (-90.0..=90.0).contains(&deg)
}

fn is_longitude(deg: f64) -> bool {
    (-180.0..=180.0).contains(&deg)
}

/// Passes for a latitude in degrees.
pub(crate) fn check_latitude(field: &'static str, deg: f64) -> Result<(), Fault> {
    expect(is_latitude(deg), field, "-90 to 90 degrees", deg)
}

/// Passes for a longitude in degrees.
pub(crate) fn check_longitude(field: &'static str, deg: f64) -> Result<(), Fault> {
    expect(is_longitude(deg), field, "-180 to 180 degrees", deg)
}

/// Degrees (checked before) to stored units of 1e-7 degree, to the nearest.
pub(crate) fn to_units(deg: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 1.8e9 in size, and `as` saturates")]
    let units = (deg * UNITS_PER_DEGREE).round() as i32;
    units
}

/// Stored units of 1e-7 degree to degrees. A division, so that 52.1234567 comes back as that literal.
pub(crate) fn to_degrees(units: i32) -> f64 {
    f64::from(units) / UNITS_PER_DEGREE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn faulty_field(place: Place) -> &'static str {
        place.check().unwrap_err().field
    }

    #[test]
    fn accepts_the_corners_of_the_world() {
        for (lat, lon) in [(90.0, 180.0), (-90.0, -180.0), (0.0, 0.0), (90.0, -180.0)] {
            assert_eq!(Place::at(lat, lon).check(), Ok(()));
        }
    }

    #[test]
    fn refuses_impossible_coordinates_by_name() {
        assert_eq!(faulty_field(Place::at(90.000_001, 0.0)), "lat_deg");
        assert_eq!(faulty_field(Place::at(f64::NAN, 0.0)), "lat_deg");
        assert_eq!(faulty_field(Place::at(0.0, 180.1)), "lon_deg");
        assert_eq!(faulty_field(Place::at(0.0, f64::INFINITY)), "lon_deg");
    }

    #[test]
    fn says_when_latitude_and_longitude_look_swapped() {
        let fault = Place::at(139.7, 35.6).check().unwrap_err();
        assert!(fault.expected.contains("swapped"), "{fault}");
        let hopeless = Place::at(139.7, 135.6).check().unwrap_err();
        assert!(!hopeless.expected.contains("swapped"), "{hopeless}");
    }

    #[test]
    fn refuses_impossible_details_by_name() {
        let place = Place::at(1.0, 2.0);
        assert_eq!(faulty_field(Place { alt_m: Some(f32::NAN), ..place }), "alt_m");
        assert_eq!(faulty_field(Place { heading_deg: Some(-0.1), ..place }), "heading_deg");
        assert_eq!(faulty_field(Place { heading_deg: Some(f32::NAN), ..place }), "heading_deg");
        assert_eq!(faulty_field(Place { captured_at_ms: Some(i64::MAX), ..place }), "captured_at_ms");
    }

    #[test]
    fn footprints_may_cross_the_antimeridian_but_not_be_flat() {
        let footprint = Footprint { north_deg: 1.0, west_deg: 179.9, south_deg: 0.9, east_deg: -179.9 };
        let of = |footprint| Place { footprint: Some(footprint), ..Place::at(1.0, 180.0) };
        assert_eq!(of(footprint).check(), Ok(()));
        assert_eq!(faulty_field(of(Footprint { south_deg: 1.0, ..footprint })), "footprint.north_deg");
        assert_eq!(faulty_field(of(Footprint { east_deg: 179.9, ..footprint })), "footprint.east_deg");
        assert_eq!(faulty_field(of(Footprint { west_deg: 200.0, ..footprint })), "footprint.west_deg");
        assert_eq!(faulty_field(of(Footprint { north_deg: 91.0, ..footprint })), "footprint.north_deg");
    }

    proptest! {
        #![proptest_config(crate::deterministic())]

        #[test]
        fn fixed_point_comes_back_exactly_and_is_near(deg in -180.0_f64..=180.0) {
            let units = to_units(deg);
            prop_assert_eq!(to_units(to_degrees(units)), units);
            prop_assert!((to_degrees(units) - deg).abs() <= 0.500_001e-7);
        }
    }
}
