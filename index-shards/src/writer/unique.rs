//! Whether every name is there once.
//!
//! The first 458,752 names are watched as they come, in 11 MiB at most; a name that comes again among them is refused
//! at once. All names, however many, are compared when the shard is finished, sorted on the disk.

use super::scratch::Scratch;
use super::sorter::Sorter;
use crate::digest::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io;

/// Names that are watched in memory: what fills a hash table of 2^19 places.
const EARLY_NAMES: usize = 458_752;
/// 128 bits of a name's SHA-256, which stand for the name.
pub(crate) type NameKey = [u8; 16];
/// Bytes of a name on its way to being compared: key, position, where it lies in the spool and how long it is.
const RECORD: usize = 32;

/// What stands for a name.
pub(crate) fn key(name: &str) -> NameKey {
    let Digest(digest) = Digest::of(Sha256::new_with_prefix(name));
    digest.first_chunk().copied().unwrap_or_default()
}

/// A name that came twice: where its references lie in the spool, as offset and bytes, and their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twice {
    pub(super) first: u32,
    pub(super) again: u32,
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// The names so far.
#[derive(Debug)]
pub(super) struct Names {
    early: HashMap<NameKey, u32>,
    sorter: Sorter<RECORD>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { early: HashMap::new(), sorter: Sorter::new() }
    }

    /// The position that had the name before, if that is known already.
    pub(super) fn position_of(&self, key: &NameKey) -> Option<u32> {
        self.early.get(key).copied()
    }

    /// Takes in a name, and where its reference lies in the spool.
    pub(super) fn push(
        &mut self,
        key: NameKey,
        position: u32,
        (offset, bytes): (u64, u32),
        scratch: &mut Scratch,
    ) -> io::Result<()> {
        if self.early.len() < EARLY_NAMES {
            self.early.insert(key, position);
        }
        let mut record = [0; RECORD];
        let fields = key.into_iter().chain(position.to_be_bytes()).chain(offset.to_be_bytes());
        record.iter_mut().zip(fields.chain(bytes.to_be_bytes())).for_each(|(to, from)| *to = from);
        self.sorter.push(record, scratch)
    }

    /// A name that came twice, if there is one: that with the least key.
    pub(super) fn find_twice(self, scratch: &Scratch) -> io::Result<Option<Twice>> {
        let mut before: Option<(NameKey, u32)> = None;
        for record in self.sorter.into_sorted(scratch)? {
            let record = record?;
            let (key, rest) = record.split_first_chunk().unwrap_or((&[0; 16], &[]));
            let [p0, p1, p2, p3, o0, o1, o2, o3, o4, o5, o6, o7, b0, b1, b2, b3] =
                rest.first_chunk().copied().unwrap_or_default();
            let position = u32::from_be_bytes([p0, p1, p2, p3]);
            if let Some((_, first)) = before.filter(|(before, _)| before == key) {
                let offset = u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
                let bytes = u32::from_be_bytes([b0, b1, b2, b3]);
                return Ok(Some(Twice { first, again: position, offset, bytes }));
            }
            before = Some((*key, position));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::sync::Arc;

    #[test]
    fn a_name_that_comes_twice_is_found_at_once_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(Arc::new(RealDisk), folder.path().join("scratch"));
        let mut names = Names::new();
        for (name, position) in [("a", 0), ("b", 4), ("c", 5)] {
            assert_eq!(names.position_of(&key(name)), None);
            names.push(key(name), position, (7, 9), &mut scratch).unwrap();
        }
        assert_eq!(names.position_of(&key("b")), Some(4));
        names.push(key("b"), 6, (70, 90), &mut scratch).unwrap();
        let twice = Twice { first: 4, again: 6, offset: 70, bytes: 90 };
        assert_eq!(names.find_twice(&scratch).unwrap(), Some(twice));
        assert_eq!(Names::new().find_twice(&scratch).unwrap(), None);
    }
}
