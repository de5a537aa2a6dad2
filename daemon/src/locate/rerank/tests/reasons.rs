//! Each reason to stop, by its name.

use std::cell::Cell;

use super::judges::{Broken, ByMerit};
use super::*;

/// The last candidate is the right one.
const MERITS: [f64; 5] = [0.0, 0.2, 0.4, 0.6, 0.8];

fn ranked(prior: &[PriorCandidate], options: &RerankOptions, breaks: Option<(usize, Broken)>) -> Ranking {
    let clock = Cell::new(0.0);
    let mut judge = ByMerit { breaks, ..ByMerit::perfect(&MERITS, &clock) };
    rerank(prior, 1, &mut judge, &|| ByMerit::elapsed(&clock), options, 7)
}

/// The retrieval's order and weights, with this reason and this many calls.
fn assert_retrieval(ranking: &Ranking, prior: &[PriorCandidate], stopped_by: &str, calls: usize) {
    assert_eq!(ranking.stopped_by.as_str(), stopped_by);
    assert_eq!(ranking.order, (0..prior.len()).collect::<Vec<_>>());
    let weights: Vec<f64> = prior.iter().map(|candidate| candidate.log_weight).collect();
    assert_eq!(ranking.log_weight, weights);
    assert_eq!(ranking.calls, calls);
}

#[test]
fn nothing_is_asked_where_nothing_can_be_gained() {
    let options = unlimited(Strategy::Adaptive);
    let five = prior(5);
    assert_retrieval(&ranked(&[], &options, None), &[], "too_few_candidates", 0);
    assert_retrieval(&ranked(&five[..1], &options, None), &five[..1], "too_few_candidates", 0);
    let one_place: Vec<PriorCandidate> = five.iter().map(|&one| PriorCandidate { place: 3, ..one }).collect();
    assert_retrieval(&ranked(&one_place, &options, None), &one_place, "one_place", 0);
    for (options, stopped_by) in [
        (RerankOptions { strategy: Strategy::Off, ..options.clone() }, "off"),
        (RerankOptions { max_comparisons: 0, ..options.clone() }, "budget"),
        (RerankOptions { top: 1, ..options.clone() }, "budget"),
        (RerankOptions { budget_ms: Some(0), ..options.clone() }, "deadline"),
        (RerankOptions { budget_ms: Some(171), ..options.clone() }, "deadline"),
        (RerankOptions { gate_nats: Some(0.9), ..options.clone() }, "gate"),
    ] {
        let ranking = ranked(&five, &options, None);
        assert_retrieval(&ranking, &five, stopped_by, 0);
        assert_eq!(ranking.gated(), stopped_by == "gate");
    }
}

#[test]
fn a_comparator_that_breaks_leaves_the_order_of_retrieval() {
    let five = prior(5);
    for strategy in Strategy::ALL.into_iter().filter(|&strategy| strategy != Strategy::Off) {
        for call in [0, 1] {
            let failed = || Broken::Stops(Stop::Failed("no memory".to_owned()));
            for (broken, stopped_by) in [
                (Broken::NotANumber, "not_finite"),
                (Broken::Stops(Stop::NotFinite), "not_finite"),
                (failed(), "failed"),
                (Broken::Stops(Stop::Unsupported), "unsupported"),
            ] {
                let ranking = ranked(&five, &unlimited(strategy), Some((call, broken)));
                assert_retrieval(&ranking, &five, stopped_by, call + 1);
                assert_eq!(ranking.failure.is_some(), stopped_by == "failed");
                assert!(ranking.failure.is_none_or(|said| said.contains("no memory")));
            }
        }
    }
}

#[test]
fn what_was_answered_before_the_time_was_over_counts() {
    let five = prior(5);
    for stop in [Stop::Deadline, Stop::Budget] {
        let ranking = ranked(&five, &unlimited(Strategy::RoundRobin), Some((12, Broken::Stops(stop.clone()))));
        assert_eq!(ranking.stopped_by, StoppedBy::from(&stop));
        assert_eq!(ranking.order, [4, 3, 2, 1, 0]);
    }
}

