//! Several candidates in one question.

use super::questions::Questions;
use super::{Stop, StoppedBy};

/// Shows windows of places, from the last to the first, each sharing half of its places with the one before: what wins
/// there is seen again with better ones (as in W. Sun et al., "Is ChatGPT good at search?", EMNLP 2023). Within a window
/// the seed draws the order of presentation.
pub(super) fn run(questions: &mut Questions<'_>) -> Result<StoppedBy, Stop> {
    let size = questions.list_limit().min(questions.count());
    if size < 2 {
        return Err(Stop::Unsupported);
    }
    let mut order: Vec<usize> = (0..questions.count()).collect();
    let step = size.div_ceil(2);
    let mut end = order.len();
    loop {
        let start = end.saturating_sub(size);
        if let Some(window) = order.get_mut(start..end.max(size)) {
            let shown = questions.presentation.shuffled(window.to_vec(), start as u64);
            let logits = questions.list(&shown)?;
            questions.posterior.observe_logits(&shown, &logits);
            questions.posterior.fit();
            let strength = |place: usize| questions.posterior.strength(place);
            window.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)).then(a.cmp(&b)));
        }
        if start == 0 {
            return Ok(StoppedBy::Finished);
        }
        end -= step;
    }
}
