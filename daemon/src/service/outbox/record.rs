//! One record of the outbox's log.
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u8 × 2 | marker, `B0 78` |
//! | 2 | u8 | version, 1 |
//! | 3 | u8 | kind: 0 head, 1 message, 2 cleared, 3 set aside, 4 dropped, 5 lease |
//! | 4 | u32 | bytes of the content, at most 1 MiB |
//! | 8 | u32 | CRC-32C (Castagnoli) of bytes 2 to 7 and of the content |
//! | 12 | | content |
//!
//! Numbers in the content are variable: seven bits a byte, lowest first, the highest bit says that more follow (LEB128).
//! Texts are a number, their bytes, then so much UTF-8. What ends a content has no length of its own.
//!
//! | kind | content |
//! |---|---|
//! | head | segment, next id, lease, messages and bytes dropped so far |
//! | message | id, boot, seq, Unix milliseconds (0: the clock was not to be trusted), text camera; JSON to the end |
//! | cleared | runs of ids: first, count; to the end |
//! | set aside | id; reason to the end |
//! | dropped | reason (0 messages, 1 bytes, 2 age, 3 memory, 4 damaged), messages, bytes, boot and seq of the first, boot and seq of the last; runs of ids to the end |
//! | lease | id |
//!
//! Records of a kind or version that is not known are passed over by their length. Where a record should begin and none
//! does, the reader looks for the next marker with a good checksum.

use std::ops::Range;

use serde::Serialize;

const MARKER: [u8; 2] = [0xB0, 0x78];
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 12;
const MAX_CONTENT_BYTES: usize = 1 << 20;
/// What a message takes beside its JSON and the name of its camera, at most.
pub(super) const MESSAGE_EXTRA_BYTES: usize = HEADER_BYTES + 5 * 10;

/// A message as it waits: everything but its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) boot: u64,
    pub(super) seq: u64,
    /// Unix milliseconds; 0 where the clock was not to be trusted.
    pub(super) stamped_ms: u64,
    pub(super) camera: String,
    /// A JSON object that is not empty.
    pub(super) json: Vec<u8>,
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) segment: u64,
    /// The next message gets this id or a higher one.
    pub(super) next_id: u64,
    pub(super) lease: u64,
    pub(super) dropped: DroppedTotal,
}

/// Dropped since the log was begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(in crate::service) struct DroppedTotal {
    /// Messages.
    pub(in crate::service) messages: u64,
    /// Bytes of their JSON.
    pub(in crate::service) bytes: u64,
}

/// Why messages were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropReason {
    /// More waited than `max_messages`.
    Messages,
    /// The log took more than `max_bytes`.
    Bytes,
    /// They waited longer than `max_age_s`.
    Age,
    /// The disk took nothing, and memory was full.
    Memory,
    /// They could not be read back.
    Damaged,
}

impl DropReason {
    const ALL: [Self; 5] = [Self::Messages, Self::Bytes, Self::Age, Self::Memory, Self::Damaged];
}

/// A summary of messages that were dropped together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) reason: DropReason,
    pub(super) total: DroppedTotal,
    /// Boot and seq of the first and the last one.
    pub(super) first: (u64, u64),
    pub(super) last: (u64, u64),
    /// Those that may be in the log.
    pub(super) ids: Runs,
}

/// Ids, in runs of consecutive ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<Range<u64>>);

impl Runs {
    pub(super) fn push(&mut self, id: u64) {
        let end = id.saturating_add(1);
        match self.0.last_mut() {
            Some(last) if last.end == id => last.end = end,
            _ => self.0.push(id..end),
        }
    }

    /// Takes over later ones.
    pub(super) fn append(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }
}

