//! What the figures of an evaluation mean.
//!
//! Every figure is over all queries: a query without an answer counts as a miss.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::bootstrap;

/// Ranks at which recall is reported.
pub const RANKS: [usize; 3] = [1, 5, 16];

/// A map that keeps its order when it is written as JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Ordered<T> {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<T> FromIterator<(String, T)> for Ordered<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

/// One query held against the truth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// Metres between the true position and each similar reference, the most similar first.
    pub reference_m: Vec<f64>,
    /// Metres between the true position and the published fix; absent when none was published.
    pub fix_m: Option<f64>,
}

impl Judged {
    /// Whether a reference within `threshold_m` metres is among the first `rank`.
    pub fn found(&self, rank: usize, threshold_m: f64) -> bool {
        self.reference_m.iter().take(rank).any(|&distance_m| distance_m <= threshold_m)
    }

    /// Whether a published fix lies within `threshold_m` metres.
    pub fn within(&self, threshold_m: f64) -> bool {
        self.fix_m.is_some_and(|distance_m| distance_m <= threshold_m)
    }
}

/// A share per rank and per threshold.
pub type Recall = Ordered<Ordered<f64>>;

/// 95 % bootstrap intervals of the shares: lower and upper bound.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Intervals {
    /// By rank, then by threshold in metres.
    pub recall: Ordered<Ordered<[f64; 2]>>,
    /// By threshold in metres; absent where there are no fixes to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_m: Option<Ordered<[f64; 2]>>,
}

/// A threshold in metres with the text under which it is reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As it was given.
    pub text: String,
    /// Metres, positive.
    pub metres: f64,
}

impl std::str::FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<f64>() {
            Ok(metres) if metres.is_finite() && metres > 0.0 => Ok(Self { text: text.trim().to_owned(), metres }),
            _ => Err(format!("found {text:?}, expected metres above 0")),
        }
    }
}

/// Recall at every rank of [`RANKS`] and every threshold: the share of queries with a reference within the threshold
/// among the first so many.
pub fn recall(judged: &[Judged], thresholds: &[Threshold]) -> Recall {
    per_rank(thresholds, |rank, metres| share(judged, |query| query.found(rank, metres)))
}

/// The share of queries whose published fix lies within each threshold.
pub fn within(judged: &[Judged], thresholds: &[Threshold]) -> Ordered<f64> {
    thresholds.iter().map(|t| (t.text.clone(), share(judged, |query| query.within(t.metres)))).collect()
}

/// 95 % intervals of [`recall`] and, with `fixes`, of [`within`], by resampling the queries.
pub fn intervals(judged: &[Judged], thresholds: &[Threshold], fixes: bool) -> Intervals {
    let interval = |hit: &dyn Fn(&Judged) -> bool| {
        let hits: Vec<bool> = judged.iter().map(hit).collect();
        bootstrap::interval_of_share(&hits, bootstrap::SEED)
    };
    Intervals {
        recall: per_rank(thresholds, |rank, metres| interval(&|query| query.found(rank, metres))),
        within_m: fixes.then(|| {
            let one = |t: &Threshold| (t.text.clone(), interval(&|query| query.within(t.metres)));
            thresholds.iter().map(one).collect()
        }),
    }
}

fn per_rank<T>(thresholds: &[Threshold], figure: impl Fn(usize, f64) -> T) -> Ordered<Ordered<T>> {
    let at = |rank: usize| thresholds.iter().map(|t| (t.text.clone(), figure(rank, t.metres))).collect();
    RANKS.iter().map(|&rank| (rank.to_string(), at(rank))).collect()
}

/// The share of items that fulfil `hit`; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of queries are far below 2^52")]
pub fn share<T>(items: &[T], hit: impl Fn(&T) -> bool) -> f64 {
    if items.is_empty() {
        return 0.0;
    }
    items.iter().filter(|item| hit(item)).count() as f64 / items.len() as f64
}

/// The `fraction` quantile in [0, 1], linear between the two nearest values (Hyndman and Fan's type 7, NumPy's default).
/// `None` of nothing; values must not be NaN.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions in a list are not negative and far below 2^52"
)]
pub fn quantile(values: &[f64], fraction: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let position = fraction.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let below = *sorted.get(position.floor() as usize)?;
    let above = *sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

/// How labelled references are found: the figures of cross-view benchmarks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LabelFigures {
    /// Share of queries whose `positive` reference comes first.
    pub top1: f64,
    /// Share of queries whose `positive` reference is among the first 5.
    pub top5: f64,
    /// Share of queries whose `positive` reference is among the first 10.
    pub top10: f64,
    /// Share of queries whose `positive` reference is among the first 1 % of all references, at least one.
    pub top_1_percent: f64,
    /// Share of queries where nothing but semi-positive references comes before the `positive` one.
    pub hit_rate: f64,
}

