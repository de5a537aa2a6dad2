//! What the device says of itself: `status`, `info` and `stats`.

use index_shards::PositionOf;
use quantized_models::WeightsAt;
use serde::Serialize;

use super::counters::CountersNow;
use super::generations::View;
use super::outbox::OutboxStats;
use super::rerank_settings::model_name;
use super::sensors::Sensors;
use super::{GenerateWhen, PublishStages, Settings};
use crate::locate::Pipeline;

/// State of the device, retained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Online,
    Degraded,
    Stopping,
    Offline,
}

impl Status {
    /// Everything works, or `degraded` says what does not.
    pub(super) fn running(degraded: Option<String>) -> Self {
        let state = if degraded.is_some() { State::Degraded } else { State::Online };
        Self { state, reason: degraded }
    }

    /// The daemon was told to stop and delivers what waits.
    pub(super) fn stopping() -> Self {
        Self { state: State::Stopping, reason: None }
    }

    /// The daemon stopped, or the broker says so because the connection broke.
    pub(super) fn offline(reason: &str) -> Self {
        Self { state: State::Offline, reason: Some(reason.to_owned()) }
    }

    pub(super) fn json(&self) -> Vec<u8> {
        json(self)
    }
}

/// Description of the device, retained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Info {
    v: u32,
    version: &'static str,
    boot: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<EncoderInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparator: Option<ComparatorInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generator: Option<GeneratorInfo>,
    /// Absent before the first generation is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<IndexInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generations: Option<View>,
    limits: LimitsInfo,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct EncoderInfo {
    name: String,
    space: String,
    digest: String,
    runtime: String,
    providers: Vec<&'static str>,
    threads: usize,
    weights: WeightsAt,
}

/// What the settings ask of the comparator; what runs it is known when it is loaded, which nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ComparatorInfo {
    name: String,
    strategy: &'static str,
    max_comparisons: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_ms: Option<u64>,
    publish: PublishStages,
}

/// What the settings ask of the generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct GeneratorInfo {
    name: String,
    when: GenerateWhen,
    samples: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct IndexInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    digest: String,
    verified: bool,
    references: usize,
    shards: usize,
    space: String,
    position_of: PositionOf,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct LimitsInfo {
    frame_bytes: usize,
    frame_pixels: u64,
    frame_age_s: f64,
    cameras: usize,
    outbox_messages: usize,
    outbox_bytes: u64,
    outbox_age_s: u64,
}

impl Info {
    /// Describes the running daemon.
    pub(super) fn new(settings: &Settings, pipeline: Option<&Pipeline>, generations: Option<View>, boot: u64) -> Self {
        Self {
            v: 1,
            version: env!("CARGO_PKG_VERSION"),
            boot,
            encoder: pipeline.and_then(Pipeline::encoder).map(|encoder| EncoderInfo {
                name: encoder.name().to_owned(),
                space: encoder.space().to_string(),
                digest: encoder.digest().to_owned(),
                runtime: encoder.runtime().name.clone(),
                providers: encoder.runtime().providers.clone(),
                threads: encoder.runtime().threads,
                weights: encoder.runtime().weights,
            }),
            comparator: settings.rerank.as_ref().map(|rerank| ComparatorInfo {
                name: rerank.name(),
                strategy: rerank.options.strategy.as_str(),
                max_comparisons: rerank.options.max_comparisons,
                budget_ms: rerank.options.budget_ms,
                publish: rerank.publish,
            }),
            generator: settings.generate.as_ref().map(|generate| GeneratorInfo {
                name: model_name(&generate.model),
                when: generate.when,
                samples: generate.options.samples,
            }),
            index: pipeline.map(IndexInfo::from),
            generations,
            limits: LimitsInfo {
                frame_bytes: settings.decode.max_bytes,
                frame_pixels: settings.decode.max_pixels,
                frame_age_s: settings.max_frame_age_ms as f64 / 1e3,
                cameras: settings.inbox.cameras,
                outbox_messages: settings.outbox.messages,
                outbox_bytes: settings.outbox.max_bytes,
                outbox_age_s: settings.outbox.max_age_ms / 1000,
            },
        }
    }

    pub(super) fn json(&self) -> Vec<u8> {
        json(self)
    }
}

impl From<&Pipeline> for IndexInfo {
    fn from(pipeline: &Pipeline) -> Self {
        let shards = pipeline.shards();
        Self {
            generation: pipeline.generation(),
            digest: shards.digest(),
            verified: pipeline.verified(),
            references: shards.len(),
            shards: shards.shards().len(),
            space: shards.space().to_owned(),
            position_of: pipeline.position_of(),
        }
    }
}

/// Counters since the start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Stats {
    pub(super) v: u32,
    pub(super) boot: u64,
    pub(super) uptime_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<Sensors>,
    pub(super) outbox: OutboxStats,
    pub(super) counters: CountersNow,
}

impl Stats {
    pub(super) fn json(&self) -> Vec<u8> {
        json(self)
    }
}

/// These types hold no map with keys that are not strings and no failing serializer, so writing them cannot fail.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
