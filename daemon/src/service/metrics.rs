//! Figures for Prometheus, as text over HTTP.
//!
//! Off unless `[metrics] listen` names an address, and then for this machine alone unless more is allowed. Nothing is
//! kept for it but how long the stages took: everything else is read from where it is counted anyway, at each scrape.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::Counters;
use super::counters::Counter;
use super::generations::Live;
use super::health::Health;
use super::outbox::{DiskState, Outbox};
use super::sensors::Sensors;
use super::worker::Heartbeat;
use crate::locate::{BadFrame, FixMessage, MessageStatus, StageMilliseconds};

/// Upper bounds of the buckets, seconds: from a search in a small shard to an encoder on a slow CPU.
const BUCKETS_S: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The stages, in the order of their histograms.
const STAGES: [&str; 7] = ["wait", "decode", "embed", "search", "rerank", "fuse", "total"];
/// The statuses of fixes, in the order of their counters.
const STATUSES: [&str; 4] = ["fix", "ambiguous", "no_fix", "error"];
/// What scrapers are told that the text is.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is measured for each answer, and whether a broker is there.
#[derive(Debug)]
pub(super) struct Measured {
    stages: [Histogram; STAGES.len()],
    statuses: [Counter; STATUSES.len()],
    connected: AtomicBool,
}

impl Default for Measured {
    fn default() -> Self {
        let stages = STAGES.map(|_| Histogram::new(BUCKETS_S));
        Self { stages, statuses: Default::default(), connected: AtomicBool::new(false) }
    }
}

impl Measured {
    /// Takes in an answer.
    pub(super) fn note(&self, message: &FixMessage) {
        let StageMilliseconds { wait, decode, embed, search, rerank, fuse, total } = message.ms;
        // What a revision says of the first stage was taken in with the answer that it revises.
        let is_revision = message.revises.is_some();
        let of_first = |ms: Option<f64>| ms.filter(|_| !is_revision);
        let ms = [
            of_first(wait),
            of_first(decode),
            of_first(embed),
            of_first(search),
            rerank,
            of_first(fuse),
            of_first(total),
        ];
        for (histogram, ms) in self.stages.iter().zip(ms) {
            if let Some(ms) = ms {
                histogram.observe(ms / 1e3);
            }
        }
        if is_revision {
            return;
        }
        let status = match message.status {
            MessageStatus::Fix => 0,
            MessageStatus::Ambiguous => 1,
            MessageStatus::NoFix => 2,
            MessageStatus::Error => 3,
        };
        if let Some(counter) = self.statuses.get(status) {
            counter.add_one();
        }
    }

    /// Notes whether a broker is there.
    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }
}

/// Where the figures are read.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) measured: Arc<Measured>,
    pub(super) counters: Arc<Counters>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) live: Arc<Live>,
    pub(super) health: Arc<Health>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) started: Instant,
}

/// Writes one metric after the other.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            ConstCounter::new(*count).encode(encoder.encode_family(&[(label, *value)])?)?;
        }
        Ok(())
    }

    fn histograms(&mut self, name: &str, help: &str, stages: &[(&str, &Histogram)]) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (stage, histogram) in stages {
            histogram.encode(encoder.encode_family(&[("stage", *stage)])?)?;
        }
        Ok(())
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        self.frames(&mut writer)?;
        self.outbox(&mut writer)?;
        self.device(&mut writer)
    }
}

impl Sources {
    fn frames(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = self.counters.now();
        writer.counter("frames_received", "Frames that arrived, whatever became of them", now.frames_received)?;
        let dropped = [
            ("replaced", now.frames_replaced),
            ("over_memory", now.frames_over_memory),
            ("over_cameras", now.frames_over_cameras),
            ("stale", now.frames_stale),
            ("retained", now.frames_retained),
            ("at_stop", now.frames_at_stop),
        ];
        writer.counters("frames_dropped", "Frames that got no answer, by reason", "reason", &dropped)?;
        let bad = BadFrame::ALL.map(|kind| (kind.as_str(), self.counters.bad(kind).get()));
        writer.counters("frames_bad", "Frames without a fix because the picture was bad, by what was", "kind", &bad)?;
        let statuses: Vec<(&str, u64)> =
            STATUSES.into_iter().zip(self.measured.statuses.iter().map(Counter::get)).collect();
        writer.counters("fixes", "Answers, by their status", "status", &statuses)?;
        let stages: Vec<(&str, &Histogram)> = STAGES.into_iter().zip(&self.measured.stages).collect();
        writer.histograms("stage_seconds", "How long the stages of an answer took", &stages)
    }

