//! Reading a file from some place on, in large pieces.

use crate::disk::{DiskFile, read_exact_at};
use std::io;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

/// What is left to read, up to an end.
pub(super) struct Reader<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    end: u64,
    window: Vec<u8>,
    /// Where the window begins.
    window_at: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a dyn DiskFile, offset: u64, end: u64) -> Self {
        Self { file, offset, end, window: Vec::new(), window_at: offset }
    }

    /// Where the next byte is.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes, and goes on behind them; `None` when there are less.
    pub(super) fn take(&mut self, bytes: usize) -> io::Result<Option<&[u8]>> {
        if self.peek(0, bytes)?.is_none() {
            return Ok(None);
        }
        self.offset += bytes as u64;
        let at = usize::try_from(self.offset - self.window_at).unwrap_or(usize::MAX);
        Ok(self.window.get(at.saturating_sub(bytes)..at))
    }

    /// Bytes that begin `ahead` of the next ones; `None` when there are less.
    pub(super) fn peek(&mut self, ahead: usize, bytes: usize) -> io::Result<Option<&[u8]>> {
        let wanted = ahead + bytes;
        let left = self.end.saturating_sub(self.offset);
        if left < wanted as u64 {
            return Ok(None);
        }
        let mut at = usize::try_from(self.offset - self.window_at).unwrap_or(usize::MAX);
        if self.window.len() < at.saturating_add(wanted) {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            self.window.resize(wanted.max(READ_BYTES).min(left), 0);
            read_exact_at(self.file, &mut self.window, self.offset)?;
            (self.window_at, at) = (self.offset, 0);
        }
        Ok(self.window.get(at + ahead..at + wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_come_one_after_the_other() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        let file = tempfile::tempfile().unwrap();
        DiskFile::write_at(&file, &content, 0).unwrap();
        let (mut reader, mut at) = (Reader::new(&file, 7, 2_900_000), 7);
        for bytes in [1, 0, 1_048_570, 1_048_576, 20, 800_000] {
            assert_eq!(reader.peek(bytes / 2, bytes / 2).unwrap(), Some(&content[at + bytes / 2..at + bytes / 2 * 2]));
            assert_eq!(reader.take(bytes).unwrap(), Some(&content[at..at + bytes]));
            at += bytes;
            assert_eq!(reader.offset(), at as u64);
        }
        assert_eq!(reader.take(3_000).unwrap(), None);
        assert_eq!(reader.take(2_900_000 - at).unwrap().map(<[u8]>::len), Some(2_900_000 - at));
        assert_eq!(reader.take(0).unwrap(), Some([].as_slice()));
        assert_eq!(reader.take(1).unwrap(), None);
    }
}
