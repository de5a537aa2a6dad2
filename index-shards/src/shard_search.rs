//! One shard's share of a search.

use crate::decoder::Decoder;
use crate::ends::{End, Ends, Wanted};
use crate::error::ReadError;
use crate::filter::{Admission, FilterTest};
use crate::kernels::Kernels;
use crate::layers::BLOCK_SLOTS;
use crate::lists::ListOrder;
use crate::mapping::slow_faults;
use crate::query::{CodedQuery, Query};
use crate::scan::{Codes, Effort, Entry, Pass, Pool, Run};
use crate::search::{Hit, Work};
use crate::sections::centroids::Centroids;
use crate::sections::removed::RemovedRows;
use crate::sections::slots::Slots;
use crate::sections::vectors::Rows;
use crate::sections::zones::ZONE_ROWS;
use crate::shard::Shard;
use crate::window::Overlap;
use std::ops::Range;

/// Up to so many rows all vectors are read: that is exact, and as fast as choosing by the codes.
const EXACT_ROWS: u64 = 8192;
/// Up to so many rows that a filter admits all of their vectors are read, so that what is found within a window is
/// exactly what is there.
const EXACT_FILTERED_ROWS: u64 = 200_000;
/// Rows of a part that is scanned on its own, at most; a multiple of a block's and a zone's.
const PART_ROWS: u32 = 1 << 20;
/// The same for parts whose vectors are all read.
const EXACT_PART_ROWS: u32 = 1 << 16;

/// Most candidates for either end, unless `k` comes near it.
const MAX_CANDIDATES: usize = 4096;

/// A part of the search that needs no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All admitted rows of these zones.
    Exact(Range<u32>),
    /// The codes of these rows of a flat shard.
    Flat(Range<u32>),
    /// The lists of a shard, as far as they matter.
    Lists,
}

/// A shard, a query and what is asked.
pub(crate) struct ShardSearch<'a> {
    shard: &'a Shard,
    position: usize,
    kernels: &'static Kernels,
    query: &'a Query,
    admission: Admission<'a>,
    vectors: Rows<'a>,
    centroids: Centroids<'a>,
    slots: Slots<'a>,
    codes: Codes<'a>,
    decoder: Option<Decoder<'a>>,
    wanted: Wanted,
    effort: Effort,
}

impl<'a> ShardSearch<'a> {
    /// `position` is the shard's position in its set, `removed` the rows that others of the set remove from it.
    pub(crate) fn new(
        (shard, position): (&'a Shard, usize),
        query: &'a Query,
        filter: &FilterTest,
        removed: Vec<RemovedRows<'a>>,
        (wanted, effort): (Wanted, Effort),
    ) -> Result<Self, ReadError> {
        let sources = filter.sources.as_ref().map(|names| shard.source_codes(names)).transpose()?;
        let rows = shard.rows();
        Ok(Self {
            shard,
            position,
            kernels: Kernels::active(),
            query,
            admission: Admission::new(filter, sources, removed, (shard.columns()?, shard.zones()?), rows),
            vectors: shard.vectors()?,
            centroids: shard.centroids()?,
            slots: shard.slots()?,
            codes: Codes { layers: shard.layers(), blocks: shard.codes()?, second: shard.second()? },
            decoder: shard.decoder()?,
            wanted,
            effort,
        })
    }

    /// Which rows are admitted.
    pub(crate) fn admission(&self) -> &Admission<'a> {
        &self.admission
    }

