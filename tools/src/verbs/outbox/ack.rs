//! `geolocate outbox ack`.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{ArgGroup, Args};
use geolocated::service::{Selection, SeqRange, clear_outbox};
use serde::Serialize;

use super::export::{RECEIPT_SCHEMA, Receipt};
use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Clears fixes from the outbox, as if a broker had taken them; the daemon must not run.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("selection").required(true).args(["receipt", "boot", "all"]))]
pub(super) struct AckArgs {
    /// The daemon's state_dir
    #[arg(long, value_name = "DIR")]
    state_dir: PathBuf,
    /// Those of an export, by what its `--json` wrote
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Those of this start of the daemon
    #[arg(long, value_name = "N")]
    boot: Option<u64>,
    /// With `--boot`: from this number on
    #[arg(long, value_name = "N", requires = "boot")]
    from_seq: Option<u64>,
    /// With `--boot`: up to this number
    #[arg(long, value_name = "N", requires = "boot")]
    to_seq: Option<u64>,
    /// All that wait
    #[arg(long)]
    all: bool,
}

/// What was cleared.
#[derive(Debug, Serialize)]
struct Cleared {
    cleared: u64,
}

/// Runs the verb.
///
/// # Errors
/// The receipt cannot be read, or the outbox is in use or cannot be written.
pub(super) fn run(args: &AckArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let selection = match (&args.receipt, args.boot) {
        (Some(receipt), _) => Selection::Ranges(read(receipt)?.exported),
        (None, Some(boot)) => {
            let (from_seq, to_seq) = (args.from_seq.unwrap_or(0), args.to_seq.unwrap_or(u64::MAX));
            Selection::Ranges(vec![SeqRange { boot, from_seq, to_seq }])
        }
        (None, None) => Selection::All,
    };
    let cleared = clear_outbox(&args.state_dir, &selection)?;
    say(json, &format!("{}: {cleared} fixes cleared\n", args.state_dir.display()))?;
    if let Some(json) = json {
        json.write(&Cleared { cleared })?;
    }
    Ok(Status::Done)
}

fn read(path: &Path) -> anyhow::Result<Receipt> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let receipt: Receipt = serde_json::from_str(&text)
        .with_context(|| format!("{}: not the receipt of `geolocate outbox export --json`", path.display()))?;
    let found = receipt.schema;
    ensure!(found == RECEIPT_SCHEMA, "{}: expected schema {RECEIPT_SCHEMA}, found {found}", path.display());
    Ok(receipt)
}
