//! What a reader finds in the segments of a log.

use std::collections::{BTreeMap, HashMap};
use std::io;

use index_shards::DiskFile;

use super::folder::LogFolder;
use super::record::{Content, DroppedTotal, Record, Scan, scan};

/// A segment that is larger was not written by us, or is of another time.
const MAX_SEGMENT_BYTES: u64 = 256 << 20;
/// After the number in the name of a segment that may hold messages that wait.
pub(super) const OPEN: &str = "log";
/// After the number in the name of a segment that holds none: it is kept to send from it again when asked to.
pub(super) const DONE: &str = "done";
/// After the name of a segment that cannot be read.
const DAMAGED: &str = "damaged";
/// How many of these are kept.
const MOST_DAMAGED: usize = 4;
/// Linux's number of an input or output error.
const EIO: i32 = 5;

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// Of the whole record.
    pub(super) bytes: u32,
}

/// The name of a segment.
pub(super) fn segment_name(number: u32, kind: &str) -> String {
    format!("{number:010}.{kind}")
}

/// A segment in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) number: u32,
    pub(super) done: bool,
}

impl Named {
    pub(super) fn name(self) -> String {
        segment_name(self.number, if self.done { DONE } else { OPEN })
    }

    fn parse(name: &str) -> Option<Self> {
        let (number, kind) = name.split_once('.')?;
        let number = number.parse().ok().filter(|number| segment_name(*number, kind) == name)?;
        match kind {
            OPEN => Some(Self { number, done: false }),
            DONE => Some(Self { number, done: true }),
            _ => None,
        }
    }
}

/// All segments of a folder, oldest first.
pub(super) fn segments(folder: &dyn LogFolder) -> io::Result<Vec<Named>> {
    let mut found: BTreeMap<u32, Named> = BTreeMap::new();
    for named in folder.names()?.iter().filter_map(|name| Named::parse(name)) {
        let done = named.done && found.get(&named.number).is_none_or(|other| other.done);
        found.insert(named.number, Named { done, ..named });
    }
    Ok(found.into_values().collect())
}

/// All of a segment.
pub(super) fn read_segment(folder: &dyn LogFolder, named: Named) -> io::Result<Vec<u8>> {
    let file = match folder.open(&named.name()) {
        // The writer may have given it the other name meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            folder.open(&Named { done: !named.done, ..named }.name())?
        }
        outcome => outcome?,
    };
    let length = file.length()?;
    if length > MAX_SEGMENT_BYTES {
        let found = format!("expected a segment of at most {MAX_SEGMENT_BYTES} bytes, found {length}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, found));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = read_at(&*file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills `buffer` from `offset` on, as far as the file reaches; returns how many bytes that are.
pub(super) fn read_at(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Waits,
    Cleared,
    SetAside(String),
    Dropped,
}

/// A message of the log. Its texts are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) content: Content,
    pub(super) json_bytes: usize,
    pub(super) fate: Fate,
}

/// What segments hold.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Segments, oldest first, with their bytes.
    pub(super) segments: Vec<(Named, u64)>,
    /// The number of the newest segment, whether it could be read or not; 0 where there is none.
    pub(super) last_segment: u32,
    /// The newest segment that could be read, and where its last record ends.
    pub(super) end: Option<(Named, u64)>,
    /// Messages by id.
    pub(super) messages: BTreeMap<u64, Found>,
    pub(super) next_id: u64,
    pub(super) lease: u64,
    pub(super) dropped: DroppedTotal,
    /// Boot and seq of each camera's newest message.
    pub(super) newest: HashMap<String, (u64, u64)>,
    pub(super) last_boot: u64,
    /// What could not be read, in words. Who was cleared or handed over is then not known for sure.
    pub(super) damage: Vec<String>,
    pub(super) has_head: bool,
}

/// How far back a survey goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What is needed to send what waits.
    Waiting,
    /// Everything that is kept, by a reader that changes nothing.
    Everything,
}

impl Survey {
    /// Reads the segments of a folder. What is damaged is passed over and named in `damage`; a segment that cannot be
    /// read at all gets another name, so that no start stumbles over it again.
    ///
    /// # Errors
    /// The folder or a segment cannot be read, and the disk may be to blame for it: the next try may succeed.
    pub(super) fn of(folder: &dyn LogFolder, depth: Depth) -> io::Result<Self> {
        let all = segments(folder)?;
        // The newest segment's head knows what came before, unless the power went while it was written.
        let first_open = all.iter().position(|named| !named.done).unwrap_or(all.len());
        let first = if depth == Depth::Everything { 0 } else { first_open.min(all.len().saturating_sub(2)) };
        let survey = Self::from(folder, &all, first, depth)?;
        if first > 0 && !survey.has_head { Self::from(folder, &all, 0, depth) } else { Ok(survey) }
    }

