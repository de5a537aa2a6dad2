//! `geolocate models verify`.

use std::path::{Path, PathBuf};

use clap::Args;
use quantized_models::{Comparator, ComparatorManifest, Encoder, Manifest};
use serde::Serialize;

use super::ModelsFolder;
use super::held::Held;
use super::manifest_files::{self, Flaw, ModelFile, length};
use super::pull::record::PulledRecord;
use super::transfer_bar::TransferBar;
use crate::cli::Status;
use crate::output::{JsonTarget, say};
use crate::runtime_args::RuntimeArgs;

/// Compares every file of models with its digest, and runs their golden pictures through the model.
///
/// Exit status: 0 all are good, 3 one is damaged or does not reproduce its goldens, 1 one cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate models verify my-encoder")]
pub(super) struct VerifyArgs {
    /// Names in the folder of models, or models' folders or manifests
    #[arg(required = true, value_name = "MODEL")]
    wanted: Vec<PathBuf>,
}

/// What became of one model.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ModelVerdict {
    path: PathBuf,
    pub(crate) good: bool,
    /// Set where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) damaged: Option<bool>,
    pub(crate) errors: Vec<String>,
    files: usize,
    bytes: u64,
    /// What ran the golden pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime: Option<String>,
    /// What the goldens are.
    #[serde(skip)]
    goldens: &'static str,
}

/// Runs the verb.
///
/// # Errors
/// The built-in model is asked for and cannot be had, or the result cannot be written.
pub(super) fn run(args: &VerifyArgs, models: &ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let paths = args.wanted.iter().map(|model| models.resolve(model)).collect::<Result<Vec<_>, _>>()?;
    let verdicts: Vec<ModelVerdict> = paths.iter().map(|path| verdict(path)).collect();
    for verdict in &verdicts {
        verdict.errors.iter().for_each(|error| eprintln!("geolocate: {error}"));
        if verdict.good {
            let goldens = match &verdict.runtime {
                Some(runtime) => format!(", golden {} reproduced by {runtime}", verdict.goldens),
                None => String::new(),
            };
            say(json, &format!("{}: good, {} files{goldens}\n", verdict.path.display(), verdict.files))?;
        }
    }
    if let Some(json) = json {
        json.write(&verdicts)?;
    }
    Ok(if verdicts.iter().any(|verdict| verdict.damaged.is_none()) {
        Status::Failed
    } else if verdicts.iter().all(|verdict| verdict.good) {
        Status::Done
    } else {
        Status::RequirementFailed
    })
}

/// Verifies the model at a path.
pub(crate) fn verdict(path: &Path) -> ModelVerdict {
    let verdict = ModelVerdict { path: path.to_owned(), damaged: Some(false), ..ModelVerdict::default() };
    match Held::of(path) {
        Held::Ready(manifest) => verdict.of_encoder(&manifest),
        Held::Comparator(manifest) => verdict.of_comparator(&manifest),
        Held::Pulled(record) => verdict.of_pulled(path, &record).closed(),
        Held::Broken(error) => verdict.with(Flaw::Damaged(error)).closed(),
        Held::Nothing => {
            let error =
                anyhow::anyhow!("{}: expected a model, found neither model.toml nor pulled.toml", path.display());
            verdict.with(Flaw::Unreadable(error)).closed()
        }
    }
}

impl ModelVerdict {
    fn of_encoder(mut self, manifest: &Manifest) -> Self {
        self.goldens = "vectors";
        self.of_model(manifest.folder(), &manifest_files::files(manifest), || {
            let encoder = Encoder::load(manifest, &RuntimeArgs::default().options(1));
            encoder.map(|encoder| encoder.runtime().label()).map_err(|error| error.to_string())
        })
    }

    fn of_comparator(mut self, manifest: &ComparatorManifest) -> Self {
        self.goldens = "margins";
        self.of_model(manifest.folder(), &manifest_files::comparator_files(manifest), || {
            let comparator = Comparator::load(manifest, &RuntimeArgs::default().options(1));
            comparator.map(|comparator| comparator.runtime().label()).map_err(|error| error.to_string())
        })
    }

    fn of_model(mut self, folder: &Path, files: &[ModelFile], run: impl FnOnce() -> Result<String, String>) -> Self {
        if let Ok(Some(record)) = PulledRecord::read(folder) {
            self = self.of_pulled(folder, &record);
        }
        let known = files.iter().map(|file| (folder.join(&file.path), file.sha256.as_deref()));
        self = self.of_files(known.collect());
        if self.errors.is_empty() {
            // The digests are right: what fails now is a runtime, or a model that never was right.
            match run() {
                Ok(runtime) => self.runtime = Some(runtime),
                Err(error) => self = self.with(Flaw::Damaged(error)),
            }
        }
        self.closed()
    }

    fn of_pulled(self, folder: &Path, record: &PulledRecord) -> Self {
        let files = record.file.iter().map(|file| (folder.join(&file.path), Some(file.sha256.as_str())));
        self.of_files(files.collect())
    }

    fn of_files(mut self, files: Vec<(PathBuf, Option<&str>)>) -> Self {
        let bytes = files.iter().map(|(path, _)| length(path)).sum();
        let bar = TransferBar::new("verifying", bytes);
        (self.files, self.bytes) = (files.len().max(self.files), bytes.max(self.bytes));
        for (path, sha256) in files {
            if let Err(flaw) = manifest_files::check(&path, sha256, &mut |bytes| bar.add(bytes)) {
                self = self.with(flaw);
            }
        }
        self
    }

    fn with(mut self, flaw: Flaw) -> Self {
        match flaw {
            Flaw::Damaged(error) => {
                self.damaged = self.damaged.map(|_| true);
                self.errors.push(error);
            }
            Flaw::Unreadable(error) => {
                self.damaged = None;
                self.errors.push(crate::cli::one_line(&error));
            }
        }
        self
    }

    fn closed(mut self) -> Self {
        self.errors.dedup();
        self.good = self.errors.is_empty();
        self
    }
}
