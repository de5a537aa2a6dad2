//! What the outbox knows in memory: which messages wait, where they lie, what is still to be written.
//!
//! Nothing here does I/O or reads a clock. Messages are known by a handle that is theirs for as long as the process
//! lives; their id in the log is given when they are first written. Handles of messages of earlier starts are their
//! ids, so that they go before what comes after.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use super::log::{Batch, NewMessage, Outcome, Written};
use super::record::{Content, DropReason, Dropped, DroppedTotal, MESSAGE_EXTRA_BYTES, Runs};
use super::survey::{Place, Survey};
use super::{OutboxLimits, RecordId};

/// Handles of messages of this start begin here; far above all ids.
const FIRST_HANDLE: u64 = 1 << 61;
/// Handles of messages that are sent again because somebody asked for them.
const FIRST_RESEND: u64 = 1 << 62;
/// Ids for which sending is allowed ahead.
const LEASE: u64 = 1024;
/// How long sending waits at most for the lease to be durable: a slow disk must not hold up a fix.
const LEASE_PATIENCE_MS: u64 = 1000;
/// Messages whose content is kept or brought into memory ahead of sending.
const READY: usize = 64;
/// Bytes of one batch, about, at most; less where segments are small.
const BATCH_BYTES: usize = 1 << 20;
/// A summary, and a lease, take less.
const SUMMARY_BYTES: usize = 128;
/// A run of ids, or a record about one message, takes less.
const RUN_BYTES: usize = 32;
/// Messages that may be asked for again at a time.
pub(super) const MOST_RESENDS: usize = 100_000;

/// How far the disk can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    /// Nobody has looked yet.
    Unopened,
    Working,
    Failing,
}

/// A message that waits for its acknowledgement.
#[derive(Debug)]
struct Entry {
    handle: u64,
    /// In the log; 0 until it is given.
    id: u64,
    place: Option<Place>,
    content: Option<Arc<Content>>,
    boot: u64,
    seq: u64,
    json_bytes: u32,
    in_flight: bool,
    /// Whether it was, or may have been, handed to a broker.
    sent: bool,
    /// When it was first handed over by this process, Unix milliseconds; 0 if it was not.
    published_ms: i64,
    /// When it was appended, in milliseconds of this process's life; negative for earlier.
    born_ms: i64,
}

