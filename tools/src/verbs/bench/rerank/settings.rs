//! What is simulated.

use geolocated::locate::rerank::{RerankOptions, SecondOrder, Strategy};
use serde::Serialize;

use crate::bench::rerank::comparator::Comparator;
use crate::bench::rerank::frame::Frames;
use crate::bench::rerank::trial::{self, Outcome};

/// How well a comparator sees; all contradict themselves as often as published ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Eye {
    /// Its errors are all of the kind that more comparisons mend.
    Keen,
    /// It misjudges candidates as well, in all comparisons alike.
    Middling,
    /// It misjudges candidates by more than they differ.
    Dull,
    /// It sees nothing.
    Blind,
}

impl Eye {
    pub(super) const ALL: [Self; 4] = [Self::Keen, Self::Middling, Self::Dull, Self::Blind];
    /// Those that see.
    pub(super) const SEEING: [Self; 3] = [Self::Keen, Self::Middling, Self::Dull];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Keen => "keen",
            Self::Middling => "middling",
            Self::Dull => "dull",
            Self::Blind => "blind",
        }
    }
}

/// Frames, comparators and how many of them.
pub(super) struct Simulation {
    pub(super) count: u64,
    pub(super) skill: f64,
    pub(super) seed: u64,
}

impl Simulation {
    pub(super) fn new(frames: usize, skill: f64, seed: u64) -> Self {
        Self { count: frames as u64, skill, seed }
    }

    pub(super) fn comparator(&self, eye: Eye) -> Comparator {
        match eye {
            Eye::Keen => Comparator::published(0.0, self.seed),
            Eye::Middling => Comparator::published(0.6, self.seed),
            Eye::Dull => Comparator::published(1.2, self.seed),
            Eye::Blind => Comparator::blind(self.seed),
        }
    }

    pub(super) fn frames(&self, candidates: usize) -> Frames {
        Frames { candidates, retrieval_skill: self.skill, retrieval_confidence: 1.0, seed: self.seed }
    }

    pub(super) fn run(&self, candidates: usize, eye: Eye, options: &RerankOptions) -> Outcome {
        trial::run(&self.frames(candidates), &self.comparator(eye), options, self.count)
    }
}

/// The defaults, with neither probe, nor gate, nor limit: what a strategy does by itself.
pub(super) fn bare(strategy: Strategy) -> RerankOptions {
    RerankOptions {
        strategy,
        max_comparisons: usize::MAX,
        budget_ms: None,
        top: usize::MAX,
        gate_nats: None,
        probes: 0,
        ..RerankOptions::default()
    }
}

/// Every pair in both orders.
pub(super) fn full_round_robin() -> RerankOptions {
    RerankOptions { second_order: SecondOrder::Always, ..bare(Strategy::RoundRobin) }
}

/// Whole milliseconds of a budget.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "budgets are small and positive")]
pub(super) fn whole_ms(ms: f64) -> u64 {
    ms.max(0.0).floor() as u64
}
