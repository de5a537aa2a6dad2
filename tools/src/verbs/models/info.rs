//! `geolocate models info`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use quantized_models::{ComparatorManifest, Manifest};
use serde::Serialize;

use super::held::{Held, bytes_below, shown_bytes};
use super::manifest_files::{self, length};
use super::pull::record::PulledRecord;
use super::{ModelsFolder, home};
use crate::catalog::{CatalogEntry, find};
use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Says what a model is: space, sizes, files, order of runtimes, licence, where it comes from.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate models info siglip-base-patch16-224")]
pub(super) struct InfoArgs {
    /// A name in the folder of models or in the catalog, or a model's folder or manifest
    #[arg(value_name = "MODEL")]
    model: PathBuf,
}

/// All that is known of one model.
#[derive(Debug, Serialize)]
struct Info {
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pulled: Option<PulledRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<CatalogEntry>,
}

/// What a manifest says.
#[derive(Debug, Serialize)]
struct ModelPart {
    kind: &'static str,
    name: String,
    licence: String,
    source: String,
    /// Of an encoder.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    space: Option<SpacePart>,
    /// Of a comparator.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    comparator: Option<ComparatorPart>,
    width: u32,
    height: u32,
    /// Preferred first.
    runtimes: Vec<String>,
    files: Vec<FilePart>,
}

#[derive(Debug, Serialize)]
struct SpacePart {
    space: String,
    dimensions: usize,
}

/// What a comparator has instead of a space.
#[derive(Debug, Serialize)]
struct ComparatorPart {
    /// Tokens of one picture, and numbers of each.
    tokens: [usize; 2],
    /// What it can be asked.
    questions: Vec<&'static str>,
    /// How many candidates a list takes.
    longest_list: usize,
    blocks_independent: bool,
    trained: bool,
}

#[derive(Debug, Serialize)]
struct FilePart {
    path: PathBuf,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such model, or it does not read.
pub(super) fn run(args: &InfoArgs, models: &home::ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let info = info(&args.model, models)?;
    if json != Some(&JsonTarget::Stdout) {
        say(json, &info.text())?;
    }
    if let Some(json) = json {
        json.write(&info)?;
    }
    Ok(Status::Done)
}

fn info(model: &Path, models: &ModelsFolder) -> anyhow::Result<Info> {
    let path = models.resolve(model)?;
    let name = model.file_name().unwrap_or(model.as_os_str()).to_string_lossy().into_owned();
    let catalog = find(&name)?;
    let held = Held::of(&path);
    let mut info =
        Info { name, state: held.state(), path: Some(path.clone()), bytes: None, model: None, pulled: None, catalog };
    match held {
        Held::Broken(error) => bail!("{error}"),
        Held::Nothing if info.catalog.is_some() && !path.exists() => {
            (info.state, info.path) = ("available", None);
            return Ok(info);
        }
        Held::Nothing => bail!("{}: no model there, and none of this name in the catalog", path.display()),
        Held::Ready(manifest) => {
            info.model = Some(ModelPart::new(&manifest));
            info.pulled = PulledRecord::read(manifest.folder())?;
        }
        Held::Comparator(manifest) => {
            info.model = Some(ModelPart::of_comparator(&manifest));
            info.pulled = PulledRecord::read(manifest.folder())?;
        }
        Held::Pulled(record) => info.pulled = Some(*record),
    }
    let folder = if path.is_file() { None } else { Some(path.canonicalize().unwrap_or(path)) };
    info.bytes = match (folder, &info.model) {
        (Some(folder), _) => Some(bytes_below(&folder)),
        (None, model) => model.as_ref().map(|model| model.files.iter().map(|file| file.bytes).sum()),
    };
    Ok(info)
}

impl ModelPart {
    fn new(manifest: &Manifest) -> Self {
        Self {
            kind: "encoder",
            name: manifest.name().to_owned(),
            licence: manifest.licence().to_owned(),
            source: manifest.source().to_owned(),
            space: Some(SpacePart { space: manifest.space().to_string(), dimensions: manifest.dimensions() }),
            comparator: None,
            width: manifest.preprocess().width,
            height: manifest.preprocess().height,
            runtimes: manifest.runtimes().iter().map(ToString::to_string).collect(),
            files: parts(manifest.folder(), manifest_files::files(manifest)),
        }
    }

