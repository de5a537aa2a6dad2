//! The region of the earth that a shard's places lie in.

use crate::fault::{Fault, expect};
use crate::place::{HALF_TURN, QUARTER_TURN, to_degrees};
use serde::{Deserialize, Serialize};

/// A full turn in stored units.
const TURN: i64 = 2 * HALF_TURN as i64;

/// A region bounded by parallels and meridians, WGS 84 degrees. It reaches from `west_deg` eastwards to `east_deg`; one
/// that crosses the antimeridian has `west_deg > east_deg`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// Southernmost latitude, -90 to 90.
    pub south_deg: f64,
    /// Western end, -180 to 180.
    pub west_deg: f64,
    /// Northernmost latitude, -90 to 90.
    pub north_deg: f64,
    /// Eastern end, -180 to 180.
    pub east_deg: f64,
}

/// A region in stored units of 1e-7 degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) south: i32,
    pub(crate) west: i32,
    pub(crate) north: i32,
    pub(crate) east: i32,
}

impl Bounds {
    /// Checks that the edges are on the earth and that south is not above north.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let latitudes = -QUARTER_TURN..=QUARTER_TURN;
        let longitudes = -HALF_TURN..=HALF_TURN;
        let expected = "edges on the earth, in units of 1e-7 degree, south not above north";
        let good = latitudes.contains(&self.south)
            && latitudes.contains(&self.north)
            && self.south <= self.north
            && longitudes.contains(&self.west)
            && longitudes.contains(&self.east);
        expect(good, "region", expected, format_args!("{self:?}"))
    }

    pub(crate) fn region(&self) -> Region {
        Region {
            south_deg: to_degrees(self.south),
            west_deg: to_degrees(self.west),
            north_deg: to_degrees(self.north),
            east_deg: to_degrees(self.east),
        }
    }
}

/// Takes in places one by one. Longitudes are watched both from the antimeridian (-180 to 180) and from Greenwich (0 to
/// 360); the narrower of the two spans is the region's, so places around the antimeridian do not span the world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extent {
    lat: Option<(i32, i32)>,
    signed_lon: Option<(i32, i32)>,
    eastward_lon: Option<(i64, i64)>,
}

impl Extent {
    /// Takes in a latitude, in stored units.
    pub(crate) fn add_lat(&mut self, lat: i32) {
        self.lat = Some(widened(self.lat, lat));
    }

    /// Takes in a longitude, in stored units.
    pub(crate) fn add_lon(&mut self, lon: i32) {
        let eastward = if lon < 0 { i64::from(lon) + TURN } else { i64::from(lon) };
        self.signed_lon = Some(widened(self.signed_lon, lon));
        self.eastward_lon = Some(widened(self.eastward_lon, eastward));
    }

    /// The bounds of all places taken in; `None` when there was none.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        let (south, north) = self.lat?;
        let (from, to) = self.eastward_lon?;
        let (west, east) = self.signed_lon?;
        if to - from >= i64::from(east) - i64::from(west) {
            return Some(Bounds { south, west, north, east });
        }
        // Narrower seen from Greenwich: there are longitudes on both sides, `from` is an eastern and `to` a western one.
        Some(Bounds { south, west: i32::try_from(from).ok()?, north, east: i32::try_from(to - TURN).ok()? })
    }
}

/// The span with `value` taken in.
fn widened<T: Ord + Copy>(span: Option<(T, T)>, value: T) -> (T, T) {
    span.map_or((value, value), |(least, most)| (least.min(value), most.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::to_units;

    fn region(places: &[(f64, f64)]) -> (f64, f64, f64, f64) {
        let mut extent = Extent::default();
        for &(lat_deg, lon_deg) in places {
            extent.add_lat(to_units(lat_deg));
            extent.add_lon(to_units(lon_deg));
        }
        let bounds = extent.bounds().unwrap();
        assert_eq!(bounds.check(), Ok(()));
        let region = bounds.region();
        (region.south_deg, region.west_deg, region.north_deg, region.east_deg)
    }

    #[test]
    fn no_place_has_no_bounds() {
        assert_eq!(Extent::default().bounds(), None);
    }

    #[test]
    fn one_place_is_its_own_region() {
        assert_eq!(region(&[(-33.5, -70.25)]), (-33.5, -70.25, -33.5, -70.25));
    }

    #[test]
    fn around_greenwich_it_does_not_cross_the_antimeridian() {
        assert_eq!(region(&[(51.0, -0.5), (52.0, 0.5)]), (51.0, -0.5, 52.0, 0.5));
    }

    #[test]
    fn around_the_antimeridian_west_is_east_of_east() {
        assert_eq!(region(&[(-17.0, 179.5), (-16.0, -179.0)]), (-17.0, 179.5, -16.0, -179.0));
        assert_eq!(region(&[(1.0, 180.0), (1.0, 179.0), (1.0, -180.0)]), (1.0, 179.0, 1.0, -180.0));
        assert_eq!(region(&[(1.0, 180.0), (1.0, -180.0)]), (1.0, 180.0, 1.0, -180.0));
        assert_eq!(region(&[(1.0, 180.0), (1.0, -179.0)]), (1.0, 180.0, 1.0, -179.0));
    }

    #[test]
    fn impossible_bounds_are_refused() {
        let good = Bounds { south: -1, west: 5, north: 1, east: -5 };
        assert_eq!(good.check(), Ok(()));
        for bad in [
            Bounds { south: 2, ..good },
            Bounds { north: QUARTER_TURN + 1, ..good },
            Bounds { south: i32::MIN, ..good },
            Bounds { west: i32::MIN, ..good },
            Bounds { east: i32::MAX, ..good },
        ] {
            assert_eq!(bad.check().unwrap_err().field, "region");
        }
    }
}
