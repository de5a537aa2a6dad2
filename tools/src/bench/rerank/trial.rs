//! One schedule on many frames.

use std::cell::Cell;

use geolocated::locate::rerank::{Ranking, RerankOptions, StoppedBy, rerank};

use serde::Serialize;

use super::comparator::{Comparator, SimulatedJudge, time_of};
use super::frame::{Frames, SimulatedFrame};

/// How deep rankings are judged by NDCG.
const DEPTH: usize = 10;

/// What one schedule did to many frames.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Whether each frame's best candidate came first.
    pub top1: Vec<bool>,
    /// NDCG@10 of each frame.
    pub ndcg10: Vec<f64>,
    /// Answers of the comparator for each frame.
    pub calls: Vec<usize>,
    /// Simulated milliseconds of each frame.
    pub ms: Vec<f64>,
    /// Whether each frame's best candidate came first by the comparisons that it won alone.
    pub top1_by_wins: Vec<bool>,
    /// Frames of which nothing was compared because the retrieval was beyond doubt.
    pub gated: usize,
    /// Frames whose comparator failed its probe.
    pub probe_failed: usize,
}

impl Outcome {
    /// Share of frames whose best candidate came first.
    pub fn top1_share(&self) -> f64 {
        mean(self.top1.iter().map(|&hit| f64::from(u8::from(hit))))
    }

    /// Mean NDCG@10.
    pub fn mean_ndcg10(&self) -> f64 {
        mean(self.ndcg10.iter().copied())
    }

    /// Mean number of answers of the comparator.
    pub fn mean_calls(&self) -> f64 {
        mean(self.calls.iter().map(|&calls| calls as f64))
    }

    /// Mean simulated milliseconds.
    pub fn mean_ms(&self) -> f64 {
        mean(self.ms.iter().copied())
    }

    /// Share of frames whose best candidate came first by wins alone.
    pub fn top1_by_wins_share(&self) -> f64 {
        mean(self.top1_by_wins.iter().map(|&hit| f64::from(u8::from(hit))))
    }

    /// Mean difference in Top-1 to the hits of another schedule on the same frames, with its standard error.
    pub fn top1_gain_over(&self, others: &[bool]) -> Gain {
        let number = |hit: &bool| f64::from(u8::from(*hit));
        let differences: Vec<f64> = self.top1.iter().zip(others).map(|(a, b)| number(a) - number(b)).collect();
        let gain = mean(differences.iter().copied());
        let variance = mean(differences.iter().map(|difference| (difference - gain).powi(2)));
        Gain { mean: gain, standard_error: (variance / differences.len().max(1) as f64).sqrt() }
    }

    fn take(&mut self, frame: &SimulatedFrame, ranking: &Ranking) {
        self.top1.push(ranking.order.first() == Some(&frame.best()));
        self.ndcg10.push(ndcg(&frame.likeness, &ranking.order));
        self.calls.push(ranking.calls);
        self.ms.push(ranking.spent_ms);
        self.top1_by_wins.push(order_by_wins(ranking).first() == Some(&frame.best()));
        self.gated += usize::from(ranking.gated());
        self.probe_failed += usize::from(ranking.stopped_by == StoppedBy::Probe);
    }
}

/// A mean difference over frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// Runs a schedule on the first `count` frames.
pub fn run(frames: &Frames, comparator: &Comparator, options: &RerankOptions, count: u64) -> Outcome {
    let mut outcome = Outcome::default();
    for number in 0..count {
        let frame = frames.frame(number);
        outcome.take(&frame, &ranking(&frame, comparator, options));
    }
    outcome
}

/// Reranks one frame as the daemon would.
pub fn ranking(frame: &SimulatedFrame, comparator: &Comparator, options: &RerankOptions) -> Ranking {
    let clock_ms = Cell::new(0.0);
    let options = RerankOptions { costs: comparator.costs, ..options.clone() };
    let mut judge = SimulatedJudge::new(comparator, frame, &clock_ms);
    rerank(&frame.prior, 2, &mut judge, &|| time_of(&clock_ms), &options, frame.number)
}

/// NDCG@10 of an order of frames whose gain of a candidate is 2 to the power of its likeness, less 1, at least 0.
fn ndcg(likeness: &[f64], order: &[usize]) -> f64 {
    let gains: Vec<f64> = likeness.iter().map(|likeness| (likeness.exp2() - 1.0).max(0.0)).collect();
    ndcg_of_gains(&gains, order)
}