    fn of_comparator(manifest: &ComparatorManifest) -> Self {
        let comparator = ComparatorPart {
            tokens: manifest.tokens_shape(),
            questions: manifest.questions(),
            longest_list: manifest.longest_list(),
            blocks_independent: manifest.blocks_independent(),
            trained: manifest.trained(),
        };
        Self {
            kind: "comparator",
            name: manifest.name().to_owned(),
            licence: manifest.licence().to_owned(),
            source: manifest.source().to_owned(),
            space: None,
            comparator: Some(comparator),
            width: manifest.preprocess().width,
            height: manifest.preprocess().height,
            runtimes: manifest.runtimes().iter().map(ToString::to_string).collect(),
            files: parts(manifest.folder(), manifest_files::comparator_files(manifest)),
        }
    }
}

fn parts(folder: &Path, files: Vec<manifest_files::ModelFile>) -> Vec<FilePart> {
    let part = |file: manifest_files::ModelFile| FilePart {
        bytes: length(&folder.join(&file.path)),
        path: file.path,
        sha256: file.sha256,
    };
    files.into_iter().map(part).collect()
}

impl ComparatorPart {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let [tokens, width] = self.tokens;
        let blocks = if self.blocks_independent { ", candidates apart from each other" } else { "" };
        let mut lines = vec![("tokens", format!("{tokens} of {width} numbers for each picture{blocks}"))];
        lines.push(("questions", self.questions.join(", ")));
        if !self.trained {
            lines.push(("weights", "random: they show speed and memory and nothing else".to_owned()));
        }
        lines
    }
}

impl Info {
    fn text(&self) -> String {
        let mut lines = vec![("name", self.name.clone()), ("state", self.state.to_owned())];
        lines.extend(self.path.as_ref().map(|path| ("path", path.display().to_string())));
        lines.extend(self.bytes.map(|bytes| ("size", format!("{} ({bytes} bytes)", shown_bytes(bytes)))));
        if let Some(model) = &self.model {
            lines.push(("kind", format!("{}, {}", model.kind, model.name)));
            let space = model.space.as_ref();
            lines.extend(space.map(|part| ("space", format!("{} ({} dimensions)", part.space, part.dimensions))));
            lines.extend(model.comparator.iter().flat_map(ComparatorPart::lines));
            lines.push(("picture", format!("{} x {} pixels", model.width, model.height)));
            lines.push(("licence", model.licence.clone()));
            lines.push(("source", model.source.clone()));
            lines.push(("runtimes", model.runtimes.join(", ")));
            lines.extend(model.files.iter().map(|file| {
                let digest = file.sha256.as_deref().unwrap_or("(no digest)");
                ("file", format!("{:>12}  {digest:64}  {}", file.bytes, file.path.display()))
            }));
        }
        if let Some(pulled) = &self.pulled {
            lines.push(("pulled from", format!("{}, {} at commit {}", pulled.endpoint, pulled.repo, pulled.commit)));
            if self.model.is_none() {
                lines.push(("licence", pulled.licence.clone().unwrap_or_else(|| "(not stated)".to_owned())));
                lines.extend(pulled.file.iter().map(|file| {
                    ("file", format!("{:>12}  {}  {} ({})", file.bytes, file.sha256, file.path, file.digest_from))
                }));
            }
        }
        if let Some(entry) = self.catalog.as_ref().filter(|_| self.model.is_none()) {
            let CatalogEntry { kind, repo, licence, dimensions, input_px, recipe, .. } = entry;
            lines.push(("in catalog", format!("{kind}, {dimensions} dimensions, {input_px} pixels, {licence}")));
            lines.push(("comes from", repo.clone()));
            lines.push(("recipe", recipe.clone()));
        }
        lines.into_iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
    }
}
