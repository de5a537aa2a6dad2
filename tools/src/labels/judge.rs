//! How much the look-alikes of a reference speak against its position.

use geolocated::locate::{distance_m, weighted_mean};
use serde::Serialize;

use super::{Label, Labels};

/// From which score on a reference is suspect. Chosen on a drawn town, see `docs/accuracy.md`.
pub const SUSPECT_FROM: f64 = 0.5;
/// Neighbours that must agree on another place, at least.
const WITNESSES: usize = 2;

/// A reference whose position is doubtful.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// Name of the reference.
    pub reference: String,
    /// Position of its shard among those that were given.
    pub shard: usize,
    /// Latitude of its label in WGS 84 degrees.
    pub lat: f64,
    /// Longitude of its label in WGS 84 degrees.
    pub lon: f64,
    /// How much its look-alikes agree on another place: from 0 to 1, the most at 1.
    pub score: f64,
    /// Latitude of the place that they agree on.
    pub looks_like_lat: f64,
    /// Longitude of that place.
    pub looks_like_lon: f64,
    /// Metres between the two.
    pub distance_m: f64,
}

impl Labels {
    /// The references whose score is at least `from`, the most doubtful first. `at` are the positions that the
    /// references are taken to be labelled with, by their order; their own where it is shorter.
    pub fn suspects(&self, at: &[(f64, f64)], from: f64) -> Vec<Suspect> {
        let suspect = |index: usize| self.judge(index, at).filter(|suspect| suspect.score >= from);
        let mut suspects: Vec<Suspect> = (0..self.labels.len()).filter_map(suspect).collect();
        suspects.sort_by(|a, b| b.score.total_cmp(&a.score));
        suspects
    }

    fn judge(&self, index: usize, at: &[(f64, f64)]) -> Option<Suspect> {
        let label = self.labels.get(index)?;
        let place = |index: usize| {
            let own = self.labels.get(index).map(|label| (label.lat_deg, label.lon_deg));
            at.get(index).copied().or(own)
        };
        let (lat, lon) = place(index)?;
        let near = |a: (f64, f64), b: (f64, f64)| distance_m(a.0, a.1, b.0, b.1) <= self.reach_m;
        let witnesses = self.neighbours.get(index)?;
        let best = witnesses.first()?.1;
        let weighted = |&(other, similarity): &(usize, f32)| Some((place(other)?, weight(similarity, best)));
        let witnesses: Vec<((f64, f64), f64)> = witnesses.iter().filter_map(weighted).collect();
        let around = |centre: (f64, f64)| {
            let there = witnesses.iter().filter(|(place, _)| near(*place, centre));
            there.fold((0_usize, 0.0_f64), |(count, sum), (_, weight)| (count + 1, sum + weight))
        };
        let elsewhere =
            witnesses.iter().filter(|(place, _)| distance_m(lat, lon, place.0, place.1) > 2.0 * self.reach_m);
        let (centre, (count, weight)) =
            elsewhere.map(|(place, _)| (*place, around(*place))).max_by(|(_, (_, a)), (_, (_, b))| a.total_cmp(b))?;
        let all: f64 = witnesses.iter().map(|(_, weight)| weight).sum();
        // One look-alike at its own place is enough to clear it: a wrong label is a place that it does not look like.
        if around((lat, lon)).0 > 0 {
            return None;
        }
        let score = weight / all;
        let there = witnesses.iter().filter(|(place, _)| near(*place, centre));
        let (looks_like_lat, looks_like_lon) = weighted_mean(there.map(|(place, weight)| (place.0, place.1, *weight)))?;
        (count >= WITNESSES).then(|| Suspect {
            reference: label.name.clone(),
            shard: label.shard,
            lat,
            lon,
            score,
            looks_like_lat,
            looks_like_lon,
            distance_m: distance_m(lat, lon, looks_like_lat, looks_like_lon),
        })
    }
}

/// What a neighbour counts beside the most similar one: their distances, which are those of unit vectors, squared.
fn weight(similarity: f32, best: f32) -> f64 {
    let squared = |cosine: f32| f64::from(1.0 - cosine).max(1e-4);
    (squared(best) / squared(similarity)).min(1.0)
}

impl Suspect {
    /// Whether it is this reference.
    pub fn is(&self, label: &Label) -> bool {
        self.shard == label.shard && self.reference == label.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six references around one place, all each other's neighbours, and two far away.
    fn labels() -> Labels {
        let label =
            |index: u32, lat_deg: f64| Label { name: format!("r{index}"), shard: 0, row: index, lat_deg, lon_deg: 8.0 };
        let near = (0..6).map(|index| label(index, 50.0 + f64::from(index) * 1e-5));
        let labels: Vec<Label> = near.chain([label(6, 50.1), label(7, 50.1)]).collect();
        let others = |index: usize| (0..6).filter(|other| *other != index).map(|other| (other, 0.9)).collect();
        let neighbours = (0..6).map(others).chain([vec![(7, 0.9)], vec![(6, 0.9)]]).collect();
        Labels { labels, neighbours, reach_m: 50.0 }
    }

    #[test]
    fn nothing_is_suspect_where_neighbours_agree() {
        assert_eq!(labels().suspects(&[], 0.01), []);
    }

    #[test]
    fn one_that_was_moved_is_found_with_the_place_that_it_shows() {
        let labels = labels();
        let mut at: Vec<(f64, f64)> = labels.labels.iter().map(|label| (label.lat_deg, label.lon_deg)).collect();
        at[2] = (50.1, 8.0);
        let suspects = labels.suspects(&at, SUSPECT_FROM);
        assert_eq!(suspects.iter().map(|suspect| suspect.reference.as_str()).collect::<Vec<_>>(), ["r2"]);
        assert!(suspects[0].is(&labels.labels[2]) && (suspects[0].looks_like_lat - 50.0).abs() < 1e-3);
        assert!((suspects[0].distance_m - 11_118.0).abs() < 20.0, "{}", suspects[0].distance_m);
    }

    #[test]
    fn one_without_witnesses_is_not_suspect() {
        let mut labels = labels();
        labels.neighbours[0].clear();
        labels.neighbours[7] = vec![(0, 0.9)];
        assert_eq!(labels.suspects(&[], 0.0).len(), 0, "one look-alike elsewhere is none too few");
    }
}