impl LabelFigures {
    /// The same for people, on a line that begins with `title`.
    pub fn text(&self, title: &str) -> String {
        let Self { top1, top5, top10, top_1_percent, hit_rate } = self;
        format!(
            "{title}: top1 {top1:.3}, top5 {top5:.3}, top10 {top10:.3}, top 1 % {top_1_percent:.3}, hit rate {hit_rate:.3}\n"
        )
    }
}

/// One query's labels and what was found for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labelled {
    /// The reference that shows the place.
    pub positive: String,
    /// References that also show it, but less well.
    pub semi_positives: Vec<String>,
    /// The references found, the most similar first.
    pub found: Vec<String>,
}

/// How many references must be found so that [`label_figures`] can be computed.
pub fn ranks_for_labels(references: usize, most_semi_positives: usize) -> usize {
    references.div_ceil(100).max(most_semi_positives.saturating_add(1)).max(10)
}

/// The figures of labelled queries; `references` is the number of all references. `None` without queries.
pub fn label_figures(queries: &[Labelled], references: usize) -> Option<LabelFigures> {
    if queries.is_empty() {
        return None;
    }
    let among = |rank: usize| share(queries, |query| query.found.iter().take(rank).any(|name| *name == query.positive));
    let hit = |query: &Labelled| {
        query.found.iter().find(|name| !query.semi_positives.contains(name)).is_some_and(|name| *name == query.positive)
    };
    Some(LabelFigures {
        top1: among(1),
        top5: among(5),
        top10: among(10),
        top_1_percent: among(references.div_ceil(100).max(1)),
        hit_rate: share(queries, hit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(reference_m: &[f64], fix_m: Option<f64>) -> Judged {
        Judged { reference_m: reference_m.to_vec(), fix_m }
    }

    fn thresholds(texts: &[&str]) -> Vec<Threshold> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Four queries: found first; found third; found only sixth; nothing found.
    fn four() -> Vec<Judged> {
        vec![
            judged(&[5.0, 300.0], Some(8.0)),
            judged(&[90.0, 60.0, 20.0], Some(30.0)),
            judged(&[500.0, 500.0, 500.0, 500.0, 500.0, 1.0], None),
            judged(&[], None),
        ]
    }

    #[test]
    fn recall_counts_a_near_reference_among_the_first_over_all_queries() {
        let recall = recall(&four(), &thresholds(&["25", "70"]));
        let at = |rank: &str, metres: &str| *recall.get(rank).unwrap().get(metres).unwrap();
        assert_eq!((at("1", "25"), at("5", "25"), at("16", "25")), (0.25, 0.5, 0.75));
        assert_eq!((at("1", "70"), at("5", "70"), at("16", "70")), (0.25, 0.5, 0.75));
    }

    #[test]
    fn within_counts_published_fixes_over_all_queries() {
        let within = within(&four(), &thresholds(&["8", "29.9", "30"]));
        assert_eq!(within.0.iter().map(|(_, share)| *share).collect::<Vec<_>>(), [0.25, 0.25, 0.5]);
    }

    #[test]
    fn a_threshold_is_reported_as_it_was_given() {
        let json = serde_json::to_string(&recall(&four(), &thresholds(&["2.50", "25"]))).unwrap();
        assert_eq!(json, r#"{"1":{"2.50":0.0,"25":0.25},"5":{"2.50":0.0,"25":0.5},"16":{"2.50":0.25,"25":0.75}}"#);
        for bad in ["0", "-5", "x", "NaN", "inf", ""] {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert!((quantile(&values, 0.9).unwrap() - 3.7).abs() < 1e-12);
        assert_eq!((quantile(&values, 0.0), quantile(&values, 1.0)), (Some(1.0), Some(4.0)));
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn intervals_hold_the_share_and_are_the_same_every_time() {
        let first = intervals(&four(), &thresholds(&["25"]), true);
        assert_eq!(first, intervals(&four(), &thresholds(&["25"]), true));
        let [low, high] = *first.recall.get("5").unwrap().get("25").unwrap();
        assert!(low <= 0.5 && 0.5 <= high && low < high);
        assert!(intervals(&four(), &thresholds(&["25"]), false).within_m.is_none());
    }

    #[test]
    fn label_figures_follow_the_order_found() {
        let query = |found: &[&str]| Labelled {
            positive: "p".to_owned(),
            semi_positives: vec!["s".to_owned(), "t".to_owned()],
            found: found.iter().map(|name| (*name).to_owned()).collect(),
        };
        let queries = [query(&["p", "n"]), query(&["s", "t", "p"]), query(&["s", "n", "p"]), query(&["n", "n"])];
        let figures = label_figures(&queries, 201).unwrap();
        assert_eq!(figures, LabelFigures { top1: 0.25, top5: 0.75, top10: 0.75, top_1_percent: 0.75, hit_rate: 0.5 });
        assert_eq!(label_figures(&queries, 200).unwrap().top_1_percent, 0.25);
        assert_eq!(label_figures(&[], 200), None);
        assert_eq!(ranks_for_labels(2_001, 3), 21);
        assert_eq!((ranks_for_labels(10, 7), ranks_for_labels(10, 17)), (10, 18));
    }
}
