//! `geolocate bundle`: one archive that installs on a device without a network.

mod contents;
mod make;
mod verify;

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::cli::Status;
use crate::output::JsonTarget;

/// Makes one archive (tar.zst) of everything that a device needs, or checks one.
///
/// In it: the programs, ONNX Runtime's library, models, a signed generation, unit, account and folders for systemd,
/// settings, and `install.sh`, which needs no network. The same inputs give the same bytes. Times in it are those of
/// SOURCE_DATE_EPOCH, else 1970.
///
/// Exit status: 0 done, 3 `--verify` found damage.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["out", "verify"]))]
#[command(after_help = "Examples:\n  \
    geolocate bundle --model models/my-encoder --generation gen-8 --key fleet.pub --config drone-7.toml \
    --out drone-7.tar.zst\n  \
    geolocate bundle --verify drone-7.tar.zst --key fleet.pub\n\
    On the device: zstd -dc drone-7.tar.zst | tar -x && sudo sh geolocated/install.sh")]
pub struct BundleArgs {
    /// Where the archive goes
    #[arg(long, value_name = "FILE.tar.zst")]
    out: Option<PathBuf>,
    /// Check this archive: every file as it was put in, the generation signed by --key
    #[arg(long, value_name = "FILE.tar.zst", conflicts_with_all = ["model", "generation", "config", "programs", "runtime_library"])]
    verify: Option<PathBuf>,
    /// Folder of a model, which becomes /var/lib/geolocated/models/NAME; may be repeated
    #[arg(long, value_name = "DIR")]
    model: Vec<PathBuf>,
    /// A signed generation, which becomes /var/lib/geolocated/index/gen-N
    #[arg(long, value_name = "DIR", requires = "key")]
    generation: Option<PathBuf>,
    /// Public keys that the generation must be signed by one of, as a file or as the key itself
    #[arg(long, value_name = "KEY", num_args = 1..)]
    key: Vec<String>,
    /// Settings for the device; an example, where none are given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with the programs geolocated and geolocate for the device; this program's own, where none is given
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// ONNX Runtime's library for the device; those beside the programs, where none is given
    #[arg(long, value_name = "FILE")]
    runtime_library: Option<PathBuf>,
    /// Write what was done as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Runs the verb.
///
/// # Errors
/// Files cannot be read or written, or do not hold.
pub fn run(args: &BundleArgs) -> anyhow::Result<Status> {
    match (&args.out, &args.verify) {
        (Some(out), _) => make::run(out, args),
        (None, Some(archive)) => verify::run(archive, args),
        (None, None) => anyhow::bail!("expected --out or --verify"),
    }
}
