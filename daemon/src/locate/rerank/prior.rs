//! What the retrieval says about candidates before any is compared.

use std::collections::{HashMap, HashSet};

use super::{Compare, RerankOptions};
use crate::locate::fuse::{log_weights, same_place};
use crate::locate::{Candidate, FuseOptions};

/// A candidate as the retrieval sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriorCandidate {
    /// Logarithm of its weight, in nats: 0 for the best, less for all others. Finite.
    pub log_weight: f64,
    /// Number of its place.
    pub place: usize,
}

impl PriorCandidate {
    /// The prior of a retrieval's candidates: the weights with which they are fused, and places by their footprints.
    /// The first candidate of each place stands for all that show the same place and do not belong to one before it.
    pub fn of(similar: &[Candidate], dissimilar: &[Candidate], options: &FuseOptions) -> Vec<Self> {
        let mut leaders: Vec<&Candidate> = Vec::new();
        let mut prior = Vec::with_capacity(similar.len());
        for (candidate, log_weight) in similar.iter().zip(log_weights(similar, dissimilar, options.sharpness)) {
            let known = leaders.iter().position(|leader| same_place(leader, candidate, options.same_place_m));
            let place = known.unwrap_or_else(|| {
                leaders.push(candidate);
                leaders.len() - 1
            });
            prior.push(Self { log_weight, place });
        }
        prior
    }

    /// For each candidate, whether a reranking with these options may move it.
    pub fn compared(prior: &[Self], options: &RerankOptions) -> Vec<bool> {
        let items = Items::of(prior, options);
        (0..prior.len()).map(|candidate| items.rank_of(candidate).is_some()).collect()
    }
}

/// Log weights are kept within this of 0, so that arithmetic with them stays finite.
const LARGEST_NATS: f64 = 1e6;

/// A log weight that arithmetic can take: what is not a number counts as the least.
pub(super) fn bounded(log_weight: f64) -> f64 {
    if log_weight.is_nan() { -LARGEST_NATS } else { log_weight.clamp(-LARGEST_NATS, LARGEST_NATS) }
}

/// What is compared among the candidates: references, or places, of which the heaviest reference stands for all.
pub(super) struct Items {
    /// The candidate that stands for each item that is compared, heaviest first, with its log weight.
    compared: Vec<(usize, f64)>,
    /// For each candidate the rank of its item, where that is compared.
    rank_of: Vec<Option<usize>>,
    places: usize,
    lead: f64,
}

impl Items {
    /// The items of `prior`, of which the [`RerankOptions::top`] heaviest are compared.
    pub(super) fn of(prior: &[PriorCandidate], options: &RerankOptions) -> Self {
        let mut order: Vec<usize> = (0..prior.len()).collect();
        let weight = |index: usize| prior.get(index).map_or(-LARGEST_NATS, |one| bounded(one.log_weight));
        order.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
        let place = |index: usize| prior.get(index).map_or(index, |one| one.place);
        let item = |index: usize| match options.compare {
            Compare::References => index,
            Compare::Places => place(index),
        };
        let mut rank_of_item: HashMap<usize, usize> = HashMap::new();
        let mut leaders: Vec<(usize, f64)> = Vec::new();
        for &index in &order {
            rank_of_item.entry(item(index)).or_insert_with(|| {
                leaders.push((index, weight(index)));
                leaders.len() - 1
            });
        }
        let rank = |index: usize| rank_of_item.get(&item(index)).copied().filter(|&rank| rank < options.top);
        let rank_of = (0..prior.len()).map(rank).collect();
        let best = order.first().copied().unwrap_or_default();
        let next = order.iter().find(|&&index| place(index) != place(best));
        let lead = next.map_or(f64::INFINITY, |&next| weight(best) - weight(next));
        leaders.truncate(options.top);
        let places = prior.iter().map(|one| one.place).collect::<HashSet<usize>>().len();
        Self { compared: leaders, rank_of, places, lead }
    }

    /// Number of places among all candidates.
    pub(super) fn places(&self) -> usize {
        self.places
    }

    /// By how many nats the heaviest place leads the next.
    pub(super) fn lead(&self) -> f64 {
        self.lead
    }

    /// For each item that is compared the candidate that stands for it and its log weight, heaviest first.
    pub(super) fn compared(&self) -> &[(usize, f64)] {
        &self.compared
    }

    /// Rank of a candidate's item among those that are compared.
    pub(super) fn rank_of(&self, candidate: usize) -> Option<usize> {
        self.rank_of.get(candidate).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(lat_deg: f64, similarity: f32, extent_m: Option<f64>) -> Candidate {
        Candidate { extent_m, ..Candidate::at(lat_deg, similarity) }
    }

    #[test]
    fn candidates_within_one_another_s_footprints_are_one_place() {
        let footprint = |lat_deg, similarity| candidate(lat_deg, similarity, Some(300.0));
        let similar = [footprint(50.0, 0.9), footprint(50.1, 0.8), footprint(50.002, 0.7), footprint(50.102, 0.6)];
        let prior = PriorCandidate::of(&similar, &[candidate(0.0, 0.1, None)], &FuseOptions::default());
        assert_eq!(prior.iter().map(|one| one.place).collect::<Vec<_>>(), [0, 1, 0, 1]);
        assert_eq!(prior[0].log_weight, 0.0);
        assert!(prior.is_sorted_by(|a, b| a.log_weight > b.log_weight), "{prior:?}");
    }

    #[test]
    fn weights_that_are_no_numbers_count_least() {
        let prior = [0.0, f64::NAN, f64::NEG_INFINITY].map(|log_weight| (log_weight, bounded(log_weight)));
        assert_eq!(prior.map(|(_, bounded)| bounded), [0.0, -LARGEST_NATS, -LARGEST_NATS]);
    }
}
