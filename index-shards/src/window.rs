//! A circle on the ground that a search can be limited to.

use crate::fault::{Fault, expect};
use crate::place::{check_latitude, check_longitude, to_degrees, to_units};
use serde::{Deserialize, Serialize};

/// Mean radius of the earth in metres: (2a + b) / 3 of WGS 84's axes, as the IUGG defines it.
pub const MEAN_EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A circle on the ground: all places whose great-circle distance from the centre is at most the radius.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Latitude of the centre, WGS 84, -90 to 90.
    pub lat_deg: f64,
    /// Longitude of the centre, WGS 84, -180 to 180.
    pub lon_deg: f64,
    /// Radius, metres; finite and not negative.
    pub radius_m: f64,
}

/// A window made ready to be asked about many places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowTest {
    lat_rad: f64,
    lon_rad: f64,
    cos_lat: f64,
    radius_m: f64,
    /// Latitudes, in stored units, outside of which no place can be near enough.
    band: (i64, i64),
}

impl WindowTest {
    pub(crate) fn new(window: &Window) -> Result<Self, Fault> {
        check_latitude("window.lat_deg", window.lat_deg)?;
        check_longitude("window.lon_deg", window.lon_deg)?;
        let good = window.radius_m.is_finite() && window.radius_m >= 0.0;
        expect(good, "window.radius_m", "a finite number of metres, not negative", window.radius_m)?;
        let lat_rad = window.lat_deg.to_radians();
        let reach_deg = (window.radius_m / MEAN_EARTH_RADIUS_M).to_degrees().min(180.0);
        // Two units more on either side, so that rounding never takes a place out of the band.
        let reach = i64::from(to_units(reach_deg)) + 2;
        let lat = i64::from(to_units(window.lat_deg));
        Ok(Self {
            lat_rad,
            lon_rad: window.lon_deg.to_radians(),
            cos_lat: lat_rad.cos(),
            radius_m: window.radius_m,
            band: (lat - reach, lat + reach),
        })
    }

    /// Whether the place, in stored units, lies within the window.
    pub(crate) fn contains(&self, lat: i32, lon: i32) -> bool {
        let (south, north) = self.band;
        (south..=north).contains(&i64::from(lat)) && self.distance_m(lat, lon) <= self.radius_m
    }

    /// Great-circle distance by the haversine formula (R. W. Sinnott, "Virtues of the Haversine", 1984), in the form
    /// with atan2, which is exact for antipodes as well.
    fn distance_m(&self, lat: i32, lon: i32) -> f64 {
        let (lat_rad, lon_rad) = (to_degrees(lat).to_radians(), to_degrees(lon).to_radians());
        let across = ((lon_rad - self.lon_rad) / 2.0).sin().powi(2);
        let along = ((lat_rad - self.lat_rad) / 2.0).sin().powi(2);
        let haversine = (along + self.cos_lat * lat_rad.cos() * across).clamp(0.0, 1.0);
        2.0 * MEAN_EARTH_RADIUS_M * haversine.sqrt().atan2((1.0 - haversine).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::PI;

    fn window(lat_deg: f64, lon_deg: f64, radius_m: f64) -> WindowTest {
        WindowTest::new(&Window { lat_deg, lon_deg, radius_m }).unwrap()
    }

    fn distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
        window(from.0, from.1, 0.0).distance_m(to_units(to.0), to_units(to.1))
    }

    /// Another formula: the angle between two unit vectors.
    fn angle_m(from: (f64, f64), to: (f64, f64)) -> f64 {
        let unit = |(lat, lon): (f64, f64)| {
            let (lat, lon) = (lat.to_radians(), lon.to_radians());
            [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
        };
        let ([a, b, c], [x, y, z]) = (unit(from), unit(to));
        let cross = [b * z - c * y, c * x - a * z, a * y - b * x];
        let cross = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
        MEAN_EARTH_RADIUS_M * cross.atan2(a * x + b * y + c * z)
    }

    #[test]
    fn distances_that_are_known() {
        let degree_m = PI * MEAN_EARTH_RADIUS_M / 180.0;
        for (from, to, expected_m) in [
            ((0.0, 0.0), (0.0, 1.0), degree_m),
            ((0.0, 179.5), (0.0, -179.5), degree_m),
            ((60.0, 10.0), (61.0, 10.0), degree_m),
            ((90.0, 0.0), (89.0, 135.0), degree_m),
            ((-90.0, 77.0), (-90.0, -100.0), 0.0),
            ((89.5, 0.0), (89.5, 180.0), degree_m),
            ((0.0, 0.0), (0.0, 180.0), PI * MEAN_EARTH_RADIUS_M),
            ((12.0, 34.0), (-12.0, -146.0), PI * MEAN_EARTH_RADIUS_M),
        ] {
            let found_m = distance_m(from, to);
            assert!((found_m - expected_m).abs() < 1e-3, "{from:?} to {to:?}: {found_m} m, expected {expected_m} m");
        }
    }

    #[test]
    fn the_edge_belongs_to_the_window_and_radius_zero_is_a_point() {
        assert!(window(52.0, 13.0, 0.0).contains(to_units(52.0), to_units(13.0)));
        assert!(!window(52.0, 13.0, 0.0).contains(to_units(52.000_001), to_units(13.0)));
    }

    #[test]
    fn a_window_as_large_as_the_earth_holds_everything() {
        let everywhere = window(-33.0, 151.0, 1e9);
        for (lat, lon) in [(90.0, 0.0), (-90.0, 0.0), (33.0, -29.0), (0.0, 180.0), (0.0, -180.0)] {
            assert!(everywhere.contains(to_units(lat), to_units(lon)));
        }
    }

    #[test]
    fn impossible_windows_are_refused_by_name() {
        let good = Window { lat_deg: 1.0, lon_deg: 2.0, radius_m: 3.0 };
        for (bad, field) in [
            (Window { lat_deg: 91.0, ..good }, "window.lat_deg"),
            (Window { lon_deg: f64::NAN, ..good }, "window.lon_deg"),
            (Window { radius_m: -1.0, ..good }, "window.radius_m"),
            (Window { radius_m: f64::INFINITY, ..good }, "window.radius_m"),
        ] {
            assert_eq!(WindowTest::new(&bad).unwrap_err().field, field);
        }
    }

    #[test]
    fn unproven_coordinates_never_panic() {
        for units in [i32::MIN, i32::MAX, 0] {
            window(90.0, 180.0, 1e6).contains(units, units);
        }
    }

    proptest! {
        #![proptest_config(crate::deterministic())]

        #[test]
        fn agrees_with_the_angle_between_unit_vectors(
            from in (-90.0_f64..=90.0, -180.0_f64..=180.0),
            to in (-90.0_f64..=90.0, -180.0_f64..=180.0),
            radius_m in 0.0_f64..2.1e7,
        ) {
            let stored = (to_degrees(to_units(to.0)), to_degrees(to_units(to.1)));
            let expected_m = angle_m(from, stored);
            prop_assert!((distance_m(from, to) - expected_m).abs() < 1e-2);
            if (expected_m - radius_m).abs() > 1e-2 {
                let inside = window(from.0, from.1, radius_m).contains(to_units(to.0), to_units(to.1));
                prop_assert_eq!(inside, expected_m <= radius_m);
            }
        }
    }
}
