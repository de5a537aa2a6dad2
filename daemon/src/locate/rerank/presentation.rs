//! Random choices that a frame's digest and the settings' seed decide: the same frame is presented in the same way.

/// Increment of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Seeded choices for one frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presentation(u64);

impl Presentation {
    /// The choices for a frame.
    pub(super) fn new(seed: u64, frame_digest: u64) -> Self {
        Self(mix(mix(seed.wrapping_add(STEP)) ^ frame_digest.wrapping_add(STEP)))
    }

    /// Whether `a` is shown before `b`; of a pair exactly one is.
    pub(super) fn first(self, a: usize, b: usize) -> bool {
        let (low, high) = (a.min(b) as u64, a.max(b) as u64);
        let low_first = mix(self.0 ^ mix(low.wrapping_add(STEP) ^ mix(high.wrapping_add(STEP)))) & 1 == 0;
        low_first == (a < b)
    }

    /// The items in a random order; another `purpose` gives another one.
    pub(super) fn shuffled(self, mut items: Vec<usize>, purpose: u64) -> Vec<usize> {
        items.sort_by_cached_key(|&item| (mix(self.0 ^ mix(purpose.wrapping_add(STEP)) ^ mix(item as u64)), item));
        items
    }
}

/// The finalizer of SplitMix64 (S. Vigna), a bijection of 64 bits.
fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_pair_one_comes_first_by_seed_and_frame() {
        let orders = |seed, digest| -> Vec<bool> {
            let presentation = Presentation::new(seed, digest);
            (0..200).map(|a| presentation.first(a, a + 1)).collect()
        };
        let presentation = Presentation::new(1, 2);
        assert!((0..50).all(|a| presentation.first(a, 50) != presentation.first(50, a)));
        assert_eq!(orders(1, 2), orders(1, 2));
        assert!(orders(1, 2) != orders(2, 1) && orders(1, 2) != orders(1, 3));
        let firsts = orders(1, 2).into_iter().filter(|&first| first).count();
        assert!((70..130).contains(&firsts), "{firsts}");
    }

    #[test]
    fn shuffling_loses_nothing_and_depends_on_its_purpose() {
        let presentation = Presentation::new(3, 4);
        let [a, b] = [0, 1].map(|purpose| presentation.shuffled((0..30).collect(), purpose));
        assert_ne!(a, b);
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..30).collect::<Vec<_>>());
    }
}
