//! The encoder: its manifest reads, its files are there, a runtime loads it and reproduces its golden vectors.

use std::path::Path;

use geolocated::service::Settings;
use quantized_models::{Encoder, Manifest};

use super::finding::Finding;
use crate::verbs::models::manifest_files::{self, Flaw};

const PULL_AGAIN: &str = "add or pull the model again; `geolocate models verify` checks a copy";

pub(super) fn findings(settings: &Settings, encoder: &Path, full: bool) -> Vec<Finding> {
    let manifest = match Manifest::load(encoder) {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::wrong("model", error, PULL_AGAIN)],
    };
    let flaws = flaws(&manifest, full);
    if !flaws.is_empty() {
        return flaws.into_iter().map(|flaw| Finding::wrong("model", flaw, PULL_AGAIN)).collect();
    }
    let about = format!("{}: {}, licence {}", manifest.path().display(), manifest.name(), manifest.licence());
    let what = if full { "every file as the manifest says" } else { "all files are there" };
    let model = Finding::good("model", format!("{about}, {what}"));
    let runtime = match Encoder::load(&manifest, &settings.load) {
        Ok(encoder) => Finding::good("runtime", format!("{} reproduces its golden vectors", encoder.runtime().label())),
        Err(error) => Finding::wrong("runtime", error, "install what is missing, or take a variant for this device"),
    };
    vec![model, runtime]
}

/// What is wrong with the files of a model; without `full` only whether they are there.
fn flaws(manifest: &Manifest, full: bool) -> Vec<String> {
    let folder = manifest.folder();
    let files = manifest_files::files(manifest);
    let flaw = |file: &manifest_files::ModelFile| {
        let sha256 = file.sha256.as_deref().filter(|_| full);
        manifest_files::check(&folder.join(&file.path), sha256, &mut |_| {}).err().map(Flaw::into_error)
    };
    files.iter().filter_map(flaw).map(|error| crate::cli::one_line(&error)).collect()
}
