//! Which files were taken, by this start and earlier ones.
//!
//! | line | content |
//! |---|---|
//! | each | 16 lower-case hexadecimal digits: the first 8 bytes of SHA-256 over name, inode, size and time of a file |
//!
//! Lines are appended as files are taken, without waiting for the disk: a killed daemon forgets nothing, and what a loss
//! of power takes is answered twice at worst. A line that is not whole counts for nothing. Lines of files that are gone
//! are left out when the file is opened next, or when they have become most of it.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::listing::Print;
use crate::whole_file;

/// Lines of files that are gone, beyond twice those that are there, before the file is written anew.
const SLACK: usize = 1000;

#[derive(Debug)]
pub(super) struct Seen {
    path: PathBuf,
    known: HashSet<u64>,
    file: Option<File>,
}

impl Seen {
    /// What `path` remembers; nothing where it cannot be read.
    pub(super) fn open(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| line.len() == 16);
        let known = lines.filter_map(|line| u64::from_str_radix(std::str::from_utf8(line).ok()?, 16).ok()).collect();
        Self { path: path.to_owned(), known, file: None }
    }

    pub(super) fn contains(&self, name: &OsStr, print: &Print) -> bool {
        self.known.contains(&key(name, print))
    }

    /// Remembers a file.
    ///
    /// # Errors
    /// A sentence, where only this start will know.
    pub(super) fn add(&mut self, name: &OsStr, print: &Print) -> Result<(), String> {
        let key = key(name, print);
        if !self.known.insert(key) {
            return Ok(());
        }
        let written = self.append(key);
        if written.is_err() {
            self.file = None;
        }
        written.map_err(|problem| format!("{}: the next start may take pictures again: {problem}", self.path.display()))
    }

    fn append(&mut self, key: u64) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(folder) = self.path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut file = File::options().create(true).append(true).open(&self.path)?;
            // The last line may have been cut.
            file.write_all(b"\n")?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(format!("{key:016x}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Forgets the files that are gone, once they are many. A file that could not be written anew stays as it is.
    pub(super) fn forget_all_but(&mut self, files: &[(OsString, Print)]) {
        if self.known.len() <= files.len().saturating_mul(2).saturating_add(SLACK) {
            return;
        }
        let there: HashSet<u64> = files.iter().map(|(name, print)| key(name, print)).collect();
        self.known.retain(|key| there.contains(key));
        let text: String = self.known.iter().map(|key| format!("{key:016x}\n")).collect();
        if whole_file::replace(&self.path, text.as_bytes()).is_ok() {
            self.file = None;
        }
    }
}

fn key(name: &OsStr, print: &Print) -> u64 {
    let mut digest = Sha256::new();
    digest.update((name.len() as u64).to_le_bytes());
    digest.update(name.as_encoded_bytes());
    digest.update(print.inode.to_le_bytes());
    digest.update(print.bytes.to_le_bytes());
    digest.update(print.modified_ns.to_le_bytes());
    let digest = digest.finalize();
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(bytes: u64) -> Print {
        Print { inode: 1, bytes, modified_ns: 2 }
    }

    #[test]
    fn the_next_start_knows_what_was_taken_and_a_cut_line_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/a.seen");
        let name = OsStr::new("a.jpg");
        Seen::open(&path).add(name, &print(1)).unwrap();
        let mut text = fs::read(&path).unwrap();
        text.extend(b"0123");
        fs::write(&path, text).unwrap();
        let mut seen = Seen::open(&path);
        assert!(seen.contains(name, &print(1)) && !seen.contains(name, &print(2)));
        seen.add(name, &print(2)).unwrap();
        let seen = Seen::open(&path);
        assert!(seen.contains(name, &print(1)) && seen.contains(name, &print(2)));
    }

    #[test]
    fn files_that_are_gone_are_forgotten_once_they_are_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.seen");
        let mut seen = Seen::open(&path);
        let name = OsStr::new("a.jpg");
        for bytes in 0..=SLACK as u64 + 2 {
            seen.add(name, &print(bytes)).unwrap();
        }
        seen.forget_all_but(&[(name.to_owned(), print(7))]);
        assert!(seen.contains(name, &print(7)) && !seen.contains(name, &print(8)));
        seen.add(name, &print(9)).unwrap();
        let seen = Seen::open(&path);
        assert_eq!(seen.known.len(), 2);
        assert!(fs::metadata(&path).unwrap().len() < 100);
    }
}
