//! What holds for every strategy.

mod judges;
mod properties;
mod reasons;

use super::*;

/// Candidates of as many places, likeliest first, each a nat less likely than the one before.
fn prior(count: usize) -> Vec<PriorCandidate> {
    (0..count).map(|place| PriorCandidate { log_weight: -(place as f64), place }).collect()
}

/// Without probes, gate and limits.
fn unlimited(strategy: Strategy) -> RerankOptions {
    RerankOptions {
        strategy,
        max_comparisons: 10_000,
        budget_ms: None,
        top: 64,
        gate_nats: None,
        probes: 0,
        doubt: 0.0,
        ..RerankOptions::default()
    }
}
