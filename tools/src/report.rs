//! The report of an evaluation, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

use geolocated::locate::StageTimes;
use serde::Serialize;

use crate::bad_frames::BadFrames;
use crate::certainty_report::{self, Abstention, RadiusFigures};
use crate::evaluation::{Answered, Published};
use crate::metrics::{
    Intervals, Judged, LabelFigures, Labelled, Ordered, Recall, Threshold, intervals, label_figures, quantile, recall,
    within,
};
use crate::rerank_report::RerankFigures;
use crate::sequence_report::SequenceFigures;
use crate::systems::SystemReport;

/// Below so many queries the table shows the bootstrap intervals beside the figures.
const FEW_QUERIES: usize = 200;

/// Figures of a group of queries.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// How many queries are in the group.
    pub queries: usize,
    /// Share of queries with a reference near the truth among the first K.
    pub recall: Recall,
    /// Share of queries whose published fix is near the truth; absent for baselines, which publish none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_m: Option<Ordered<f64>>,
    /// 95 % bootstrap intervals of these shares.
    pub intervals: Intervals,
}

impl Group {
    /// The figures of these queries; `fixes` tells whether there were fixes to judge.
    pub fn of(judged: &[Judged], thresholds: &[Threshold], fixes: bool) -> Self {
        Self {
            queries: judged.len(),
            recall: recall(judged, thresholds),
            within_m: fixes.then(|| within(judged, thresholds)),
            intervals: intervals(judged, thresholds, fixes),
        }
    }
}

/// The index and the model that were evaluated.
#[derive(Debug, Clone, Serialize)]
pub struct Evaluated {
    /// Space of the vectors.
    pub space: String,
    /// Digest of the index.
    pub digest: String,
    /// Name of the encoder; absent when the queries came as vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Name of the comparator; absent where nothing was reranked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparator: Option<String>,
}

/// The whole report. A figure that does not apply is absent.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// How many queries were run, frames from outside not counted.
    pub queries: usize,
    /// How many references the index holds.
    pub references: usize,
    /// How many frames from outside the covered ground were run.
    pub outside: usize,
    /// How distances are measured.
    pub distance: &'static str,
    /// Share of queries with a reference within so many metres among the first K.
    pub recall: Recall,
    /// Share of queries whose published fix is within so many metres.
    pub within_m: Ordered<f64>,
    /// Quantiles of the error of published fixes in metres; empty when there is none.
    pub error_m: Ordered<f64>,
    /// How many queries got a fix.
    pub fixes: usize,
    /// How many queries got several places.
    pub ambiguous: usize,
    /// How many queries could not be worked on.
    pub errors: usize,
    /// How many queries got no position, by reason.
    pub no_fix: BTreeMap<&'static str, usize>,
    /// How many frames from outside got a fix.
    pub outside_fixes: usize,
    /// Frames refused before the encoder, those from outside too; absent where there was none and none is labelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_frames: Option<BadFrames>,
    /// How many frames brought a hint that could not be used, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hints_ignored: BTreeMap<&'static str, usize>,
    /// Figures of labelled queries.
    #[serde(flatten)]
    pub labels: Option<LabelFigures>,
    /// The same figures without reranking; absent where there was none, and without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_by_retrieval: Option<LabelFigures>,
    /// 95 % bootstrap intervals of `recall` and `within_m`.
    pub intervals: Intervals,
    /// The same figures by the values of a column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<String, BTreeMap<String, Group>>,
    /// What is trivial, by name.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub baselines: Ordered<Group>,
    /// The same figures without reranking; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieval_only: Option<Group>,
    /// What reranking did, by the strategy whose answers were published; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<RerankFigures>,
    /// What every strategy did, where there were several, by its word.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub strategies: Ordered<RerankFigures>,
    /// Whether the radii of fixes hold; absent without a calibration.
    #[serde(flatten)]
    pub radius: Option<RadiusFigures>,
    /// How well is told which fixes to publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstention: Option<Abstention>,
    /// Single frames against the track of their flight; absent where none was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<SequenceFigures>,
    /// What a published system did; absent for our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemReport>,
    /// Quantiles of the wall-clock milliseconds of each stage, over all frames.
    pub ms: Ordered<Ordered<f64>>,
    /// What was evaluated.
    pub evaluated: Evaluated,
}

