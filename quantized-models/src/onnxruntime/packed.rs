//! Weights packed for this CPU and this library, in files that are mapped.
//!
//! ONNX Runtime rearranges ("packs") the weights of a graph for its kernels when it loads one, and keeps the result in
//! the process's own memory. It can save the optimised graph with the packed weights beside it, and map them from then
//! on. What it saves depends on CPU and library, so it is a cache: made on the device, never shipped.
//!
//! A cache folder holds one folder per graph, CPU and library, named by a digest of the three:
//!
//! | file | content |
//! |---|---|
//! | `graph.onnx` | the optimised graph |
//! | `weights.bin` | its weights, as stored and as packed |
//! | `packed.toml` | what it was made from and by; length and SHA-256 of the two; written last |
//!
//! It is made under a temporary name, synced, and renamed, so it is there whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pack_disk::PackDisk;
use crate::digest;
use crate::error::LoadError;
use crate::folder;
use crate::manifest::{FileSpec, GraphFiles};
use crate::options::{LoadOptions, OnProgress, PackedIn, Progress, Step};

pub(super) const GRAPH: &str = "graph.onnx";
pub(super) const WEIGHTS: &str = "weights.bin";
const DESCRIPTION: &str = "packed.toml";
const FORMAT: u32 = 1;
const TEMPORARY: &str = ".packing-";
/// Longest description in bytes.
const MAX_DESCRIPTION_BYTES: u64 = 1 << 16;
/// What other libraries packed of the same graph is removed after so long.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What packed weights belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Digest of the graph and its external data.
    pub(super) graph: String,
    /// The library, to the commit.
    pub(super) library: String,
    /// The CPU.
    pub(super) cpu: String,
}

impl Key {
    pub(super) fn new(files: &GraphFiles, library: String, cpu: String) -> Self {
        let digests: Vec<&str> = files.all().map(|file| file.sha256.as_str()).collect();
        Self { graph: digest::sha256_hex(digests.join(" ").as_bytes()), library, cpu }
    }

    /// Name of the folder.
    fn name(&self) -> String {
        let rest = digest::sha256_hex(format!("{FORMAT}\n{}\n{}", self.library, self.cpu).as_bytes());
        format!("{}-{}", short(&self.graph), short(&rest))
    }
}

fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// `packed.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    /// Digest of graph and external data.
    graph: String,
    library: String,
    cpu: String,
    graph_sha256: String,
    weights_sha256: String,
    weights_bytes: u64,
}

/// The folders of one model's caches, in the order in which they are looked through.
pub(super) struct Cache<'a> {
    folders: Vec<PathBuf>,
    disk: &'a dyn PackDisk,
    trust_writable_folders: bool,
}

impl<'a> Cache<'a> {
    pub(super) fn new(model_folder: &Path, options: &LoadOptions, disk: &'a dyn PackDisk) -> Self {
        let folder = |place: &PackedIn| match place {
            PackedIn::ModelFolder => model_folder.join("packed"),
            PackedIn::Folder(folder) => folder.clone(),
        };
        let trust_writable_folders = options.trust_writable_folders;
        Self { folders: options.packed.iter().map(folder).collect(), disk, trust_writable_folders }
    }

