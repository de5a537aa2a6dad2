//! How well a comparator's numbers tell right from wrong: accuracy, calibration, separation.

use serde::Serialize;

use crate::metrics::share;

/// Bins of equal width over [0, 1] for calibration.
const BINS: usize = 10;

/// A statement with the probability that was given to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stated {
    /// Probability that it is true, in [0, 1].
    pub probability: f64,
    /// Whether it is.
    pub is_true: bool,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The least value in it.
    pub from: f64,
    /// The largest value in it.
    pub to: f64,
    /// How many values are in it.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Share of them that are true.
    pub share_true: f64,
}

/// 1 / (1 + exp(-nats)).
pub fn sigmoid(nats: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-nats))
}

/// Expected calibration error (Naeini et al., 2015): the mean distance between probability and share of truth over bins
/// of equal width, weighted by their counts. `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn calibration_error(stated: &[Stated]) -> Option<f64> {
    if stated.is_empty() {
        return None;
    }
    let mut bins: Vec<Vec<Stated>> = vec![Vec::new(); BINS];
    for statement in stated {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability times ten")]
        let bin = (statement.probability.clamp(0.0, 1.0) * BINS as f64) as usize;
        if let Some(bin) = bins.get_mut(bin.min(BINS - 1)) {
            bin.push(*statement);
        }
    }
    let distance = |bin: &Vec<Stated>| {
        let mean = bin.iter().map(|statement| statement.probability).sum::<f64>() / bin.len() as f64;
        (mean - share(bin, |statement| statement.is_true)).abs() * bin.len() as f64
    };
    Some(bins.iter().filter(|bin| !bin.is_empty()).map(distance).sum::<f64>() / stated.len() as f64)
}

/// Area under the ROC curve: the probability that a true one of two drawn values is the larger, equal ones counting half
/// (Mann and Whitney, 1947). `None` unless there are both kinds.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn auroc(values: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut false_below, mut wins) = (0.0, 0.0);
    for same in sorted.chunk_by(|a, b| a.0 == b.0) {
        let true_here = same.iter().filter(|(_, is_true)| *is_true).count() as f64;
        let false_here = same.len() as f64 - true_here;
        wins += true_here * (false_below + false_here / 2.0);
        false_below += false_here;
    }
    let true_ones = values.len() as f64 - false_below;
    (true_ones > 0.0 && false_below > 0.0).then(|| wins / (true_ones * false_below))
}

/// Raw values in ten bins of equal counts, with the share of true ones in each: whether a higher value means more.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn reliability(values: &[(f64, bool)]) -> Vec<ReliabilityBin> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let per_bin = sorted.len().div_ceil(BINS).max(1);
    let bin = |values: &[(f64, bool)]| {
        let (from, to) = (values.first()?.0, values.last()?.0);
        let mean = values.iter().map(|(value, _)| value).sum::<f64>() / values.len() as f64;
        let share_true = share(values, |(_, is_true)| *is_true);
        Some(ReliabilityBin { from, to, count: values.len(), mean, share_true })
    };
    sorted.chunks(per_bin).filter_map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(probability: f64, is_true: bool) -> Stated {
        Stated { probability, is_true }
    }

    #[test]
    fn the_calibration_error_is_the_one_computed_by_hand() {
        assert_eq!(calibration_error(&[]), None);
        assert_eq!(calibration_error(&[stated(1.0, true), stated(0.0, false)]), Some(0.0));
        // Bin 0.9 to 1: mean 0.95, half true; bin 0.5 to 0.6: mean 0.55, true.
        let error = calibration_error(&[stated(0.9, true), stated(1.0, false), stated(0.55, true)]).unwrap();
        assert!((error - (0.45 * 2.0 + 0.45) / 3.0).abs() < 1e-12, "{error}");
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order() {
        assert_eq!(auroc(&[(1.0, true)]), None);
        assert_eq!(auroc(&[(1.0, true), (0.0, false)]), Some(1.0));
        assert_eq!(auroc(&[(1.0, true), (1.0, false)]), Some(0.5));
        let values = [(3.0, true), (2.0, false), (1.0, true), (0.0, false), (-1.0, false)];
        let area = auroc(&values).unwrap();
        assert!((area - 5.0 / 6.0).abs() < 1e-12, "{area}");
    }

    #[test]
    fn bins_of_reliability_hold_all_values_in_order() {
        let values: Vec<(f64, bool)> = (0..25).map(|i| (f64::from(24 - i), i < 10)).collect();
        let bins = reliability(&values);
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<usize>(), 25);
        assert_eq!((bins[0].from, bins[0].to, bins[0].share_true), (0.0, 2.0, 0.0));
        assert_eq!((bins[8].from, bins[8].share_true), (24.0, 1.0));
        assert!(reliability(&[]).is_empty());
    }

    #[test]
    fn a_margin_of_nothing_is_even() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert!((sigmoid(2.0) + sigmoid(-2.0) - 1.0).abs() < 1e-15 && sigmoid(-800.0) == 0.0);
    }
}
