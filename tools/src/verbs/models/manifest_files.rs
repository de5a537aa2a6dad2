//! The files that a manifest names, with their digests.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use quantized_models::{ComparatorManifest, FileSpec, Manifest, ManifestError, sha256_of_reader};

/// A file of a model, relative to the folder of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFile {
    /// Inside the model's folder.
    pub path: PathBuf,
    /// What its SHA-256 should be, where the manifest says so.
    pub sha256: Option<String>,
}

/// What the manifests of all kinds of models have.
#[derive(Debug, Clone)]
pub struct Described {
    /// The manifest file.
    pub path: PathBuf,
    /// Name of this variant of the model.
    pub name: String,
    /// The space of an encoder's vectors.
    pub space: Option<String>,
    /// Every file that the manifest names.
    pub files: Vec<ModelFile>,
}

impl Described {
    /// Reads the manifest of `model`, a folder or a manifest file, whatever kind it is of.
    ///
    /// # Errors
    /// It does not read, or is of a kind that is not known.
    pub fn read(model: &Path) -> Result<Self, ManifestError> {
        if Manifest::kind_of(model)? == "comparator" {
            let manifest = ComparatorManifest::load(model)?;
            let (path, name) = (manifest.path().to_owned(), manifest.name().to_owned());
            return Ok(Self { path, name, space: None, files: comparator_files(&manifest) });
        }
        let manifest = Manifest::load(model)?;
        let (path, name) = (manifest.path().to_owned(), manifest.name().to_owned());
        Ok(Self { path, name, space: Some(manifest.space().to_string()), files: files(&manifest) })
    }

    /// The folder that the manifest and all files lie in.
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
    }
}

/// All files that the manifest of an encoder names: graphs with their weights, golden pictures and vectors; each once.
pub fn files(manifest: &Manifest) -> Vec<ModelFile> {
    let goldens = manifest.golden_files().flat_map(|(image, embedding)| [image, embedding]);
    listed(manifest.folder(), manifest.files(), goldens)
}

/// All files that the manifest of a comparator names: graphs with their weights, tokenizer, golden pictures; each once.
pub fn comparator_files(manifest: &ComparatorManifest) -> Vec<ModelFile> {
    listed(manifest.folder(), manifest.files(), manifest.pictures().into_iter())
}

fn listed<'a>(folder: &Path, known: Vec<&FileSpec>, others: impl Iterator<Item = &'a Path>) -> Vec<ModelFile> {
    let inside = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_owned();
    let known = known.into_iter().map(|file| (inside(&file.path), Some(file.sha256.clone())));
    let mut files: Vec<ModelFile> = known.map(|(path, sha256)| ModelFile { path, sha256 }).collect();
    files.extend(others.map(|path| ModelFile { path: inside(path), sha256: None }));
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
