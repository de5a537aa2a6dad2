//! A file that says that a model is at work that fixes do not need (comparator, generator), so that a start knows what
//! the one before died of.
//!
//! It is there while the model is loaded and while it answers, and at no other time. A start that finds it knows
//! that the process ended in the middle of that. When only the process ended (a crash in a library, out of memory), the
//! model is suspected and left off. When the machine ended too, the power may simply have been cut, so the
//! model is tried again, but not for ever: after [`RESTARTS`] of these in a row it is left off as well. Another
//! model is not suspected for what this one did. Nothing is waited for to reach the disk: what a process wrote
//! outlives it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quantized_models::ComparatorManifest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::whole_file;

/// Which model a marker is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkedModel {
    /// Looks at candidates.
    Comparator,
    /// Writes places.
    Generator,
}

impl MarkedModel {
    /// Name of its file, in the folder of state.
    pub fn file(self) -> &'static str {
        match self {
            Self::Comparator => "comparator-at-work.json",
            Self::Generator => "generator-at-work.json",
        }
    }

    /// What it is called, in messages and in `status`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Comparator => "comparator",
            Self::Generator => "generator",
        }
    }

    /// What there is none of without it.
    pub(super) fn off(self) -> &'static str {
        match self {
            Self::Comparator => "reranking is off",
            Self::Generator => "generating is off",
        }
    }
}

/// So many restarts of the machine in a row, each while the model was at work, are not the power's doing.
const RESTARTS: u32 = 3;
/// Changes with each start of the kernel.
const KERNEL_START: &str = "/proc/sys/kernel/random/boot_id";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Name and digest of the model.
    #[serde(alias = "comparator")]
    name: String,
    /// Which start of the kernel it was at work under.
    kernel_start: String,
    /// Restarts of the machine in a row that found it at work.
    restarts: u32,
}

/// The marker of one model.
#[derive(Debug)]
pub(super) struct Marker {
    model: MarkedModel,
    path: PathBuf,
    name: String,
    kernel_start: String,
    restarts: u32,
}

/// What a start found.
#[derive(Debug)]
pub(super) enum Found {
    /// The model may be used.
    Clear(Marker),
    /// The process, or the machine again and again, ended while the model was at work; says so in a sentence.
    Suspected(String),
}

impl Marker {
    /// Looks for what an earlier start left in `state_dir` about the model of this name and digest.
    pub(super) fn find(state_dir: &Path, model: MarkedModel, name: &str) -> Found {
        let kernel_start = fs::read_to_string(KERNEL_START).unwrap_or_default().trim().to_owned();
        Self::find_at(state_dir, model, name, &kernel_start)
    }

    fn find_at(state_dir: &Path, model: MarkedModel, name: &str, kernel_start: &str) -> Found {
        let path = state_dir.join(model.file());
        let clear = |path, restarts| {
            let (name, kernel_start) = (name.to_owned(), kernel_start.to_owned());
            Found::Clear(Self { model, path, name, kernel_start, restarts })
        };
        let Ok(text) = fs::read_to_string(&path) else { return clear(path, 0) };
        let Ok(content) = serde_json::from_str::<Content>(&text) else { return clear(path, 0) };
        if content.name != name {
            return clear(path, 0);
        }
        let remedy = format!("remove {} to try it again", path.display());
        let (off, word) = (model.off(), model.word());
        if content.kernel_start == kernel_start {
            return Found::Suspected(format!("{off}: the daemon died while {word} {name} was at work; {remedy}"));
        }
        let restarts = content.restarts.saturating_add(1);
        if restarts >= RESTARTS {
            return Found::Suspected(format!(
                "{off}: the machine restarted {restarts} times in a row while {word} {name} was at work; {remedy}"
            ));
        }
        clear(path, restarts)
    }

