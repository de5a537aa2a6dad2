//! Which weights a query gives to the signs of a shard's residuals, and how far the estimates are off.
//!
//! Embeddings of pictures fill their space unevenly. The signs of a residual then say more about its large directions
//! than the signs of a random vector would. The best linear estimate of a residual of unit length from its signs,
//! `r ≈ K C⁻¹ s` with `K = E[r sᵀ]` and `C = E[s sᵀ]`, is found on a sample when the shard is built. A query `y` then
//! gives the weights `z = C⁻¹ Kᵀ y`, so that `y·r ≈ |r| Σ z_i s_i`: more exact estimates at no cost per row.
//!
//! How exact they are depends on the query: one unlike anything in the shard lies across the directions that the signs
//! tell about. So some residuals are kept as **probes**: a query looks at them first, and takes from them the standard
//! deviation of its estimates.
//!
//! **Section `decoder`**, empty where there was no need or too small a sample; with `D` dimensions, `m` of them in the
//! first layer, records as in the section `vectors` but of any length:
//!
//! | what | bytes |
//! |---|---|
//! | row `i` of `C⁻¹ Kᵀ` for the first layer's signs alone | record × m |
//! | row `i` of `C⁻¹ Kᵀ` for all signs | record × D |
//! | residuals of the probes, of unit length | record × 256 |
//! | their codes, as in the section `codes`, with 0 for `mean·r` | block × 4 |
//! | their codes, as in the section `second` | slot × 256 |

use crate::clusters::StoredRows;
use crate::kernels::Kernels;
use crate::layers::{BLOCK_SLOTS, BlockWriter, Layers};
use crate::query::{CodedQuery, Query};
use crate::row::{best_scale, quantize};
use crate::scan::Codes;
use crate::sections::vectors;
use crate::tiles::for_each_score;
use std::num::NonZero;
use std::ops::Range;
use std::thread;

/// Residuals that a query looks at first.
const PROBES: usize = 4 * BLOCK_SLOTS;
/// Residuals that the weights are found on, at most.
const SAMPLE: usize = 16_384;
/// Residuals per dimension that are needed to find weights, if the sample could have so many.
const RESIDUALS_PER_DIMENSION: usize = 16;
/// Widest vectors that weights are found for: it takes time by the third power of the width.
const MAX_DIMENSIONS: usize = 1536;
/// Rows of sums that the sample goes by at once.
const PRODUCT_ROWS: usize = 32;
/// What is added to the variance of every sign, against chance in the sample; beside the dimensions per residual.
const RIDGE: f64 = 0.02;

/// The section's bytes for residuals of unit length that stand for all.
pub(crate) fn build(residuals: &[Vec<f32>], layers: Layers, threads: NonZero<usize>) -> Vec<u8> {
    let dimensions = layers.dimensions();
    let enough = residuals.len() >= (RESIDUALS_PER_DIMENSION * dimensions).clamp(PROBES, SAMPLE);
    if !enough || dimensions > MAX_DIMENSIONS || layers.second_words() == 0 {
        return Vec::new();
    }
    let Some(weights) = weights(residuals, layers, threads) else { return Vec::new() };
    let probes: Vec<&Vec<f32>> = residuals.iter().step_by(residuals.len() / PROBES).take(PROBES).collect();
    let (mut section, mut record) = (Vec::new(), Vec::new());
    for vector in weights.chunks(dimensions.max(1)).chain(probes.iter().map(|probe| probe.as_slice())) {
        encode(vector, &mut record);
        section.extend(&record);
    }
    let decoder = Decoder { layers, records: &section, blocks: &[], second: &[] };
    let (mut blocks, mut second, zero) = (Vec::new(), Vec::new(), vec![0.0; dimensions]);
    let mut writer = BlockWriter::new(layers, &zero, Some(decoder));
    for probe in probes {
        if writer.push(probe, &zero, 0.0) {
            writer.take(|block, words| {
                blocks.extend_from_slice(block);
                second.extend_from_slice(words);
            });
        }
    }
    section.extend(blocks);
    section.extend(second);
    section
}

/// Bytes of the section, where there is one.
pub(crate) fn length(layers: Layers) -> u64 {
    let records = layers.first() + layers.dimensions() + PROBES;
    let codes = PROBES / BLOCK_SLOTS * layers.block_bytes() + PROBES * layers.second_bytes();
    (records * vectors::stride(layers.dimensions()) + codes) as u64
}

