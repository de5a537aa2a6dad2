//! A circle or a box on the ground that a search can be limited to.

use crate::fault::{Fault, expect};
use crate::place::{HALF_TURN, check_latitude, check_longitude, to_degrees, to_units};
use crate::sections::zones::Zone;
use serde::{Deserialize, Serialize};

/// Mean radius of the earth in metres: (2a + b) / 3 of WGS 84's axes, as the IUGG defines it.
pub const MEAN_EARTH_RADIUS_M: f64 = 6_371_008.8;
/// 360 degrees in stored units.
const TURN: i64 = 2 * HALF_TURN as i64;

/// A part of the ground.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// All places whose great-circle distance from the centre is at most the radius.
    Circle {
        /// Latitude of the centre, WGS 84, -90 to 90.
        lat_deg: f64,
        /// Longitude of the centre, WGS 84, -180 to 180.
        lon_deg: f64,
        /// Radius, metres; finite and not negative.
        radius_m: f64,
    },
    /// All places between two parallels and two meridians. It reaches from `west_deg` eastwards to `east_deg`; one that
    /// crosses the antimeridian has `west_deg > east_deg`.
    Box {
        /// Southern edge, WGS 84, -90 to 90.
        south_deg: f64,
        /// Western edge, -180 to 180.
        west_deg: f64,
        /// Northern edge, -90 to 90, not below `south_deg`.
        north_deg: f64,
        /// Eastern edge, -180 to 180.
        east_deg: f64,
    },
}

/// How much of a zone's places lies in a window, as far as can be told from its edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    None,
    Some,
    All,
}

/// A window made ready to be asked about many places. Places must lie within its band of latitudes and its arc of
/// longitudes; for a circle that is the least box around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowTest {
    /// Southern and northern limit, stored units.
    band: (i64, i64),
    /// Western limit and width eastwards, stored units.
    arc: (i64, i64),
    circle: Option<Circle>,
}

#[derive(Debug, Clone, Copy)]
struct Circle {
    lat: i64,
    lon: i64,
    lat_rad: f64,
    lon_rad: f64,
    cos_lat: f64,
    radius_m: f64,
}

impl WindowTest {
    pub(crate) fn new(window: &Window) -> Result<Self, Fault> {
        match *window {
            Window::Circle { lat_deg, lon_deg, radius_m } => Self::circle(lat_deg, lon_deg, radius_m),
            Window::Box { south_deg, west_deg, north_deg, east_deg } => {
                check_latitude("window.south_deg", south_deg)?;
                check_latitude("window.north_deg", north_deg)?;
                check_longitude("window.west_deg", west_deg)?;
                check_longitude("window.east_deg", east_deg)?;
                let good = south_deg <= north_deg;
                expect(good, "window.north_deg", format_args!("at least south_deg {south_deg}"), north_deg)?;
                let [south, west, north, east] = [south_deg, west_deg, north_deg, east_deg].map(units);
                let width = if east >= west { east - west } else { east + TURN - west };
                Ok(Self { band: (south, north), arc: (west, width), circle: None })
            }
        }
    }

    fn circle(lat_deg: f64, lon_deg: f64, radius_m: f64) -> Result<Self, Fault> {
        check_latitude("window.lat_deg", lat_deg)?;
        check_longitude("window.lon_deg", lon_deg)?;
        let good = radius_m.is_finite() && radius_m >= 0.0;
        expect(good, "window.radius_m", "a finite number of metres, not negative", radius_m)?;
        let (lat, lon, lat_rad) = (units(lat_deg), units(lon_deg), lat_deg.to_radians());
        let reach_deg = (radius_m / MEAN_EARTH_RADIUS_M).to_degrees().min(180.0);
        // Two units more on either side, so that rounding never takes a place out of the box.
        let reach = units(reach_deg) + 2;
        // The meridians that touch the circle; where it holds a pole, all do.
        let half_width = if lat_deg.abs() + reach_deg >= 90.0 {
            TURN / 2
        } else {
            let touching = (reach_deg.to_radians().sin() / lat_rad.cos()).clamp(0.0, 1.0).asin();
            (units(touching.to_degrees()) + 2).min(TURN / 2)
        };
        let circle = Circle { lat, lon, lat_rad, lon_rad: lon_deg.to_radians(), cos_lat: lat_rad.cos(), radius_m };
        Ok(Self { band: (lat - reach, lat + reach), arc: (lon - half_width, 2 * half_width), circle: Some(circle) })
    }

