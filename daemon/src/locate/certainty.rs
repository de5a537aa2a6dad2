//! What a calibration says of an answer: how likely it is right, how far it may be off, whether to publish it.

use serde::{Deserialize, Serialize};

use super::features::FEATURES;
use super::{Features, Fix, FuseOptions, Mode, NoFixReason, Outcome, Prediction};

/// What a circle with 68 % of an isotropic normal distribution in the plane has for a radius, in standard deviations
/// along an axis: sqrt(-2 ln(1 - 0.68)).
const SIGMAS_OF_68: f64 = 1.509_592_2;

/// What is known of an answer by calibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certainty {
    /// Probability that the heaviest place is the right one, in [0, 1].
    pub confidence: f64,
    /// Probability that the frame shows mapped ground at all, in [0, 1]; absent where no frames from outside were there
    /// to fit it.
    pub mapped: Option<f64>,
    /// How many times as far from its place as the spread of the candidates says an answer of this confidence lies, where
    /// its place is the right one: factor of a standard deviation.
    pub spread: f64,
    /// How far a published fix may be off; absent where there is no fix, or where the calibration promises nothing.
    pub radii: Option<Radii>,
    /// The position that was not published because its confidence is too low.
    pub withheld: Option<Fix>,
}

/// How far a fix may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Radii {
    /// In 68 of 100 fixes the true position lies within so many metres.
    pub radius_68_m: f64,
    /// In 95 of 100.
    pub radius_95_m: f64,
    /// Variance to the east, covariance of east and north, variance to the north, in square metres: that of the heaviest
    /// place, scaled so that a normal distribution has as much within `radius_68_m` where both axes are alike.
    pub covariance_m2: [f64; 3],
}

/// A calibration of the answers of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageCalibration {
    /// A fix is published when its confidence is greater; absent where no frames from outside were there to fit it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub least_confidence: Option<f64>,
    /// Probability that a frame shows mapped ground at all; absent where no frames from outside were there to fit it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mapped: Option<Logistic>,
    /// Probability that the heaviest place is the right one, of a frame that shows mapped ground. The confidence is the
    /// product of both.
    pub right: Logistic,
    /// Radii by confidence, from the lowest to the highest; at least one, the first with `above = 0`.
    pub radius: Vec<RadiusBand>,
}

/// A logistic regression over [`Features`]: the probability is `1 / (1 + exp(-(intercept + sum of weight * (feature - mean)
/// / deviation)))`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logistic {
    /// Log odds of an answer whose features are all the mean ones.
    pub intercept: f64,
    /// Of each feature, by its name, in the order of [`super::FEATURE_NAMES`].
    pub terms: Vec<Term>,
}

/// One feature's part in a [`Logistic`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Its name.
    pub feature: String,
    /// Its mean over the frames that were fitted.
    pub mean: f64,
    /// Its standard deviation over them, above 0.
    pub deviation: f64,
    /// Log odds that one standard deviation adds.
    pub weight: f64,
}

impl Logistic {
    /// Probability in [0, 1].
    pub fn probability(&self, Features(features): &Features) -> f64 {
        let term = |(term, value): (&Term, &f64)| term.weight * (value - term.mean) / term.deviation;
        let log_odds = self.intercept + self.terms.iter().zip(features).map(term).sum::<f64>();
        1.0 / (1.0 + (-log_odds).exp())
    }

    /// Whether it has a term for each feature, in order, and only numbers that make sense.
    pub fn is_sound(&self) -> bool {
        let sound = |(term, name): (&Term, &&str)| {
            let finite = term.mean.is_finite() && term.weight.is_finite() && term.deviation.is_finite();
            term.feature == **name && finite && term.deviation > 0.0
        };
        let terms = self.terms.len() == FEATURES && self.terms.iter().zip(&super::FEATURE_NAMES).all(sound);
        terms && self.intercept.is_finite()
    }
}

/// Radii of fixes whose confidence lies above a bound: the predicted standard deviation times these.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RadiusBand {
    /// Confidence above which it holds, in [0, 1).
    pub above: f64,
    /// Standard deviations within which 68 % of the fixes lie.
    pub sigmas_68: f64,
    /// Standard deviations within which 95 % of the fixes lie.
    pub sigmas_95: f64,
}

impl StageCalibration {
    /// Whether all numbers make sense.
    pub fn is_sound(&self) -> bool {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let band = |band: &RadiusBand| {
            positive(band.sigmas_68) && positive(band.sigmas_95) && (0.0..1.0).contains(&band.above)
        };
        let rises = self.radius.is_sorted_by(|a, b| a.above < b.above);
        let begins = self.radius.first().is_some_and(|first| first.above <= 0.0);
        let threshold = self.least_confidence.is_none_or(|least| (0.0..=1.0).contains(&least));
        let sound = self.right.is_sound() && self.mapped.as_ref().is_none_or(Logistic::is_sound);
        sound && begins && rises && threshold && self.radius.iter().all(band)
    }

