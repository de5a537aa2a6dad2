//! Several shards that are searched as one.

use crate::error::{OpenError, ReadError, SearchError};
use crate::search::{Hit, Retrieval, Scan, SearchOptions};
use crate::shard::{Reference, Shard};
use sha2::{Digest as _, Sha256};
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
    /// the list, naming both files and both spaces.
    pub fn open(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let shards = paths.iter().map(|path| Shard::open(path)).collect::<Result<Vec<_>, _>>()?;
        let first = shards.first().ok_or(OpenError::NoShards)?;
        shards.iter().try_for_each(|shard| fits(first, shard))?;
        let (space, dimensions) = (first.description().space.clone(), first.description().dimensions);
        Ok(Self { space, dimensions, shards })
    }

    /// The shards, in the order in which they were given.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Number of references in all shards, at least 1.
    pub fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// Always false: there is at least one shard, and a shard has at least one reference.
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

    /// Compares the query with every reference in the window and returns the `k` most and the `k` least similar ones,
    /// both from one pass. Exact; the same on every run and CPU. `query` has [`dimensions`](Self::dimensions)
    /// components and any length but zero: it is brought to unit length here.
    ///
    /// # Errors
    /// A query of another width, with a component that is not finite, or zero; `k` of 0; an impossible window; a shard
    /// that was cut after it had been opened.
    pub fn search(&self, query: &[f32], options: &SearchOptions) -> Result<Retrieval, SearchError> {
        if query.len() != self.dimensions {
            return Err(SearchError::Dimensions { expected: self.dimensions, found: query.len() });
        }
        let scan = Scan::new(query, options)?;
        let mut ends = scan.ends();
        for (position, shard) in self.shards.iter().enumerate() {
            shard.scan(&scan, position, &mut ends)?;
        }
        Ok(ends.into_retrieval())
    }

    /// The reference of a hit.
    ///
    /// # Errors
    /// No such shard or row; or the shard is damaged there or was cut.
    pub fn reference(&self, hit: &Hit) -> Result<Reference<'_>, ReadError> {
        let missing = || ReadError::NoSuchShard { found: hit.shard, shards: self.shards.len() };
        self.shards.get(hit.shard).ok_or_else(missing)?.reference(hit.row)
    }
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