    /// Says that the model is at work from now on.
    ///
    /// # Errors
    /// The folder cannot be written: then nothing would warn the next start.
    pub(super) fn set(&self) -> io::Result<()> {
        let content =
            Content { name: self.name.clone(), kernel_start: self.kernel_start.clone(), restarts: self.restarts };
        whole_file::replace_unsynced(&self.path, &serde_json::to_vec(&content)?)
    }

    /// Says that it is not at work any more; `did_well` forgets restarts of the machine before.
    pub(super) fn clear(&mut self, did_well: bool) {
        if did_well {
            self.restarts = 0;
        }
        remove_file(&self.path, self.model);
    }
}

/// Name of a model and 12 digits of its files: what a marker is about.
pub(super) fn identity(manifest: &ComparatorManifest) -> String {
    let mut hasher = Sha256::new();
    manifest.files().iter().for_each(|file| hasher.update(&file.sha256));
    let digest: String = hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}@{digest}", manifest.name())
}

/// Removes the marker of whichever comparator or generator: the process ends as it was told to.
pub(super) fn remove(state_dir: &Path, model: MarkedModel) {
    remove_file(&state_dir.join(model.file()), model);
}

fn remove_file(path: &Path, model: MarkedModel) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        let (path, word) = (path.display(), model.word());
        tracing::warn!(%path, %error, "cannot be removed; the next start leaves the {word} off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER_FILE: &str = "comparator-at-work.json";

    fn find(folder: &Path, name: &str, kernel_start: &str) -> Result<Marker, String> {
        match Marker::find_at(folder, MarkedModel::Comparator, name, kernel_start) {
            Found::Clear(marker) => Ok(marker),
            Found::Suspected(reason) => Err(reason),
        }
    }

    #[test]
    fn a_process_that_died_at_work_leaves_the_comparator_off_until_the_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        find(folder.path(), "vlm@1", "k1").unwrap().set().unwrap();
        for _ in 0..2 {
            let reason = find(folder.path(), "vlm@1", "k1").unwrap_err();
            assert!(reason.contains("vlm@1") && reason.contains(MARKER_FILE), "{reason}");
        }
        assert!(find(folder.path(), "vlm@2", "k1").is_ok(), "another comparator is not suspected");
        let generator = Marker::find_at(folder.path(), MarkedModel::Generator, "vlm@1", "k1");
        assert!(matches!(generator, Found::Clear(_)), "a generator has a file of its own");
        fs::remove_file(folder.path().join(MARKER_FILE)).unwrap();
        assert!(find(folder.path(), "vlm@1", "k1").is_ok());
    }

    #[test]
    fn a_process_that_died_beside_the_comparator_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut marker = find(folder.path(), "vlm@1", "k1").unwrap();
        marker.set().unwrap();
        marker.clear(true);
        marker.clear(true);
        assert!(find(folder.path(), "vlm@1", "k1").is_ok());
    }

    #[test]
    fn cuts_of_the_power_are_forgiven_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let mut marker = find(folder.path(), "vlm@1", "k0").unwrap();
        for start in 1..RESTARTS {
            marker.set().unwrap();
            marker = find(folder.path(), "vlm@1", &format!("k{start}")).unwrap();
        }
        marker.set().unwrap();
        let reason = find(folder.path(), "vlm@1", "k9").unwrap_err();
        assert!(reason.contains("3 times in a row"), "{reason}");
        marker.clear(true);
        marker.set().unwrap();
        assert!(find(folder.path(), "vlm@1", "k9").is_ok(), "a run that went well forgets those before");
    }

    #[test]
    fn a_file_that_says_nothing_sensible_accuses_nobody() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{", "{\"comparator\":1}"] {
            fs::write(folder.path().join(MARKER_FILE), text).unwrap();
            assert!(find(folder.path(), "vlm@1", "k1").is_ok());
        }
        let marker = find(&folder.path().join("absent"), "vlm@1", "k1").unwrap();
        assert!(marker.set().is_err());
    }
}
