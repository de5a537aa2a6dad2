//! How candidates weigh, and which of them show one place.

use serde::Deserialize;

use super::{Candidate, distance_m};

/// How candidates become a position.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FuseOptions {
    /// References without a footprint that lie nearer than this to one another count as one place, in metres. Those
    /// with footprints do when they share nearly half of their ground.
    pub same_place_m: f64,
    /// How fast the weight of a candidate falls with its similarity. A candidate halfway between the dissimilar end and
    /// the best one weighs `exp(-sharpness / 2)` times as much as the best. A scale, not a probability: that takes a
    /// calibration.
    pub sharpness: f64,
    /// Share of the heaviest place's weight that a second place must reach for the answer to be ambiguous, in (0, 1].
    pub ambiguous_share: f64,
    /// Whether references that show one place are held against the frame together: what of its embedding they explain
    /// between them is the similarity of the place, and says where between them the frame lies.
    pub overlap: bool,
}

impl Default for FuseOptions {
    fn default() -> Self {
        Self { same_place_m: 50.0, sharpness: 24.0, ambiguous_share: 0.7, overlap: true }
    }
}

/// Logarithm of each candidate's weight by the retrieval, 0 for the best one, and by the prior, where there is one.
pub(super) fn log_weights(similar: &[Candidate], dissimilar: &[Candidate], sharpness: f64) -> Vec<f64> {
    let best = similar.iter().map(Candidate::weighing_similarity).fold(f64::NEG_INFINITY, f64::max);
    let far: f64 = dissimilar.iter().map(|candidate| f64::from(candidate.similarity)).sum();
    let zero = if dissimilar.is_empty() { best } else { far / dissimilar.len() as f64 };
    let range = best - zero;
    similar
        .iter()
        .map(|candidate| {
            let below_best = best - candidate.weighing_similarity();
            candidate.prior_nats + if range > 0.0 { -sharpness * below_best / range } else { 0.0 }
        })
        .collect()
}

/// Whether two references show one place: their footprints, or `same_place_m` where there are none.
pub(super) fn same_place(a: &Candidate, b: &Candidate, same_place_m: f64) -> bool {
    let reach = |candidate: &Candidate| candidate.extent_m.unwrap_or(same_place_m / 2.0);
    distance_m(a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg) <= reach(a) + reach(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::{NoFixReason, Outcome, Posterior};

    fn fuse(similar: &[Candidate], dissimilar: &[Candidate], options: &FuseOptions) -> Outcome {
        Posterior::of_retrieval(similar, dissimilar, options).outcome(options)
    }

    fn candidate(lat_deg: f64, lon_deg: f64, similarity: f32) -> Candidate {
        Candidate {
            lat_deg,
            lon_deg,
            similarity,
            reference: String::new(),
            shard: 0,
            row: 0,
            extent_m: None,
            prior_nats: 0.0,
            support: None,
            offset: None,
        }
    }

    fn far_end() -> Vec<Candidate> {
        vec![candidate(0.0, 0.0, 0.1)]
    }

    #[test]
    fn candidates_in_one_place_give_their_weighted_mean() {
        let similar = [candidate(50.0, 8.0, 0.9), candidate(50.0002, 8.0, 0.9)];
        let Outcome::Fix(fix) = fuse(&similar, &far_end(), &FuseOptions::default()) else { panic!("no fix") };
        assert!((fix.lat_deg - 50.0001).abs() < 1e-6, "{fix:?}");
    }

    #[test]
    fn a_lone_weaker_candidate_far_away_does_not_pull_the_fix() {
        let similar = [candidate(50.0, 8.0, 0.9), candidate(50.0001, 8.0, 0.88), candidate(51.0, 9.0, 0.7)];
        let Outcome::Fix(fix) = fuse(&similar, &far_end(), &FuseOptions::default()) else { panic!("no fix") };
        assert!(distance_m(fix.lat_deg, fix.lon_deg, 50.0, 8.0) < 12.0, "{fix:?}");
    }

    #[test]
    fn two_places_of_equal_weight_are_ambiguous() {
        let similar = [candidate(50.0, 8.0, 0.9), candidate(51.0, 9.0, 0.9)];
        assert!(matches!(fuse(&similar, &far_end(), &FuseOptions::default()), Outcome::Ambiguous));
    }

    #[test]
    fn footprints_that_overlap_are_one_place_whatever_their_size() {
        let mut similar = [candidate(50.0, 8.0, 0.9), candidate(50.01, 8.0, 0.9)];
        assert!(matches!(fuse(&similar, &far_end(), &FuseOptions::default()), Outcome::Ambiguous));
        for candidate in &mut similar {
            candidate.extent_m = Some(600.0);
        }
        assert!(matches!(fuse(&similar, &far_end(), &FuseOptions::default()), Outcome::Fix(_)));
    }

    #[test]
    fn no_candidates_are_no_fix_and_equal_similarities_are_no_crash() {
        assert!(matches!(fuse(&[], &[], &FuseOptions::default()), Outcome::NoFix(NoFixReason::OutOfCoverage)));
        let one = [candidate(50.0, 8.0, 0.5)];
        assert!(matches!(fuse(&one, &one, &FuseOptions::default()), Outcome::Fix(_)));
        assert!(matches!(fuse(&one, &[], &FuseOptions::default()), Outcome::Fix(_)));
    }
}
