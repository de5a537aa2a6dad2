//! The log: segments that are only ever appended to, the oldest of which goes when there are too many bytes.
//!
//! A batch is one write and one sync. What a failed batch may have left behind is never appended to: the next one goes
//! to a new segment, with the same ids. A segment whose messages are all cleared is renamed, so that a start does not
//! read it, and kept for `resend` until the bound.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use index_shards::DiskFile;

use super::folder::LogFolder;
use super::record::{Content, Dropped, DroppedTotal, Head, Record, Runs, put_message, scan};
use super::survey::{DONE, Named, OPEN, Place, Survey, read_at, read_segment, segment_name};

/// Bounds of a [`Log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogLimits {
    pub(super) segment_bytes: u64,
    /// Of all segments together; at least four segments.
    pub(super) max_bytes: u64,
}

/// A message that is to be written.
#[derive(Debug, Clone)]
pub(super) struct NewMessage {
    pub(super) handle: u64,
    pub(super) id: u64,
    pub(super) content: Arc<Content>,
    /// What became of it already.
    pub(super) outcome: Option<Outcome>,
}

/// Why a message need not be sent any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The broker has it.
    Cleared,
    /// It cannot be delivered.
    SetAside(String),
}

/// What is written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<NewMessage>,
    /// Of messages that were written before: id, segment, what became of them.
    pub(super) decided: Vec<(u64, u32, Outcome)>,
    /// Cleared messages of batches that failed, which may be in the log all the same.
    pub(super) stray: Runs,
    /// With the segments of the dropped messages, one for each.
    pub(super) dropped: Vec<(Dropped, Vec<u32>)>,
    pub(super) lease: u64,
    pub(super) next_id: u64,
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// By handle.
    pub(super) places: Vec<(u64, Place)>,
    pub(super) lease: u64,
}

#[derive(Debug, Default)]
struct Segment {
    done: bool,
    bytes: u64,
    /// Messages in it that wait.
    live: u64,
    /// Boot and seq of the first and the last message, as far as it was read or written.
    range: Option<((u64, u64), (u64, u64))>,
    /// Whether that was all of it.
    whole: bool,
}

#[derive(Debug)]
struct Active {
    number: u32,
    file: Box<dyn DiskFile>,
    end: u64,
}

/// The segments of a folder, and the one that is written to.
#[derive(Debug)]
pub(super) struct Log {
    folder: Box<dyn LogFolder>,
    limits: LogLimits,
    segments: BTreeMap<u32, Segment>,
    /// To be removed once the summary of what is lost with them is durable.
    condemned: BTreeSet<u32>,
    active: Option<Active>,
    last_number: u32,
    lease: u64,
    dropped: DroppedTotal,
    written_bytes: u64,
}

impl Log {
    /// Goes on with what a survey of the folder found. A torn end of the newest segment is cut off.
    pub(super) fn resume(folder: Box<dyn LogFolder>, survey: &Survey, limits: LogLimits) -> Self {
        let mut segments: BTreeMap<u32, Segment> = BTreeMap::new();
        for (named, bytes) in &survey.segments {
            segments.insert(named.number, Segment { done: named.done, bytes: *bytes, ..Segment::default() });
        }
        for found in survey.messages.values() {
            if let Some(segment) = segments.get_mut(&found.place.segment) {
                segment.live = segment.live.saturating_add(1);
            }
        }
        // A segment without anything in it lacks its head; one that is nearly full is as good as full.
        let newest = survey.end.filter(|(named, end)| {
            let has_room = *end > 0 && *end < limits.segment_bytes / 8 * 7;
            named.number == survey.last_segment && !named.done && has_room
        });
        let active = newest.and_then(|(named, end)| reopen(&*folder, named, end).ok());
        if let Some(segment) = active.as_ref().and_then(|active| segments.get_mut(&active.number)) {
            segment.bytes = active.as_ref().map_or(0, |active| active.end);
        }
        Self {
            folder,
            limits,
            segments,
            condemned: BTreeSet::new(),
            active,
            last_number: survey.last_segment,
            lease: survey.lease,
            dropped: survey.dropped,
            written_bytes: 0,
        }
    }

    /// Bytes of all segments, as far as they may grow.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// Bytes handed to the disk since the start.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Dropped since the log was begun, as far as it is written.
    pub(super) fn dropped(&self) -> DroppedTotal {
        self.dropped
    }

    /// The segments that must go before a batch of `bytes` is written; what waits in them is to be dropped with it.
    pub(super) fn condemn(&mut self, bytes: u64) -> &BTreeSet<u32> {
        let fits = |active: &Active| active.end.saturating_add(bytes) <= self.limits.segment_bytes;
        if !self.active.as_ref().is_some_and(fits) {
            let active = self.active.as_ref().map(|active| active.number);
            let gone: u64 = self.condemned.iter().filter_map(|number| Some(self.segments.get(number)?.bytes)).sum();
            let room = self.limits.segment_bytes.max(bytes);
            // What is condemned goes last: until then it takes room beside the new segment.
            let most = self.limits.max_bytes.saturating_sub(self.limits.segment_bytes);
            let mut total = self.bytes().saturating_sub(gone).saturating_add(room);
            for (number, segment) in &self.segments {
                if total <= most {
                    break;
                }
                if Some(*number) != active && self.condemned.insert(*number) {
                    total = total.saturating_sub(segment.bytes);
                }
            }
        }
        &self.condemned
    }

