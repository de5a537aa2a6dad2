//! A query made ready for searching: rotated, in whole numbers for exact scores, in small tables for estimates.

use crate::fault::{Fault, expect};
use crate::kernels::Kernels;
use crate::layers::Layers;
use crate::rotation::Rotation;
use crate::whole::{largest, nearest};

/// Largest component of the query in whole numbers: sums over 1024 dimensions fit 32 bits.
const FULL: f32 = 8191.0;
/// Largest entry of a table of the first layer: four of them fit a byte.
const TABLE_FULL: f32 = 63.0;
/// Largest weight of the second layer.
const WEIGHT_FULL: f32 = 255.0;
/// `Σ|u_i| / √D` of a random unit vector `u` of many dimensions: √(2/π).
const SIGN_LENGTH: f32 = 0.797_884_6;
/// `(1 - f²) / f²` for `f` = [`SIGN_LENGTH`]: what the signs of a vector leave unknown of it.
const SIGN_LOSS: f32 = 0.570_796_3;

/// Standard deviation of the cosine between a query's and a row's residual, about, in embeddings of pictures.
const USUAL_SPREAD: f32 = 0.11;

/// A query under the rotation, of unit length.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    rotated: Vec<f32>,
    whole: Vec<i16>,
    scale: f64,
}

impl Query {
    /// `query` has the rotation's width; it is brought to unit length here.
    pub(crate) fn new(query: &[f32], rotation: &Rotation) -> Result<Self, Fault> {
        if let Some((at, component)) = query.iter().enumerate().find(|(_, component)| !component.is_finite()) {
            return Err(Fault::new("query", "finite components", format_args!("{component} at position {at}")));
        }
        let norm = query.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt();
        expect(norm > 0.0, "query", "a vector of some length", "all components zero")?;
        #[expect(clippy::cast_possible_truncation, reason = "the component of a unit vector, rounded to f32")]
        let mut rotated: Vec<f32> = query.iter().map(|component| (f64::from(*component) / norm) as f32).collect();
        rotation.rotate(&mut rotated);
        Ok(Self::of_rotated(rotated))
    }

    /// Of a vector that is rotated already and not zero.
    pub(crate) fn of_rotated(rotated: Vec<f32>) -> Self {
        let factor = FULL / largest(&rotated, f32::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, reason = "at most 8191 in size by the factor")]
        let whole: Vec<i16> = rotated.iter().map(|component| nearest(component * factor) as i16).collect();
        let squares: i64 = whole.iter().map(|component| i64::from(*component).pow(2)).sum();
        #[expect(clippy::cast_precision_loss, reason = "at most 2^42 by the widest vector")]
        let scale = 1.0 / (squares as f64).sqrt();
        Self { rotated, whole, scale }
    }

    /// The rotated query.
    pub(crate) fn rotated(&self) -> &[f32] {
        &self.rotated
    }

    /// The rotated query less a mean.
    pub(crate) fn residual(&self, mean: &[f32]) -> Vec<f32> {
        self.rotated.iter().zip(mean).map(|(query, mean)| query - mean).collect()
    }

    /// Dot product with a stored vector, by whole numbers alone, so the same on every CPU.
    pub(crate) fn score(&self, kernels: &Kernels, scale: f32, bytes: &[u8]) -> f32 {
        self.scaled((kernels.dot_i8)(&self.whole, bytes), scale)
    }

    /// The query in whole numbers, for kernels.
    pub(crate) fn whole(&self) -> &[i16] {
        &self.whole
    }

    /// The score by the dot product of [`whole`](Self::whole) and a vector's bytes.
    pub(crate) fn scaled(&self, dot: i64, scale: f32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 2^37 by the widest vector")]
        let whole = dot as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a cosine, rounded to f32")]
        let score = (whole * self.scale * f64::from(scale)) as f32;
        score
    }
}

/// What a query looks like to the codes of one shard, in tables and small numbers.
#[derive(Debug)]
pub(crate) struct CodedQuery {
    /// Per four dimensions of the first layer, the sum of `±z` for each of 16 signs, from 0 to 63.
    pub(crate) tables: Vec<[u8; 16]>,
    /// The first layer's sum is `table_scale * sum + table_offset`.
    pub(crate) table_scale: f32,
    pub(crate) table_offset: f32,
    /// Signs of the weights of the second layer; set where they are negative.
    pub(crate) flip: Vec<u64>,
    /// Sizes of the weights of the second layer, from 0 to 255.
    pub(crate) weights: Vec<u8>,
    weight_scale: f32,
    weight_sum: f32,
    /// Standard deviation of the first layer's estimate, per unit of the row's `w`.
    pub(crate) first_deviation: f32,
    /// Standard deviation of the estimate by all dimensions, per unit of the row's `w`.
    pub(crate) second_deviation: f32,
    /// Standard deviation of `y·r` over the rows, per unit of `|r|`.
    pub(crate) spread: f32,
}

