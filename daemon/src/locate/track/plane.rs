//! A plane that touches the Earth where a track is.

use super::matrix::{Matrix, Vector};

/// Mean radius of the Earth in metres (IUGG), as [`crate::locate::distance_m`] has it.
const RADIUS_M: f64 = 6_371_008.8;
/// Step with which directions are carried from one plane to another.
const STEP_M: f64 = 10.0;

/// Azimuthal equidistant projection around an origin: distances and directions from there are true, and nearby ones
/// nearly so (lengths across are too long by a sixth of the square of the angle, 4e-5 at 100 km). Computed with vectors
/// of length 1, so that poles and antimeridian are places like any other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plane {
    origin: [f64; 3],
    east: [f64; 3],
    north: [f64; 3],
}

impl Plane {
    /// The plane around a position in degrees.
    pub(super) fn at(lat_deg: f64, lon_deg: f64) -> Self {
        let (sin_lat, cos_lat) = lat_deg.to_radians().sin_cos();
        let (sin_lon, cos_lon) = lon_deg.to_radians().sin_cos();
        Self {
            origin: [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat],
            east: [-sin_lon, cos_lon, 0.0],
            north: [-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat],
        }
    }

    /// Where a position in degrees lies in the plane.
    pub(super) fn project(&self, lat_deg: f64, lon_deg: f64) -> Vector {
        let there = Self::at(lat_deg, lon_deg).origin;
        let (e, n) = (dot(there, self.east), dot(there, self.north));
        let across = e.hypot(n);
        let angle = across.atan2(dot(there, self.origin));
        // The antipode lies in all directions.
        if across > 1e-15 {
            Vector::new(e, n) * (RADIUS_M * angle / across)
        } else {
            Vector::new(0.0, RADIUS_M * angle)
        }
    }

    /// The position in degrees of a point of the plane.
    pub(super) fn unproject(&self, point: Vector) -> (f64, f64) {
        let length = point.length();
        let (sin, cos) = (length / RADIUS_M).sin_cos();
        let share = if length > 0.0 { sin / length } else { 0.0 };
        let at = |origin: f64, east: f64, north: f64| origin * cos + (east * point.e + north * point.n) * share;
        let ([ox, oy, oz], [ex, ey, ez], [nx, ny, nz]) = (self.origin, self.east, self.north);
        let (x, y, z) = (at(ox, ex, nx), at(oy, ey, ny), at(oz, ez, nz));
        (z.atan2(x.hypot(y)).to_degrees(), y.atan2(x).to_degrees())
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
