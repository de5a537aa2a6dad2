//! The thread that takes frames through the pipeline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quantized_models::ExifTags;
use tracing::{info, warn};

use super::clock::{Clock, TIMESYNC, now_ms};
use super::generations::Live;
use super::inbox::Taken;
use super::metrics::Measured;
use super::outbox::Outbox;
use super::publish::Nmea;
use super::{Arrived, Counters, Inbox};
use crate::locate::{FixMessage, Frame, FrameError, MessageStatus, Outcome, Pipeline, Prediction, StageTimes};

/// How many candidates, dissimilar references and bytes a message on MQTT may have.
const MESSAGE_CANDIDATES: usize = 8;
const MESSAGE_DISSIMILAR: usize = 4;
const MESSAGE_BYTES: usize = 4096;

const PATIENCE: Duration = Duration::from_secs(1);

/// Signs of life of the worker, for the watchdog: it beats between frames, not during one.
#[derive(Debug)]
pub(super) struct Heartbeat {
    start: Instant,
    beat_ms: AtomicU64,
}

impl Heartbeat {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, beat_ms: AtomicU64::new(0) }
    }

    fn beat(&self) {
        self.beat_ms.store(self.milliseconds(), Ordering::Relaxed);
    }

    /// How long ago the worker last showed a sign of life.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.milliseconds().saturating_sub(self.beat_ms.load(Ordering::Relaxed)))
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Takes frames from the inbox, answers each, and appends the answers to the outbox, until the inbox is closed.
pub(super) struct Worker {
    pub(super) live: Arc<Live>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counters: Arc<Counters>,
    pub(super) nmea: Option<Arc<Nmea>>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) measured: Arc<Measured>,
    pub(super) boot: u64,
    pub(super) index_created_at_ms: i64,
}

impl Worker {
    pub(super) fn run(self) {
        let mut seq = 0;
        loop {
            self.heartbeat.beat();
            // Before the first generation is there, frames wait, the newest of each camera.
            if self.live.wait(PATIENCE).is_none() && !self.inbox.is_closed() {
                continue;
            }
            match self.inbox.take(PATIENCE) {
                Taken::Frame(arrived) => {
                    // Asked anew for each frame: what serves may be another by now.
                    let Some(pipeline) = self.live.get() else { continue };
                    seq += 1;
                    self.answer(&pipeline, *arrived, seq);
                }
                Taken::Nothing => {}
                Taken::Closed => return,
            }
        }
    }

    fn answer(&self, pipeline: &Pipeline, arrived: Arrived, seq: u64) {
        let wait = arrived.at.elapsed();
        let mut frame = arrived.frame;
        complete_from_exif(&mut frame);
        let prediction = locate(pipeline, &frame);
        let mut message = FixMessage::new(pipeline, &frame.id, Some(&frame.camera), frame.captured_at_ms, &prediction);
        message.boot = Some(self.boot);
        message.seq = Some(seq);
        message.ms.wait = Some((wait.as_secs_f64() * 1e6).round() / 1e3);
        let clock = Clock::judge(now_ms(), self.index_created_at_ms, Path::new(TIMESYNC));
        message.clock = clock.as_str().map(str::to_owned);
        shorten(&mut message);
        self.count_and_log(&message);
        if let Some(nmea) = &self.nmea {
            nmea.offer(&message);
        }
        self.outbox.append(&frame.camera, &message);
    }

    fn count_and_log(&self, message: &FixMessage) {
        self.counters.frames_answered.add_one();
        self.measured.note(message);
        let camera = message.cam.as_deref().unwrap_or_default();
        let ms = &message.ms;
        if message.status == MessageStatus::Error {
            self.counters.frames_failed.add_one();
            let reason = message.reason.as_deref().unwrap_or_default();
            warn!(camera, id = message.id, reason, "frame refused");
        } else {
            info!(
                camera,
                id = message.id,
                status = ?message.status,
                lat = message.lat,
                lon = message.lon,
                wait_ms = ms.wait,
                decode_ms = ms.decode,
                embed_ms = ms.embed,
                search_ms = ms.search,
                fuse_ms = ms.fuse,
                total_ms = ms.total,
                "frame answered"
            );
        }
    }
}

/// A frame that makes the pipeline panic costs its own answer and nothing else.
fn locate(pipeline: &Pipeline, frame: &Frame) -> Prediction {
    catch_unwind(AssertUnwindSafe(|| pipeline.locate(frame))).unwrap_or_else(|_| Prediction {
        outcome: Outcome::Error(FrameError::Panicked),
        similar: Vec::new(),
        dissimilar: Vec::new(),
        stages: StageTimes::default(),
    })
}

/// Leaves as much of a message as goes over MQTT.
pub(super) fn shorten(message: &mut FixMessage) {
    message.shorten(MESSAGE_CANDIDATES, MESSAGE_DISSIMILAR, MESSAGE_BYTES);
}

/// Takes capture time and heading from the picture where its sender did not give them. Never its position.
fn complete_from_exif(frame: &mut Frame) {
    if frame.captured_at_ms.is_some() && frame.hints.heading_deg.is_some() {
        return;
    }
    let tags = ExifTags::read(&frame.encoded);
    frame.captured_at_ms = frame.captured_at_ms.or(tags.captured_at_ms);
    frame.hints.heading_deg = frame.hints.heading_deg.or(tags.heading_deg);
}
