//! What the outbox asks of a disk: one folder, few calls with a contract each, so that a disk that fails, tears and
//! forgets at any of them can stand in for the real one in tests.
//!
//! **What survives a loss of power.** Only what [`DiskFile::sync`] was called for after it was written, and only names
//! that [`LogFolder::sync_names`] was called for after they were given. Until then any part of what was written, in any
//! order, may or may not be there.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use index_shards::DiskFile;
use rustix::fs::{FallocateFlags, fallocate};

use crate::whole_file;

/// The file whose lock says that somebody writes.
const LOCK: &str = "lock";

/// A folder with the segments of a log.
pub(super) trait LogFolder: fmt::Debug + Send + Sync {
    /// Names of everything in the folder, in any order.
    fn names(&self) -> io::Result<Vec<String>>;

    /// A new file with room for `room` bytes, which read as zeros. A file that has the name is replaced. Fails where the
    /// disk has not that much room; then there is no such file.
    fn create(&self, name: &str, room: u64) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. One that is not there is as good as removed.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// A folder of the operating system.
#[derive(Debug)]
pub(super) struct RealFolder {
    path: PathBuf,
    /// Held for as long as this process may write.
    lock: Option<File>,
}

impl RealFolder {
    /// Makes the folder if it is not there, and claims it for writing; `None` when another process writes to it.
    pub(super) fn claim(path: &Path) -> io::Result<Option<Self>> {
        whole_file::make_folder(path)?;
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), lock: Some(lock) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The folder to read from, whoever writes to it.
    pub(super) fn read(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }
}

impl LogFolder for RealFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, name: &str, room: u64) -> io::Result<Box<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        let allocated = match fallocate(&file, FallocateFlags::empty(), 0, room) {
            // Not every file system can; there a full disk shows later.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(room),
            outcome => outcome.map_err(io::Error::from),
        };
        if let Err(error) = allocated {
            fs::remove_file(&path).ok();
            return Err(error);
        }
        Ok(Box::new(LogFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(self.lock.is_some()).open(self.path.join(name))?;
        Ok(Box::new(LogFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if self.lock.is_none() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// A file whose sync leaves out times: with room reserved they are all that would change beside the content, and
/// flash wears out by them.
#[derive(Debug)]
struct LogFile(File);

impl DiskFile for LogFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        DiskFile::read_at(&self.0, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        DiskFile::write_at(&self.0, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        DiskFile::length(&self.0)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        DiskFile::set_length(&self.0, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox");
        let first = RealFolder::claim(&path).unwrap();
        assert!(first.is_some() && RealFolder::claim(&path).unwrap().is_none());
        drop(first);
        assert!(RealFolder::claim(&path).unwrap().is_some());
    }

    #[test]
    fn a_new_file_has_its_room_and_a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RealFolder::claim(dir.path()).unwrap().unwrap();
        let file = folder.create("a", 8192).unwrap();
        assert_eq!(file.length().unwrap(), 8192);
        file.write_at(b"text", 100).unwrap();
        file.sync().unwrap();
        let mut read = [1; 5];
        let other = RealFolder::read(dir.path()).open("a").unwrap();
        assert_eq!((other.read_at(&mut read, 99).unwrap(), &read), (5, b"\0text"));
        assert!(other.write_at(b"x", 0).is_err());
        folder.rename("a", "b").unwrap();
        let mut names = folder.names().unwrap();
        names.sort();
        assert_eq!(names, ["b", "lock"]);
        folder.remove("a").unwrap();
    }
}
