//! The settings file, section by section, as it is written. What is not said has a default here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use quantized_models::{DecodeLimits, ProviderKind, RuntimeKind};
use serde::Deserialize;

use super::super::PublishStages;
use super::ActivateWhen;
use super::cameras::CameraSection;
use super::generator::GenerateSection;
use super::publish::PublishSection;
use super::sources::SourceSection;
use super::tracks::TrackSection;
use crate::locate::rerank::{Compare, PosteriorOptions, RerankOptions, SecondOrder, Strategy};
use crate::locate::{FuseOptions, RefusedFrames};
use crate::reranker::POOL;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsFile {
    pub(super) device: DeviceSection,
    pub(super) mqtt: MqttSection,
    pub(super) index: IndexSection,
    pub(super) models: ModelsSection,
    #[serde(default)]
    pub(super) frames: FramesSection,
    #[serde(default)]
    pub(super) outbox: OutboxSection,
    pub(super) update: Option<UpdateSection>,
    pub(super) metrics: Option<MetricsSection>,
    #[serde(default)]
    pub(super) source: Vec<SourceSection>,
    #[serde(default)]
    pub(super) publish: PublishSection,
    #[serde(default)]
    pub(super) fuse: FuseOptions,
    #[serde(default)]
    pub(super) rerank: RerankSection,
    pub(super) generate: Option<GenerateSection>,
    #[serde(default)]
    pub(super) track: TrackSection,
    #[serde(default)]
    pub(super) camera: BTreeMap<String, CameraSection>,
    pub(super) calibration: Option<CalibrationSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalibrationSection {
    pub(super) file: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceSection {
    pub(super) site: String,
    pub(super) name: String,
    pub(super) state_dir: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MqttSection {
    pub(super) url: String,
    #[serde(default = "default_prefix")]
    pub(super) prefix: String,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    #[serde(default = "default_keep_alive_s")]
    pub(super) keep_alive_s: u16,
    #[serde(default = "default_session_expiry_s")]
    pub(super) session_expiry_s: u32,
    #[serde(default)]
    pub(super) version: MqttVersion,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) certificate_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) server_name: Option<String>,
    pub(super) max_packet_bytes: Option<usize>,
}

/// Version of MQTT that the broker speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum MqttVersion {
    /// MQTT 5.
    #[default]
    #[serde(rename = "5")]
    V5,
    /// MQTT 3.1.1.
    #[serde(rename = "3.1.1")]
    V311,
}

fn default_prefix() -> String {
    "geolocated".to_owned()
}

fn default_keep_alive_s() -> u16 {
    30
}

