//! Bootstrap intervals and the small seeded generator behind them.

/// Seed of every interval, so that the same data give the same figures.
pub const SEED: u64 = 0x67_65_6f_6c;

const RESAMPLES: usize = 1000;

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): the same numbers from
/// the same seed on every machine.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`, by multiplication (its bias is below bound / 2^64); 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next_u64()) * bound as u128;
        usize::try_from(product >> 64).unwrap_or_default()
    }
}

/// The 95 % interval of the share of `true`, by the percentiles of 1000 resamples (Efron, 1979). `[0, 0]` of nothing.
pub fn interval_of_share(hits: &[bool], seed: u64) -> [f64; 2] {
    if hits.is_empty() {
        return [0.0, 0.0];
    }
    let mut random = SplitMix64::new(seed);
    let mut shares: Vec<usize> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let drawn = (0..hits.len()).filter(|_| hits.get(random.below(hits.len())).copied().unwrap_or_default());
        shares.push(drawn.count());
    }
    shares.sort_unstable();
    // The 25th smallest and the 25th largest of 1000 enclose 95 %.
    let bound = |position: usize| share_of(shares.get(position).copied().unwrap_or_default(), hits.len());
    [bound(24), bound(975)]
}

/// The 95 % interval of the mean of paired differences, by the percentiles of 1000 resamples of the pairs. `[0, 0]` of
/// nothing; values must be finite.
#[expect(clippy::cast_precision_loss, reason = "counts of queries are far below 2^52")]
pub fn interval_of_mean(values: &[f64], seed: u64) -> [f64; 2] {
    if values.is_empty() {
        return [0.0, 0.0];
    }
    let mut random = SplitMix64::new(seed);
    let mut mean = || {
        let drawn = (0..values.len()).map(|_| values.get(random.below(values.len())).copied().unwrap_or_default());
        drawn.sum::<f64>() / values.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean()).collect();
    means.sort_unstable_by(f64::total_cmp);
    [24, 975].map(|position| means.get(position).copied().unwrap_or_default())
}

/// The 95 % interval of a share over items that come in groups, given as hits and items of each, by the percentiles of
/// 1000 resamples of whole groups: frames of one flight are alike. `[0, 0]` of nothing.
pub fn interval_by_group(groups: &[(usize, usize)], seed: u64) -> [f64; 2] {
    if groups.iter().all(|(_, items)| *items == 0) {
        return [0.0, 0.0];
    }
    let mut random = SplitMix64::new(seed);
    let mut shares = Vec::with_capacity(RESAMPLES);
    while shares.len() < RESAMPLES {
        let drawn = (0..groups.len()).map(|_| groups.get(random.below(groups.len())).copied().unwrap_or_default());
        let (hits, items) = drawn.fold((0, 0), |(hits, items), (more, of)| (hits + more, items + of));
        if items > 0 {
            shares.push(share_of(hits, items));
        }
    }
    shares.sort_unstable_by(f64::total_cmp);
    [24, 975].map(|position| shares.get(position).copied().unwrap_or_default())
}

#[expect(clippy::cast_precision_loss, reason = "counts of queries are far below 2^52")]
fn share_of(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(random.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(random.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut random = SplitMix64::new(1);
        let mut seen = [false; 7];
        (0..200).for_each(|_| seen[random.below(7)] = true);
        assert_eq!(seen, [true; 7]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn the_interval_is_the_same_for_the_same_seed_and_near_the_normal_one() {
        let hits: Vec<bool> = (0..100).map(|i| i % 10 < 8).collect();
        let [low, high] = interval_of_share(&hits, SEED);
        assert_eq!([low, high], interval_of_share(&hits, SEED));
        // Normal approximation: 0.8 +- 1.96 * sqrt(0.8 * 0.2 / 100) = 0.7216 .. 0.8784.
        assert!((low - 0.7216).abs() < 0.02 && (high - 0.8784).abs() < 0.02, "{low} {high}");
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_share_for_zeros_and_ones() {
        let hits: Vec<bool> = (0..100).map(|i| i % 10 < 8).collect();
        let values: Vec<f64> = hits.iter().map(|hit| f64::from(u8::from(*hit))).collect();
        let (mean, share) = (interval_of_mean(&values, SEED), interval_of_share(&hits, SEED));
        assert!(mean.iter().zip(share).all(|(mean, share)| (mean - share).abs() < 1e-12), "{mean:?} {share:?}");
        assert_eq!((interval_of_mean(&[], SEED), interval_of_mean(&[-1.0; 5], SEED)), ([0.0; 2], [-1.0; 2]));
    }

    #[test]
    fn groups_that_are_alike_within_make_a_wider_interval() {
        let frames: Vec<bool> = (0..200).map(|at| (at / 20) % 2 == 0).collect();
        let [low, high] = interval_by_group(&[(20, 20), (0, 20)].repeat(5), SEED);
        let [single_low, single_high] = interval_of_share(&frames, SEED);
        assert!(low < single_low - 0.1 && high > single_high + 0.1, "{low} {high} {single_low} {single_high}");
        assert_eq!((interval_by_group(&[], SEED), interval_by_group(&[(0, 0)], SEED)), ([0.0; 2], [0.0; 2]));
        assert_eq!(interval_by_group(&[(3, 3), (0, 0)], SEED), [1.0, 1.0]);
    }

    #[test]
    fn shares_of_nothing_and_of_all_have_no_width() {
        assert_eq!(interval_of_share(&[], SEED), [0.0, 0.0]);
        assert_eq!(interval_of_share(&[true; 9], SEED), [1.0, 1.0]);
    }
}
