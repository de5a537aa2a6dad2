//! From a retrieval and a ranking to the second answer for a frame.

use super::rerank::{Probe, Ranking, StoppedBy, Strategy};
use super::{Candidate, FuseOptions, Posterior, Prediction};

/// Why a reranking ended, or never began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RerankEnd {
    /// It ran, and ended for this reason.
    Ran(StoppedBy),
    /// The comparator was still at work on a frame before.
    Busy,
    /// The comparator was still being loaded.
    WarmingUp,
    /// The comparator is off: it cannot be loaded, or is suspected of having ended an earlier start.
    Off,
}

impl RerankEnd {
    /// The word that stands in messages and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran(stopped_by) => stopped_by.as_str(),
            Self::Busy => "busy",
            Self::WarmingUp => "warming_up",
            Self::Off => "comparator_off",
        }
    }
}

/// What a comparator said about a frame, or why it said nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Reranking {
    /// Name of the comparator.
    pub comparator: String,
    /// How comparisons were chosen.
    pub strategy: Strategy,
    /// How often the comparator was asked, probes included.
    pub comparisons: usize,
    /// Wall-clock milliseconds from the start to the end of the reranking.
    pub ms: f64,
    /// Why it ended, or never began.
    pub end: RerankEnd,
    /// What the comparator said when it failed.
    pub failure: Option<String>,
    /// Whether the comparator told the leader from a dissimilar reference; `None` where that was not asked.
    pub probe_passed: Option<bool>,
    /// Share of each of [`Prediction::similar`] in the weight of all candidates, in their order; empty where the order
    /// is that of retrieval.
    pub p: Vec<f64>,
}

impl Reranking {
    /// One that never began.
    pub fn skipped(comparator: &str, strategy: Strategy, end: RerankEnd) -> Self {
        let (comparator, p) = (comparator.to_owned(), Vec::new());
        Self { comparator, strategy, comparisons: 0, ms: 0.0, end, failure: None, probe_passed: None, p }
    }

    /// Whether it ran, with whatever result.
    pub fn ran(&self) -> bool {
        matches!(self.end, RerankEnd::Ran(_))
    }
}

