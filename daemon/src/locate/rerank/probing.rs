//! Can the comparator see anything in this frame?

use super::questions::Questions;
use super::{Probe, Stop};

/// Probes at most: one in either order of presentation.
const MAX_PROBES: usize = 2;

/// Compares the leader with dissimilar references, as often as the settings say and as there are such. Passed, when
/// the mean margin of the leader reaches what is asked; passed, too, when nothing is to be probed. The leader is shown
/// first in the first probe, and stays the pivot of what follows.
pub(super) fn run(questions: &mut Questions<'_>, dissimilar: usize) -> (Option<Probe>, Result<bool, Stop>) {
    let probes = questions.options.probes.min(MAX_PROBES);
    if probes == 0 || dissimilar == 0 {
        return (None, Ok(true));
    }
    let mut margins = Vec::with_capacity(probes);
    // The one that is to leave the leader as pivot comes last.
    for number in (0..probes).rev() {
        match questions.probe(number.min(dissimilar - 1), number == 0) {
            Ok(margin) => margins.push(margin),
            Err(stop) => return (None, Err(stop)),
        }
    }
    let mean = margins.iter().map(|&margin| f64::from(margin)).sum::<f64>() / margins.len() as f64;
    let passed = mean >= questions.options.probe_margin_nats && mean > 0.0;
    (Some(Probe { margins, passed }), Ok(passed))
}
