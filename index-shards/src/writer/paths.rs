//! Where a shard and the files that it is made from lie: all in one folder, so that renaming is one step.

use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest name of a file that the usual file systems allow, bytes.
const MAX_FILE_NAME_BYTES: usize = 255;

/// The shard's own name, and hidden ones beside it.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    /// The shard.
    pub(super) out: PathBuf,
    /// What has been pushed so far.
    pub(super) building: PathBuf,
    /// What is sorted, while it is sorted.
    pub(super) sorting: PathBuf,
    /// The same for what is merged.
    pub(super) merging: PathBuf,
    /// The shard that is not complete yet.
    pub(super) finishing: PathBuf,
}

impl Paths {
    /// `None` when `out` does not end in the name of a file.
    pub(super) fn new(out: &Path) -> Option<Self> {
        let name = out.file_name()?.as_bytes();
        let beside = |suffix: &str| out.with_file_name(hidden(name, suffix));
        Some(Self {
            out: out.into(),
            building: beside("building"),
            sorting: beside("sorting"),
            merging: beside("merging"),
            finishing: beside("finishing"),
        })
    }

    /// The folder that all of them are in.
    pub(super) fn folder(&self) -> &Path {
        self.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// `.<name>.<suffix>`; a name too long for that is cut, and told from others by its digest.
fn hidden(name: &[u8], suffix: &str) -> OsString {
    let room = MAX_FILE_NAME_BYTES - suffix.len() - 2;
    let mut hidden = OsString::from(".");
    if name.len() <= room {
        hidden.push(std::ffi::OsStr::from_bytes(name));
    } else {
        let digest = crate::digest::Digest::of(Sha256::new_with_prefix(name)).to_string();
        hidden.push(digest);
    }
    hidden.push(".");
    hidden.push(suffix);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_lie_beside_the_shard() {
        let paths = Paths::new(Path::new("some/a.shard")).unwrap();
        assert_eq!(paths.building, Path::new("some/.a.shard.building"));
        assert_eq!(paths.folder(), Path::new("some"));
        assert_eq!(Paths::new(Path::new("a.shard")).unwrap().folder(), Path::new("."));
        assert!(Paths::new(Path::new("/")).is_none() && Paths::new(Path::new("..")).is_none());
    }

    #[test]
    fn the_longest_names_have_hidden_files_too() {
        let [a, b] = ["a", "b"].map(|letter| Paths::new(Path::new(&letter.repeat(255))).unwrap());
        assert!(a.finishing.as_os_str().len() <= 255);
        assert_ne!(a.finishing, b.finishing);
    }
}
