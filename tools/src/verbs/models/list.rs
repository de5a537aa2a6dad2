//! `geolocate models list`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::ModelsFolder;
use super::held::{Held, bytes_below, shown_bytes};
use super::publish::ENDING;
use crate::builtin::BuiltIn;
use crate::catalog::{CatalogEntry, catalog};
use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Lists the models in the folder of models, and the public ones that can be pulled by name.
///
/// States: built-in (a part of this program), ready (has a manifest that reads), pulled (files of a public model, of
/// which an encoder is still to be made), unfinished (being pulled, or to be gone on with), damaged (neither manifest nor
/// record reads), available (in the catalog).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate models list --json -")]
pub(super) struct ListArgs {}

/// One model.
#[derive(Debug, Default, Serialize)]
struct Listed {
    name: String,
    state: &'static str,
    /// `encoder` or `comparator`, of models that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_px: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct List {
    folder: PathBuf,
    models: Vec<Listed>,
}

/// Runs the verb.
///
/// # Errors
/// The folder is there and cannot be read, or the list cannot be written.
pub(super) fn run(models: &ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let mut found = in_folder(models.path())?;
    for model in BuiltIn::all() {
        // Before a folder of this name: the name is reserved.
        found.insert(model.name.to_owned(), built_in(model));
    }
    for entry in catalog()? {
        found.entry(entry.name.clone()).or_insert_with(|| available(&entry));
    }
    let list = List { folder: models.path().to_owned(), models: found.into_values().collect() };
    if json != Some(&JsonTarget::Stdout) {
        say(json, &text(&list))?;
    }
    if let Some(json) = json {
        json.write(&list)?;
    }
    Ok(Status::Done)
}

fn in_folder(folder: &Path) -> anyhow::Result<BTreeMap<String, Listed>> {
    let mut found = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", folder.display())),
    };
    for entry in entries {
        let entry = entry?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let unfinished = name.strip_prefix('.').and_then(|name| name.strip_suffix(ENDING));
        if let Some((name, _)) = unfinished.and_then(|name| name.rsplit_once('.')) {
            let bytes = Some(bytes_below(&path));
            let path = Some(path);
            let listed = Listed { name: name.to_owned(), state: "unfinished", path, bytes, ..Listed::default() };
            found.entry(name.to_owned()).or_insert(listed);
        } else if !name.starts_with('.') && path.is_dir() {
            found.insert(name.clone(), held(name, path));
        }
    }
    Ok(found)
}

fn held(name: String, path: PathBuf) -> Listed {
    let held = Held::of(&path);
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    let listed = Listed { name, state: held.state(), bytes: Some(bytes_below(&real)), ..Listed::default() };
    let listed = Listed { path: Some(path), ..listed };
    match held {
        Held::Ready(manifest) => Listed {
            kind: Some("encoder"),
            space: Some(manifest.space().to_string()),
            dimensions: Some(manifest.dimensions()),
            input_px: Some(manifest.preprocess().width.max(manifest.preprocess().height)),
            licence: Some(manifest.licence().to_owned()),
            ..listed
        },
        Held::Comparator(manifest) => Listed {
            kind: Some("comparator"),
            dimensions: manifest.tokens_shape().last().copied(),
            input_px: Some(manifest.preprocess().width.max(manifest.preprocess().height)),
            licence: Some(manifest.licence().to_owned()),
            ..listed
        },
        Held::Pulled(record) => {
            Listed { licence: record.licence, repo: Some(record.repo), commit: Some(record.commit), ..listed }
        }
        Held::Broken(error) => Listed { error: Some(error), ..listed },
        Held::Nothing => Listed { error: Some("neither model.toml nor pulled.toml".to_owned()), ..listed },
    }
}

/// A model that is a part of the program; it is written to the cache to be looked at.
fn built_in(model: BuiltIn) -> Listed {
    let name = model.name.to_owned();
    match model.unpacked() {
        Ok(path) => Listed { state: "built-in", ..held(name, path) },
        Err(error) => {
            let error = Some(error.to_string());
            Listed { name, state: "damaged", error, ..Listed::default() }
        }
    }
}

fn available(entry: &CatalogEntry) -> Listed {
    Listed {
        name: entry.name.clone(),
        state: "available",
        dimensions: Some(entry.dimensions),
        input_px: Some(entry.input_px),
        licence: Some(entry.licence.clone()),
        repo: Some(entry.repo.clone()),
        ..Listed::default()
    }
}

fn text(list: &List) -> String {
    let width = list.models.iter().map(|model| model.name.len()).max().unwrap_or_default();
    let mut text = format!("in {}:\n", list.folder.display());
    for model in &list.models {
        let bytes = model.bytes.map(shown_bytes).unwrap_or_default();
        let kind = model.kind.filter(|kind| *kind != "encoder").map(str::to_owned);
        let about = [kind, model.licence.clone(), model.space.clone(), model.repo.clone(), model.error.clone()];
        let about = about.into_iter().flatten().collect::<Vec<_>>().join("  ");
        text += format!("{:width$}  {:<10} {bytes:>11}  {about}", model.name, model.state).trim_end();
        text.push('\n');
    }
    text
}
