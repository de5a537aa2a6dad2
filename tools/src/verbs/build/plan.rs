//! What stands for the inputs of a build, so that only the same build goes on where one was stopped.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use sha2::{Digest, Sha256};

use super::args::BuildArgs;
use super::base::Bases;
use super::input_row::InputRow;

/// The digest of everything that decides which rows come in which order and what is in them: version, encoder, matrix,
/// the chosen rows with their places and sources, what is kept of pictures, what is removed. Layout and threads do not
/// belong to it: they are looked at when the shard is finished.
///
/// # Errors
/// The matrix cannot be looked at; a row cannot be read.
pub(super) fn plan(
    args: &BuildArgs,
    chosen: impl Iterator<Item = io::Result<InputRow>>,
    bases: &Bases,
) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    hasher.update(concat!("geolocate build ", env!("CARGO_PKG_VERSION"), "\n"));
    let matrix = args.vectors.as_deref().map(identity).transpose()?;
    hasher.update(format!("{matrix:?} {:?} {:?}\n{}\n", args.images, args.pictures(), bases.identity()));
    for row in chosen {
        let row = row?;
        let source = source(args, &row);
        hasher.update(format!("{} {:?} {:?} {source:?}\n", row.index, row.file, row.place));
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a row comes from.
pub(super) fn source<'a>(args: &'a BuildArgs, row: &'a InputRow) -> Option<&'a str> {
    args.source.as_deref().or(row.source.as_deref())
}

/// Length and time of the last change, which tell a file from one that was written anew without reading it.
fn identity(path: &Path) -> anyhow::Result<(u64, u128)> {
    let metadata = fs::metadata(path).with_context(|| format!("{}: cannot be looked at", path.display()))?;
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((metadata.len(), changed.unwrap_or_default().as_nanos()))
}