    /// Probability that a frame shows mapped ground at all, where that was fitted, and that the heaviest place is right.
    pub fn probabilities(&self, features: &Features) -> (Option<f64>, f64) {
        let mapped = self.mapped.as_ref().map(|logistic| logistic.probability(features));
        (mapped, mapped.unwrap_or(1.0) * self.right.probability(features))
    }

    /// Says how certain `prediction` is, and takes back a fix that is not certain enough: what is left is `ambiguous`
    /// where a second place weighs at least half as much and the ground is likely mapped, else no fix. What another calibration said before, and took
    /// back, does not count.
    pub fn apply(&self, prediction: &mut Prediction, options: &FuseOptions) {
        if let Some(fix) = prediction.certainty.take().and_then(|certainty| certainty.withheld) {
            prediction.outcome = Outcome::Fix(fix);
        }
        let Some(features) = Features::of(prediction, options) else { return };
        let (mapped, confidence) = self.probabilities(&features);
        let band = self.radius.iter().rev().find(|band| confidence > band.above).or(self.radius.first());
        let spread = band.map_or(1.0, RadiusBand::spread);
        let mut certainty = Certainty { confidence, mapped, spread, radii: None, withheld: None };
        if let Outcome::Fix(fix) = prediction.outcome {
            if self.least_confidence.is_some_and(|least| confidence <= least) {
                certainty.withheld = Some(fix);
                prediction.outcome = withheld(prediction, mapped);
            } else {
                certainty.radii = band.zip(prediction.posterior.modes.first()).map(|(band, mode)| band.radii(mode));
            }
        }
        prediction.certainty = Some(certainty);
    }
}

impl RadiusBand {
    /// Standard deviation of its fixes over the predicted one.
    fn spread(&self) -> f64 {
        self.sigmas_68 / SIGMAS_OF_68
    }

    fn radii(&self, mode: &Mode) -> Radii {
        let (sigma_m, scale) = (mode.sigma_m(), self.spread().powi(2));
        let radius_68_m = self.sigmas_68 * sigma_m;
        Radii {
            radius_68_m,
            radius_95_m: (self.sigmas_95 * sigma_m).max(radius_68_m),
            covariance_m2: mode.covariance_m2.map(|value| value * scale),
        }
    }
}

/// Share of the heaviest place's weight from which on a second place says that there are several.
const SEVERAL_SHARE: f64 = 0.5;
/// Below this probability of mapped ground there is no place to choose between.
const UNMAPPED: f64 = 0.5;

