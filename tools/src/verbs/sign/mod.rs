//! `geolocate sign`: keys, and generations that devices take.

mod check;
mod generation;
mod golden;
mod keys;

use std::path::PathBuf;

pub(crate) use check::ring;
use clap::{ArgGroup, Args};

use crate::cli::Status;
use crate::output::JsonTarget;
use crate::runtime_args::RuntimeArgs;

/// Makes signing keys, signs a generation of the index, and checks one as a device would.
///
/// A generation is a folder `gen-N`: shards (`*.shard`), and where they are wanted an encoder (`model/`), a calibration
/// (`calibration/`) and golden queries (`golden.json`, `golden/`). Signing writes `manifest.json` and
/// `manifest.json.minisig` into it. Devices take it by a copy into their folder, or over HTTP (docs/updates.md).
///
/// Exit status: 0 done, 3 `--check` found what a device refuses.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["make_key", "secret_key", "check"]))]
#[command(after_help = "Examples:\n  \
    geolocate sign --make-key fleet                      # writes fleet.key and fleet.pub\n  \
    geolocate sign gen-8 --secret-key fleet.key --expires-days 400 --golden 8\n  \
    geolocate sign gen-8 --check --key fleet.pub")]
pub struct SignArgs {
    /// The generation's folder, named gen-N
    #[arg(value_name = "FOLDER", required_unless_present = "make_key")]
    folder: Option<PathBuf>,
    /// Make a pair of keys: NAME.key, which is secret, and NAME.pub, for devices
    #[arg(long, value_name = "NAME", conflicts_with = "folder")]
    make_key: Option<PathBuf>,
    /// Sign with this secret key
    #[arg(long, value_name = "FILE")]
    secret_key: Option<PathBuf>,
    /// Check signature, lengths and digests of a signed folder
    #[arg(long, requires = "key")]
    check: bool,
    /// With --check: public keys that count, as a file or as the key itself
    #[arg(long, value_name = "KEY", num_args = 1..)]
    key: Vec<String>,
    /// A file with the password of the secret key; without one the key is not encrypted
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Number of the generation; the folder's, where it is not said
    #[arg(long, value_name = "N")]
    counter: Option<u64>,
    /// After so many days devices no longer activate it; what is active goes on serving
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    expires_days: u32,
    /// Keys (by their ids) that count no more from this generation on; only those before the signer's in `index.keys`
    #[arg(long, value_name = "ID", num_args = 1..)]
    revoke: Vec<String>,
    /// Make so many golden queries of the shards' own vectors; devices ask them before they switch
    #[arg(long, value_name = "N", default_value_t = 0)]
    golden: usize,
    /// Make golden queries of these pictures too, with the generation's encoder or --encoder
    #[arg(long, value_name = "IMAGE", num_args = 1..)]
    golden_pictures: Vec<PathBuf>,
    /// The encoder of the devices, for --golden-pictures, where the generation brings none
    #[arg(long, value_name = "MODEL")]
    encoder: Option<PathBuf>,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Write what was done as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Runs the verb.
///
/// # Errors
/// Files cannot be read or written, or make no generation.
pub fn run(args: &SignArgs) -> anyhow::Result<Status> {
    match (&args.make_key, &args.folder) {
        (Some(name), _) => keys::make(name, args.password_file.as_deref(), args.json.as_ref()),
        (None, Some(folder)) if args.check => check::run(folder, &args.key, args.json.as_ref()),
        (None, Some(folder)) => generation::run(folder, args),
        (None, None) => anyhow::bail!("expected the folder of a generation"),
    }
}
