//! Noise on the plane: the same on every CPU, from hashes, additions and products.

use crate::bench::random::Random;

/// Values per side of the table.
const SIDE: usize = 256;
/// Domain of the table's random numbers.
const KEY: u64 = 0x006e_6f69_7365;

/// A smooth, periodic table of 256 x 256 values of -1 to 1, whose features are about four values wide.
#[derive(Debug, Clone)]
pub struct NoiseTable(Vec<i8>);

impl NoiseTable {
    /// The table of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::of(&[KEY, seed]);
        let raw: Vec<i32> = (0..SIDE * SIDE).map(|_| i32::from(random.bits() as u8) - 128).collect();
        let coarse = smoothed(&raw, 4);
        let fine = smoothed(&raw, 1);
        // Coarse features carry more than fine ones, as in real ground; the factors bring both to about the same scale.
        let value = |(coarse, fine): (&i32, &i32)| (coarse * 6 + fine).clamp(-127, 127) as i8;
        Self(coarse.iter().zip(&fine).map(value).collect())
    }

    /// The value of the cell that holds (x, y), from -1 to 1.
    #[inline]
    pub fn at(&self, x: f32, y: f32) -> f32 {
        // The lower byte of either coordinate: always within the table.
        let at = (whole(y) as u16) << 8 | u16::from(whole(x) as u8);
        f32::from(self.0.get(usize::from(at)).copied().unwrap_or_default()) * (1.0 / 128.0)
    }

    /// As [`Self::at`], smooth between the values.
    pub fn between(&self, x: f32, y: f32) -> f32 {
        let (u, v) = (x - whole(x) as f32, y - whole(y) as f32);
        let south = self.at(x, y) * (1.0 - u) + self.at(x + 1.0, y) * u;
        let north = self.at(x, y + 1.0) * (1.0 - u) + self.at(x + 1.0, y + 1.0) * u;
        south * (1.0 - v) + north * v
    }
}

/// The next whole number below; faster than `floor`, which many CPUs lack.
#[inline]
fn whole(value: f32) -> i32 {
    let near = value as i32;
    near.wrapping_sub(i32::from(near as f32 > value))
}

/// Means over squares of `2 * reach + 1` values, twice, the table closed to a torus.
fn smoothed(values: &[i32], reach: usize) -> Vec<i32> {
    let width = (2 * reach + 1) as i32;
    let mut now = values.to_vec();
    for step in [1, SIDE, 1, SIDE] {
        let at = |index: usize, offset: usize| {
            // Along a row the column wraps, along a column the row does.
            let moved = if step == 1 {
                (index & !(SIDE - 1)) | ((index + SIDE + offset - reach) & (SIDE - 1))
            } else {
                (index + SIDE * SIDE + offset * SIDE - reach * SIDE) & (SIDE * SIDE - 1)
            };
            now.get(moved).copied().unwrap_or_default()
        };
        now =
            (0..now.len()).map(|index| (0..=2 * reach).map(|offset| at(index, offset)).sum::<i32>() / width).collect();
    }
    now
}

/// Smooth noise of 0 to 1 whose features are one unit wide, from hashes of a seed: endless, slower than the table.
pub fn smooth(seed: u64, x: f64, y: f64) -> f64 {
    let (column, row) = (x.floor(), y.floor());
    let corner = |dx: f64, dy: f64| {
        let key = [KEY, seed, (column + dx) as i64 as u64, (row + dy) as i64 as u64];
        f64::from(Random::of(&key).unit())
    };
    let ease = |share: f64| share * share * (3.0 - 2.0 * share);
    let (u, v) = (ease(x - column), ease(y - row));
    let south = corner(0.0, 0.0) * (1.0 - u) + corner(1.0, 0.0) * u;
    let north = corner(0.0, 1.0) * (1.0 - u) + corner(1.0, 1.0) * u;
    south * (1.0 - v) + north * v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_smooth_periodic_and_centred() {
        let table = NoiseTable::new(1);
        assert_eq!(table.at(3.5, 250.0).to_bits(), table.at(3.5 - 256.0, 250.0 + 512.0).to_bits());
        let values: Vec<f32> = (0..65536).map(|i| table.at((i % 256) as f32, (i / 256) as f32)).collect();
        let mean = values.iter().sum::<f32>() / 65536.0;
        let deviation = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 65536.0).sqrt();
        assert!(mean.abs() < 0.05 && (0.1..0.6).contains(&deviation), "{mean} {deviation}");
    }

    #[test]
    fn endless_noise_is_continuous() {
        for step in 0..100 {
            let x = -3.0 + f64::from(step) * 0.07;
            assert!((smooth(7, x, 0.3) - smooth(7, x + 1e-6, 0.3)).abs() < 1e-4);
        }
    }
}
