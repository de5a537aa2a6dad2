//! From answers on flights with known places to a calibration of them.

use std::collections::BTreeMap;

use geolocated::locate::{
    Features, FuseOptions, Logistic, Outcome, Prediction, RadiusBand, StageCalibration, distance_m,
};
use thiserror::Error;

use super::conformal::{groups_needed, quantile_by_group};
use super::logistic;
use crate::bootstrap::SplitMix64;

/// What radii promise.
const LEVELS: [f64; 2] = [0.68, 0.95];
/// Every third flight is for the confidence, the others for threshold and radii.
const FIT_SHARE: usize = 3;
/// So many frames of mapped ground are needed at least.
const LEAST_FRAMES: usize = 50;
/// Radii are told apart for so many bands of confidence at most.
const MOST_BANDS: usize = 3;

/// One answer with the truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the flight.
    pub flight: String,
    /// Whether the frame was taken where no reference is.
    pub outside: bool,
    /// What the answer looks like.
    pub features: Features,
    /// Whether it is a fix, before any threshold.
    pub is_fix: bool,
    /// Metres between the heaviest place and the truth.
    pub error_m: f64,
    /// Predicted standard deviation along an axis, metres, above 0.
    pub sigma_m: f64,
}

impl Sample {
    /// The answer for a frame of `flight` that was taken at `truth`, in degrees; `None` where nothing was retrieved.
    pub fn of(
        prediction: &Prediction,
        options: &FuseOptions,
        flight: String,
        outside: bool,
        truth: (f64, f64),
    ) -> Option<Self> {
        let mode = prediction.posterior.modes.first()?;
        Some(Self {
            flight,
            outside,
            features: Features::of(prediction, options)?,
            is_fix: matches!(prediction.outcome, Outcome::Fix(_)),
            error_m: distance_m(truth.0, truth.1, mode.lat_deg, mode.lon_deg),
            sigma_m: mode.sigma_m(),
        })
    }

    /// Whether the heaviest place is the right one.
    pub fn is_right(&self, within_m: f64) -> bool {
        !self.outside && self.error_m <= within_m
    }
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitOptions {
    /// A fix is right within so many metres, above 0.
    pub right_within_m: f64,
    /// Share of the frames from outside that may get a fix, in (0, 1).
    pub risk: f64,
}

/// Why nothing can be promised.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum TooFew {
    /// Frames of mapped ground.
    #[error("expected at least {LEAST_FRAMES} frames of mapped ground with an answer, found {found}")]
    Frames {
        /// How many there are.
        found: usize,
    },
    /// Flights with fixes that are published.
    #[error(
        "expected at least {needed} flights with fixes beside those for the confidence, so {} in all, found {found}: \
         {needed} is the least from which a radius for 95 % can be read off. With few right fixes a larger --risk leaves more",
        all_flights(*needed)
    )]
    Flights {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Flights with frames from outside.
    #[error(
        "expected at least {needed} flights with frames from outside beside those for the confidence, so {} in all, \
         found {found}: take more, or a larger --risk, or none of them",
        all_flights(*needed)
    )]
    OutsideFlights {
        /// How many are needed.
        needed: usize,
        /// How many there are.
        found: usize,
    },
}

/// How many flights there must be in all for so many beside those that the confidence is fitted on.
fn all_flights(beside: usize) -> usize {
    beside.saturating_mul(FIT_SHARE).div_ceil(FIT_SHARE - 1)
}

/// Whether a flight is one of those that confidence and scale are fitted on: every third of `flights`, which are all
/// names, drawn by the names alone.
pub fn fitting_flights(flights: &[String]) -> Vec<String> {
    let mut drawn: Vec<(u64, &String)> = flights
        .iter()
        .map(|name| {
            let seed = name
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            (SplitMix64::new(seed).next_u64(), name)
        })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    let count = drawn.len().div_ceil(FIT_SHARE);
    drawn.into_iter().take(count).map(|(_, name)| name.clone()).collect()
}

