//! How the second stage runs, and which answers are published.

use std::path::{Path, PathBuf};

use quantized_models::ComparatorManifest;
use serde::{Deserialize, Serialize};

use crate::locate::rerank::RerankOptions;
use crate::reranker::TokenCacheOptions;

/// Which answers are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishStages {
    /// The retrieved one at once, and the reranked one when it is there.
    #[default]
    Both,
    /// One for each frame: the reranked one where there is one in time, else the retrieved one.
    Final,
    /// The retrieved one alone. Reranking runs and is counted, so that a comparator can be watched before it is trusted.
    Retrieved,
}

/// How the second stage runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RerankSettings {
    /// Folder or manifest of the comparator.
    pub comparator: PathBuf,
    /// How candidates are reranked.
    pub options: RerankOptions,
    /// Which answers are published.
    pub publish: PublishStages,
    /// How many candidates are found for it.
    pub candidates: usize,
    /// Where vision tokens that were computed on the device are kept, and how many bytes of them.
    pub cache: TokenCacheOptions,
}

impl RerankSettings {
    /// Name of the comparator.
    pub(super) fn name(&self) -> String {
        model_name(&self.comparator)
    }
}

/// Name of a comparator or generator by its manifest, or of its folder where that cannot be read.
pub(super) fn model_name(model: &Path) -> String {
    match ComparatorManifest::load(model) {
        Ok(manifest) => manifest.name().to_owned(),
        Err(_) => model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}
