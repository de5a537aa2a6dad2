//! A plane that touches the Earth where a track is.

use super::matrix::{Matrix, Vector};
use crate::locate::geodesy::{self, EARTH_M};

/// Step with which directions are carried from one plane to another.
const STEP_M: f64 = 10.0;

/// Azimuthal equidistant projection around an origin: distances and directions from there are true, and nearby ones
/// nearly so (lengths across are too long by a sixth of the square of the angle, 4e-5 at 100 km). Computed with vectors
/// of length 1, so that poles and antimeridian are places like any other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plane(geodesy::Plane);

impl Plane {
    /// The plane around a position in degrees.
    pub(super) fn at(lat_deg: f64, lon_deg: f64) -> Self {
        Self(geodesy::Plane::at(lat_deg, lon_deg))
    }

    /// Where a position in degrees lies in the plane.
    pub(super) fn project(&self, lat_deg: f64, lon_deg: f64) -> Vector {
        let there = geodesy::Plane::at(lat_deg, lon_deg).up;
        let (e, n) = (dot(there, self.0.east), dot(there, self.0.north));
        let across = e.hypot(n);
        let angle = across.atan2(dot(there, self.0.up));
        // The antipode lies in all directions.
        if across > 1e-15 { Vector::new(e, n) * (EARTH_M * angle / across) } else { Vector::new(0.0, EARTH_M * angle) }
    }

    /// The position in degrees of a point of the plane.
    pub(super) fn unproject(&self, point: Vector) -> (f64, f64) {
        self.0.place(point.e, point.n)
    }

    /// How vectors at `point` of this plane turn when they are carried over to `other`.
    pub(super) fn turn_to(&self, other: &Self, point: Vector) -> Matrix {
        let carried = |by: Vector| {
            let (lat_deg, lon_deg) = self.unproject(point + by);
            other.project(lat_deg, lon_deg)
        };
        let here = carried(Vector::default());
        let of_east = (carried(Vector::new(STEP_M, 0.0)) - here) * (1.0 / STEP_M);
        let of_north = (carried(Vector::new(0.0, STEP_M)) - here) * (1.0 / STEP_M);
        Matrix { ee: of_east.e, en: of_north.e, ne: of_east.n, nn: of_north.n }
    }
}

fn dot([ax, ay, az]: [f64; 3], [bx, by, bz]: [f64; 3]) -> f64 {
    ax * bx + ay * by + az * bz
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::distance_m;

    #[test]
    fn points_come_back_and_distances_are_great_circles_at_poles_and_antimeridian() {
        for (lat, lon) in [(0.0, 0.0), (48.0, 19.0), (89.999, 10.0), (-90.0, 0.0), (12.0, 179.999), (90.0, 77.0)] {
            let plane = Plane::at(lat, lon);
            for (north, east) in [(0.0, 0.0), (0.001, 0.001), (-0.02, 0.4), (0.5, -2.0)] {
                let (to_lat, to_lon) = ((lat + north).clamp(-90.0, 90.0), lon + east);
                let point = plane.project(to_lat, to_lon);
                let (back_lat, back_lon) = plane.unproject(point);
                assert!(distance_m(back_lat, back_lon, to_lat, to_lon) < 0.01, "{lat} {lon} {north} {east}");
                assert!((point.length() - distance_m(lat, lon, to_lat, to_lon)).abs() < 0.01);
            }
        }
    }

    #[test]
    fn the_antipode_is_a_point_and_directions_turn_with_the_meridians() {
        let plane = Plane::at(10.0, 20.0);
        assert!(plane.project(-10.0, -160.0).is_finite());
        let (here, there) = (Plane::at(89.0, 0.0), Plane::at(89.0, 90.0));
        let (lat, lon) = (89.0, 90.0);
        let turn = here.turn_to(&there, here.project(lat, lon));
        let north = turn.of(Vector::new(0.0, 1.0));
        assert!((north.e - 1.0).abs() < 0.01 && north.n.abs() < 0.03, "north there is east here: {north:?}");
    }
}
