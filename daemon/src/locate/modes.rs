//! Where the weight of candidates lies: the places that they show, each with its mean and its spread.

use super::fuse::same_place;
use super::geodesy::{Plane, weighted_mean};
use super::{Candidate, FuseOptions};

/// So many places are told apart at most; what lies elsewhere weighs less than any of them.
const MOST_MODES: usize = 16;
/// Least variance along an axis, in square metres: no reference is known better.
const LEAST_VARIANCE_M2: f64 = 0.01;
/// [`Candidate::extent_m`] is so much of the shorter side of a footprint.
const EXTENT_OF_SIDE: f64 = 0.3;

/// A place that candidates show.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// Latitude of the weighted mean of its candidates, WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude, WGS 84 degrees.
    pub lon_deg: f64,
    /// Share of its candidates in the weight of all, in (0, 1]. Not a probability.
    pub p: f64,
    /// How far the true position may lie from the mean, as far as candidates tell: variance to the east, covariance of
    /// east and north, variance to the north, in square metres. It is the spread of its candidates around the mean with
    /// that of a position which may be anywhere in the ground that a candidate shows. No calibration is in it.
    pub covariance_m2: [f64; 3],
    /// Positions of its candidates among those that were given.
    pub members: Vec<usize>,
}

impl Mode {
    /// Standard deviation along an axis, in metres, as if both axes were alike.
    pub fn sigma_m(&self) -> f64 {
        let [east_m2, _, north_m2] = self.covariance_m2;
        f64::midpoint(east_m2, north_m2).sqrt()
    }
}

/// The places that candidates show, heaviest first. The first one is the place of the candidate around which most weight
/// lies; then the same follows for all candidates that are left. `p` is each candidate's share, in their order; those
/// that weigh nothing belong to no place.
pub(super) fn modes(candidates: &[&Candidate], p: &[f64], options: &FuseOptions) -> Vec<Mode> {
    let neighbours = Neighbours::of(candidates, options.same_place_m);
    let mut left: Vec<(usize, f64)> =
        p.iter().copied().enumerate().filter(|(_, share)| share.is_finite() && *share > 0.0).collect();
    left.truncate(candidates.len());
    let mut modes = Vec::new();
    while !left.is_empty() && modes.len() < MOST_MODES {
        let mut heaviest: Option<(usize, f64)> = None;
        for (centre, _) in &left {
            let around: f64 = left.iter().filter(|(other, _)| neighbours.are(*centre, *other)).map(|(_, p)| p).sum();
            if heaviest.is_none_or(|(_, most)| around > most) {
                heaviest = Some((*centre, around));
            }
        }
        let Some((centre, _)) = heaviest else { break };
        let (members, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|(other, _)| neighbours.are(centre, *other));
        left = rest;
        modes.extend(mode(candidates, members, options));
    }
    modes
}

/// Which candidates show the same place as which.
struct Neighbours {
    count: usize,
    are: Vec<bool>,
}

impl Neighbours {
    fn of(candidates: &[&Candidate], same_place_m: f64) -> Self {
        let mut are = Vec::with_capacity(candidates.len().saturating_mul(candidates.len()));
        for (row, a) in candidates.iter().enumerate() {
            for (column, b) in candidates.iter().enumerate() {
                are.push(row == column || same_place(a, b, same_place_m));
            }
        }
        Self { count: candidates.len(), are }
    }

    fn are(&self, a: usize, b: usize) -> bool {
        self.are.get(a * self.count + b).copied().unwrap_or_default()
    }
}

/// The place of these candidates; `None` when their positions cancel out, as antipodes do.
fn mode(candidates: &[&Candidate], members: Vec<(usize, f64)>, options: &FuseOptions) -> Option<Mode> {
    let placed = || members.iter().filter_map(|(at, p)| candidates.get(*at).map(|candidate| (*candidate, *p)));
    let (lat_deg, lon_deg) = weighted_mean(placed().map(|(found, p)| (found.puts_at().0, found.puts_at().1, p)))?;
    let (plane, total) = (Plane::at(lat_deg, lon_deg), placed().map(|(_, p)| p).sum::<f64>());
    let [mut ee, mut en, mut nn] = [0.0; 3];
    for (candidate, p) in placed() {
        let (candidate_lat_deg, candidate_lon_deg) = candidate.puts_at();
        let (east_m, north_m) = plane.east_north_m(candidate_lat_deg, candidate_lon_deg);
        // Variance of what is equally likely anywhere between -reach and reach.
        let own_m2 = (reach_m(candidate, options).powi(2) / 3.0).max(LEAST_VARIANCE_M2);
        let share = p / total;
        ee += share * (east_m * east_m + own_m2);
        en += share * east_m * north_m;
        nn += share * (north_m * north_m + own_m2);
    }
    let members = members.into_iter().map(|(at, _)| at).collect();
    Some(Mode { lat_deg, lon_deg, p: total, covariance_m2: [ee, en, nn], members })
}

