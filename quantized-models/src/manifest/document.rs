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
pub(crate) struct Head {
    pub(crate) format: i64,
    pub(crate) kind: String,
}

/// The whole manifest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    #[serde(rename = "format")]
    _format: i64,
    #[serde(rename = "kind")]
    _kind: String,
    pub(crate) name: String,
    pub(crate) licence: String,
    pub(crate) source: String,
    #[serde(default = "yes")]
    pub(crate) trained: bool,
    pub(crate) space: SpaceTable,
    pub(crate) graph: GraphTable,
    pub(crate) preprocess: PreprocessTable,
    pub(crate) quantization: Option<QuantizationTable>,
    #[serde(default)]
    pub(crate) runtime: RuntimeTable,
    pub(crate) golden: Vec<GoldenTable>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpaceTable {
    pub(crate) id: String,
    pub(crate) dimensions: usize,
}

/// `[graph]`, with `[graph.query]` in it where queries take a tower of their own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GraphTable {
    pub(crate) file: String,
    pub(crate) sha256: String,
    pub(crate) input: String,
    pub(crate) output: String,
    #[serde(default)]
    pub(crate) data: Vec<DataTable>,
    pub(crate) query: Option<Box<GraphTable>>,
}

/// `[[graph.data]]`: a file of external data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataTable {
    pub(crate) file: String,
    pub(crate) sha256: String,
}

/// `[preprocess]`, with `[preprocess.query]` in it where queries are prepared in another way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreprocessTable {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) resize: Resize,
    pub(crate) shortest_side: Option<u32>,
    pub(crate) margin: Option<Margin>,
    pub(crate) filter: Filter,
    pub(crate) channels: Channels,
    pub(crate) rescale: Option<f32>,
    pub(crate) mean: [f32; 3],
    pub(crate) std: [f32; 3],
    pub(crate) query: Option<Box<PreprocessTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuantizationTable {
    pub(crate) weights: WeightKind,
    pub(crate) activations: Option<super::ActivationKind>,
    #[serde(default)]
    pub(crate) reduce_range: bool,
    pub(crate) reference: Option<String>,
    pub(crate) measured_on: Option<String>,
    pub(crate) pictures: Option<u64>,
    pub(crate) cosine_least: Option<f64>,
    pub(crate) cosine_median: Option<f64>,
    pub(crate) recall_at_1: Option<f64>,
    pub(crate) recall_at_1_reference: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeTable {
    pub(crate) order: Option<Vec<RuntimeKind>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoldenTable {
    pub(crate) image: String,
    pub(crate) embedding: String,
    pub(crate) min_cosine: f32,
    #[serde(default)]
    pub(crate) view: View,
}

/// Reads TOML; errors state line and key.
pub(crate) fn from_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ManifestError> {
    let refuse = |error: &toml::de::Error, key: String| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
        ManifestError::Syntax { path: path.to_path_buf(), line, key, message: error.message().to_owned() }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| refuse(&error, "the file".to_owned()))?;
    serde_path_to_error::deserialize(document).map_err(|error| refuse(error.inner(), error.path().to_string()))
}
