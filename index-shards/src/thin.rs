//! Thinning out a list: no more than so many references of one place.

use crate::error::ReadError;
use crate::fault::Fault;
use crate::place::{Place, to_units};
use crate::search::{Hit, PerPlace};
use crate::window::{Window, WindowTest, distance_m};

/// The first `k` of `hits` that are left when of each place only the first ones stay.
pub(crate) fn thin(
    hits: &[Hit],
    k: usize,
    limit: PerPlace,
    place_of: impl Fn(&Hit) -> Result<Place, ReadError>,
) -> Result<Vec<Hit>, ReadError> {
    let mut kept: Vec<(Hit, Shown)> = Vec::new();
    for hit in hits {
        if kept.len() >= k {
            break;
        }
        let shown = Shown::new(&place_of(hit)?);
        let same = kept.iter().filter(|(_, other)| shown.is_same(other, limit.radius_m)).count();
        if same < limit.most {
            kept.push((*hit, shown));
        }
    }
    Ok(kept.into_iter().map(|(hit, _)| hit).collect())
}

/// What a reference shows: a point in stored units, and the ground around it where that is known.
struct Shown {
    at: (i32, i32),
    footprint: Option<WindowTest>,
}

impl Shown {
    fn new(place: &Place) -> Self {
        let footprint = place.footprint.and_then(|footprint| {
            let sides: Result<WindowTest, Fault> = WindowTest::new(&Window::Box {
                south_deg: footprint.south_deg,
                west_deg: footprint.west_deg,
                north_deg: footprint.north_deg,
                east_deg: footprint.east_deg,
            });
            sides.ok()
        });
        Self { at: (to_units(place.lat_deg), to_units(place.lon_deg)), footprint }
    }

    fn is_same(&self, other: &Self, radius_m: f64) -> bool {
        let covers = |a: &Self, b: &Self| a.footprint.is_some_and(|footprint| footprint.contains(b.at.0, b.at.1));
        covers(self, other) || covers(other, self) || distance_m(self.at, other.at) <= radius_m
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Footprint;

    fn rows(places: &[Place], k: usize, limit: PerPlace) -> Vec<u32> {
        let hits: Vec<Hit> = (0..places.len() as u32).map(|row| Hit { shard: 0, row, score: 0.0 }).collect();
        let thinned = thin(&hits, k, limit, |hit| Ok(places[hit.row as usize])).unwrap();
        thinned.iter().map(|hit| hit.row).collect()
    }

    #[test]
    fn of_each_place_the_first_ones_stay() {
        // 1e-4 degree of latitude is 11 m.
        let places = [0.0, 0.000_1, 0.01, 0.000_05, 0.02].map(|lat_deg| Place::at(lat_deg, 7.0));
        assert_eq!(rows(&places, 5, PerPlace { most: 1, radius_m: 20.0 }), [0, 2, 4]);
        assert_eq!(rows(&places, 5, PerPlace { most: 2, radius_m: 20.0 }), [0, 1, 2, 4]);
        assert_eq!(rows(&places, 2, PerPlace { most: 1, radius_m: 20.0 }), [0, 2]);
        assert_eq!(rows(&places, 5, PerPlace { most: 1, radius_m: 0.0 }), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_footprint_is_a_place_also_across_the_antimeridian() {
        let footprint = Footprint { north_deg: 1.0, west_deg: 179.5, south_deg: -1.0, east_deg: -179.5 };
        let wide = Place { footprint: Some(footprint), ..Place::at(0.0, 180.0) };
        let places = [wide, Place::at(0.5, -179.6), Place::at(0.5, 179.4)];
        assert_eq!(rows(&places, 3, PerPlace { most: 1, radius_m: 0.0 }), [0, 2]);
    }
}