fn encode(vector: &[f32], record: &mut Vec<u8>) {
    let mut bytes = vec![0; vector.len()];
    quantize(vector, &mut bytes);
    let bytes: Vec<u8> = bytes.into_iter().map(i8::cast_unsigned).collect();
    vectors::encode(best_scale(vector, &bytes), &bytes, record);
}

/// The rows of `C⁻¹ Kᵀ` for the first layer, then for all dimensions; `None` when the sample does not allow it.
fn weights(sample: &[Vec<f32>], layers: Layers, threads: NonZero<usize>) -> Option<Vec<f32>> {
    let dimensions = layers.dimensions();
    let signs = Signs::of(sample, dimensions);
    let products = sign_products(sample, dimensions, threads);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let ridge = RIDGE + dimensions as f64 / sample.len() as f64;
    let mut rows = solve(&signs, &products, layers.first(), ridge)?;
    rows.extend(solve(&signs, &products, dimensions, ridge)?);
    Some(rows)
}

/// The signs of a sample, a column of bits per dimension.
struct Signs {
    columns: Vec<Vec<u64>>,
    count: usize,
}

impl Signs {
    fn of(sample: &[Vec<f32>], dimensions: usize) -> Self {
        let mut columns = vec![vec![0_u64; sample.len().div_ceil(64)]; dimensions];
        for (at, vector) in sample.iter().enumerate() {
            for (column, component) in columns.iter_mut().zip(vector) {
                if let Some(word) = column.get_mut(at / 64) {
                    *word |= u64::from(*component >= 0.0) << (at % 64);
                }
            }
        }
        Self { columns, count: sample.len() }
    }

    /// `E[s_i s_j]`.
    fn covariance(&self, i: &[u64], j: &[u64]) -> f64 {
        let unlike: u32 = i.iter().zip(j).map(|(a, b)| (a ^ b).count_ones()).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let count = self.count.max(1) as f64;
        1.0 - 2.0 * f64::from(unlike) / count
    }
}

