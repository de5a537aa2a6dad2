//! `geolocate inspect`: what a shard says about itself, or about one of its references.

mod row;
mod whole;

use std::path::PathBuf;

use clap::Args;
use index_shards::Shard;
use serde::Serialize;

use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Shows what a shard says about itself: rows, space, encoder, region, licence, layout, sections and what they are for;
/// or, with --row, one of its references.
///
/// Only what is shown is read and checked; `geolocate verify` checks every byte.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate inspect reference.shard --json -\n  \
    geolocate inspect reference.shard --row 17 --blob 17.jpg")]
pub struct InspectArgs {
    /// Shard to look at
    #[arg(value_name = "FILE.shard")]
    shard: PathBuf,
    /// Show the reference at this position in the order given to `build`, as `search` names rows
    #[arg(long, value_name = "POSITION")]
    row: Option<u32>,
    /// Write that reference's blob, a thumbnail for example, to a file
    #[arg(long, value_name = "FILE", requires = "row")]
    blob: Option<PathBuf>,
    /// Write the same as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Runs the verb.
///
/// # Errors
/// The shard cannot be opened or is damaged where it is looked at; there is no such reference, or it has no blob; the
/// result cannot be written.
pub fn run(args: &InspectArgs) -> anyhow::Result<Status> {
    let shard = Shard::open(&args.shard)?;
    match args.row {
        None => {
            let whole = whole::Inspection::new(&args.shard, &shard)?;
            show(args, &whole.text(), &whole)
        }
        Some(position) => {
            let row = row::RowPart::find(&shard, position)?;
            if let Some(file) = &args.blob {
                row.write_blob(&shard, file)?;
            }
            show(args, &row.text(), &row)
        }
    }
}

fn show(args: &InspectArgs, text: &str, value: &impl Serialize) -> anyhow::Result<Status> {
    if args.json != Some(JsonTarget::Stdout) {
        say(args.json.as_ref(), text)?;
    }
    if let Some(json) = &args.json {
        json.write(value)?;
    }
    Ok(Status::Done)
}

/// Lines of a name and a value, the values below each other.
fn lines(pairs: impl IntoIterator<Item = (&'static str, String)>) -> String {
    pairs.into_iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect()
}
