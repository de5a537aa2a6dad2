//! The figures of a simulation, as JSON.

use geolocated::locate::rerank::Strategy;
use serde::Serialize;

use super::settings::Eye;
use crate::bench::rerank::consistency::Consistency;
use crate::bench::rerank::published::PublishedShape;
use crate::bench::rerank::trial::{Gain, Outcome};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) schema: u32,
    /// Frames that each schedule reranked.
    pub(super) frames: usize,
    pub(super) retrieval_skill: f64,
    pub(super) seed: u64,
    pub(super) comparators: Vec<ComparatorPart>,
    pub(super) published: PublishedShape,
    pub(super) target: Vec<TargetRow>,
    pub(super) scheduling: SchedulingPart,
    pub(super) curves: Vec<Curve>,
    pub(super) tops: Vec<TopRow>,
    pub(super) probes: Vec<GuardRow>,
    pub(super) gates: Vec<GuardRow>,
    pub(super) confidences: Vec<ConfidenceRow>,
    pub(super) calibrations: Vec<CalibrationRow>,
}

#[derive(Debug, Serialize)]
pub(super) struct ComparatorPart {
    pub(super) eye: Eye,
    pub(super) perception_noise: f64,
    #[serde(flatten)]
    pub(super) consistency: Consistency,
}

/// `adaptive` within a share of the cost of comparing every pair in both orders.
#[derive(Debug, Serialize)]
pub(super) struct TargetRow {
    pub(super) candidates: usize,
    pub(super) eye: Eye,
    pub(super) retrieval_top1: f64,
    pub(super) round_robin: Summary,
    /// The same comparisons, ranked by how many each candidate won.
    pub(super) round_robin_by_wins_top1: f64,
    /// Share of its cost that `adaptive` may spend.
    pub(super) share: f64,
    pub(super) adaptive: Summary,
    pub(super) gain_over_wins: Gain,
    pub(super) gain_over_round_robin: Gain,
}

/// Means over frames.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Summary {
    pub(super) top1: f64,
    pub(super) ndcg10: f64,
    pub(super) calls: f64,
    /// Simulated milliseconds.
    pub(super) ms: f64,
}

impl From<&Outcome> for Summary {
    fn from(outcome: &Outcome) -> Self {
        Self {
            top1: outcome.top1_share(),
            ndcg10: outcome.mean_ndcg10(),
            calls: outcome.mean_calls(),
            ms: outcome.mean_ms(),
        }
    }
}

/// What choosing the pairs itself costs: milliseconds of this machine for each frame, answers excluded.
#[derive(Debug, Serialize)]
pub(super) struct SchedulingPart {
    pub(super) candidates: usize,
    pub(super) comparisons: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// One strategy under growing budgets.
#[derive(Debug, Serialize)]
pub(super) struct Curve {
    pub(super) candidates: usize,
    pub(super) strategy: Strategy,
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Serialize)]
pub(super) struct Point {
    pub(super) budget_ms: u64,
    #[serde(flatten)]
    pub(super) summary: Summary,
}

/// How many places to compare within a budget.
#[derive(Debug, Serialize)]
pub(super) struct TopRow {
    pub(super) eye: Eye,
    pub(super) budget_ms: u64,
    pub(super) top: usize,
    #[serde(flatten)]
    pub(super) summary: Summary,
}

/// What probes and the gate save and cost.
#[derive(Debug, Serialize)]
pub(super) struct GuardRow {
    pub(super) eye: Eye,
    pub(super) probes: usize,
    pub(super) probe_margin_nats: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gate_nats: Option<f64>,
    pub(super) gain_over_retrieval: Gain,
    pub(super) probe_failed: f64,
    pub(super) gated: f64,
    #[serde(flatten)]
    pub(super) summary: Summary,
}

/// A retrieval that is too sure or not sure enough of its weights.
#[derive(Debug, Serialize)]
pub(super) struct ConfidenceRow {
    pub(super) eye: Eye,
    pub(super) confidence: f64,
    pub(super) retrieval_top1: f64,
    pub(super) adaptive: Summary,
}

/// What knowing retrieval and comparator is worth.
#[derive(Debug, Serialize)]
pub(super) struct CalibrationRow {
    pub(super) retrieval_skill: f64,
    pub(super) eye: Eye,
    pub(super) retrieval_top1: f64,
    pub(super) default_top1: f64,
    pub(super) calibrated_top1: f64,
}