/// A calibration of these answers; `fitting` names the flights for the confidence.
///
/// # Errors
/// [`TooFew`] flights or frames, with the number needed.
pub fn fit(samples: &[Sample], fitting: &[String], options: &FitOptions) -> Result<StageCalibration, TooFew> {
    let frames = samples.iter().filter(|sample| !sample.outside).count();
    if frames < LEAST_FRAMES {
        return Err(TooFew::Frames { found: frames });
    }
    let (for_confidence, for_radii): (Vec<&Sample>, Vec<&Sample>) =
        samples.iter().partition(|sample| fitting.contains(&sample.flight));
    let labelled = |of: &[&Sample], label: &dyn Fn(&Sample) -> bool| -> Vec<(Features, bool)> {
        of.iter().map(|sample| (sample.features, label(sample))).collect()
    };
    // Frames from outside say nothing of which place is right, and would teach it to tell them apart instead.
    let inside: Vec<&Sample> = for_confidence.iter().filter(|sample| !sample.outside).copied().collect();
    let right = logistic::fit(&labelled(&inside, &|sample| sample.is_right(options.right_within_m)));
    let both = inside.len() < for_confidence.len() && !inside.is_empty();
    let mapped = both.then(|| logistic::fit(&labelled(&for_confidence, &|sample| !sample.outside)));
    let confidence = Confidence { mapped, right };
    let least_confidence = threshold(&for_radii, &confidence, options.risk)?;
    let is_published = |sample: &&&Sample| {
        let sure = least_confidence.is_none_or(|least| confidence.probability(&sample.features) > least);
        !sample.outside && sample.is_fix && sure
    };
    let published: Vec<&Sample> = for_radii.iter().filter(is_published).copied().collect();
    let first: Vec<f64> =
        for_confidence.iter().filter(is_published).map(|sample| confidence.probability(&sample.features)).collect();
    let radius = (1..=MOST_BANDS).rev().find_map(|count| bands(&published, &confidence, &edges(&first, count)));
    match radius {
        Some(radius) => {
            Ok(StageCalibration { least_confidence, mapped: confidence.mapped, right: confidence.right, radius })
        }
        None => Err(TooFew::Flights {
            needed: LEVELS.into_iter().map(groups_needed).max().unwrap_or_default(),
            found: by_flight(&published, |_| 0.0).len(),
        }),
    }
}

/// Both halves of the confidence.
struct Confidence {
    mapped: Option<Logistic>,
    right: Logistic,
}

impl Confidence {
    fn probability(&self, features: &Features) -> f64 {
        self.mapped.as_ref().map_or(1.0, |mapped| mapped.probability(features)) * self.right.probability(features)
    }
}

/// The confidence that a fix must exceed so that of the frames from outside no more than `risk` get one; `None` where
/// there are no such frames at all.
fn threshold(samples: &[&Sample], confidence: &Confidence, risk: f64) -> Result<Option<f64>, TooFew> {
    let outside: Vec<&Sample> = samples.iter().filter(|sample| sample.outside).copied().collect();
    if outside.is_empty() {
        return Ok(None);
    }
    // What is no fix by itself gets none at any threshold.
    let score = |sample: &Sample| if sample.is_fix { confidence.probability(&sample.features) } else { 0.0 };
    let flights = by_flight(&outside, score);
    let found = flights.len();
    match quantile_by_group(&flights, 1.0 - risk) {
        Some(least) => Ok(Some(least)),
        None => Err(TooFew::OutsideFlights { needed: groups_needed(1.0 - risk), found }),
    }
}

/// The lower bounds of `count` bands with equally many of these confidences; the first is 0.
#[expect(clippy::cast_precision_loss, reason = "a number of bands")]
fn edges(confidences: &[f64], count: usize) -> Vec<f64> {
    let inner = (1..count).filter_map(|band| crate::metrics::quantile(confidences, band as f64 / count as f64));
    let mut edges: Vec<f64> = std::iter::once(0.0).chain(inner.filter(|edge| (1e-6..1.0).contains(edge))).collect();
    edges.dedup();
    edges
}

/// The radii of each band; `None` when one of them has too few flights.
fn bands(published: &[&Sample], confidence: &Confidence, edges: &[f64]) -> Option<Vec<RadiusBand>> {
    let above = |at: usize| edges.get(at).copied().unwrap_or(f64::INFINITY);
    let band = |(at, edge): (usize, &f64)| {
        let is_in = |sample: &&&Sample| {
            let probability = confidence.probability(&sample.features);
            (probability > *edge || at == 0) && probability <= above(at + 1)
        };
        let inside: Vec<&Sample> = published.iter().filter(is_in).copied().collect();
        let flights = by_flight(&inside, |sample| sample.error_m / sample.sigma_m);
        let [sigmas_68, sigmas_95] = LEVELS.map(|level| quantile_by_group(&flights, level));
        // A set of answers without any error has a radius all the same.
        Some(RadiusBand { above: *edge, sigmas_68: sigmas_68?.max(1e-3), sigmas_95: sigmas_95?.max(1e-3) })
    };
    edges.iter().enumerate().map(band).collect()
}