impl CodedQuery {
    /// For residuals of any direction: what is known of the signs of random vectors.
    pub(crate) fn isotropic(query: &Query, mean: &[f32], layers: Layers) -> Self {
        let y = query.residual(mean);
        let length = length(&y);
        #[expect(clippy::cast_precision_loss, reason = "at most 65,536 dimensions")]
        let share = (layers.first() as f32 / layers.dimensions().max(1) as f32).min(1.0);
        let deviation = |share: f32| length * SIGN_LENGTH * ((1.0 + SIGN_LOSS - share) * share).sqrt();
        Self::new(&y, &y, layers, length * USUAL_SPREAD, (deviation(share), deviation(1.0)))
    }

    /// By weights for the first layer's dimensions (more are ignored) and for all dimensions. `spread` is the standard
    /// deviation of `y·r` per unit of a residual's length, the deviations are those of the two estimates per unit of a
    /// row's `w`.
    pub(crate) fn new(
        first: &[f32],
        second: &[f32],
        layers: Layers,
        spread: f32,
        (first_deviation, second_deviation): (f32, f32),
    ) -> Self {
        let mut first = first.get(..layers.first()).unwrap_or(first).to_vec();
        first.resize(layers.first(), 0.0);
        let (tables, table_scale) = tables(&first);
        let second = if layers.second_words() > 0 { second } else { &[] };
        let weight_scale = largest(second, f32::MIN_POSITIVE) / WEIGHT_FULL;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let mut weights: Vec<u8> = second.iter().map(|part| nearest(part.abs() / weight_scale) as u8).collect();
        weights.resize(layers.second_words() * 64, 0);
        #[expect(clippy::cast_precision_loss, reason = "at most 255 for each of 65,536 dimensions")]
        let weight_sum = weights.iter().map(|weight| u32::from(*weight)).sum::<u32>() as f32;
        Self {
            tables,
            table_scale,
            table_offset: -first.iter().map(|part| part.abs()).sum::<f32>(),
            flip: second.chunks(64).map(negative).collect(),
            weights,
            weight_scale,
            weight_sum,
            first_deviation,
            second_deviation,
            spread,
        }
    }

    /// The first layer's sum of weights by the sum of the table entries.
    pub(crate) fn first_sum(&self, sum: u16) -> f32 {
        f32::from(sum) * self.table_scale + self.table_offset
    }

    /// The sum of weights over all dimensions, by the sum of the sizes under the row's signs, flipped.
    pub(crate) fn second_sum(&self, sum: u32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 255 for each of 65,536 dimensions")]
        let sum = sum as f32;
        (2.0 * sum - self.weight_sum) * self.weight_scale
    }
}

/// Euclidean length.
fn length(vector: &[f32]) -> f32 {
    vector.iter().map(|part| part * part).sum::<f32>().sqrt()
}

/// The tables of the first layer, and what one step of their entries stands for.
fn tables(first: &[f32]) -> (Vec<[u8; 16]>, f32) {
    let (groups, _) = first.as_chunks::<4>();
    let reach = |group: &[f32; 4]| group.iter().map(|part| part.abs()).sum::<f32>();
    let widest = groups.iter().map(reach).fold(f32::MIN_POSITIVE, f32::max);
    let step = 2.0 * widest / TABLE_FULL;
    let tables = groups.iter().map(|group| {
        let mut table = [0; 16];
        for (entry, signs) in table.iter_mut().zip(0_u32..) {
            let signed = group.iter().enumerate().map(|(at, part)| if signs >> at & 1 == 1 { *part } else { -part });
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 63")]
            let step = nearest((signed.sum::<f32>() + reach(group)) / step) as u8;
            *entry = step;
        }
        table
    });
    (tables.collect(), step)
}

/// Which of up to 64 components are negative, the first in the lowest bit.
fn negative(components: &[f32]) -> u64 {
    components.iter().enumerate().fold(0, |signs, (at, component)| signs | (u64::from(*component < 0.0) << at))
}
