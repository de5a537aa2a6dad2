//! What the answers say of themselves, held against the truth: radii, confidence, and what is withheld.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::bootstrap::{SEED, interval_by_group};
use crate::evaluation::{Answered, Belief, Published};
use crate::metrics::{Ordered, quantile, share};
use crate::rerank_figures::{ReliabilityBin, Stated, auroc, calibration_error, reliability};

/// Points of a risk-coverage curve at most.
const MOST_POINTS: usize = 40;

/// What radii promise and what they hold; over published fixes of mapped ground.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RadiusFigures {
    /// Share of the fixes whose true position lies within `radius_68_m`.
    pub radius_68_coverage: f64,
    /// Share of the fixes whose true position lies within `radius_95_m`.
    pub radius_95_coverage: f64,
    /// 95 % bootstrap intervals of both, by resampling whole flights.
    pub radius_coverage_intervals: Ordered<[f64; 2]>,
    /// Quantiles of the radii in metres.
    pub radius_68_m: Ordered<f64>,
    /// The same for 95 %.
    pub radius_95_m: Ordered<f64>,
    /// Over how many fixes, of how many flights.
    pub radius_fixes: usize,
    /// Number of those flights.
    pub radius_flights: usize,
}

impl RadiusFigures {
    /// The figures of all published fixes with radii; `None` without any.
    pub fn of(answers: &[Answered]) -> Option<Self> {
        let fix = |answer: &Answered| {
            let radii = answer.belief.certainty?.radii?;
            let error_m = answer.judged.fix_m.filter(|_| !answer.outside)?;
            Some((answer.belief.flight.clone(), error_m, [radii.radius_68_m, radii.radius_95_m]))
        };
        let fixes: Vec<(String, f64, [f64; 2])> = answers.iter().filter_map(fix).collect();
        if fixes.is_empty() {
            return None;
        }
        let [inner, outer] = [0, 1].map(|which| Covered::of(&fixes, which));
        Some(Self {
            radius_68_coverage: inner.share,
            radius_95_coverage: outer.share,
            radius_coverage_intervals: Ordered(vec![
                ("68".to_owned(), inner.interval),
                ("95".to_owned(), outer.interval),
            ]),
            radius_68_m: inner.radius_m,
            radius_95_m: outer.radius_m,
            radius_fixes: fixes.len(),
            radius_flights: inner.flights,
        })
    }
}

/// One of the radii held against the truth.
struct Covered {
    share: f64,
    interval: [f64; 2],
    radius_m: Ordered<f64>,
    flights: usize,
}

impl Covered {
    fn of(fixes: &[(String, f64, [f64; 2])], which: usize) -> Self {
        let radius = |radii: &[f64; 2]| radii.get(which).copied().unwrap_or_default();
        let mut flights: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (flight, error_m, radii) in fixes {
            let (hits, items) = flights.entry(flight).or_default();
            *hits += usize::from(*error_m <= radius(radii));
            *items += 1;
        }
        let groups: Vec<(usize, usize)> = flights.into_values().collect();
        let metres: Vec<f64> = fixes.iter().map(|(_, _, radii)| radius(radii)).collect();
        let at = |(name, fraction): (&str, f64)| Some((name.to_owned(), quantile(&metres, fraction)?));
        Self {
            share: share(fixes, |(_, error_m, radii)| *error_m <= radius(radii)),
            interval: interval_by_group(&groups, SEED),
            radius_m: [("p50", 0.5), ("p90", 0.9)].into_iter().filter_map(at).collect(),
            flights: groups.len(),
        }
    }
}

/// One threshold of a risk-coverage curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiskPoint {
    /// Fixes whose score is at least this are published.
    pub least: f64,
    /// Share of the frames of mapped ground that get a fix.
    pub coverage: f64,
    /// Share of all published fixes that are wrong: too far off, or from outside.
    pub risk: f64,
    /// Share of the frames from outside that get a fix.
    pub outside: f64,
}

/// How well scores tell which fixes to publish.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Abstention {
    /// A fix of mapped ground is right within so many metres.
    pub right_within_m: f64,
    /// Share of the frames of mapped ground that got a fix.
    pub inside_fixes: f64,
    /// Share of the frames from outside that got one; absent without such frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside_fixes: Option<f64>,
    /// Share of the published fixes that are right, those from outside counted as wrong; absent without any fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right_share: Option<f64>,
    /// Area under the ROC curve of each score for mapped ground against outside; empty without frames of both.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub auroc: Ordered<f64>,
    /// The same for right answers against all others.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub auroc_right: Ordered<f64>,
    /// What would be published at which threshold, for each score, from the highest threshold to the lowest.
    pub risk_coverage: Ordered<Vec<RiskPoint>>,
    /// Confidence beside the share of right answers, in bins of equal counts; absent without a calibration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
    /// Expected calibration error of the confidence; absent without a calibration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration_error: Option<f64>,
}

