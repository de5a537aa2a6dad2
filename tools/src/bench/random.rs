//! Random numbers that are the same on every CPU: integers and exact float operations only, no functions of libm.

/// Increment of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// Standard deviation of the sum of four uniform numbers of 0 to 65,535: 65,536 / sqrt(3).
const DEVIATION_OF_FOUR: f32 = 37_837.227;
/// Mean of the sum of four uniform numbers of 0 to 65,535.
const MEAN_OF_FOUR: f32 = 131_070.0;

/// A stream of random numbers (SplitMix64), named by a key: equal keys give equal streams.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of a key, for example (seed, what it is for, number of the track).
    pub fn of(key: &[u64]) -> Self {
        Self(key.iter().fold(0, |state, &part| mix(state.wrapping_add(STEP) ^ mix(part.wrapping_add(STEP)))))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 (included) to 1 (excluded), with 24 random bits.
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit a float's fraction")]
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 16_777_216.0
    }

    /// A whole number from 0 to `end - 1`; 0 where `end` is 0. Its bias is below `end` / 2^64.
    #[expect(clippy::cast_possible_truncation, reason = "the upper half of the product is below `end`")]
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// A number with mean 0 and standard deviation 1: the sum of four uniform ones, so within 3.47 of 0.
    pub fn normal(&mut self) -> f32 {
        normal_of(self.bits())
    }

    /// Adds to each value a normal number times its scale.
    pub fn add_normal(&mut self, values: &mut [f32], scales: &[f32]) {
        for (value, scale) in values.iter_mut().zip(scales) {
            *value += scale * self.normal();
        }
    }
}

fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the sum has 18 bits")]
fn normal_of(bits: u64) -> f32 {
    const LANES: u64 = 0x0000_ffff_0000_ffff;
    let pairs = (bits & LANES) + ((bits >> 16) & LANES);
    let sum = (pairs & 0xffff_ffff) + (pairs >> 32);
    (sum as i32 as f32 - MEAN_OF_FOUR) / DEVIATION_OF_FOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_equal_keys_are_equal_and_of_unlike_keys_unlike() {
        let first = |key: &[u64]| Random::of(key).bits();
        assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
        let keys: [&[u64]; 6] = [&[], &[0], &[0, 0], &[1, 2], &[2, 1], &[1, 2, 0]];
        let starts: std::collections::BTreeSet<_> = keys.iter().map(|key| first(key)).collect();
        assert_eq!(starts.len(), keys.len());
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut random = Random::of(&[7]);
        let numbers: Vec<f64> = (0..100_000).map(|_| f64::from(random.normal())).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn whole_numbers_fill_their_range() {
        let mut random = Random::of(&[7]);
        let mut seen = [0; 5];
        (0..1000).for_each(|_| seen[random.below(5)] += 1);
        assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
