//! The pass over the codes: which rows may be among the most and the least similar ones.

use crate::kernels::{Kernels, ScanParams, prefetch};
use crate::layers::{BLOCK_SLOTS, Factors, Layers};
use crate::query::CodedQuery;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// How much is done for a good answer. More slack and more candidates find more of the true neighbours and take longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// How many standard deviations of the first layer's error a row is given before it is dismissed.
    pub first_slack: f32,
    /// The same for the estimate by all dimensions.
    pub second_slack: f32,
    /// Which lists are scanned for the similar end.
    pub near_lists: ListEffort,
    /// Which lists are scanned for the dissimilar end.
    pub far_lists: ListEffort,
    /// Most rows per end whose exact vectors are read, as a multiple of `k`.
    pub candidates_per_k: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            first_slack: 1.5,
            second_slack: 2.0,
            near_lists: ListEffort { reach: 5.0, least: 0.02, most: 0.4 },
            far_lists: ListEffort { reach: 6.5, least: 0.06, most: 0.2 },
            candidates_per_k: 256,
        }
    }
}

/// Which lists are scanned for one end, in shards that have lists. They come by how near to that end their centroids
/// are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListEffort {
    /// How many standard deviations of its rows' scores a list is expected to reach beyond its centroid; lists that would
    /// have to reach further are not scanned.
    pub reach: f32,
    /// The share of all lists that is scanned whatever they promise, from 0 to 1.
    pub least: f32,
    /// The greatest share of all lists that is scanned, from 0 to 1. It does not hold where a filter is asked for, and
    /// as long as fewer references were found than are wanted.
    pub most: f32,
}

/// A row that may be near enough to an end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Estimate, larger is better: the score for the similar end, minus the score for the dissimilar one.
    pub(crate) estimate: f32,
    /// What the estimate hardly exceeds.
    pub(crate) bound: f32,
    pub(crate) slot: u32,
}

/// A float in its total order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ordered(pub(crate) f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The candidates for one end.
#[derive(Debug)]
pub(crate) struct Pool {
    k: usize,
    most: usize,
    entries: Vec<Entry>,
    /// The `k` best of what rows have at least; the top is the worst of them.
    floor: BinaryHeap<std::cmp::Reverse<Ordered>>,
    /// Estimates below this have been pruned.
    pruned: f32,
}

impl Pool {
    pub(crate) fn new(k: usize, most: usize) -> Self {
        Self { k, most: most.max(k), entries: Vec::new(), floor: BinaryHeap::new(), pruned: f32::NEG_INFINITY }
    }

    /// What a row's bound must reach to matter.
    pub(crate) fn cut(&self) -> f32 {
        if self.k == 0 {
            return f32::INFINITY;
        }
        let floor = self.floor.peek().filter(|_| self.floor.len() == self.k);
        floor.map_or(f32::NEG_INFINITY, |floor| floor.0.0).max(self.pruned)
    }

    /// Takes a row in. Estimates that are not numbers come from damaged codes and are left out.
    fn offer(&mut self, estimate: f32, slack: f32, slot: u32) {
        let bound = estimate + slack;
        if bound.is_nan() || bound < self.cut() {
            return;
        }
        self.raise(estimate - slack);
        self.entries.push(Entry { estimate, bound, slot });
        if self.entries.len() >= 2 * self.most {
            self.prune();
        }
    }

    fn raise(&mut self, least: f32) {
        if self.floor.len() < self.k {
            self.floor.push(std::cmp::Reverse(Ordered(least)));
        } else if let Some(mut worst) = self.floor.peek_mut()
            && least > worst.0.0
        {
            *worst = std::cmp::Reverse(Ordered(least));
        }
    }

    /// Keeps those whose bound still matters, and of them the `most` best.
    fn prune(&mut self) {
        let cut = self.cut();
        self.entries.retain(|entry| entry.bound >= cut);
        if self.entries.len() > self.most {
            self.entries.sort_unstable_by(best_first);
            self.entries.truncate(self.most);
            self.pruned = self.entries.last().map_or(self.pruned, |worst| worst.estimate);
        }
    }

    /// The candidates, best first.
    pub(crate) fn into_entries(mut self) -> Vec<Entry> {
        self.prune();
        self.entries.sort_unstable_by(best_first);
        self.entries
    }
}

