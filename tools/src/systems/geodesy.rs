//! Distances on the ellipsoid.

use geo::{Distance, Geodesic, Point};

/// Length in metres of the shortest line on the WGS 84 ellipsoid between two places in degrees (C. Karney, "Algorithms
/// for geodesics", Journal of Geodesy 87, 2013).
pub(super) fn geodesic_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    Geodesic.distance(Point::new(a.1, a.0), Point::new(b.1, b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ellipsoid_is_flattened() {
        // A degree of latitude at the equator and at the pole, by WGS 84.
        assert!((geodesic_m((0.0, 0.0), (1.0, 0.0)) - 110_574.389).abs() < 0.01);
        assert!((geodesic_m((89.0, 0.0), (90.0, 0.0)) - 111_693.865).abs() < 0.01);
        assert!((geodesic_m((10.0, 179.9), (10.0, -179.9)) - 21_927.99).abs() < 1.0);
    }
}
