//! The figures of one run, as JSON.

use serde::{Deserialize, Serialize};

/// All that one run measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) schema: u32,
    pub(super) rows: usize,
    pub(super) dimensions: usize,
    pub(super) k: usize,
    /// Where the vectors come from: `made`, the name of a file, or absent for a shard that was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vectors: Option<String>,
    pub(super) kernel: String,
    pub(super) layout: LayoutPart,
    /// What recall is measured against.
    pub(super) truth: TruthSource,
    /// Over all queries.
    pub(super) recall: RecallPart,
    pub(super) ms: TimesPart,
    /// Means over all queries.
    pub(super) work: WorkPart,
    pub(super) kinds: Vec<KindPart>,
    pub(super) open_ms: f64,
    pub(super) memory: MemoryPart,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cold: Option<ColdPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build_seconds: Option<f64>,
    pub(super) file: FilePart,
}

/// What recall is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TruthSource {
    /// Exact search over the vectors as they were given.
    GivenVectors,
    /// Exact search over the vectors as the shard holds them.
    StoredVectors,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LayoutPart {
    /// 0 for a flat shard.
    pub(super) lists: usize,
    pub(super) first_layer_dimensions: usize,
    pub(super) reason: String,
}

/// Share of the truly nearest and farthest rows that were found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct RecallPart {
    pub(super) near: f64,
    pub(super) far: f64,
}

/// Milliseconds of a search on one thread, over all queries and rounds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct TimesPart {
    /// For both ends.
    pub(super) both: Quantiles,
    /// For the similar end alone.
    pub(super) near: Quantiles,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) mean: f64,
}

/// What a search did, on average.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct WorkPart {
    /// Rows whose first code layer was read.
    pub(super) scanned_rows: f64,
    /// Rows whose second code layer was read.
    pub(super) second_rows: f64,
    /// Rows whose vector was read.
    pub(super) exact_rows: f64,
    pub(super) lists: f64,
    /// Bytes of codes and vectors that were touched.
    pub(super) bytes: f64,
}

/// One kind of query.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KindPart {
    pub(super) kind: String,
    pub(super) queries: usize,
    pub(super) recall: RecallPart,
    pub(super) ms: TimesPart,
    pub(super) work: WorkPart,
}

/// Memory that opening the shard and asking every query once added.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct MemoryPart {
    pub(super) anonymous_bytes: u64,
    pub(super) file_backed_bytes: u64,
}

/// The first query after the system was asked to forget the file's pages.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct ColdPart {
    /// Bringing in the codes.
    pub(super) populate_ms: f64,
    /// Bytes that this fetched from storage.
    pub(super) populate_read_bytes: u64,
    /// Bytes of what is brought in: where fewer were fetched, the system had kept the rest and the figures are those of
    /// a warmer start.
    pub(super) populated_bytes: u64,
    /// The first query, once the codes are in.
    pub(super) first_query: ColdQuery,
    /// The first query when nothing was brought in before.
    pub(super) unpopulated_first_query: ColdQuery,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct ColdQuery {
    pub(super) ms: f64,
    pub(super) read_bytes: u64,
    pub(super) major_faults: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FilePart {
    pub(super) bytes: u64,
    pub(super) bytes_per_row: f64,
    pub(super) sections: Vec<SectionPart>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SectionPart {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) bytes_per_row: f64,
}
