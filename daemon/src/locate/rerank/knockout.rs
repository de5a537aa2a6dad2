//! Rounds of a tournament: winners meet winners.

use super::questions::Questions;
use super::{Stop, StoppedBy};

/// Compares places in pairs, and the winners again, until one is left. The pairs of the first round are drawn by the
/// seed; a place without an opponent goes on.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    let mut round = questions.presentation.shuffled((0..questions.count()).collect(), 0);
    while round.len() > 1 {
        let mut winners = Vec::with_capacity(round.len().div_ceil(2));
        for pair in round.chunks(2) {
            match *pair {
                [a, b] => winners.push(if questions.settle(a, b)? >= 0.0 { a } else { b }),
                [alone] => winners.push(alone),
                _ => {}
            }
        }
        round = winners;
    }
    Ok(StoppedBy::Finished)
}
