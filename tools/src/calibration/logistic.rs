//! Logistic regression with a ridge, by Newton's method.

use geolocated::locate::{FEATURE_NAMES, FEATURES, Features, Logistic, Term};

/// Terms with the intercept.
const TERMS: usize = FEATURES + 1;
/// Ridge on the weights of standardised features: worth as much as some frames that say nothing.
const RIDGE: f64 = 2.0;
const MOST_STEPS: usize = 60;
const CONVERGED: f64 = 1e-9;

type Vector = [f64; TERMS];

/// Fits the probability that something holds of an answer with such features, by Newton's method on the penalised likelihood
/// (iteratively reweighted least squares; the intercept is not penalised). Features are standardised. Right and wrong
/// count as a little less than 1 and a little more than 0 (J. Platt, "Probabilistic outputs for support vector
/// machines", 1999), so that it ends also where all answers are right.
#[expect(clippy::cast_precision_loss, reason = "counts of frames are far below 2^52")]
pub fn fit(samples: &[(Features, bool)]) -> Logistic {
    let count = samples.len().max(1) as f64;
    let right = samples.iter().filter(|(_, right)| *right).count() as f64;
    let (mean, deviation) = moments(samples, count);
    let rows: Vec<(Vector, f64)> = samples
        .iter()
        .map(|(features, is_right)| {
            let target = if *is_right { (right + 1.0) / (right + 2.0) } else { 1.0 / (count - right + 2.0) };
            (standardised(features, &mean, &deviation), target)
        })
        .collect();
    let mut weights: Vector = [0.0; TERMS];
    for _ in 0..MOST_STEPS {
        let (gradient, hessian) = derivatives(&rows, &weights);
        let step = solve(hessian, gradient);
        // Far from the optimum a whole step may overshoot.
        let length = step.iter().map(|part| part * part).sum::<f64>().sqrt();
        let scale = if length > 5.0 { 5.0 / length } else { 1.0 };
        weights.iter_mut().zip(&step).for_each(|(weight, part)| *weight += scale * part);
        if length < CONVERGED {
            break;
        }
    }
    let [intercept, of_features @ ..] = weights;
    let term = |((name, weight), (mean, deviation)): ((&&str, f64), (f64, f64))| Term {
        feature: (*name).to_owned(),
        mean,
        deviation,
        weight,
    };
    let terms = FEATURE_NAMES.iter().zip(of_features).zip(mean.into_iter().zip(deviation)).map(term).collect();
    Logistic { intercept, terms }
}

/// Mean and standard deviation of each feature; 1 where it never changes.
fn moments(samples: &[(Features, bool)], count: f64) -> ([f64; FEATURES], [f64; FEATURES]) {
    let (mut mean, mut deviation) = ([0.0; FEATURES], [0.0; FEATURES]);
    for (Features(values), _) in samples {
        mean.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / count);
    }
    for (Features(values), _) in samples {
        for ((sum, value), mean) in deviation.iter_mut().zip(values).zip(&mean) {
            *sum += (value - mean).powi(2) / count;
        }
    }
    (mean, deviation.map(|variance: f64| if variance > 1e-18 { variance.sqrt() } else { 1.0 }))
}

fn standardised(Features(values): &Features, mean: &[f64; FEATURES], deviation: &[f64; FEATURES]) -> Vector {
    let mut row = [1.0; TERMS];
    for ((part, value), (mean, deviation)) in row.iter_mut().skip(1).zip(values).zip(mean.iter().zip(deviation)) {
        *part = (value - mean) / deviation;
    }
    row
}

