//! What a comparator gained and lost against retrieval alone, and how far its numbers can be trusted.

use std::collections::BTreeMap;
use std::fmt::Write;

use geolocated::locate::rerank::Strategy;
use serde::Serialize;

use crate::bootstrap;
use crate::evaluation::{Answered, SecondAnswer};
use crate::metrics::{Judged, LabelFigures, Labelled, Ordered, Threshold, label_figures, quantile, share};
use crate::report::Group;
use crate::rerank_figures::{ReliabilityBin, Stated, auroc, calibration_error, reliability, sigmoid};

/// Figures of one strategy.
#[derive(Debug, Clone, Serialize)]
pub struct RerankFigures {
    /// How comparisons were chosen.
    pub strategy: Strategy,
    /// Queries that were reranked: those with candidates.
    pub queries: usize,
    /// How often the comparator was asked for a query, probes included; the mean.
    pub comparisons_mean: f64,
    /// Quantiles of the milliseconds of a reranking.
    pub ms: Ordered<f64>,
    /// Queries whose best candidate is another one than before.
    pub changed_top1: usize,
    /// Of those, queries whose best candidate is nearer to the truth than before.
    pub improved: usize,
    /// Of those, queries whose best candidate is further from the truth than before.
    pub worsened: usize,
    /// Why rerankings ended.
    pub stopped_by: BTreeMap<&'static str, usize>,
    /// Queries whose probes the comparator passed, and failed.
    pub probes: BTreeMap<&'static str, usize>,
    /// By threshold in metres: how often the best candidate came to lie within it, and no longer did, against the most
    /// similar one.
    pub top1: Ordered<Gain>,
    /// The same against the candidate that weighs most by retrieval, where reranking starts: what the comparator brings.
    pub leader: Ordered<Gain>,
    /// The same of the published position.
    pub fix: Ordered<Gain>,
    /// By threshold in metres: share of queries with such a reference among those that could be moved to the top. No
    /// order of them has a better Recall@1.
    pub ceiling: Ordered<f64>,
    /// By threshold in metres: comparisons of which exactly one candidate lies within it. Absent without any comparison.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub pairwise: Ordered<PairwiseFigures>,
    /// By threshold in metres: answers about one candidate. Absent without any.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub pointwise: Ordered<PointwiseFigures>,
    /// How labelled references are found after this strategy; absent without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelFigures>,
    /// Recall and published positions after this strategy.
    #[serde(flatten)]
    pub after: Group,
}

/// What changed between two answers to the same queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gain {
    /// Queries that were wrong and are right.
    pub gained: usize,
    /// Queries that were right and are wrong.
    pub lost: usize,
    /// Gained less lost, as a share of the queries.
    pub difference: f64,
    /// 95 % interval of the difference, by resampling the queries.
    pub interval: [f64; 2],
}

/// How well comparisons go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairwiseFigures {
    /// Comparisons of a right with a wrong candidate.
    pub comparisons: usize,
    /// Share of them that the right one wins.
    pub accuracy: f64,
    /// 95 % interval of the accuracy, by resampling the comparisons.
    pub interval: [f64; 2],
    /// Expected calibration error of the margin, as the probability of the winner being the right one.
    pub ece: f64,
}

/// How well answers about one candidate go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PointwiseFigures {
    /// Answers.
    pub answers: usize,
    /// Share of the candidates that are right.
    pub share_true: f64,
    /// Probability that a right candidate has a higher value than a wrong one; absent unless there are both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<f64>,
    /// Expected calibration error of yes against no; absent where values are scores, which are no probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    /// Raw values in bins of equal counts.
    pub reliability: Vec<ReliabilityBin>,
}

