//! One bit per dimension, in two layers.
//!
//! A row's residual is `r = x - c`, with `c` the centroid of its list, or the mean of the shard in a flat one. Its code
//! is the signs of `r`, its length, and `mean·r`. With `y = q - mean`:
//!
//! ```text
//! q·x = q·c + mean·r + y·r
//! y·r ≈ w Σ z_i sign(r_i)      z: weights of the query;  w = |r|² / Σ z_i(r) sign(r_i)
//! ```
//!
//! The weights `z` are `y` itself, or what `decoder.rs` makes of it; `z(r)` is what it makes of the residual, so that
//! the estimate is right for a query that lies in the residual's direction. The sum is taken over the first layer's
//! dimensions, and for promising rows over all of them, each with its own weights and `w`. Because of the random
//! rotation, the first layer is a fair sample: a third of the dimensions dismisses nearly all rows. Cf. J. Gao and
//! C. Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", 2024.
//!
//! **Section `codes`**: the first layer, in blocks of 64 slots (rows of one list, the last block filled up with zeros).
//! With `m` the first layer's dimensions:
//!
//! | offset in the block | type | what |
//! |---|---|---|
//! | `64 j`, `j` in `0..m / 8` | u8 × 64 | signs of dimensions `8 j` to `8 j + 7`; below |
//! | `8 m` | bf16 × 64 | `mean·r` of each slot |
//! | `8 m + 128` | bf16 × 64 | `w` of the first layer |
//! | `8 m + 256` | bf16 × 64 | `w` of all dimensions |
//!
//! In a line of 64 bytes, byte `2 i` is slot `i` and byte `2 i + 1` is slot `32 + i`; its lower half holds dimensions
//! `8 j` to `8 j + 3`, the upper one the next four, the first in the lowest bit; a set bit is a component that is not
//! negative. A bf16 is the upper half of an f32.
//!
//! **Section `second`**: for each slot the signs of all dimensions, in u64, the first in the lowest bit. Nothing where
//! the first layer has all dimensions.

use crate::decoder::Decoder;

/// Slots of a block.
pub(crate) const BLOCK_SLOTS: usize = 64;
/// Widest vector that has its signs in the first layer alone.
const ONE_LAYER: usize = 128;
/// Most dimensions of the first layer: sums of its table entries fit 16 bits.
const MAX_FIRST: usize = 1024;
/// Bytes of the three factors of a block.
const FACTOR_BYTES: usize = 3 * FACTOR_COLUMN;
/// Bytes of one factor of a block.
const FACTOR_COLUMN: usize = BLOCK_SLOTS * size_of::<u16>();
/// The least share of a residual that its signs are taken to explain, so that no weight is huge.
const LEAST_EXPLAINED: f64 = 0.1;
/// Dimensions in a word of the second layer.
const WORD: usize = 64;

/// How the dimensions of a vector are shared out between the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layers {
    dimensions: usize,
    first: usize,
}

impl Layers {
    /// A third of wide vectors goes into the first layer, in whole lines of a cache; narrow ones go there whole.
    pub(crate) fn new(dimensions: usize) -> Self {
        let first = if dimensions <= ONE_LAYER {
            dimensions.next_multiple_of(8)
        } else {
            dimensions.div_ceil(3).next_multiple_of(WORD).min(MAX_FIRST)
        };
        Self { dimensions, first }
    }

    /// Dimensions of the first layer, a multiple of 8; more than the vector has, where it is filled up with zeros.
    pub(crate) fn first(self) -> usize {
        self.first
    }

    /// Dimensions of the vector.
    pub(crate) fn dimensions(self) -> usize {
        self.dimensions
    }

    /// Bytes of a block of the first layer.
    pub(crate) fn block_bytes(self) -> usize {
        self.first * BLOCK_SLOTS / 8 + FACTOR_BYTES
    }

    /// Words of a slot in the second layer.
    pub(crate) fn second_words(self) -> usize {
        if self.dimensions > self.first { self.dimensions.div_ceil(WORD) } else { 0 }
    }

    /// Bytes of a slot in the second layer.
    pub(crate) fn second_bytes(self) -> usize {
        self.second_words() * size_of::<u64>()
    }

    /// What a slot of a block carries beside the signs; zeros where the block is too short or there is no such slot.
    pub(crate) fn factors(self, block: &[u8], slot: usize) -> Factors {
        let at = self.first * BLOCK_SLOTS / 8 + slot * size_of::<u16>();
        let factor = |column: usize| {
            let bytes = block.get(at + column * FACTOR_COLUMN..).and_then(<[u8]>::first_chunk);
            from_bf16(bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes)))
        };
        Factors { add: factor(0), first: factor(1), second: factor(2) }
    }
}

