//! Pictures with positions and roles, as `build` and `evaluate` take them: a poses CSV or EXIF tags, and a split.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context;
use quantized_models::DecodeLimits;

use crate::pictures;
use crate::poses::{self, PoseTable};
use crate::progress::Progress;
use crate::split::Split;

/// How many threads the machine offers, at least 1.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Reads the poses CSV, or the EXIF tags of all pictures below the folder when there is no CSV.
///
/// # Errors
/// The CSV cannot be used, or the folder cannot be read.
pub fn load_poses(poses: Option<&Path>, images: Option<&Path>, limits: &DecodeLimits) -> anyhow::Result<PoseTable> {
    if let Some(path) = poses {
        return Ok(poses::read(path)?);
    }
    let folder = images.context("expected --poses, or --images with positions in the EXIF tags")?;
    let progress = Progress::new("reading EXIF", pictures::names_below(folder)?.len());
    Ok(pictures::poses_from_exif(folder, limits, all_cores(), || progress.step())?)
}

/// Reads the split CSV, if there is one.
///
/// # Errors
/// The CSV cannot be used.
pub fn load_split(split: Option<&Path>) -> anyhow::Result<Option<Split>> {
    Ok(split.map(Split::read).transpose()?)
}
