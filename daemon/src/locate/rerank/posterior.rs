//! What retrieval and comparisons say together: a Bradley-Terry model with the retrieval as its prior.

use serde::{Deserialize, Serialize};

/// Newton's method has converged when no strength moves by more, in nats.
const CONVERGED_NATS: f64 = 1e-6;
/// Steps of Newton's method at most, and halvings of one step.
const MAX_STEPS: usize = 40;

/// How answers and retrieval are weighed against each other. The defaults come from simulation
/// (`docs/reranking-schedules.md`); a calibration fits them to a comparator and an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PosteriorOptions {
    /// Factor of the retrieval's log weights.
    pub prior_scale: f64,
    /// How far the strength of a place may lie from what the retrieval says: standard deviation in nats, above 0.
    pub prior_deviation_nats: f64,
    /// How far what the comparator sees of a place lies from the truth, in all comparisons alike: standard deviation in
    /// nats, 0 or more. No comparison mends that, so it says how much of the retrieval stays in the score however often
    /// was compared.
    pub perception_noise_nats: f64,
    /// Margins are divided by this, above 0: more than 1 for a comparator that is too sure of itself.
    pub temperature: f64,
    /// How far a margin over the temperature lies from what the strengths of two near places say: standard deviation in
    /// nats, above 0.
    pub margin_noise_nats: f64,
    /// Margins over the temperature count in proportion up to about this, and hardly more beyond: scale of the
    /// Bradley-Terry model in nats, above 0. With 1, and a noise of 2, it is the model as it stands in books.
    pub saturation_nats: f64,
    /// What being shown first is expected to add to a margin over the temperature, in nats.
    pub bias_nats: f64,
    /// How far the position bias may lie from that: standard deviation in nats, above 0.
    pub bias_deviation_nats: f64,
}

impl Default for PosteriorOptions {
    fn default() -> Self {
        Self {
            prior_scale: 1.0,
            prior_deviation_nats: 1.5,
            perception_noise_nats: 0.6,
            temperature: 1.0,
            margin_noise_nats: 1.5,
            saturation_nats: 2.0,
            bias_nats: 0.0,
            bias_deviation_nats: 0.5,
        }
    }
}

impl PosteriorOptions {
    /// How far what the comparator sees may lie from what the retrieval says: standard deviation in nats.
    fn seen_deviation_nats(&self) -> f64 {
        self.prior_deviation_nats.hypot(self.perception_noise_nats)
    }

    /// How much of what the comparator sees beyond the retrieval is to be believed, in (0, 1].
    pub(super) fn trust(&self) -> f64 {
        (self.prior_deviation_nats / self.seen_deviation_nats()).powi(2)
    }

    /// The share that a margin over the temperature gives to the first of two places.
    fn preference(&self, margin_nats: f64) -> f64 {
        sigmoid(margin_nats / self.saturation_nats)
    }

    /// How many answers of an ordinary Bradley-Terry model one margin is worth.
    fn weight(&self) -> f64 {
        4.0 * (self.saturation_nats / self.margin_noise_nats).powi(2)
    }

    /// Variance, in square nats, of what a margin says about two places whose strengths differ by `difference`,
    /// position bias included.
    pub(super) fn noise_variance(&self, difference: f64) -> f64 {
        let expected = self.preference(difference);
        let share = 4.0 * expected * (1.0 - expected);
        self.margin_noise_nats.powi(2) / share.max(f64::MIN_POSITIVE)
    }
}

/// One answer: `first` was preferred to `second` with this probability, as far as the judge can say.
#[derive(Debug, Clone, Copy)]
struct Observation {
    first: usize,
    second: usize,
    preference: f64,
    weight: f64,
    /// 1 where the position bias is in the answer, 0 where the order of presentation cannot matter.
    position: f64,
}

