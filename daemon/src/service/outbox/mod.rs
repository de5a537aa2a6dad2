//! Answers that wait for the broker's acknowledgement, on disk.
//!
//! **What is promised.** A message that was [`append`](Outbox::append)ed can be sent at once; no disk is waited for. It
//! is durable with the next group commit, which [`flush`](Outbox::flush) waits for. A durable message is delivered, also
//! by a later start, unless a bound drops it, which is counted. It leaves by the broker's acknowledgement, or is set
//! aside because no broker would take it. Messages go in the order in which they were appended; one that may have been
//! handed to a broker before is marked as a replay, and only such a one.
//!
//! **Bounds.** Messages, bytes of the log, age, and bytes that wait in memory for a disk that takes nothing. Beyond a
//! bound the oldest are dropped, with a summary in the log; until that is durable, a start may find them and send them
//! all the same. While the disk fails everything goes on in memory, and the disk is tried again.
//!
//! **Parts.** `record.rs` is the form of a record, `survey.rs` reads segments, `log.rs` writes them, `folder.rs` is what
//! is asked of the disk. `queue.rs` is what waits, in memory. [`Outbox::run`] is the thread that brings them together:
//! it alone touches the disk.

mod archive;
mod commit;
mod folder;
mod log;
mod queue;
mod record;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::error;

pub use archive::{ArchiveError, ArchivedMessage, MessageFate, OutboxArchive, Selection, clear};
pub(super) use commit::OutboxFolder;

use self::commit::Worker;
use self::log::Outcome;
use self::queue::{Disk, Queue};
use self::record::{Content, DroppedTotal};
use super::Counters;
use super::clock::now_ms;
use super::health::Health;
use crate::locate::{FixMessage, timestamp};

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages that may wait, at least 1.
    pub messages: usize,
    /// Bytes of the log, at least four segments.
    pub max_bytes: u64,
    /// Bytes of a segment of the log.
    pub segment_bytes: u64,
    /// How long a message may wait, in milliseconds.
    pub max_age_ms: u64,
    /// How long after it was appended a message is durable, in milliseconds, where the disk keeps up.
    pub group_commit_ms: u64,
    /// Bytes that may wait in memory for a disk that takes nothing.
    pub memory_bytes: usize,
}

/// Number of a message in the outbox; grows in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordId(u64);

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its number.
    pub(super) id: RecordId,
    /// The camera whose topic it goes to.
    pub(super) camera: String,
    /// Number of the start that made it, and its own number since then.
    pub(super) at: (u64, u64),
    /// Whether it may have been sent before.
    pub(super) replay: bool,
    published_at: Option<String>,
    json: Vec<u8>,
}

impl Record {
    /// The message as it goes to the broker.
    pub(super) fn payload(&self) -> Vec<u8> {
        self.with(self.replay)
    }

    /// The same without the mark of a replay, for who keeps only the newest.
    pub(super) fn first_payload(&self) -> Vec<u8> {
        self.with(false)
    }

    fn with(&self, replay: bool) -> Vec<u8> {
        let mut payload = b"{".to_vec();
        if let Some(published_at) = &self.published_at {
            payload.extend(format!("\"published_at\":\"{published_at}\",").bytes());
        }
        if replay {
            payload.extend(b"\"replay\":true,");
        }
        payload.extend(self.json.strip_prefix(b"{").unwrap_or_default());
        payload
    }
}

/// Messages of one start, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeqRange {
    /// Number of the start that made them.
    pub boot: u64,
    /// The first one.
    pub from_seq: u64,
    /// The last one.
    pub to_seq: u64,
}

impl SeqRange {
    /// Whether a message is one of them.
    pub fn holds(&self, boot: u64, seq: u64) -> bool {
        self.boot == boot && (self.from_seq..=self.to_seq).contains(&seq)
    }
}

/// What the disk did about something that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// So many messages are sent again, so many more of the range wait anyway.
    Resent {
        /// Sent again.
        resending: u64,
        /// Not yet delivered for the first time.
        waiting: u64,
    },
    /// More messages than are sent again at a time.
    TooMany,
    /// Everything appended before is durable.
    Flushed,
    /// The disk takes or gives nothing; why.
    Failed(String),
}

/// What somebody asked for, and the number that the answer bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Resend(SeqRange),
    Flush,
}

/// Messages in order, in memory and on disk; see the module.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: OutboxLimits,
    counters: Arc<Counters>,
    health: Arc<Health>,
    started: Instant,
    /// A clock that shows less is not to be trusted, Unix milliseconds.
    clock_floor_ms: i64,
    state: Mutex<State>,
    /// For the thread.
    wake: Condvar,
    appended: Notify,
    worker: Mutex<Worker>,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    tasks: Vec<(u64, Task)>,
    done: Vec<(u64, Done)>,
    next_ticket: u64,
    closing: bool,
    newest: HashMap<String, (u64, u64)>,
    log_bytes: u64,
    written_bytes: u64,
    dropped_ever: DroppedTotal,
    last_boot: u64,
}