    fn from(folder: &dyn LogFolder, all: &[Named], first: usize, depth: Depth) -> io::Result<Self> {
        let mut survey = Self { next_id: 1, ..Self::default() };
        for (position, named) in all.iter().enumerate() {
            survey.last_segment = named.number;
            if position < first {
                survey.segments.push((*named, folder.open(&named.name())?.length()?));
                continue;
            }
            match read_segment(folder, *named) {
                Ok(bytes) => {
                    survey.segments.push((*named, bytes.len() as u64));
                    let scan = survey.take_segment(named.number, &bytes, depth);
                    survey.note_holes(*named, &scan);
                    survey.end = Some((*named, scan.end as u64));
                }
                // The writer may have removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound && depth == Depth::Everything => {}
                Err(error) if is_damage(&error) => {
                    let aside = segment_name(named.number, DAMAGED);
                    match set_aside(folder, *named) {
                        Err(error) if depth == Depth::Waiting => return Err(error),
                        // Who only reads leaves it where it is.
                        _ => {}
                    }
                    survey.damage.push(format!("{}: cannot be read, see {aside}: {error}", named.name()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(survey)
    }

    fn note_holes(&mut self, named: Named, scan: &Scan) {
        for hole in &scan.holes {
            let (from, bytes) = (hole.start, hole.len());
            self.damage.push(format!("{}: {bytes} bytes from {from} on are no records", named.name()));
        }
    }

    fn take_segment(&mut self, segment: u32, bytes: &[u8], depth: Depth) -> Scan {
        scan(bytes, |offset, length, record| {
            let place = Place { segment, offset: narrow(offset), bytes: narrow(length) };
            self.take(place, record, depth);
        })
    }

    fn take(&mut self, place: Place, record: Record, depth: Depth) {
        match record {
            Record::Head(head) => {
                self.has_head = true;
                self.next_id = self.next_id.max(head.next_id);
                self.lease = self.lease.max(head.lease);
                self.dropped = head.dropped;
            }
            Record::Message { id, mut content } => {
                self.next_id = self.next_id.max(id.saturating_add(1));
                self.last_boot = self.last_boot.max(content.boot);
                let at = (content.boot, content.seq);
                let newest = self.newest.entry(content.camera.clone()).or_insert(at);
                *newest = at.max(*newest);
                let json_bytes = content.json.len();
                (content.json, content.camera) = (Vec::new(), String::new());
                // A message whose sync failed was written again.
                let fate = self.messages.remove(&id).map_or(Fate::Waits, |first| first.fate);
                self.messages.insert(id, Found { place, content, json_bytes, fate });
            }
            Record::Cleared(ids) => ids.iter().for_each(|ids| self.decide(ids.clone(), &Fate::Cleared, depth)),
            Record::SetAside { id, reason } => {
                self.decide(id..id.saturating_add(1), &Fate::SetAside(reason), depth);
            }
            Record::Dropped(dropped) => {
                self.dropped.messages = self.dropped.messages.saturating_add(dropped.total.messages);
                self.dropped.bytes = self.dropped.bytes.saturating_add(dropped.total.bytes);
                dropped.ids.iter().for_each(|ids| self.decide(ids.clone(), &Fate::Dropped, depth));
            }
            Record::Lease(id) => self.lease = self.lease.max(id),
            Record::Unknown => {}
        }
    }

    fn decide(&mut self, ids: std::ops::Range<u64>, fate: &Fate, depth: Depth) {
        let known: Vec<u64> = self.messages.range(ids).map(|(id, _)| *id).collect();
        for id in known {
            if depth == Depth::Waiting {
                self.messages.remove(&id);
            } else if let Some(found) = self.messages.get_mut(&id) {
                found.fate = fate.clone();
            }
        }
    }
}

/// Whether a read failed because of what is on the disk, which another try will not mend.
pub(super) fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData || error.raw_os_error() == Some(EIO)
}

/// Gives a segment another name; the newest few of such are kept.
fn set_aside(folder: &dyn LogFolder, named: Named) -> io::Result<()> {
    let suffix = format!(".{DAMAGED}");
    let mut older: Vec<String> = folder.names()?.into_iter().filter(|name| name.ends_with(&suffix)).collect();
    older.sort_unstable();
    let surplus = older.len().saturating_sub(MOST_DAMAGED.saturating_sub(1));
    older.iter().take(surplus).try_for_each(|name| folder.remove(name))?;
    folder.rename(&named.name(), &segment_name(named.number, DAMAGED))
}

/// Segments are far shorter than that.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