fn default_session_expiry_s() -> u32 {
    7 * 24 * 3600
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexSection {
    #[serde(default)]
    pub(super) shards: Vec<PathBuf>,
    pub(super) generations: Option<PathBuf>,
    #[serde(default)]
    pub(super) keys: Vec<String>,
    #[serde(default)]
    pub(super) revoked_keys: Vec<String>,
    #[serde(default)]
    pub(super) activate: ActivateWhen,
    #[serde(default = "default_rescan_s")]
    pub(super) rescan_s: f64,
    #[serde(default)]
    pub(super) prefault: bool,
    #[serde(default = "default_search_threads")]
    pub(super) search_threads: usize,
    #[serde(default)]
    pub(super) dissimilar: DissimilarWay,
    #[serde(default)]
    pub(super) random_seed: u64,
    #[serde(default = "default_far_radius_m")]
    pub(super) far_radius_m: f64,
    pub(super) per_place: Option<usize>,
    #[serde(default = "default_per_place_radius_m")]
    pub(super) per_place_radius_m: f64,
}

fn default_rescan_s() -> f64 {
    10.0
}

fn default_search_threads() -> usize {
    1
}

fn default_far_radius_m() -> f64 {
    2000.0
}

fn default_per_place_radius_m() -> f64 {
    FuseOptions::default().same_place_m
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DissimilarWay {
    #[default]
    Farthest,
    Random,
    Centroid,
    FarInWindow,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelsSection {
    pub(super) encoder: Option<PathBuf>,
    pub(super) comparator: Option<PathBuf>,
    pub(super) runtime: Option<RuntimeKind>,
    pub(super) onnxruntime: Option<PathBuf>,
    #[serde(default)]
    pub(super) providers: Vec<ProviderKind>,
    #[serde(default)]
    pub(super) gpu: i32,
    #[serde(default = "default_fp16")]
    pub(super) fp16: bool,
    #[serde(default = "default_threads")]
    pub(super) threads: usize,
    pub(super) cache: Option<PathBuf>,
    #[serde(default)]
    pub(super) trust_writable_folders: bool,
}

fn default_fp16() -> bool {
    true
}

fn default_threads() -> usize {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FramesSection {
    pub(super) max_bytes: usize,
    pub(super) max_pixels: u64,
    pub(super) max_age_s: f64,
    pub(super) max_cameras: usize,
    pub(super) max_waiting_bytes: usize,
    pub(super) refuse: RefusedFrames,
}

impl Default for FramesSection {
    fn default() -> Self {
        let limits = DecodeLimits::default();
        Self {
            max_bytes: limits.max_bytes,
            max_pixels: limits.max_pixels,
            max_age_s: 30.0,
            max_cameras: 16,
            max_waiting_bytes: 64 << 20,
            refuse: RefusedFrames::default(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OutboxSection {
    pub(super) max_messages: usize,
    pub(super) max_bytes: u64,
    pub(super) max_age_s: f64,
    pub(super) segment_bytes: u64,
    pub(super) group_commit_ms: u64,
    pub(super) memory_bytes: usize,
}

impl Default for OutboxSection {
    fn default() -> Self {
        Self {
            max_messages: 200_000,
            max_bytes: 256 << 20,
            max_age_s: 30.0 * 24.0 * 3600.0,
            segment_bytes: 4 << 20,
            group_commit_ms: 200,
            memory_bytes: 4 << 20,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricsSection {
    pub(super) listen: String,
    #[serde(default)]
    pub(super) allow_remote: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateSection {
    pub(super) url: String,
    #[serde(default = "default_interval_s")]
    pub(super) interval_s: f64,
    #[serde(default = "default_jitter")]
    pub(super) jitter: f64,
    pub(super) max_bytes_per_s: Option<u64>,
    #[serde(default = "default_update_max_bytes")]
    pub(super) max_bytes: u64,
    pub(super) token_file: Option<PathBuf>,
}

fn default_interval_s() -> f64 {
    3600.0
}

fn default_jitter() -> f64 {
    0.2
}

fn default_update_max_bytes() -> u64 {
    64 << 30
}

/// The keys of [`RerankOptions`] with those of the second stage. A strategy that is not said is the usual one where there
/// is a comparator.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RerankSection {
    pub(super) strategy: Option<Strategy>,
    pub(super) publish: PublishStages,
    pub(super) candidates: usize,
    pub(super) token_cache_bytes: u64,
    pub(super) max_comparisons: usize,
    pub(super) budget_ms: u64,
    pub(super) seed: u64,
    pub(super) compare: Compare,
    pub(super) top: usize,
    pub(super) gate_nats: f64,
    pub(super) probes: usize,
    pub(super) probe_margin_nats: f64,
    pub(super) second_order: SecondOrder,
    pub(super) small_margin_nats: f64,
    pub(super) doubt: f64,
    pub(super) posterior: PosteriorOptions,
}

impl Default for RerankSection {
    fn default() -> Self {
        let usual = RerankOptions::default();
        Self {
            strategy: None,
            publish: PublishStages::default(),
            candidates: POOL,
            token_cache_bytes: 256 << 20,
            max_comparisons: usual.max_comparisons,
            budget_ms: usual.budget_ms.unwrap_or(1500),
            seed: usual.seed,
            compare: usual.compare,
            top: usual.top,
            gate_nats: usual.gate_nats.unwrap_or(f64::INFINITY),
            probes: usual.probes,
            probe_margin_nats: usual.probe_margin_nats,
            second_order: usual.second_order,
            small_margin_nats: usual.small_margin_nats,
            doubt: usual.doubt,
            posterior: usual.posterior,
        }
    }
}

impl RerankSection {
    /// How candidates are reranked by `strategy`. A gate that nothing reaches is none.
    pub(super) fn options(&self, strategy: Strategy) -> RerankOptions {
        RerankOptions {
            strategy,
            max_comparisons: self.max_comparisons,
            budget_ms: Some(self.budget_ms),
            seed: self.seed,
            compare: self.compare,
            top: self.top,
            gate_nats: Some(self.gate_nats).filter(|gate| gate.is_finite()),
            probes: self.probes,
            probe_margin_nats: self.probe_margin_nats,
            second_order: self.second_order,
            small_margin_nats: self.small_margin_nats,
            doubt: self.doubt,
            posterior: self.posterior,
            ..RerankOptions::default()
        }
    }
}
