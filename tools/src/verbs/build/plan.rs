//! What stands for the inputs of a build, so that only the same build goes on where one was stopped.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::args::BuildArgs;
use super::base::Bases;
use crate::poses::Pose;

/// The digest of everything that decides which rows come in which order and what is in them: version, encoder, matrix,
/// the chosen rows with their places and sources, what is kept of pictures, what is removed. Layout and threads do not
/// belong to it: they are looked at when the shard is finished.
///
/// # Errors
/// The matrix cannot be looked at.
pub(super) fn plan(args: &BuildArgs, chosen: &[&Pose], bases: &Bases) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(concat!("geolocate build ", env!("CARGO_PKG_VERSION"), "\n"));
    let matrix = args.vectors.as_deref().map(identity).transpose()?;
    hasher.update(format!("{matrix:?} {:?} {:?}\n{}\n", args.images, args.pictures(), bases.identity()));
    for pose in chosen {
        let source = source(args, pose);
        hasher.update(format!("{} {:?} {:?} {source:?}\n", pose.index, pose.file, pose.place));
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a row comes from.
pub(super) fn source<'a>(args: &'a BuildArgs, pose: &'a Pose) -> Option<&'a str> {
    args.source.as_deref().or_else(|| pose.columns.get("source").map(String::as_str))
}

/// Length and time of the last change, which tell a file from one that was written anew without reading it.
fn identity(path: &Path) -> anyhow::Result<(u64, u128)> {
    let metadata = fs::metadata(path).with_context(|| format!("{}: cannot be looked at", path.display()))?;
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((metadata.len(), changed.unwrap_or_default().as_nanos()))
}