impl FromIterator<u64> for Runs {
    fn from_iter<I: IntoIterator<Item = u64>>(ids: I) -> Self {
        let mut runs = Self::default();
        ids.into_iter().for_each(|id| runs.push(id));
        runs
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Head(Head),
    Message {
        id: u64,
        content: Content,
    },
    /// The broker has them.
    Cleared(Runs),
    /// Not sent again unless it is asked for.
    SetAside {
        id: u64,
        reason: String,
    },
    Dropped(Dropped),
    /// A message with a lower id may have been handed to a broker; one with this id or a higher one was not.
    Lease(u64),
    /// Of a newer version.
    Unknown,
}

impl Record {
    /// Appends the record to `out`.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Head(head) => framed(out, 0, |out| {
                let dropped = &head.dropped;
                numbers(out, &[head.segment, head.next_id, head.lease, dropped.messages, dropped.bytes]);
            }),
            Self::Message { id, content } => put_message(*id, content, out),
            Self::Cleared(ids) => framed(out, 2, |out| put_runs(out, ids)),
            Self::SetAside { id, reason } => framed(out, 3, |out| {
                numbers(out, &[*id]);
                out.extend(reason.as_bytes());
            }),
            Self::Dropped(dropped) => framed(out, 4, |out| {
                let (first, last, total) = (dropped.first, dropped.last, &dropped.total);
                let fields = [dropped.reason as u64, total.messages, total.bytes, first.0, first.1, last.0, last.1];
                numbers(out, &fields);
                put_runs(out, &dropped.ids);
            }),
            Self::Lease(id) => framed(out, 5, |out| numbers(out, &[*id])),
            Self::Unknown => {}
        }
    }

    /// The record at the beginning of `bytes`, and how many bytes it takes; `None` where none is.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let header = bytes.get(..HEADER_BYTES)?;
        let (marked, sum) = header.split_at_checked(8)?;
        let (marker, summed) = marked.split_at_checked(2)?;
        let length = u32::from_le_bytes(marked.get(4..)?.try_into().ok()?);
        let end =
            HEADER_BYTES.checked_add(usize::try_from(length).ok().filter(|bytes| *bytes <= MAX_CONTENT_BYTES)?)?;
        let content = bytes.get(HEADER_BYTES..end)?;
        let expected = u32::from_le_bytes(sum.try_into().ok()?);
        if marker != MARKER || crc32c::crc32c_append(crc32c::crc32c(summed), content) != expected {
            return None;
        }
        let (version, kind) = (summed.first()?, summed.get(1)?);
        let record = if *version == VERSION { Self::content(*kind, content)? } else { Self::Unknown };
        Some((record, end))
    }

    fn content(kind: u8, content: &[u8]) -> Option<Self> {
        let mut fields = Fields(content);
        Some(match kind {
            0 => Self::Head(Head {
                segment: fields.number()?,
                next_id: fields.number()?,
                lease: fields.number()?,
                dropped: DroppedTotal { messages: fields.number()?, bytes: fields.number()? },
            }),
            1 => {
                let id = fields.number()?;
                let (boot, seq, stamped_ms) = (fields.number()?, fields.number()?, fields.number()?);
                let camera = fields.text()?;
                Self::Message { id, content: Content { boot, seq, stamped_ms, camera, json: fields.0.to_vec() } }
            }
            2 => Self::Cleared(fields.runs()?),
            3 => Self::SetAside { id: fields.number()?, reason: String::from_utf8(fields.0.to_vec()).ok()? },
            4 => {
                let reason = *DropReason::ALL.get(usize::try_from(fields.number()?).ok()?)?;
                let total = DroppedTotal { messages: fields.number()?, bytes: fields.number()? };
                let first = (fields.number()?, fields.number()?);
                let last = (fields.number()?, fields.number()?);
                Self::Dropped(Dropped { reason, total, first, last, ids: fields.runs()? })
            }
            5 => Self::Lease(fields.number()?),
            _ => Self::Unknown,
        })
    }
}

/// Appends a message without taking it.
pub(super) fn put_message(id: u64, content: &Content, out: &mut Vec<u8>) {
    framed(out, 1, |out| {
        let camera = content.camera.as_bytes();
        numbers(out, &[id, content.boot, content.seq, content.stamped_ms, camera.len() as u64]);
        out.extend(camera);
        out.extend(&content.json);
    });
}

fn framed(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    // Nothing in the house is nearly as long as a length of 32 bits; what were would not be read back.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut summed = vec![VERSION, kind];
    summed.extend(length.to_le_bytes());
    out.extend(MARKER);
    out.extend(&summed);
    out.extend(crc32c::crc32c_append(crc32c::crc32c(&summed), &content).to_le_bytes());
    out.extend(content);
}

fn numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        let mut rest = *number;
        while rest >= 0x80 {
            out.push((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
}

fn put_runs(out: &mut Vec<u8>, runs: &Runs) {
    for run in runs.iter() {
        numbers(out, &[run.start, run.end.saturating_sub(run.start)]);
    }
}

/// What is left of a content.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7F);
            number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let bytes = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn runs(&mut self) -> Option<Runs> {
        let mut runs = Runs::default();
        while !self.0.is_empty() {
            let first = self.number()?;
            runs.0.push(first..first.checked_add(self.number()?)?);
        }
        Some(runs)
    }
}

/// How far records reach in a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where the last record ends.
    pub(super) end: usize,
    /// What lies between records and is none.
    pub(super) holes: Vec<Range<usize>>,
}

