//! What a manifest says about the numbers that a graph computes with, and what they cost.

use serde::{Deserialize, Serialize};

/// What the weights of a graph are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightKind {
    /// 32-bit floating point.
    Float32,
    /// 16-bit floating point, for GPUs.
    Float16,
    /// 8-bit whole numbers with a scale per tensor or output channel.
    Int8,
    /// 4-bit whole numbers with a scale per block.
    Int4,
}

/// What a graph computes with between its layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationKind {
    /// 32-bit floating point.
    #[default]
    Float32,
    /// 16-bit floating point.
    Float16,
    /// 8-bit, with scales that are measured in every run.
    Int8Dynamic,
    /// 8-bit, with scales that were fixed when the model was quantized.
    Int8Static,
}

/// How a graph was quantized and what was measured of it. Figures are those of the recipe that made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    /// What the weights are stored as.
    pub weights: WeightKind,
    /// What is computed with between layers.
    pub activations: ActivationKind,
    /// Whether 8-bit weights use 7 bits, so that sums of products do not saturate on x86 CPUs without VNNI.
    pub reduce_range: bool,
    /// SHA-256 of the float32 graph that the figures compare with, 64 lower-case hexadecimal digits.
    pub reference: Option<String>,
    /// CPU class and runtime that goldens and figures were computed on.
    pub measured_on: Option<String>,
    /// How many pictures the figures come from.
    pub pictures: Option<u64>,
    /// Smallest cosine of a picture's vector to that of the float32 graph, -1..=1.
    pub cosine_least: Option<f64>,
    /// Median of the same.
    pub cosine_median: Option<f64>,
    /// Recall@1 of this variant, 0..=1.
    pub recall_at_1: Option<f64>,
    /// Recall@1 of the float32 graph on the same queries, 0..=1.
    pub recall_at_1_reference: Option<f64>,
}
