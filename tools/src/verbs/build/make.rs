//! From pictures, or rows of a matrix, to what goes into the shard.

use std::convert::Infallible;
use std::path::Path;

use anyhow::{Context, bail};
use quantized_models::{DecodeLimits, Encoder, RgbImage, View, decode, thumbnail};

use super::args::{BuildArgs, Pictures};
use super::rows::{Made, Rows};
use crate::dataset::all_cores;
use crate::npy::NpyReader;
use crate::ordered::ordered_map;
use crate::pictures;
use crate::poses::{Pose, PoseTable, Refused};
use crate::progress::Progress;
use crate::unit_vector::normalise;

/// How many pictures the size of all thumbnails is estimated from.
const SAMPLE: usize = 8;

/// Decodes and embeds the pictures of the rows that are to be done, on several threads; the rows keep their order.
///
/// # Errors
/// The shard cannot be written; with `--strict`, a row is left out.
pub(super) fn embed(
    args: &BuildArgs,
    encoder: &Encoder,
    limits: &DecodeLimits,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let folder = args.images.as_deref().context("expected --images")?;
    let progress = Progress::new("embedding", rows.to_do().len());
    let small = Thumbnails { wanted: args.pictures() == Pictures::Thumbnails };
    let work = |pose: &Pose| {
        let image = picture(folder, limits, pose)?;
        let embedding =
            encoder.embed(&image, View::Reference).map_err(|error| refuse(pose, "not_embedded", error.to_string()))?;
        Ok(Made { embedding: embedding.into_vec(), thumbnail: small.of(pose, &image)? })
    };
    ordered_map(rows.to_do().iter().copied(), threads(args), work, |made| {
        progress.step();
        rows.take(made, &progress)
    })
}

/// Copies the rows that are to be done out of a matrix that was made elsewhere.
///
/// # Errors
/// The matrix does not fit the poses, cannot be read, or has a row without a direction; the shard cannot be written;
/// with `--strict`, a row is left out.
pub(super) fn copy(
    args: &BuildArgs,
    mut reader: NpyReader,
    limits: &DecodeLimits,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let path = reader.path().to_owned();
    let progress = Progress::new("copying", rows.to_do().len());
    let small = Thumbnails { wanted: args.pictures() == Pictures::Thumbnails };
    let mut at = 0;
    let vectors = rows.to_do().iter().copied().map(|pose| {
        let vector = reader.skip(pose.index.saturating_sub(at)).and_then(|()| reader.next_row());
        at = pose.index + 1;
        (pose, vector)
    });
    let work = |(pose, vector): (&Pose, Result<Vec<f32>, _>)| {
        let mut embedding = vector?;
        let thumbnail = match small.beside_vector(args.images.as_deref(), limits, pose) {
            Ok(thumbnail) => thumbnail,
            Err(refused) => return Ok((Err(refused), false)),
        };
        let scaled = normalise(&mut embedding)
            .with_context(|| format!("{}: row {}, which belongs to {}", path.display(), pose.index, pose.file))?;
        anyhow::Ok((Ok(Made { embedding, thumbnail }), scaled))
    };
    let mut all_scaled = 0_usize;
    ordered_map(vectors, threads(args), work, |result| {
        let (made, scaled) = result?;
        all_scaled += usize::from(scaled);
        progress.step();
        rows.take(made, &progress)
    })?;
    if all_scaled > 0 {
        progress.note(&format!("{}: {all_scaled} vectors were not of unit length; scaled to it", path.display()));
    }
    Ok(())
}

/// Refuses a matrix that has not one row per pose.
///
/// # Errors
/// Both numbers and both files.
pub(super) fn check_rows(reader: &NpyReader, table: &PoseTable) -> anyhow::Result<()> {
    if reader.rows() == table.rows {
        return Ok(());
    }
    let (vectors, poses) = (reader.path().display(), table.path.display());
    bail!("{vectors}: expected {} vectors, one per row of {poses}, found {}", table.rows, reader.rows())
}

/// How many threads a build has.
pub(super) fn threads(args: &BuildArgs) -> usize {
    args.threads.unwrap_or_else(all_cores)
}

/// Says how much room thumbnails of all rows will take, from some of their pictures.
pub(super) fn say_size(args: &BuildArgs, limits: &DecodeLimits, rows: &Rows<'_>) {
    let (Some(folder), Pictures::Thumbnails) = (args.images.as_deref(), args.pictures()) else { return };
    let all = rows.to_do();
    let picked = all.iter().step_by(all.len().div_ceil(SAMPLE).max(1));
    let small = Thumbnails { wanted: true };
    let bytes_of = |pose: &Pose| small.of(pose, &picture(folder, limits, pose).ok()?).ok()?.map(|jpeg| jpeg.len());
    let mut sizes = Vec::new();
    let never_fails = ordered_map(picked.copied(), threads(args), bytes_of, |bytes| {
        sizes.extend(bytes);
        Ok::<(), Infallible>(())
    });
    match never_fails {
        Ok(()) if sizes.is_empty() => {}
        Ok(()) => {
            let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
            let (one, total, count) = (mean / 1e3, mean * all.len() as f64 / 1e6, all.len());
            eprintln!(
                "thumbnails: about {one:.1} kB each, {total:.1} MB for {count} pictures (--pictures none leaves them out)"
            );
        }
        Err(never) => match never {},
    }
}

/// Makes thumbnails where they are wanted.
struct Thumbnails {
    wanted: bool,
}

impl Thumbnails {
    /// The thumbnail of a row whose vector is there already. With a folder of pictures, its picture must be there.
    fn beside_vector(
        &self,
        folder: Option<&Path>,
        limits: &DecodeLimits,
        pose: &Pose,
    ) -> Result<Option<Vec<u8>>, Refused> {
        match folder {
            Some(folder) if self.wanted => self.of(pose, &picture(folder, limits, pose)?),
            Some(folder) => missing_picture(folder, pose).map_or(Ok(None), Err),
            None => Ok(None),
        }
    }

    fn of(&self, pose: &Pose, image: &RgbImage) -> Result<Option<Vec<u8>>, Refused> {
        let made = self.wanted.then(|| thumbnail(image)).transpose();
        made.map_err(|error| refuse(pose, "no_thumbnail", error.to_string()))
    }
}

fn picture(folder: &Path, limits: &DecodeLimits, pose: &Pose) -> Result<RgbImage, Refused> {
    let encoded = pictures::read_below(folder, &pose.file, limits)
        .map_err(|error| refuse(pose, error.reason(), error.to_string()))?;
    decode(&encoded, limits).map_err(|error| refuse(pose, "bad_picture", error.to_string()))
}

fn missing_picture(folder: &Path, pose: &Pose) -> Option<Refused> {
    match pictures::path_below(folder, &pose.file) {
        Err(error) => Some(refuse(pose, error.reason(), error.to_string())),
        Ok(path) if !path.is_file() => {
            Some(refuse(pose, "missing_picture", format!("{}: no such picture", path.display())))
        }
        Ok(_) => None,
    }
}

fn refuse(pose: &Pose, reason: &'static str, message: String) -> Refused {
    Refused { name: pose.file.clone(), reason, message }
}
