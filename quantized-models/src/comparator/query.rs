//! What was run of a prompt already, and can be gone on from.

use std::sync::{Arc, OnceLock};

use super::decoder::Past;
use super::tokens::ImageTokens;

/// A query as its comparator sees it: keys and values of instruction and picture. Cheap to clone; may be used by several
/// threads at the same time.
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) inner: Arc<QueryInner>,
}

#[derive(Debug)]
pub(super) struct QueryInner {
    /// Which comparator it is of.
    pub(super) owner: u64,
    pub(super) tokens: ImageTokens,
    /// Of each prefix that the prompts have, when it was needed.
    pub(super) pasts: Vec<OnceLock<Arc<Past>>>,
}

/// A first candidate, on a query: keys and values that many second ones can be compared on. Cheap to clone; may be used
/// by several threads at the same time.
#[derive(Debug, Clone)]
pub struct Pivot {
    pub(super) inner: Arc<PivotInner>,
}

#[derive(Debug)]
pub(super) struct PivotInner {
    pub(super) query: Query,
    pub(super) tokens: ImageTokens,
    pub(super) held: Held,
    /// Bytes of keys and values.
    pub(super) bytes: usize,
}

/// What a pivot holds.
#[derive(Debug)]
pub(super) enum Held {
    /// Prefix and candidate.
    Chain(Past),
    /// The candidate alone, as the first and, once it was needed, as the second.
    Block { first: Past, second: OnceLock<Past> },
}

impl Pivot {
    /// Memory of its keys and values in bytes. Prefix included, unless blocks are independent.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inner.bytes
    }
}