/// How far from the centre of a candidate the ground reaches that it shows, in metres; half of what counts as one place
/// where there is no footprint.
pub(super) fn reach_m(candidate: &Candidate, options: &FuseOptions) -> f64 {
    candidate.extent_m.map_or(options.same_place_m / 2.0, |extent_m| extent_m / EXTENT_OF_SIDE / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::distance_m;
    use proptest::prelude::*;

    fn candidate(lat_deg: f64, lon_deg: f64, extent_m: Option<f64>) -> Candidate {
        Candidate {
            lat_deg,
            lon_deg,
            similarity: 0.5,
            reference: String::new(),
            shard: 0,
            row: 0,
            extent_m,
            prior_nats: 0.0,
            support: None,
            offset: None,
        }
    }

    fn of(candidates: &[Candidate], p: &[f64]) -> Vec<Mode> {
        modes(&candidates.iter().collect::<Vec<_>>(), p, &FuseOptions::default())
    }

    #[test]
    fn one_candidate_is_one_mode_as_wide_as_its_footprint() {
        let found = of(&[candidate(50.0, 8.0, Some(24.0))], &[1.0]);
        let [mode] = found.as_slice() else { panic!("{found:?}") };
        // A footprint of 80 m: 40 m to either side, a variance of 40^2 / 3.
        let [ee, en, nn] = mode.covariance_m2;
        assert!((ee - 1600.0 / 3.0).abs() < 1e-6 && (nn - ee).abs() < 1e-6 && en.abs() < 1e-6, "{mode:?}");
        assert_eq!((mode.p, mode.members.as_slice()), (1.0, &[0][..]));
    }

    #[test]
    fn spread_is_along_the_axis_in_which_candidates_lie() {
        let east = 20.0 / (111_195.0 * 50.0_f64.to_radians().cos());
        let found = of(&[candidate(50.0, 8.0 - east, Some(24.0)), candidate(50.0, 8.0 + east, Some(24.0))], &[0.5; 2]);
        let [mode] = found.as_slice() else { panic!("{found:?}") };
        let [ee, en, nn] = mode.covariance_m2;
        assert!((ee - (400.0 + 1600.0 / 3.0)).abs() < 2.0 && (nn - 1600.0 / 3.0).abs() < 1.0, "{mode:?}");
        assert!(en.abs() < 1.0 && (mode.lon_deg - 8.0).abs() < 1e-9);
    }

    #[test]
    fn modes_hold_across_the_antimeridian_and_around_a_pole() {
        let across = of(&[candidate(10.0, 179.9999, None), candidate(10.0, -179.9999, None)], &[0.5; 2]);
        assert_eq!(across.len(), 1);
        assert!(across[0].lon_deg.abs() > 179.999_99 && across[0].sigma_m() < 30.0, "{across:?}");
        let pole: Vec<Candidate> = [0.0, 90.0, 180.0, -90.0].map(|lon_deg| candidate(89.9999, lon_deg, None)).into();
        let found = of(&pole, &[0.25; 4]);
        assert_eq!(found.len(), 1);
        assert!(found[0].lat_deg > 89.999_99 && found[0].sigma_m() < 30.0, "{found:?}");
    }

    #[test]
    fn weights_that_are_none_and_no_candidates_give_no_mode() {
        assert!(of(&[], &[]).is_empty());
        assert!(of(&[candidate(1.0, 1.0, None)], &[0.0]).is_empty());
        assert!(of(&[candidate(1.0, 1.0, None)], &[f64::NAN]).is_empty());
        assert!(of(&[candidate(1.0, 1.0, None)], &[]).is_empty());
        assert!(of(&[], &[1.0]).is_empty());
    }

    proptest! {
        #[test]
        fn modes_share_the_weight_and_lie_among_their_candidates(
            places in prop::collection::vec((-90.0..=90.0_f64, -180.0..=180.0_f64, 0.01..1.0_f64), 1..24),
            near in any::<bool>(),
        ) {
            // Near one another around somewhere, or anywhere on the Earth.
            let shrink = if near { 1e-5 } else { 1.0 };
            let (lat0, lon0) = if near { (89.999, 179.9999) } else { (0.0, 0.0) };
            let candidates: Vec<Candidate> = places
                .iter()
                .map(|(lat, lon, _)| candidate((lat0 + lat * shrink).clamp(-90.0, 90.0), lon0 + lon * shrink, Some(30.0)))
                .collect();
            let total: f64 = places.iter().map(|(_, _, weight)| weight).sum();
            let p: Vec<f64> = places.iter().map(|(_, _, weight)| weight / total).collect();
            let found = of(&candidates, &p);
            prop_assert!(!found.is_empty() && found.is_sorted_by(|a, b| a.p >= b.p - 1e-12));
            prop_assert!(found.iter().map(|mode| mode.p).sum::<f64>() <= 1.0 + 1e-9);
            for mode in &found {
                let [ee, en, nn] = mode.covariance_m2;
                prop_assert!(ee > 0.0 && nn > 0.0 && en * en <= ee * nn * (1.0 + 1e-9), "{mode:?}");
                prop_assert!(mode.lat_deg.abs() <= 90.0 && mode.lon_deg.abs() <= 180.0);
                // All lie within 60 m of one of them, and so does their mean.
                let off_m = |at: &usize| {
                    distance_m(mode.lat_deg, mode.lon_deg, candidates[*at].lat_deg, candidates[*at].lon_deg)
                };
                prop_assert!(mode.members.iter().all(|at| off_m(at) <= 120.1), "{mode:?}");
            }
        }
    }
}