#[derive(Debug)]
struct Unwritten {
    handle: u64,
    /// 0 until it was first tried to write.
    id: u64,
    content: Arc<Content>,
    outcome: Option<Outcome>,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToSend {
    pub(super) handle: u64,
    pub(super) content: Arc<Content>,
    pub(super) replay: bool,
    pub(super) published_ms: i64,
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) dropped: [u64; 5],
    pub(super) set_aside: u64,
    pub(super) replayed: u64,
    pub(super) resent: u64,
    pub(super) recovered: u64,
    /// Bytes of the JSON of all messages that were appended.
    pub(super) queued_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Queue {
    limits: OutboxLimits,
    /// By handle.
    waiting: VecDeque<Entry>,
    /// By handle; a subset of `waiting`, and messages that left before they were written.
    unwritten: VecDeque<Unwritten>,
    unwritten_bytes: usize,
    resends: VecDeque<Entry>,
    decided: Vec<(u64, u32, Outcome)>,
    /// Ids that a failed batch may have brought to the disk, of messages that are not kept any more.
    stray: Runs,
    dropped: Vec<(Dropped, Vec<u32>)>,
    next_handle: u64,
    next_resend: u64,
    next_id: u64,
    /// Ids below it may be sent: that they may have been is durable.
    leased: u64,
    lease_wanted_ms: Option<u64>,
    /// Above the ids of all that was sent.
    sent_below: u64,
    pub(super) connected: bool,
    pub(super) disk: Disk,
    pub(super) tally: Tally,
    /// Somebody waits for content.
    load_wanted: bool,
}

impl Queue {
    pub(super) fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            unwritten: VecDeque::new(),
            unwritten_bytes: 0,
            resends: VecDeque::new(),
            decided: Vec::new(),
            stray: Runs::default(),
            dropped: Vec::new(),
            next_handle: FIRST_HANDLE,
            next_resend: FIRST_RESEND,
            next_id: 1,
            leased: 0,
            lease_wanted_ms: None,
            sent_below: 0,
            connected: false,
            disk: Disk::Unopened,
            tally: Tally::default(),
            load_wanted: false,
        }
    }

    /// Takes over what earlier starts left. `age_ms` says how old a message with this stamp is.
    pub(super) fn recover(&mut self, survey: &Survey, now_ms: u64, age_ms: impl Fn(u64) -> u64) {
        let unsure = !survey.damage.is_empty();
        let found = survey.messages.iter().rev().filter(|(id, _)| **id < FIRST_HANDLE);
        for (id, found) in found {
            let age_ms = age_ms(found.content.stamped_ms);
            self.waiting.push_front(Entry {
                handle: *id,
                id: *id,
                place: Some(found.place),
                content: None,
                boot: found.content.boot,
                seq: found.content.seq,
                json_bytes: u32::try_from(found.json_bytes).unwrap_or(u32::MAX),
                in_flight: false,
                sent: unsure || *id < survey.lease,
                published_ms: 0,
                born_ms: signed(now_ms).saturating_sub(signed(age_ms)),
            });
        }
        self.tally.recovered = self.tally.recovered.saturating_add(survey.messages.len() as u64);
        // An id that was leased and never written is not given again: nothing of this start was sent before.
        self.next_id = self.next_id.max(survey.next_id).max(survey.lease);
        if self.sent_below > 0 {
            self.sent_below = self.next_id.saturating_add(self.unwritten.len() as u64);
        }
        self.leased = self.leased.max(survey.lease);
        self.disk = Disk::Working;
        self.bound_messages();
    }

    /// Appends a message; over the bound of messages the oldest are dropped.
    pub(super) fn append(&mut self, content: Content, now_ms: u64) {
        let handle = self.next_handle;
        self.next_handle = handle.saturating_add(1);
        self.tally.queued_bytes = self.tally.queued_bytes.saturating_add(content.json.len() as u64);
        let content = Arc::new(content);
        self.waiting.push_back(Entry {
            handle,
            id: 0,
            place: None,
            content: Some(Arc::clone(&content)),
            boot: content.boot,
            seq: content.seq,
            json_bytes: u32::try_from(content.json.len()).unwrap_or(u32::MAX),
            in_flight: false,
            sent: false,
            published_ms: 0,
            born_ms: signed(now_ms),
        });
        self.unwritten_bytes = self.unwritten_bytes.saturating_add(weight(&content));
        self.unwritten.push_back(Unwritten { handle, id: 0, content, outcome: None });
        self.bound_messages();
        self.bound_memory();
    }

    /// The oldest message that is not on its way, marked as being on its way from now on; what was asked for again goes
    /// last. `None` also while the content is brought into memory or the lease is made durable.
    pub(super) fn send_next(&mut self, now_ms: u64, unix_ms: i64) -> Option<ToSend> {
        if self.disk == Disk::Unopened {
            return None;
        }
        let Some(position) = self.waiting.iter().position(|entry| !entry.in_flight) else {
            return self.resend_next(unix_ms);
        };
        let above = self.next_id.saturating_add(self.unwritten.len() as u64);
        let leased = self.leased;
        let entry = self.waiting.get_mut(position)?;
        let below = if entry.id == 0 { above } else { entry.id.saturating_add(1) };
        if self.disk == Disk::Working && below > leased {
            let since = *self.lease_wanted_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(since) < LEASE_PATIENCE_MS {
                return None;
            }
        }
        let Some(content) = entry.content.clone() else {
            self.load_wanted = true;
            return None;
        };
        entry.in_flight = true;
        let replay = std::mem::replace(&mut entry.sent, true);
        if entry.published_ms == 0 {
            entry.published_ms = unix_ms;
        }
        self.sent_below = self.sent_below.max(below);
        self.tally.replayed = self.tally.replayed.saturating_add(u64::from(replay));
        Some(ToSend { handle: entry.handle, content, replay, published_ms: entry.published_ms })
    }

    fn resend_next(&mut self, unix_ms: i64) -> Option<ToSend> {
        let entry = self.resends.iter_mut().find(|entry| !entry.in_flight)?;
        let Some(content) = entry.content.clone() else {
            self.load_wanted = true;
            return None;
        };
        entry.in_flight = true;
        self.tally.resent = self.tally.resent.saturating_add(1);
        Some(ToSend { handle: entry.handle, content, replay: true, published_ms: unix_ms })
    }

    /// Takes a message out because of its outcome. `None` where it is not here any more; else whether it was one of
    /// those that wait, not one that was asked for again.
    pub(super) fn decide(&mut self, id: RecordId, outcome: Outcome) -> Option<bool> {
        if id.0 >= FIRST_RESEND {
            let position = self.resends.binary_search_by_key(&id.0, |entry| entry.handle).ok()?;
            self.resends.remove(position);
            return Some(false);
        }
        let position = self.waiting.binary_search_by_key(&id.0, |entry| entry.handle).ok()?;
        let entry = self.waiting.remove(position)?;
        if matches!(outcome, Outcome::SetAside(_)) {
            self.tally.set_aside = self.tally.set_aside.saturating_add(1);
        }
        if let Some(place) = entry.place {
            self.decided.push((entry.id, place.segment, outcome));
        } else if let Some(unwritten) = self.find_unwritten(id.0) {
            unwritten.outcome = Some(outcome);
        }
        Some(true)
    }

    pub(super) fn give_back(&mut self, id: RecordId) {
        for queue in [&mut self.waiting, &mut self.resends] {
            if let Ok(position) = queue.binary_search_by_key(&id.0, |entry| entry.handle)
                && let Some(entry) = queue.get_mut(position)
            {
                entry.in_flight = false;
            }
        }
    }

    pub(super) fn connection_lost(&mut self) {
        (self.connected, self.lease_wanted_ms) = (false, None);
        self.waiting.iter_mut().chain(&mut self.resends).for_each(|entry| entry.in_flight = false);
    }

    /// From now on messages are handed over: the lease must be made durable.
    pub(super) fn connection_made(&mut self, now_ms: u64) {
        self.connected = true;
        let above = self.next_id.saturating_add(self.unwritten.len() as u64);
        if self.leased <= above {
            self.lease_wanted_ms.get_or_insert(now_ms);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Messages that are on the way or to be sent again because somebody asked.
    pub(super) fn resends(&self) -> usize {
        self.resends.len()
    }

    /// Messages that no disk has yet.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    pub(super) fn oldest_age_ms(&self, now_ms: u64) -> Option<u64> {
        self.waiting.front().map(|entry| age_ms(entry, now_ms))
    }

    /// Whether anything is to be written, at the latest with the next group commit.
    pub(super) fn dirty(&self) -> bool {
        let nothing = self.unwritten.is_empty() && self.decided.is_empty() && self.dropped.is_empty();
        !nothing || !self.stray.is_empty() || self.urgent()
    }

    /// Whether somebody waits for the disk.
    pub(super) fn urgent(&self) -> bool {
        self.load_wanted || self.lease_wanted_ms.is_some()
    }

    /// Bytes that the next batch takes at most, but for a summary of what is dropped to make room for it.
    pub(super) fn batch_bytes(&self) -> u64 {
        let mut bytes = SUMMARY_BYTES;
        for unwritten in &self.unwritten {
            if bytes > self.most_bytes() {
                break;
            }
            bytes = bytes.saturating_add(weight(&unwritten.content));
        }
        let mut add = |more: usize| bytes = bytes.saturating_add(more);
        for (_, _, outcome) in &self.decided {
            add(match outcome {
                Outcome::Cleared => RUN_BYTES,
                Outcome::SetAside(reason) => RUN_BYTES.saturating_add(reason.len()),
            });
        }
        add(RUN_BYTES.saturating_mul(self.stray.iter().count()));
        for (dropped, _) in &self.dropped {
            add(RUN_BYTES.saturating_mul(dropped.ids.iter().count()).saturating_add(SUMMARY_BYTES));
        }
        bytes as u64
    }

    fn most_bytes(&self) -> usize {
        BATCH_BYTES.min(usize::try_from(self.limits.segment_bytes / 2).unwrap_or(BATCH_BYTES))
    }

    /// Takes what is to be written next, first dropping what is in the condemned segments. Empty where nothing is.
    pub(super) fn take_batch(&mut self, condemned: &BTreeSet<u32>) -> Option<Batch> {
        if !condemned.is_empty() {
            self.drop_where(DropReason::Bytes, usize::MAX, |entry| {
                entry.place.is_some_and(|place| condemned.contains(&place.segment))
            });
            for entry in self.waiting.iter_mut().chain(&mut self.resends) {
                // On its way: it stays in memory until it is known what became of it.
                entry.place = entry.place.filter(|place| !condemned.contains(&place.segment));
            }
            self.resends.retain(|entry| entry.place.is_some() || entry.in_flight);
        }
        let mut batch = Batch { lease: self.leased.max(self.sent_below), ..Batch::default() };
        let (mut bytes, most_bytes) = (0_usize, self.most_bytes());
        for unwritten in &mut self.unwritten {
            if bytes > most_bytes {
                break;
            }
            bytes = bytes.saturating_add(weight(&unwritten.content));
            if unwritten.id == 0 {
                unwritten.id = self.next_id;
                self.next_id = self.next_id.saturating_add(1);
            }
            batch.messages.push(NewMessage {
                handle: unwritten.handle,
                id: unwritten.id,
                content: Arc::clone(&unwritten.content),
                outcome: unwritten.outcome.clone(),
            });
        }
        let above = self.next_id.saturating_add(self.unwritten.len() as u64);
        if self.connected && self.leased < above.saturating_add(LEASE / 2) {
            batch.lease = batch.lease.max(above.saturating_add(LEASE));
        }
        batch.decided = std::mem::take(&mut self.decided);
        batch.stray = std::mem::take(&mut self.stray);
        batch.dropped = std::mem::take(&mut self.dropped);
        batch.next_id = self.next_id;
        let empty = batch.messages.is_empty() && batch.decided.is_empty() && batch.dropped.is_empty();
        if empty && batch.stray.is_empty() && batch.lease <= self.leased {
            self.lease_wanted_ms = None;
            return None;
        }
        Some(batch)
    }

    /// The batch is durable.
    pub(super) fn committed(&mut self, batch: &Batch, written: &Written) {
        self.disk = Disk::Working;
        self.leased = self.leased.max(written.lease);
        self.lease_wanted_ms = None;
        let mut ready = self.waiting.front().map_or(0, |entry| entry.handle).saturating_add(READY as u64);
        if self.waiting.len() <= READY {
            ready = u64::MAX;
        }
        for (message, (handle, place)) in batch.messages.iter().zip(&written.places) {
            let Some(unwritten) = self.unwritten.pop_front_if(|unwritten| unwritten.handle == *handle) else {
                // It was dropped meanwhile.
                self.decided.push((message.id, place.segment, Outcome::Cleared));
                continue;
            };
            self.unwritten_bytes = self.unwritten_bytes.saturating_sub(weight(&unwritten.content));
            if let Some(outcome) = unwritten.outcome.filter(|_| message.outcome.is_none()) {
                self.decided.push((message.id, place.segment, outcome));
            }
            if let Ok(position) = self.waiting.binary_search_by_key(handle, |entry| entry.handle)
                && let Some(entry) = self.waiting.get_mut(position)
            {
                (entry.id, entry.place) = (message.id, Some(*place));
                if !entry.in_flight && entry.handle > ready {
                    entry.content = None;
                }
            }
        }
    }

    /// The disk did not take the batch: it will be written again.
    pub(super) fn not_committed(&mut self, batch: Batch) {
        self.disk = Disk::Failing;
        let decided = std::mem::take(&mut self.decided);
        self.decided = [batch.decided, decided].concat();
        let stray = std::mem::replace(&mut self.stray, batch.stray);
        self.stray.append(stray);
        let dropped = std::mem::take(&mut self.dropped);
        self.dropped = [batch.dropped, dropped].concat();
        self.bound_memory();
    }

    /// Messages whose content is to be brought into memory, where somebody waits for it: by handle and place.
    pub(super) fn wanted(&mut self) -> Vec<(RecordId, Place)> {
        if !std::mem::take(&mut self.load_wanted) {
            return Vec::new();
        }
        let idle = |entry: &&Entry| !entry.in_flight;
        let next = self.waiting.iter().filter(idle).chain(self.resends.iter().filter(idle)).take(READY);
        let without = next.filter(|entry| entry.content.is_none());
        without.filter_map(|entry| Some((RecordId(entry.handle), entry.place?))).collect()
    }

    /// The content of a message is there, or cannot be read: then the message is dropped and counted.
    pub(super) fn loaded(&mut self, id: RecordId, content: Option<Content>) {
        let Some(content) = content else {
            self.resends.retain(|entry| entry.handle != id.0);
            self.drop_where(DropReason::Damaged, 1, |entry| entry.handle == id.0);
            return;
        };
        let queue = if id.0 >= FIRST_RESEND { &mut self.resends } else { &mut self.waiting };
        if let Ok(position) = queue.binary_search_by_key(&id.0, |entry| entry.handle)
            && let Some(entry) = queue.get_mut(position)
        {
            entry.content = Some(Arc::new(content));
        }
    }

    /// Drops what has waited longer than the bound.
    pub(super) fn bound_age(&mut self, now_ms: u64) {
        let most = self.limits.max_age_ms;
        if self.oldest_age_ms(now_ms).is_some_and(|age| age > most) {
            self.drop_where(DropReason::Age, usize::MAX, |entry| age_ms(entry, now_ms) > most);
        }
    }

    /// Seqs of the messages of `boot` that wait.
    pub(super) fn waiting_seqs(&self, boot: u64) -> HashSet<u64> {
        self.waiting.iter().filter(|entry| entry.boot == boot).map(|entry| entry.seq).collect()
    }

    /// Takes a message of the log to be sent again; false where too many are asked for.
    pub(super) fn resend(&mut self, boot: u64, seq: u64, place: Place) -> bool {
        if self.resends.len() >= MOST_RESENDS {
            return false;
        }
        let handle = self.next_resend;
        self.next_resend = handle.saturating_add(1);
        let (id, content, json_bytes, published_ms, born_ms) = (0, None, 0, 0, 0);
        let (in_flight, sent, place) = (false, true, Some(place));
        let entry = Entry { handle, id, place, content, boot, seq, json_bytes, in_flight, sent, published_ms, born_ms };
        self.resends.push_back(entry);
        true
    }

    fn find_unwritten(&mut self, handle: u64) -> Option<&mut Unwritten> {
        let position = self.unwritten.binary_search_by_key(&handle, |unwritten| unwritten.handle).ok()?;
        self.unwritten.get_mut(position)
    }

    /// Beyond the bound a part of the messages goes at once, so that there are not as many summaries as messages.
    fn bound_messages(&mut self) {
        let surplus = self.waiting.len().saturating_sub(self.limits.messages);
        if surplus > 0 {
            let part = self.limits.messages / 64;
            self.drop_where(DropReason::Messages, surplus.saturating_add(part), |_| true);
        }
    }

    /// What no disk takes is bounded: first what was delivered and would only be kept for later goes, then the oldest.
    fn bound_memory(&mut self) {
        if self.unwritten_bytes <= self.limits.memory_bytes {
            return;
        }
        let stray = &mut self.stray;
        self.unwritten.retain(|unwritten| {
            let kept = unwritten.outcome.is_none();
            if !kept && unwritten.id != 0 {
                stray.push(unwritten.id);
            }
            kept
        });
        let mut over = self.weigh().saturating_sub(self.limits.memory_bytes);
        let mut handles = HashSet::new();
        let in_flight: HashSet<u64> =
            self.waiting.iter().filter(|entry| entry.in_flight).map(|entry| entry.handle).collect();
        for unwritten in self.unwritten.iter().filter(|unwritten| !in_flight.contains(&unwritten.handle)) {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(weight(&unwritten.content));
            handles.insert(unwritten.handle);
        }
        self.drop_where(DropReason::Memory, usize::MAX, |entry| handles.contains(&entry.handle));
    }

    fn weigh(&mut self) -> usize {
        self.unwritten_bytes = self.unwritten.iter().map(|unwritten| weight(&unwritten.content)).sum();
        self.unwritten_bytes
    }

    /// Drops up to `most` messages that are not on their way, oldest first, and notes a summary.
    fn drop_where(&mut self, reason: DropReason, most: usize, drops: impl Fn(&Entry) -> bool) {
        let mut gone: Vec<Entry> = Vec::new();
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for entry in self.waiting.drain(..) {
            if gone.len() < most && !entry.in_flight && drops(&entry) {
                gone.push(entry);
            } else {
                kept.push_back(entry);
            }
        }
        self.waiting = kept;
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return };
        let handles: HashSet<u64> =
            gone.iter().filter(|entry| entry.place.is_none()).map(|entry| entry.handle).collect();
        let mut ids: Vec<u64> = gone.iter().map(|entry| entry.id).collect();
        let tried = self.unwritten.iter().filter(|unwritten| handles.contains(&unwritten.handle));
        ids.extend(tried.map(|unwritten| unwritten.id));
        ids.retain(|id| *id != 0);
        ids.sort_unstable();
        let segments = gone.iter().filter_map(|entry| Some(entry.place?.segment)).collect();
        let bytes = gone.iter().map(|entry| u64::from(entry.json_bytes)).sum();
        let total = DroppedTotal { messages: gone.len() as u64, bytes };
        let (first, last) = ((first.boot, first.seq), (last.boot, last.seq));
        let ids: Runs = ids.into_iter().collect();
        self.dropped.push((Dropped { reason, total, first, last, ids }, segments));
        if let Some(count) = self.tally.dropped.get_mut(reason as usize) {
            *count = count.saturating_add(total.messages);
        }
        if !handles.is_empty() {
            self.unwritten.retain(|unwritten| !handles.contains(&unwritten.handle));
            self.weigh();
        }
    }
}

/// Bytes of a message in a batch, at most.
fn weight(content: &Content) -> usize {
    content.json.len().saturating_add(content.camera.len()).saturating_add(MESSAGE_EXTRA_BYTES)
}

fn age_ms(entry: &Entry, now_ms: u64) -> u64 {
    u64::try_from(signed(now_ms).saturating_sub(entry.born_ms)).unwrap_or(0)
}

fn signed(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
impl Queue {
    /// Boot and seq of all that waits.
    pub(super) fn waiting_ats(&self) -> HashSet<(u64, u64)> {
        self.waiting.iter().map(|entry| (entry.boot, entry.seq)).collect()
    }

    /// Whether sending has waited for the lease for as long as it may.
    pub(super) fn lease_waits(&self, now_ms: u64) -> bool {
        self.lease_wanted_ms.is_some_and(|since| now_ms.saturating_sub(since) >= LEASE_PATIENCE_MS)
    }
}
