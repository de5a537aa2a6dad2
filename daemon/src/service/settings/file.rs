//! The settings file, section by section, as it is written. What is not said has a default here.

use std::path::PathBuf;

use quantized_models::DecodeLimits;
use serde::Deserialize;

use crate::locate::FuseOptions;

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
    #[serde(default)]
    pub(super) fuse: FuseOptions,
    #[serde(default)]
    #[expect(dead_code, reason = "reranking can only be off; the section is read so that it may be written")]
    pub(super) rerank: RerankSection,
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
    pub(super) shards: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelsSection {
    pub(super) encoder: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FramesSection {
    pub(super) max_bytes: usize,
    pub(super) max_pixels: u64,
    pub(super) max_age_s: f64,
    pub(super) max_cameras: usize,
    pub(super) max_waiting_bytes: usize,
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
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OutboxSection {
    pub(super) max_messages: usize,
}

impl Default for OutboxSection {
    fn default() -> Self {
        Self { max_messages: 10_000 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RerankSection {
    pub(super) strategy: RerankStrategy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RerankStrategy {
    #[default]
    Off,
}
