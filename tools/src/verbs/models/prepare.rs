//! `geolocate models prepare`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use quantized_models::{Comparator, ComparatorManifest, Encoder, LoadOptions, Manifest, PackedIn, WeightsAt};
use serde::Serialize;

use super::ModelsFolder;
use super::held::Held;
use super::recipe::{Recipe, RecipeArgs};
use crate::cli::Status;
use crate::output::{JsonTarget, say};
use crate::runtime_args::{LoadingBar, RuntimeArgs};

/// Makes a model ready to run on this device: packs its weights for this CPU and checks its golden pictures.
///
/// Packed weights are put into `packed/` in the model's folder, where every process finds them; where that cannot be
/// written, into the user's cache. Of weights that were pulled in their author's format, model folders are made first, by
/// the recipes, in a Python environment that only this step needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate models prepare my-encoder\n  \
    geolocate models prepare siglip-base-patch16-224 --recipes quantized-models/recipes \\\n    \
    --python target/recipes-env/bin/python -- --variants fp32,int8 --pictures photos/")]
pub(super) struct PrepareArgs {
    /// A name in the folder of models, or a model's folder or manifest
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
}

/// What was prepared.
#[derive(Debug, Serialize)]
struct Prepared {
    path: PathBuf,
    space: String,
    runtime: String,
    weights: WeightsAt,
    /// Smallest cosine of a golden picture to its expected vector.
    golden_cosine: f32,
}

/// Runs the verb.
///
/// # Errors
/// There is no such model, a recipe refuses it, or it cannot be prepared.
pub(super) fn run(args: &PrepareArgs, models: &ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let path = models.resolve(&args.model)?;
    let ready = match Held::of(&path) {
        Held::Ready(manifest) => vec![*manifest],
        Held::Pulled(record) => {
            let made = Recipe::of(&path, &record, &args.recipe, models.path())?.run()?;
            let is_comparator = |folder: &PathBuf| Manifest::kind_of(folder).is_ok_and(|kind| kind == "comparator");
            if made.iter().any(is_comparator) {
                let made = made.iter().map(|folder| ComparatorManifest::load(folder)).collect::<Result<Vec<_>, _>>()?;
                return comparators(&made, &options(&args.runtime), json);
            }
            made.iter().map(|folder| Manifest::load(folder)).collect::<Result<_, _>>()?
        }
        Held::Comparator(manifest) => return comparators(&[*manifest], &options(&args.runtime), json),
        Held::Broken(error) => bail!("{error}"),
        Held::Nothing => {
            bail!("{}: expected a model, found neither model.toml nor pulled.toml", path.display())
        }
    };
    let options = options(&args.runtime);
    let mut prepared = Vec::new();
    for manifest in &ready {
        let done = prepare(manifest, &options)?;
        let place = place(done.weights);
        let golden = format!("golden cosine {:.5}", done.golden_cosine);
        say(json, &format!("{}: ready on {}, {place}, {golden}\n", done.path.display(), done.runtime))?;
        prepared.push(done);
    }
    if let Some(json) = json {
        json.write(&prepared)?;
    }
    Ok(Status::Done)
}

/// What was prepared of a comparator.
#[derive(Debug, Serialize)]
struct PreparedComparator {
    path: PathBuf,
    producer: String,
    runtime: String,
    weights: WeightsAt,
    /// Largest difference of a golden margin to the expected one.
    margin_error: f32,
}

fn comparators(
    manifests: &[ComparatorManifest],
    options: &LoadOptions,
    json: Option<&JsonTarget>,
) -> anyhow::Result<Status> {
    let mut prepared = Vec::new();
    for manifest in manifests {
        let mut bar = LoadingBar::new();
        let comparator = Comparator::prepare(manifest, options, &mut |progress| bar.show(progress))?;
        drop(bar);
        let done = PreparedComparator {
            path: shown(manifest.folder())?,
            producer: comparator.producer().to_owned(),
            runtime: comparator.runtime().label(),
            weights: comparator.runtime().weights,
            margin_error: comparator.margin_error(),
        };
        let (path, golden) = (done.path.display(), format!("golden margins within {:.5}", done.margin_error));
        say(json, &format!("{path}: ready on {}, {}, {golden}\n", done.runtime, place(done.weights)))?;
        prepared.push(done);
    }
    if let Some(json) = json {
        json.write(&prepared)?;
    }
    Ok(Status::Done)
}

fn place(weights: WeightsAt) -> &'static str {
    match weights {
        WeightsAt::Mapped => "weights packed and mapped",
        WeightsAt::MappedAndCopied => "weights mapped, with copies in memory",
        WeightsAt::Own => "weights in memory",
    }
}

/// The model's own folder comes first: what is prepared there serves every user of the model.
fn options(runtime: &RuntimeArgs) -> LoadOptions {
    let mut options = runtime.options(1);
    options.packed.sort_by_key(|place| *place != PackedIn::ModelFolder);
    options
}

fn prepare(manifest: &Manifest, options: &LoadOptions) -> anyhow::Result<Prepared> {
    let mut bar = LoadingBar::new();
    let encoder = Encoder::prepare(manifest, options, &mut |progress| bar.show(progress))?;
    drop(bar);
    Ok(Prepared {
        path: shown(manifest.folder())?,
        space: manifest.space().to_string(),
        runtime: encoder.runtime().label(),
        weights: encoder.runtime().weights,
        golden_cosine: encoder.golden_cosine(),
    })
}

fn shown(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(folder).with_context(|| format!("{}: cannot be read", folder.display()))
}