    fn outbox(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let (now, stats) = (self.counters.now(), self.outbox.stats());
        let fates = [
            ("delivered", now.fixes_delivered),
            ("unheard", now.fixes_unheard),
            ("refused", now.fixes_refused),
            ("oversize", now.fixes_oversize),
        ];
        writer.counters("outbox_fates", "What brokers did with fixes", "fate", &fates)?;
        let dropped = [
            ("messages", stats.dropped.messages),
            ("bytes", stats.dropped.bytes),
            ("age", stats.dropped.age),
            ("memory", stats.dropped.memory),
            ("damaged", stats.dropped.damaged),
        ];
        writer.counters("outbox_dropped", "Fixes that a bound of the outbox dropped", "reason", &dropped)?;
        writer.gauge("outbox_messages", "Fixes that wait or are on their way", stats.queued as f64)?;
        writer.gauge("outbox_bytes", "Of the outbox's log on the disk", stats.bytes as f64)?;
        let oldest = stats.oldest_age_s.unwrap_or(0) as f64;
        writer.gauge("outbox_oldest_age_seconds", "Of the fixes that wait; 0 where none does", oldest)?;
        let working = f64::from(u8::from(stats.disk == DiskState::Working));
        writer.gauge("outbox_disk_working", "1 while the disk takes what is written", working)
    }

    fn device(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let connected = f64::from(u8::from(self.measured.connected.load(Ordering::Relaxed)));
        writer.gauge("broker_connected", "1 while there is a connection to the broker", connected)?;
        writer.counter("broker_connections", "Connections to the broker", self.counters.connections.get())?;
        let degraded = f64::from(u8::from(self.health.reason().is_some()));
        writer.gauge("degraded", "1 while status is degraded; the topic status says why", degraded)?;
        writer.gauge("uptime_seconds", "Since the start", self.started.elapsed().as_secs_f64())?;
        let age_s = self.heartbeat.age().as_secs_f64();
        writer.gauge("pipeline_silent_seconds", "Since the pipeline last showed a sign of life", age_s)?;
        let pipeline = self.live.get();
        let generation = pipeline.as_ref().and_then(|pipeline| pipeline.generation()).unwrap_or(0);
        writer.gauge("generation", "Number of the generation that serves; 0 without generations", generation as f64)?;
        let references = pipeline.map_or(0, |pipeline| pipeline.shards().len());
        writer.gauge("index_references", "References that are searched", references as f64)?;
        if let Some(sensors) = Sensors::read() {
            let throttled = sensors.throttled.map(|throttled| f64::from(u8::from(throttled)));
            for (name, help, value) in [
                ("temperature_celsius", "Hottest place of the device's chip", sensors.temperature_c),
                ("throttled", "1 while processors are slowed down because of heat or power", throttled),
                ("power_watts", "What the device takes", sensors.power_w),
                ("battery_percent", "Charge of the battery", sensors.battery_percent),
            ] {
                if let Some(value) = value {
                    writer.gauge(name, help, value)?;
                }
            }
        }
        if let Some(memory) = super::memory::now() {
            let anonymous = memory.anonymous_bytes as f64;
            writer.gauge("memory_anonymous_bytes", "Resident memory that belongs to no file", anonymous)?;
            writer.gauge("memory_file_bytes", "Resident pages of mapped files", memory.file_bytes as f64)?;
        }
        Ok(())
    }
}

/// Serves the figures until the daemon ends. An address that cannot be had is said in `status`; frames are answered all
/// the same.
pub(super) async fn serve(listen: SocketAddr, sources: Sources) {
    let health = Arc::clone(&sources.health);
    let mut registry = Registry::with_prefix("geolocated");
    registry.register_collector(Box::new(sources));
    let router = Router::new().route("/metrics", get(answer)).with_state(Arc::new(registry));
    let served = match TcpListener::bind(listen).await {
        Ok(listener) => {
            info!(address = %listener.local_addr().unwrap_or(listen), "metrics");
            axum::serve(listener, router).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        let reason = format!("metrics.listen {listen}: {error}");
        warn!(reason, "degraded");
        health.degrade("metrics", &reason);
    }
}

async fn answer(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
