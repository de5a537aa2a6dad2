//! Several shards that are searched as one.

use crate::error::{OpenError, ReadError, SearchError};
use crate::reference::Reference;
use crate::search::{Hit, Retrieval, SearchOptions};
use crate::sections::removed::RemovedRows;
use crate::set_search::SetSearch;
use crate::shard::Shard;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One or more shards of one embedding space, searched as one.
#[derive(Debug)]
pub struct ShardSet {
    space: String,
    dimensions: usize,
    shards: Vec<Shard>,
}

impl ShardSet {
    /// Opens every shard, as [`Shard::open`] does, and sees that all are of one embedding space.
    ///
    /// # Errors
    /// An empty list; the first shard that cannot be opened; the first one of another space or width than the first of
    /// the list, naming both files and both spaces; the same shard twice.
    pub fn open(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let shards = paths.iter().map(|path| Shard::open(path)).collect::<Result<Vec<_>, _>>()?;
        let first = shards.first().ok_or(OpenError::NoShards)?;
        shards.iter().try_for_each(|shard| fits(first, shard))?;
        all_different(&shards)?;
        let (space, dimensions) = (first.description().space.clone(), first.description().dimensions);
        Ok(Self { space, dimensions, shards })
    }

    /// The shards, in the order in which they were given.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Number of references in all shards that no shard of the set has removed.
    pub fn len(&self) -> usize {
        let left = |(position, shard): (usize, &Shard)| {
            let removed = self.removed(position).unwrap_or_default();
            let mut rows: Vec<u32> =
                removed.iter().flat_map(RemovedRows::rows).filter(|row| *row < shard.rows()).collect();
            rows.sort_unstable();
            rows.dedup();
            shard.len().saturating_sub(rows.len())
        };
        self.shards.iter().enumerate().map(left).sum()
    }

    /// Whether no reference is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The embedding space of all shards.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// Width of an embedding.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// What stands for the content of all shards, 64 hexadecimal digits: the digest of the one shard; for several, the
    /// SHA-256 over their digests, as hexadecimal digits, one after the other in order.
    pub fn digest(&self) -> String {
        if let [shard] = self.shards.as_slice() {
            return shard.digest().into();
        }
        let mut hasher = Sha256::new();
        self.shards.iter().for_each(|shard| hasher.update(shard.digest()));
        crate::digest::Digest::of(hasher).to_string()
    }

    /// Returns the `k` most similar references and `k` dissimilar ones, both from one pass. `query` has
    /// [`dimensions`](Self::dimensions) components and any length but zero: it is brought to unit length here.
    ///
    /// Scores are exact for the vectors as they are stored. Which references are found is exact in shards of up to
    /// 8192 rows and wherever the filter admits up to 200,000 rows of a shard; else rows are chosen by their codes, and
    /// [`Effort`](crate::Effort) says how carefully. The same on every run and CPU, and for any number of threads.
    ///
    /// # Errors
    /// A query of another width, with a component that is not finite, or zero; `k` or `threads` of 0; an impossible
    /// filter or radius; a shard that was cut after it had been opened.
    pub fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Retrieval, SearchError> {
        if query.len() != self.dimensions {
            return Err(SearchError::Dimensions { expected: self.dimensions, found: query.len() });
        }
        SetSearch::new(self, query, options)?.run()
    }

    /// The rows of shard `position` that other shards of the set have removed.
    pub(crate) fn removed(&self, position: usize) -> Result<Vec<RemovedRows<'_>>, ReadError> {
        let Some(shard) = self.shards.get(position) else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        for other in &self.shards {
            removed.extend(other.removed()?.of(shard.digest_bytes()));
        }
        Ok(removed)
    }

    /// Calls `visit` for all references that no shard of the set has removed, shard by shard and by row; the number is
    /// the position of the shard in the set. Each packed part of a file is unpacked once.
    ///
    /// # Errors
    /// Those of `visit`; or a shard is damaged or was cut.
    pub fn for_each_reference<E: From<ReadError>>(
        &self,
        mut visit: impl FnMut(usize, Reference) -> Result<(), E>,
    ) -> Result<(), E> {
        for (position, shard) in self.shards.iter().enumerate() {
            let removed = self.removed(position)?;
            shard.for_each_reference(|reference| {
                let gone = removed.iter().any(|rows| rows.contains(reference.row));
                if gone { Ok(()) } else { visit(position, reference) }
            })?;
        }
        Ok(())
    }

    /// The reference of a hit.
    ///
    /// # Errors
    /// No such shard or row; or the shard is damaged there or was cut.
    pub fn reference(&self, hit: &Hit) -> Result<Reference, ReadError> {
        let missing = || ReadError::NoSuchShard { found: hit.shard, shards: self.shards.len() };
        self.shards.get(hit.shard).ok_or_else(missing)?.reference(hit.row)
    }

    /// The references of hits, in their order; faster than asking for [each](Self::reference) by itself.
    ///
    /// # Errors
    /// No such shard or row; or a shard is damaged there or was cut.
    pub fn references(&self, hits: &[Hit]) -> Result<Vec<Reference>, ReadError> {
        let mut rows_of: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        hits.iter().for_each(|hit| rows_of.entry(hit.shard).or_default().push(hit.row));
        let mut found = BTreeMap::new();
        for (position, rows) in rows_of {
            let missing = || ReadError::NoSuchShard { found: position, shards: self.shards.len() };
            let references = self.shards.get(position).ok_or_else(missing)?.references(&rows)?;
            found.insert(position, references.into_iter());
        }
        // The references of a shard come in the order of its hits.
        Ok(hits.iter().filter_map(|hit| found.get_mut(&hit.shard)?.next()).collect())
    }
}

/// Passes when no shard is there twice: its references would come twice.
fn all_different(shards: &[Shard]) -> Result<(), OpenError> {
    let mut seen = BTreeMap::new();
    for shard in shards {
        if let Some(first) = seen.insert(shard.digest(), shard.path()) {
            return Err(OpenError::Twice { first: first.into(), path: shard.path().into() });
        }
    }
    Ok(())
}

/// Passes when `shard` may be searched together with `first`.
fn fits(first: &Shard, shard: &Shard) -> Result<(), OpenError> {
    let (wanted, has) = (first.description(), shard.description());
    if has.space != wanted.space {
        return Err(OpenError::OtherSpace {
            first: first.path().into(),
            expected: wanted.space.clone(),
            path: shard.path().into(),
            found: has.space.clone(),
        });
    }
    if has.dimensions != wanted.dimensions {
        return Err(OpenError::OtherWidth {
            first: first.path().into(),
            expected: wanted.dimensions,
            path: shard.path().into(),
            found: has.dimensions,
        });
    }
    Ok(())
}