    /// Whether the place, in stored units, lies within the window.
    pub(crate) fn contains(&self, lat: i32, lon: i32) -> bool {
        self.in_box(lat, lon) && self.circle.is_none_or(|circle| circle.contains(lat, lon))
    }

    fn in_box(&self, lat: i32, lon: i32) -> bool {
        (self.band.0..=self.band.1).contains(&i64::from(lat)) && self.eastwards(lon) <= self.arc.1
    }

    /// From the western limit eastwards to a longitude, 0 to a turn.
    fn eastwards(&self, lon: i32) -> i64 {
        (i64::from(lon) - self.arc.0).rem_euclid(TURN)
    }

    /// Of the places of a zone.
    pub(crate) fn overlap(&self, zone: &Zone) -> Overlap {
        if i64::from(zone.north) < self.band.0 || i64::from(zone.south) > self.band.1 {
            return Overlap::None;
        }
        let width = i64::from(zone.east) - i64::from(zone.west);
        let west = self.eastwards(zone.west);
        let meets = west <= self.arc.1 || west + width >= TURN;
        if !meets {
            return Overlap::None;
        }
        let all_meridians = west + width <= self.arc.1;
        let all_parallels = i64::from(zone.south) >= self.band.0 && i64::from(zone.north) <= self.band.1;
        // What bounds the distance from above is largest at a corner, as long as no place is on the other side of the
        // earth; that is left to the exact test.
        let within = |circle: Circle| {
            let near_side = self.arc.1 < TURN;
            let corners =
                [(zone.south, zone.west), (zone.south, zone.east), (zone.north, zone.west), (zone.north, zone.east)];
            near_side && corners.into_iter().all(|(lat, lon)| circle.at_most_m(lat, lon) <= circle.radius_m)
        };
        let all = width >= 0 && all_meridians && all_parallels && self.circle.is_none_or(within);
        if all { Overlap::All } else { Overlap::Some }
    }
}

impl Circle {
    fn contains(&self, lat: i32, lon: i32) -> bool {
        self.at_most_m(lat, lon) <= self.radius_m || self.distance_m(lat, lon) <= self.radius_m
    }