/// Hands every record in `bytes` to `visit`, with where it begins and how many bytes it takes.
pub(super) fn scan(bytes: &[u8], mut visit: impl FnMut(usize, usize, Record)) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some((record, length)) = Record::read(rest) {
            if at > scan.end {
                scan.holes.push(scan.end..at);
            }
            visit(at, length, record);
            at = at.saturating_add(length);
            scan.end = at;
        } else {
            let next = rest.windows(2).skip(1).position(|pair| pair == MARKER);
            at = next.map_or(bytes.len(), |found| at.saturating_add(found).saturating_add(1));
        }
    }
    scan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> Record {
        let json = br#"{"v":1}"#.to_vec();
        Record::Message { id: 300, content: Content { boot: 2, seq: 5, stamped_ms: 1, camera: "nadir".into(), json } }
    }

    fn every_kind() -> Vec<Record> {
        let total = DroppedTotal { messages: 3, bytes: 4000 };
        vec![
            Record::Head(Head { segment: 7, next_id: 300, lease: u64::MAX, dropped: total }),
            message(),
            Record::Cleared([1, 2, 3, 9].into_iter().collect()),
            Record::SetAside { id: 4, reason: "larger than the broker takes".to_owned() },
            Record::Dropped(Dropped {
                reason: DropReason::Age,
                total,
                first: (1, 8),
                last: (2, 1),
                ids: [5, 6].into_iter().collect(),
            }),
            Record::Lease(1024),
        ]
    }

    #[test]
    fn the_bytes_of_a_message_are_those_of_the_table() {
        let mut bytes = Vec::new();
        message().put(&mut bytes);
        let content = b"\xAC\x02\x02\x05\x01\x05nadir{\"v\":1}";
        let mut expected = vec![0xB0, 0x78, 1, 1, content.len() as u8, 0, 0, 0];
        expected.extend(0x2330_408B_u32.to_le_bytes());
        expected.extend(content);
        assert_eq!(bytes, expected, "{:x?}", &bytes[8..12]);
    }

    #[test]
    fn the_checksum_is_the_one_of_castagnoli() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn every_kind_comes_back_and_unknown_ones_are_passed_over() {
        let mut bytes = Vec::new();
        every_kind().iter().for_each(|record| record.put(&mut bytes));
        framed(&mut bytes, 99, |out| out.extend(b"from the future"));
        message().put(&mut bytes);
        let mut found = Vec::new();
        let scan = scan(&bytes, |_, _, record| found.push(record));
        assert_eq!(found, [every_kind(), vec![Record::Unknown, message()]].concat());
        assert_eq!(scan, Scan { end: bytes.len(), holes: Vec::new() });
    }

    #[test]
    fn a_damaged_middle_costs_its_own_record_and_a_torn_end_is_not_counted() {
        let mut bytes = Vec::new();
        let starts: Vec<usize> = every_kind()
            .iter()
            .map(|record| {
                let start = bytes.len();
                record.put(&mut bytes);
                start
            })
            .collect();
        let whole = bytes.len();
        bytes[starts[1] + 20] ^= 1;
        bytes.extend(&[0xB0, 0x78, 1, 1, 200]);
        bytes.extend([0; 64]);
        let mut found = 0;
        let scan = scan(&bytes, |_, _, _| found += 1);
        assert_eq!((found, scan.end), (5, whole));
        assert_eq!((scan.holes.len(), &scan.holes[0]), (1, &(starts[1]..starts[2])));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_run_past_the_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
                                                              flips in proptest::collection::vec(any::<(usize, u8)>(), 0..4)) {
            every_kind().iter().for_each(|record| record.put(&mut bytes));
            for (at, with) in flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            let scan = scan(&bytes, |at, length, _| assert!(at + length <= bytes.len()));
            prop_assert!(scan.end <= bytes.len());
        }

        #[test]
        fn numbers_of_any_size_come_back(number: u64) {
            let mut bytes = Vec::new();
            numbers(&mut bytes, &[number]);
            prop_assert_eq!(Fields(&bytes).number(), Some(number));
        }
    }
}