/// By descending estimate, then slot.
fn best_first(a: &Entry, b: &Entry) -> Ordering {
    b.estimate.total_cmp(&a.estimate).then(a.slot.cmp(&b.slot))
}

/// The codes of a shard as they lie in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codes<'a> {
    pub(crate) layers: Layers,
    pub(crate) blocks: &'a [u8],
    pub(crate) second: &'a [u8],
}

/// What both layers say of `y·r` of a row: the weight, and the estimate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Estimates {
    pub(crate) first: (f32, f32),
    pub(crate) second: (f32, f32),
}

impl Codes<'_> {
    /// The estimates for the first `count` slots.
    pub(crate) fn estimates(&self, query: &CodedQuery, count: usize) -> Vec<Estimates> {
        let (kernels, block_bytes) = (Kernels::active(), self.layers.block_bytes());
        let mut estimates = Vec::with_capacity(count);
        // Cuts that every row passes.
        let params =
            ScanParams { base: 0.0, a: 0.0, b: 0.0, s: 0.0, near_cut: f32::NEG_INFINITY, far_cut: f32::INFINITY };
        let mut visit = |at: usize, sums: &[u16; BLOCK_SLOTS], _: u64, _: u64| {
            let block = self.blocks.get(at * block_bytes..).unwrap_or_default();
            for (slot, sum) in sums.iter().enumerate() {
                let factors = self.layers.factors(block, slot);
                let second = query.second_sum((kernels.masked_sum)(
                    &self.words(at * BLOCK_SLOTS + slot),
                    &query.flip,
                    &query.weights,
                ));
                estimates.push(Estimates {
                    first: (factors.first, factors.first * query.first_sum(*sum)),
                    second: (factors.second, factors.second * second),
                });
            }
            (f32::NEG_INFINITY, f32::INFINITY)
        };
        (kernels.scan_blocks)(self.blocks, block_bytes, &query.tables, &params, &mut visit);
        estimates.truncate(count);
        estimates
    }

    /// The second layer of a slot.
    fn words(&self, slot: usize) -> Vec<u64> {
        self.second_of(slot).as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
    }
}

impl<'a> Codes<'a> {
    /// The bytes of the second layer of a slot; none beyond the section.
    fn second_of(&self, slot: usize) -> &'a [u8] {
        let bytes = self.layers.second_bytes();
        let start = slot.saturating_mul(bytes);
        self.second.get(start..start.saturating_add(bytes)).unwrap_or_default()
    }
}

/// A run of blocks with one centroid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Its first block.
    pub(crate) first_block: usize,
    /// Slots from the first block on that hold rows.
    pub(crate) slots: usize,
    /// Dot product of the query with the centroid.
    pub(crate) base: f32,
}

/// A row that the first layer left, on its way to the second.
#[derive(Debug, Clone, Copy)]
struct Pending {
    slot: u32,
    /// What the query's and the row's sums are added to.
    base: f32,
    factors: Factors,
    first_sum: f32,
    near: bool,
    far: bool,
}

/// Rows that wait for the second layer at once, so that it comes from memory for all of them together.
const PENDING: usize = 32;