fn withheld(prediction: &Prediction, mapped: Option<f64>) -> Outcome {
    match prediction.posterior.modes.as_slice() {
        _ if mapped.is_some_and(|mapped| mapped < UNMAPPED) => Outcome::NoFix(NoFixReason::OutOfCoverage),
        [first, second, ..] if second.p >= SEVERAL_SHARE * first.p => Outcome::Ambiguous,
        _ => Outcome::NoFix(NoFixReason::OutOfCoverage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::{Candidate, FEATURE_NAMES, Posterior, StageTimes};

    /// Confidence by the cosine alone: 0.5 at a cosine of 0.5.
    fn calibration() -> StageCalibration {
        let term = |(at, name): (usize, &&str)| Term {
            feature: (*name).to_owned(),
            mean: 0.5,
            deviation: 0.1,
            weight: if at == 0 { 2.0 } else { 0.0 },
        };
        let bands = [(0.0, 3.0, 9.0), (0.9, 1.0, 2.0)];
        StageCalibration {
            least_confidence: Some(0.5),
            mapped: None,
            right: Logistic { intercept: 0.0, terms: FEATURE_NAMES.iter().enumerate().map(term).collect() },
            radius: bands.map(|(above, sigmas_68, sigmas_95)| RadiusBand { above, sigmas_68, sigmas_95 }).into(),
        }
    }

    fn answered(similar: &[(f64, f32)]) -> Prediction {
        let candidate = |(lat_deg, similarity): &(f64, f32)| Candidate {
            lat_deg: *lat_deg,
            lon_deg: 8.0,
            similarity: *similarity,
            reference: String::new(),
            shard: 0,
            row: 0,
            extent_m: Some(24.0),
            prior_nats: 0.0,
            support: None,
            offset: None,
        };
        let (similar, options): (Vec<_>, _) = (similar.iter().map(candidate).collect(), FuseOptions::default());
        let dissimilar = vec![candidate(&(0.0, 0.0))];
        let posterior = Posterior::of_retrieval(&similar, &dissimilar, &options);
        let mut prediction = Prediction {
            outcome: posterior.outcome(&options),
            similar,
            further: Vec::new(),
            dissimilar,
            posterior,
            certainty: None,
            reranking: None,
            stages: StageTimes::default(),
        };
        calibration().apply(&mut prediction, &options);
        prediction
    }

    #[test]
    fn a_sure_fix_has_small_radii_and_a_less_sure_one_large_ones() {
        let sure = answered(&[(50.0, 0.9)]);
        let certainty = sure.certainty.unwrap();
        assert!((certainty.confidence - 1.0 / (1.0 + (-8.0_f64).exp())).abs() < 1e-6, "{certainty:?}");
        let sigma_m = (1600.0_f64 / 3.0).sqrt();
        let radii = certainty.radii.unwrap();
        assert!((radii.radius_68_m - sigma_m).abs() < 1e-6 && (radii.radius_95_m - 2.0 * sigma_m).abs() < 1e-6);
        // A normal distribution of this covariance has 68 % within the radius.
        let axis_m = radii.covariance_m2[0].sqrt();
        assert!((1.0 - (-(radii.radius_68_m / axis_m).powi(2) / 2.0).exp() - 0.68).abs() < 1e-6);
        let less = answered(&[(50.0, 0.55)]).certainty.unwrap().radii.unwrap();
        assert!((less.radius_95_m - 9.0 * sigma_m).abs() < 1e-6, "{less:?}");
    }

    #[test]
    fn below_the_threshold_a_fix_is_withheld_and_the_reason_fits() {
        let lone = answered(&[(50.0, 0.4)]);
        assert!(matches!(lone.outcome, Outcome::NoFix(NoFixReason::OutOfCoverage)), "{:?}", lone.outcome);
        let certainty = lone.certainty.unwrap();
        assert!(certainty.radii.is_none() && certainty.confidence < 0.5);
        assert!((certainty.withheld.unwrap().lat_deg - 50.0).abs() < 1e-9);
        // The second place weighs exp(-24 * 0.01 / 0.4) = 0.55 of the first.
        let several = answered(&[(50.0, 0.4), (51.0, 0.39)]);
        assert!(matches!(several.outcome, Outcome::Ambiguous), "{:?}", several.outcome);
        assert!(several.certainty.unwrap().withheld.is_some());
    }

    #[test]
    fn the_confidence_is_that_of_mapped_ground_times_that_of_the_right_place() {
        // Mapped ground by the margin alone: the far end is at 0.
        let mut calibration = calibration();
        let mut mapped = calibration.right.clone();
        mapped.terms.iter_mut().for_each(|term| term.weight = 0.0);
        mapped.terms[1].weight = 2.0;
        calibration.mapped = Some(mapped);
        let several = |similarity: f32| {
            let mut prediction = answered(&[(50.0, similarity), (51.0, similarity - 0.01)]);
            calibration.apply(&mut prediction, &FuseOptions::default());
            prediction
        };
        let sure = several(0.7);
        let certainty = sure.certainty.unwrap();
        let one = 1.0 / (1.0 + (-4.0_f64).exp());
        assert!((certainty.mapped.unwrap() - one).abs() < 1e-6, "{certainty:?}");
        assert!((certainty.confidence - one * one).abs() < 1e-6, "{certainty:?}");
        // 0.88 for each of both, 0.77 together; and what is hardly mapped is not ambiguous.
        assert!(matches!(several(0.6).outcome, Outcome::Fix(_) | Outcome::Ambiguous));
        let outside = several(0.45);
        assert!(matches!(outside.outcome, Outcome::NoFix(NoFixReason::OutOfCoverage)), "{:?}", outside.outcome);
    }

    #[test]
    fn what_is_ambiguous_by_itself_stays_so_and_nothing_retrieved_has_no_certainty() {
        let several = answered(&[(50.0, 0.9), (51.0, 0.9)]);
        let certainty = several.certainty.unwrap();
        assert!(matches!(several.outcome, Outcome::Ambiguous) && certainty.radii.is_none());
        assert_eq!(certainty.withheld, None);
        assert_eq!(answered(&[]).certainty, None);
    }

    #[test]
    fn numbers_that_make_no_sense_are_seen() {
        assert!(calibration().is_sound());
        let broken: [fn(&mut StageCalibration); 8] = [
            |c| c.mapped = Some(Logistic { intercept: f64::NAN, terms: c.right.terms.clone() }),
            |c| c.radius.clear(),
            |c| c.radius.reverse(),
            |c| c.radius[0].sigmas_95 = f64::NAN,
            |c| c.radius[0].sigmas_68 = 0.0,
            |c| c.least_confidence = Some(1.5),
            |c| c.right.terms.truncate(3),
            |c| c.right.terms.swap(0, 1),
        ];
        for (at, spoil) in broken.into_iter().enumerate() {
            let mut calibration = calibration();
            spoil(&mut calibration);
            assert!(!calibration.is_sound(), "{at}");
        }
    }
}
