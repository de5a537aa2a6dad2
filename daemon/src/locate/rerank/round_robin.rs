//! Every pair.

use super::questions::Questions;
use super::{SecondOrder, Stop, StoppedBy};

/// Compares every pair, row by row: all comparisons with one first place follow one another, which is cheaper, and rows
/// come in the order of retrieval, so that a run cut short has compared the likeliest places. The seed draws which place
/// of a pair comes first; the second order follows where the settings ask for it.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    let count = questions.count();
    let both = questions.options.second_order == SecondOrder::Always;
    for first in 0..count {
        for second in (0..count).filter(|&second| second != first) {
            if both || questions.presentation.first(first, second) {
                questions.compare(first, second)?;
            }
        }
    }
    for first in 0..count {
        for second in (0..count).filter(|&second| second != first) {
            let reversed = questions.known(second, first);
            if reversed.is_some_and(|margin| questions.wants_second_order(second, first, margin)) {
                questions.compare(first, second)?;
            }
        }
    }
    Ok(StoppedBy::Finished)
}