impl RerankFigures {
    /// The figures of the `number`-th strategy over all queries, of which those without candidates have no second
    /// answer; `None` when no query has one.
    pub fn of(queries: &[&Answered], number: usize, thresholds: &[Threshold], references: usize) -> Option<Self> {
        let second: Vec<&SecondAnswer> = queries.iter().filter_map(|query| query.second.get(number)).collect();
        let strategy = second.first()?.reranking.strategy;
        // A query without candidates stays as it was.
        let after: Vec<Judged> = queries
            .iter()
            .map(|query| query.second.get(number).map_or(&query.retrieved, |second| &second.judged).clone())
            .collect();
        let before: Vec<&Judged> = queries.iter().map(|query| &query.retrieved).collect();
        let ms: Vec<f64> = second.iter().map(|second| second.reranking.ms).collect();
        let moved = |nearer: bool| count_moved(queries, number, nearer);
        Some(Self {
            strategy,
            queries: second.len(),
            comparisons_mean: mean(second.iter().map(|second| second.reranking.comparisons as f64)),
            ms: ["p50", "p95"]
                .into_iter()
                .zip([0.5, 0.95])
                .filter_map(|(name, q)| Some((name.to_owned(), quantile(&ms, q)?)))
                .collect(),
            changed_top1: second.iter().filter(|second| second.changed_top1).count(),
            improved: moved(true),
            worsened: moved(false),
            stopped_by: counts(second.iter().map(|second| second.reranking.end.as_str())),
            probes: counts(second.iter().filter_map(|second| second.reranking.probe_passed).map(passed)),
            top1: gains(thresholds, |metres| changes(&before, &after, |judged| judged.found(1, metres))),
            leader: gains(thresholds, |metres| second.iter().map(|second| led(second, metres)).collect()),
            fix: gains(thresholds, |metres| changes(&before, &after, |judged| judged.within(metres))),
            ceiling: ceiling(queries, number, thresholds),
            pairwise: pairwise(&second, thresholds),
            pointwise: pointwise(&second, strategy, thresholds),
            labels: label_figures(&labelled(queries, number), references),
            after: Group::of(&after, thresholds, true),
        })
    }

    /// The figures for people, two lines or three.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {:.1} comparisons and {:.0} ms (95 %: {:.0}) a query; another first candidate in {} ({} nearer, {} \
             further); ended by {}\n",
            self.strategy.as_str(),
            self.comparisons_mean,
            self.ms.get("p50").copied().unwrap_or_default(),
            self.ms.get("p95").copied().unwrap_or_default(),
            self.changed_top1,
            self.improved,
            self.worsened,
            listed(&self.stopped_by)
        );
        if let Some(labels) = &self.labels {
            text += &labels.text(self.strategy.as_str());
        }
        for (threshold, gain) in &self.leader.0 {
            let [low, high] = gain.interval;
            let _ = write!(
                text,
                "  first candidate within {threshold} m: {} gained, {} lost, {:+.3} [{low:+.3} {high:+.3}], at most {:.3}",
                gain.gained,
                gain.lost,
                gain.difference,
                self.ceiling.get(threshold).copied().unwrap_or_default()
            );
            if let Some(pairs) = self.pairwise.get(threshold) {
                let _ = write!(
                    text,
                    "; right in {:.3} of {} comparisons, ECE {:.3}",
                    pairs.accuracy, pairs.comparisons, pairs.ece
                );
            }
            if let Some(PointwiseFigures { auroc: Some(auroc), .. }) = self.pointwise.get(threshold) {
                let _ = write!(text, "; AUROC {auroc:.3}");
            }
            text.push('\n');
        }
        text
    }
}

/// The labels of all queries with what was found after a strategy; a query that was not reranked stays as it was.
fn labelled(queries: &[&Answered], number: usize) -> Vec<Labelled> {
    let of = |query: &&Answered| match query.second.get(number) {
        Some(second) => second.labelled.clone(),
        None => query.labelled_by_retrieval.clone(),
    };
    queries.iter().filter_map(of).collect()
}

fn passed(passed: bool) -> &'static str {
    if passed { "passed" } else { "failed" }
}

fn counts<'a>(words: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

fn listed(counts: &BTreeMap<&'static str, usize>) -> String {
    counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}

/// Queries whose best candidate changed and is now nearer to the truth, or further.
fn count_moved(queries: &[&Answered], number: usize, nearer: bool) -> usize {
    let is_moved = |query: &&&Answered| {
        let Some(second) = query.second.get(number) else { return false };
        let (Some(before), Some(after)) = (query.retrieved.reference_m.first(), second.judged.reference_m.first())
        else {
            return false;
        };
        second.changed_top1 && if nearer { after < before } else { after > before }
    };
    queries.iter().filter(is_moved).count()
}

/// For each query, whether it was right before and after.
fn changes(before: &[&Judged], after: &[Judged], is_right: impl Fn(&Judged) -> bool) -> Vec<(bool, bool)> {
    before.iter().zip(after).map(|(before, after)| (is_right(before), is_right(after))).collect()
}

