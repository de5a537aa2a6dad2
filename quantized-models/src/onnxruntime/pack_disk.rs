//! What packing asks of a disk: few calls with a contract each, so that a disk that fails, tears and forgets at any of
//! them can stand in for the real one in tests.
//!
//! **What survives a loss of power.** Only files that [`PackDisk::sync`] was called for after they were written, and only
//! names in folders that [`PackDisk::sync_folder`] was called for after they were given.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::digest;
use crate::stamp::Stamps;

/// A file system with folders of packed weights.
pub(super) trait PackDisk: fmt::Debug {
    /// Makes a folder of its own in `folder`, under a name that begins with `prefix`. `folder` is made if need be.
    fn workplace(&self, folder: &Path, prefix: &str) -> io::Result<PathBuf>;

    /// Length of a file in bytes; `None` where there is none.
    fn length(&self, path: &Path) -> io::Result<Option<u64>>;

    /// All of a text file.
    fn text(&self, path: &Path) -> io::Result<String>;

    /// SHA-256 of a file by reading it.
    fn digest(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String>;

    /// SHA-256 of a file; one that was hashed before, and has not changed since, need not be read.
    fn known_digest(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String>;

    /// A file with this content; one that has the name is replaced.
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Makes the content of a file durable.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Gives a folder another name, in one step; fails where a folder that is not empty has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a folder with all that is in it.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names in a folder, with how long ago each was changed.
    fn names(&self, folder: &Path) -> io::Result<Vec<(String, Duration)>>;
}

/// The file system of the operating system, and what is remembered of it.
#[derive(Debug)]
pub(super) struct RealPackDisk {
    stamps: Stamps,
}

impl RealPackDisk {
    pub(super) fn new(stamps: Stamps) -> Self {
        Self { stamps }
    }
}

impl PackDisk for RealPackDisk {
    fn workplace(&self, folder: &Path, prefix: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let workplace = tempfile::Builder::new().prefix(prefix).tempdir_in(folder)?;
        // Other users may map it too.
        fs::set_permissions(workplace.path(), fs::Permissions::from_mode(0o755))?;
        Ok(workplace.keep())
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            metadata => Ok(Some(metadata?.len())),
        }
    }

    fn text(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    fn digest(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String> {
        digest::sha256_of_reader(File::open(path)?, on_bytes)
    }

    fn known_digest(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String> {
        Ok(self.stamps.sha256(path, on_bytes)?.sha256)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        File::create(path)?.write_all(content)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir_all(folder)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<(String, Duration)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            let age = changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
            if let Ok(name) = entry.file_name().into_string() {
                names.push((name, age.unwrap_or_default()));
            }
        }
        Ok(names)
    }
}
