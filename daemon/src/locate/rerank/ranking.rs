//! What a reranking leaves behind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::prior::{Items, bounded};
use super::{Posterior, PriorCandidate, RerankOptions, Stop};

/// One pair as it was shown, and the answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The candidate that was shown first, by its position in the prior.
    pub first: usize,
    /// The one that was shown second.
    pub second: usize,
    /// Margin in nats, as the judge gave it: above 0 for `first`.
    pub margin: f32,
}

/// One answer about a candidate by itself, or within a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The candidate, by its position in the prior.
    pub candidate: usize,
    /// Logit or score, as the judge gave it.
    pub value: f32,
}

/// Whether the comparator told the leader from a dissimilar reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The margins of the leader in nats, one for each probe.
    pub margins: Vec<f32>,
    /// Whether their mean reached what was asked.
    pub passed: bool,
}

/// Why a reranking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// The strategy had nothing more to ask.
    Finished,
    /// The leader is beyond doubt.
    Settled,
    /// The retrieval was beyond doubt: nothing was compared.
    Gate,
    /// Reranking is off.
    Off,
    /// There were fewer than two candidates.
    TooFewCandidates,
    /// All candidates show one place.
    OnePlace,
    /// As many comparisons as allowed were made.
    Budget,
    /// The time for this frame was over, or would have been with one more answer.
    Deadline,
    /// The comparator did not tell the leader from a dissimilar reference: the order is that of retrieval.
    Probe,
    /// The comparator failed: the order is that of retrieval.
    Failed,
    /// The comparator gave a number that is not finite: the order is that of retrieval.
    NotFinite,
    /// The comparator does not answer what the strategy asks: the order is that of retrieval.
    Unsupported,
}

impl StoppedBy {
    /// The word that stands in messages and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Settled => "settled",
            Self::Gate => "gate",
            Self::Off => "off",
            Self::TooFewCandidates => "too_few_candidates",
            Self::OnePlace => "one_place",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Probe => "probe",
            Self::Failed => "failed",
            Self::NotFinite => "not_finite",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether the answers made before this end count. Where they do not, the order is that of retrieval.
    pub fn keeps_answers(self) -> bool {
        !matches!(self, Self::Probe | Self::Failed | Self::NotFinite | Self::Unsupported)
    }
}

impl From<&Stop> for StoppedBy {
    fn from(stop: &Stop) -> Self {
        match stop {
            Stop::Deadline => Self::Deadline,
            Stop::Budget => Self::Budget,
            Stop::Failed(_) => Self::Failed,
            Stop::NotFinite => Self::NotFinite,
            Stop::Unsupported => Self::Unsupported,
        }
    }
}

/// Candidates in a new order. Always a permutation of all that were given, whatever ended the reranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Positions in the prior, best first.
    pub order: Vec<usize>,
    /// What stands for each candidate, in nats, by its position in the prior: its log weight by the retrieval, moved by
    /// what the answers told about its place. Differences count, not the values themselves.
    pub log_weight: Vec<f64>,
    /// The share of each candidate in the weight of all, by its position in the prior; they sum to 1. Not a probability
    /// until the options of the posterior were calibrated.
    pub p: Vec<f64>,
    /// The pairs that were compared, in this order, also those whose answers did not count in the end.
    pub comparisons: Vec<Comparison>,
    /// What pointwise and listwise strategies were told, in this order.
    pub answers: Vec<Answer>,
    /// How often the judge was asked, probes included.
    pub calls: usize,
    /// Position bias in nats that the answers show: what being shown first adds to a margin.
    pub bias_nats: f64,
    /// Milliseconds from the start to the end of the reranking.
    pub spent_ms: f64,
    /// Why it ended.
    pub stopped_by: StoppedBy,
    /// What the comparator said when it failed.
    pub failure: Option<String>,
    /// The probes, where there were any.
    pub probe: Option<Probe>,
}

impl Ranking {
    /// The retrieval's own order, with its own weights.
    pub(super) fn of_retrieval(prior: &[PriorCandidate], spent: Duration, stopped_by: StoppedBy) -> Self {
        let log_weight: Vec<f64> = prior.iter().map(|candidate| bounded(candidate.log_weight)).collect();
        Self {
            order: (0..prior.len()).collect(),
            p: shares(&log_weight),
            log_weight,
            comparisons: Vec::new(),
            answers: Vec::new(),
            calls: 0,
            bias_nats: 0.0,
            spent_ms: spent.as_secs_f64() * 1e3,
            stopped_by,
            failure: None,
            probe: None,
        }
    }

    /// The order that the posterior of the compared places gives.
    pub(super) fn of_posterior(
        prior: &[PriorCandidate],
        items: &Items,
        posterior: &Posterior,
        options: &RerankOptions,
        stopped_by: StoppedBy,
    ) -> Self {
        let mut ranking = Self::of_retrieval(prior, Duration::ZERO, stopped_by);
        for (candidate, log_weight) in ranking.log_weight.iter_mut().enumerate() {
            *log_weight *= options.posterior.prior_scale;
            if let Some(rank) = items.rank_of(candidate)
                && let Some((_, place_weight)) = items.compared().get(rank)
            {
                *log_weight += posterior.strength(rank) - place_weight * options.posterior.prior_scale;
            }
        }
        let weight = |index: &usize| ranking.log_weight.get(*index).copied().unwrap_or(f64::NEG_INFINITY);
        ranking.order.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        ranking.p = shares(&ranking.log_weight);
        ranking.bias_nats = posterior.bias() * options.posterior.temperature;
        ranking
    }

    /// Whether nothing was compared because the retrieval was beyond doubt.
    pub fn gated(&self) -> bool {
        self.stopped_by == StoppedBy::Gate
    }
}

/// The share of each in the weight of all.
fn shares(log_weights: &[f64]) -> Vec<f64> {
    let most = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|weight| (weight - most).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}
