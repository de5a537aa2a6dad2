//! How often a comparator contradicts itself, and how often it is right.

use serde::Serialize;

use super::comparator::Comparator;
use super::frame::Frames;

/// Pairs that are asked about.
const PAIRS: u64 = 20_000;
/// One pair in so many counts as nearly alike.
const NEAR_SHARE: usize = 10;

/// What a comparator does with random pairs.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Consistency {
    /// Share of pairs whose answer changes with the order of presentation.
    pub flips: f64,
    /// The same for the tenth of pairs that the comparator sees as most alike.
    pub near_flips: f64,
    /// Share of pairs that are answered rightly in one order.
    pub accuracy: f64,
}

impl Consistency {
    /// Asks about random pairs in both orders.
    pub fn of(comparator: &Comparator, seed: u64) -> Self {
        let frames = Frames { candidates: 2, retrieval_skill: 0.0, retrieval_confidence: 1.0, seed };
        let mut pairs: Vec<Pair> = (0..PAIRS).map(|number| Pair::of(&frames, number, comparator)).collect();
        pairs.sort_by(|a, b| a.apart.total_cmp(&b.apart));
        let share = |pairs: &[Pair], is: fn(&Pair) -> bool| {
            pairs.iter().filter(|pair| is(pair)).count() as f64 / pairs.len().max(1) as f64
        };
        let (near, _) = pairs.split_at(pairs.len() / NEAR_SHARE);
        Self {
            flips: share(&pairs, |pair| pair.flips),
            near_flips: share(near, |pair| pair.flips),
            accuracy: share(&pairs, |pair| pair.right),
        }
    }
}

struct Pair {
    apart: f64,
    flips: bool,
    right: bool,
}

impl Pair {
    fn of(frames: &Frames, number: u64, comparator: &Comparator) -> Self {
        let frame = frames.frame(number);
        let seen = comparator.perceived(&frame);
        let [forward, backward] = [(0, 1), (1, 0)].map(|(a, b)| comparator.margin(&frame, &seen, a, b) > 0.0);
        let apart = seen.iter().fold(f64::NEG_INFINITY, |most, &one| most.max(one))
            - seen.iter().fold(f64::INFINITY, |least, &one| least.min(one));
        Self { apart, flips: forward == backward, right: forward == (frame.best() == 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparators_contradict_themselves_as_often_as_published_ones() {
        for (perception_noise, accuracy) in [(0.0, 0.85), (0.6, 0.78), (1.2, 0.69)] {
            let found = Consistency::of(&Comparator::published(perception_noise, 1), 2);
            assert!((found.flips - 0.206).abs() < 0.012, "{found:?}");
            assert!((found.near_flips - 0.498).abs() < 0.04, "{found:?}");
            assert!((found.accuracy - accuracy).abs() < 0.015, "{found:?}");
        }
        let blind = Consistency::of(&Comparator::blind(1), 2);
        assert!((blind.accuracy - 0.5).abs() < 0.015, "{blind:?}");
    }
}
