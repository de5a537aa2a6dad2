//! What the writer asks of a disk: few calls with a contract each, so that a disk that fails, tears and forgets at any
//! of them can stand in for the real one in tests.
//!
//! **What survives a loss of power.** Only what [`DiskFile::sync`] was called for after it was written, and only names
//! that [`Disk::sync_folder`] was called for after they were given. Until then any part of what was written, in any
//! order, may or may not be there: each write by itself may be torn.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// How often a file is opened anew that was replaced before it could be claimed.
const CLAIM_TRIES: usize = 100;

/// A file system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a new, empty file for reading and writing; one that has the name already is emptied.
    ///
    /// # Errors
    /// What the operating system says; the folder does not exist, for example.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading and writing, an empty one where there is none, and claims it for this process: nobody
    /// else can claim the file of that name until this one is closed or the process ends, however it ends. `None` when
    /// somebody else has it.
    ///
    /// # Errors
    /// What the operating system says.
    fn claim(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>>;

    /// Gives a file or a folder another name in the same folder. A file that has that name already is replaced in one
    /// step: somebody who opens the name gets the one or the other.
    ///
    /// # Errors
    /// What the operating system says; then nothing has changed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the operating system says; then the names may or may not be durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Removes a file. One that is not there is as good as removed.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file. Positions are explicit, so that several threads can read and write it at once.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes that begin at `offset`, and returns how many; 0 at or beyond the end.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; what lies between the end of the file and `offset` becomes zero.
    ///
    /// # Errors
    /// What the operating system says; then some of the bytes may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Length, bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Cuts the file to `length` bytes, or fills it up with zeros to that.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns when content and length are on the disk.
    ///
    /// # Errors
    /// What the operating system says; then nothing is known about what was written since the last success, and trying
    /// again proves nothing.
    fn sync(&self) -> io::Result<()>;
}

/// Fills `buffer` from `offset` on.
///
/// # Errors
/// What the disk says; [`io::ErrorKind::UnexpectedEof`] where the file ends before.
pub(crate) fn read_exact_at(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            outcome => outcome?,
        };
        buffer = buffer.get_mut(count..).unwrap_or_default();
        offset += count as u64;
    }
    Ok(())
}

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        options
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self::options().truncate(true).open(path)?))
    }

    fn claim(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        // Who had the file may have removed it between the opening and the lock: then it is not what the name means
        // now, and the next try finds what is. That it happens often is as good as somebody having it.
        for _ in 0..CLAIM_TRIES {
            let file = Self::options().truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let same = fs::metadata(path).is_ok_and(|named| {
                file.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (named.dev(), named.ino()))
            });
            if same {
                return Ok(Some(Box::new(file)));
            }
        }
        Ok(None)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}