/// The factors of a row: `mean·r`, and `w` of the first layer and of all dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Factors {
    pub(crate) add: f32,
    pub(crate) first: f32,
    pub(crate) second: f32,
}

impl Factors {
    /// Of a residual. `sums` are those of its weights under its signs, of the first layer and of all dimensions, by what
    /// the decoder makes of it; without, the weights are the residual itself.
    fn of(residual: &[f32], mean: &[f32], layers: Layers, sums: Option<(f64, f64)>) -> Self {
        let (first, _) = residual.split_at_checked(layers.first).unwrap_or((residual, &[]));
        let add: f64 = mean.iter().zip(residual).map(|(mean, part)| f64::from(*mean) * f64::from(*part)).sum();
        let (first, second) = match sums {
            Some((first, all)) => {
                let length = squares(residual).sqrt();
                let weight = |sum: f64| length * length / sum.max(LEAST_EXPLAINED * length);
                if length > 0.0 { (weight(first), weight(all)) } else { (0.0, 0.0) }
            }
            None => {
                #[expect(clippy::cast_precision_loss, reason = "widths are far below 2^52")]
                let share = layers.dimensions as f64 / first.len().max(1) as f64;
                (share * length_by_signs(first), length_by_signs(residual))
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "rounded to f32, and further for storing")]
        let factors = Self { add: add as f32, first: first as f32, second: second as f32 };
        factors
    }
}

/// `|r|² / Σ|r_i|`; 0 for no residual.
fn length_by_signs(residual: &[f32]) -> f64 {
    let sizes: f64 = residual.iter().map(|part| f64::from(part.abs())).sum();
    if sizes > 0.0 { squares(residual) / sizes } else { 0.0 }
}

fn squares(residual: &[f32]) -> f64 {
    residual.iter().map(|part| f64::from(*part).powi(2)).sum()
}

/// To the nearest bf16, ties to even; finite values only.
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.saturating_add(0x7fff + ((bits >> 16) & 1));
    (rounded >> 16) as u16
}

fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Collects rows of one list into blocks.
#[derive(Debug)]
pub(crate) struct BlockWriter<'a> {
    layers: Layers,
    mean: &'a [f32],
    decoder: Option<Decoder<'a>>,
    block: Vec<u8>,
    second: Vec<u8>,
    /// Residuals of the rows so far, one after the other.
    residuals: Vec<f32>,
    /// For each row so far, what is added to what is stored as `mean·r`.
    biases: Vec<f32>,
}

impl<'a> BlockWriter<'a> {
    /// `mean` is that of the shard.
    pub(crate) fn new(layers: Layers, mean: &'a [f32], decoder: Option<Decoder<'a>>) -> Self {
        Self {
            layers,
            mean,
            decoder,
            block: vec![0; layers.block_bytes()],
            second: vec![0; layers.second_bytes() * BLOCK_SLOTS],
            residuals: Vec::with_capacity(layers.dimensions * BLOCK_SLOTS),
            biases: Vec::with_capacity(BLOCK_SLOTS),
        }
    }

    /// Puts a row, as it is stored under the rotation, into the next slot; true when that fills the block, which is then
    /// to be [taken](Self::take). `bias` is added to what is stored as `mean·r`.
    pub(crate) fn push(&mut self, row: &[f32], centroid: &[f32], bias: f32) -> bool {
        let residual = row.iter().zip(centroid).map(|(component, centre)| component - centre);
        self.residuals.extend(residual.take(self.layers.dimensions));
        self.biases.push(bias);
        self.biases.len() == BLOCK_SLOTS
    }

    fn write_signs(&mut self, slot: usize, residual: &[f32]) {
        let first = residual.get(..self.layers.first).unwrap_or(residual);
        let column = if slot < BLOCK_SLOTS / 2 { 2 * slot } else { 2 * (slot - BLOCK_SLOTS / 2) + 1 };
        for (line, dimensions) in self.block.chunks_exact_mut(BLOCK_SLOTS).zip(first.chunks(8)) {
            if let Some(byte) = line.get_mut(column) {
                #[expect(clippy::cast_possible_truncation, reason = "8 signs")]
                let signs = signs(dimensions) as u8;
                *byte = signs;
            }
        }
        let words = self.second.chunks_exact_mut(size_of::<u64>()).skip(slot * self.layers.second_words());
        for (word, dimensions) in words.zip(residual.chunks(WORD)) {
            word.copy_from_slice(&signs(dimensions).to_le_bytes());
        }
    }

