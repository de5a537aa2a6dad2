//! `geolocate build`: from pictures, or from vectors, to a shard.

mod args;
mod base;
mod make;
mod origin;
mod partition;
mod plan;
mod report;
mod rows;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use index_shards::{PositionOf, ShardDescription, ShardWriter, WriteError, WriterOptions};
use quantized_models::DecodeLimits;

pub use args::BuildArgs;

use crate::cli::Status;
use crate::dataset::{load_poses, load_split};
use crate::left_out::LeftOut;
use crate::poses::{Pose, PoseTable, Refused};
use crate::progress::Progress;
use crate::split::{Split, roles, select};
use base::{Bases, Hidden};
use origin::Origin;
use partition::Partition;
use report::Outcome;
use rows::Rows;

/// The role that goes into a shard where roles are known.
const USUAL: [&str; 1] = ["reference"];

/// Runs the verb.
///
/// # Errors
/// An input cannot be used at all, no row is left, the shard cannot be written; with `--strict` any row left out.
pub fn run(args: &BuildArgs) -> anyhow::Result<Status> {
    let limits = DecodeLimits::default();
    let partition = args.partition.map(|partition| partition.resolve(|name| std::env::var(name).ok())).transpose()?;
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let created_at_ms = created_at_ms(epoch.as_deref(), partition.is_some(), SystemTime::now())?;
    let (origin, bases) = (Origin::open(args)?, Bases::open(args)?);
    let (table, split) = load(args, &origin, &limits)?;
    let left_out = without_pose(args, &table, split.as_ref(), partition)?;
    let all = match &origin {
        Origin::Nowhere => Vec::new(),
        _ => select(&table, split.as_ref(), &args.role, &USUAL)?.into_iter().map(|(pose, _)| pose).collect(),
    };
    let description = origin.description(args, &bases, position_of(&all), created_at_ms)?;
    let chosen = share(&all, partition)?;
    let writer = writer(args, chosen, &bases, &description)?;
    let mut rows = Rows::new(args, writer, chosen, left_out)?;
    let hidden = fill(args, origin, &limits, &bases, &mut rows).inspect_err(|_| say_kept(args, &rows))?;
    let taken_over = rows.taken_over();
    let (finished, left_out) = rows.finish();
    if matches!(finished, Err(WriteError::Empty { .. })) {
        // Going on from there would only leave the same out again.
        forget(args, &description)?;
    }
    let summary = finished.with_context(|| format!("{}: cannot finish; left out: {left_out}", args.out.display()))?;
    let partition = partition.map(|partition| partition.to_string());
    Outcome {
        args,
        description: &description,
        summary: &summary,
        left_out: &left_out,
        taken_over,
        hidden: &hidden,
        partition,
    }
    .report()?;
    Ok(Status::Done)
}

/// Reads the poses and the split, and sees that a matrix has a row for each pose.
fn load(args: &BuildArgs, origin: &Origin, limits: &DecodeLimits) -> anyhow::Result<(PoseTable, Option<Split>)> {
    if matches!(origin, Origin::Nowhere) {
        return Ok((PoseTable::default(), None));
    }
    let table = load_poses(args.poses.as_deref(), args.images.as_deref(), limits)?;
    let split = load_split(args.split.as_deref())?;
    if let Origin::Vectors { reader, .. } = origin {
        make::check_rows(reader, &table)?;
    }
    Ok((table, split))
}

/// Names the rows of the CSV files that have no pose that can be used. Of several partitions the first one names them,
/// so that they are counted once; with `--strict` each one stops at them.
fn without_pose(
    args: &BuildArgs,
    table: &PoseTable,
    split: Option<&Split>,
    partition: Option<Partition>,
) -> anyhow::Result<LeftOut> {
    let mut left_out = LeftOut::new(args.strict);
    if !args.strict && partition.is_some_and(|partition| partition.index > 0) {
        return Ok(left_out);
    }
    let quiet = Progress::new("reading", 0);
    for refused in &table.refused {
        left_out.add(refused.clone(), &quiet)?;
    }
    for message in split.iter().flat_map(|split| split.without_pose(table, &roles(&args.role, &USUAL))) {
        left_out.add(Refused { name: message.clone(), reason: "no_pose", message }, &quiet)?;
    }
    Ok(left_out)
}

