//! Frames whose truth is known.

use geolocated::locate::rerank::PriorCandidate;

use crate::bench::random::Random;

/// Nats of a margin for each unit of likeness that two places differ by, for a comparator of temperature 1: then the
/// answers of [`super::comparator::Comparator::published`] are about as sure as they should be.
pub const NATS_PER_LIKENESS: f64 = 2.0;

/// What frames are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frames {
    /// Candidates of a frame, each a place of its own.
    pub candidates: usize,
    /// How much the retrieval knows: the correlation of its scores with the true likeness, in [0, 1].
    pub retrieval_skill: f64,
    /// Factor of the retrieval's log weights: 1 where they are as sure as they should be.
    pub retrieval_confidence: f64,
    /// Seed of everything about the frames.
    pub seed: u64,
}

/// One frame: the true likeness of each candidate to the query, and what the retrieval made of it.
#[derive(Debug, Clone)]
pub struct SimulatedFrame {
    /// Number of the frame; its digest.
    pub number: u64,
    /// True likeness of each candidate, by the order of retrieval; normal with deviation 1 over all candidates.
    pub likeness: Vec<f64>,
    /// Prior of each candidate, likeliest first.
    pub prior: Vec<PriorCandidate>,
}

impl Frames {
    /// The frame of a number.
    pub fn frame(&self, number: u64) -> SimulatedFrame {
        let mut random = Random::of(&[self.seed, 0x6672_616d, number]);
        let rest = (1.0 - self.retrieval_skill.powi(2)).max(0.0).sqrt();
        let mut drawn: Vec<(f64, f64)> = (0..self.candidates)
            .map(|_| {
                let likeness = f64::from(random.normal());
                (self.retrieval_skill * likeness + rest * f64::from(random.normal()), likeness)
            })
            .collect();
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = drawn.first().map_or(0.0, |(score, _)| *score);
        let nats = NATS_PER_LIKENESS * self.retrieval_skill * self.retrieval_confidence;
        let prior = drawn
            .iter()
            .enumerate()
            .map(|(place, (score, _))| PriorCandidate { log_weight: (score - best) * nats, place })
            .collect();
        SimulatedFrame { number, likeness: drawn.into_iter().map(|(_, likeness)| likeness).collect(), prior }
    }
}

impl SimulatedFrame {
    /// The candidate that is most like the query.
    pub fn best(&self) -> usize {
        let best = self.likeness.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0, |(index, _)| index)
    }
}
