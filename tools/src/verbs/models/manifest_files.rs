//! The files that a manifest names, with their digests.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use quantized_models::{Manifest, sha256_of_reader};

/// A file of a model, relative to the folder of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFile {
    /// Inside the model's folder.
    pub path: PathBuf,
    /// What its SHA-256 should be, where the manifest says so.
    pub sha256: Option<String>,
}

/// All files that a manifest names: graphs with their weights, golden pictures and vectors; each once.
pub fn files(manifest: &Manifest) -> Vec<ModelFile> {
    let inside = |path: &Path| path.strip_prefix(manifest.folder()).unwrap_or(path).to_owned();
    let graphs = manifest.files().into_iter();
    let mut files: Vec<ModelFile> =
        graphs.map(|file| ModelFile { path: inside(&file.path), sha256: Some(file.sha256.clone()) }).collect();
    let goldens = manifest.golden_files().flat_map(|(image, embedding)| [image, embedding]);
    files.extend(goldens.map(|path| ModelFile { path: inside(path), sha256: None }));
    files.sort();
    files.dedup_by(|next, before| next.path == before.path);
    files
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Flaw {
    /// It is not what it should be, in words that name it.
    Damaged(String),
    /// It cannot be read.
    Unreadable(anyhow::Error),
}

impl Flaw {
    /// The same as an error.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Damaged(text) => anyhow::Error::msg(text),
            Self::Unreadable(error) => error,
        }
    }
}

/// Compares a file with its digest; only sees whether it is there, where none is known. `on_bytes` is told how many
/// bytes were read.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path, sha256: Option<&str>, on_bytes: &mut dyn FnMut(u64)) -> Result<(), Flaw> {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Flaw::Damaged(format!("{}: missing", path.display())),
        _ => Flaw::Unreadable(anyhow::Error::new(error).context(format!("{}: cannot be read", path.display()))),
    };
    if !fs::metadata(path).map_err(missing)?.is_file() {
        return Err(Flaw::Damaged(format!("{}: expected a file, found something else", path.display())));
    }
    let Some(expected) = sha256 else { return Ok(()) };
    let found = sha256_of(path, on_bytes).map_err(missing)?;
    if found == expected {
        return Ok(());
    }
    Err(Flaw::Damaged(format!("{}: expected sha256 {expected}, found {found}", path.display())))
}

/// SHA-256 of a file, 64 lower-case hexadecimal digits.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of(path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String> {
    sha256_of_reader(File::open(path)?, on_bytes)
}

/// Length of a file, 0 where it is not there.
pub fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Refuses a manifest that names a file which leads out of its folder by a symbolic link.
///
/// # Errors
/// The file, and where it leads.
pub fn stays_inside(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let inside = folder.canonicalize().with_context(|| format!("{}: cannot be read", folder.display()))?;
    let path = folder.join(file);
    let leads_to = path.canonicalize().with_context(|| format!("{}: cannot be read", path.display()))?;
    if leads_to.starts_with(&inside) {
        return Ok(());
    }
    bail!("{}: expected a file in the model's folder, found a link to {}", path.display(), leads_to.display())
}
