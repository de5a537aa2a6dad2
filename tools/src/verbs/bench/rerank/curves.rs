//! All strategies under growing budgets.

use geolocated::locate::rerank::{RerankOptions, Strategy};

use super::report::{Curve, Point};
use super::settings::{Eye, Simulation, bare, full_round_robin};

/// Candidates of the two sets of curves.
const CANDIDATES: [usize; 2] = [8, 16];
/// Milliseconds.
const BUDGETS_MS: [u64; 11] = [200, 400, 700, 1000, 1500, 2000, 3000, 4000, 6000, 12_000, 24_000];

pub(super) fn measure(simulation: &Simulation) -> Vec<Curve> {
    let wanted = CANDIDATES.into_iter().flat_map(|candidates| Strategy::ALL.map(|strategy| (candidates, strategy)));
    wanted.map(|(candidates, strategy)| curve(simulation, candidates, strategy)).collect()
}

fn curve(simulation: &Simulation, candidates: usize, strategy: Strategy) -> Curve {
    let usual = if strategy == Strategy::RoundRobin { full_round_robin() } else { bare(strategy) };
    let point = |budget_ms: u64| {
        let options = RerankOptions { budget_ms: Some(budget_ms), ..usual.clone() };
        Point { budget_ms, summary: (&simulation.run(candidates, Eye::Middling, &options)).into() }
    };
    let mut points: Vec<Point> = Vec::new();
    for point in BUDGETS_MS.into_iter().map(point) {
        // More time changes nothing once a strategy has finished in less.
        let finished = points.last().is_some_and(|before| point.summary.calls <= before.summary.calls);
        if !(finished && point.summary.calls > 0.0) {
            points.push(point);
        }
        if strategy == Strategy::Off {
            break;
        }
    }
    Curve { candidates, strategy, points }
}
