//! What a model's folder holds.

use std::fs;
use std::path::{Path, PathBuf};

use quantized_models::{ComparatorManifest, Manifest, ManifestError};

use super::pull::record::PulledRecord;

/// What a folder, or a manifest file, is as a model.
#[derive(Debug)]
pub(super) enum Held {
    /// An encoder with a manifest that reads.
    Ready(Box<Manifest>),
    /// A comparator with a manifest that reads.
    Comparator(Box<ComparatorManifest>),
    /// Files of a public model, of which an encoder is still to be made.
    Pulled(Box<PulledRecord>),
    /// A manifest or a record that does not read, and why.
    Broken(String),
    /// Neither manifest nor record.
    Nothing,
}

impl Held {
    /// Looks at a folder or at a manifest file.
    pub(super) fn of(path: &Path) -> Self {
        if path.is_file() || path.join("model.toml").exists() {
            return Self::read(path).unwrap_or_else(|error| Self::Broken(error.to_string()));
        }
        match PulledRecord::read(path) {
            Ok(Some(record)) => Self::Pulled(Box::new(record)),
            Ok(None) => Self::Nothing,
            Err(error) => Self::Broken(format!("{error:#}")),
        }
    }

    fn read(path: &Path) -> Result<Self, ManifestError> {
        Ok(match Manifest::kind_of(path)?.as_str() {
            "comparator" => Self::Comparator(Box::new(ComparatorManifest::load(path)?)),
            _ => Self::Ready(Box::new(Manifest::load(path)?)),
        })
    }

    /// The state in one word.
    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Ready(_) | Self::Comparator(_) => "ready",
            Self::Pulled(_) => "pulled",
            Self::Broken(_) | Self::Nothing => "damaged",
        }
    }
}

/// Bytes of all files below a folder, links not followed.
pub(super) fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => bytes += entry.metadata().map_or(0, |found| found.len()),
                _ => {}
            }
        }
    }
    bytes
}

/// A number of bytes for people.
pub(crate) fn shown_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
