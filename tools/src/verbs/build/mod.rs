//! `geolocate build`: from pictures, or from vectors, to a shard.

mod args;
mod base;
mod choice;
mod input_row;
mod inputs;
mod kept;
mod make;
mod name_key;
mod origin;
mod partition;
mod plan;
mod report;
mod role_names;
mod rows;
mod split_keys;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use index_shards::{ShardDescription, ShardWriter, WriteError, WriterOptions};
use quantized_models::DecodeLimits;

pub use args::BuildArgs;

use crate::builtin;
use crate::cli::Status;
use crate::left_out::LeftOut;
use crate::progress::Progress;
use crate::sorter::Sorter;
use base::{Bases, Hidden};
use choice::Choice;
use input_row::InputRow;
use inputs::Inputs;
use kept::Kept;
use origin::Origin;
use partition::{NUMBER, Partition};
use report::Outcome;
use rows::Rows;
use split_keys::SplitKeys;

/// The role that goes into a shard where roles are known.
const USUAL: [&str; 1] = ["reference"];

/// Runs the verb.
///
/// # Errors
/// An input cannot be used at all, no row is left, the shard cannot be written; with `--strict` any row left out.
pub fn run(args: &BuildArgs) -> anyhow::Result<Status> {
    let limits = DecodeLimits::default();
    let partition = args.partition.map(|partition| partition.resolve(|name| std::env::var(name).ok())).transpose()?;
    let encoder = args.encoder.as_deref().map(builtin::resolve).transpose()?;
    let args = &BuildArgs { out: out(args, partition)?, encoder, ..args.clone() };
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let created_at_ms = created_at_ms(epoch.as_deref(), partition.is_some(), SystemTime::now())?;
    let (origin, bases, kept) = (Origin::open(args)?, Bases::open(args)?, Kept::open(args)?);
    let choice = choose(args, &origin, &limits)?;
    let left_out = unusable(args, &choice, partition)?;
    if !matches!(origin, Origin::Nowhere) {
        choice.check_roles(&args.role)?;
    }
    let description = origin.description((args, &kept), &bases, choice.position_of(), created_at_ms)?;
    let share = share(choice.count(), partition)?;
    let writer = writer(args, (&choice, share.clone()), &bases, &description)?;
    let mut chosen = choice.rows(share.clone());
    let names = bases.first().map(|_| Sorter::new(scratch(args)));
    let mut rows = Rows::new(args, writer, (&mut chosen, share.len()), names, left_out)?;
    make::say_size(args, &kept, &limits, rows.to_do(), choice.rows(share.start + rows.done()..share.end));
    let hidden =
        fill((args, &kept), origin, &limits, &bases, chosen, &mut rows).inspect_err(|_| say_kept(args, &rows))?;
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

/// The shard to write.
fn out(args: &BuildArgs, partition: Option<Partition>) -> anyhow::Result<PathBuf> {
    match partition {
        Some(partition) => Ok(partition.named(&args.out)),
        None if args.out.to_string_lossy().contains(NUMBER) => {
            bail!("--out {}: {NUMBER} stands for the number of a partition, expected --partition", args.out.display())
        }
        None => Ok(args.out.clone()),
    }
}

/// Where temporary files go: beside the output, which is not in memory, as the system's folder for them may be.
fn scratch(args: &BuildArgs) -> &Path {
    args.out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads the poses and the split, and sees that a matrix has a row for each pose.
fn choose(args: &BuildArgs, origin: &Origin, limits: &DecodeLimits) -> anyhow::Result<Choice> {
    let scratch = scratch(args);
    if matches!(origin, Origin::Nowhere) {
        return Choice::make(Inputs::none(Path::new(""), scratch), None, &[], scratch);
    }
    let mut inputs = Inputs::read(args, limits, scratch)?;
    let split = args.split.as_deref().map(|path| SplitKeys::read(path, &mut inputs.roles, scratch)).transpose()?;
    if let Origin::Vectors { reader, .. } = origin {
        make::check_rows(reader, &inputs)?;
    }
    Choice::make(inputs, split, &args.role, scratch)
}

/// Names the rows of the CSV files that have no pose that can be used. Of several partitions the first one names them,
/// so that they are counted once; with `--strict` each one stops at them.
fn unusable(args: &BuildArgs, choice: &Choice, partition: Option<Partition>) -> anyhow::Result<LeftOut> {
    let mut left_out = LeftOut::new(args.strict, scratch(args));
    if !args.strict && partition.is_some_and(|partition| partition.index > 0) {
        return Ok(left_out);
    }
    let quiet = Progress::new("reading", 0);
    choice.for_each_unusable(|refused| left_out.add(refused, &quiet))?;
    Ok(left_out)
}

/// The partition's share of the chosen rows.
fn share(all: usize, partition: Option<Partition>) -> anyhow::Result<Range<usize>> {
    let Some(partition) = partition else { return Ok(0..all) };
    let share = partition.range(all);
    if share.is_empty() {
        bail!("--partition {partition}: expected at least one row in each partition, found {all} rows in all");
    }
    Ok(share)
}

/// The writer, which goes on where the same build was stopped.
fn writer(
    args: &BuildArgs,
    (choice, share): (&Choice, Range<usize>),
    bases: &Bases,
    description: &ShardDescription,
) -> anyhow::Result<ShardWriter> {
    if args.afresh {
        forget(args, description)?;
    }
    let options = WriterOptions {
        layout: args.layout.choice(share.len() as u64),
        threads: make::threads(args),
        plan: Some(plan::plan(args, choice.rows(share), bases)?),
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
    (args, kept): (&BuildArgs, &Kept),
    origin: Origin,
    limits: &DecodeLimits,
    bases: &Bases,
    to_do: impl Iterator<Item = io::Result<InputRow>>,
    rows: &mut Rows<'_>,
) -> anyhow::Result<Vec<Hidden>> {
    match origin {
        Origin::Pictures(encoder) => make::embed(args, (&encoder, kept), limits, to_do, rows)?,
        Origin::Vectors { reader, .. } => make::copy(args, (reader, kept), limits, to_do, rows)?,
        Origin::Nowhere => {}
    }
    let Some(names) = rows.take_names() else { return Ok(Vec::new()) };
    let (hidden, refused) = bases.hidden(&names, scratch(args))?;
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