/// What the positions of all chosen rows are of; the same for all partitions.
fn position_of(chosen: &[&Pose]) -> PositionOf {
    let all_footprints = !chosen.is_empty() && chosen.iter().all(|pose| pose.place.footprint.is_some());
    if all_footprints { PositionOf::FootprintCentre } else { PositionOf::Camera }
}

/// The partition's share of the chosen rows.
fn share<'a, 'b>(all: &'a [&'b Pose], partition: Option<Partition>) -> anyhow::Result<&'a [&'b Pose]> {
    let Some(partition) = partition else { return Ok(all) };
    let share = all.get(partition.range(all.len())).unwrap_or_default();
    if share.is_empty() {
        bail!("--partition {partition}: expected at least one row in each partition, found {} rows in all", all.len());
    }
    Ok(share)
}

/// The writer, which goes on where the same build was stopped.
fn writer(
    args: &BuildArgs,
    chosen: &[&Pose],
    bases: &Bases,
    description: &ShardDescription,
) -> anyhow::Result<ShardWriter> {
    if args.afresh {
        forget(args, description)?;
    }
    let options = WriterOptions {
        layout: args.layout.choice(chosen.len() as u64),
        threads: make::threads(args),
        plan: Some(plan::plan(args, chosen, bases)?),
        ..WriterOptions::default()
    };
    Ok(ShardWriter::create(&args.out, description.clone(), options)?)
}

/// Removes what a build that was stopped has left.
fn forget(args: &BuildArgs, description: &ShardDescription) -> Result<(), WriteError> {
    // A writer without a plan leaves nothing behind.
    ShardWriter::create(&args.out, description.clone(), WriterOptions::default()).map(drop)
}

/// Takes in all rows that are to be done, and hides rows of the shards that this one is a delta of.
fn fill(
    args: &BuildArgs,
    origin: Origin,
    limits: &DecodeLimits,
    bases: &Bases,
    rows: &mut Rows<'_>,
) -> anyhow::Result<Vec<Hidden>> {
    make::say_size(args, limits, rows);
    match origin {
        Origin::Pictures(encoder) => make::embed(args, &encoder, limits, rows)?,
        Origin::Vectors { reader, .. } => make::copy(args, reader, limits, rows)?,
        Origin::Nowhere => {}
    }
    if bases.first().is_none() {
        return Ok(Vec::new());
    }
    let (hidden, refused) = bases.hidden(&rows.names())?;
    refused.into_iter().try_for_each(|refused| rows.note(refused))?;
    for Hidden { digest, rows: of_base, .. } in &hidden {
        rows.hide(digest, of_base)?;
    }
    Ok(hidden)
}

/// Says that a failed build can be gone on with.
fn say_kept(args: &BuildArgs, rows: &Rows<'_>) {
    if rows.done() > 0 {
        eprintln!(
            "geolocate: {}: {} rows are kept beside it; the same build goes on from there (--afresh begins anew)",
            args.out.display(),
            rows.done()
        );
    }
}

/// Unix milliseconds from the text of `SOURCE_DATE_EPOCH` (seconds), or from the clock. A partition does not look at the
/// clock, so that it has the same bytes whenever it is built.
fn created_at_ms(source_date_epoch: Option<&str>, partitioned: bool, now: SystemTime) -> anyhow::Result<i64> {
    let Some(text) = source_date_epoch else {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(if partitioned { 0 } else { i64::try_from(since.as_millis())? });
    };
    text.parse::<i64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
        .with_context(|| format!("SOURCE_DATE_EPOCH: expected seconds since 1970, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_creation_is_taken_from_the_environment_first() {
        for partitioned in [false, true] {
            assert_eq!(created_at_ms(Some("1700000000"), partitioned, UNIX_EPOCH).unwrap(), 1_700_000_000_000);
        }
        let now = UNIX_EPOCH + std::time::Duration::from_secs(5);
        assert_eq!((created_at_ms(None, false, now).unwrap(), created_at_ms(None, true, now).unwrap()), (5000, 0));
        for bad in ["", "now", "9223372036854775807"] {
            let error = created_at_ms(Some(bad), false, UNIX_EPOCH).unwrap_err();
            assert!(error.to_string().contains("SOURCE_DATE_EPOCH"));
        }
    }
}