    /// Writes a batch and returns when it is durable.
    ///
    /// # Errors
    /// What the disk says. Then the batch may be there in part, and is to be written again, with the same ids.
    pub(super) fn write(&mut self, batch: &Batch) -> io::Result<Written> {
        let (body, places) = encode(batch, self.lease);
        let (begun, head) = self.make_room(body.len() as u64, batch.next_id)?;
        let bytes = [head.as_slice(), body.as_slice()].concat();
        let Some(active) = &mut self.active else { return Err(io::ErrorKind::NotFound.into()) };
        let (number, start) = (active.number, active.end);
        self.written_bytes = self.written_bytes.saturating_add(bytes.len() as u64);
        let written = active.file.write_at(&bytes, start).and_then(|()| active.file.sync());
        let named = if begun { written.and_then(|()| self.folder.sync_names()) } else { written };
        if let Err(error) = named {
            self.abandon(begun);
            return Err(error);
        }
        active.end = start.saturating_add(bytes.len() as u64);
        let first = start.saturating_add(head.len() as u64);
        let places = places.into_iter().map(|(handle, offset, bytes)| {
            let offset = u32::try_from(first.saturating_add(offset)).unwrap_or(u32::MAX);
            (handle, Place { segment: number, offset, bytes })
        });
        let places = places.collect();
        self.account(number, batch);
        self.tidy();
        Ok(Written { places, lease: self.lease })
    }

    /// Takes over what a batch says that is durable now.
    fn account(&mut self, number: u32, batch: &Batch) {
        self.lease = self.lease.max(batch.lease);
        if let (Some(segment), Some(active)) = (self.segments.get_mut(&number), &self.active) {
            segment.bytes = segment.bytes.max(active.end);
            for message in &batch.messages {
                let at = (message.content.boot, message.content.seq);
                segment.live = segment.live.saturating_add(u64::from(message.outcome.is_none()));
                segment.range = Some(segment.range.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            }
        }
        let of_decided = batch.decided.iter().map(|(_, segment, _)| segment);
        for segment in of_decided.chain(batch.dropped.iter().flat_map(|(_, segments)| segments)) {
            if let Some(segment) = self.segments.get_mut(segment) {
                segment.live = segment.live.saturating_sub(1);
            }
        }
        for (dropped, _) in &batch.dropped {
            self.dropped.messages = self.dropped.messages.saturating_add(dropped.total.messages);
            self.dropped.bytes = self.dropped.bytes.saturating_add(dropped.total.bytes);
        }
    }

    /// Removes what was condemned, and renames segments in which nothing waits. What fails is tried again next time.
    fn tidy(&mut self) {
        let active = self.active.as_ref().map(|active| active.number);
        for number in self.condemned.clone() {
            if self.segments.get(&number).is_none_or(|segment| self.remove(number, segment.done)) {
                self.segments.remove(&number);
                self.condemned.remove(&number);
            }
        }
        for (number, segment) in &mut self.segments {
            if !segment.done && segment.live == 0 && Some(*number) != active {
                let (from, to) = (segment_name(*number, OPEN), segment_name(*number, DONE));
                segment.done = self.folder.rename(&from, &to).is_ok();
            }
        }
    }

    fn remove(&self, number: u32, done: bool) -> bool {
        self.folder.remove(&Named { number, done }.name()).is_ok()
    }

    /// Sees to it that `bytes` fit into the active segment. Where that is a new one, says so and returns its head.
    fn make_room(&mut self, bytes: u64, next_id: u64) -> io::Result<(bool, Vec<u8>)> {
        if self.active.as_ref().is_some_and(|active| active.end.saturating_add(bytes) <= self.limits.segment_bytes) {
            return Ok((false, Vec::new()));
        }
        let number = self.last_number.saturating_add(1);
        let (lease, dropped) = (self.lease, self.dropped);
        let mut head = Vec::new();
        Record::Head(Head { segment: u64::from(number), next_id, lease, dropped }).put(&mut head);
        let room = self.limits.segment_bytes.max(bytes.saturating_add(head.len() as u64));
        let name = segment_name(number, OPEN);
        let file = loop {
            match self.folder.create(&name, room) {
                Err(error) if is_full(&error) && self.free_history() => {}
                outcome => break outcome?,
            }
        };
        self.seal();
        self.last_number = number;
        self.segments.insert(number, Segment { bytes: room, whole: true, ..Segment::default() });
        self.active = Some(Active { number, file, end: 0 });
        Ok((true, head))
    }

    /// Gives back what the active segment does not need of its room.
    fn seal(&mut self) {
        let Some(active) = self.active.take() else { return };
        if let (Ok(()), Some(segment)) = (active.file.set_length(active.end), self.segments.get_mut(&active.number)) {
            segment.bytes = active.end;
        }
    }

    /// After a failed write nothing is known of what lies behind the end.
    fn abandon(&mut self, begun: bool) {
        let number = self.active.as_ref().map(|active| active.number);
        self.seal();
        if let Some(number) = number.filter(|number| begun && self.remove(*number, false)) {
            self.segments.remove(&number);
        }
    }

    /// Removes the oldest segment in which nothing waits; false where there is none.
    fn free_history(&mut self) -> bool {
        let oldest = self.segments.iter().find(|(_, segment)| segment.done).map(|(number, _)| *number);
        let removed = oldest.filter(|number| self.remove(*number, true));
        removed.and_then(|number| self.segments.remove(&number)).is_some()
    }

    /// Reads a message back; `None` where its record is not what it was.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn read(&self, place: Place) -> io::Result<Option<Content>> {
        let mut bytes = vec![0; usize::try_from(place.bytes).unwrap_or(0)];
        let offset = u64::from(place.offset);
        match &self.active {
            Some(active) if active.number == place.segment => read_at(&*active.file, &mut bytes, offset)?,
            _ => {
                let done = self.segments.get(&place.segment).is_some_and(|segment| segment.done);
                let file = self.folder.open(&Named { number: place.segment, done }.name())?;
                read_at(&*file, &mut bytes, offset)?
            }
        };
        Ok(Record::read(&bytes).and_then(|(record, _)| match record {
            Record::Message { content, .. } => Some(content),
            _ => None,
        }))
    }

