//! `models.lock`: which commit and which digests a name had when it was first pulled.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use geolocated::whole_file;
use serde::{Deserialize, Serialize};

use super::super::names::is_digest;
use super::record::PulledRecord;

const FORMAT: u32 = 1;
const HEAD: &str = "# What was first pulled under each name: later pulls get the same or are refused.\n\
                    # Keep it, and carry it to other devices. Written by `geolocate models pull`.\n";

/// The lock file of one folder of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockFile {
    path: PathBuf,
    models: Vec<LockedModel>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    #[serde(default)]
    model: Vec<LockedModel>,
}

/// What a repository's revision was when it was first pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedModel {
    repo: String,
    revision: String,
    commit: String,
    file: Vec<LockedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedFile {
    path: String,
    bytes: u64,
    sha256: String,
}

impl LockFile {
    /// The lock file in a folder; an empty one where there is none.
    ///
    /// # Errors
    /// It is there and does not read: what it protects must not be lost by writing it anew.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("models.lock");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self { path, models: Vec::new() }),
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
        };
        let document: Document = match toml::from_str(&text) {
            Ok(document) => document,
            Err(error) => bail!("{}: {}; restore it, or remove it to record anew", path.display(), error.message()),
        };
        let (found, shown) = (document.format, path.display());
        ensure!(found == FORMAT, "{shown}: format: expected {FORMAT}, found {found}");
        let mut files = document.model.iter().flat_map(|model| &model.file);
        ensure!(
            files.all(|file| is_digest(&file.sha256)),
            "{shown}: sha256: expected 64 lower-case hexadecimal digits"
        );
        Ok(Self { path, models: document.model })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The commit that a revision was when it was first pulled.
    pub(super) fn commit(&self, repo: &str, revision: &str) -> Option<&str> {
        let model = self.models.iter().find(|model| model.repo == repo && model.revision == revision)?;
        Some(&model.commit)
    }

    /// The digest of a file at a commit, under whatever name that was pulled.
    pub(super) fn sha256(&self, repo: &str, commit: &str, path: &str) -> Option<&str> {
        let models = self.models.iter().filter(|model| model.repo == repo && model.commit == commit);
        models.flat_map(|model| &model.file).find(|file| file.path == path).map(|file| &*file.sha256)
    }

    /// Records what was pulled, and writes the file, unless it says all of it already. Waits for other processes that do
    /// the same.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn record(folder: &Path, pulled: &PulledRecord) -> anyhow::Result<()> {
        let guard = File::open(folder).with_context(|| format!("{}: cannot be opened", folder.display()))?;
        guard.lock().with_context(|| format!("{}: cannot be locked", folder.display()))?;
        let mut lock = Self::read(folder)?;
        let before = lock.clone();
        lock.take_in(pulled);
        if lock == before { Ok(()) } else { lock.write() }
    }

    fn take_in(&mut self, pulled: &PulledRecord) {
        let file = |file: &super::record::PulledFile| LockedFile {
            path: file.path.clone(),
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        };
        let files: Vec<LockedFile> = pulled.file.iter().map(file).collect();
        let is_new = |known: &LockedFile| files.iter().all(|file| file.path != known.path);
        // What is accepted anew counts for this commit under every name.
        for model in self.models.iter_mut().filter(|model| model.repo == pulled.repo && model.commit == pulled.commit) {
            for known in &mut model.file {
                if let Some(file) = files.iter().find(|file| file.path == known.path) {
                    known.clone_from(file);
                }
            }
        }
        let same = |model: &&LockedModel| model.repo == pulled.repo && model.revision == pulled.revision;
        let kept = self.models.iter().find(same).filter(|model| model.commit == pulled.commit);
        let mut all: Vec<LockedFile> =
            kept.map(|model| model.file.iter().filter(|file| is_new(file)).cloned().collect()).unwrap_or_default();
        all.extend(files.iter().cloned());
        all.sort_by(|a, b| a.path.cmp(&b.path));
        self.models.retain(|model| !same(&model));
        let (repo, revision, commit) = (pulled.repo.clone(), pulled.revision.clone(), pulled.commit.clone());
        self.models.push(LockedModel { repo, revision, commit, file: all });
        self.models.sort_by(|a, b| (&a.repo, &a.revision).cmp(&(&b.repo, &b.revision)));
    }

    fn write(&self) -> anyhow::Result<()> {
        let text = toml::to_string(&Document { format: FORMAT, model: self.models.clone() })?;
        whole_file::replace(&self.path, format!("{HEAD}{text}").as_bytes())
            .with_context(|| format!("{}: cannot be written", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{DigestFrom, PulledFile};
    use super::*;

    fn pulled(revision: &str, commit: &str, files: &[(&str, char)]) -> PulledRecord {
        let file = |(path, digit): &(&str, char)| PulledFile {
            path: (*path).to_owned(),
            bytes: 3,
            sha256: digit.to_string().repeat(64),
            digest_from: DigestFrom::FirstPull,
        };
        let record = PulledRecord::of("https://hub.example", "o/a", revision, commit);
        PulledRecord { file: files.iter().map(file).collect(), ..record }
    }

    #[test]
    fn what_was_pulled_is_found_again_and_joined() {
        let folder = tempfile::tempdir().unwrap();
        let record = |pulled: &PulledRecord| LockFile::record(folder.path(), pulled).unwrap();
        record(&pulled("main", "c1", &[("a", '1')]));
        record(&pulled("main", "c1", &[("b", '2')]));
        record(&pulled("v2", "c2", &[("a", '3')]));
        let lock = LockFile::read(folder.path()).unwrap();
        assert_eq!((lock.commit("o/a", "main"), lock.commit("o/a", "v2")), (Some("c1"), Some("c2")));
        assert_eq!(lock.commit("o/a", "c1"), None);
        assert_eq!(lock.sha256("o/a", "c1", "a"), Some(&*"1".repeat(64)));
        assert_eq!(lock.sha256("o/a", "c1", "b"), Some(&*"2".repeat(64)));
        assert_eq!(lock.sha256("o/a", "c2", "b"), None);
        // Another commit under the same name forgets the old one.
        record(&pulled("main", "c3", &[("a", '4')]));
        let lock = LockFile::read(folder.path()).unwrap();
        assert_eq!((lock.commit("o/a", "main"), lock.sha256("o/a", "c1", "a")), (Some("c3"), None));
    }

    #[test]
    fn a_digest_that_is_accepted_anew_counts_under_every_name() {
        let folder = tempfile::tempdir().unwrap();
        for (revision, digit) in [("main", '1'), ("c1", '2')] {
            LockFile::record(folder.path(), &pulled(revision, "c1", &[("a", digit)])).unwrap();
        }
        let lock = LockFile::read(folder.path()).unwrap();
        assert!(lock.models.iter().all(|model| model.file.iter().all(|file| file.sha256.starts_with('2'))));
    }

    #[test]
    fn a_lock_file_that_does_not_read_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["format = 2\n", "format = 1\n[[model]]\nrepo = 1\n", "x"] {
            fs::write(folder.path().join("models.lock"), bad).unwrap();
            let error = LockFile::record(folder.path(), &pulled("main", "c1", &[])).unwrap_err();
            assert!(error.to_string().contains("models.lock"), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join("models.lock")).unwrap(), bad);
        }
    }
}