/// A score by its name; absent for answers that have none.
type Score = (&'static str, fn(&Belief) -> Option<f64>);

const SCORES: [Score; 4] = [
    ("confidence", |belief| belief.certainty.map(|certainty| certainty.confidence)),
    ("mapped", |belief| belief.certainty.and_then(|certainty| certainty.mapped)),
    ("cosine", |belief| belief.cosine),
    ("heaviest_share", |belief| belief.heaviest_share),
];

impl Abstention {
    /// The figures of all answers; `None` where nothing was retrieved for any.
    pub fn of(answers: &[Answered], right_within_m: f64) -> Option<Self> {
        let answered: Vec<&Answered> = answers.iter().filter(|answer| answer.belief.place.is_some()).collect();
        if answered.is_empty() {
            return None;
        }
        let (outside, inside): (Vec<&Answered>, Vec<&Answered>) = answers.iter().partition(|answer| answer.outside);
        let is_right =
            |answer: &Answered| !answer.outside && answer.belief.place_m.is_some_and(|metres| metres <= right_within_m);
        let rated = |score: fn(&Belief) -> Option<f64>, truth: &dyn Fn(&Answered) -> bool| {
            let value = |answer: &&Answered| Some((score(&answer.belief)?, truth(answer)));
            answered.iter().filter_map(value).collect::<Vec<(f64, bool)>>()
        };
        let areas = |truth: &dyn Fn(&Answered) -> bool| {
            let area = |(name, score): &Score| Some(((*name).to_owned(), auroc(&rated(*score, truth))?));
            SCORES.iter().filter_map(area).collect::<Ordered<f64>>()
        };
        let curve = |(name, score): &Score| {
            let points = risk_coverage(&answered, *score, &is_right, (inside.len(), outside.len()));
            (!points.is_empty()).then(|| ((*name).to_owned(), points))
        };
        let [(_, confidence), ..] = SCORES;
        let stated = rated(confidence, &is_right);
        let as_stated = |(probability, is_true): &(f64, bool)| Stated { probability: *probability, is_true: *is_true };
        let is_published = |answer: &&Answered| answer.published == Published::Fix;
        let fixes: Vec<&Answered> = answered.iter().copied().filter(is_published).collect();
        Some(Self {
            right_within_m,
            inside_fixes: share(&inside, is_published),
            outside_fixes: (!outside.is_empty()).then(|| share(&outside, is_published)),
            right_share: (!fixes.is_empty()).then(|| share(&fixes, |answer| is_right(answer))),
            auroc: areas(&|answer| !answer.outside),
            auroc_right: areas(&is_right),
            risk_coverage: SCORES.iter().filter_map(curve).collect(),
            reliability: reliability(&stated),
            calibration_error: calibration_error(&stated.iter().map(as_stated).collect::<Vec<_>>()),
        })
    }
}

/// What would be published at each threshold; `of` counts the frames of mapped ground and those from outside.
#[expect(clippy::cast_precision_loss, reason = "counts of queries are far below 2^52")]
fn risk_coverage(
    answers: &[&Answered],
    score: fn(&Belief) -> Option<f64>,
    is_right: &dyn Fn(&Answered) -> bool,
    of: (usize, usize),
) -> Vec<RiskPoint> {
    let fixes = answers.iter().filter(|answer| answer.belief.is_fix);
    let mut rated: Vec<(f64, &Answered)> = fixes.filter_map(|answer| Some((score(&answer.belief)?, *answer))).collect();
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    let ratio = |count: usize, of: usize| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    let (mut inside, mut outside, mut wrong, mut points) = (0, 0, 0, Vec::new());
    let step = rated.len().div_ceil(MOST_POINTS).max(1);
    for (at, (least, answer)) in rated.iter().enumerate() {
        inside += usize::from(!answer.outside);
        outside += usize::from(answer.outside);
        wrong += usize::from(!is_right(answer));
        let is_last_of_its_score = rated.get(at + 1).is_none_or(|(next, _)| next < least);
        if (at + 1) % step == 0 && is_last_of_its_score || at + 1 == rated.len() {
            points.push(RiskPoint {
                least: *least,
                coverage: ratio(inside, of.0),
                risk: ratio(wrong, at + 1),
                outside: ratio(outside, of.1),
            });
        }
    }
    points
}

/// Lines about both for the table of an evaluation.
pub fn text(radius: Option<&RadiusFigures>, abstention: Option<&Abstention>) -> String {
    let mut text = String::new();
    if let Some(figures) = radius {
        let at = |found: &Ordered<f64>, key| found.get(key).copied().unwrap_or_default();
        for (name, coverage, metres) in [
            ("68", figures.radius_68_coverage, &figures.radius_68_m),
            ("95", figures.radius_95_coverage, &figures.radius_95_m),
        ] {
            let [low, high] = figures.radius_coverage_intervals.get(name).copied().unwrap_or_default();
            let (p50, p90) = (at(metres, "p50"), at(metres, "p90"));
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "radius {name} %: holds {coverage:.3} [{low:.2} {high:.2}] of {} fixes of {} flights; median {p50:.1} m, \
                 90 % below {p90:.1} m",
                figures.radius_fixes, figures.radius_flights
            );
        }
    }
    if let Some(figures) = abstention.filter(|figures| !figures.auroc.is_empty()) {
        let area = |(name, area): &(String, f64)| format!("{name} {area:.3}");
        let areas: Vec<String> = figures.auroc.0.iter().map(area).collect();
        let outside = figures.outside_fixes.unwrap_or_default();
        let _ = writeln!(
            text,
            "mapped ground against outside, AUROC: {}; fixes inside {:.3}, outside {outside:.3}; right {:.3} of all fixes",
            areas.join(", "),
            figures.inside_fixes,
            figures.right_share.unwrap_or(f64::NAN)
        );
    }
    if let Some(error) = abstention.and_then(|figures| figures.calibration_error) {
        let _ = writeln!(text, "confidence: expected calibration error {error:.3}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Judged;
    use geolocated::locate::{Certainty, Radii, StageTimes};

    fn answer(flight: &str, error_m: f64, radii: Option<[f64; 2]>, confidence: f64, outside: bool) -> Answered {
        let radii = radii.map(|[radius_68_m, radius_95_m]| Radii { radius_68_m, radius_95_m, covariance_m2: [1.0; 3] });
        Answered {
            file: "a.jpg".to_owned(),
            outside,
            published: if radii.is_some() { Published::Fix } else { Published::NoFix("out_of_coverage") },
            judged: Judged { reference_m: vec![], fix_m: radii.map(|_| error_m) },
            labelled: None,
            labelled_by_retrieval: None,
            stages: StageTimes::default(),
            retrieved: Judged::default(),
            second: vec![],
            bad: None,
            picture: None,
            ignored: vec![],
            observation: None,
            nearest: None,
            columns: BTreeMap::new(),
            belief: Belief {
                flight: flight.to_owned(),
                place: Some((0.0, 0.0)),
                place_m: Some(error_m),
                is_fix: true,
                cosine: Some(0.5),
                certainty: Some(Certainty { confidence, mapped: None, spread: 1.0, radii, withheld: None }),
                ..Belief::default()
            },
        }
    }

    #[test]
    fn coverage_is_counted_over_published_fixes_of_mapped_ground() {
        let answers = [
            answer("one", 5.0, Some([10.0, 20.0]), 0.9, false),
            answer("one", 15.0, Some([10.0, 20.0]), 0.8, false),
            answer("two", 25.0, Some([10.0, 20.0]), 0.7, false),
            answer("two", 10.0, Some([10.0, 40.0]), 0.7, false),
            answer("two", 500.0, Some([10.0, 20.0]), 0.6, true),
            answer("two", 500.0, None, 0.1, false),
        ];
        let figures = RadiusFigures::of(&answers).unwrap();
        assert_eq!((figures.radius_68_coverage, figures.radius_95_coverage), (0.5, 0.75));
        assert_eq!((figures.radius_fixes, figures.radius_flights), (4, 2));
        assert_eq!(figures.radius_95_m.get("p50"), Some(&20.0));
        let [low, high] = *figures.radius_coverage_intervals.get("95").unwrap();
        assert!(low <= 0.75 && high >= 0.75 && low < high);
        assert_eq!(RadiusFigures::of(&answers[5..]), None);
    }

    #[test]
    fn the_curve_goes_from_the_surest_fix_to_all() {
        let answers = [
            answer("a", 5.0, Some([1.0; 2]), 0.9, false),
            answer("a", 5.0, Some([1.0; 2]), 0.8, false),
            answer("a", 500.0, Some([1.0; 2]), 0.7, true),
            answer("a", 500.0, Some([1.0; 2]), 0.6, false),
        ];
        let figures = Abstention::of(&answers, 50.0).unwrap();
        let points = figures.risk_coverage.get("confidence").unwrap();
        let told: Vec<(f64, f64, f64)> = points.iter().map(|at| (at.coverage, at.risk, at.outside)).collect();
        let third = 1.0 / 3.0;
        assert_eq!(told, [(third, 0.0, 0.0), (2.0 * third, 0.0, 0.0), (2.0 * third, third, 1.0), (1.0, 0.5, 1.0)]);
        // Two of three inside answers are surer than the one from outside; equal cosines tell nothing.
        assert!((figures.auroc.get("confidence").unwrap() - 2.0 * third).abs() < 1e-12);
        assert_eq!(figures.auroc.get("cosine"), Some(&0.5));
        assert_eq!(figures.auroc_right.get("confidence"), Some(&1.0));
        assert_eq!((figures.inside_fixes, figures.outside_fixes, figures.right_share), (1.0, Some(1.0), Some(0.5)));
        let cosine = figures.risk_coverage.get("cosine").unwrap();
        assert_eq!(cosine.len(), 1, "one threshold publishes all or nothing");
        assert!(text(None, Some(&figures)).contains("AUROC"));
        assert_eq!(Abstention::of(&[], 50.0), None);
    }
}
