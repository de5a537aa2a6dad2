//! In which order should the candidates stand, after a comparator has looked at some of them?
//!
//! [`rerank`] asks a [`Judge`] for comparisons, as its [`Strategy`] chooses them, until its budget is spent, the clock
//! says so, or nothing is left to ask. The retrieval's weights stay in the score as the prior of a Bradley-Terry model
//! ([`Posterior`]), so that each partial result is a valid ranking, and none at all is the retrieval's own order.

mod adaptive;
mod bubble;
mod judge;
mod knockout;
mod listwise;
mod options;
mod pointwise_score;
mod pointwise_yes_no;
mod posterior;
mod presentation;
mod prior;
mod probing;
mod questions;
mod ranking;
mod round_robin;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prior::Items;
use questions::Questions;

pub use judge::{Judge, Stop};
pub use options::{Compare, Costs, RerankOptions, SecondOrder, Strategy};
pub use posterior::{Posterior, PosteriorOptions};
pub use prior::PriorCandidate;
pub use ranking::{Answer, Comparison, Probe, Ranking, StoppedBy};

/// Brings the candidates of one frame into a new order.
///
/// `prior` holds them in the order of retrieval; `dissimilar` is the number of dissimilar references that
/// [`Judge::probe`] may be asked about; `elapsed` is the time since the start of this frame's reranking; `frame_digest`
/// is mixed into the seed. Deterministic in its arguments and the judge's answers, unless the time that these take ends it.
///
/// The order is always a permutation of all candidates, and no more is asked than the options allow. Where places are
/// compared, the candidates of one move together; what comes after the first [`RerankOptions::top`] stays where it is.
pub fn rerank(
    prior: &[PriorCandidate],
    dissimilar: usize,
    judge: &mut dyn Judge,
    elapsed: &dyn Fn() -> Duration,
    options: &RerankOptions,
    frame_digest: u64,
) -> Ranking {
    let items = Items::of(prior, options);
    if let Some(stopped_by) = nothing_to_ask(prior, &items, options) {
        return Ranking::of_retrieval(prior, elapsed(), stopped_by);
    }
    let mut questions = Questions::new(&items, judge, elapsed, options, frame_digest);
    let (probe, probed) = match questions.prepare() {
        Ok(()) => probing::run(&mut questions, dissimilar),
        Err(stop) => (None, Err(stop)),
    };
    let outcome = probed.and_then(|passed| if passed { run(&mut questions) } else { Ok(StoppedBy::Probe) });
    let stopped_by = outcome.as_ref().map_or_else(StoppedBy::from, |&stopped_by| stopped_by);
    let mut ranking = if stopped_by.keeps_answers() && questions.has_answers() {
        questions.posterior.fit();
        Ranking::of_posterior(prior, &items, &questions.posterior, options, stopped_by)
    } else {
        Ranking::of_retrieval(prior, Duration::ZERO, stopped_by)
    };
    ranking.failure = outcome.err().filter(|_| stopped_by == StoppedBy::Failed).map(|stop| stop.to_string());
    ranking.comparisons = questions.comparisons();
    ranking.calls = questions.calls;
    ranking.answers = questions.answers;
    ranking.probe = probe;
    ranking.spent_ms = elapsed().as_secs_f64() * 1e3;
    ranking
}

/// Why no question is asked at all, if that is so.
fn nothing_to_ask(prior: &[PriorCandidate], items: &Items, options: &RerankOptions) -> Option<StoppedBy> {
    let lead = items.lead();
    if options.strategy == Strategy::Off {
        Some(StoppedBy::Off)
    } else if prior.len() < 2 {
        Some(StoppedBy::TooFewCandidates)
    } else if items.places() < 2 {
        Some(StoppedBy::OnePlace)
    } else if options.gate_nats.is_some_and(|gate| lead > gate) {
        Some(StoppedBy::Gate)
    } else if options.max_comparisons == 0 || items.compared().len() < 2 {
        Some(StoppedBy::Budget)
    } else if options.budget_ms == Some(0) {
        Some(StoppedBy::Deadline)
    } else {
        None
    }
}

fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    match questions.options.strategy {
        Strategy::Adaptive => adaptive::run(questions),
        Strategy::Knockout => knockout::run(questions),
        Strategy::RoundRobin => round_robin::run(questions),
        Strategy::Bubble => bubble::run(questions),
        Strategy::Listwise => listwise::run(questions),
        Strategy::PointwiseYesNo => pointwise_yes_no::run(questions),
        Strategy::PointwiseScore => pointwise_score::run(questions),
        Strategy::Off => Ok(StoppedBy::Off),
    }
}
