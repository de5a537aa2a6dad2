//! Opens the files that a pipeline needs: the model and the shards.

use std::path::{Path, PathBuf};

use index_shards::{OpenError, ShardSet, VerifyError, verify};
use quantized_models::{Encoder, LoadError, LoadOptions, Manifest, ManifestError, Progress};
use thiserror::Error;

use crate::locate::{Pipeline, PipelineError, PipelineOptions, same_space};

/// Why a pipeline could not be opened. Each says which file, what was expected and what was found.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// The manifest of the encoder.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The encoder itself.
    #[error(transparent)]
    Encoder(#[from] LoadError),
    /// A shard that is damaged.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A shard that could not be opened, or shards of different spaces.
    #[error(transparent)]
    Index(#[from] OpenError),
    /// Encoder and index of different spaces.
    #[error(transparent)]
    Space(#[from] PipelineError),
}

/// Which encoder, and how it is to be loaded.
#[derive(Debug, Clone, Copy)]
pub struct EncoderChoice<'a> {
    /// Folder or manifest.
    pub model: &'a Path,
    /// Runtime, threads, where packed weights and stamps lie.
    pub options: &'a LoadOptions,
}

/// Opens the pipeline that the daemon runs, and that `locate` and `evaluate` measure: verifies the digest of every
/// shard, loads the encoder with its golden check, and compares their spaces. `progress` is told how far the encoder
/// has come: the first start on a device packs its weights.
///
/// # Errors
/// What is missing, damaged, or does not belong together, by name.
pub fn assemble(
    encoder: Option<EncoderChoice<'_>>,
    shards: &[PathBuf],
    options: PipelineOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Pipeline, AssembleError> {
    let manifest = encoder.map(|encoder| Manifest::load(encoder.model)).transpose()?;
    for shard in shards {
        verify(shard)?;
    }
    let shards = ShardSet::open(shards)?;
    // Spaces are compared before the model is loaded: a mistake in the settings should not take seconds to show.
    let loaded = match (&manifest, encoder) {
        (Some(manifest), Some(encoder)) => {
            same_space(manifest.name(), manifest.space(), manifest.dimensions(), &shards)?;
            Some(Encoder::load_with(manifest, encoder.options, progress)?)
        }
        _ => None,
    };
    Ok(Pipeline::new(loaded, shards, options, true)?)
}

/// Checks what can be checked without reading whole files: the manifest, the headers of the shards, their spaces.
///
/// # Errors
/// As [`assemble`].
pub fn check(encoder: &Path, shards: &[PathBuf]) -> Result<(), AssembleError> {
    let manifest = Manifest::load(encoder)?;
    let shards = ShardSet::open(shards)?;
    Ok(same_space(manifest.name(), manifest.space(), manifest.dimensions(), &shards)?)
}