    /// The packed graph of `key`, if it is there, whole, and nobody else may write it.
    pub(super) fn find(&self, key: &Key, progress: &mut OnProgress<'_>) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(key.name())).find_map(|folder| {
            match self.check(&folder, key, progress) {
                Ok(found) => found.then(|| folder.join(GRAPH)),
                Err(reason) => {
                    tracing::warn!(folder = %folder.display(), reason, "packed weights cannot be used");
                    None
                }
            }
        })
    }

    /// Whether `folder` holds what `key` asks for; why not, if it should.
    fn check(&self, folder: &Path, key: &Key, progress: &mut OnProgress<'_>) -> Result<bool, String> {
        let path = folder.join(DESCRIPTION);
        let Ok(Some(bytes)) = self.disk.length(&path) else { return Ok(false) };
        if bytes > MAX_DESCRIPTION_BYTES {
            return Err(format!("{DESCRIPTION} has {bytes} bytes"));
        }
        if !self.trust_writable_folders {
            for path in [folder, &path, &folder.join(GRAPH), &folder.join(WEIGHTS)] {
                folder::check_path(path).map_err(|error| error.to_string())?;
            }
        }
        let text = self.disk.text(&path).map_err(|error| error.to_string())?;
        let found: Description = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        let is_it =
            (found.format, &found.graph, &found.library, &found.cpu) == (FORMAT, &key.graph, &key.library, &key.cpu);
        if !is_it {
            return Err("its description is of another graph, library or CPU".to_owned());
        }
        self.check_file(&folder.join(GRAPH), &found.graph_sha256, progress)?;
        self.check_file(&folder.join(WEIGHTS), &found.weights_sha256, progress)?;
        Ok(true)
    }

    fn check_file(&self, path: &Path, expected: &str, progress: &mut OnProgress<'_>) -> Result<(), String> {
        let total = self.disk.length(path).ok().flatten().unwrap_or(0);
        let mut done = 0;
        let known = self.disk.known_digest(path, &mut |bytes| {
            done += bytes;
            progress(Progress { step: Step::Hashing, done, total });
        });
        let found = known.map_err(|error| format!("{}: {error}", path.display()))?;
        if found == expected {
            return Ok(());
        }
        Err(format!("{}: expected sha256 {expected}, found {found}", path.display()))
    }

    /// Makes the packed graph of `key` in the first folder that can be written. `save` is given the folder where it has
    /// to leave [`GRAPH`] and [`WEIGHTS`].
    ///
    /// # Errors
    /// No folder can be written, or `save` failed.
    pub(super) fn make(
        &self,
        files: &GraphFiles,
        key: &Key,
        progress: &mut OnProgress<'_>,
        save: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<PathBuf, LoadError> {
        let path = &files.graph.path;
        let refused = |folder: &Path, reason: String| {
            let (path, folder) = (path.clone(), folder.to_path_buf());
            LoadError::Pack { path, folder, reason }
        };
        let mut last = refused(Path::new("packed"), "no folder is set for it".to_owned());
        for folder in &self.folders {
            match Workplace::new(self.disk, folder) {
                Ok(workplace) => {
                    progress(Progress { step: Step::Packing, done: 0, total: total_bytes(files) });
                    save(&workplace.path).map_err(|reason| refused(folder, reason))?;
                    let finished = self.finish(folder, &workplace, key, progress);
                    return finished.map_err(|error| refused(folder, error.to_string()));
                }
                Err(error) => last = refused(folder, error.to_string()),
            }
        }
        Err(last)
    }

    /// Describes what was saved in `workplace` and gives it its name.
    fn finish(
        &self,
        folder: &Path,
        workplace: &Workplace<'_>,
        key: &Key,
        progress: &mut OnProgress<'_>,
    ) -> io::Result<PathBuf> {
        let disk = self.disk;
        let [graph, weights, described] = [GRAPH, WEIGHTS, DESCRIPTION].map(|name| workplace.path.join(name));
        // A graph whose weights are all small keeps them in itself.
        if disk.length(&weights)?.is_none() {
            disk.write(&weights, &[])?;
        }
        let total = disk.length(&weights)?.unwrap_or(0);
        let mut done = 0;
        let mut hash = |path: &Path| {
            disk.digest(path, &mut |bytes| {
                done += bytes;
                progress(Progress { step: Step::Writing, done, total });
            })
        };
        let description = Description {
            format: FORMAT,
            graph: key.graph.clone(),
            library: key.library.clone(),
            cpu: key.cpu.clone(),
            weights_sha256: hash(&weights)?,
            graph_sha256: hash(&graph)?,
            weights_bytes: total,
        };
        let text = toml::to_string(&description).map_err(io::Error::other)?;
        disk.write(&described, text.as_bytes())?;
        for path in [&described, &graph, &weights] {
            disk.sync(path)?;
        }
        disk.sync_folder(&workplace.path)?;
        let name = folder.join(key.name());
        place(disk, &workplace.path, &name)?;
        disk.sync_folder(folder)?;
        remove_stale(disk, folder, key);
        Ok(name.join(GRAPH))
    }
}

/// A folder of its own, on the same file system as those that are found. What of it has got no other name when it is
/// dropped, is removed.
struct Workplace<'a> {
    disk: &'a dyn PackDisk,
    path: PathBuf,
}

impl<'a> Workplace<'a> {
    fn new(disk: &'a dyn PackDisk, folder: &Path) -> io::Result<Self> {
        Ok(Self { disk, path: disk.workplace(folder, TEMPORARY)? })
    }
}

impl Drop for Workplace<'_> {
    fn drop(&mut self) {
        self.disk.remove_folder(&self.path).ok();
    }
}

/// Gives `workplace` its name. What another process made there meanwhile is as good; what cannot be used is replaced.
fn place(disk: &dyn PackDisk, workplace: &Path, name: &Path) -> io::Result<()> {
    if disk.rename(workplace, name).is_ok() {
        return Ok(());
    }
    let aside = Workplace::new(disk, name.parent().unwrap_or(Path::new(".")))?;
    disk.rename(name, &aside.path.join("old"))?;
    disk.rename(workplace, name)
}

/// Removes what was packed of the same graph for other libraries or CPUs, and what a killed process left, once it is
/// old. Files that a process has mapped live on until it ends.
fn remove_stale(disk: &dyn PackDisk, folder: &Path, key: &Key) {
    let (graph, current) = (format!("{}-", short(&key.graph)), key.name());
    for (name, age) in disk.names(folder).unwrap_or_default() {
        let is_other = (name.starts_with(&graph) && name != current) || name.starts_with(TEMPORARY);
        let path = folder.join(&name);
        if is_other && age > STALE_AFTER && disk.remove_folder(&path).is_ok() {
            tracing::info!(folder = %path.display(), "packed weights that nothing uses any more removed");
        }
    }
}

/// Bytes of the graph and its external data, as far as they are there.
pub(super) fn total_bytes(files: &GraphFiles) -> u64 {
    let length = |file: &FileSpec| fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
    files.all().map(length).sum()
}

#[cfg(test)]
mod tests;
