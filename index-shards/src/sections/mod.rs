//! The sections of a shard. Each section's writer, reader and verifier share a file; here is what they have in common:
//! the table entry in the header, the digest that is taken while writing, and the checked stream for verifying.

pub(crate) mod names;
pub(crate) mod places;
pub(crate) mod vectors;

use crate::digest::Digest;
use crate::fault::{Fault, expect};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};

/// Every section begins at a multiple of this many bytes.
pub(crate) const ALIGNMENT: u64 = 64;
/// How many bytes are read at once when a section is streamed.
const CHUNK_BYTES: usize = 1 << 16;

/// The sections of format 0, in the order in which they stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vectors,
    Places,
    Names,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Vectors, Self::Places, Self::Names];

    /// The number that stands for the kind in the section table.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Vectors => 1,
            Self::Places => 2,
            Self::Names => 3,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vectors => "vectors",
            Self::Places => "places",
            Self::Names => "names",
        }
    }
}

/// Where a section lies and what its digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// From the beginning of the file, bytes.
    pub(crate) offset: u64,
    /// Without the padding, bytes.
    pub(crate) length: u64,
    /// Over the section and the padding after it.
    pub(crate) digest: Digest,
}

impl Entry {
    /// Where the next section begins; `None` beyond 64 bits.
    pub(crate) fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.length)?.checked_next_multiple_of(ALIGNMENT)
    }
}

/// Counts and digests a section while it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct SectionSink {
    hasher: Sha256,
    length: u64,
}

impl SectionSink {
    /// Appends `bytes` to the section.
    pub(crate) fn write(&mut self, out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Writes the padding; the section began at `offset`.
    pub(crate) fn finish(mut self, out: &mut impl Write, kind: Kind, offset: u64) -> io::Result<Entry> {
        let length = self.length;
        let padding = length.next_multiple_of(ALIGNMENT) - length;
        let zeros = [0; ALIGNMENT as usize];
        self.write(out, zeros.get(..padding as usize).unwrap_or_default())?;
        Ok(Entry { kind, offset, length, digest: Digest::of(self.hasher) })
    }
}

/// What is wrong with a section.
#[derive(Debug)]
pub(crate) enum SectionError {
    /// The file could not be read.
    Io(io::Error),
    /// The section's bytes are not those that the header's table promises.
    Digest { expected: Digest, found: Digest },
    /// A value is impossible; in which row, where it belongs to one.
    Value { row: Option<u64>, fault: Fault },
}

impl From<io::Error> for SectionError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for SectionError {
    fn from(fault: Fault) -> Self {
        Self::Value { row: None, fault }
    }
}

/// Gives a fault the row that it was found in.
pub(crate) fn in_row(row: impl Into<u64>) -> impl FnOnce(Fault) -> SectionError {
    let row = Some(row.into());
    move |fault| SectionError::Value { row, fault }
}

/// A section as it is read from a file, digested on the way.
pub(crate) struct SectionStream<R> {
    input: R,
    hasher: Sha256,
    /// Bytes of the section, without its padding, that have not been read yet.
    left: u64,
}

impl<R: Read> SectionStream<R> {
    /// Fills `buffer` with the section's next bytes.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<(), SectionError> {
        let wanted = buffer.len() as u64;
        expect(wanted <= self.left, "length", format_args!("{wanted} more bytes"), self.left)?;
        self.input.read_exact(buffer)?;
        self.hasher.update(&*buffer);
        self.left -= wanted;
        Ok(())
    }

    /// Reads `count` records of `N` bytes and hands them to `check` with their position.
    pub(crate) fn records<const N: usize>(
        &mut self,
        count: u64,
        mut check: impl FnMut(u64, &[u8; N]) -> Result<(), SectionError>,
    ) -> Result<(), SectionError> {
        let mut buffer = vec![[0; N]; CHUNK_BYTES / N];
        let mut done = 0;
        while done < count {
            let now = usize::try_from(count - done).unwrap_or(usize::MAX).min(buffer.len());
            let records = buffer.get_mut(..now).unwrap_or_default();
            self.read(records.as_flattened_mut())?;
            for (record, position) in records.iter().zip(done..) {
                check(position, record)?;
            }
            done += now as u64;
        }
        Ok(())
    }

    /// Digests what has not been read.
    fn drain(&mut self) -> Result<(), SectionError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        while self.left > 0 {
            let now = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
            self.read(buffer.get_mut(..now).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Reads the section of `entry`, which `input` is at the beginning of, to its end with `check` looking at the values.
/// A digest that differs is reported rather than the impossible values that it explains.
pub(crate) fn verify<R: Read>(
    input: R,
    entry: &Entry,
    check: impl FnOnce(&mut SectionStream<R>) -> Result<(), SectionError>,
) -> Result<(), SectionError> {
    let padding = entry.length.next_multiple_of(ALIGNMENT) - entry.length;
    let mut stream = SectionStream { input, hasher: Sha256::new(), left: entry.length };
    let outcome = check(&mut stream);
    if let Err(SectionError::Io(_)) = outcome {
        return outcome;
    }
    let left = stream.left;
    stream.drain()?;
    let mut zeros = [0; ALIGNMENT as usize];
    let zeros = zeros.get_mut(..padding as usize).unwrap_or_default();
    stream.input.read_exact(zeros)?;
    stream.hasher.update(&*zeros);
    let found = Digest::of(stream.hasher);
    if found != entry.digest {
        return Err(SectionError::Digest { expected: entry.digest, found });
    }
    outcome?;
    expect(left == 0, "length", format_args!("{} bytes", entry.length - left), entry.length)?;
    Ok(crate::fields::zero("padding", zeros)?)
}
