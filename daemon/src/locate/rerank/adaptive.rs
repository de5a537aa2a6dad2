//! The next pair is the one that promises most about the best place for its cost.

use super::posterior::Posterior;
use super::questions::Questions;
use super::{Stop, StoppedBy};

/// A gain is nothing where it would take so many scales of its law to change who leads.
const HOPELESS: f64 = 20.0;

/// Strengths need not be known better than this to choose a pair.
const NEAR_ENOUGH_NATS: f64 = 0.05;

/// Compares until the leader is beyond doubt.
///
/// What a comparison promises is what it is expected to add to the strength of the place that leads after it (the
/// knowledge gradient of P. Frazier, W. Powell, S. Dayanik, INFORMS Journal on Computing 21, 2009), summed over the
/// places that could overtake the leader, for each millisecond. So a candidate stays first for as long as comparing it
/// with others, which is cheaper then, promises more than its price.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    loop {
        questions.posterior.fit_within(NEAR_ENOUGH_NATS);
        if questions.posterior.doubt() < questions.options.doubt {
            return Ok(StoppedBy::Settled);
        }
        let Some((first, second)) = next_pair(questions) else { return Ok(StoppedBy::Finished) };
        questions.compare(first, second)?;
    }
}

/// The pair to compare next, in its order of presentation; `None` when all that may be asked was.
fn next_pair(questions: &Questions<'_>) -> Option<(usize, usize)> {
    let outlook = Outlook::of(&questions.posterior);
    let mut best: Option<(f64, (usize, usize))> = None;
    for first in 0..questions.count() {
        let ms = questions.pair_ms(first).max(f64::MIN_POSITIVE);
        for second in (0..questions.count()).filter(|&second| may_be_asked(questions, first, second)) {
            let rate = outlook.gain(first, second) / ms;
            if best.is_none_or(|(most, _)| rate > most) {
                best = Some((rate, (first, second)));
            }
        }
    }
    best.map(|(_, pair)| pair)
}

/// A pair that was not compared yet is shown in the order that the seed draws, or with the first place that the last
/// comparison had. The other order follows where the settings ask for it.
fn may_be_asked(questions: &Questions<'_>, first: usize, second: usize) -> bool {
    if first == second || questions.known(first, second).is_some() {
        return false;
    }
    match questions.known(second, first) {
        Some(margin) => questions.wants_second_order(second, first, margin),
        None => questions.is_pivot(first) || questions.presentation.first(first, second),
    }
}

/// What is known before a comparison, as far as its gain depends on it.
struct Outlook<'a> {
    posterior: &'a Posterior,
    leader: usize,
    /// By how much the leader leads each place.
    leads: Vec<f64>,
}

impl<'a> Outlook<'a> {
    fn of(posterior: &'a Posterior) -> Self {
        let leader = posterior.leader();
        let leads = (0..posterior.places()).map(|place| posterior.strength(leader) - posterior.strength(place));
        Self { posterior, leader, leads: leads.collect() }
    }

    /// What comparing `first` with `second` is expected to add to the strength of the place that leads afterwards.
    ///
    /// The margin moves every strength by its covariance with what is asked. How far it moves a place against the
    /// leader is taken to follow Laplace's law, whose expected excess over a lead is an exponential.
    fn gain(&self, first: usize, second: usize) -> f64 {
        let row = |place: usize| self.posterior.covariance_row(place);
        let (first_row, second_row, bias_row) = (row(first), row(second), row(self.posterior.places()));
        let at = |place: usize| {
            let cell = |row: &[f64]| row.get(place).copied().unwrap_or_default();
            cell(first_row) - cell(second_row) + cell(bias_row)
        };
        let variance = at(first) - at(second) + at(self.posterior.places());
        let difference = self.posterior.seen(first) - self.posterior.seen(second) + self.posterior.bias();
        let options = self.posterior.options();
        let noise = options.noise_variance(difference);
        let scale = options.trust() * std::f64::consts::FRAC_1_SQRT_2 / (variance + noise).sqrt();
        let leader_moves = at(self.leader);
        let rows = first_row.iter().zip(second_row).zip(bias_row).zip(&self.leads);
        let gains = rows.map(|(((first, second), bias), lead)| {
            let deviation = (leader_moves - (first - second + bias)).abs() * scale;
            if *lead < HOPELESS * deviation { deviation * (-lead / deviation).exp() } else { 0.0 }
        });
        gains.sum::<f64>() / 2.0
    }
}
