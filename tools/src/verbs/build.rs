//! `geolocate build`: from pictures, or from vectors, to a shard.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use clap::Args;
use index_shards::{PositionOf, ShardDescription, ShardSummary, ShardWriter, WriteError};
use quantized_models::{DecodeLimits, Encoder, Manifest, decode};
use serde::Serialize;

use crate::cli::Status;
use crate::dataset::{all_cores, load_poses, load_split};
use crate::index_args::at_least_one;
use crate::left_out::{LeftOut, LeftOutFile};
use crate::npy::NpyReader;
use crate::ordered::ordered_map;
use crate::output::{JsonTarget, say};
use crate::pictures;
use crate::poses::{Pose, PoseTable, Refused};
use crate::progress::Progress;
use crate::split::{roles, select};
use crate::unit_vector::normalise;

/// Name of the encoder in shards whose vectors were made elsewhere.
const SUPPLIED: &str = "supplied-vectors";

/// The role that goes into a shard where roles are known.
const USUAL: [&str; 1] = ["reference"];

/// Builds a shard from pictures with known positions, or from vectors made elsewhere.
///
/// Rows whose picture is missing or bad are named on standard error and counted; the others go in. The order and the
/// bytes of the shard do not depend on the number of threads. The time of creation is SOURCE_DATE_EPOCH (seconds) where
/// that is set, else now.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    geolocate build --images photos --encoder models/mobilenetv3-small-576 --out reference.shard\n  \
    geolocate build --images set/images --poses set/poses.csv --split set/split.csv --role reference \
    --encoder models/mobilenetv3-small-576 --out reference.shard\n  \
    geolocate build --vectors v.npy --poses v.csv --space my-model@1 --out reference.shard")]
pub struct BuildArgs {
    /// Folder of the pictures; names in the CSV files are relative to it. With --vectors: only rows whose picture is
    /// there go in
    #[arg(long, value_name = "DIR", required_unless_present = "vectors")]
    images: Option<PathBuf>,
    /// CSV with at least file,lat,lon in WGS 84 degrees; times without a zone are UTC [default: EXIF positions]
    #[arg(long, value_name = "FILE.csv")]
    poses: Option<PathBuf>,
    /// CSV with file,role: which picture plays which role; goes before a column "role" of the poses
    #[arg(long, value_name = "FILE.csv")]
    split: Option<PathBuf>,
    /// Take rows of these roles [default: reference where roles are known, else all rows]
    #[arg(long, value_name = "ROLE[,ROLE...]", value_delimiter = ',')]
    role: Vec<String>,
    /// Model folder or manifest of the encoder
    #[arg(long, value_name = "MODEL", required_unless_present = "vectors", conflicts_with = "vectors")]
    encoder: Option<PathBuf>,
    /// Vectors made elsewhere: float32 [rows, dimensions], row i belongs to row i of the poses
    #[arg(long, value_name = "FILE.npy", requires = "poses", requires = "space")]
    vectors: Option<PathBuf>,
    /// Name of the space of --vectors; only vectors of the same space are ever compared
    #[arg(long, value_name = "ID", requires = "vectors")]
    space: Option<String>,
    /// Shard to write; an older one is replaced when the new one is complete
    #[arg(long, value_name = "FILE.shard")]
    out: PathBuf,
    /// Licence of the imagery, kept in the shard
    #[arg(long, value_name = "TEXT", default_value = "")]
    licence: String,
    /// Whom the licence asks to be named, kept in the shard
    #[arg(long, value_name = "TEXT", default_value = "")]
    attribution: String,
    /// Stop at the first row or picture that cannot be used
    #[arg(long)]
    strict: bool,
    /// How many pictures to work on at the same time [default: all cores]
    #[arg(long, value_parser = at_least_one, conflicts_with = "vectors")]
    threads: Option<usize>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// What a build says at its end.
#[derive(Debug, Serialize)]
struct BuildReport<'a> {
    path: &'a Path,
    rows: usize,
    bytes: u64,
    digest: &'a str,
    space: &'a str,
    dimensions: usize,
    position_of: PositionOf,
    left_out: &'a std::collections::BTreeMap<&'static str, usize>,
    left_out_files: &'a [LeftOutFile],
}