impl Report {
    /// Sums up all answers; `by` names the columns to group by.
    pub fn new(
        answers: &[Answered],
        references: usize,
        thresholds: &[Threshold],
        by: &[String],
        evaluated: Evaluated,
    ) -> Self {
        let (outside, queries): (Vec<&Answered>, Vec<&Answered>) = answers.iter().partition(|answer| answer.outside);
        let judged: Vec<Judged> = queries.iter().map(|answer| answer.judged.clone()).collect();
        let all = Group::of(&judged, thresholds, true);
        let errors_m: Vec<f64> = judged.iter().filter_map(|query| query.fix_m).collect();
        let labelled: Vec<Labelled> = queries.iter().filter_map(|answer| answer.labelled.clone()).collect();
        let by_retrieval: Vec<Labelled> =
            queries.iter().filter_map(|answer| answer.labelled_by_retrieval.clone()).collect();
        let number = queries.iter().map(|query| query.second.len()).max().unwrap_or_default();
        let strategies: Vec<RerankFigures> =
            (0..number).filter_map(|number| RerankFigures::of(&queries, number, thresholds, references)).collect();
        let retrieved = || queries.iter().map(|answer| answer.retrieved.clone()).collect::<Vec<_>>();
        let named = |figures: &RerankFigures| (figures.strategy.as_str().to_owned(), figures.clone());
        let count = |published: &Published| queries.iter().filter(|answer| answer.published == *published).count();
        Self {
            schema: 1,
            queries: queries.len(),
            references,
            outside: outside.len(),
            distance: "haversine",
            recall: all.recall,
            within_m: all.within_m.unwrap_or_default(),
            error_m: quantiles(&errors_m, &[("p50", 0.5), ("p90", 0.9)]),
            fixes: count(&Published::Fix),
            ambiguous: count(&Published::Ambiguous),
            errors: queries.iter().filter(|answer| matches!(answer.published, Published::Error(_))).count(),
            no_fix: no_fix(&queries),
            outside_fixes: outside.iter().filter(|answer| answer.published == Published::Fix).count(),
            bad_frames: BadFrames::of(answers),
            hints_ignored: hints_ignored(answers),
            labels: label_figures(&labelled, references),
            labels_by_retrieval: label_figures(&by_retrieval, references).filter(|_| !strategies.is_empty()),
            intervals: all.intervals,
            by: by.iter().map(|column| (column.clone(), groups(&queries, column, thresholds))).collect(),
            baselines: Ordered(Vec::new()),
            retrieval_only: (!strategies.is_empty()).then(|| Group::of(&retrieved(), thresholds, true)),
            rerank: strategies.first().cloned(),
            strategies: strategies.iter().filter(|_| strategies.len() > 1).map(named).collect(),
            radius: None,
            abstention: None,
            sequence: None,
            system: None,
            ms: stage_quantiles(answers),
            evaluated,
        }
    }

    /// Adds what the answers say of themselves, where a fix is right within `right_within_m`.
    pub fn add_certainty(&mut self, answers: &[Answered], right_within_m: f64) {
        self.radius = RadiusFigures::of(answers);
        self.abstention = Abstention::of(answers, right_within_m);
    }
}

fn hints_ignored(answers: &[Answered]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for reason in answers.iter().flat_map(|answer| &answer.ignored) {
        *counts.entry(reason.as_str()).or_default() += 1;
    }
    counts
}

fn no_fix(queries: &[&Answered]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for answer in queries {
        if let Published::NoFix(reason) = answer.published {
            *counts.entry(reason).or_default() += 1;
        }
    }
    counts
}

/// The queries by the value of a column; those without a value are under the empty text.
fn groups(queries: &[&Answered], column: &str, thresholds: &[Threshold]) -> BTreeMap<String, Group> {
    let mut values: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
    for answer in queries {
        let value = answer.columns.get(column).cloned().unwrap_or_default();
        values.entry(value).or_default().push(answer.judged.clone());
    }
    values.into_iter().map(|(value, judged)| (value, Group::of(&judged, thresholds, true))).collect()
}

/// The quantiles of `values` under their names; none of nothing.
pub fn quantiles(values: &[f64], wanted: &[(&str, f64)]) -> Ordered<f64> {
    wanted.iter().filter_map(|(name, fraction)| Some(((*name).to_owned(), quantile(values, *fraction)?))).collect()
}

/// How the time of one stage is read.
type StageOf = fn(&StageTimes) -> Option<f64>;

fn stage_quantiles(answers: &[Answered]) -> Ordered<Ordered<f64>> {
    let stages: [(&str, StageOf); 7] = [
        ("decode", |stages| stages.decode_ms),
        ("check", |stages| stages.check_ms),
        ("embed", |stages| stages.embed_ms),
        ("search", |stages| stages.search_ms),
        ("rerank", |stages| stages.rerank_ms),
        ("fuse", |stages| stages.fuse_ms),
        ("total", |stages| stages.total_ms),
    ];
    let of_stage = |(name, of): (&str, StageOf)| {
        let times: Vec<f64> = answers.iter().filter_map(|answer| of(&answer.stages)).collect();
        let quantiles = quantiles(&times, &[("p50", 0.5), ("p95", 0.95)]);
        (!quantiles.0.is_empty()).then(|| (name.to_owned(), quantiles))
    };
    stages.into_iter().filter_map(of_stage).collect()
}

