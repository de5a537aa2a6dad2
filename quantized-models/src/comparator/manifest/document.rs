//! The manifest of a comparator as written: tables and keys of `model.toml`, unknown ones refused.

use serde::Deserialize;

use crate::manifest::document::{DataTable, PreprocessTable, RuntimeTable};
use crate::manifest::{ActivationKind, WeightKind};

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
    #[serde(default)]
    pub(super) blocks_independent: bool,
    #[serde(default)]
    pub(super) perception_noise_nats: f64,
    pub(super) graphs: GraphsTable,
    pub(super) image: ImageTable,
    pub(super) preprocess: PreprocessTable,
    pub(super) tokenizer: DataTable,
    pub(super) prompt: PromptTable,
    pub(super) generate: Option<GenerateTable>,
    pub(super) quantization: Option<MarginsTable>,
    #[serde(default)]
    pub(super) runtime: RuntimeTable,
    pub(super) golden: Vec<GoldenTable>,
}

fn yes() -> bool {
    true
}

/// `[graphs]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphsTable {
    pub(super) vision_encoder: VisionTable,
    pub(super) embed_tokens: EmbedTable,
    pub(super) decoder: DecoderTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VisionTable {
    pub(super) file: String,
    pub(super) sha256: String,
    #[serde(default)]
    pub(super) data: Vec<DataTable>,
    pub(super) inputs: Vec<VisionInputTable>,
    pub(super) output: String,
}

/// An input of the vision encoder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VisionInputTable {
    pub(super) name: String,
    pub(super) holds: Holds,
    pub(super) shape: Vec<usize>,
}

/// What an input of the vision encoder is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    /// float32, plane after plane.
    Pixels,
    /// float32, patch after patch, as Qwen2-VL takes them.
    Patches,
    /// int64: 1, rows and columns of patches.
    Grid,
    /// bool or int64, all of it true.
    PixelMask,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbedTable {
    pub(super) file: String,
    pub(super) sha256: String,
    #[serde(default)]
    pub(super) data: Vec<DataTable>,
    pub(super) input: String,
    pub(super) output: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DecoderTable {
    pub(super) file: String,
    pub(super) sha256: String,
    #[serde(default)]
    pub(super) data: Vec<DataTable>,
    pub(super) embeddings: String,
    pub(super) attention_mask: Option<String>,
    pub(super) position_ids: Option<String>,
    pub(super) positions: Option<Positions>,
    pub(super) logits_to_keep: Option<String>,
    pub(super) use_cache_branch: Option<String>,
    pub(super) past_key: String,
    pub(super) past_value: String,
    pub(super) present_key: String,
    pub(super) present_value: String,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) head_size: usize,
    pub(super) logits: String,
    pub(super) logits_rows: Option<Vec<u32>>,
}

/// How places in the prompt are told to the decoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Positions {
    /// A number for each token.
    #[default]
    #[serde(rename = "1d")]
    Line,
    /// Time, row and column of each token; text has the same number three times.
    #[serde(rename = "3d")]
    Volume,
}

/// `[image]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageTable {
    pub(super) tokens: usize,
    pub(super) width: usize,
    pub(super) placeholder: String,
    #[serde(default)]
    pub(super) before: String,
    #[serde(default)]
    pub(super) after: String,
    pub(super) grid: Option<[usize; 2]>,
    pub(super) patch: Option<PatchTable>,
}

/// `image.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatchTable {
    /// Pixels of a side.
    pub(crate) size: usize,
    /// Patches of a side that become one token.
    pub(crate) merge: usize,
    /// Frames that a picture is repeated to.
    pub(crate) frames: usize,
}

/// `[prompt]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromptTable {
    pub(super) prefix: String,
    pub(super) pair: PairTable,
    pub(super) yes_no: Option<OneTable>,
    pub(super) score: Option<OneTable>,
    pub(super) list: Option<OneTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PairTable {
    pub(super) first: String,
    pub(super) second: String,
    pub(super) suffix: String,
    pub(super) answers: Vec<String>,
}

/// A prompt whose candidates all have the same text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneTable {
    pub(super) prefix: Option<String>,
    pub(super) candidate: String,
    pub(super) suffix: String,
    pub(super) answers: Vec<String>,
    pub(super) values: Option<Vec<f32>>,
}

/// `[generate]`: how a question that is answered with a text is put.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GenerateTable {
    pub(super) prompt: String,
    pub(super) stop: Vec<String>,
    pub(super) context: usize,
}

/// `[quantization]` of a comparator.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarginsTable {
    pub(super) weights: WeightKind,
    pub(super) vision_weights: Option<WeightKind>,
    pub(super) activations: Option<ActivationKind>,
    #[serde(default)]
    pub(super) reduce_range: bool,
    pub(super) measured_on: Option<String>,
    pub(super) comparisons: Option<u64>,
    pub(super) margin_error_median: Option<f64>,
    pub(super) margin_error_most: Option<f64>,
    pub(super) signs_kept: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoldenTable {
    pub(super) query: String,
    pub(super) first: String,
    pub(super) second: String,
    pub(super) margin: f32,
    pub(super) tolerance: f32,
}
