//! The part of a file that is there already.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{Download, DownloadError, error};
use crate::stamps::FileIdentity;

/// Bytes after which what was written is brought to the disk: a process that is killed loses at most so many.
const DURABLE_BYTES: u64 = 8 << 20;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;
/// Longest note that is read.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// What a part belongs to, and how much of it is on the disk for certain: the file `NAME.part.toml`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// Without its query.
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The strong entity tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    durable_bytes: u64,
}

impl Note {
    fn new(download: &Download<'_>) -> Self {
        let (url, sha256) = (error::shown(download.url), download.sha256.map(str::to_owned));
        Self { url, sha256, ..Self::default() }
    }

    /// What was noted beside a part of the same file; none when that is not certain.
    fn of_the_same(path: &Path, download: &Download<'_>) -> Option<Self> {
        let mut text = String::new();
        File::open(path).ok()?.take(MAX_NOTE_BYTES).read_to_string(&mut text).ok()?;
        let note: Self = toml::from_str(&text).ok()?;
        let same_digest = note.sha256.is_some() && note.sha256.as_deref() == download.sha256;
        let other_digest = note.sha256.is_some() && download.sha256.is_some() && !same_digest;
        let same_tag = note.tag.is_some() && note.url == error::shown(download.url) && !other_digest;
        let fits = download.bytes.is_none_or(|bytes| note.durable_bytes <= bytes);
        ((same_digest || same_tag) && fits).then_some(note)
    }
}

/// Opens a part, or makes it, and locks it.
fn lock(path: &Path, to: &Path) -> Result<File, DownloadError> {
    let refused = |source| DownloadError::Disk { path: path.to_owned(), action: "open", source };
    loop {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DownloadError::Busy { path: to.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        // Another process may have finished it, and given it its name, between opening and locking.
        let opened = FileIdentity::of_metadata(&file.metadata().map_err(refused)?);
        if FileIdentity::of(path).is_ok_and(|found| found == opened) {
            return Ok(file);
        }
    }
}

/// A file that grows beside its destination. Locked: only one process at a time has it.
pub(super) struct Part<'a> {
    to: &'a Path,
    path: PathBuf,
    note_path: PathBuf,
    note: Note,
    file: File,
    hasher: Sha256,
    written: u64,
}

impl<'a> Part<'a> {
    /// Opens the part of a file, or begins one. What is there of the same file is hashed and kept.
    pub(super) fn open(download: &Download<'a>) -> Result<Self, DownloadError> {
        let beside = |ending: &str| {
            let mut path = download.to.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let (path, note_path) = (beside(".part"), beside(".part.toml"));
        let file = lock(&path, download.to)?;
        let found = Note::of_the_same(&note_path, download);
        let note = Note::new(download);
        let mut part = Self { to: download.to, path, note_path, note, file, hasher: Sha256::new(), written: 0 };
        match found {
            Some(found) if part.take_over(found.durable_bytes).map_err(|source| part.disk("read", source))? => {
                part.note.durable_bytes = part.written;
                part.note.tag = found.tag;
            }
            _ => part.restart()?,
        }
        Ok(part)
    }

    /// Hashes what is on the disk for certain and forgets what follows it. `false`: it is not there.
    fn take_over(&mut self, durable_bytes: u64) -> io::Result<bool> {
        if self.file.metadata()?.len() < durable_bytes {
            return Ok(false);
        }
        self.file.set_len(durable_bytes)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(self.written == durable_bytes),
                read => {
                    self.hasher.update(buffer.get(..read).unwrap_or_default());
                    self.written += read as u64;
                }
            }
        }
    }

    /// Bytes that are there.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The entity tag of what is there.
    pub(super) fn tag(&self) -> Option<&str> {
        self.note.tag.as_deref()
    }

    /// SHA-256 of what is there.
    pub(super) fn sha256(&self) -> String {
        self.hasher.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Forgets what is there.
    pub(super) fn restart(&mut self) -> Result<(), DownloadError> {
        (self.written, self.hasher) = (0, Sha256::new());
        (self.note.durable_bytes, self.note.tag) = (0, None);
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map(drop).map_err(|source| self.disk("empty", source))
    }

    /// Notes with which entity tag the file's bytes come.
    pub(super) fn begin(&mut self, tag: Option<String>) -> Result<(), DownloadError> {
        self.note.tag = tag;
        self.write_note()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file.write_all(bytes).map_err(|source| self.disk("write", source))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        if self.written - self.note.durable_bytes >= DURABLE_BYTES { self.keep() } else { Ok(()) }
    }

    /// Brings what is there to the disk, so that the next run finds it.
    pub(super) fn keep(&mut self) -> Result<(), DownloadError> {
        self.file.sync_data().map_err(|source| self.disk("sync", source))?;
        self.note.durable_bytes = self.written;
        self.write_note()
    }

    fn write_note(&self) -> Result<(), DownloadError> {
        let text = toml::to_string(&self.note).unwrap_or_default();
        let refused = |source| DownloadError::Disk { path: self.note_path.clone(), action: "write", source };
        let folder = self.note_path.parent().unwrap_or_else(|| Path::new("."));
        let mut file = NamedTempFile::new_in(folder).map_err(refused)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_data()).map_err(refused)?;
        file.persist(&self.note_path).map_err(|error| refused(error.error))?;
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), DownloadError> {
        self.file.sync_all().map_err(|source| self.disk("sync", source))?;
        let refused = |action| move |source| DownloadError::Disk { path: self.to.to_owned(), action, source };
        fs::rename(&self.path, self.to).map_err(refused("rename its part to it"))?;
        let folder = self.to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or_else(|| Path::new("."))).map_err(refused("open its folder"))?;
        folder.sync_all().map_err(refused("sync its folder"))?;
        // A note without its part is not looked at any more.
        fs::remove_file(&self.note_path).ok();
        Ok(())
    }

    /// Deletes what is there.
    pub(super) fn delete(self) {
        fs::remove_file(&self.path).ok();
        fs::remove_file(&self.note_path).ok();
    }

    fn disk(&self, action: &'static str, source: io::Error) -> DownloadError {
        DownloadError::Disk { path: self.path.clone(), action, source }
    }
}
