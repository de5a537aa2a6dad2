//! A section as it is read from a file to be verified: digested on the way, its values checked.

use super::{ALIGNMENT, Entry, padding};
use crate::digest::Digest;
use crate::fault::{Fault, expect};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};

/// How many bytes are read at once when records are streamed.
const CHUNK_BYTES: usize = 1 << 16;

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
    /// Bytes that have not been read yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

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

    /// Passes over what has not been read.
    pub(crate) fn skip(&mut self) -> Result<(), SectionError> {
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
    let mut stream = SectionStream { input, hasher: Sha256::new(), left: entry.length };
    let outcome = check(&mut stream);
    if let Err(SectionError::Io(_)) = outcome {
        return outcome;
    }
    let left = stream.left;
    stream.skip()?;
    let mut zeros = [0; ALIGNMENT as usize];
    let zeros = zeros.get_mut(..padding(entry.length) as usize).unwrap_or_default();
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
