//! A file for what does not fit into memory while a shard is made. It is created when it is first needed, and nothing
//! in it outlives the writer.

use crate::disk::{Disk, DiskFile};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The file, and how far it is in use.
#[derive(Debug)]
pub(crate) struct Scratch {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: OnceLock<Box<dyn DiskFile>>,
    end: u64,
}

impl Scratch {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path, file: OnceLock::new(), end: 0 }
    }

    /// The file, created now if this is the first time.
    pub(crate) fn file(&self) -> io::Result<&dyn DiskFile> {
        if let Some(file) = self.file.get() {
            return Ok(&**file);
        }
        let file = self.disk.create(&self.path)?;
        Ok(&**self.file.get_or_init(|| file))
    }

    /// Where the next bytes go.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Says that everything before `end` is in use.
    pub(crate) fn grow_to(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Writes `bytes` behind everything else and returns where.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.end;
        self.file()?.write_at(bytes, offset)?;
        self.end = offset + bytes.len() as u64;
        Ok(offset)
    }
}
