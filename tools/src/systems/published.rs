//! What was published, as far as it is known to us; nothing is filled in.

use serde::Serialize;

/// A published figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Published {
    /// The system.
    pub system: &'static str,
    /// The data set.
    pub data_set: &'static str,
    /// The threshold in kilometres.
    pub within_km: f64,
    /// Share of the queries, 0 to 1.
    pub share: f64,
    /// Where it stands.
    pub source: &'static str,
}

const RAG: &str = "arXiv 2509.01341";
const SFT: &str = "arXiv 2506.01277";

const fn of(
    system: &'static str,
    data_set: &'static str,
    within_km: f64,
    share: f64,
    source: &'static str,
) -> Published {
    Published { system, data_set, within_km, share, source }
}

const FIGURES: [Published; 8] = [
    of("rag", "yfcc4k", 1.0, 0.243, RAG),
    of("rag", "im2gps", 1.0, 0.232, RAG),
    of("rag", "im2gps3k", 1.0, 0.171, RAG),
    of("sft", "im2gps3k", 1.0, 0.088, SFT),
    of("sft", "im2gps3k", 25.0, 0.327, SFT),
    of("sft", "im2gps3k", 200.0, 0.472, SFT),
    of("sft", "im2gps3k", 750.0, 0.658, SFT),
    of("sft", "im2gps3k", 2500.0, 0.823, SFT),
];

/// What a system published for a data set; nothing where none is named.
pub(super) fn published(system: &str, data_set: Option<&str>) -> Vec<Published> {
    let is_it = |figure: &&Published| figure.system == system && data_set == Some(figure.data_set);
    FIGURES.iter().filter(is_it).copied().collect()
}