/// Strengths of places in nats, and the position bias, given the retrieval and all answers so far.
///
/// The probability that place i is preferred to place j, shown in this order, is modelled as
/// `1 / (1 + exp(-(strength_i - strength_j + bias) / saturation))` (R. A. Bradley, M. E. Terry, Biometrika 39, 1952; with the effect
/// of order of R. R. Davidson, R. J. Beaver, Biometrics 33, 1977), where strengths are as the comparator sees them.
/// They and the bias have normal priors, those of strengths around the retrieval's log weights. An answer counts as the share that its margin gives to either side, so a small
/// margin pulls two places together and a large one apart, by a bounded amount. The mean is the maximum a posteriori,
/// found by Newton's method; the covariance is Laplace's. What the comparator sees is then drawn back to the retrieval by
/// as much as it is expected to misjudge single places.
#[derive(Debug, Clone)]
pub struct Posterior {
    options: PosteriorOptions,
    /// Prior mean of each strength, then of the bias.
    prior: Vec<f64>,
    observations: Vec<Observation>,
    /// Strengths as the comparator sees them, then the bias.
    mean: Vec<f64>,
    /// Rows of the covariance of `mean`.
    covariance: Vec<Vec<f64>>,
}

impl Posterior {
    /// Before any answer: the strength of place i is `log_weights[i]`, times the prior's scale.
    pub fn new(log_weights: &[f64], options: PosteriorOptions) -> Self {
        let strengths = log_weights.iter().map(|weight| weight * options.prior_scale);
        let prior: Vec<f64> = strengths.chain([options.bias_nats]).collect();
        let covariance = prior_covariance(prior.len(), &options);
        Self { options, mean: prior.clone(), prior, observations: Vec::new(), covariance }
    }

    /// How many places there are.
    pub fn places(&self) -> usize {
        self.prior.len().saturating_sub(1)
    }

    /// Takes in the margin of `first` over `second`, shown in this order, in nats as the judge gave it.
    /// [`Posterior::fit`] brings the strengths up to date.
    pub fn observe(&mut self, first: usize, second: usize, margin_nats: f64) {
        self.push(Observation {
            first,
            second,
            preference: self.options.preference(margin_nats / self.options.temperature),
            weight: self.options.weight(),
            position: 1.0,
        });
    }

    /// Takes in the logits of several places from one kind of question, in nats: as the pairs of them, which together
    /// weigh as much as comparing each place twice. What all logits have in common changes nothing.
    pub fn observe_logits(&mut self, places: &[usize], logits_nats: &[f64]) {
        let weight = self.options.weight() * 2.0 / places.len().max(2) as f64;
        for (at, (&first, first_nats)) in places.iter().zip(logits_nats).enumerate() {
            for (&second, second_nats) in places.iter().zip(logits_nats).skip(at + 1) {
                let preference = self.options.preference((first_nats - second_nats) / self.options.temperature);
                self.push(Observation { first, second, preference, weight, position: 0.0 });
            }
        }
    }

    fn push(&mut self, observation: Observation) {
        if observation.first.max(observation.second) < self.places() && observation.first != observation.second {
            self.observations.push(observation);
        }
    }

    /// Brings strengths, bias and covariance up to date with all answers, from where they stand.
    pub fn fit(&mut self) {
        self.fit_within(CONVERGED_NATS);
    }

    /// The same, until no strength moves by more than this.
    pub(super) fn fit_within(&mut self, converged_nats: f64) {
        let mut height = self.log_density(&self.mean);
        for _ in 0..MAX_STEPS {
            let target = self.newton_target();
            let mut share = 1.0;
            let mut moved = 0.0;
            for _ in 0..MAX_STEPS {
                let next: Vec<f64> =
                    self.mean.iter().zip(&target).map(|(from, to)| from + share * (to - from)).collect();
                let next_height = self.log_density(&next);
                if next_height >= height {
                    moved = largest_difference(&self.mean, &next);
                    (self.mean, height) = (next, next_height);
                    break;
                }
                share /= 2.0;
            }
            if moved < converged_nats {
                break;
            }
        }
    }

    /// Strength of a place in nats.
    pub fn strength(&self, place: usize) -> f64 {
        let prior = self.prior.get(place).copied().unwrap_or_default();
        prior + self.options.trust() * (self.seen(place) - prior)
    }

    /// Strength of a place as the comparator sees it, in nats.
    pub(super) fn seen(&self, place: usize) -> f64 {
        self.mean.get(place).copied().unwrap_or_default()
    }

    /// The options that it was made with.
    pub(super) fn options(&self) -> &PosteriorOptions {
        &self.options
    }

    /// What being shown first adds to a margin over the temperature, in nats.
    pub fn bias(&self) -> f64 {
        self.mean.last().copied().unwrap_or_default()
    }

