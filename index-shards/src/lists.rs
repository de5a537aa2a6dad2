//! In which order the lists of a shard are scanned.

use crate::scan::{Ordered, Run};
use crate::sections::centroids::Centroids;
use std::collections::BinaryHeap;

/// A list that waits to be scanned: the best score that is expected of it, and its position.
type Waiting = (Ordered, std::cmp::Reverse<usize>);

/// The lists of a shard for one query, both by the best score that they promise and by the worst.
#[derive(Debug)]
pub(crate) struct ListOrder {
    runs: Vec<Run>,
    scanned: Vec<bool>,
    similar: BinaryHeap<Waiting>,
    dissimilar: BinaryHeap<Waiting>,
    visited: u64,
}

impl ListOrder {
    /// `score` is the dot product of the query with a stored vector; a list's rows are expected to score as their
    /// centroid, more or less `reach` times its radius.
    pub(crate) fn new(centroids: Centroids<'_>, score: impl Fn(f32, &[u8]) -> f32, reach: f32) -> Self {
        let (mut runs, mut similar, mut dissimilar) = (Vec::new(), Vec::new(), Vec::new());
        for centroid in centroids.iter() {
            let base = score(centroid.scale, centroid.bytes);
            let reach = reach * centroid.radius;
            let at = std::cmp::Reverse(runs.len());
            if centroid.rows > 0 {
                similar.push((Ordered(base + reach), at));
                dissimilar.push((Ordered(reach - base), at));
            }
            let (first_block, slots) = (centroid.first_block as usize, centroid.rows as usize);
            runs.push(Run { first_block, slots, base });
        }
        let scanned = vec![false; runs.len()];
        Self { runs, scanned, similar: similar.into(), dissimilar: dissimilar.into(), visited: 0 }
    }

    /// The list that promises the highest scores of those that were not scanned yet, if that is at least `cut`.
    pub(crate) fn next_similar(&mut self, cut: f32) -> Option<Run> {
        Self::next(&mut self.similar, &mut self.scanned, cut).and_then(|at| self.visit(at))
    }

    /// The list that promises the lowest scores of those that were not scanned yet, if minus that is at least `cut`.
    pub(crate) fn next_dissimilar(&mut self, cut: f32) -> Option<Run> {
        Self::next(&mut self.dissimilar, &mut self.scanned, cut).and_then(|at| self.visit(at))
    }

    fn next(waiting: &mut BinaryHeap<Waiting>, scanned: &mut [bool], cut: f32) -> Option<usize> {
        loop {
            let (Ordered(promise), std::cmp::Reverse(at)) = waiting.pop()?;
            if promise < cut {
                return None;
            }
            if let Some(scanned) = scanned.get_mut(at)
                && !std::mem::replace(scanned, true)
            {
                return Some(at);
            }
        }
    }

    fn visit(&mut self, at: usize) -> Option<Run> {
        self.visited += 1;
        self.runs.get(at).copied()
    }

    /// How many lists were given out.
    pub(crate) fn visited(&self) -> u64 {
        self.visited
    }
}
