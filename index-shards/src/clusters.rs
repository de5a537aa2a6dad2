//! Centroids of a shard's rows: where its lists are, and what is typical of it.
//!
//! Found by k-means (S. P. Lloyd, "Least Squares Quantization in PCM", 1982) on a sample. Rows and centroids are
//! compared by the same codes and kernels as in a search, which is several times faster than all dot products, and
//! gives the same centroids on every CPU and for any number of threads.

use crate::kernels::Kernels;
use crate::layers::{BlockWriter, Layers};
use crate::query::{CodedQuery, Query};
use crate::row::{best_scale, dequantize, quantize};
use crate::scan::{Codes, Effort, Pass, Pool, Run};
use crate::tiles::for_each_score;
use std::num::NonZero;
use std::thread;

/// How often all of the sample is assigned and the centroids moved.
const ROUNDS: usize = 6;
/// Centroids whose exact vectors are compared, at most.
const CANDIDATES: usize = 24;
/// Up to so many centroids, all are compared: making a query for the codes takes as long.
const FEW: usize = 512;
/// Rows that are assigned at once.
const ASSIGNED: usize = 64;
/// Rows of a flat shard per centroid, at least.
const ROWS_PER_EXEMPLAR: u32 = 256;
/// Centroids of a flat shard, at most.
const MAX_EXEMPLARS: u32 = 64;
/// Rows of a list, about, when the builder chooses.
const ROWS_PER_LIST: u32 = 1000;
/// Most lists.
pub(crate) const MAX_LISTS: u32 = 16_384;
/// From so many rows on the builder chooses lists: below, one pass over all codes is fast enough and misses less.
const LISTS_FROM: u32 = 2_000_000;
/// Share of a list's rows that lie within its radius.
const RADIUS_SHARE: f64 = 0.95;

/// How a writer lays out the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayoutChoice {
    /// By the number of rows.
    #[default]
    Auto,
    /// All rows in one list.
    Flat,
    /// So many lists, at most a quarter of the rows and 16,384.
    Lists(u32),
}

/// How the codes of a shard are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Whether rows are grouped by centroid.
    pub(crate) lists: bool,
    /// Number of centroids.
    pub(crate) centroids: u32,
}

impl Layout {
    /// For a shard of so many rows.
    pub(crate) fn choose(rows: u32, choice: LayoutChoice) -> Self {
        let exemplars = (rows / ROWS_PER_EXEMPLAR).min(MAX_EXEMPLARS).max(rows.min(1));
        let lists = match choice {
            LayoutChoice::Flat => None,
            LayoutChoice::Lists(lists) => Some(lists),
            LayoutChoice::Auto => (rows >= LISTS_FROM).then_some(rows / ROWS_PER_LIST),
        };
        match lists.map(|lists| lists.min(rows / 4).min(MAX_LISTS)).filter(|lists| *lists > 1) {
            Some(centroids) => Self { lists: true, centroids },
            None => Self { lists: false, centroids: exemplars },
        }
    }

    /// Why a shard of so many rows has this layout, in words.
    pub(crate) fn reason(self, rows: u32) -> String {
        let usual = Self::choose(rows, LayoutChoice::Auto);
        match (self == usual, self.lists) {
            (true, false) => {
                format!("below {LISTS_FROM} rows one pass over all codes takes a few milliseconds and misses less")
            }
            (true, true) => {
                format!("from {LISTS_FROM} rows on it pays to scan the nearest and the farthest lists only")
            }
            (false, _) => "chosen when it was built".to_owned(),
        }
    }
}

/// Rows as they are stored, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredRows<'a> {
    pub(crate) scales: &'a [f32],
    pub(crate) bytes: &'a [u8],
    pub(crate) dimensions: usize,
}

impl StoredRows<'_> {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Writes a row to `out`, which has its width.
    pub(crate) fn read(&self, row: usize, out: &mut [f32]) {
        let start = row * self.dimensions;
        let bytes = self.bytes.get(start..start + self.dimensions).unwrap_or_default();
        dequantize(self.scales.get(row).copied().unwrap_or_default(), bytes, out);
    }
}

/// A centroid as it is stored; not of unit length.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Centroid {
    pub(crate) scale: f32,
    pub(crate) bytes: Vec<u8>,
    /// What the two stand for, rotated.
    pub(crate) vector: Vec<f32>,
    half_square: f32,
}

impl Centroid {
    fn stored(&self) -> (f32, &[u8]) {
        (self.scale, &self.bytes)
    }

