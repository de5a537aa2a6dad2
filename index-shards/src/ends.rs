//! Both ends of a ranking, kept while rows go by.

use crate::search::{Hit, Retrieval};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The best rows for both ends so far: at most `k` each, whatever the number of rows.
#[derive(Debug)]
pub(crate) struct Ends {
    similar: End,
    dissimilar: End,
}

impl Ends {
    pub(crate) fn new(k: usize) -> Self {
        Self { similar: End::new(k), dissimilar: End::new(k) }
    }

    /// Takes in a row. A score that is not finite comes from a damaged vector and is left out.
    pub(crate) fn offer(&mut self, shard: usize, row: u32, score: f32) {
        if score.is_finite() {
            self.similar.offer(Candidate { key: -score, shard, row });
            self.dissimilar.offer(Candidate { key: score, shard, row });
        }
    }

    pub(crate) fn into_retrieval(self) -> Retrieval {
        Retrieval { similar: self.similar.into_hits(|key| -key), dissimilar: self.dissimilar.into_hits(|key| key) }
    }
}

/// The `k` candidates of the least keys; the heap's top is the worst of them.
#[derive(Debug)]
struct End {
    k: usize,
    heap: BinaryHeap<Candidate>,
}

impl End {
    fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, candidate: Candidate) {
        if self.heap.len() < self.k {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    fn into_hits(self, score: impl Fn(f32) -> f32) -> Vec<Hit> {
        let best_first = self.heap.into_sorted_vec().into_iter();
        best_first.map(|Candidate { key, shard, row }| Hit { shard, row, score: score(key) }).collect()
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

    fn rows(hits: &[Hit]) -> Vec<u32> {
        hits.iter().map(|hit| hit.row).collect()
    }

    #[test]
    fn damaged_scores_are_left_out_wherever_they_come() {
        let mut ends = Ends::new(2);
        let scores = [f32::NAN, 0.5, f32::INFINITY, -0.5, f32::NEG_INFINITY, 0.25, -f32::NAN];
        for (&score, row) in scores.iter().zip(0..) {
            ends.offer(0, row, score);
        }
        let found = ends.into_retrieval();
        assert_eq!((rows(&found.similar), rows(&found.dissimilar)), (vec![1, 5], vec![3, 5]));
    }

    #[test]
    fn zero_and_minus_zero_are_a_tie() {
        let mut ends = Ends::new(3);
        for (&score, row) in [0.0, -0.0, 0.0].iter().zip(0..) {
            ends.offer(0, row, score);
        }
        let found = ends.into_retrieval();
        assert_eq!((rows(&found.similar), rows(&found.dissimilar)), (vec![0, 1, 2], vec![0, 1, 2]));
    }

    #[test]
    fn ties_go_to_the_first_shard_and_row_in_whatever_order_they_come() {
        let mut ends = Ends::new(2);
        for (shard, row) in [(1, 0), (0, 7), (1, 1), (0, 3)] {
            ends.offer(shard, row, 0.5);
        }
        let found = ends.into_retrieval();
        assert_eq!((rows(&found.similar), rows(&found.dissimilar)), (vec![3, 7], vec![3, 7]));
    }
}
