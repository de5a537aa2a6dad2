//! Passes from the last to the first candidate.

use super::questions::Questions;
use super::{Stop, StoppedBy};

/// Passes over the places from the last to the first; of two neighbours the better one goes on to the next. A pass
/// brings the best of the rest to its place; the first pass without an exchange is the last.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    let mut order: Vec<usize> = (0..questions.count()).collect();
    for fixed in 0..order.len() {
        let mut exchanged = false;
        for upper in (fixed..order.len().saturating_sub(1)).rev() {
            if let Some([a, b]) = order.get_mut(upper..upper + 2)
                && questions.settle(*a, *b)? < 0.0
            {
                std::mem::swap(a, b);
                exchanged = true;
            }
        }
        if !exchanged {
            break;
        }
    }
    Ok(StoppedBy::Finished)
}
