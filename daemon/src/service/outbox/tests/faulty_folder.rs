//! The faulty disk as the folder of an outbox.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use index_shards::DiskFile;

use super::super::commit::OpenFolder;
use super::super::folder::LogFolder;
use crate::faulty_disk::FaultyDisk;

const FOLDER: &str = "/state/outbox";
const ABOVE: &str = "/state";

/// A folder on a faulty disk, shared by all clones.
#[derive(Debug, Clone)]
pub(super) struct FaultyFolder(FaultyDisk);

impl Default for FaultyFolder {
    fn default() -> Self {
        let disk = FaultyDisk::default();
        disk.put_folder(Path::new(ABOVE));
        Self(disk)
    }
}

impl Deref for FaultyFolder {
    type Target = FaultyDisk;

    fn deref(&self) -> &FaultyDisk {
        &self.0
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

impl FaultyFolder {
    /// Names and bytes of all files.
    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let of = |path: PathBuf| {
            let bytes = self.0.content(&path).unwrap().len() as u64;
            (path.file_name().unwrap().to_str().unwrap().to_owned(), bytes)
        };
        self.0.files().into_iter().map(of).collect()
    }

    /// Changes what is on the disk in a file.
    pub(super) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.0.damage(&path(name), change);
    }
}

impl OpenFolder for FaultyFolder {
    fn claim(&self) -> io::Result<Option<Box<dyn LogFolder>>> {
        self.0.make_folder(Path::new(FOLDER))?;
        self.0.sync_folder(Path::new(ABOVE))?;
        Ok(Some(Box::new(self.clone())))
    }
}

impl LogFolder for FaultyFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names(Path::new(FOLDER))
    }

    /// As the real one: without room there is no such file.
    fn create(&self, name: &str, room: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = self.0.create(&path(name))?;
        if let Err(error) = file.set_length(room) {
            self.0.remove(&path(name)).ok();
            return Err(error);
        }
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.0.open(&path(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&path(from), &path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(&path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_folder(Path::new(FOLDER))
    }
}
