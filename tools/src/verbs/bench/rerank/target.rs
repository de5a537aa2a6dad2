//! `adaptive` against every pair in both orders.

use std::cell::Cell;
use std::time::{Duration, Instant};

use geolocated::locate::rerank::{Judge, RerankOptions, Stop, Strategy, rerank};

use super::report::{SchedulingPart, TargetRow};
use super::settings::{Eye, Simulation, bare, full_round_robin, whole_ms};
use crate::bench::rerank::comparator::SimulatedJudge;
use crate::metrics::quantile;

/// Candidates, and the share of the round robin's cost that must be enough.
const GOALS: [(usize, f64); 2] = [(8, 0.25), (16, 0.12)];
/// For the time that scheduling takes.
const TIMED_FRAMES: u64 = 300;
const TIMED_CANDIDATES: usize = 16;
const TIMED_COMPARISONS: usize = 24;

pub(super) fn measure(simulation: &Simulation) -> Vec<TargetRow> {
    let rows = GOALS.into_iter().flat_map(|goal| Eye::SEEING.map(|eye| (goal, eye)));
    rows.map(|((candidates, share), eye)| row(simulation, candidates, share, eye)).collect()
}

fn row(simulation: &Simulation, candidates: usize, share: f64, eye: Eye) -> TargetRow {
    let retrieval = simulation.run(candidates, eye, &bare(Strategy::Off));
    let full = simulation.run(candidates, eye, &full_round_robin());
    let budget_ms = Some(whole_ms(full.mean_ms() * share));
    let adaptive = simulation.run(candidates, eye, &RerankOptions { budget_ms, ..bare(Strategy::Adaptive) });
    TargetRow {
        candidates,
        eye,
        retrieval_top1: retrieval.top1_share(),
        round_robin: (&full).into(),
        round_robin_by_wins_top1: full.top1_by_wins_share(),
        share,
        adaptive: (&adaptive).into(),
        gain_over_wins: adaptive.top1_gain_over(&full.top1_by_wins),
        gain_over_round_robin: adaptive.top1_gain_over(&full.top1),
    }
}

/// A judge whose own time is kept apart.
struct Timed<'a> {
    judge: SimulatedJudge<'a>,
    answering: Duration,
}

impl Timed<'_> {
    fn ask<T>(&mut self, question: impl FnOnce(&mut SimulatedJudge<'_>) -> T) -> T {
        let start = Instant::now();
        let answer = question(&mut self.judge);
        self.answering += start.elapsed();
        answer
    }
}

impl Judge for Timed<'_> {
    fn pair(&mut self, first: usize, second: usize) -> Result<f32, Stop> {
        self.ask(|judge| judge.pair(first, second))
    }

    fn yes_no(&mut self, candidate: usize) -> Result<f32, Stop> {
        self.ask(|judge| judge.yes_no(candidate))
    }

    fn score(&mut self, candidate: usize) -> Result<f32, Stop> {
        self.ask(|judge| judge.score(candidate))
    }

    fn list(&mut self, candidates: &[usize]) -> Result<Vec<f32>, Stop> {
        self.ask(|judge| judge.list(candidates))
    }

    fn probe(&mut self, leader: usize, dissimilar: usize, leader_first: bool) -> Result<f32, Stop> {
        self.ask(|judge| judge.probe(leader, dissimilar, leader_first))
    }
}

/// The time that choosing the pairs and ranking takes on this machine.
pub(super) fn scheduling(simulation: &Simulation) -> SchedulingPart {
    let options = RerankOptions { max_comparisons: TIMED_COMPARISONS, doubt: 0.0, ..bare(Strategy::Adaptive) };
    let frames = simulation.frames(TIMED_CANDIDATES);
    let comparator = simulation.comparator(Eye::Middling);
    let times_ms: Vec<f64> = (0..TIMED_FRAMES)
        .map(|number| {
            let frame = frames.frame(number);
            let clock_ms = Cell::new(0.0);
            let judge = SimulatedJudge::new(&comparator, &frame, &clock_ms);
            let mut timed = Timed { judge, answering: Duration::ZERO };
            let start = Instant::now();
            rerank(&frame.prior, 0, &mut timed, &|| Duration::ZERO, &options, number);
            (start.elapsed().saturating_sub(timed.answering)).as_secs_f64() * 1e3
        })
        .collect();
    SchedulingPart {
        candidates: TIMED_CANDIDATES,
        comparisons: TIMED_COMPARISONS,
        p50_ms: quantile(&times_ms, 0.5).unwrap_or_default(),
        p99_ms: quantile(&times_ms, 0.99).unwrap_or_default(),
    }
}