/// Whether the candidate that weighs most by retrieval lies within so many metres, and whether the best one does after
/// what the comparator said, as far as that counts.
fn led(second: &SecondAnswer, metres: f64) -> (bool, bool) {
    let heaviest = second.candidates.iter().reduce(|a, b| if b.log_weight > a.log_weight { b } else { a });
    let before = heaviest.is_some_and(|found| found.metres <= metres);
    let counts = second.reranking.comparisons > 0 && second.ranking.stopped_by.keeps_answers();
    (before, if counts { second.judged.found(1, metres) } else { before })
}

/// What was gained and lost within each threshold; `changes` are those within so many metres.
fn gains(thresholds: &[Threshold], changes: impl Fn(f64) -> Vec<(bool, bool)>) -> Ordered<Gain> {
    let gain = |threshold: &Threshold| {
        let number = |is_right| f64::from(u8::from(is_right));
        let changes: Vec<f64> =
            changes(threshold.metres).into_iter().map(|(before, after)| number(after) - number(before)).collect();
        let gain = Gain {
            gained: changes.iter().filter(|change| **change > 0.0).count(),
            lost: changes.iter().filter(|change| **change < 0.0).count(),
            difference: mean(changes.iter().copied()),
            interval: bootstrap::interval_of_mean(&changes, bootstrap::SEED),
        };
        (threshold.text.clone(), gain)
    };
    thresholds.iter().map(gain).collect()
}

fn ceiling(queries: &[&Answered], number: usize, thresholds: &[Threshold]) -> Ordered<f64> {
    let at = |threshold: &Threshold| {
        let reachable = |query: &&Answered| {
            let compared = query.second.get(number).map(|second| &second.compared_m);
            compared.is_some_and(|compared| compared.iter().any(|metres| *metres <= threshold.metres))
        };
        (threshold.text.clone(), share(queries, reachable))
    };
    thresholds.iter().map(at).collect()
}

fn pairwise(second: &[&SecondAnswer], thresholds: &[Threshold]) -> Ordered<PairwiseFigures> {
    let at = |threshold: &Threshold| {
        let pairs = second.iter().flat_map(|second| &second.pairs);
        let right_won = pairs.filter_map(|pair| {
            let (first, other) = (pair.first_m <= threshold.metres, pair.second_m <= threshold.metres);
            let margin = if first { pair.margin } else { -pair.margin };
            (first != other && margin.is_finite()).then_some(margin)
        });
        let margins: Vec<f64> = right_won.collect();
        let stated = |margin: &f64| Stated { probability: sigmoid(margin.abs()), is_true: *margin > 0.0 };
        let ece = calibration_error(&margins.iter().map(stated).collect::<Vec<_>>())?;
        let won: Vec<bool> = margins.iter().map(|margin| *margin > 0.0).collect();
        let figures = PairwiseFigures {
            comparisons: won.len(),
            accuracy: share(&won, |won| *won),
            interval: bootstrap::interval_of_share(&won, bootstrap::SEED),
            ece,
        };
        Some((threshold.text.clone(), figures))
    };
    thresholds.iter().filter_map(at).collect()
}

fn pointwise(second: &[&SecondAnswer], strategy: Strategy, thresholds: &[Threshold]) -> Ordered<PointwiseFigures> {
    // The logits of a list are for one another alone.
    if !matches!(strategy, Strategy::PointwiseYesNo | Strategy::PointwiseScore) {
        return Ordered(Vec::new());
    }
    let at = |threshold: &Threshold| {
        let answers = second.iter().flat_map(|second| &second.answers);
        let values: Vec<(f64, bool)> = answers
            .filter(|(value, _)| value.is_finite())
            .map(|(value, metres)| (*value, *metres <= threshold.metres))
            .collect();
        let stated = |(value, is_true): &(f64, bool)| Stated { probability: sigmoid(*value), is_true: *is_true };
        let is_probability = strategy == Strategy::PointwiseYesNo;
        let stated: Vec<Stated> = values.iter().filter(|_| is_probability).map(stated).collect();
        let figures = PointwiseFigures {
            answers: values.len(),
            share_true: share(&values, |(_, is_true)| *is_true),
            auroc: auroc(&values),
            ece: calibration_error(&stated),
            reliability: reliability(&values),
        };
        (!values.is_empty()).then(|| (threshold.text.clone(), figures))
    };
    thresholds.iter().filter_map(at).collect()
}