/// One pass over codes, for both ends.
pub(crate) struct Pass<'a> {
    kernels: &'static Kernels,
    codes: Codes<'a>,
    query: &'a CodedQuery,
    effort: Effort,
    pub(crate) near: Pool,
    pub(crate) far: Pool,
    pending: Vec<Pending>,
    words: Vec<u64>,
    /// Rows of which the first layer was read.
    pub(crate) scanned: u64,
    /// Rows of which the second layer was read.
    pub(crate) second: u64,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
        kernels: &'static Kernels,
        codes: Codes<'a>,
        query: &'a CodedQuery,
        effort: Effort,
        (near, far): (Pool, Pool),
    ) -> Self {
        let words = vec![0; codes.layers.second_words()];
        let pending = Vec::with_capacity(PENDING + BLOCK_SLOTS);
        Self { kernels, codes, query, effort, near, far, pending, words, scanned: 0, second: 0 }
    }

    /// Standard deviation of rows around their centroids in the query's direction, per unit of their distance.
    pub(crate) fn spread(&self) -> f32 {
        self.query.spread
    }

    /// Scans a run. `admit` says of a slot whether its row is wanted; it is asked only about rows that look good. Some rows
    /// may be left waiting for the second layer, until more of them come or the pass [ends](Self::end).
    pub(crate) fn scan(&mut self, run: Run, admit: &mut dyn FnMut(u32) -> bool) {
        let block_bytes = self.codes.layers.block_bytes();
        let count = run.slots.div_ceil(BLOCK_SLOTS);
        let start = run.first_block.saturating_mul(block_bytes);
        let Some(blocks) = self.codes.blocks.get(start..start.saturating_add(count.saturating_mul(block_bytes))) else {
            return;
        };
        self.scanned += run.slots as u64;
        let (kernels, query) = (self.kernels, self.query);
        let params = ScanParams {
            base: run.base,
            a: query.table_scale,
            b: query.table_offset,
            s: query.first_deviation * self.effort.first_slack,
            near_cut: self.near.cut(),
            far_cut: -self.far.cut(),
        };
        let mut visit = |at: usize, sums: &[u16; BLOCK_SLOTS], near: u64, far: u64| {
            let valid = valid_slots(run.slots.saturating_sub(at * BLOCK_SLOTS));
            let block = blocks.get(at * block_bytes..).unwrap_or_default();
            self.keep(block, (run.first_block + at, run.base), sums, (near & valid, far & valid));
            if self.pending.len() >= PENDING {
                self.look_closer(admit);
            }
            (self.near.cut(), -self.far.cut())
        };
        (kernels.scan_blocks)(blocks, block_bytes, &query.tables, &params, &mut visit);
    }

    /// Looks closer at what still waits after the last run.
    pub(crate) fn end(&mut self, admit: &mut dyn FnMut(u32) -> bool) {
        self.look_closer(admit);
    }

    /// Notes the rows of a block that the first layer left, and asks for their second layer.
    fn keep(
        &mut self,
        block: &[u8],
        (block_index, base): (usize, f32),
        sums: &[u16; BLOCK_SLOTS],
        (near, far): (u64, u64),
    ) {
        let mut left = near | far;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            let index = block_index * BLOCK_SLOTS + at;
            let Ok(slot) = u32::try_from(index) else { return };
            prefetch(self.codes.second_of(index));
            let factors = self.codes.layers.factors(block, at);
            let first_sum = self.query.first_sum(sums.get(at).copied().unwrap_or_default());
            let (near, far) = (near >> at & 1 == 1, far >> at & 1 == 1);
            self.pending.push(Pending { slot, base: base + factors.add, factors, first_sum, near, far });
        }
    }

    /// Offers the noted rows to the pools by what the second layer says of them.
    fn look_closer(&mut self, admit: &mut dyn FnMut(u32) -> bool) {
        for at in 0..self.pending.len() {
            let Some(row) = self.pending.get(at).copied() else { break };
            let (weight, sum, deviation) = self.closer(&row);
            let estimate = row.base + weight * sum;
            let slack = weight * deviation * self.effort.second_slack;
            let near = row.near && estimate + slack >= self.near.cut();
            let far = row.far && slack - estimate >= self.far.cut();
            if (near || far) && admit(row.slot) {
                if near {
                    self.near.offer(estimate, slack, row.slot);
                }
                if far {
                    self.far.offer(-estimate, slack, row.slot);
                }
            }
        }
        self.pending.clear();
    }

    /// What a row's sum is multiplied with, the sum over all dimensions, and its deviation; where the first layer is
    /// all, what is known of that.
    fn closer(&mut self, row: &Pending) -> (f32, f32, f32) {
        if self.words.is_empty() {
            return (row.factors.first, row.first_sum, self.query.first_deviation);
        }
        self.second += 1;
        for (word, bytes) in self.words.iter_mut().zip(self.codes.second_of(row.slot as usize).as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let sum = (self.kernels.masked_sum)(&self.words, &self.query.flip, &self.query.weights);
        (row.factors.second, self.query.second_sum(sum), self.query.second_deviation)
    }
}

/// The slots of a block that hold rows, of so many from its first slot on.
fn valid_slots(slots: usize) -> u64 {
    if slots >= BLOCK_SLOTS { u64::MAX } else { (1 << slots) - 1 }
}
