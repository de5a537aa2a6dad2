//! Numbers answers and hands them to the outbox.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::Counters;
use super::clock::{Clock, TIMESYNC, now_ms};
use super::metrics::Measured;
use super::outbox::Outbox;
use super::publish::Nmea;
use crate::locate::{FixMessage, MessageStatus};

/// How many candidates, dissimilar references and bytes a message on MQTT may have.
const MESSAGE_CANDIDATES: usize = 8;
const MESSAGE_DISSIMILAR: usize = 4;
const MESSAGE_BYTES: usize = 4096;

/// Where the answers of all stages meet. They stand in the outbox in the order of their numbers, but for those that were
/// kept back: these keep the place of their frame among the numbers.
#[derive(Debug)]
pub(super) struct Answers {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    nmea: Option<Arc<Nmea>>,
    measured: Arc<Measured>,
    boot: u64,
    index_created_at_ms: i64,
    seq: Mutex<u64>,
}

impl Answers {
    pub(super) fn new(outbox: Arc<Outbox>, counters: Arc<Counters>, boot: u64, index_created_at_ms: i64) -> Self {
        let (nmea, measured, seq) = (None, Arc::default(), Mutex::new(0));
        Self { outbox, counters, nmea, measured, boot, index_created_at_ms, seq }
    }

    /// The same, and every answer is also told to `nmea` and measured in `measured`.
    pub(super) fn told_to(self, nmea: Option<Arc<Nmea>>, measured: Arc<Measured>) -> Self {
        Self { nmea, measured, ..self }
    }

    /// A number for an answer that is published later, and which those that are published meanwhile come after.
    pub(super) fn reserve(&self) -> u64 {
        next(&mut self.seq.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes an answer about a frame of `camera`, under the number that was reserved for it or the next one.
    pub(super) fn publish(&self, camera: &str, mut message: FixMessage) {
        let clock = Clock::judge(now_ms(), self.index_created_at_ms, Path::new(TIMESYNC));
        message.clock = clock.as_str().map(str::to_owned);
        let mut seq = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        message.boot = Some(self.boot);
        message.seq = message.seq.or_else(|| Some(next(&mut seq)));
        shorten(&mut message);
        self.count_and_log(&message);
        if let Some(nmea) = &self.nmea {
            nmea.offer(&message);
        }
        self.outbox.append(camera, &message);
    }

    fn count_and_log(&self, message: &FixMessage) {
        let count =
            if message.revises.is_some() { &self.counters.fixes_revised } else { &self.counters.frames_answered };
        count.add_one();
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
                stage = ?message.stage,
                status = ?message.status,
                lat = message.lat,
                lon = message.lon,
                wait_ms = ms.wait,
                decode_ms = ms.decode,
                embed_ms = ms.embed,
                search_ms = ms.search,
                rerank_ms = ms.rerank,
                fuse_ms = ms.fuse,
                total_ms = ms.total,
                "frame answered"
            );
        }
    }
}

/// Leaves as much of a message as goes over MQTT.
pub(super) fn shorten(message: &mut FixMessage) {
    message.shorten(MESSAGE_CANDIDATES, MESSAGE_DISSIMILAR, MESSAGE_BYTES);
}

fn next(seq: &mut u64) -> u64 {
    *seq += 1;
    *seq
}
