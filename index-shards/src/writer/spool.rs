//! The spool: everything that a writer was told, in the order in which it was told, so that a build that was killed
//! goes on where it stood.
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u8 × 8 | magic, `GEOSPOOL` |
//! | 8 | u32 | version, 1 |
//! | 12 | entries | one after the other |
//!
//! An entry:
//!
//! | offset in the entry | type | what |
//! |---|---|---|
//! | 0 | u32 | bytes of what follows the next field, at least 1 |
//! | 4 | u32 | CRC-32 (IEEE 802.3) of these bytes |
//! | 8 | u8 | kind: 0 plan, 1 row, 2 skipped, 3 removed |
//! | 9 | | by kind |
//!
//! The first entry, and only that, is the plan: u64 seed of the rotation, u32 dimensions, u32 bytes of the plan (2^32 -
//! 1 without one), plan, description as TOML. A row is in `record.rs`; what was skipped has a note; removed rows are
//! the digest of their shard and a u32 each. What ends a spool early, a torn or damaged entry, is cut off when the
//! spool is opened again, with all that follows it.

use super::reader::Reader;
use crate::digest::DIGEST_BYTES;
use crate::disk::{DiskFile, read_exact_at};
use std::io;

const MAGIC: [u8; 8] = *b"GEOSPOOL";
const VERSION: u32 = 1;
/// Where the first entry begins.
const ENTRIES_AT: u64 = 12;
/// Bytes of an entry before its kind.
const PREFIX_BYTES: usize = 8;
/// Bytes of an entry without its prefix, at most: a row with the longest of everything, and room.
const MAX_ENTRY_BYTES: u32 = 32 << 20;
/// Bytes that may be written without having been synced.
const SYNC_BYTES: u64 = 16 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plan,
    Row,
    Skipped,
    Removed,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Plan, Self::Row, Self::Skipped, Self::Removed];
}

/// Bytes of an entry in front of what it is about: prefix and kind.
pub(super) const HEAD_BYTES: u64 = PREFIX_BYTES as u64 + 1;

/// Takes an entry of a spool that is opened again: its kind, where its content begins, and the content.
pub(super) type Visit<'a> = dyn FnMut(Kind, u64, &[u8]) -> io::Result<()> + 'a;

/// The file, claimed, and how far it is written.
#[derive(Debug)]
pub(super) struct Spool {
    file: Box<dyn DiskFile>,
    end: u64,
    synced: u64,
    scratch: Vec<u8>,
}

impl Spool {
    /// Begins anew with this plan, in a file that may hold anything.
    pub(super) fn begin(file: Box<dyn DiskFile>, plan: &[u8]) -> io::Result<Self> {
        file.set_length(0)?;
        let head = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        file.write_at(&head, 0)?;
        let mut spool = Self { file, end: ENTRIES_AT, synced: 0, scratch: Vec::new() };
        spool.append(Kind::Plan, |out| out.extend(plan))?;
        Ok(spool)
    }

    /// Goes on with what is in the file. `accept` looks at its plan; `visit` is handed each entry behind it, with where
    /// its content begins. The file comes back untouched when it is no spool or its plan is not accepted.
    pub(super) fn resume(
        file: Box<dyn DiskFile>,
        accept: impl FnOnce(&[u8]) -> bool,
        visit: &mut Visit<'_>,
    ) -> io::Result<Result<Self, Box<dyn DiskFile>>> {
        let length = file.length()?;
        let mut reader = Reader::new(&*file, 0, length);
        let head = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        if reader.take(head.len())?.is_none_or(|found| found != head) {
            return Ok(Err(file));
        }
        let plan = entry(&mut reader)?;
        if !plan.is_some_and(|(kind, plan)| kind == Kind::Plan && accept(plan)) {
            return Ok(Err(file));
        }
        let mut end = reader.offset();
        while let Some((kind, content)) = entry(&mut reader)? {
            if kind == Kind::Plan {
                break;
            }
            visit(kind, end + HEAD_BYTES, content)?;
            end = reader.offset();
        }
        if end < length {
            file.set_length(end)?;
            file.sync()?;
        }
        Ok(Ok(Self { file, end, synced: end, scratch: Vec::new() }))
    }

    /// Appends an entry whose content `fill` puts together, and returns where the content begins and how long it is.
    pub(super) fn append(&mut self, kind: Kind, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<(u64, u32)> {
        let entry = &mut self.scratch;
        entry.clear();
        entry.extend([0; PREFIX_BYTES]);
        entry.push(kind as u8);
        fill(entry);
        let bytes = entry.len() - PREFIX_BYTES;
        let beyond = || io::Error::from(io::ErrorKind::FileTooLarge);
        let length = u32::try_from(bytes).ok().filter(|length| *length <= MAX_ENTRY_BYTES).ok_or_else(beyond)?;
        let check = crc32fast::hash(entry.get(PREFIX_BYTES..).unwrap_or_default());
        let prefix = length.to_le_bytes().into_iter().chain(check.to_le_bytes());
        entry.iter_mut().zip(prefix).for_each(|(to, from)| *to = from);
        self.file.write_at(entry, self.end)?;
        let offset = self.end + HEAD_BYTES;
        self.end += entry.len() as u64;
        if self.end - self.synced >= SYNC_BYTES {
            self.sync()?;
        }
        Ok((offset, length - 1))
    }

    /// Returns when all of it is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.synced = self.end;
        Ok(())
    }

