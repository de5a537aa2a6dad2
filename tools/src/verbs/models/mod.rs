//! `geolocate models`: which models there are, getting them, and whether they are as they should be.

mod add;
mod bench;
mod bench_comparators;
mod held;
mod home;
mod info;
mod list;
pub mod manifest_files;
pub mod names;
mod prepare;
mod publish;
mod pull;
mod recipe;
mod transfer_bar;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use self::held::shown_bytes;
pub use self::home::ModelsFolder;
use crate::cli::Status;
use crate::output::JsonTarget;

/// Lists, adds, pulls, prepares, verifies, measures and describes models.
///
/// Models lie in one folder: --models, else GEOLOCATED_MODELS, else geolocated/models below XDG_DATA_HOME
/// (~/.local/share). MODEL is a name in it, or the path of a model's folder or manifest, or mini: the small encoder that
/// is a part of this program.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate models list\n  \
    geolocate models pull siglip-base-patch16-224\n  \
    geolocate models pull google/siglip-base-patch16-224 --revision main --out siglip\n  \
    geolocate models add ./my-encoder && geolocate models verify my-encoder")]
pub struct ModelsArgs {
    /// What to do
    #[command(subcommand)]
    what: ModelsVerb,
    /// The folder of models
    #[arg(long, global = true, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Write the result as JSON
    #[arg(long, global = true, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

#[derive(Debug, Subcommand)]
enum ModelsVerb {
    List(list::ListArgs),
    Add(add::AddArgs),
    Pull(Box<pull::PullArgs>),
    Verify(verify::VerifyArgs),
    Info(info::InfoArgs),
    Prepare(Box<prepare::PrepareArgs>),
    Bench(bench::BenchArgs),
}

/// Runs the verb.
///
/// # Errors
/// There is no such model, or it cannot be read, fetched or written.
pub fn run(args: &ModelsArgs) -> anyhow::Result<Status> {
    let models = ModelsFolder::find(args.models.as_deref());
    let json = args.json.as_ref();
    match &args.what {
        ModelsVerb::List(_) => list::run(&models, json),
        ModelsVerb::Add(add) => add::run(add, &models, json),
        ModelsVerb::Pull(pull) => pull::run(pull, &models, json),
        ModelsVerb::Verify(verify) => verify::run(verify, &models, json),
        ModelsVerb::Info(info) => info::run(info, &models, json),
        ModelsVerb::Prepare(prepare) => prepare::run(prepare, &models, json),
        ModelsVerb::Bench(bench) => bench::run(bench, &models, json),
    }
}
