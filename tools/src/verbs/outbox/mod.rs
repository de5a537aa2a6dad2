//! `geolocate outbox`: fixes of a device that has no link, taken from it by hand.

mod ack;
mod export;
mod form;
mod form_gpx;

use clap::{Args, Subcommand};

use crate::cli::Status;
use crate::output::JsonTarget;

/// Takes fixes out of the outbox of a device that has no link, and clears what was taken.
///
/// The outbox is the folder `outbox` in the daemon's state_dir. `export` works whether the daemon runs or not and
/// changes nothing; `ack` needs a daemon that does not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    geolocate outbox export --state-dir /var/lib/geolocated --out /media/stick/fixes.ndjson --json receipt.json\n  \
    geolocate outbox export --state-dir /var/lib/geolocated --format gpx --out flight.gpx\n  \
    geolocate outbox ack --state-dir /var/lib/geolocated --receipt receipt.json\n  \
    geolocate outbox ack --state-dir /var/lib/geolocated --boot 7 --to-seq 1200")]
pub struct OutboxArgs {
    /// What to do
    #[command(subcommand)]
    what: OutboxVerb,
    /// Write what was done as JSON; that of an export is the receipt that `ack` takes
    #[arg(long, global = true, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

#[derive(Debug, Subcommand)]
enum OutboxVerb {
    Export(export::ExportArgs),
    Ack(ack::AckArgs),
}

/// Runs the verb.
///
/// # Errors
/// The outbox is not there or in use, or files cannot be read or written.
pub fn run(args: &OutboxArgs) -> anyhow::Result<Status> {
    match &args.what {
        OutboxVerb::Export(export) => export::run(export, args.json.as_ref()),
        OutboxVerb::Ack(ack) => ack::run(ack, args.json.as_ref()),
    }
}