/// The second answer for a frame, from the retrieved one and a ranking of its candidates: those of
/// [`Prediction::similar`] and then of [`Prediction::further`], in this order.
///
/// Where the comparator's answers do not count, or none came, everything stays as it was retrieved. Else candidates
/// stand in the order of the ranking, as many as before, and the position is fused from all of them by their weights.
pub fn reranked(
    retrieved: &Prediction,
    ranking: &Ranking,
    strategy: Strategy,
    comparator: &str,
    options: &FuseOptions,
) -> Prediction {
    let candidates: Vec<&Candidate> = retrieved.similar.iter().chain(&retrieved.further).collect();
    let said_something = !(ranking.comparisons.is_empty() && ranking.answers.is_empty());
    let counts = said_something && ranking.stopped_by.keeps_answers();
    let mut reranking = Reranking {
        comparator: comparator.to_owned(),
        strategy,
        comparisons: ranking.calls,
        ms: ranking.spent_ms,
        end: RerankEnd::Ran(ranking.stopped_by),
        failure: ranking.failure.clone(),
        probe_passed: ranking.probe.as_ref().map(|probe: &Probe| probe.passed),
        p: Vec::new(),
    };
    let stages = retrieved.stages;
    let order: Vec<usize> = if counts { ranking.order.clone() } else { (0..candidates.len()).collect() };
    let ordered: Vec<&Candidate> = order.iter().filter_map(|position| candidates.get(*position).copied()).collect();
    let (outcome, certainty, posterior) = if counts {
        let p: Vec<f64> = order.iter().filter_map(|position| ranking.p.get(*position).copied()).collect();
        reranking.p = p.iter().copied().take(retrieved.similar.len()).collect();
        let posterior = Posterior::of_weights(&ordered, p, options);
        (posterior.outcome(options), None, posterior)
    } else {
        (retrieved.outcome.clone(), retrieved.certainty, retrieved.posterior.clone())
    };
    let mut similar: Vec<Candidate> = ordered.into_iter().cloned().collect();
    let further = similar.split_off(retrieved.similar.len().min(similar.len()));
    Prediction {
        outcome,
        similar,
        further,
        dissimilar: retrieved.dissimilar.clone(),
        posterior,
        certainty,
        reranking: Some(reranking),
        stages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::rerank::Comparison;
    use crate::locate::{Fix, Outcome, StageTimes};

    fn candidate(lat_deg: f64, reference: &str) -> Candidate {
        let reference = reference.to_owned();
        Candidate {
            lat_deg,
            lon_deg: 8.0,
            similarity: 0.5,
            reference,
            shard: 0,
            row: 0,
            extent_m: None,
            prior_nats: 0.0,
            support: None,
            offset: None,
        }
    }

    fn retrieved() -> Prediction {
        let similar = vec![candidate(50.0, "a"), candidate(51.0, "b")];
        let weights = vec![0.9, 0.1];
        Prediction {
            outcome: Outcome::Fix(Fix { lat_deg: 50.0, lon_deg: 8.0 }),
            posterior: Posterior::of_weights(&[&similar[0], &similar[1]], weights, &FuseOptions::default()),
            certainty: None,
            similar,
            further: vec![candidate(52.0, "c")],
            dissimilar: vec![candidate(0.0, "far")],
            reranking: None,
            stages: StageTimes::default(),
        }
    }

    fn ranking(stopped_by: StoppedBy, comparisons: usize) -> Ranking {
        Ranking {
            order: vec![2, 0, 1],
            log_weight: vec![-3.0, -4.0, 0.0],
            p: vec![0.05, 0.02, 0.93],
            comparisons: vec![Comparison { first: 2, second: 0, margin: 2.0 }; comparisons],
            answers: Vec::new(),
            calls: comparisons + 1,
            bias_nats: 0.0,
            spent_ms: 12.0,
            stopped_by,
            failure: None,
            probe: Some(Probe { margins: vec![1.0], passed: stopped_by != StoppedBy::Probe }),
        }
    }

    fn second(stopped_by: StoppedBy, comparisons: usize) -> Prediction {
        let ranking = ranking(stopped_by, comparisons);
        reranked(&retrieved(), &ranking, Strategy::Adaptive, "vlm", &FuseOptions::default())
    }

    fn names(candidates: &[Candidate]) -> Vec<&str> {
        candidates.iter().map(|candidate| candidate.reference.as_str()).collect()
    }

    #[test]
    fn answers_that_count_move_candidates_and_the_position() {
        for end in [StoppedBy::Finished, StoppedBy::Settled, StoppedBy::Budget, StoppedBy::Deadline] {
            let second = second(end, 3);
            let Outcome::Fix(fix) = &second.outcome else { panic!("{:?}", second.outcome) };
            assert_eq!(fix.lat_deg, 52.0);
            assert_eq!((names(&second.similar), names(&second.further)), (vec!["c", "a"], vec!["b"]));
            let reranking = second.reranking.unwrap();
            assert_eq!((reranking.p, reranking.comparisons), (vec![0.93, 0.05], 4));
            assert_eq!(reranking.probe_passed, Some(true));
        }
    }

    #[test]
    fn answers_that_do_not_count_and_no_answers_leave_everything_as_retrieved() {
        let rejected = [StoppedBy::Probe, StoppedBy::Failed, StoppedBy::NotFinite, StoppedBy::Unsupported];
        let unasked = [StoppedBy::Gate, StoppedBy::Deadline, StoppedBy::Budget, StoppedBy::OnePlace, StoppedBy::Off];
        for (end, comparisons) in rejected.map(|end| (end, 3)).into_iter().chain(unasked.map(|end| (end, 0))) {
            let second = second(end, comparisons);
            let Outcome::Fix(fix) = &second.outcome else { panic!("{:?}", second.outcome) };
            assert_eq!(fix.lat_deg, 50.0, "{end:?}");
            assert_eq!(names(&second.similar), ["a", "b"], "{end:?}");
            let reranking = second.reranking.unwrap();
            assert!(reranking.p.is_empty() && reranking.ran());
            assert_eq!(reranking.end.as_str(), end.as_str());
        }
    }
}