/// Runs the verb.
///
/// # Errors
/// An input cannot be used at all, no row is left, the shard cannot be written; with `--strict` any row left out.
pub fn run(args: &BuildArgs) -> anyhow::Result<Status> {
    let limits = DecodeLimits::default();
    let created_at_ms = created_at_ms(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref(), SystemTime::now())?;
    let source = Source::open(args)?;
    let table = load_poses(args.poses.as_deref(), args.images.as_deref(), &limits)?;
    let split = load_split(args.split.as_deref())?;
    let mut left_out = LeftOut::new(args.strict);
    let quiet = Progress::new("reading", 0);
    for refused in &table.refused {
        left_out.add(refused.clone(), &quiet)?;
    }
    for message in split.iter().flat_map(|split| split.without_pose(&table, &roles(&args.role, &USUAL))) {
        left_out.add(Refused { name: message.clone(), reason: "no_pose", message }, &quiet)?;
    }
    drop(quiet);
    let chosen: Vec<&Pose> =
        select(&table, split.as_ref(), &args.role, &USUAL)?.into_iter().map(|(pose, _)| pose).collect();
    let all_footprints = !chosen.is_empty() && chosen.iter().all(|pose| pose.place.footprint.is_some());
    let position_of = if all_footprints { PositionOf::FootprintCentre } else { PositionOf::Camera };
    let description = source.description(args, position_of, created_at_ms);
    let writer = ShardWriter::create(&args.out, description.clone())?;
    let summary = match source {
        Source::Pictures(encoder) => embed(args, &encoder, &limits, &chosen, writer, &mut left_out)?,
        Source::Vectors { reader, .. } => copy(args, reader, &table, &chosen, writer, &mut left_out)?,
    };
    report(args, &description, &summary, &left_out)
}

fn report(
    args: &BuildArgs,
    description: &ShardDescription,
    summary: &ShardSummary,
    left_out: &LeftOut,
) -> anyhow::Result<Status> {
    say(
        args.json.as_ref(),
        &format!("{}: in: {}, left out: {left_out}; {} bytes\n", args.out.display(), summary.rows, summary.bytes),
    )?;
    if let Some(json) = &args.json {
        json.write(&BuildReport {
            path: &args.out,
            rows: summary.rows,
            bytes: summary.bytes,
            digest: &summary.digest,
            space: &description.space,
            dimensions: description.dimensions,
            position_of: description.position_of,
            left_out: left_out.counts(),
            left_out_files: left_out.files(),
        })?;
    }
    Ok(Status::Done)
}

/// Where the vectors come from.
enum Source {
    Pictures(Encoder),
    Vectors { reader: NpyReader, space: String },
}

impl Source {
    fn open(args: &BuildArgs) -> anyhow::Result<Self> {
        match (&args.encoder, &args.vectors, &args.space) {
            (Some(model), ..) => Ok(Self::Pictures(Encoder::load(&Manifest::load(model)?)?)),
            (None, Some(path), Some(space)) => {
                Ok(Self::Vectors { reader: NpyReader::open(path)?, space: space.clone() })
            }
            _ => bail!("expected --encoder, or --vectors with --space"),
        }
    }

    fn description(&self, args: &BuildArgs, position_of: PositionOf, created_at_ms: i64) -> ShardDescription {
        let (space, dimensions, encoder, encoder_sha256) = match self {
            Self::Pictures(encoder) => (
                encoder.space().to_string(),
                encoder.dimensions(),
                encoder.name().to_owned(),
                Some(encoder.digest().to_owned()),
            ),
            Self::Vectors { reader, space } => (space.clone(), reader.columns(), SUPPLIED.to_owned(), None),
        };
        ShardDescription {
            space,
            dimensions,
            encoder,
            encoder_sha256,
            position_of,
            licence: args.licence.clone(),
            attribution: args.attribution.clone(),
            created_at_ms,
        }
    }
}

/// Unix milliseconds from the text of `SOURCE_DATE_EPOCH` (seconds), or from the clock.
fn created_at_ms(source_date_epoch: Option<&str>, now: SystemTime) -> anyhow::Result<i64> {
    let Some(text) = source_date_epoch else {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(i64::try_from(since.as_millis())?);
    };
    text.parse::<i64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
        .with_context(|| format!("SOURCE_DATE_EPOCH: expected seconds since 1970, found {text:?}"))
}

