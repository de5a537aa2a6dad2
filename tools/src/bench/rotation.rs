//! A random rotation that is cheap to apply: random signs and overlapping Hadamard blocks, twice.

use super::random::Random;

/// How often signs and blocks are applied. Twice, every value depends on every other.
const ROUNDS: usize = 2;

/// An orthogonal map of vectors of one width, fixed by a key.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// A sign for each dimension, for each round.
    signs: Vec<Vec<f32>>,
    /// Width of the two blocks, which begin at the first and end at the last dimension: the largest power of two that
    /// fits.
    block: usize,
}

impl Rotation {
    /// The rotation of a key, for vectors of `dimensions` values (at least 1).
    pub fn new(key: &[u64], dimensions: usize) -> Self {
        let mut random = Random::of(key);
        let sign = |random: &mut Random| if random.bits() >> 63 == 0 { 1.0 } else { -1.0 };
        let signs = (0..ROUNDS).map(|_| (0..dimensions).map(|_| sign(&mut random)).collect()).collect();
        Self { signs, block: 1 << dimensions.max(1).ilog2() }
    }

    /// Rotates a vector in place; its length stays.
    pub fn apply(&self, vector: &mut [f32]) {
        let last = vector.len().saturating_sub(self.block);
        for signs in &self.signs {
            vector.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            if let Some(block) = vector.get_mut(..self.block) {
                hadamard(block);
            }
            if last > 0
                && let Some(block) = vector.get_mut(last..)
            {
                hadamard(block);
            }
        }
    }
}

/// The orthonormal Walsh-Hadamard transform of a block whose width is a power of two.
#[expect(clippy::cast_precision_loss, reason = "a block's width is a small power of two")]
fn hadamard(block: &mut [f32]) {
    let scale = 1.0 / (block.len() as f32).sqrt();
    let (eights, _) = block.as_chunks_mut::<8>();
    let mut half = if eights.is_empty() { 1 } else { 8 };
    for eight in eights {
        let [a, b, c, d, e, f, g, h] = *eight;
        let [a, b, c, d, e, f, g, h] = [a + b, a - b, c + d, c - d, e + f, e - f, g + h, g - h];
        let [a, b, c, d, e, f, g, h] = [a + c, b + d, a - c, b - d, e + g, f + h, e - g, f - h];
        *eight = [a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h];
    }
    while half < block.len() {
        for pair in block.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (left, right) in left.iter_mut().zip(right) {
                (*left, *right) = (*left + *right, *left - *right);
            }
        }
        half *= 2;
    }
    block.iter_mut().for_each(|value| *value *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_keeps_lengths_and_angles_at_any_width() {
        for dimensions in [1, 2, 3, 5, 8, 12, 64, 100, 576, 768] {
            let rotation = Rotation::new(&[1], dimensions);
            let mut random = Random::of(&[2]);
            let mut a: Vec<f32> = (0..dimensions).map(|_| random.normal()).collect();
            let mut b: Vec<f32> = (0..dimensions).map(|_| random.normal()).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let before = [dot(&a, &a), dot(&b, &b), dot(&a, &b)];
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            for (before, after) in before.into_iter().zip([dot(&a, &a), dot(&b, &b), dot(&a, &b)]) {
                assert!((before - after).abs() < 1e-3 * (1.0 + before.abs()), "{dimensions}: {before} {after}");
            }
        }
    }

    #[test]
    fn one_dimension_spreads_over_all() {
        let rotation = Rotation::new(&[1], 768);
        for dimension in [0, 300, 767] {
            let mut vector = vec![0.0; 768];
            vector[dimension] = 1.0;
            rotation.apply(&mut vector);
            let largest = vector.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let spread = vector.iter().filter(|value| value.abs() > 0.005).count();
            assert!(largest < 0.3 && spread > 400, "{dimension}: {largest} {spread}");
        }
    }
}
