//! Where the plane of the world lies on the globe.

use super::geometry::{Point, point};
use crate::bench::random::Random;

/// Semi-major axis of WGS 84, in metres.
const SEMI_MAJOR_M: f64 = 6_378_137.0;
/// Square of the first eccentricity of WGS 84.
const ECCENTRICITY_SQUARED: f64 = 0.006_694_379_990_14;
/// Domain of the origin's random numbers.
const KEY: u64 = 0x0067_6c6f_6265;

/// A position in WGS 84 degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degrees {
    /// North.
    pub lat: f64,
    /// East.
    pub lon: f64,
}

/// The tangent plane of a world: its scale is that of the ellipsoid at the origin, which is exact there and 0.03 % off
/// two kilometres north or south of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Globe {
    origin: Degrees,
    metres_per_lat: f64,
    metres_per_lon: f64,
}

impl Globe {
    /// The plane of a seed's world: its origin lies between 44 and 54 degrees north, 0 and 20 degrees east.
    pub fn of_seed(seed: u64) -> Self {
        let mut random = Random::of(&[KEY, seed]);
        // Whole thousandths of a degree, so that the origin is short to write.
        let lat = 44.0 + random.below(10_000) as f64 / 1000.0;
        let lon = random.below(20_000) as f64 / 1000.0;
        let (sin, cos) = libm::sincos(lat * std::f64::consts::PI / 180.0);
        let below = 1.0 - ECCENTRICITY_SQUARED * sin * sin;
        let prime_vertical = SEMI_MAJOR_M / below.sqrt();
        let meridian = SEMI_MAJOR_M * (1.0 - ECCENTRICITY_SQUARED) / (below * below.sqrt());
        let per_degree = std::f64::consts::PI / 180.0;
        let (metres_per_lat, metres_per_lon) = (meridian * per_degree, prime_vertical * cos * per_degree);
        Self { origin: Degrees { lat, lon }, metres_per_lat, metres_per_lon }
    }

    /// The position of a point of the world.
    pub fn degrees(&self, at: Point) -> Degrees {
        Degrees { lat: self.origin.lat + at.y / self.metres_per_lat, lon: self.origin.lon + at.x / self.metres_per_lon }
    }

    /// The point of the world at a position.
    pub fn metres(&self, at: Degrees) -> Point {
        point((at.lon - self.origin.lon) * self.metres_per_lon, (at.lat - self.origin.lat) * self.metres_per_lat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use geolocated::locate::distance_m;

    #[test]
    fn distances_on_the_globe_are_those_of_the_plane() {
        for seed in [0, 7, 1999] {
            let globe = Globe::of_seed(seed);
            for (a, b) in [(point(0.0, 0.0), point(1000.0, 0.0)), (point(900.0, -800.0), point(900.0, 200.0))] {
                let (from, to) = (globe.degrees(a), globe.degrees(b));
                let metres = distance_m(from.lat, from.lon, to.lat, to.lon);
                assert!((metres / (b - a).length() - 1.0).abs() < 0.007, "seed {seed}: {metres}");
                assert!((globe.metres(to) - b).length() < 1e-6);
            }
        }
    }
}