/// The outbox in figures.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct OutboxStats {
    /// Messages that wait or are on their way.
    pub(super) queued: u64,
    /// Of those, messages that no disk has yet.
    pub(super) in_memory: u64,
    /// Bytes of the log, with the messages that are kept after their delivery.
    pub(super) bytes: u64,
    /// Age of the oldest message that waits, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oldest_age_s: Option<u64>,
    /// Whether the disk takes what is to be written.
    pub(super) disk: DiskState,
    /// Found when the daemon started.
    pub(super) recovered: u64,
    /// Sent with the mark of a replay.
    pub(super) replayed: u64,
    /// Sent again because somebody asked for it.
    pub(super) resent: u64,
    /// Given up because no broker would take them.
    pub(super) set_aside: u64,
    /// Delivered, with nobody subscribed.
    pub(super) unheard: u64,
    /// Dropped since the start, by reason.
    pub(super) dropped: DroppedNow,
    /// Dropped since the log was begun.
    pub(super) dropped_ever: DroppedTotal,
    /// Bytes of all messages appended since the start.
    pub(super) queued_bytes: u64,
    /// Bytes handed to the disk since the start.
    pub(super) written_bytes: u64,
}

/// Dropped since the start, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct DroppedNow {
    /// More waited than allowed.
    pub(super) messages: u64,
    /// The log took more bytes than allowed.
    pub(super) bytes: u64,
    /// Too old.
    pub(super) age: u64,
    /// No disk took them, and memory was full.
    pub(super) memory: u64,
    /// Could not be read back.
    pub(super) damaged: u64,
}

/// Whether the disk takes what is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DiskState {
    /// It does.
    Working,
    /// It does not; messages wait in memory.
    Failing,
}

impl Outbox {
    /// An outbox over a folder, with what earlier starts left there. A folder that cannot be read is tried again later.
    /// A clock below `clock_floor_ms`, in Unix milliseconds, is not believed when it comes to age.
    pub(super) fn open(
        limits: OutboxLimits,
        folder: OutboxFolder,
        counters: Arc<Counters>,
        health: Arc<Health>,
        clock_floor_ms: i64,
    ) -> Self {
        let state = State {
            queue: Queue::new(limits),
            tasks: Vec::new(),
            done: Vec::new(),
            next_ticket: 0,
            closing: false,
            newest: HashMap::new(),
            log_bytes: 0,
            written_bytes: 0,
            dropped_ever: DroppedTotal::default(),
            last_boot: 0,
        };
        let outbox = Self {
            limits,
            counters,
            health,
            started: Instant::now(),
            clock_floor_ms,
            state: Mutex::new(state),
            wake: Condvar::new(),
            appended: Notify::new(),
            worker: Mutex::new(Worker::new(folder)),
        };
        outbox.worker().open(&outbox, 0, now_ms());
        outbox
    }

    /// The highest number of a start in the log, 0 without one.
    pub(super) fn last_boot(&self) -> u64 {
        self.lock().last_boot
    }

    /// Boot and seq of each camera's newest message in the log.
    pub(super) fn newest(&self) -> HashMap<String, (u64, u64)> {
        self.lock().newest.clone()
    }

    /// Appends an answer for `camera`.
    pub(super) fn append(&self, camera: &str, message: &FixMessage) {
        let json = match serde_json::to_vec(message) {
            Ok(json) => json,
            Err(error) => return error!(id = message.id, %error, "fix cannot be written as JSON"),
        };
        let now = now_ms();
        let stamped_ms = if now >= self.clock_floor_ms { u64::try_from(now).unwrap_or(0) } else { 0 };
        let (boot, seq) = (message.boot.unwrap_or_default(), message.seq.unwrap_or_default());
        self.append_content(Content { boot, seq, stamped_ms, camera: camera.to_owned(), json }, self.uptime_ms());
    }

    fn append_content(&self, content: Content, uptime_ms: u64) {
        let mut state = self.lock();
        let before = state.queue.tally.dropped.iter().sum::<u64>();
        state.queue.append(content, uptime_ms);
        self.count_drops(&state, before);
        drop(state);
        self.wake.notify_one();
        self.appended.notify_one();
    }

    /// The oldest message that is not on its way, marked as being on its way from now on. `None` also while it is being
    /// read from the disk; [`appended`](Self::appended) tells when it is worth asking again.
    pub(super) fn send_next(&self) -> Option<Record> {
        self.send_next_at(self.uptime_ms(), now_ms())
    }

    fn send_next_at(&self, uptime_ms: u64, unix_ms: i64) -> Option<Record> {
        let mut state = self.lock();
        let next = state.queue.send_next(uptime_ms, unix_ms);
        if next.is_none() && state.queue.urgent() {
            self.wake.notify_one();
        }
        drop(state);
        let next = next?;
        let content = Arc::unwrap_or_clone(next.content);
        Some(Record {
            id: RecordId(next.handle),
            at: (content.boot, content.seq),
            camera: content.camera,
            replay: next.replay,
            published_at: timestamp(next.published_ms),
            json: content.json,
        })
    }