    fn of(vector: &[f32]) -> Self {
        let mut bytes = vec![0; vector.len()];
        quantize(vector, &mut bytes);
        let bytes: Vec<u8> = bytes.into_iter().map(i8::cast_unsigned).collect();
        // Not the scale of unit length: the one by which bytes and vector agree best.
        let scale = best_scale(vector, &bytes);
        let mut stored = vec![0.0; vector.len()];
        dequantize(scale, &bytes, &mut stored);
        let half_square = stored.iter().map(|part| part * part).sum::<f32>() / 2.0;
        Self { scale, bytes, vector: stored, half_square }
    }
}

/// The nearest centroid so far, by `x·c - |c|²/2`.
#[derive(Debug, Clone, Copy)]
struct Nearest {
    at: usize,
    value: f32,
}

impl Default for Nearest {
    fn default() -> Self {
        Self { at: 0, value: f32::NEG_INFINITY }
    }
}

impl Nearest {
    /// Of equals the first one is the nearest.
    fn offer(&mut self, at: usize, value: f32) {
        if value > self.value || (value == self.value && at < self.at) {
            *self = Self { at, value };
        }
    }

    /// The centroid and the squared distance: `|x - c|² = |x|² - 2 (x·c - |c|²/2)`, and `|x| = 1`.
    fn found(self) -> (u32, f32) {
        (u32::try_from(self.at).unwrap_or(u32::MAX), (1.0 - 2.0 * self.value).max(0.0))
    }
}

/// The centroids, ready for rows to be assigned to them.
#[derive(Debug)]
pub(crate) struct Clusters {
    pub(crate) centroids: Vec<Centroid>,
    mean: Vec<f32>,
    layers: Layers,
    blocks: Vec<u8>,
    second: Vec<u8>,
}

impl Clusters {
    /// Finds `count` centroids of a sample whose rows stand in row order. `mean` is that of all rows.
    pub(crate) fn train(sample: StoredRows<'_>, count: u32, mean: &[f32], threads: NonZero<usize>) -> Self {
        let count = (count as usize).min(sample.len());
        let mut vector = vec![0.0; sample.dimensions];
        let start = |at: usize| {
            sample.read(at * sample.len() / count.max(1), &mut vector);
            Centroid::of(&vector)
        };
        let mut clusters = Self::of((0..count).map(start).collect(), mean);
        for _ in 0..ROUNDS {
            let assigned = clusters.assign_all(sample, threads);
            clusters = Self::of(moved(&clusters, sample, &assigned), mean);
        }
        clusters
    }

    fn of(centroids: Vec<Centroid>, mean: &[f32]) -> Self {
        let layers = Layers::new(mean.len());
        let mut clusters = Self { centroids, mean: mean.to_vec(), layers, blocks: Vec::new(), second: Vec::new() };
        let mut writer = BlockWriter::new(layers, mean, None);
        let (blocks, second) = (&mut clusters.blocks, &mut clusters.second);
        let mut take = |writer: &mut BlockWriter<'_>| {
            writer.take(|block, words| {
                blocks.extend_from_slice(block);
                second.extend_from_slice(words);
            });
        };
        for centroid in &clusters.centroids {
            if writer.push(&centroid.vector, mean, -centroid.half_square) {
                take(&mut writer);
            }
        }
        if !writer.is_empty() {
            take(&mut writer);
        }
        clusters
    }

    /// The centroid nearest to each of some rows (as they are stored, rotated), and the squared distance to it.
    fn assign(&self, rows: &[Query]) -> Vec<(u32, f32)> {
        let mut nearest = vec![Nearest::default(); rows.len()];
        if self.centroids.len() <= FEW {
            let centroid = |at: usize| self.centroids.get(at).map_or((0.0, &[][..]), Centroid::stored);
            for_each_score(rows, (self.centroids.len(), centroid), |row, first, scores| {
                let Some(nearest) = nearest.get_mut(row) else { return };
                let centroids = self.centroids.get(first..).unwrap_or_default();
                for ((score, centroid), at) in scores.iter().zip(centroids).zip(first..) {
                    nearest.offer(at, score - centroid.half_square);
                }
            });
        } else {
            let kernels = Kernels::active();
            for (row, nearest) in rows.iter().zip(&mut nearest) {
                for at in self.candidates(kernels, row) {
                    let Some(centroid) = self.centroids.get(at as usize) else { continue };
                    let score = row.score(kernels, centroid.scale, &centroid.bytes);
                    nearest.offer(at as usize, score - centroid.half_square);
                }
            }
        }
        nearest.into_iter().map(Nearest::found).collect()
    }

    /// The centroids that may be the nearest one, by their codes.
    fn candidates(&self, kernels: &'static Kernels, query: &Query) -> Vec<u32> {
        let coded = CodedQuery::isotropic(query, &self.mean, self.layers);
        let codes = Codes { layers: self.layers, blocks: &self.blocks, second: &self.second };
        let pools = (Pool::new(1, CANDIDATES), Pool::new(0, 0));
        let mut pass = Pass::new(kernels, codes, &coded, Effort::default(), pools);
        let base = query.rotated().iter().zip(&self.mean).map(|(query, mean)| query * mean).sum();
        pass.scan(Run { first_block: 0, slots: self.centroids.len(), base }, &mut |_| true);
        pass.end(&mut |_| true);
        pass.near.into_entries().into_iter().map(|entry| entry.slot).collect()
    }

    /// The centroid nearest to each row, and the squared distance to it.
    pub(crate) fn assign_all(&self, rows: StoredRows<'_>, threads: NonZero<usize>) -> Vec<(u32, f32)> {
        let chunk = rows.len().div_ceil(threads.get()).max(1);
        let assign = |start: usize| {
            let end = (start + chunk).min(rows.len());
            let row = |at| {
                let mut vector = vec![0.0; rows.dimensions];
                rows.read(at, &mut vector);
                Query::of_rotated(vector)
            };
            let mut assigned = Vec::with_capacity(end - start);
            for first in (start..end).step_by(ASSIGNED) {
                let queries: Vec<Query> = (first..end.min(first + ASSIGNED)).map(row).collect();
                assigned.append(&mut self.assign(&queries));
            }
            assigned
        };
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..rows.len()).step_by(chunk).map(|start| scope.spawn(move || assign(start))).collect();
            // A worker that panicked is assigned again here, where the panic is seen.
            workers
                .into_iter()
                .zip((0..).step_by(chunk))
                .flat_map(|(worker, start)| worker.join().unwrap_or_else(|_| assign(start)))
                .collect()
        })
    }
}