    fn write_factors(&mut self, slot: usize, factors: Factors) {
        let columns = self.block.get_mut(self.layers.first * BLOCK_SLOTS / 8..).unwrap_or_default();
        let columns = columns.chunks_exact_mut(FACTOR_COLUMN);
        for (column, factor) in columns.zip([factors.add, factors.first, factors.second]) {
            if let Some(bytes) = column.chunks_exact_mut(size_of::<u16>()).nth(slot) {
                bytes.copy_from_slice(&to_bf16(factor).to_le_bytes());
            }
        }
    }

    /// Whether no row waits for its block to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.biases.is_empty()
    }

    /// Hands the block and its second layer over, full or not, and begins the next one.
    pub(crate) fn take<T>(&mut self, hand_over: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        let residuals = std::mem::take(&mut self.residuals);
        let sums = match self.decoder {
            Some(decoder) => decoder.sums(&residuals),
            None => vec![None; self.biases.len()],
        };
        let biases = std::mem::take(&mut self.biases);
        let rows = residuals.chunks_exact(self.layers.dimensions.max(1)).zip(sums).zip(&biases).enumerate();
        for (slot, ((residual, sums), bias)) in rows {
            self.write_signs(slot, residual);
            let factors = Factors::of(residual, self.mean, self.layers, sums);
            self.write_factors(slot, Factors { add: factors.add + bias, ..factors });
        }
        let taken = hand_over(&self.block, &self.second);
        self.block.fill(0);
        self.second.fill(0);
        (self.residuals, self.biases) = (residuals, biases);
        self.residuals.clear();
        self.biases.clear();
        taken
    }
}

/// The signs of up to 64 components, the first in the lowest bit; set where the component is not negative.
fn signs(components: &[f32]) -> u64 {
    components.iter().enumerate().fold(0, |signs, (at, component)| signs | (u64::from(*component >= 0.0) << at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_wide_vectors_is_in_the_first_layer() {
        for (dimensions, first, words) in [(768, 256, 12), (576, 192, 9), (1152, 384, 18), (64, 64, 0), (3, 8, 0)] {
            let layers = Layers::new(dimensions);
            assert_eq!((layers.first(), layers.second_words()), (first, words), "{dimensions} dimensions");
        }
        assert_eq!(Layers::new(768).block_bytes(), 64 * 32 + 384);
        assert_eq!(Layers::new(65_536).first(), 1024);
    }

    #[test]
    fn signs_and_factors_lie_where_the_table_says() {
        let layers = Layers::new(130);
        assert_eq!((layers.first(), layers.second_words()), (64, 3));
        let centroid = vec![0.0; 130];
        let mean: Vec<f32> = (0..130).map(|at| if at == 9 { 1.0 } else { 0.0 }).collect();
        let mut writer = BlockWriter::new(layers, &mean, None);
        let mut row = vec![-0.1; 130];
        row[9] = 0.5;
        row[129] = 0.25;
        for _ in 0..33 {
            writer.push(&row, &centroid, 0.0);
        }
        writer.take(|block, second| {
            let set: Vec<usize> = (0..64 * 8).filter(|at| block[*at] != 0).collect();
            // Dimension 9 is bit 1 of line 1; slots 0 to 31 are the even bytes, slot 32 is byte 1.
            let mut expected: Vec<usize> = (0..32).map(|slot| 64 + 2 * slot).chain([65]).collect();
            expected.sort_unstable();
            assert_eq!(set, expected);
            assert!(expected.iter().all(|at| block[*at] == 0b10));
            assert_eq!(second[..24], [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(second[33 * 24..], [0; 31 * 24]);
            let factors = layers.factors(block, 32);
            assert_eq!(factors.add, 0.5);
            assert!((f64::from(factors.second) - length_by_signs(&row)).abs() < 0.004 * length_by_signs(&row));
            assert_eq!(layers.factors(block, 33), Factors::default());
            assert_eq!(layers.factors(&[], 3), Factors::default());
        });
        assert!(writer.is_empty());
    }

    #[test]
    fn no_residual_is_no_weight() {
        let layers = Layers::new(2);
        let mut writer = BlockWriter::new(layers, &[0.6, 0.8], None);
        writer.push(&[0.6, 0.8], &[0.6, 0.8], 0.0);
        writer.take(|block, _| assert_eq!(layers.factors(block, 0), Factors::default()));
    }

    #[test]
    fn bf16_is_the_nearest() {
        for (value, expected) in
            [(1.0, 1.0), (1.004, 1.007_812_5), (1.003_906_3, 1.0), (-0.1, -0.100_097_656), (0.0, 0.0)]
        {
            assert_eq!(from_bf16(to_bf16(value)), expected);
        }
    }
}
