//! The faulty disk as what shards and pointers are written to.

use std::io;
use std::path::Path;

use index_shards::{Disk, DiskFile};

use super::faulty_disk::{FaultyDisk, FaultyFile};

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(Self::create(self, path)?))
    }

    fn claim(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let claimed = Self::claim(self, path)?;
        Ok(claimed.map(|file| Box::new(file) as Box<dyn DiskFile>))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Self::rename(self, from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Self::sync_folder(self, folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Self::remove(self, path)
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Self::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        Self::write_at(self, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Self::length(self)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        Self::set_length(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        Self::sync(self)
    }
}
