//! The manifest as written: tables and keys of `model.toml`, unknown ones refused.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{View, WeightKind};
use crate::error::ManifestError;
use crate::preprocess::{Channels, Filter, Margin, Resize};
use crate::runtime::RuntimeKind;

/// The keys that say whether the rest can be read.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) format: i64,
    pub(super) kind: String,
}

/// The whole manifest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "format")]
    _format: i64,
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) name: String,
    pub(super) licence: String,
    pub(super) source: String,
    #[serde(default = "yes")]
    pub(super) trained: bool,
    pub(super) space: SpaceTable,
    pub(super) graph: GraphTable,
    pub(super) preprocess: PreprocessTable,
    pub(super) quantization: Option<QuantizationTable>,
    #[serde(default)]
    pub(super) runtime: RuntimeTable,
    pub(super) golden: Vec<GoldenTable>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpaceTable {
    pub(super) id: String,
    pub(super) dimensions: usize,
}

/// `[graph]`, with `[graph.query]` in it where queries take a tower of their own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphTable {
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) input: String,
    pub(super) output: String,
    #[serde(default)]
    pub(super) data: Vec<DataTable>,
    pub(super) query: Option<Box<GraphTable>>,
}

/// `[[graph.data]]`: a file of external data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DataTable {
    pub(super) file: String,
    pub(super) sha256: String,
}

/// `[preprocess]`, with `[preprocess.query]` in it where queries are prepared in another way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreprocessTable {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) resize: Resize,
    pub(super) shortest_side: Option<u32>,
    pub(super) margin: Option<Margin>,
    pub(super) filter: Filter,
    pub(super) channels: Channels,
    pub(super) rescale: Option<f32>,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    pub(super) query: Option<Box<PreprocessTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuantizationTable {
    pub(super) weights: WeightKind,
    pub(super) activations: Option<super::ActivationKind>,
    #[serde(default)]
    pub(super) reduce_range: bool,
    pub(super) reference: Option<String>,
    pub(super) measured_on: Option<String>,
    pub(super) pictures: Option<u64>,
    pub(super) cosine_least: Option<f64>,
    pub(super) cosine_median: Option<f64>,
    pub(super) recall_at_1: Option<f64>,
    pub(super) recall_at_1_reference: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuntimeTable {
    pub(super) order: Option<Vec<RuntimeKind>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoldenTable {
    pub(super) image: String,
    pub(super) embedding: String,
    pub(super) min_cosine: f32,
    #[serde(default)]
    pub(super) view: View,
}

/// Reads TOML; errors state line and key.
pub(super) fn from_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ManifestError> {
    let refuse = |error: &toml::de::Error, key: String| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
        ManifestError::Syntax { path: path.to_path_buf(), line, key, message: error.message().to_owned() }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| refuse(&error, "the file".to_owned()))?;
    serde_path_to_error::deserialize(document).map_err(|error| refuse(error.inner(), error.path().to_string()))
}
