//! Distances and means on the Earth.

use geo::{Distance, Haversine, Point};

/// Great-circle distance in metres between two positions in degrees, by the haversine formula on a sphere of radius
/// 6,371,008.8 m (IUGG mean radius); within 0.6 % of the geodesic on WGS 84.
pub fn distance_m(a_lat_deg: f64, a_lon_deg: f64, b_lat_deg: f64, b_lon_deg: f64) -> f64 {
    Haversine.distance(Point::new(a_lon_deg, a_lat_deg), Point::new(b_lon_deg, b_lat_deg))
}

/// Weighted mean of positions `(lat_deg, lon_deg, weight)` in degrees, as the direction of the weighted sum of their
/// n-vectors (K. Gade, "A Non-singular Horizontal Position Representation", Journal of Navigation 63, 2010).
///
/// Holds at the poles and across the antimeridian. `None` when there is no position, when no weight is positive and
/// finite, or when the positions cancel out, as two antipodes of equal weight do.
pub fn weighted_mean(positions: impl IntoIterator<Item = (f64, f64, f64)>) -> Option<(f64, f64)> {
    let (mut x, mut y, mut z, mut total) = (0.0, 0.0, 0.0, 0.0);
    for (lat_deg, lon_deg, weight) in positions {
        if !(weight.is_finite() && weight > 0.0) {
            continue;
        }
        let (sin_lat, cos_lat) = lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = lon_deg.to_radians().sin_cos();
        x += weight * cos_lat * cos_lon;
        y += weight * cos_lat * sin_lon;
        z += weight * sin_lat;
        total += weight;
    }
    let length = (x * x + y * y + z * z).sqrt();
    if !(total > 0.0 && length > 1e-9 * total) {
        return None;
    }
    Some((z.atan2(x.hypot(y)).to_degrees(), y.atan2(x).to_degrees()))
}

/// Mean radius of the Earth in metres (IUGG).
pub(super) const EARTH_M: f64 = 6_371_008.8;

/// The plane that touches the Earth, as a sphere, at a place; its axes point to the east and to the north. At a pole they
/// are those of the given longitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plane {
    pub(super) up: [f64; 3],
    pub(super) east: [f64; 3],
    pub(super) north: [f64; 3],
}

impl Plane {
    /// The plane at a place in degrees.
    pub fn at(lat_deg: f64, lon_deg: f64) -> Self {
        let (sin_lat, cos_lat) = lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = lon_deg.to_radians().sin_cos();
        Self {
            up: [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            east: [-sin_lon, cos_lon, 0.0],
            north: [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
        }
    }

    /// Metres to the east and to the north of a place in degrees, projected straight down onto the plane: 10 km away it
    /// is 4 mm too little.
    pub fn east_north_m(&self, lat_deg: f64, lon_deg: f64) -> (f64, f64) {
        let other = Self::at(lat_deg, lon_deg).up;
        let along = |axis: &[f64; 3]| {
            axis.iter().zip(other.iter().zip(&self.up)).map(|(axis, (to, from))| axis * (to - from)).sum::<f64>()
        };
        (along(&self.east) * EARTH_M, along(&self.north) * EARTH_M)
    }

    /// The place in degrees that lies so many metres to the east and to the north, along the great circle that leaves the
    /// plane's own place that way: poles and the antimeridian are places like any other.
    pub(super) fn place(&self, east_m: f64, north_m: f64) -> (f64, f64) {
        let length_m = east_m.hypot(north_m);
        let (sin, cos) = (length_m / EARTH_M).sin_cos();
        let share = if length_m > 0.0 { sin / length_m } else { 0.0 };
        let at = |up: f64, east: f64, north: f64| up * cos + (east * east_m + north * north_m) * share;
        let ([ux, uy, uz], [ex, ey, ez], [nx, ny, nz]) = (self.up, self.east, self.north);
        let (x, y, z) = (at(ux, ex, nx), at(uy, ey, ny), at(uz, ez, nz));
        (z.atan2(x.hypot(y)).to_degrees(), y.atan2(x).to_degrees())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: Option<(f64, f64)>, lat_deg: f64, lon_deg: f64) {
        let (lat, lon) = found.expect("a mean exists");
        assert!(distance_m(lat, lon, lat_deg, lon_deg) < 0.01, "{lat} {lon} instead of {lat_deg} {lon_deg}");
    }

    #[test]
    fn one_degree_of_latitude_is_111_195_metres() {
        assert!((distance_m(50.0, 8.0, 51.0, 8.0) - 111_195.1).abs() < 0.1);
        assert!(distance_m(10.0, 179.9, 10.0, -179.9) < 22_000.0);
    }

    #[test]
    fn the_mean_of_two_near_places_lies_between_them_by_weight() {
        assert_near(weighted_mean([(30.0, 8.0, 1.0), (30.0, 8.0, 3.0)]), 30.0, 8.0);
        let (lat, _) = weighted_mean([(30.0, 8.0, 1.0), (30.001, 8.0, 3.0)]).unwrap();
        assert!((lat - 30.000_75).abs() < 1e-8);
    }

    #[test]
    fn the_mean_holds_across_the_antimeridian_and_over_a_pole() {
        assert_near(weighted_mean([(10.0, 179.999, 1.0), (10.0, -179.999, 1.0)]), 10.0, 180.0);
        assert_near(weighted_mean([(89.999, 0.0, 1.0), (89.999, 180.0, 1.0)]), 90.0, 0.0);
    }

    #[test]
    fn there_is_no_mean_of_nothing_of_antipodes_or_of_worthless_weights() {
        assert_eq!(weighted_mean([]), None);
        assert_eq!(weighted_mean([(0.0, 0.0, 1.0), (0.0, 180.0, 1.0)]), None);
        assert_eq!(weighted_mean([(1.0, 1.0, 0.0), (1.0, 1.0, f64::NAN), (1.0, 1.0, -1.0)]), None);
    }

    #[test]
    fn metres_in_the_plane_are_those_on_the_ground() {
        for (lat_deg, lon_deg) in [(50.0, 8.0), (-33.0, 179.9999), (89.9999, 20.0), (0.0, 0.0)] {
            let plane = Plane::at(lat_deg, lon_deg);
            let (east_m, north_m) = plane.east_north_m(lat_deg - 0.001, lon_deg);
            assert!(east_m.abs() < 1e-6 && (north_m + 111.195).abs() < 1e-3, "{east_m} {north_m}");
            let (east_m, north_m) = plane.east_north_m(lat_deg, lon_deg + 0.001);
            let ground_m = distance_m(lat_deg, lon_deg, lat_deg, lon_deg + 0.001);
            assert!((east_m.hypot(north_m) - ground_m).abs() < 1e-3 && east_m > 0.0, "{east_m} {ground_m}");
        }
    }
}