/// The centroids moved to the means of what was assigned to them. One that got nothing takes the place of a row that is
/// far from its own.
fn moved(clusters: &Clusters, sample: StoredRows<'_>, assigned: &[(u32, f32)]) -> Vec<Centroid> {
    let dimensions = sample.dimensions;
    let mut sums = vec![0.0_f64; clusters.centroids.len() * dimensions];
    let mut counts = vec![0_u32; clusters.centroids.len()];
    let mut vector = vec![0.0; dimensions];
    for (row, (centroid, _)) in assigned.iter().enumerate() {
        sample.read(row, &mut vector);
        let sum = sums.chunks_exact_mut(dimensions).nth(*centroid as usize).unwrap_or_default();
        sum.iter_mut().zip(&vector).for_each(|(sum, part)| *sum += f64::from(*part));
        if let Some(count) = counts.get_mut(*centroid as usize) {
            *count += 1;
        }
    }
    let mut far: Vec<usize> = (0..assigned.len()).collect();
    far.sort_by(|a, b| distance(assigned, *b).total_cmp(&distance(assigned, *a)).then(a.cmp(b)));
    let mut far = far.into_iter();
    let means = sums.chunks_exact(dimensions.max(1)).zip(&counts);
    means
        .map(|(sum, count)| {
            if *count == 0 {
                sample.read(far.next().unwrap_or_default(), &mut vector);
            } else {
                #[expect(clippy::cast_possible_truncation, reason = "rounded to f32")]
                vector.iter_mut().zip(sum).for_each(|(part, sum)| *part = (sum / f64::from(*count)) as f32);
            }
            Centroid::of(&vector)
        })
        .collect()
}

fn distance(assigned: &[(u32, f32)], row: usize) -> f32 {
    assigned.get(row).map_or(0.0, |(_, distance)| *distance)
}

/// What is kept of a centroid's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members {
    distances: Vec<f32>,
    medoid: Option<(u32, f32)>,
}

impl Members {
    /// Takes a row in with its squared distance to the centroid.
    pub(crate) fn push(&mut self, row: u32, squared_distance: f32) {
        self.distances.push(squared_distance);
        if self.medoid.is_none_or(|(_, least)| squared_distance < least) {
            self.medoid = Some((row, squared_distance));
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.distances.len()
    }

    /// The row nearest to the centroid, the first of equals; `None` without rows.
    pub(crate) fn medoid(&self) -> Option<u32> {
        self.medoid.map(|(row, _)| row)
    }

    /// The distance within which nearly all of the rows lie.
    pub(crate) fn radius(&mut self) -> f32 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of rows"
        )]
        let at = (self.distances.len() as f64 * RADIUS_SHARE) as usize;
        let at = at.min(self.distances.len().saturating_sub(1));
        if self.distances.is_empty() {
            return 0.0;
        }
        self.distances.select_nth_unstable_by(at, f32::total_cmp).1.sqrt()
    }
}
