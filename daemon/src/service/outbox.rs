//! Answers that wait for the broker's acknowledgement.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Counters;
use crate::locate::FixMessage;

/// Bounds of the [`Outbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages that may wait, at least 1.
    pub messages: usize,
}

/// Number of a message in the outbox; grows in the order of appending.
pub type RecordId = u64;

/// A message on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number.
    pub id: RecordId,
    /// The camera whose topic it goes to.
    pub camera: String,
    /// The answer.
    pub message: FixMessage,
}

/// Answers in the order in which they were made. A message leaves when the broker acknowledged it, and for no other
/// reason than the bound: when the outbox is full the oldest is dropped and counted. It lives in memory: what waits is
/// lost when the process ends.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
    appended: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    next_id: RecordId,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    in_flight: bool,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(limits: OutboxLimits, counters: Arc<Counters>) -> Self {
        Self { limits, counters, queue: Mutex::default(), appended: Notify::new() }
    }

    /// Appends an answer for `camera`.
    pub fn append(&self, camera: &str, message: FixMessage) {
        let mut queue = self.lock();
        let id = queue.next_id;
        queue.next_id = id.saturating_add(1);
        let record = Record { id, camera: camera.to_owned(), message };
        queue.entries.push_back(Entry { record, in_flight: false });
        while queue.entries.len() > self.limits.messages {
            queue.entries.pop_front();
            self.counters.fixes_dropped.add_one();
        }
        drop(queue);
        self.appended.notify_one();
    }

    /// The oldest message that is not on its way, marked as being on its way from now on. `published_at` is set to
    /// `now` the first time, `replay` every further time.
    pub fn send_next(&self, now: Option<String>) -> Option<Record> {
        let mut queue = self.lock();
        let entry = queue.entries.iter_mut().find(|entry| !entry.in_flight)?;
        entry.in_flight = true;
        let message = &mut entry.record.message;
        if message.published_at.is_some() {
            message.replay = Some(true);
        } else {
            message.published_at = now;
        }
        Some(entry.record.clone())
    }

    /// The broker has it: the message leaves.
    pub fn acknowledge(&self, id: RecordId) {
        self.lock().entries.retain(|entry| entry.record.id != id);
    }

    /// The broker did not take it: it will be sent again.
    pub fn give_back(&self, id: RecordId) {
        if let Some(entry) = self.lock().entries.iter_mut().find(|entry| entry.record.id == id) {
            entry.in_flight = false;
        }
    }

    /// The connection is gone: all that was on its way will be sent again, in order.
    pub fn connection_lost(&self) {
        for entry in &mut self.lock().entries {
            entry.in_flight = false;
        }
    }

    /// Messages that wait or are on their way.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a message was appended since the last wait.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::{IndexPart, MessageStatus, ModelsPart, Stage, StageMilliseconds};

    fn message(seq: u64) -> FixMessage {
        FixMessage {
            v: 1,
            id: seq.to_string(),
            boot: Some(1),
            seq: Some(seq),
            cam: None,
            stage: Stage::Retrieved,
            captured_at: None,
            published_at: None,
            clock: None,
            replay: None,
            status: MessageStatus::Ambiguous,
            reason: None,
            lat: None,
            lon: None,
            view: None,
            position_of: None,
            candidates: Vec::new(),
            dissimilar: Vec::new(),
            truncated: None,
            index: IndexPart { digest: String::new(), verified: true },
            models: ModelsPart { encoder: None },
            ms: StageMilliseconds::default(),
        }
    }

    fn outbox(messages: usize) -> (Outbox, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let outbox = Outbox::new(OutboxLimits { messages }, Arc::clone(&counters));
        (outbox, counters)
    }

    fn send(outbox: &Outbox) -> Option<(u64, Option<bool>)> {
        let record = outbox.send_next(Some("now".to_owned()))?;
        Some((record.id, record.message.replay))
    }

    #[test]
    fn a_message_leaves_by_acknowledgement_alone() {
        let (outbox, _) = outbox(10);
        outbox.append("a", message(1));
        assert_eq!(send(&outbox), Some((0, None)));
        assert_eq!(send(&outbox), None, "what is on its way is not sent twice");
        assert_eq!(outbox.len(), 1);
        outbox.acknowledge(0);
        assert!(outbox.is_empty());
    }

    #[test]
    fn after_a_lost_connection_everything_unacknowledged_goes_again_in_order_and_is_marked() {
        let (outbox, _) = outbox(10);
        for seq in 0..4 {
            outbox.append("a", message(seq));
        }
        for _ in 0..3 {
            send(&outbox);
        }
        outbox.acknowledge(1);
        outbox.connection_lost();
        assert_eq!(send(&outbox), Some((0, Some(true))));
        assert_eq!(send(&outbox), Some((2, Some(true))));
        assert_eq!(send(&outbox), Some((3, None)), "first delivery");
    }

    #[test]
    fn a_full_outbox_drops_the_oldest_and_counts_it() {
        let (outbox, counters) = outbox(2);
        for seq in 0..5 {
            outbox.append("a", message(seq));
        }
        assert_eq!((outbox.len(), counters.fixes_dropped.get()), (2, 3));
        assert_eq!(send(&outbox), Some((3, None)));
        outbox.acknowledge(0);
        assert_eq!(outbox.len(), 2, "a late acknowledgement of a dropped message changes nothing");
    }

    #[test]
    fn a_refused_message_waits_for_another_try() {
        let (outbox, _) = outbox(2);
        outbox.append("a", message(0));
        send(&outbox);
        outbox.give_back(0);
        assert_eq!(send(&outbox), Some((0, Some(true))));
    }
}
