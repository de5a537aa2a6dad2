//! Comparators that err as real ones do.

use std::cell::Cell;
use std::time::Duration;

use geolocated::locate::rerank::{Costs, Judge, Stop};

use super::frame::{NATS_PER_LIKENESS, SimulatedFrame};
use crate::bench::random::Random;

/// How a comparator answers. Its margin for a pair is, in nats: what it sees of the difference in likeness, the
/// position bias, and noise of this pair in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparator {
    /// Nats for each unit of likeness; 0 for a comparator that sees nothing.
    pub gain_nats: f64,
    /// What it sees of a place differs from the true likeness, in all comparisons alike, by this standard deviation.
    pub perception_noise: f64,
    /// The same for questions about a place by itself, on top.
    pub alone_noise: f64,
    /// Noise of a pair that is the same in both orders, standard deviation in nats.
    pub pair_noise_nats: f64,
    /// Noise of a pair in one order, standard deviation in nats.
    pub order_noise_nats: f64,
    /// What being shown first adds to a margin, in nats.
    pub bias_nats: f64,
    /// What it costs.
    pub costs: Costs,
    /// Seed of its errors.
    pub seed: u64,
}

impl Comparator {
    /// One that is as inconsistent as published ones: changing the order of two candidates changes 20.6 % of its
    /// answers, and 49.8 % of those on pairs that it sees as nearly alike. `perception_noise` is what no schedule mends:
    /// with 0, 0.6 and 1.2 one answer in one order is right for 85, 76 and 68 of 100 random pairs.
    pub fn published(perception_noise: f64, seed: u64) -> Self {
        // What it sees varies more by its errors; to be as inconsistent, it is noisier to the same degree.
        let spread = 1.0_f64.hypot(perception_noise);
        Self {
            gain_nats: NATS_PER_LIKENESS,
            perception_noise,
            alone_noise: 1.0,
            pair_noise_nats: 0.35 * spread,
            order_noise_nats: 1.3 * spread,
            bias_nats: 0.4 * spread,
            costs: Costs::default(),
            seed,
        }
    }

    /// One that sees nothing: position bias and noise are all that it answers.
    pub fn blind(seed: u64) -> Self {
        Self { gain_nats: 0.0, ..Self::published(0.0, seed) }
    }

    /// What it sees of each candidate of a frame.
    pub fn perceived(&self, frame: &SimulatedFrame) -> Vec<f64> {
        let seen = frame.likeness.iter().enumerate();
        seen.map(|(place, likeness)| likeness + self.perception_noise * self.noise(frame, [1, place, 0])).collect()
    }

    /// Its margin for a pair of one frame, of which it sees this.
    pub fn margin(&self, frame: &SimulatedFrame, perceived: &[f64], first: usize, second: usize) -> f64 {
        let at = |place: usize| perceived.get(place).copied().unwrap_or_default();
        let (low, high) = (first.min(second), first.max(second));
        let pair = self.pair_noise_nats * self.noise(frame, [2, low, high]);
        let order = self.order_noise_nats * self.noise(frame, [3, first, second]);
        let signed = if first < second { pair } else { -pair };
        self.gain_nats * (at(first) - at(second)) + signed + order + self.bias_nats
    }

    fn noise(&self, frame: &SimulatedFrame, [purpose, a, b]: [usize; 3]) -> f64 {
        f64::from(Random::of(&[self.seed, frame.number, purpose as u64, a as u64, b as u64]).normal())
    }
}

/// A comparator looking at one frame, with a clock of its own.
pub struct SimulatedJudge<'a> {
    comparator: &'a Comparator,
    frame: &'a SimulatedFrame,
    perceived: Vec<f64>,
    pivot: Option<usize>,
    clock_ms: &'a Cell<f64>,
}

impl<'a> SimulatedJudge<'a> {
    /// Looks at a frame; `clock_ms` advances by what answers cost.
    pub fn new(comparator: &'a Comparator, frame: &'a SimulatedFrame, clock_ms: &'a Cell<f64>) -> Self {
        Self { comparator, frame, perceived: comparator.perceived(frame), pivot: None, clock_ms }
    }

    fn spend(&self, ms: f64) {
        self.clock_ms.set(self.clock_ms.get() + ms);
    }

    fn alone(&self, candidate: usize) -> f64 {
        let seen = self.perceived.get(candidate).copied().unwrap_or_default();
        let noise = self.comparator.alone_noise * self.comparator.noise(self.frame, [4, candidate, 0]);
        self.comparator.gain_nats * (seen + noise)
    }
}

/// Time that a simulated clock shows.
pub fn time_of(clock_ms: &Cell<f64>) -> Duration {
    Duration::from_secs_f64(clock_ms.get() / 1e3)
}

#[expect(clippy::cast_possible_truncation, reason = "margins are of the width that models give")]
impl Judge for SimulatedJudge<'_> {
    fn pair(&mut self, first: usize, second: usize) -> Result<f32, Stop> {
        let costs = self.comparator.costs;
        self.spend(if self.pivot == Some(first) { costs.pivoted_ms } else { costs.pair_ms });
        self.pivot = Some(first);
        Ok(self.comparator.margin(self.frame, &self.perceived, first, second) as f32)
    }

    fn yes_no(&mut self, candidate: usize) -> Result<f32, Stop> {
        self.spend(self.comparator.costs.single_ms);
        Ok(self.alone(candidate) as f32)
    }

    fn score(&mut self, candidate: usize) -> Result<f32, Stop> {
        self.spend(self.comparator.costs.single_ms);
        Ok((50.0 + 10.0 * self.alone(candidate)) as f32)
    }

    fn list(&mut self, candidates: &[usize]) -> Result<Vec<f32>, Stop> {
        self.spend(self.comparator.costs.list_item_ms * candidates.len() as f64);
        let logits = candidates.iter().enumerate().map(|(position, &candidate)| {
            let seen = self.perceived.get(candidate).copied().unwrap_or_default();
            let noise = self.comparator.order_noise_nats * self.comparator.noise(self.frame, [5, candidate, position]);
            let bias = if position == 0 { self.comparator.bias_nats } else { 0.0 };
            (self.comparator.gain_nats * seen + noise + bias) as f32
        });
        Ok(logits.collect())
    }

    fn list_limit(&self) -> usize {
        8
    }

    fn probe(&mut self, leader: usize, dissimilar: usize, leader_first: bool) -> Result<f32, Stop> {
        self.spend(self.comparator.costs.pair_ms);
        self.pivot = leader_first.then_some(leader);
        let seen = self.perceived.get(leader).copied().unwrap_or_default() - DISSIMILAR_LIKENESS;
        let noise = self.comparator.noise(self.frame, [6, dissimilar, usize::from(leader_first)]);
        let bias = if leader_first { self.comparator.bias_nats } else { -self.comparator.bias_nats };
        Ok((self.comparator.gain_nats * seen + self.comparator.order_noise_nats * noise + bias) as f32)
    }
}

/// Likeness of a dissimilar reference.
const DISSIMILAR_LIKENESS: f64 = -3.0;