/// NDCG@10 of an order: the gain of each candidate over the logarithm of its rank plus 1, against the best order.
pub(super) fn ndcg_of_gains(gains: &[f64], order: &[usize]) -> f64 {
    let discounted = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        gains.take(DEPTH).enumerate().map(|(rank, gain)| gain / (rank as f64 + 2.0).log2()).sum()
    };
    let mut best = gains.to_vec();
    best.sort_by(|a, b| b.total_cmp(a));
    let ideal = discounted(&mut best.into_iter());
    let at = |index: &usize| gains.get(*index).copied().unwrap_or_default();
    if ideal > 0.0 { discounted(&mut order.iter().map(at)) / ideal } else { 1.0 }
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Candidates by how many comparisons each has won, as published round robins rank them: of equal ones the likelier by
/// the retrieval first.
pub fn order_by_wins(ranking: &Ranking) -> Vec<usize> {
    let mut wins = vec![0_usize; ranking.order.len()];
    for pair in &ranking.comparisons {
        let winner = if pair.margin > 0.0 { pair.first } else { pair.second };
        if let Some(count) = wins.get_mut(winner) {
            *count += 1;
        }
    }
    let mut order: Vec<usize> = (0..wins.len()).collect();
    order.sort_by_key(|&candidate| std::cmp::Reverse(wins.get(candidate).copied()));
    order
}

#[cfg(test)]
mod tests {
    use geolocated::locate::rerank::{SecondOrder, Strategy};

    use super::*;

    fn unlimited(strategy: Strategy) -> RerankOptions {
        RerankOptions {
            strategy,
            max_comparisons: usize::MAX,
            budget_ms: None,
            top: usize::MAX,
            gate_nats: None,
            probes: 0,
            second_order: SecondOrder::Always,
            ..RerankOptions::default()
        }
    }

    #[test]
    fn adaptive_finds_the_best_as_often_as_counting_all_pairs_for_a_fraction_of_their_cost() {
        for (candidates, share) in [(8, 0.25), (16, 0.12)] {
            let frames = Frames { candidates, retrieval_skill: 0.6, retrieval_confidence: 1.0, seed: 3 };
            let comparator = Comparator::published(0.6, 3);
            let full = run(&frames, &comparator, &unlimited(Strategy::RoundRobin), 200);
            assert_eq!(full.calls[0], candidates * (candidates - 1));
            let default = RerankOptions::default().second_order;
            let budget_ms = Some((full.mean_ms() * share) as u64);
            let options = RerankOptions { budget_ms, second_order: default, ..unlimited(Strategy::Adaptive) };
            let adaptive = run(&frames, &comparator, &options, 200);
            assert!(adaptive.mean_ms() <= full.mean_ms() * share);
            let gain = adaptive.top1_gain_over(&full.top1_by_wins);
            assert!(gain.mean > -0.02, "{candidates}: {gain:?}");
        }
    }

    #[test]
    fn a_blind_comparator_that_is_probed_costs_little() {
        let frames = Frames { candidates: 16, retrieval_skill: 0.6, retrieval_confidence: 1.0, seed: 3 };
        let (blind, off) = (Comparator::blind(3), unlimited(Strategy::Off));
        let retrieval = run(&frames, &blind, &off, 300);
        let probed = run(&frames, &blind, &RerankOptions::default(), 300);
        assert!(probed.probe_failed > 150, "{}", probed.probe_failed);
        assert!(probed.top1_gain_over(&retrieval.top1).mean > -0.06);
    }

    #[test]
    fn ndcg_is_1_for_the_best_order_and_falls_with_each_swap() {
        let gains = [3.0, 1.0, 0.0];
        assert!((ndcg_of_gains(&gains, &[0, 1, 2]) - 1.0).abs() < 1e-12);
        let swapped = (1.0 + 3.0 / 3.0_f64.log2()) / (3.0 + 1.0 / 3.0_f64.log2());
        assert!((ndcg_of_gains(&gains, &[1, 0, 2]) - swapped).abs() < 1e-12);
        assert_eq!(ndcg_of_gains(&[0.0; 3], &[2, 1, 0]), 1.0);
    }
}