    /// Reads the content of an entry of `kind` into `buffer`: `bytes` of them from `offset` on.
    pub(super) fn read(&self, kind: Kind, offset: u64, bytes: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
        let entry_bytes = bytes as usize + HEAD_BYTES as usize;
        buffer.resize(entry_bytes, 0);
        read_exact_at(&*self.file, buffer, offset.saturating_sub(HEAD_BYTES))?;
        let (length, check) = prefix(buffer);
        let content = buffer.get(PREFIX_BYTES..).unwrap_or_default();
        let good = length == bytes + 1 && crc32fast::hash(content) == check && content.first() == Some(&(kind as u8));
        buffer.drain(..HEAD_BYTES as usize);
        if good { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "it is not as it was written")) }
    }

    /// Reads `buffer.len()` bytes from within an entry.
    pub(super) fn read_part(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_exact_at(&*self.file, buffer, offset)
    }
}

/// Length and check of an entry.
fn prefix(entry: &[u8]) -> (u32, u32) {
    match entry {
        [a, b, c, d, e, f, g, h, ..] => (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h])),
        _ => (0, 0),
    }
}

/// The next entry; `None` when there is none that is whole and intact.
fn entry<'a>(reader: &'a mut Reader<'_>) -> io::Result<Option<(Kind, &'a [u8])>> {
    let Some(head) = reader.peek(0, PREFIX_BYTES)? else { return Ok(None) };
    let (length, check) = prefix(head);
    if !(1..=MAX_ENTRY_BYTES).contains(&length) {
        return Ok(None);
    }
    let Some(content) = reader.peek(PREFIX_BYTES, length as usize)? else { return Ok(None) };
    let kind = content.first().and_then(|kind| Kind::ALL.get(usize::from(*kind))).copied();
    let Some(kind) = kind.filter(|_| crc32fast::hash(content) == check) else { return Ok(None) };
    let entry = reader.take(PREFIX_BYTES + length as usize)?;
    Ok(entry.and_then(|entry| entry.get(HEAD_BYTES as usize..)).map(|content| (kind, content)))
}

/// The content of an entry about removed rows.
pub(super) fn encode_removed(digest: &[u8; DIGEST_BYTES], rows: &[u32], out: &mut Vec<u8>) {
    out.extend(digest);
    out.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
}

/// Reads what [`encode_removed`] wrote.
pub(super) fn decode_removed(content: &[u8]) -> Option<([u8; DIGEST_BYTES], impl Iterator<Item = u32>)> {
    let (digest, rows) = content.split_first_chunk()?;
    Some((*digest, rows.as_chunks().0.iter().map(|row| u32::from_le_bytes(*row))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, RealDisk};
    use std::path::Path;

    fn claim(path: &Path) -> Box<dyn DiskFile> {
        RealDisk.claim(path).unwrap().unwrap()
    }

    fn resumed(path: &Path, plan: &[u8]) -> Option<Vec<(Kind, Vec<u8>)>> {
        let mut entries = Vec::new();
        let mut visit = |kind, _, content: &[u8]| {
            entries.push((kind, content.to_vec()));
            Ok(())
        };
        let resumed = Spool::resume(claim(path), |found| found == plan, &mut visit).unwrap();
        resumed.is_ok().then_some(entries)
    }

    #[test]
    fn every_cut_and_every_flipped_bit_leaves_what_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::begin(claim(&path), b"plan").unwrap();
        let mut ends = vec![spool.end];
        let entries = [(Kind::Row, b"one".to_vec()), (Kind::Skipped, Vec::new()), (Kind::Row, vec![7; 100])];
        for (kind, content) in &entries {
            let (offset, bytes) = spool.append(*kind, |out| out.extend(content)).unwrap();
            let mut buffer = Vec::new();
            spool.read(*kind, offset, bytes, &mut buffer).unwrap();
            assert_eq!(&buffer, content);
            assert!(spool.read(Kind::Removed, offset, bytes, &mut buffer).is_err());
            ends.push(spool.end);
        }
        drop(spool);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(resumed(&path, b"plan").as_deref(), Some(entries.as_slice()));
        assert_eq!(resumed(&path, b"other"), None);
        let kept = |damaged_at: usize| ends.iter().rposition(|end| *end <= damaged_at as u64);
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(resumed(&path, b"plan").map(|entries| entries.len()), kept(length), "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(resumed(&path, b"plan").map(|entries| entries.len()), kept(at), "byte {at}");
        }
    }

    #[test]
    fn entries_larger_than_what_is_read_at_once_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::begin(claim(&path), b"plan").unwrap();
        let large = vec![3; 2_000_005];
        for content in [&large[..], &large[..1_048_556], b"x"] {
            spool.append(Kind::Row, |out| out.extend(content)).unwrap();
        }
        assert!(spool.append(Kind::Row, |out| out.resize(MAX_ENTRY_BYTES as usize + 9, 0)).is_err());
        drop(spool);
        let lengths: Vec<usize> = resumed(&path, b"plan").unwrap().iter().map(|(_, content)| content.len()).collect();
        assert_eq!(lengths, [2_000_005, 1_048_556, 1]);
    }
}