    /// The strongest place; of equally strong ones the first.
    pub fn leader(&self) -> usize {
        let strengths = (0..self.places()).map(|place| (place, self.strength(place)));
        let best = strengths.fold(None, |best: Option<(usize, f64)>, (place, strength)| match best {
            Some((_, most)) if most >= strength => best,
            _ => Some((place, strength)),
        });
        best.map_or(0, |(place, _)| place)
    }

    /// Row of the covariance of strengths as the comparator sees them and, last, the bias, in square nats.
    pub(super) fn covariance_row(&self, place: usize) -> &[f64] {
        self.covariance.get(place).map_or(&[], Vec::as_slice)
    }

    /// Standard deviation, in nats, of the difference of two strengths as far as comparisons can lessen it.
    pub fn difference_deviation(&self, a: usize, b: usize) -> f64 {
        let at = |row: usize, column: usize| self.covariance_row(row).get(column).copied().unwrap_or_default();
        self.options.trust() * (at(a, a) + at(b, b) - 2.0 * at(a, b)).max(0.0).sqrt()
    }

    /// The best probability of any place but the leader to be stronger than it, each taken alone.
    pub fn doubt(&self) -> f64 {
        let leader = self.leader();
        let others = (0..self.places()).filter(|&place| place != leader);
        let doubts = others.map(|place| {
            let lead = self.strength(leader) - self.strength(place);
            better_probability(lead, self.difference_deviation(leader, place))
        });
        doubts.fold(0.0, f64::max)
    }

    /// Where one step of Newton's method leads, with the covariance there. Each answer is taken in as a rank-one
    /// update, as in iterated Kalman filtering: no matrix is inverted.
    fn newton_target(&mut self) -> Vec<f64> {
        let last = self.places();
        let mut covariance = prior_covariance(self.prior.len(), &self.options);
        let mut target = self.prior.clone();
        let saturation = self.options.saturation_nats;
        for observation in &self.observations {
            let expected = self.options.preference(effect(&self.mean, observation, last));
            let curvature = observation.weight * expected * (1.0 - expected) / (saturation * saturation);
            let gain = directed(&covariance, observation, last);
            let information = curvature * effect(&gain, observation, last);
            let moved = effect(&self.mean, observation, last) - effect(&target, observation, last);
            let pull = curvature * moved + observation.weight * (observation.preference - expected) / saturation;
            let share = 1.0 / (1.0 + information);
            for (value, gain) in target.iter_mut().zip(&gain) {
                *value += share * pull * gain;
            }
            let shrink = curvature * share;
            for (row, row_gain) in covariance.iter_mut().zip(&gain) {
                for (cell, gain) in row.iter_mut().zip(&gain) {
                    *cell -= shrink * row_gain * gain;
                }
            }
        }
        self.covariance = covariance;
        target
    }

    /// Logarithm of the posterior density, up to a constant.
    fn log_density(&self, mean: &[f64]) -> f64 {
        let last = self.places();
        let (place, bias) = (self.options.seen_deviation_nats().powi(2), self.options.bias_deviation_nats.powi(2));
        let prior: f64 = mean
            .iter()
            .zip(&self.prior)
            .enumerate()
            .map(|(at, (value, prior))| (value - prior).powi(2) / if at == last { bias } else { place })
            .sum();
        let answers: f64 = self
            .observations
            .iter()
            .map(|observation| {
                let effect = effect(mean, observation, last) / self.options.saturation_nats;
                observation.weight * (observation.preference * effect - softplus(effect))
            })
            .sum();
        answers - prior / 2.0
    }
}

/// Probability that a place behind by `lead` nats is the better one after all, where the difference has this standard
/// deviation: that of a logistic distribution.
pub(super) fn better_probability(lead: f64, deviation: f64) -> f64 {
    if deviation > 0.0 { sigmoid(-lead / (deviation * LOGISTIC_SCALE)) } else { 0.0 }
}

