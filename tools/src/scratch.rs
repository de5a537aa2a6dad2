//! A temporary file for what would not fit into memory. It is made when it is first needed, has no name, and is gone
//! when the process ends, however it ends.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The file, and how far it is written.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    file: Option<File>,
    end: u64,
}

impl Scratch {
    /// A file in `folder`, which should not be one that lies in memory, as `/tmp` may.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None, end: 0 }
    }

    /// Writes bytes behind everything else and returns where they are.
    ///
    /// # Errors
    /// The file cannot be made or written.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<Range<u64>> {
        let start = self.end;
        self.write(bytes).map_err(|error| {
            let message = format!("{}: cannot write a temporary file there: {error}", self.folder.display());
            io::Error::new(error.kind(), message)
        })?;
        self.end += bytes.len() as u64;
        Ok(start..self.end)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(tempfile::tempfile_in(&self.folder)?);
        }
        self.file.as_ref().map_or(Ok(()), |file| file.write_all_at(bytes, self.end))
    }

    /// How many bytes were written.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Reads a part of what was written. Several readers do not disturb each other.
    pub(crate) fn reader(&self, part: Range<u64>) -> ScratchReader<'_> {
        ScratchReader { file: self.file.as_ref(), part }
    }
}

/// Reads a part of the file.
#[derive(Debug)]
pub(crate) struct ScratchReader<'a> {
    file: Option<&'a File>,
    part: Range<u64>,
}

impl Read for ScratchReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.part.end.saturating_sub(self.part.start)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let (Some(file), Some(buffer), 1..) = (self.file, buffer.get_mut(..wanted), wanted) else { return Ok(0) };
        let read = file.read_at(buffer, self.part.start)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.part.start += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_back_and_nothing_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(folder.path());
        let mut text = String::new();
        scratch.reader(0..0).read_to_string(&mut text).unwrap();
        let parts = [scratch.append(b"one").unwrap(), scratch.append(b"").unwrap(), scratch.append(b"three").unwrap()];
        let read = |part: &Range<u64>| io::read_to_string(scratch.reader(part.clone())).unwrap();
        assert_eq!(parts.iter().map(read).collect::<Vec<_>>(), ["one", "", "three"]);
        assert_eq!((read(&(1..5)).as_str(), scratch.end()), ("neth", 8));
        assert!(io::read_to_string(scratch.reader(5..9)).is_err(), "there are 8 bytes");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let none = folder.path().join("none");
        assert!(Scratch::new(&none).append(b"x").unwrap_err().to_string().contains(none.to_str().unwrap()));
    }
}