    /// The broker has it: the message leaves. `heard` says whether anybody was subscribed.
    pub(super) fn acknowledge(&self, id: RecordId, heard: bool) {
        if self.lock().queue.decide(id, Outcome::Cleared) == Some(true) {
            self.counters.fixes_delivered.add_one();
            if !heard {
                self.counters.fixes_unheard.add_one();
            }
        }
        self.wake.notify_one();
    }

    /// No broker will take it: it is kept in the log and sent again only when somebody asks for it.
    pub(super) fn set_aside(&self, id: RecordId, reason: &str) {
        self.lock().queue.decide(id, Outcome::SetAside(reason.to_owned()));
        self.wake.notify_one();
    }

    /// The broker did not take it: it will be sent again.
    pub(super) fn give_back(&self, id: RecordId) {
        self.lock().queue.give_back(id);
    }

    /// A connection was made: what waits will be asked for.
    pub(super) fn connection_made(&self) {
        let uptime_ms = self.uptime_ms();
        self.lock().queue.connection_made(uptime_ms);
        self.wake.notify_one();
    }

    /// The connection is gone: all that was on its way will be sent again, in order.
    pub(super) fn connection_lost(&self) {
        self.lock().queue.connection_lost();
    }

    /// Messages that wait or are on their way.
    pub(super) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Waits until it is worth asking for messages or answers again.
    pub(super) async fn appended(&self) {
        self.appended.notified().await;
    }

    /// Asks for messages to be sent again; [`take_done`](Self::take_done) gives the answer under the number returned.
    pub(super) fn resend(&self, range: SeqRange) -> u64 {
        self.ask(Task::Resend(range))
    }

    /// Asks that everything is made durable now; the answer comes as that of [`resend`](Self::resend).
    pub(super) fn flush(&self) -> u64 {
        self.ask(Task::Flush)
    }

    fn ask(&self, task: Task) -> u64 {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket = ticket.saturating_add(1);
        state.tasks.push((ticket, task));
        drop(state);
        self.wake.notify_one();
        ticket
    }

    /// Answers to what was asked for, with their numbers.
    pub(super) fn take_done(&self) -> Vec<(u64, Done)> {
        std::mem::take(&mut self.lock().done)
    }

    /// The outbox in figures.
    pub(super) fn stats(&self) -> OutboxStats {
        let uptime_ms = self.uptime_ms();
        let state = self.lock();
        let (queue, tally) = (&state.queue, &state.queue.tally);
        let [messages, bytes, age, memory, damaged] = tally.dropped;
        OutboxStats {
            queued: queue.len() as u64,
            in_memory: queue.unwritten() as u64,
            bytes: state.log_bytes,
            oldest_age_s: queue.oldest_age_ms(uptime_ms).map(|age| age / 1000),
            disk: if queue.disk == Disk::Working { DiskState::Working } else { DiskState::Failing },
            recovered: tally.recovered,
            replayed: tally.replayed,
            resent: tally.resent,
            set_aside: tally.set_aside,
            unheard: self.counters.fixes_unheard.get(),
            dropped: DroppedNow { messages, bytes, age, memory, damaged },
            dropped_ever: state.dropped_ever,
            queued_bytes: tally.queued_bytes,
            written_bytes: state.written_bytes,
        }
    }

    /// The work of the thread that owns the disk; returns after [`close`](Self::close), when everything is written or
    /// the disk takes nothing.
    pub(super) fn run(&self) {
        loop {
            let closing = self.wait_for_work();
            let failed = self.worker().step(self, self.uptime_ms(), now_ms());
            if closing && (failed || !self.lock().queue.dirty()) {
                return;
            }
        }
    }

    /// Has [`run`](Self::run) write what is left, and return.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_all();
    }

    /// Waits until the disk has something to do; whether the outbox is being closed.
    fn wait_for_work(&self) -> bool {
        let group_commit = Duration::from_millis(self.limits.group_commit_ms);
        let retry_in = self.worker().retry_in(self.uptime_ms());
        let start = Instant::now();
        let mut state = self.lock();
        let mut dirty_since = None;
        loop {
            let now = Instant::now();
            let waited = now.saturating_duration_since(start);
            if state.closing {
                return true;
            }
            if state.queue.dirty() {
                dirty_since.get_or_insert(now);
            }
            let until = match (retry_in, dirty_since) {
                (Some(retry_in), _) => retry_in,
                (None, _) if state.queue.urgent() || !state.tasks.is_empty() => return false,
                (None, Some(since)) => since.saturating_duration_since(start).saturating_add(group_commit),
                (None, None) => commit::TICK,
            };
            if waited >= until {
                return false;
            }
            let (woken, _) =
                self.wake.wait_timeout(state, until.saturating_sub(waited)).unwrap_or_else(PoisonError::into_inner);
            state = woken;
        }
    }

    fn count_drops(&self, state: &State, before: u64) {
        let now = state.queue.tally.dropped.iter().sum::<u64>();
        self.counters.fixes_dropped.add(now.saturating_sub(before));
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
