//! The thread that answers what operators ask: where a picture was taken, and how everything stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Live;
use super::orders::{Answer, Lane, Next, Order, Orders};
use crate::download::free_bytes;
use crate::locate::{FixMessage, Frame, Hints};
use crate::service::answers::shorten;
use crate::service::clock::{Clock, TIMESYNC, now_ms};
use crate::service::commands::Refusal;
use crate::service::health::Health;
use crate::service::memory;
use crate::service::outbox::{DiskState, Outbox};
use crate::service::worker::Heartbeat;

/// How often is looked whether the daemon stops.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Less room than this is too little.
const FEW_BYTES: u64 = 64 << 20;
/// An older sign of life of the pipeline is none.
const ALIVE: Duration = Duration::from_secs(30);

/// What the questions are about.
pub(in crate::service) struct Questions {
    pub(in crate::service) live: Arc<Live>,
    pub(in crate::service) orders: Arc<Orders>,
    pub(in crate::service) health: Arc<Health>,
    pub(in crate::service) heartbeat: Arc<Heartbeat>,
    pub(in crate::service) outbox: Arc<Outbox>,
    pub(in crate::service) state_dir: PathBuf,
    pub(in crate::service) index_created_at_ms: i64,
}

/// One thing that was looked at; the words are those of `geolocate doctor`.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: &'static str,
    what: String,
}

fn finding(check: &'static str, state: &'static str, what: impl Into<String>) -> Finding {
    Finding { check, state, what: what.into() }
}

impl Questions {
    /// Answers until the daemon stops.
    pub(in crate::service) fn run(self) {
        loop {
            match self.orders.next(Lane::Questions, PATIENCE) {
                Next::Order(ticket, Order::Locate(picture)) => self.orders.finish(ticket, self.locate(picture)),
                Next::Order(ticket, _) => self.orders.finish(ticket, Ok(self.doctor())),
                Next::Look => {}
                Next::Closed => return,
            }
        }
    }

    /// Where a picture was taken: the same pipeline as for frames, beside them. Its answer is no message of the outbox.
    fn locate(&self, encoded: Vec<u8>) -> Answer {
        let Some(pipeline) = self.live.get() else {
            return Err((Refusal::NoGeneration, "no generation serves yet".to_owned()));
        };
        let (id, camera) = ("locate".to_owned(), String::new());
        let frame = Frame { id, camera, captured_at_ms: None, hints: Hints::default(), prior: None, encoded };
        let located = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pipeline.locate(&frame)));
        let prediction = located.map_err(|_| {
            (Refusal::PictureRefused, "the pipeline did not survive this picture; see the log".to_owned())
        })?;
        let mut message = FixMessage::new(&pipeline, &frame.id, None, None, &prediction);
        shorten(&mut message);
        let fix = serde_json::to_value(&message).unwrap_or_default();
        Ok(Map::from_iter([("fix".to_owned(), fix)]))
    }

    /// How everything stands, as the daemon itself sees it.
    fn doctor(&self) -> Map<String, Value> {
        let findings =
            [self.reasons(), self.index(), self.pipeline(), self.outbox(), self.disk(), self.clock(), memory_finding()];
        let good = findings.iter().all(|finding| finding.state != "wrong");
        let findings = serde_json::to_value(findings).unwrap_or_default();
        Map::from_iter([("good".to_owned(), json!(good)), ("findings".to_owned(), findings)])
    }

    fn reasons(&self) -> Finding {
        match self.health.reason() {
            Some(reason) => finding("status", "wrong", reason),
            None => finding("status", "good", "nothing is degraded"),
        }
    }

    fn index(&self) -> Finding {
        let Some(pipeline) = self.live.get() else {
            return finding("index", "wrong", "no generation serves: frames wait");
        };
        let shards = pipeline.shards();
        let generation = pipeline.generation().map(|counter| format!("generation {counter}, ")).unwrap_or_default();
        let what =
            format!("{generation}{} references in {} shards, {}", shards.len(), shards.shards().len(), shards.digest());
        finding("index", "good", what)
    }

    fn pipeline(&self) -> Finding {
        let age = self.heartbeat.age();
        let what = format!("last sign of life {:.1} s ago", age.as_secs_f64());
        finding("pipeline", if age < ALIVE { "good" } else { "wrong" }, what)
    }

    fn outbox(&self) -> Finding {
        let stats = self.outbox.stats();
        let state = if stats.disk == DiskState::Working { "good" } else { "wrong" };
        finding("outbox", state, format!("{} fixes wait, {} of them in memory", stats.queued, stats.in_memory))
    }

    fn disk(&self) -> Finding {
        match free_bytes(&self.state_dir) {
            Ok(free) if free < FEW_BYTES => finding("disk", "warning", format!("{free} bytes free for the state")),
            Ok(free) => finding("disk", "good", format!("{free} bytes free for the state")),
            Err(error) => finding("disk", "warning", format!("{}: {error}", self.state_dir.display())),
        }
    }

    fn clock(&self) -> Finding {
        match Clock::judge(now_ms(), self.index_created_at_ms, Path::new(TIMESYNC)) {
            Clock::Synced => finding("clock", "good", "set by systemd-timesyncd"),
            Clock::Unsynced => {
                finding("clock", "warning", "not set: expiry is judged by the newest time that is certain")
            }
            Clock::Unknown => finding("clock", "good", "nobody says that it is wrong"),
        }
    }
}

fn memory_finding() -> Finding {
    match memory::now() {
        Some(found) => {
            let what = format!("{} bytes anonymous, {} bytes of files", found.anonymous_bytes, found.file_bytes);
            finding("memory", "good", what)
        }
        None => finding("memory", "warning", "the kernel does not tell"),
    }
}
