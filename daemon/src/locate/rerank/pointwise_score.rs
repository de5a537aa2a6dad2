//! One question for each candidate: how well does it show the place?

use super::questions::Questions;
use super::{Stop, StoppedBy};

/// Asks for a score of each place, likeliest first. Scores have no unit: they are brought to the mean 0 and to the
/// deviation that strengths are expected to have, and count as logits then.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    let mut scores = Vec::with_capacity(questions.count());
    let asked = (0..questions.count()).try_for_each(|place| questions.score(place).map(|score| scores.push(score)));
    let places: Vec<usize> = (0..scores.len()).collect();
    let logits = standardised(&scores, questions.options.posterior.prior_deviation_nats);
    questions.posterior.observe_logits(&places, &logits);
    asked.map(|()| StoppedBy::Finished)
}

/// Scores with mean 0 and this standard deviation; all 0 where they do not differ.
fn standardised(scores: &[f64], deviation: f64) -> Vec<f64> {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let spread = (scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt();
    let scale = if spread > 0.0 { deviation / spread } else { 0.0 };
    scores.iter().map(|score| (score - mean) * scale).collect()
}
