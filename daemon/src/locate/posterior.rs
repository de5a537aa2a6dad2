//! What is believed of a frame's place: a share for each candidate, and the places around which the weight lies.

use super::fuse::log_weights;
use super::modes::modes;
use super::{Candidate, Fix, FuseOptions, Mode, NoFixReason, Outcome};

/// Shares of candidates and the places that they show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Posterior {
    /// Share of each candidate in the weight of all, in [0, 1], in the order of the candidates; they sum to 1 unless none
    /// weighs anything. Not a probability.
    pub p: Vec<f64>,
    /// The places that they show, heaviest first. What is left to places beyond the sixteenth is not in it.
    pub modes: Vec<Mode>,
}

impl Posterior {
    /// That of a retrieval: each similar candidate weighs by where its similarity lies between the mean of the dissimilar
    /// end (0) and the best candidate (1).
    pub fn of_retrieval(similar: &[Candidate], dissimilar: &[Candidate], options: &FuseOptions) -> Self {
        let weights = log_weights(similar, dissimilar, options.sharpness).into_iter().map(f64::exp).collect();
        Self::of_weights(&similar.iter().collect::<Vec<_>>(), weights, options)
    }

    /// That of candidates and their weights, which need not sum to 1. Weights that are no positive numbers count as 0.
    pub fn of_weights(candidates: &[&Candidate], weights: Vec<f64>, options: &FuseOptions) -> Self {
        let mut p = weights;
        p.resize(candidates.len(), 0.0);
        for weight in &mut p {
            *weight = if weight.is_finite() { weight.max(0.0) } else { 0.0 };
        }
        let total: f64 = p.iter().sum();
        if total > 0.0 {
            p.iter_mut().for_each(|weight| *weight /= total);
        }
        let modes = modes(candidates, &p, options);
        Self { p, modes }
    }

    /// The position of the heaviest place, unless a second one weighs nearly as much.
    pub fn outcome(&self, options: &FuseOptions) -> Outcome {
        let second = self.modes.get(1).map_or(0.0, |second| second.p);
        match self.modes.first() {
            None => Outcome::NoFix(NoFixReason::OutOfCoverage),
            Some(first) if second >= options.ambiguous_share * first.p => Outcome::Ambiguous,
            Some(first) => Outcome::Fix(Fix { lat_deg: first.lat_deg, lon_deg: first.lon_deg }),
        }
    }

    /// Entropy of the places' shares, in nats: 0 where all weight lies in one place, ln(n) where it lies in n alike.
    pub fn entropy_nats(&self) -> f64 {
        let total: f64 = self.modes.iter().map(|mode| mode.p).sum();
        self.modes.iter().map(|mode| mode.p / total).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(lat_deg: f64, similarity: f32) -> Candidate {
        Candidate::at(lat_deg, similarity)
    }

    #[test]
    fn shares_sum_to_one_and_follow_the_similarity() {
        let similar = [candidate(50.0, 0.9), candidate(51.0, 0.8), candidate(52.0, 0.7)];
        let posterior = Posterior::of_retrieval(&similar, &[candidate(0.0, 0.1)], &FuseOptions::default());
        assert!((posterior.p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(posterior.p.is_sorted_by(|a, b| a > b) && posterior.modes.len() == 3);
        // Halfway down to the dissimilar end a candidate weighs exp(-sharpness / 2) times as much: an eighth of the way.
        let ratio = posterior.p[1] / posterior.p[0];
        assert!((ratio - (-24.0_f64 / 8.0).exp()).abs() < 1e-6, "{ratio}");
    }

    #[test]
    fn equal_candidates_share_alike_and_one_has_all() {
        let four = [50.0, 51.0, 52.0, 53.0].map(|lat_deg| candidate(lat_deg, 0.5));
        let posterior = Posterior::of_retrieval(&four, &four, &FuseOptions::default());
        assert!(posterior.p.iter().all(|p| (p - 0.25).abs() < 1e-12));
        assert!((posterior.entropy_nats() - 4.0_f64.ln()).abs() < 1e-9);
        assert!(matches!(posterior.outcome(&FuseOptions::default()), Outcome::Ambiguous));
        let one = Posterior::of_retrieval(&four[..1], &[], &FuseOptions::default());
        assert_eq!((one.p.as_slice(), one.entropy_nats()), (&[1.0][..], 0.0));
        assert!(matches!(one.outcome(&FuseOptions::default()), Outcome::Fix(_)));
    }

    #[test]
    fn without_weight_there_is_no_position_and_no_number_that_is_none() {
        let two = [candidate(50.0, 0.5), candidate(51.0, 0.5)];
        for weights in [vec![], vec![0.0, -1.0], vec![f64::NAN, f64::INFINITY]] {
            let posterior = Posterior::of_weights(&two.iter().collect::<Vec<_>>(), weights, &FuseOptions::default());
            assert_eq!(posterior.p, [0.0, 0.0]);
            assert!(matches!(posterior.outcome(&FuseOptions::default()), Outcome::NoFix(NoFixReason::OutOfCoverage)));
            assert_eq!(posterior.entropy_nats(), 0.0);
        }
    }
}
