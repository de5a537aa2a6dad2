//! Writing a section into the file, digested on the way.

use super::{Entry, Kind, padding};
use crate::digest::Digest;
use crate::disk::{DiskFile, read_exact_at};
use sha2::{Digest as _, Sha256};
use std::io;

/// Bytes that are written or read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Bytes on their way to a place in a file: appended one after the other, written in large pieces.
pub(crate) struct Appender<'a> {
    file: &'a dyn DiskFile,
    /// Where the buffer's first byte goes.
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, offset: u64) -> Self {
        Self { file, offset, buffer: Vec::new() }
    }

    /// Where the next byte goes.
    pub(crate) fn position(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.file.write_at(bytes, self.offset)?;
            self.offset += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Hands to the file what has not been handed over.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(&self.buffer, self.offset)?;
            self.offset += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// A section that is written from its beginning to its end.
pub(crate) struct SectionWriter<'a> {
    out: Appender<'a>,
    kind: Kind,
    offset: u64,
    hasher: Sha256,
}

impl<'a> SectionWriter<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, kind: Kind, offset: u64) -> Self {
        Self { out: Appender::new(file, offset), kind, offset, hasher: Sha256::new() }
    }

    /// Appends `bytes` to the section.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write(bytes)
    }

    /// Writes the padding.
    pub(crate) fn finish(mut self) -> io::Result<Entry> {
        let length = self.out.position() - self.offset;
        for _ in 0..padding(length) {
            self.write(&[0])?;
        }
        self.out.flush()?;
        Ok(Entry { kind: self.kind, offset: self.offset, length, digest: Digest::of(self.hasher) })
    }
}

/// The entry of a section whose `length` bytes are in the file already, in whatever order they came there; writes the
/// padding.
pub(crate) fn written(file: &dyn DiskFile, kind: Kind, offset: u64, length: u64) -> io::Result<Entry> {
    let padded = length + padding(length);
    let mut zeros = Appender::new(file, offset + length);
    for _ in length..padded {
        zeros.write(&[0])?;
    }
    zeros.flush()?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done = 0;
    while done < padded {
        let now = usize::try_from(padded - done).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..now).unwrap_or_default();
        read_exact_at(file, piece, offset + done)?;
        hasher.update(&*piece);
        done += now as u64;
    }
    Ok(Entry { kind, offset, length, digest: Digest::of(hasher) })
}
