//! Remembering which files were hashed already, so that a start reads no gigabytes that it read before.
//!
//! A stamp is a small text file in a folder of its own: the digest of one file with device, inode, length, time of
//! change of its content and time of change of its inode. As long as all of them are the same, the content is; nobody
//! but root can set the last one back. A file that changed within the second before it was hashed gets no stamp: it
//! might change again within the same tick of the clock.
//!
//! | line | content |
//! |---|---|
//! | 1 | `geolocated-stamp 1` |
//! | 2 | SHA-256, 64 hexadecimal digits |
//! | 3 | device, inode, length in bytes, mtime seconds, mtime nanoseconds, ctime seconds, ctime nanoseconds; decimal |
//! | 4 | path of the file, for people |

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digest;

const MAGIC: &str = "geolocated-stamp 1";
/// A file must have been left alone for so long before it was hashed.
const SETTLED: Duration = Duration::from_secs(1);
/// A stamp is shorter than this.
const MAX_BYTES: u64 = 1 << 16;

/// A folder of stamps. Several processes may share it.
#[derive(Debug, Clone)]
pub struct Stamps {
    folder: Option<PathBuf>,
}

/// The digest of a file, and how it was come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Whether a stamp said so; else the file was read.
    pub stamped: bool,
}

impl Stamps {
    /// Stamps in `folder`, which is made when the first one is written; `None` remembers nothing.
    #[must_use]
    pub fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf) }
    }

    /// The digest of `file`, from its stamp or by reading it. `progress` is told the number of bytes of each piece that
    /// is read. A stamp that cannot be read or written is no error.
    ///
    /// # Errors
    /// `file` cannot be read, or changed while it was.
    pub fn sha256(&self, file: &Path, progress: impl FnMut(u64)) -> io::Result<Known> {
        let opened = File::open(file)?;
        let before = opened.metadata()?;
        if !before.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if let Some(sha256) = self.read(file, &before) {
            return Ok(Known { sha256, bytes: before.len(), stamped: true });
        }
        self.hash(file, &opened, &before, progress)
    }

    /// The digest of `file` by reading it, whatever a stamp says; the stamp is renewed.
    ///
    /// # Errors
    /// As [`Stamps::sha256`].
    pub fn rehash(&self, file: &Path, progress: impl FnMut(u64)) -> io::Result<Known> {
        let opened = File::open(file)?;
        let before = opened.metadata()?;
        self.hash(file, &opened, &before, progress)
    }

    fn hash(&self, file: &Path, opened: &File, before: &Metadata, progress: impl FnMut(u64)) -> io::Result<Known> {
        let started = SystemTime::now();
        let sha256 = digest::sha256_of_reader(opened, progress)?;
        let after = opened.metadata()?;
        if identity(before) != identity(&after) {
            return Err(io::Error::other("it changed while it was read"));
        }
        if let Some(folder) = self.folder.as_deref().filter(|_| is_settled(before, started)) {
            let text = format!("{MAGIC}\n{sha256}\n{}\n{}\n", identity(before), file.display());
            if let Err(error) = write(folder, &stamp_of(folder, file), text.as_bytes()) {
                tracing::debug!(folder = %folder.display(), %error, "cannot remember the digest of a file");
            }
        }
        Ok(Known { sha256, bytes: before.len(), stamped: false })
    }

    /// The digest that was remembered, if the file is still the same.
    fn read(&self, file: &Path, metadata: &Metadata) -> Option<String> {
        let stamp = stamp_of(self.folder.as_deref()?, file);
        if fs::metadata(&stamp).ok()?.len() > MAX_BYTES {
            return None;
        }
        let text = fs::read_to_string(stamp).ok()?;
        let mut lines = text.lines();
        let is_ours = lines.next() == Some(MAGIC);
        let sha256 = lines.next().filter(|line| line.len() == 64 && line.bytes().all(|b| b.is_ascii_hexdigit()))?;
        (is_ours && lines.next() == Some(identity(metadata).as_str())).then(|| sha256.to_owned())
    }
}

/// What changes when a file does.
fn identity(of: &Metadata) -> String {
    let [mtime, ctime] = [(of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec())];
    format!("{} {} {} {} {} {} {}", of.dev(), of.ino(), of.len(), mtime.0, mtime.1, ctime.0, ctime.1)
}

/// Whether the inode had been left alone for a while when hashing began.
fn is_settled(metadata: &Metadata, started: SystemTime) -> bool {
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(metadata.ctime()), u32::try_from(metadata.ctime_nsec())) else {
        return false;
    };
    let changed = UNIX_EPOCH + Duration::new(seconds, nanos);
    started.duration_since(changed).is_ok_and(|since| since >= SETTLED)
}

/// Where the stamp of `file` lies: its name is a digest of the path.
fn stamp_of(folder: &Path, file: &Path) -> PathBuf {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let name = digest::sha256_hex(path.as_os_str().as_encoded_bytes());
    folder.join(format!("{}.stamp", name.get(..32).unwrap_or(&name)))
}

/// Replaces `path` in one step. A stamp that a power cut loses is written anew, so nothing waits for the disk.
fn write(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that was left alone for long enough.
    fn settled(folder: &Path, content: &str) -> PathBuf {
        let path = folder.join("weights");
        fs::write(&path, content).unwrap();
        std::thread::sleep(SETTLED + Duration::from_millis(50));
        path
    }

    #[test]
    fn a_file_is_hashed_once_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::new(Some(&folder.path().join("stamps")));
        let path = settled(folder.path(), "abc");
        let first = stamps.sha256(&path, |_| {}).unwrap();
        assert!(!first.stamped && first.sha256.starts_with("ba7816bf") && first.bytes == 3);
        let mut read = 0;
        let again = stamps.sha256(&path, |bytes| read += bytes).unwrap();
        assert!(again.stamped && again.sha256 == first.sha256 && read == 0);
        assert!(!stamps.rehash(&path, |_| {}).unwrap().stamped);
        // Same length, old time of modification: the time of change of the inode still tells.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "abd").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let changed = stamps.sha256(&path, |_| {}).unwrap();
        assert!(!changed.stamped && changed.sha256 != first.sha256);
    }

    #[test]
    fn a_file_that_just_changed_gets_no_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::new(Some(folder.path()));
        let path = folder.path().join("fresh");
        fs::write(&path, "abc").unwrap();
        for _ in 0..2 {
            assert!(!stamps.sha256(&path, |_| {}).unwrap().stamped);
        }
    }

    #[test]
    fn a_damaged_stamp_is_no_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::new(Some(&folder.path().join("stamps")));
        let path = settled(folder.path(), "abc");
        let sha256 = stamps.sha256(&path, |_| {}).unwrap().sha256;
        let stamp = stamp_of(&folder.path().join("stamps"), &path);
        let good = fs::read_to_string(&stamp).unwrap();
        for bad in ["", "geolocated-stamp 2\n", &good.replace(&sha256, "ba78"), &good.replace("stamp 1", "stamp 0")] {
            fs::write(&stamp, bad).unwrap();
            assert!(!stamps.sha256(&path, |_| {}).unwrap().stamped, "{bad:?}");
        }
    }

    #[test]
    fn folders_and_missing_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::new(None);
        assert!(stamps.sha256(folder.path(), |_| {}).is_err());
        assert!(stamps.sha256(&folder.path().join("absent"), |_| {}).is_err());
    }
}
