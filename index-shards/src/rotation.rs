//! The random rotation under which vectors are stored.
//!
//! After it every dimension carries about as much of a vector as any other, so that one bit per dimension says equally
//! much everywhere and any subset of the dimensions is a fair sample of all. It is made of random signs and Hadamard
//! transforms (N. Ailon and B. Chazelle, "The Fast Johnson-Lindenstrauss Transform", 2009). Widths that are no power
//! of two are not padded: rounds alternate between the first and the last power-of-two window, which overlap.

/// Rounds of signs and transforms; two for either window.
const ROUNDS: usize = 4;

/// A fixed random rotation of vectors of one width. Additions and multiplications stand in one order, without fused
/// operations, so it gives the same bits on every CPU.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    /// For each round a factor per dimension, 1 or -1.
    signs: Vec<Vec<f32>>,
    window: usize,
    scale: f32,
}

impl Rotation {
    /// The rotation of `dimensions` (at least 1) that `seed` stands for.
    pub(crate) fn new(dimensions: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let signs = (0..ROUNDS).map(|_| (0..dimensions).map(|_| random.sign()).collect()).collect();
        let window = if dimensions == 0 { 0 } else { 1 << dimensions.ilog2() };
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a power of two, exact")]
        let scale = (1.0 / (window.max(1) as f64).sqrt()) as f32;
        Self { signs, window, scale }
    }

    /// Rotates `vector` in place.
    pub(crate) fn rotate(&self, vector: &mut [f32]) {
        for (round, signs) in self.signs.iter().enumerate() {
            flip(vector, signs);
            self.transform(vector, round);
        }
    }

    /// Undoes [`rotate`](Self::rotate), up to rounding.
    pub(crate) fn invert(&self, vector: &mut [f32]) {
        for (round, signs) in self.signs.iter().enumerate().rev() {
            self.transform(vector, round);
            flip(vector, signs);
        }
    }

    /// The transform of a round; its own inverse.
    fn transform(&self, vector: &mut [f32], round: usize) {
        let start = if round.is_multiple_of(2) { 0 } else { vector.len().saturating_sub(self.window) };
        let window = vector.get_mut(start..).unwrap_or_default();
        let window = window.get_mut(..self.window).unwrap_or_default();
        hadamard(window);
        window.iter_mut().for_each(|component| *component *= self.scale);
    }
}

fn flip(vector: &mut [f32], signs: &[f32]) {
    vector.iter_mut().zip(signs).for_each(|(component, sign)| *component *= sign);
}

/// The Walsh-Hadamard transform, not normalised, of a power of two of components.
fn hadamard(vector: &mut [f32]) {
    let mut half = 1;
    while half < vector.len() {
        for pair in vector.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is at least 1; the upper half of a product, so nearly uniform.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    fn sign(&mut self) -> f32 {
        if self.next() >> 63 == 0 { 1.0 } else { -1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn one_axis_spreads_over_all_dimensions() {
        for dimensions in [96, 512, 576, 768, 1152] {
            let rotation = Rotation::new(dimensions, 7);
            for axis in [0, dimensions / 2, dimensions - 1] {
                let mut vector = vec![0.0; dimensions];
                vector[axis] = 1.0;
                rotation.rotate(&mut vector);
                let largest = vector.iter().fold(0.0_f32, |most, component| most.max(component.abs()));
                assert!(largest * (dimensions as f32).sqrt() < 6.0, "{dimensions} dimensions, axis {axis}: {largest}");
            }
        }
    }

    #[test]
    fn other_seeds_are_other_rotations() {
        let mut vectors = [vec![0.6_f32, 0.0, 0.8, 0.0, 0.0], vec![0.6, 0.0, 0.8, 0.0, 0.0]];
        Rotation::new(5, 1).rotate(&mut vectors[0]);
        Rotation::new(5, 2).rotate(&mut vectors[1]);
        assert_ne!(vectors[0], vectors[1]);
    }

    #[test]
    fn stays_as_it_is() {
        let mut vector: Vec<f32> = (0..6).map(|at| at as f32).collect();
        Rotation::new(6, 42).rotate(&mut vector);
        // Files hold vectors under this rotation: it must never change.
        assert_eq!(vector, [0.5, 2.0, 5.25, -0.25, -0.75, 4.75]);
    }

    proptest! {
        #![proptest_config(crate::deterministic())]

        #[test]
        fn keeps_dot_products_and_can_be_undone(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..200),
            seed: u64,
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let rotation = Rotation::new(a.len(), seed);
            let (mut turned_a, mut turned_b) = (a.clone(), b.clone());
            rotation.rotate(&mut turned_a);
            rotation.rotate(&mut turned_b);
            prop_assert!((dot(&a, &b) - dot(&turned_a, &turned_b)).abs() < 1e-4);
            rotation.invert(&mut turned_a);
            prop_assert!(a.iter().zip(&turned_a).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}
