//! Opens the files that a pipeline needs: the model and the shards.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use index_shards::{OpenError, ReadError, ShardSet, VerifyError, verify_with};
use quantized_models::{
    Comparator, ComparatorManifest, Encoder, LoadError, LoadOptions, Manifest, ManifestError, Progress, Step,
};
use thiserror::Error;

use crate::locate::{Pipeline, PipelineError, PipelineOptions, same_space};
use crate::reranker::{NoPictures, Reranker, TokenCache, TokenCacheOptions, check_pictures};
use crate::stamps::{Checked, FileIdentity, Stamps};

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
    /// A shard that could not be brought into memory.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A shard that could not be looked at.
    #[error("{}: cannot be looked at: {source}", path.display())]
    Look {
        /// The shard.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A shard that is another one than was verified.
    #[error("{}: replaced or written to while it was being opened", path.display())]
    Changed {
        /// The shard.
        path: PathBuf,
    },
    /// Encoder and index of different spaces.
    #[error(transparent)]
    Space(#[from] PipelineError),
    /// A shard that a comparator cannot see anything of.
    #[error(transparent)]
    Pictures(#[from] NoPictures),
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
/// shard that has no fresh stamp, loads the encoder with its golden check, and compares their spaces. What was verified
/// is in `stamps` then; saving them is left to the caller. `progress` is told how far that and the encoder have come: the
/// first start on a device reads all of it, and packs the encoder's weights.
///
/// # Errors
/// What is missing, damaged, or does not belong together, by name.
pub fn assemble(
    encoder: Option<EncoderChoice<'_>>,
    shards: &[PathBuf],
    options: PipelineOptions,
    stamps: &mut Stamps,
    progress: &mut dyn FnMut(Progress),
) -> Result<Pipeline, AssembleError> {
    let manifest = encoder.map(|encoder| Manifest::load(encoder.model)).transpose()?;
    let shards = verified(shards, stamps, progress)?;
    // Spaces are compared before the model is loaded: a mistake in the settings should not take seconds to show.
    let loaded = match (&manifest, encoder) {
        (Some(manifest), Some(encoder)) => {
            same_space(manifest.name(), manifest.space(), manifest.dimensions(), &shards)?;
            Some(Arc::new(Encoder::load_with(manifest, encoder.options, progress)?))
        }
        _ => None,
    };
    Ok(Pipeline::new(loaded, shards, options, true)?)
}

/// Loads an encoder with its golden check, once `shards` are seen to hold vectors of its space.
///
/// # Errors
/// The manifest or the encoder, or another space.
pub fn load_encoder(
    encoder: EncoderChoice<'_>,
    shards: &ShardSet,
    progress: &mut dyn FnMut(Progress),
) -> Result<Arc<Encoder>, AssembleError> {
    let manifest = Manifest::load(encoder.model)?;
    same_space(manifest.name(), manifest.space(), manifest.dimensions(), shards)?;
    Ok(Arc::new(Encoder::load_with(&manifest, encoder.options, progress)?))
}

/// Which comparator, and how it is to be loaded.
#[derive(Debug, Clone, Copy)]
pub struct ComparatorChoice<'a> {
    /// Its manifest.
    pub manifest: &'a ComparatorManifest,
    /// Runtime, threads, where packed weights and stamps lie.
    pub options: &'a LoadOptions,
    /// Where vision tokens are kept that are not in the shards; `None` computes them each time.
    pub cache: Option<&'a TokenCacheOptions>,
}

/// Loads a comparator that is to look at references of `shards`, as daemon, `locate` and `evaluate` do. Says in the log
/// which shards hold tokens of another comparator, and when the folder of the cache cannot be used: it goes on without.
///
/// # Errors
/// The comparator cannot be loaded, or a shard has no pictures that it could look at.
pub fn assemble_reranker(
    choice: ComparatorChoice<'_>,
    shards: &ShardSet,
    progress: &mut dyn FnMut(Progress),
) -> Result<Reranker, AssembleError> {
    // Before the model is loaded: a mistake in the settings should not take seconds to show.
    check_pictures(shards, "")?;
    let comparator = Comparator::load_with(choice.manifest, choice.options, progress)?;
    for note in check_pictures(shards, comparator.producer())? {
        tracing::warn!("{note}");
    }
    let open = |cache: &TokenCacheOptions| {
        TokenCache::open(&cache.folder, cache.max_bytes)
            .inspect_err(|error| tracing::warn!(folder = %cache.folder.display(), %error, "vision tokens are not kept"))
            .ok()
    };
    let cache = choice.cache.filter(|cache| cache.max_bytes > 0).and_then(open);
    Ok(Reranker::new(comparator, choice.manifest.longest_list(), cache))
}

/// Opens shards of which every byte was verified, now or at the time of their stamps. `progress` is told how many bytes
/// of each file that is read were.
///
/// # Errors
/// A shard that is missing or damaged, is another one when it is opened than when it was verified, or does not belong
/// to the others.
pub fn verified(
    paths: &[PathBuf],
    stamps: &mut Stamps,
    progress: &mut dyn FnMut(Progress),
) -> Result<ShardSet, AssembleError> {
    let checks = paths.iter().map(|path| check_shard(path, stamps, progress)).collect::<Result<Vec<_>, _>>()?;
    let by_stamp = checks.iter().filter(|check| check.by_stamp).count();
    tracing::debug!(shards = checks.len(), by_stamp, "shards verified");
    let shards = ShardSet::open(paths)?;
    for (shard, check) in shards.shards().iter().zip(&checks) {
        let is_same_file = FileIdentity::of(shard.path()).is_ok_and(|found| found == check.identity);
        if shard.digest() != check.digest || !is_same_file {
            return Err(AssembleError::Changed { path: shard.path().to_owned() });
        }
    }
    Ok(shards)
}

fn check_shard(path: &Path, stamps: &mut Stamps, progress: &mut dyn FnMut(Progress)) -> Result<Checked, AssembleError> {
    /// An error of verifying, or of looking at the file.
    enum Failed {
        Verify(VerifyError),
        Look(io::Error),
    }
    impl From<io::Error> for Failed {
        fn from(error: io::Error) -> Self {
            Self::Look(error)
        }
    }
    let total = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut done = 0;
    let mut on_bytes = |bytes: u64| {
        done += bytes;
        progress(Progress { step: Step::Hashing, done, total });
    };
    let verified = || verify_with(path, &mut on_bytes).map(|summary| summary.digest).map_err(Failed::Verify);
    stamps.check(path, verified).map_err(|failed| match failed {
        Failed::Verify(error) => error.into(),
        Failed::Look(source) => AssembleError::Look { path: path.to_owned(), source },
    })
}

/// Checks what can be checked without reading whole files: the manifests, the headers of the shards, their spaces, and
/// that there are pictures for a comparator.
///
/// # Errors
/// As [`assemble`] and [`assemble_reranker`].
pub fn check(encoder: &Path, comparator: Option<&Path>, shards: &[PathBuf]) -> Result<(), AssembleError> {
    let manifest = Manifest::load(encoder)?;
    let shards = ShardSet::open(shards)?;
    same_space(manifest.name(), manifest.space(), manifest.dimensions(), &shards)?;
    if let Some(comparator) = comparator {
        ComparatorManifest::load(comparator)?;
        check_pictures(&shards, "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use index_shards::{Place, PositionOf, Row, ShardDescription, ShardWriter, WriterOptions};
    use std::fs;
    use std::thread::sleep;
    use std::time::Duration;

    /// A shard of some hundred kilobytes that has not been touched for a while.
    fn shard(folder: &Path, name: &str, lat_deg: f64) -> PathBuf {
        let path = folder.join(name);
        let description = ShardDescription {
            space: "test".into(),
            dimensions: 2,
            encoder: "test".into(),
            encoder_sha256: None,
            position_of: PositionOf::Camera,
            licence: "CC0-1.0".into(),
            attribution: String::new(),
            created_at_ms: 0,
            blobs: None,
        };
        let mut writer = ShardWriter::create(&path, description, WriterOptions::default()).unwrap();
        for row in 0..8000 {
            let place = Place::at(lat_deg, f64::from(row) / 1e4);
            let row = Row { name: &format!("r{row}"), place: &place, source: None, embedding: &[0.6, 0.8], blob: None };
            writer.push(&row).unwrap();
        }
        writer.finish().unwrap();
        sleep(Duration::from_millis(80));
        path
    }

    /// Bytes that this thread has read so far by system calls.
    fn read_bytes() -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        line.trim().parse().unwrap()
    }

    /// A start: bytes that it read.
    fn start(paths: &[PathBuf], state_dir: &Path) -> Result<u64, AssembleError> {
        let before = read_bytes();
        let mut stamps = Stamps::load(state_dir);
        verified(paths, &mut stamps, &mut |_| {})?;
        stamps.save().unwrap();
        Ok(read_bytes() - before)
    }

    #[test]
    fn a_start_with_fresh_stamps_does_not_read_the_shards() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [shard(folder.path(), "a.shard", 50.0), shard(folder.path(), "b.shard", 51.0)];
        let bytes: u64 = paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(bytes > 200_000, "{bytes}");
        // Some of it is read twice.
        let whole = start(&paths, folder.path()).unwrap();
        assert!(whole >= bytes, "{whole} of {bytes} bytes were read");
        let again = start(&paths, folder.path()).unwrap();
        assert!(again < 32_768, "{again} of {bytes} bytes were read");
        // One of them is written again: that one is read, the other is not.
        fs::write(&paths[0], fs::read(&paths[0]).unwrap()).unwrap();
        sleep(Duration::from_millis(80));
        let changed = start(&paths, folder.path()).unwrap();
        assert!(changed > whole / 3 && changed < whole * 2 / 3, "{changed} of {whole} bytes were read");
        assert!(start(&paths, folder.path()).unwrap() < 32_768);
        fs::write(folder.path().join(Stamps::FILE), "{").unwrap();
        assert!(start(&paths, folder.path()).unwrap() >= bytes, "damaged stamps count for nothing");
    }

    #[test]
    fn a_shard_damaged_after_it_got_its_stamp_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [shard(folder.path(), "a.shard", 50.0)];
        start(&paths, folder.path()).unwrap();
        let mut bytes = fs::read(&paths[0]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&paths[0], bytes).unwrap();
        let error = start(&paths, folder.path()).unwrap_err();
        assert!(matches!(error, AssembleError::Verify(_)), "{error}");
    }

    #[test]
    fn a_shard_that_is_not_there_is_named() {
        let error = start(&["/no/such.shard".into()], Path::new("/no/such/state")).unwrap_err();
        assert!(error.to_string().contains("/no/such.shard"), "{error}");
    }
}