#[test]
fn a_comparator_that_does_not_know_the_leader_from_what_is_dissimilar_is_not_asked() {
    let five = prior(5);
    let clock = Cell::new(0.0);
    let blind = [0.0; 5];
    for (bias, probes) in [(-3.0, 1), (3.0, 2), (-3.0, 2)] {
        let options = RerankOptions { probes, ..unlimited(Strategy::Adaptive) };
        let mut judge = ByMerit { gain: 0.0, bias, ..ByMerit::perfect(&blind, &clock) };
        let ranking = rerank(&five, 1, &mut judge, &|| ByMerit::elapsed(&clock), &options, 7);
        assert_retrieval(&ranking, &five, "probe", probes);
        assert!(ranking.probe.is_some_and(|probe| !probe.passed && probe.margins.len() == probes));
    }
    let options = RerankOptions { probes: 2, ..unlimited(Strategy::Adaptive) };
    let ranking = ranked(&five, &options, None);
    assert_eq!((ranking.order[0], ranking.probe.map(|probe| probe.passed)), (4, Some(true)));
}

#[test]
fn without_a_dissimilar_reference_there_is_no_probe() {
    let clock = Cell::new(0.0);
    let options = RerankOptions { probes: 2, ..unlimited(Strategy::Adaptive) };
    let mut judge = ByMerit::perfect(&MERITS, &clock);
    let ranking = rerank(&prior(5), 0, &mut judge, &|| ByMerit::elapsed(&clock), &options, 7);
    assert_eq!((ranking.order[0], ranking.probe), (4, None));
}

#[test]
fn candidates_of_one_place_move_together_where_places_are_compared_and_each_by_itself_elsewhere() {
    // Candidates 0, 1, 3 show place 0; 2 and 4 place 1, which is the right one.
    let places = [0, 0, 1, 0, 1];
    let prior: Vec<PriorCandidate> = places
        .iter()
        .enumerate()
        .map(|(at, &place)| PriorCandidate { log_weight: -(at as f64) / 2.0, place })
        .collect();
    let alone = ranked(&prior, &unlimited(Strategy::RoundRobin), None);
    assert!(alone.comparisons.iter().any(|pair| prior[pair.first].place == prior[pair.second].place));
    let options = RerankOptions { compare: Compare::Places, ..unlimited(Strategy::RoundRobin) };
    let ranking = ranked(&prior, &options, None);
    assert!(
        ranking.comparisons.iter().all(|pair| pair.first.min(pair.second) == 0 && pair.first.max(pair.second) == 2)
    );
    assert_eq!(ranking.order, [2, 4, 0, 1, 3]);
    let gap = |a: usize, b: usize| ranking.log_weight[a] - ranking.log_weight[b];
    assert!((gap(2, 4) - 1.0).abs() < 1e-9 && (gap(0, 3) - 1.5).abs() < 1e-9);
}

#[test]
fn the_lead_is_that_over_another_place_whatever_is_compared() {
    let prior = [(0.0, 0), (-0.1, 0), (-3.0, 1)].map(|(log_weight, place)| PriorCandidate { log_weight, place });
    let gated = |gate_nats| ranked(&prior, &RerankOptions { gate_nats, ..unlimited(Strategy::RoundRobin) }, None);
    assert_eq!(gated(Some(2.0)).stopped_by, StoppedBy::Gate);
    assert_eq!(gated(Some(4.0)).stopped_by, StoppedBy::Finished);
    let one = prior.map(|candidate| PriorCandidate { place: 0, ..candidate });
    assert_eq!(ranked(&one, &unlimited(Strategy::RoundRobin), None).stopped_by, StoppedBy::OnePlace);
}

#[test]
fn places_after_the_first_few_stay_where_they_are() {
    let ranking = ranked(&prior(5), &RerankOptions { top: 2, ..unlimited(Strategy::RoundRobin) }, None);
    assert_eq!(ranking.comparisons.len(), 2, "one pair, whose answer contradicts the retrieval, in both orders");
    assert_eq!(ranking.order[0], 1);
    assert_eq!(&ranking.log_weight[2..], [-2.0, -3.0, -4.0]);
}

#[test]
fn the_words_of_strategies_and_reasons_are_those_of_settings_and_messages() {
    for strategy in Strategy::ALL {
        assert_eq!(serde_json::to_value(strategy).unwrap(), strategy.as_str());
    }
    let [reason, stop] = [StoppedBy::TooFewCandidates, StoppedBy::NotFinite];
    assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    assert_eq!(serde_json::to_value(stop).unwrap(), stop.as_str());
}