/// First derivatives of the penalised log likelihood, and the negative second ones.
fn derivatives(rows: &[(Vector, f64)], weights: &Vector) -> (Vector, [Vector; TERMS]) {
    let (mut gradient, mut hessian) = ([0.0; TERMS], [[0.0; TERMS]; TERMS]);
    for (at, ((slope, weight), line)) in gradient.iter_mut().zip(weights).zip(&mut hessian).enumerate() {
        let ridge = if at == 0 { 1e-6 } else { RIDGE };
        *slope -= ridge * weight;
        if let Some(diagonal) = line.get_mut(at) {
            *diagonal += ridge;
        }
    }
    for (row, target) in rows {
        let odds: f64 = row.iter().zip(weights).map(|(value, weight)| value * weight).sum();
        let probability = 1.0 / (1.0 + libm::exp(-odds));
        let bend = probability * (1.0 - probability);
        for ((slope, line), value) in gradient.iter_mut().zip(&mut hessian).zip(row) {
            *slope += (target - probability) * value;
            line.iter_mut().zip(row).for_each(|(cell, other)| *cell += bend * value * other);
        }
    }
    (gradient, hessian)
}

/// Solves a positive definite system by elimination.
fn solve(mut matrix: [Vector; TERMS], mut right: Vector) -> Vector {
    for at in 0..TERMS {
        let (Some(pivot), Some(value)) = (matrix.get(at).copied(), right.get(at).copied()) else { continue };
        let diagonal = pivot.get(at).copied().unwrap_or(1.0).max(1e-12);
        for (line, other) in matrix.iter_mut().zip(&mut right).skip(at + 1) {
            let factor = line.get(at).copied().unwrap_or_default() / diagonal;
            line.iter_mut().zip(&pivot).for_each(|(cell, above)| *cell -= factor * above);
            *other -= factor * value;
        }
    }
    let mut solution = [0.0; TERMS];
    for at in (0..TERMS).rev() {
        let (Some(line), Some(value)) = (matrix.get(at), right.get(at)) else { continue };
        let known: f64 = line.iter().zip(&solution).skip(at + 1).map(|(cell, part)| cell * part).sum();
        let diagonal = line.get(at).copied().unwrap_or(1.0).max(1e-12);
        if let Some(part) = solution.get_mut(at) {
            *part = (value - known) / diagonal;
        }
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::SplitMix64;

    /// Answers that are right with the probability that the first feature gives; the others say nothing.
    fn drawn(count: usize) -> Vec<(Features, bool)> {
        let mut random = SplitMix64::new(11);
        let mut uniform = || random.below(1_000_000) as f64 / 1e6;
        let mut sample = || {
            let mut values = [0.0; FEATURES];
            values.iter_mut().take(5).for_each(|value| *value = uniform());
            let probability = 1.0 / (1.0 + libm::exp(3.0 - 6.0 * values[0]));
            (Features(values), uniform() < probability)
        };
        (0..count).map(|_| sample()).collect()
    }

    #[test]
    fn the_probability_that_made_the_answers_is_found_again() {
        let logistic = fit(&drawn(20_000));
        assert!(logistic.is_sound());
        for first in [0.1, 0.5, 0.9] {
            let mut values = [0.5; FEATURES];
            values[0] = first;
            let expected = 1.0 / (1.0 + libm::exp(3.0 - 6.0 * first));
            let found = logistic.probability(&Features(values));
            assert!((found - expected).abs() < 0.03, "{first}: {found} instead of {expected}");
        }
        // A feature that never changes has no say.
        assert_eq!((logistic.terms[7].weight, logistic.terms[7].deviation), (0.0, 1.0));
    }

    #[test]
    fn all_right_all_wrong_and_nothing_end_with_numbers() {
        for value in [true, false] {
            let samples: Vec<(Features, bool)> = drawn(50).into_iter().map(|(features, _)| (features, value)).collect();
            let logistic = fit(&samples);
            let probability = logistic.probability(&samples[0].0);
            assert!(logistic.is_sound() && (probability > 0.9) == value, "{probability}");
        }
        assert!(fit(&[]).is_sound());
    }

    #[test]
    fn features_that_separate_completely_end_with_numbers() {
        let samples: Vec<(Features, bool)> =
            (0..40).map(|at| (Features([f64::from(at); FEATURES]), at >= 20)).collect();
        let logistic = fit(&samples);
        assert!(logistic.is_sound() && logistic.probability(&samples[39].0) > 0.9);
    }
}