/// `E[s_i r]`, row by row. All of the sample goes by for a few rows, then for the next ones, so that the sums stay in a
/// CPU's nearer cache.
fn sign_products(sample: &[Vec<f32>], dimensions: usize, threads: NonZero<usize>) -> Vec<f32> {
    let mut products = vec![0.0_f32; dimensions * dimensions];
    let mut shares: Vec<Vec<(usize, &mut [f32])>> = (0..threads.get()).map(|_| Vec::new()).collect();
    let parts = (0..).step_by(PRODUCT_ROWS).zip(products.chunks_mut((PRODUCT_ROWS * dimensions).max(1)));
    for ((first, rows), at) in parts.zip((0..threads.get()).cycle()) {
        if let Some(share) = shares.get_mut(at) {
            share.push((first, rows));
        }
    }
    thread::scope(|scope| {
        for share in shares {
            scope.spawn(move || share.into_iter().for_each(|(first, rows)| add_products(sample, first, rows)));
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "at most 16,384")]
    let count = sample.len().max(1) as f32;
    products.iter_mut().for_each(|sum| *sum /= count);
    products
}

/// Adds to the rows of products from `first` on what each vector of the sample has for them.
fn add_products(sample: &[Vec<f32>], first: usize, rows: &mut [f32]) {
    for vector in sample {
        let components = vector.get(first..).unwrap_or_default();
        for (row, component) in rows.chunks_exact_mut(vector.len().max(1)).zip(components) {
            if *component >= 0.0 {
                row.iter_mut().zip(vector).for_each(|(sum, part)| *sum += part);
            } else {
                row.iter_mut().zip(vector).for_each(|(sum, part)| *sum -= part);
            }
        }
    }
}

/// `(C + ridge)⁻¹ Kᵀ` for the first `count` signs, row by row, by Cholesky's method.
fn solve(signs: &Signs, products: &[f32], count: usize, ridge: f64) -> Option<Vec<f32>> {
    let columns = signs.columns.get(..count)?;
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(count);
    for (i, column) in columns.iter().enumerate() {
        let mut row: Vec<f64> = Vec::with_capacity(i + 1);
        for (j, (other, above)) in columns.iter().zip(&lower).enumerate() {
            let left = signs.covariance(column, other) - dot(&row, above.get(..j)?);
            row.push(left / above.get(j)?);
        }
        let left = 1.0 + ridge - dot(&row, &row);
        if left <= 0.0 || left.is_nan() {
            return None;
        }
        row.push(left.sqrt());
        lower.push(row);
    }
    let width = signs.columns.len();
    let mut rows: Vec<Vec<f64>> = products
        .chunks_exact(width.max(1))
        .take(count)
        .map(|row| row.iter().map(|part| f64::from(*part)).collect())
        .collect();
    substitute(&lower, &mut rows)?;
    #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
    let rows = rows.into_iter().flatten().map(|part| part as f32).collect();
    Some(rows)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves `L Lᵀ X = B` in place, with the rows of `B` in `rows`.
fn substitute(lower: &[Vec<f64>], rows: &mut [Vec<f64>]) -> Option<()> {
    for (i, factors) in lower.iter().enumerate() {
        let (before, rest) = rows.split_at_mut_checked(i)?;
        finish_row(rest.first_mut()?, before.iter().zip(factors), *factors.get(i)?);
    }
    for i in (0..lower.len()).rev() {
        let (before, after) = rows.split_at_mut_checked(i + 1)?;
        let column = lower.get(i + 1..)?.iter().map(|factors| factors.get(i).unwrap_or(&0.0));
        finish_row(before.last_mut()?, after.iter().zip(column), *lower.get(i)?.get(i)?);
    }
    Some(())
}

/// Takes the solved rows off a row, each with its factor, and divides by the diagonal.
fn finish_row<'a>(row: &mut [f64], solved: impl Iterator<Item = (&'a Vec<f64>, &'a f64)>, diagonal: f64) {
    for (other, factor) in solved {
        row.iter_mut().zip(other).for_each(|(part, other)| *part -= factor * other);
    }
    row.iter_mut().for_each(|part| *part /= diagonal);
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder<'a> {
    layers: Layers,
    records: &'a [u8],
    blocks: &'a [u8],
    second: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// `None` where there is none, or the section is not as long as it should be.
    pub(crate) fn new(section: &'a [u8], layers: Layers) -> Option<Self> {
        if section.is_empty() || section.len() as u64 != length(layers) {
            return None;
        }
        let (rest, second) = section.split_at_checked(section.len().checked_sub(PROBES * layers.second_bytes())?)?;
        let codes = PROBES / BLOCK_SLOTS * layers.block_bytes();
        let (records, blocks) = rest.split_at_checked(rest.len().checked_sub(codes)?)?;
        Some(Self { layers, records, blocks, second })
    }

    /// Scale and bytes of record `at`.
    fn record(&self, at: usize) -> Option<(f32, &'a [u8])> {
        let stride = vectors::stride(self.layers.dimensions());
        vectors::decode(self.records.get(at.checked_mul(stride)?..)?, self.layers.dimensions())
    }

    /// Dot products of `vector` with some records.
    fn products(&self, vector: &Vector<'_>, records: Range<usize>) -> Vec<f32> {
        let product = |at| self.record(at).map_or(0.0, |(scale, bytes)| vector.product(scale, bytes));
        records.map(product).collect()
    }

    /// For residuals, one after the other, the sums of the weights that each gives to its own signs, negative ones
    /// taken off: of the first layer, and of all dimensions. `None` for a residual of no length.
    pub(crate) fn sums(&self, residuals: &[f32]) -> Vec<Option<(f64, f64)>> {
        let residuals = residuals.chunks_exact(self.layers.dimensions().max(1));
        let (first, all) = (self.layers.first(), self.layers.first() + self.layers.dimensions());
        let (mut queries, mut sums, mut of_query) = (Vec::new(), Vec::new(), Vec::new());
        for (at, residual) in residuals.enumerate() {
            let vector = Vector::new(residual);
            sums.push(vector.as_ref().map(|_| (0.0, 0.0)));
            queries.extend(vector.map(|vector| {
                of_query.push((at, residual, vector.length));
                vector.query
            }));
        }
        let record = |at| self.record(at).unwrap_or_default();
        for_each_score(&queries, (all, record), |query, record, scores| {
            let Some((at, residual, length)) = of_query.get(query) else { return };
            let Some(Some((of_first, of_all))) = sums.get_mut(*at) else { return };
            let (sum, dimension) = if record < first { (of_first, record) } else { (of_all, record - first) };
            for (score, part) in scores.iter().zip(residual.get(dimension..).unwrap_or_default()) {
                let weight = f64::from(score * length);
                *sum += if *part >= 0.0 { weight } else { -weight };
            }
        });
        sums
    }

    fn weights_of(&self, vector: &Vector<'_>) -> (Vec<f32>, Vec<f32>) {
        let (first, all) = (self.layers.first(), self.layers.first() + self.layers.dimensions());
        (self.products(vector, 0..first), self.products(vector, first..all))
    }

    /// A query made ready for the codes of the shard, which has this mean.
    pub(crate) fn prepare(&self, query: &Query, mean: &[f32]) -> CodedQuery {
        let residual = query.residual(mean);
        let Some(vector) = Vector::new(&residual) else {
            return CodedQuery::isotropic(query, mean, self.layers);
        };
        let (first, all) = self.weights_of(&vector);
        let mut coded = CodedQuery::new(&first, &all, self.layers, 0.0, (0.0, 0.0));
        let start = self.layers.first() + self.layers.dimensions();
        let truth = self.products(&vector, start..start + PROBES);
        let codes = Codes { layers: self.layers, blocks: self.blocks, second: self.second };
        let estimates = codes.estimates(&coded, PROBES);
        coded.spread = rms(truth.iter().copied());
        coded.first_deviation = deviation(estimates.iter().map(|estimate| estimate.first), &truth);
        coded.second_deviation = deviation(estimates.iter().map(|estimate| estimate.second), &truth);
        coded
    }
}

/// A vector in whole numbers with its length.
struct Vector<'a> {
    kernels: &'a Kernels,
    query: Query,
    length: f32,
}