    /// The first segment after `after` that may hold messages of `boot` with a seq in `from..=to`.
    pub(super) fn next_segment(&self, after: Option<u32>, boot: u64, from: u64, to: u64) -> Option<u32> {
        let above = after.map_or(0, |after| after.saturating_add(1));
        let may_hold = |segment: &Segment| {
            !segment.whole || segment.range.is_some_and(|(first, last)| first <= (boot, to) && last >= (boot, from))
        };
        self.segments.range(above..).find(|(_, segment)| may_hold(segment)).map(|(number, _)| *number)
    }

    /// Messages of `boot` with a seq in `from..=to` in a segment: their seq and where they lie.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn find(&mut self, number: u32, boot: u64, from: u64, to: u64) -> io::Result<Vec<(u64, Place)>> {
        let Some(segment) = self.segments.get_mut(&number) else { return Ok(Vec::new()) };
        let bytes = read_segment(&*self.folder, Named { number, done: segment.done })?;
        let mut found = Vec::new();
        let mut range: Option<((u64, u64), (u64, u64))> = None;
        scan(&bytes, |offset, length, record| {
            let Record::Message { content, .. } = record else { return };
            let at = (content.boot, content.seq);
            range = Some(range.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            if content.boot == boot && (from..=to).contains(&content.seq) {
                let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
                found.push((content.seq, Place { segment: number, offset: narrow(offset), bytes: narrow(length) }));
            }
        });
        if self.active.as_ref().is_none_or(|active| active.number != number) {
            (segment.range, segment.whole) = (range, true);
        }
        Ok(found)
    }
}

/// Opens the newest segment to append at `end`, with nothing behind it. Its name may never have been made durable.
fn reopen(folder: &dyn LogFolder, named: Named, end: u64) -> io::Result<Active> {
    let file = folder.open(&named.name())?;
    file.set_length(end)?;
    file.sync()?;
    folder.sync_names()?;
    Ok(Active { number: named.number, file, end })
}

/// The bytes of a batch, and for each of its messages handle, offset and bytes.
fn encode(batch: &Batch, lease: u64) -> (Vec<u8>, Vec<(u64, u64, u32)>) {
    let mut out = Vec::new();
    let mut places = Vec::new();
    for message in &batch.messages {
        let start = out.len();
        put_message(message.id, &message.content, &mut out);
        let bytes = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
        places.push((message.handle, start as u64, bytes));
    }
    let of_new = batch.messages.iter().filter_map(|message| Some((message.id, message.outcome.as_ref()?)));
    let decided = batch.decided.iter().map(|(id, _, outcome)| (*id, outcome)).chain(of_new);
    let mut cleared = Vec::new();
    for (id, outcome) in decided {
        match outcome {
            Outcome::Cleared => cleared.push(id),
            Outcome::SetAside(reason) => Record::SetAside { id, reason: reason.clone() }.put(&mut out),
        }
    }
    cleared.sort_unstable();
    let cleared: Runs = cleared.into_iter().collect();
    if !cleared.is_empty() {
        Record::Cleared(cleared).put(&mut out);
    }
    if !batch.stray.is_empty() {
        Record::Cleared(batch.stray.clone()).put(&mut out);
    }
    batch.dropped.iter().for_each(|(dropped, _)| Record::Dropped(dropped.clone()).put(&mut out));
    if batch.lease > lease {
        Record::Lease(batch.lease).put(&mut out);
    }
    (out, places)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
