//! Both ends of a ranking, kept while rows go by.

use crate::search::Hit;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// How many rows are wanted at the similar and at the dissimilar end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) similar: usize,
    pub(crate) dissimilar: usize,
}

impl Wanted {
    /// The greater of both.
    pub(crate) fn most(self) -> usize {
        self.similar.max(self.dissimilar)
    }
}

/// The best rows for both ends so far: at most as many as are wanted, whatever the number of rows.
#[derive(Debug)]
pub(crate) struct Ends {
    /// By descending score.
    pub(crate) similar: End,
    /// By ascending score.
    pub(crate) dissimilar: End,
}

impl Ends {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { similar: End::new(wanted.similar, -1.0), dissimilar: End::new(wanted.dissimilar, 1.0) }
    }

    /// Takes a row in at both ends.
    pub(crate) fn offer(&mut self, hit: Hit) {
        self.similar.offer(hit);
        self.dissimilar.offer(hit);
    }

    /// Takes in what another part of the search has found.
    pub(crate) fn merge(&mut self, other: Self) {
        for (end, other) in [(&mut self.similar, other.similar), (&mut self.dissimilar, other.dissimilar)] {
            other.heap.into_iter().for_each(|candidate| end.offer_candidate(candidate));
        }
    }
}

/// The `k` candidates of the least keys; the heap's top is the worst of them.
#[derive(Debug)]
pub(crate) struct End {
    k: usize,
    /// What a score is multiplied with to become a key: 1 or -1.
    sign: f32,
    heap: BinaryHeap<Candidate>,
}

impl End {
    fn new(k: usize, sign: f32) -> Self {
        Self { k, sign, heap: BinaryHeap::new() }
    }

    /// Takes a row in. A score that is not finite comes from a damaged vector and is left out.
    pub(crate) fn offer(&mut self, hit: Hit) {
        if hit.score.is_finite() {
            self.offer_candidate(Candidate { key: hit.score * self.sign, shard: hit.shard, row: hit.row });
        }
    }

    fn offer_candidate(&mut self, candidate: Candidate) {
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// What a score, its sign turned so that more is better, must reach to get in; `None` while anything does.
    pub(crate) fn entry(&self) -> Option<f32> {
        self.heap.peek().filter(|_| self.heap.len() >= self.k).map(|worst| -worst.key)
    }

    /// What was found, best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        let best_first = self.heap.into_sorted_vec().into_iter();
        best_first.map(|Candidate { key, shard, row }| Hit { shard, row, score: key * self.sign }).collect()
    }
}

/// A row and what it is ranked by: least key first, then first shard, then first row.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    key: f32,
    shard: usize,
    row: u32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        // Keys are finite, so this is a total order; unlike `total_cmp` it takes 0 and -0 as equal.
        let keys = self.key.partial_cmp(&other.key).unwrap_or(Ordering::Equal);
        keys.then(self.shard.cmp(&other.shard)).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(k: usize) -> Ends {
        Ends::new(Wanted { similar: k, dissimilar: k })
    }

    fn rows_of(ends: Ends) -> (Vec<u32>, Vec<u32>) {
        let rows = |end: End| end.into_hits().iter().map(|hit| hit.row).collect();
        (rows(ends.similar), rows(ends.dissimilar))
    }

    #[test]
    fn damaged_scores_are_left_out_wherever_they_come() {
        let mut ends = both(2);
        let scores = [f32::NAN, 0.5, f32::INFINITY, -0.5, f32::NEG_INFINITY, 0.25, -f32::NAN];
        for (&score, row) in scores.iter().zip(0..) {
            ends.offer(Hit { shard: 0, row, score });
        }
        assert_eq!(rows_of(ends), (vec![1, 5], vec![3, 5]));
    }

    #[test]
    fn an_end_that_is_not_wanted_takes_nothing() {
        let mut ends = Ends::new(Wanted { similar: 2, dissimilar: 0 });
        for (&score, row) in [0.1, 0.9, 0.5].iter().zip(0..) {
            ends.offer(Hit { shard: 0, row, score });
        }
        let mut all = both(2);
        all.merge(Ends::new(Wanted { similar: 0, dissimilar: 2 }));
        all.merge(ends);
        assert_eq!(rows_of(all), (vec![1, 2], vec![]));
    }

    #[test]
    fn zero_and_minus_zero_are_a_tie() {
        let mut ends = both(3);
        for (&score, row) in [0.0, -0.0, 0.0].iter().zip(0..) {
            ends.offer(Hit { shard: 0, row, score });
        }
        assert_eq!(rows_of(ends), (vec![0, 1, 2], vec![0, 1, 2]));
    }

    #[test]
    fn ties_go_to_the_first_shard_and_row_in_whatever_order_they_come() {
        let mut ends = both(2);
        for (shard, row) in [(1, 0), (0, 7), (1, 1), (0, 3)] {
            ends.offer(Hit { shard, row, score: 0.5 });
        }
        assert_eq!(rows_of(ends), (vec![3, 7], vec![3, 7]));
    }
}