    /// The way along the centre's parallel and then along the meridian, which is no shorter than the great circle.
    /// A little more, so that rounding never lets a place in that the exact distance would not.
    fn at_most_m(&self, lat: i32, lon: i32) -> f64 {
        let across = (i64::from(lon) - self.lon).rem_euclid(TURN);
        #[expect(clippy::cast_precision_loss, reason = "below 2^33")]
        let (along, across) = ((i64::from(lat) - self.lat).abs() as f64, across.min(TURN - across) as f64);
        let way = (along + 1.0 + self.cos_lat * (across + 1.0)) * (1.0 + 1e-9);
        (way / 1e7).to_radians() * MEAN_EARTH_RADIUS_M
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

fn units(deg: f64) -> i64 {
    i64::from(to_units(deg))
}

/// Great-circle distance between two places in stored units, metres.
pub(crate) fn distance_m(from: (i32, i32), to: (i32, i32)) -> f64 {
    let lat_rad = to_degrees(from.0).to_radians();
    let (lat, lon, lon_rad) = (i64::from(from.0), i64::from(from.1), to_degrees(from.1).to_radians());
    Circle { lat, lon, lat_rad, lon_rad, cos_lat: lat_rad.cos(), radius_m: 0.0 }.distance_m(to.0, to.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::PI;

    fn window(lat_deg: f64, lon_deg: f64, radius_m: f64) -> WindowTest {
        WindowTest::new(&Window::Circle { lat_deg, lon_deg, radius_m }).unwrap()
    }

    fn distance_m(from: (f64, f64), to: (f64, f64)) -> f64 {
        super::distance_m((to_units(from.0), to_units(from.1)), (to_units(to.0), to_units(to.1)))
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
        let circle = |lat_deg, lon_deg, radius_m| Window::Circle { lat_deg, lon_deg, radius_m };
        let sides = |south_deg, west_deg, north_deg, east_deg| Window::Box { south_deg, west_deg, north_deg, east_deg };
        for (bad, field) in [
            (circle(91.0, 2.0, 3.0), "window.lat_deg"),
            (circle(1.0, f64::NAN, 3.0), "window.lon_deg"),
            (circle(1.0, 2.0, -1.0), "window.radius_m"),
            (circle(1.0, 2.0, f64::INFINITY), "window.radius_m"),
            (sides(2.0, 0.0, 1.0, 1.0), "window.north_deg"),
            (sides(f64::NAN, 0.0, 1.0, 1.0), "window.south_deg"),
            (sides(0.0, -181.0, 1.0, 1.0), "window.west_deg"),
            (sides(0.0, 0.0, 1.0, 181.0), "window.east_deg"),
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

    #[test]
    fn a_box_may_cross_the_antimeridian() {
        let sides = Window::Box { south_deg: -1.0, west_deg: 179.0, north_deg: 1.0, east_deg: -179.0 };
        let sides = WindowTest::new(&sides).unwrap();
        for (lon_deg, inside) in
            [(179.0, true), (180.0, true), (-180.0, true), (-179.0, true), (178.9, false), (0.0, false)]
        {
            assert_eq!(sides.contains(0, to_units(lon_deg)), inside, "{lon_deg}");
        }
        assert!(!sides.contains(to_units(1.1), to_units(179.5)));
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

        #[test]
        fn a_zone_says_the_same_as_its_places(
            centre in (-90.0_f64..=90.0, -180.0_f64..=180.0),
            radius_m in prop_oneof![0.0_f64..1e5, 0.0_f64..2.1e7],
            corner in (-90.0_f64..=90.0, -180.0_f64..=180.0),
            size in (0.0_f64..1.0, 0.0_f64..1.0),
            near: bool,
            shares in prop::collection::vec((0.0_f64..=1.0, 0.0_f64..=1.0), 8),
            as_box: bool,
        ) {
            let corner = if near { (centre.0 - size.0 / 2.0, centre.1 - size.1 / 2.0) } else { corner };
            let (south, west) = (corner.0.clamp(-90.0, 90.0), corner.1.clamp(-180.0, 180.0));
            let (north, east) = ((south + size.0).min(90.0), (west + size.1 * 20.0).min(180.0));
            let asked = if as_box {
                Window::Box { south_deg: centre.0, west_deg: centre.1, north_deg: (centre.0 + 1.0).min(90.0), east_deg: west }
            } else {
                Window::Circle { lat_deg: centre.0, lon_deg: centre.1, radius_m }
            };
            let asked = WindowTest::new(&asked).unwrap();
            let zone = Zone { south: to_units(south), west: to_units(west), north: to_units(north), east: to_units(east), captured: None };
            let overlap = asked.overlap(&zone);
            for (up, right) in shares.into_iter().chain([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]) {
                let lat = to_units(south + (north - south) * up).clamp(zone.south, zone.north);
                let lon = to_units(west + (east - west) * right).clamp(zone.west, zone.east);
                match overlap {
                    Overlap::None => prop_assert!(!asked.contains(lat, lon)),
                    Overlap::All => prop_assert!(asked.contains(lat, lon)),
                    Overlap::Some => {}
                }
            }
        }
    }
}