impl Report {
    /// The report for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} queries, {} references, {} frames from outside; distances by {}",
            self.queries, self.references, self.outside, self.distance
        );
        let few = self.queries < FEW_QUERIES;
        let mut head = format!("{:<24}", "share of queries");
        for (threshold, _) in &self.within_m.0 {
            let _ = write!(head, "{:>cell$}", format!("{threshold} m"), cell = cell(few));
        }
        let _ = writeln!(text, "{head}");
        push_recall(&mut text, "", &self.recall, &self.intervals, few);
        let within = self.intervals.within_m.as_ref();
        push_row(&mut text, "fix within", &self.within_m, within.filter(|_| few));
        if let Some(group) = &self.retrieval_only {
            push_recall(&mut text, "retrieval", &group.recall, &group.intervals, few);
        }
        for (name, group) in &self.baselines.0 {
            push_recall(&mut text, name, &group.recall, &group.intervals, few);
        }
        for (column, values) in &self.by {
            for (value, group) in values {
                let title = format!("{column}={value} ({})", group.queries);
                push_recall(&mut text, &title, &group.recall, &group.intervals, group.queries < FEW_QUERIES);
            }
        }
        self.push_counts(&mut text);
        text += &certainty_report::text(self.radius.as_ref(), self.abstention.as_ref());
        if let Some(sequence) = &self.sequence {
            text.push_str(&sequence.text());
        }
        if let Some(system) = &self.system {
            text.push_str(&system.text());
        }
        match (&self.rerank, self.strategies.0.as_slice()) {
            (Some(rerank), []) => text.push_str(&rerank.text()),
            (_, strategies) => strategies.iter().for_each(|(_, figures)| text.push_str(&figures.text())),
        }
        text
    }

    fn push_counts(&self, text: &mut String) {
        let no_fix: Vec<String> = self.no_fix.iter().map(|(reason, count)| format!(", {reason} {count}")).collect();
        let _ = writeln!(
            text,
            "fixes {}, ambiguous {}, errors {}{}; fixes outside {} of {}",
            self.fixes,
            self.ambiguous,
            self.errors,
            no_fix.concat(),
            self.outside_fixes,
            self.outside
        );
        if let Some(bad_frames) = &self.bad_frames {
            text.push_str(&bad_frames.text());
        }
        if let (Some(p50), Some(p90)) = (self.error_m.get("p50"), self.error_m.get("p90")) {
            let _ = writeln!(text, "error of fixes: median {p50:.1} m, 90 % within {p90:.1} m");
        }
        if let Some(labels) = &self.labels_by_retrieval {
            text.push_str(&labels.text("labels by retrieval"));
        }
        if let Some(labels) = &self.labels {
            text.push_str(&labels.text("labels"));
        }
        let stage = |(name, figures): &(String, Ordered<f64>)| {
            let at = |key| figures.get(key).copied().unwrap_or_default();
            format!("{name} {:.2} / {:.2}", at("p50"), at("p95"))
        };
        let stages: Vec<String> = self.ms.0.iter().map(stage).collect();
        let _ = writeln!(text, "ms, median / 95 %: {}", stages.join(", "));
    }
}

fn cell(with_interval: bool) -> usize {
    if with_interval { 20 } else { 9 }
}

fn push_recall(text: &mut String, title: &str, recall: &Recall, intervals: &Intervals, few: bool) {
    for (rank, shares) in &recall.0 {
        let label = format!("{title}{}recall@{rank}", if title.is_empty() { "" } else { " " });
        push_row(text, &label, shares, intervals.recall.get(rank).filter(|_| few));
    }
}

fn push_row(text: &mut String, label: &str, shares: &Ordered<f64>, intervals: Option<&Ordered<[f64; 2]>>) {
    let _ = write!(text, "{label:<24}");
    for (threshold, share) in &shares.0 {
        let interval = intervals.and_then(|intervals| intervals.get(threshold));
        let figure = match interval {
            Some([low, high]) => format!("{share:.3} [{low:.2} {high:.2}]"),
            None => format!("{share:.3}"),
        };
        let _ = write!(text, "{figure:>cell$}", cell = cell(interval.is_some()));
    }
    let _ = writeln!(text);
}
