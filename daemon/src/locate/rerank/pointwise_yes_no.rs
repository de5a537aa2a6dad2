//! One question for each candidate: is it the place?

use super::questions::Questions;
use super::{Stop, StoppedBy};

/// Asks about each place, likeliest first. The logits of "yes" count against one another, as margins do: a comparator
/// that says "yes" to everything changes nothing.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    let mut logits = Vec::with_capacity(questions.count());
    let asked = (0..questions.count()).try_for_each(|place| questions.yes_no(place).map(|logit| logits.push(logit)));
    let places: Vec<usize> = (0..logits.len()).collect();
    questions.posterior.observe_logits(&places, &logits);
    asked.map(|()| StoppedBy::Finished)
}