    /// The centroids.
    pub(crate) fn centroids(&self) -> Centroids<'a> {
        self.centroids
    }

    /// The parts that this share falls into. They do not depend on the number of threads.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let rows = self.shard.rows();
        if self.is_exact() {
            let zones = EXACT_PART_ROWS / ZONE_ROWS;
            let last = self.admission.zones();
            let part = |first: u32| Part::Exact(first..first.saturating_add(zones).min(last));
            return (0..last).step_by(zones as usize).map(part).collect();
        }
        if self.shard.has_lists() {
            return vec![Part::Lists];
        }
        let part = |first: u32| Part::Flat(first..first.saturating_add(PART_ROWS).min(rows));
        (0..rows).step_by(PART_ROWS as usize).map(part).collect()
    }

    /// Whether all admitted vectors are read.
    fn is_exact(&self) -> bool {
        let rows = u64::from(self.shard.rows());
        // So many of the rows are wanted that the codes could not choose among them.
        let most = (self.wanted.most() as u64).saturating_mul(64).max(EXACT_ROWS);
        rows <= most || (!self.admission.is_open() && self.admission.count(EXACT_FILTERED_ROWS) <= EXACT_FILTERED_ROWS)
    }

    /// What a part finds, and what it took.
    pub(crate) fn run(&self, part: &Part) -> (Ends, Work) {
        match part {
            Part::Exact(zones) => self.run_exact(zones.clone()),
            Part::Flat(rows) => self.run_coded(|pass, mean| self.scan_rows(pass, mean, rows.clone())),
            Part::Lists => self.run_coded(|pass, _| self.scan_lists(pass)),
        }
    }

    /// Whether there is such a row.
    pub(crate) fn holds(&self, row: u32) -> bool {
        row < self.shard.rows()
    }

    /// Dot product of the query with a stored vector.
    pub(crate) fn score(&self, scale: f32, bytes: &[u8]) -> f32 {
        self.query.score(self.kernels, scale, bytes)
    }

    /// The score of a row; not a number where its vector cannot be read.
    pub(crate) fn hit(&self, row: u32) -> Hit {
        let score = self.vectors.get(row).map(|(scale, bytes)| self.score(scale, bytes));
        Hit { shard: self.position, row, score: score.unwrap_or(f32::NAN) }
    }

    fn run_exact(&self, zones: Range<u32>) -> (Ends, Work) {
        let (mut ends, mut exact_rows) = (Ends::new(self.wanted), 0);
        for zone in zones {
            self.admission.for_each(zone, &mut |row| {
                ends.offer(self.hit(row));
                exact_rows += 1;
                true
            });
        }
        let bytes = exact_rows * self.codes.layers.dimensions() as u64;
        (ends, Work { exact_rows, bytes, ..Work::default() })
    }

    /// Scans codes, then reads the vectors of the best candidates for either end. `scan` is also given the mean.
    fn run_coded(&self, scan: impl FnOnce(&mut Pass<'_>, &[f32]) -> u64) -> (Ends, Work) {
        let mean = self.centroids.mean();
        let coded = match self.decoder {
            Some(decoder) => decoder.prepare(self.query, &mean),
            None => CodedQuery::isotropic(self.query, &mean, self.codes.layers),
        };
        let pools = (self.pool(self.wanted.similar), self.pool(self.wanted.dissimilar));
        let mut pass = Pass::new(self.kernels, self.codes, &coded, self.effort, pools);
        let lists = scan(&mut pass, &mean);
        pass.end(&mut |slot| self.admits_slot(slot));
        let (scanned_rows, second_rows) = (pass.scanned, pass.second);
        let (near, far) = (pass.near.into_entries(), pass.far.into_entries());
        self.shard.expect_rows(near.iter().chain(&far).filter_map(|entry| self.slots.row(entry.slot)));
        let mut ends = Ends::new(self.wanted);
        let faults = slow_faults();
        let exact_rows = self.refine(&near, &mut ends.similar) + self.refine(&far, &mut ends.dissimilar);
        if slow_faults() > faults {
            self.shard.was_slow();
        }
        let layers = self.codes.layers;
        let bytes = scanned_rows * layers.block_bytes() as u64 / BLOCK_SLOTS as u64
            + second_rows * layers.second_bytes() as u64
            + exact_rows * layers.dimensions() as u64;
        (ends, Work { scanned_rows, second_rows, exact_rows, lists, bytes })
    }

    /// For the candidates of an end at which `k` rows are wanted.
    fn pool(&self, k: usize) -> Pool {
        let most = k.saturating_mul(self.effort.candidates_per_k).min(MAX_CANDIDATES.max(k.saturating_mul(4)));
        Pool::new(k, most)
    }

    /// Reads the vectors of the candidates that may still get in. Returns how many.
    fn refine(&self, candidates: &[Entry], end: &mut End) -> u64 {
        let mut read = 0;
        for candidate in candidates {
            if end.entry().is_some_and(|entry| candidate.bound < entry) {
                continue;
            }
            if let Some(row) = self.slots.row(candidate.slot) {
                end.offer(self.hit(row));
                read += 1;
            }
        }
        read
    }

    fn admits_slot(&self, slot: u32) -> bool {
        self.slots.row(slot).is_some_and(|row| self.admission.admits(row))
    }

    /// Scans the zones of a flat shard that may have admitted rows, neighbouring ones in one run. Returns no lists.
    fn scan_rows(&self, pass: &mut Pass<'_>, mean: &[f32], rows: Range<u32>) -> u64 {
        let base = self.query.rotated().iter().zip(mean).map(|(query, mean)| query * mean).sum();
        let mut run: Option<Range<u32>> = None;
        let zones = rows.start / ZONE_ROWS..rows.end.div_ceil(ZONE_ROWS);
        for zone in zones {
            if self.admission.overlap(zone) == Overlap::None {
                self.scan_run(pass, run.take(), base);
                continue;
            }
            let of_zone = self.admission.rows_of(zone);
            run = Some(run.map_or(of_zone.clone(), |run| run.start..of_zone.end));
        }
        self.scan_run(pass, run, base);
        0
    }

    fn scan_run(&self, pass: &mut Pass<'_>, rows: Option<Range<u32>>, base: f32) {
        let Some(rows) = rows else { return };
        let run = Run { first_block: rows.start as usize / BLOCK_SLOTS, slots: rows.len(), base };
        pass.scan(run, &mut |slot| self.admits_slot(slot));
    }

    /// Scans near and far lists in turn, so that it is soon known at either end what is good, until none can have a row
    /// for its end. Returns how many lists.
    fn scan_lists(&self, pass: &mut Pass<'_>) -> u64 {
        let efforts = (self.effort.near_lists, self.effort.far_lists);
        let score = |scale, bytes: &[u8]| self.score(scale, bytes);
        let mut order = ListOrder::new(self.centroids, score, pass.spread(), efforts, self.admission.is_open());
        let (mut near, mut far) = (true, true);
        while near || far {
            let run = near.then(|| order.next_similar(pass.near.cut())).flatten();
            near = run.is_some();
            run.into_iter().for_each(|run| pass.scan(run, &mut |slot| self.admits_slot(slot)));
            let run = far.then(|| order.next_dissimilar(pass.far.cut())).flatten();
            far = run.is_some();
            run.into_iter().for_each(|run| pass.scan(run, &mut |slot| self.admits_slot(slot)));
        }
        order.visited()
    }
}