impl Vector<'_> {
    /// `None` for a vector of no length.
    fn new(vector: &[f32]) -> Option<Self> {
        let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
        let query = || Query::of_rotated(vector.to_vec());
        (length > 0.0).then(|| Self { kernels: Kernels::active(), query: query(), length })
    }

    fn product(&self, scale: f32, bytes: &[u8]) -> f32 {
        self.query.score(self.kernels, scale, bytes) * self.length
    }
}

/// Standard deviation of estimates per unit of their weight, after what they grow with the truth: nearly all rows are
/// judged against each other, so it does no harm when all estimates are too large by the same factor.
fn deviation(estimates: impl Iterator<Item = (f32, f32)>, truth: &[f32]) -> f32 {
    let known: Vec<(f32, f32, f32)> =
        estimates.zip(truth).map(|((weight, estimate), truth)| (weight, estimate, *truth)).collect();
    let together: f32 = known.iter().map(|(_, estimate, truth)| estimate * truth).sum();
    let squares: f32 = known.iter().map(|(_, _, truth)| truth * truth).sum();
    let growth = if squares > 0.0 { together / squares } else { 1.0 };
    let error = |(weight, estimate, truth): &(f32, f32, f32)| {
        if *weight > 0.0 { (estimate - growth * truth) / weight } else { 0.0 }
    };
    rms(known.iter().map(error))
}

/// Root of the mean square.
fn rms(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "at most 256")]
    let count = values.len().max(1) as f32;
    (values.map(|value| value * value).sum::<f32>() / count).sqrt()
}

/// The residuals of a sample of stored rows, of unit length: what [`build`] takes.
pub(crate) fn residuals<'a>(sample: StoredRows<'_>, centroid_of: impl Fn(usize) -> &'a [f32]) -> Vec<Vec<f32>> {
    let count = sample.len().min(SAMPLE);
    let mut vector = vec![0.0; sample.dimensions];
    let rows = (0..count).map(|at| {
        let row = at * sample.len() / count.max(1);
        sample.read(row, &mut vector);
        let residual: Vec<f32> = vector.iter().zip(centroid_of(row)).map(|(part, centre)| part - centre).collect();
        let length = residual.iter().map(|part| part * part).sum::<f32>().sqrt();
        let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
        residual.into_iter().map(|part| part * factor).collect()
    });
    rows.collect()
}
