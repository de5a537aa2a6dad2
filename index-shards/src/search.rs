//! What is asked of shards and what comes back.

use crate::filter::Filter;
use crate::scan::Effort;

/// What is asked of a search beside the query.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// How many references are wanted at each end; at least 1.
    pub k: usize,
    /// What references must be like to be found, at either end.
    pub filter: Filter,
    /// Which references the dissimilar end is made of.
    pub dissimilar: Dissimilar,
    /// Against duplicates of one place; `None` for no limit.
    pub per_place: Option<PerPlace>,
    /// How much is done for a good answer.
    pub effort: Effort,
    /// How many threads the search may use; at least 1. The answer does not depend on it.
    pub threads: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            k: 16,
            filter: Filter::default(),
            dissimilar: Dissimilar::default(),
            per_place: None,
            effort: Effort::default(),
            threads: 1,
        }
    }
}

/// Which references the dissimilar end is made of. Whichever it is, they come by ascending score, and only admitted
/// ones come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Dissimilar {
    /// The least similar ones.
    #[default]
    Farthest,
    /// None: nothing is looked for at that end, which takes less time.
    None,
    /// Any, drawn by this seed; each equally often.
    Random {
        /// The same seed draws the same references from the same shards.
        seed: u64,
    },
    /// Typical ones of the least similar kinds: of the centroids that are farthest from the query, the references that
    /// are nearest to them. Where there are too few admitted ones, the least similar references fill up.
    Centroid,
    /// The least similar ones of the neighbourhood: within the filter's window, or without one within this distance of
    /// the most similar reference.
    FarInWindow {
        /// Metres; finite and not negative.
        radius_m: f64,
    },
}

/// A limit on how many references of one place a list may have. Two references show one place when they are near each
/// other, or when the place of one lies in the footprint of the other. The better one stays; the list is filled up from
/// the 64 `k` best ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerPlace {
    /// Most references of a place; at least 1.
    pub most: usize,
    /// How near is near, metres; finite and not negative.
    pub radius_m: f64,
}

/// A reference that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Position of its shard in the set.
    pub shard: usize,
    /// Its row in that shard.
    pub row: u32,
    /// Cosine between query and reference, -1 to 1, of the vectors as they are stored: within about 1e-3 of the cosine
    /// of the vectors that were given. The same on every CPU.
    pub score: f32,
}

/// Both ends of the ranking. Each list has `k` hits, or as many as there are admitted rows; with [`Dissimilar::None`]
/// the second is empty. A row can be in both. Rows whose stored vector is damaged so that its score is not a finite
/// number are in neither.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retrieval {
    /// The most similar references, by descending score; ties by shard, then row.
    pub similar: Vec<Hit>,
    /// Dissimilar references, by ascending score; ties by shard, then row.
    pub dissimilar: Vec<Hit>,
    /// What the search did for it.
    pub work: Work,
}

/// What a search did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Rows whose first code layer was read.
    pub scanned_rows: u64,
    /// Rows whose second code layer was read.
    pub second_rows: u64,
    /// Rows whose vector was read.
    pub exact_rows: u64,
    /// Lists that were scanned.
    pub lists: u64,
    /// Bytes of codes and vectors that all of this comes to.
    pub bytes: u64,
}

impl Work {
    /// Adds what another part of the search did.
    pub(crate) fn add(&mut self, other: Self) {
        self.scanned_rows += other.scanned_rows;
        self.second_rows += other.second_rows;
        self.exact_rows += other.exact_rows;
        self.lists += other.lists;
        self.bytes += other.bytes;
    }
}
