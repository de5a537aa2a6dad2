//! What the defaults are chosen by: how many places, probes, the gate, and a retrieval that is wrongly sure.

use geolocated::locate::rerank::{PosteriorOptions, RerankOptions, Strategy};

use super::report::{CalibrationRow, ConfidenceRow, GuardRow, TopRow};
use super::settings::{Eye, Simulation, bare};
use crate::bench::rerank::frame::{Frames, NATS_PER_LIKENESS};
use crate::bench::rerank::trial;

/// Places that the retrieval finds.
const CANDIDATES: usize = 16;
const BUDGETS_MS: [u64; 4] = [1000, 1500, 2000, 3000];
const TOPS: [usize; 5] = [4, 6, 8, 12, 16];
/// Probes, and the margin that they ask for.
const PROBES: [(usize, f64); 6] = [(0, 0.0), (1, 0.0), (1, 1.0), (1, 2.0), (2, 1.0), (2, 2.0)];
const GATES_NATS: [f64; 4] = [1.0, 2.0, 4.0, 6.0];
/// Skill of a good retrieval.
const GOOD_SKILL: f64 = 0.95;
const CONFIDENCES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// The defaults' limits, with neither probe nor gate.
fn usual() -> RerankOptions {
    let RerankOptions { max_comparisons, budget_ms, top, .. } = RerankOptions::default();
    RerankOptions { max_comparisons, budget_ms, top, ..bare(Strategy::Adaptive) }
}

pub(super) fn tops(simulation: &Simulation) -> Vec<TopRow> {
    let eyes = [Eye::Keen, Eye::Middling].into_iter();
    let wanted = eyes.flat_map(|eye| BUDGETS_MS.into_iter().flat_map(move |ms| TOPS.map(|top| (eye, ms, top))));
    wanted
        .map(|(eye, budget_ms, top)| {
            let options = RerankOptions { top, budget_ms: Some(budget_ms), ..bare(Strategy::Adaptive) };
            TopRow { eye, budget_ms, top, summary: (&simulation.run(CANDIDATES, eye, &options)).into() }
        })
        .collect()
}

/// Probes against comparators that see, and one that does not.
pub(super) fn probes(simulation: &Simulation) -> Vec<GuardRow> {
    let wanted = PROBES.into_iter().flat_map(|guard| Eye::ALL.map(|eye| (guard, eye)));
    wanted
        .map(|((probes, probe_margin_nats), eye)| {
            guarded(simulation, eye, &RerankOptions { probes, probe_margin_nats, ..usual() })
        })
        .collect()
}

/// Gates, where the retrieval is good.
pub(super) fn gates(simulation: &Simulation) -> Vec<GuardRow> {
    let good = Simulation { skill: GOOD_SKILL, ..*simulation };
    let gates = [None].into_iter().chain(GATES_NATS.map(Some));
    let wanted = gates.flat_map(|gate_nats| [Eye::Keen, Eye::Middling, Eye::Dull].map(|eye| (gate_nats, eye)));
    wanted.map(|(gate_nats, eye)| guarded(&good, eye, &RerankOptions { gate_nats, ..usual() })).collect()
}

fn guarded(simulation: &Simulation, eye: Eye, options: &RerankOptions) -> GuardRow {
    let outcome = simulation.run(CANDIDATES, eye, options);
    let retrieval = simulation.run(CANDIDATES, eye, &bare(Strategy::Off));
    let share = |frames: usize| frames as f64 / outcome.top1.len().max(1) as f64;
    GuardRow {
        eye,
        probes: options.probes,
        probe_margin_nats: options.probe_margin_nats,
        gate_nats: options.gate_nats,
        gain_over_retrieval: outcome.top1_gain_over(&retrieval.top1),
        probe_failed: share(outcome.probe_failed),
        gated: share(outcome.gated),
        summary: (&outcome).into(),
    }
}

pub(super) fn confidences(simulation: &Simulation) -> Vec<ConfidenceRow> {
    let wanted = CONFIDENCES.into_iter().flat_map(|confidence| [Eye::Keen, Eye::Middling].map(|eye| (confidence, eye)));
    wanted
        .map(|(confidence, eye)| {
            let frames = Frames { retrieval_confidence: confidence, ..simulation.frames(CANDIDATES) };
            let run =
                |options: &RerankOptions| trial::run(&frames, &simulation.comparator(eye), options, simulation.count);
            let retrieval_top1 = run(&bare(Strategy::Off)).top1_share();
            ConfidenceRow { eye, confidence, retrieval_top1, adaptive: (&run(&usual())).into() }
        })
        .collect()
}

/// The defaults against a posterior that knows how good retrieval and comparator are, as a calibration would tell it.
pub(super) fn calibrations(simulation: &Simulation) -> Vec<CalibrationRow> {
    let skills = [simulation.skill, GOOD_SKILL].into_iter();
    let wanted = skills.flat_map(|skill| Eye::SEEING.map(|eye| (skill, eye)));
    wanted
        .map(|(skill, eye)| {
            let simulation = Simulation { skill, ..*simulation };
            let comparator = simulation.comparator(eye);
            let posterior = PosteriorOptions {
                prior_deviation_nats: (NATS_PER_LIKENESS * (1.0 - skill.powi(2)).sqrt()).max(0.1),
                perception_noise_nats: NATS_PER_LIKENESS * comparator.perception_noise,
                margin_noise_nats: comparator.order_noise_nats.hypot(comparator.pair_noise_nats),
                bias_nats: comparator.bias_nats,
                bias_deviation_nats: 0.1,
                ..PosteriorOptions::default()
            };
            let top1 = |options: &RerankOptions| simulation.run(CANDIDATES, eye, options).top1_share();
            CalibrationRow {
                retrieval_skill: skill,
                eye,
                retrieval_top1: top1(&bare(Strategy::Off)),
                default_top1: top1(&usual()),
                calibrated_top1: top1(&RerankOptions { posterior, ..usual() }),
            }
        })
        .collect()
}