/// Decodes and embeds the chosen pictures on several threads; the rows keep their order.
fn embed(
    args: &BuildArgs,
    encoder: &Encoder,
    limits: &DecodeLimits,
    chosen: &[&Pose],
    mut writer: ShardWriter,
    left_out: &mut LeftOut,
) -> anyhow::Result<ShardSummary> {
    let folder = args.images.as_deref().context("expected --images")?;
    let progress = Progress::new("embedding", chosen.len());
    let work = |pose: &Pose| embed_one(folder, encoder, limits, pose);
    ordered_map(
        chosen.iter().copied(),
        args.threads.unwrap_or_else(all_cores),
        |pose| (pose, work(pose)),
        |(pose, embedding)| {
            progress.step();
            match embedding {
                Ok(embedding) => push(&mut writer, pose, &embedding, left_out, &progress),
                Err(refused) => left_out.add(refused, &progress),
            }
        },
    )?;
    finish(writer, args, left_out)
}

fn embed_one(folder: &Path, encoder: &Encoder, limits: &DecodeLimits, pose: &Pose) -> Result<Vec<f32>, Refused> {
    let refuse = |reason, message| Refused { name: pose.file.clone(), reason, message };
    let encoded =
        pictures::read_below(folder, &pose.file, limits).map_err(|error| refuse(error.reason(), error.to_string()))?;
    let image = decode(&encoded, limits).map_err(|error| refuse("bad_picture", error.to_string()))?;
    let embedding = encoder.embed(&image).map_err(|error| refuse("not_embedded", error.to_string()))?;
    Ok(embedding.into_vec())
}

/// Writes one row, or leaves it out when it is the row that is refused; any other failure is an error.
fn push(
    writer: &mut ShardWriter,
    pose: &Pose,
    embedding: &[f32],
    left_out: &mut LeftOut,
    progress: &Progress,
) -> anyhow::Result<()> {
    match writer.push(&pose.file, &pose.place, embedding) {
        Ok(_) => Ok(()),
        Err(WriteError::Row { fault, .. }) => {
            let refused = Refused { name: pose.file.clone(), reason: "refused_by_shard", message: fault.to_string() };
            left_out.add(refused, progress)
        }
        Err(error) => Err(error.into()),
    }
}

fn finish(writer: ShardWriter, args: &BuildArgs, left_out: &LeftOut) -> anyhow::Result<ShardSummary> {
    writer.finish().with_context(|| format!("{}: cannot finish; left out: {left_out}", args.out.display()))
}

/// Copies the chosen rows of a matrix that was made elsewhere.
fn copy(
    args: &BuildArgs,
    mut reader: NpyReader,
    table: &PoseTable,
    chosen: &[&Pose],
    mut writer: ShardWriter,
    left_out: &mut LeftOut,
) -> anyhow::Result<ShardSummary> {
    if reader.rows() != table.rows {
        let (vectors, poses) = (reader.path().display(), table.path.display());
        bail!("{vectors}: expected {} vectors, one per row of {poses}, found {}", table.rows, reader.rows());
    }
    let progress = Progress::new("copying", reader.rows());
    let mut chosen = chosen.iter().copied().peekable();
    let mut normalised = 0_usize;
    for row in 0..reader.rows() {
        let mut vector = reader.next_row()?;
        progress.step();
        let Some(pose) = chosen.next_if(|pose| pose.index == row) else { continue };
        if let Some(refused) = missing_picture(args.images.as_deref(), pose) {
            left_out.add(refused, &progress)?;
            continue;
        }
        normalised += usize::from(
            normalise(&mut vector)
                .with_context(|| format!("{}: row {row}, which belongs to {}", reader.path().display(), pose.file))?,
        );
        push(&mut writer, pose, &vector, left_out, &progress)?;
    }
    if normalised > 0 {
        progress
            .note(&format!("{}: {normalised} vectors were not of unit length; scaled to it", reader.path().display()));
    }
    drop(progress);
    finish(writer, args, left_out)
}

fn missing_picture(folder: Option<&Path>, pose: &Pose) -> Option<Refused> {
    let folder = folder?;
    let refuse = |reason, message| Some(Refused { name: pose.file.clone(), reason, message });
    match pictures::path_below(folder, &pose.file) {
        Err(error) => refuse(error.reason(), error.to_string()),
        Ok(path) if !path.is_file() => refuse("missing_picture", format!("{}: no such picture", path.display())),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_creation_is_taken_from_the_environment_first() {
        assert_eq!(created_at_ms(Some("1700000000"), UNIX_EPOCH).unwrap(), 1_700_000_000_000);
        assert_eq!(created_at_ms(None, UNIX_EPOCH + std::time::Duration::from_secs(5)).unwrap(), 5000);
        for bad in ["", "now", "9223372036854775807"] {
            assert!(created_at_ms(Some(bad), UNIX_EPOCH).unwrap_err().to_string().contains("SOURCE_DATE_EPOCH"));
        }
    }
}
