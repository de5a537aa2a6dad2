//! From pictures, or rows of a matrix, to what goes into the shard.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use quantized_models::{DecodeLimits, Encoder, RgbImage, View, decode, thumbnail};

use super::args::BuildArgs;
use super::input_row::InputRow;
use super::inputs::Inputs;
use super::kept::Kept;
use super::rows::{Made, Rows};
use crate::dataset::all_cores;
use crate::npy::NpyReader;
use crate::ordered::ordered_map;
use crate::pictures;
use crate::poses::Refused;
use crate::progress::Progress;
use crate::unit_vector::normalise;

/// How many pictures the size of all blobs is estimated from.
const SAMPLE: usize = 8;

/// Decodes and embeds the pictures of the rows that are to be done, on several threads; the rows keep their order.
///
/// # Errors
/// The shard cannot be written; a row cannot be read; with `--strict`, a row is left out.
pub(super) fn embed(
    args: &BuildArgs,
    (encoder, kept): (&Encoder, &Kept),
    limits: &DecodeLimits,
    to_do: impl Iterator<Item = io::Result<InputRow>>,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let folder = args.images.as_deref().context("expected --images")?;
    let progress = Progress::new("embedding", rows.to_do());
    let make = |row: &InputRow| {
        let image = picture(folder, limits, row)?;
        let embedding =
            encoder.embed(&image, View::Reference).map_err(|error| refuse(row, "not_embedded", error.to_string()))?;
        Ok(Made { embedding: embedding.into_vec(), blob: kept.of(row, &image)? })
    };
    let work = |row: io::Result<InputRow>| row.map(|row| (make(&row), row));
    ordered_map(to_do, threads(args), work, |result| {
        let (made, row) = result?;
        progress.step();
        rows.take(&row, made, &progress)
    })
}

/// Copies the rows that are to be done out of a matrix that was made elsewhere.
///
/// # Errors
/// The matrix does not fit the poses, cannot be read, or has a row without a direction; the shard cannot be written;
/// a row cannot be read; with `--strict`, a row is left out.
pub(super) fn copy(
    args: &BuildArgs,
    (mut reader, kept): (NpyReader, &Kept),
    limits: &DecodeLimits,
    to_do: impl Iterator<Item = io::Result<InputRow>>,
    rows: &mut Rows<'_>,
) -> anyhow::Result<()> {
    let path = reader.path().to_owned();
    let progress = Progress::new("copying", rows.to_do());
    let mut at = 0;
    let vectors = to_do.map(|row| {
        let row = row?;
        reader.skip(row.index.saturating_sub(at))?;
        at = row.index + 1;
        anyhow::Ok((row, reader.next_row()?))
    });
    let work = |read: anyhow::Result<(InputRow, Vec<f32>)>| {
        let (row, mut embedding) = read?;
        let blob = match kept.beside_vector(args.images.as_deref(), limits, &row) {
            Ok(blob) => blob,
            Err(refused) => return Ok((row, Err(refused), false)),
        };
        let scaled = normalise(&mut embedding)
            .with_context(|| format!("{}: row {}, which belongs to {}", path.display(), row.index, row.file))?;
        anyhow::Ok((row, Ok(Made { embedding, blob }), scaled))
    };
    let mut all_scaled = 0_usize;
    ordered_map(vectors, threads(args), work, |result| {
        let (row, made, scaled) = result?;
        all_scaled += usize::from(scaled);
        progress.step();
        rows.take(&row, made, &progress)
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
pub(super) fn check_rows(reader: &NpyReader, inputs: &Inputs) -> anyhow::Result<()> {
    if reader.rows() == inputs.rows {
        return Ok(());
    }
    let (vectors, poses) = (reader.path().display(), inputs.path.display());
    bail!("{vectors}: expected {} vectors, one per row of {poses}, found {}", inputs.rows, reader.rows())
}

/// How many threads a build has.
pub(super) fn threads(args: &BuildArgs) -> usize {
    args.threads.unwrap_or_else(all_cores)
}

/// Says how much room the blobs of all rows that are `to_do` will take, from the thumbnails of some of these rows.
pub(super) fn say_size(
    args: &BuildArgs,
    kept: &Kept,
    limits: &DecodeLimits,
    to_do: usize,
    rows: impl Iterator<Item = io::Result<InputRow>>,
) {
    let (Some(folder), Some((what, more_bytes))) = (args.images.as_deref(), kept.size()) else { return };
    let picked = rows.step_by(to_do.div_ceil(SAMPLE).max(1));
    let bytes_of = |row: io::Result<InputRow>| {
        let row = row.ok()?;
        thumbnail(&picture(folder, limits, &row).ok()?).ok().map(|jpeg| jpeg.len() + more_bytes)
    };
    let mut sizes = Vec::new();
    let never_fails = ordered_map(picked, threads(args), bytes_of, |bytes| {
        sizes.extend(bytes);
        Ok::<(), Infallible>(())
    });
    match never_fails {
        Ok(()) if sizes.is_empty() => {}
        Ok(()) => {
            let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
            let (one, total) = (mean / 1e3, mean * to_do as f64 / 1e6);
            eprintln!(
                "{what}: about {one:.1} kB each, {total:.1} MB for {to_do} pictures (--pictures none leaves them out)"
            );
        }
        Err(never) => match never {},
    }
}

pub(super) fn picture(folder: &Path, limits: &DecodeLimits, row: &InputRow) -> Result<RgbImage, Refused> {
    let encoded = pictures::read_below(folder, &row.file, limits)
        .map_err(|error| refuse(row, error.reason(), error.to_string()))?;
    decode(&encoded, limits).map_err(|error| refuse(row, "bad_picture", error.to_string()))
}

pub(super) fn missing_picture(folder: &Path, row: &InputRow) -> Option<Refused> {
    match pictures::path_below(folder, &row.file) {
        Err(error) => Some(refuse(row, error.reason(), error.to_string())),
        Ok(path) if !path.is_file() => {
            Some(refuse(row, "missing_picture", format!("{}: no such picture", path.display())))
        }
        Ok(_) => None,
    }
}

pub(super) fn refuse(row: &InputRow, reason: &'static str, message: String) -> Refused {
    Refused { name: row.file.clone(), reason, message }
}
