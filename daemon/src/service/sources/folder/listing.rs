//! What is in a folder, and what makes a file the same file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Files that are looked at; a folder that holds more should have its files removed or moved.
const MOST_FILES: usize = 100_000;

/// What tells one picture from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) inode: u64,
    pub(super) bytes: u64,
    /// Unix nanoseconds.
    pub(super) modified_ns: i128,
}

impl Print {
    /// Of a plain file; of nothing else, and of no link.
    pub(super) fn of(path: &Path) -> Option<Self> {
        Self::of_metadata(&fs::symlink_metadata(path).ok()?)
    }

    pub(super) fn of_metadata(metadata: &Metadata) -> Option<Self> {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        metadata.is_file().then(|| Self { inode: metadata.ino(), bytes: metadata.size(), modified_ns })
    }

    pub(super) fn modified_ms(&self) -> i64 {
        i64::try_from(self.modified_ns / 1_000_000).unwrap_or(i64::MAX)
    }
}

/// Whether a file is a picture by its name, and not one that is being written under a hidden one.
pub(super) fn is_picture(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !hidden && matches!(extension.as_deref(), Some("jpg" | "jpeg" | "png" | "webp"))
}

/// All pictures of a folder.
///
/// # Errors
/// The folder cannot be read, or holds too many files.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(OsString, Print)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !is_picture(&name) {
            continue;
        }
        if let Some(print) = Print::of(&folder.join(&name)) {
            files.push((name, print));
        }
        if files.len() > MOST_FILES {
            let expected = "expected at most 100000 pictures: set after = \"remove\" or \"move\"";
            return Err(io::Error::other(expected));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_names() {
        for name in ["a.jpg", "a.JPEG", "a.b.png", "ä.webp"] {
            assert!(is_picture(OsStr::new(name)), "{name}");
        }
        for name in ["a", "jpg", ".a.jpg", "a.jpg.tmp", "a.txt", ""] {
            assert!(!is_picture(OsStr::new(name)), "{name}");
        }
    }
}
