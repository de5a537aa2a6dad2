//! What a file holds: now, and what of it is certain to be there after a loss of power.

use super::Numbers;

/// Bytes that reach the disk together.
const PAGE_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) now: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since the last sync.
    since: Vec<Change>,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length as usize, 0),
            Self::Write { offset, bytes } => {
                let end = *offset as usize + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset as usize..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Content {
    pub(super) fn durable(content: &[u8]) -> Self {
        Self { now: content.into(), durable: content.into(), since: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.since.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.now);
        self.since.clear();
    }

    /// Each change since the last sync is there, is not, or of a write some pages are.
    pub(super) fn lose_power(&mut self, numbers: &mut Numbers) {
        let mut content = std::mem::take(&mut self.durable);
        for change in std::mem::take(&mut self.since) {
            match (change, numbers.below(10)) {
                (change, 0..4) => change.apply(&mut content),
                (Change::Write { offset, bytes }, 4..7) => {
                    for (page, part) in bytes.chunks(PAGE_BYTES).enumerate().filter(|_| numbers.below(2) == 0) {
                        let offset = offset + (page * PAGE_BYTES) as u64;
                        Change::Write { offset, bytes: part.to_vec() }.apply(&mut content);
                    }
                }
                _ => {}
            }
        }
        *self = Self::durable(&content);
    }
}