fn by_flight(samples: &[&Sample], value: impl Fn(&Sample) -> f64) -> Vec<Vec<f64>> {
    let mut flights: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for sample in samples {
        flights.entry(&sample.flight).or_default().push(value(sample));
    }
    flights.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use geolocated::locate::FEATURES;

    const OPTIONS: FitOptions = FitOptions { right_within_m: 50.0, risk: 0.05 };

    /// Flights of 20 frames, 4 of them from outside. The first feature says how sure an answer is; errors of right ones
    /// are normal around the truth, and wrong ones lie a kilometre off.
    fn flights(count: usize, seed: u64) -> Vec<Sample> {
        let mut random = SplitMix64::new(seed);
        let mut uniform = || (random.below(1_000_000) as f64 + 0.5) / 1e6;
        let mut samples = Vec::new();
        for flight in 0..count {
            let skill = 0.6 + 0.8 * uniform();
            for frame in 0..20 {
                let (outside, sigma_m) = (frame < 4, 10.0 + 20.0 * uniform());
                let mut values = [0.0; FEATURES];
                values[0] = if outside { 0.5 * uniform() } else { 0.3 + 0.7 * uniform() };
                values[1] = uniform();
                let is_right = !outside && uniform() < 1.2 * values[0];
                let rayleigh = (-2.0 * uniform().ln()).sqrt();
                samples.push(Sample {
                    flight: format!("{seed}-{flight}"),
                    outside,
                    features: Features(values),
                    is_fix: uniform() < 0.9,
                    error_m: if is_right { (skill * sigma_m * rayleigh).min(49.0) } else { 1000.0 },
                    sigma_m,
                });
            }
        }
        samples
    }

    fn names(samples: &[Sample]) -> Vec<String> {
        let mut names: Vec<String> = samples.iter().map(|sample| sample.flight.clone()).collect();
        names.dedup();
        names
    }

    fn calibrated(samples: &[Sample]) -> Result<StageCalibration, TooFew> {
        fit(samples, &fitting_flights(&names(samples)), &OPTIONS)
    }

    #[test]
    fn the_promises_hold_on_other_flights() {
        let (mut hits, mut fixes, mut outside_fixes, mut outside) = ([0; 2], 0, 0, 0);
        for seed in 0..12 {
            let calibration = calibrated(&flights(60, seed)).unwrap();
            assert!(calibration.is_sound());
            for sample in flights(60, 1000 + seed) {
                let (_, confidence) = calibration.probabilities(&sample.features);
                let is_published = sample.is_fix && confidence > calibration.least_confidence.unwrap();
                if sample.outside {
                    outside += 1;
                    outside_fixes += usize::from(is_published);
                } else if is_published {
                    let band = calibration.radius.iter().rev().find(|band| confidence > band.above).unwrap();
                    let sigmas = sample.error_m / sample.sigma_m;
                    fixes += 1;
                    hits[0] += usize::from(sigmas <= band.sigmas_68);
                    hits[1] += usize::from(sigmas <= band.sigmas_95);
                }
            }
        }
        let share = |count: usize, of: usize| count as f64 / of as f64;
        assert!((0.67..0.76).contains(&share(hits[0], fixes)), "{}", share(hits[0], fixes));
        assert!((0.945..0.99).contains(&share(hits[1], fixes)), "{}", share(hits[1], fixes));
        assert!(share(outside_fixes, outside) <= 0.055 && fixes > 1000, "{outside_fixes} of {outside}, {fixes}");
    }

    #[test]
    fn ten_frames_and_a_few_flights_are_refused_with_the_number_needed() {
        let ten = &flights(1, 1)[..10];
        let refused = calibrated(ten).unwrap_err().to_string();
        assert!(refused.contains("at least 50 frames") && refused.contains("found 6"), "{refused}");
        let few = calibrated(&flights(20, 1)).unwrap_err().to_string();
        assert!(few.contains("at least 19 flights") && few.contains("29 in all") && few.contains("found 13"), "{few}");
        let inside: Vec<Sample> = flights(20, 1).into_iter().filter(|sample| !sample.outside).collect();
        let few = calibrated(&inside).unwrap_err();
        assert_eq!(few, TooFew::Flights { needed: 19, found: 13 });
    }

    #[test]
    fn without_frames_from_outside_there_is_no_threshold() {
        let inside: Vec<Sample> = flights(60, 3).into_iter().filter(|sample| !sample.outside).collect();
        assert_eq!(calibrated(&inside).unwrap().least_confidence, None);
    }

    #[test]
    fn every_third_flight_is_drawn_whatever_their_order() {
        let mut flights: Vec<String> = (0..30).map(|at| format!("flight {at}")).collect();
        let drawn = fitting_flights(&flights);
        assert_eq!(drawn.len(), 10);
        flights.reverse();
        flights.push("flight 3".to_owned());
        assert_eq!(fitting_flights(&flights), drawn);
    }
}