/// Scale of a logistic distribution of standard deviation 1: sqrt(3) / pi.
pub(super) const LOGISTIC_SCALE: f64 = 0.551_328_895_421_792;

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))`, without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// A vector's value for an answer: first - second + bias.
fn effect(vector: &[f64], observation: &Observation, last: usize) -> f64 {
    let at = |index: usize| vector.get(index).copied().unwrap_or_default();
    at(observation.first) - at(observation.second) + observation.position * at(last)
}

/// Row `first` - row `second` + row of the bias of a symmetric matrix.
fn directed(matrix: &[Vec<f64>], observation: &Observation, last: usize) -> Vec<f64> {
    let row = |index: usize| matrix.get(index).map_or(&[][..], Vec::as_slice).iter();
    row(observation.first)
        .zip(row(observation.second))
        .zip(row(last))
        .map(|((first, second), bias)| first - second + observation.position * bias)
        .collect()
}

fn prior_covariance(length: usize, options: &PosteriorOptions) -> Vec<Vec<f64>> {
    let row = |at: usize| {
        let deviation = if at + 1 == length { options.bias_deviation_nats } else { options.seen_deviation_nats() };
        let mut row = vec![0.0; length];
        if let Some(cell) = row.get_mut(at) {
            *cell = deviation * deviation;
        }
        row
    };
    (0..length).map(row).collect()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> PosteriorOptions {
        PosteriorOptions { bias_deviation_nats: 0.7, ..PosteriorOptions::default() }
    }

    #[test]
    fn without_answers_it_is_the_retrieval() {
        let mut posterior = Posterior::new(&[0.0, -1.0, -3.0], options());
        posterior.fit();
        assert_eq!((posterior.strength(0), posterior.strength(1), posterior.strength(2)), (0.0, -1.0, -3.0));
        assert_eq!((posterior.leader(), posterior.bias()), (0, 0.0));
    }

    #[test]
    fn the_strengths_are_the_maximum_and_the_covariance_its_curvature() {
        let mut posterior = Posterior::new(&[0.0, -0.5, -1.0, -4.0], options());
        for (first, second, margin) in [(0, 1, -2.0), (1, 2, 3.0), (2, 0, 1.0), (3, 0, 9.0), (1, 0, 0.5)] {
            posterior.observe(first, second, margin);
        }
        posterior.fit();
        let (centre, step) = (posterior.mean.clone(), 1e-4);
        let at = |moves: &[(usize, f64)]| {
            let mut point = centre.clone();
            moves.iter().for_each(|&(index, by)| point[index] += by);
            posterior.log_density(&point)
        };
        // The negative second derivatives, times the covariance, are the unit matrix.
        let size = centre.len();
        let second = |i: usize, j: usize| {
            (at(&[(i, step), (j, step)]) - at(&[(i, step), (j, -step)]) - at(&[(i, -step), (j, step)])
                + at(&[(i, -step), (j, -step)]))
                / (4.0 * step * step)
        };
        for i in 0..size {
            let slope = (at(&[(i, step)]) - at(&[(i, -step)])) / (2.0 * step);
            assert!(slope.abs() < 1e-5, "{slope}");
            for j in 0..size {
                let product: f64 = (0..size).map(|k| -second(i, k) * posterior.covariance[k][j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-4, "{i} {j}: {product}");
            }
        }
    }

    #[test]
    fn pairs_seen_in_both_orders_tell_the_position_bias() {
        let mut posterior = Posterior::new(&[0.0; 4], options());
        for (first, second) in [(0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0)] {
            posterior.observe(first, second, 1.0);
        }
        posterior.fit();
        assert!((0.5..1.0).contains(&posterior.bias()), "{}", posterior.bias());
        assert!((0..4).all(|place| posterior.strength(place).abs() < 1e-6), "all are alike");
    }

    #[test]
    fn one_absurd_margin_moves_no_more_than_a_sure_one() {
        let after = |margin: f64| {
            let mut posterior = Posterior::new(&[0.0, 0.0], options());
            posterior.observe(0, 1, margin);
            posterior.fit();
            posterior.strength(0)
        };
        assert!(after(1e30) - after(20.0) < 1e-3 && after(20.0) > after(2.0));
    }

    #[test]
    fn many_answers_far_from_the_prior_do_not_throw_it_off() {
        let mut posterior = Posterior::new(&[0.0, -10.0, -12.0], options());
        for _ in 0..24 {
            posterior.observe(2, 0, 50.0);
            posterior.observe(1, 2, -50.0);
        }
        posterior.fit();
        assert!((0..3).all(|place| posterior.strength(place).is_finite()));
        assert_eq!(posterior.leader(), 2);
    }
}
