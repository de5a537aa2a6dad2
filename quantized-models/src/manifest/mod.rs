//! The manifest of a model (`model.toml`): what it is, which files it has, how pictures are prepared for it.
//!
//! Reading has two stages: the TOML as written ([`document`], unknown keys refused), then [`Manifest`], whose values
//! were checked: names are not empty, sizes are bounded, paths stay in the model's folder. `docs/models.md` lists every
//! key.

pub(crate) mod checks;
pub(crate) mod document;
mod quantization;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::quantization::{ActivationKind, Quantization, WeightKind};

use self::checks::Checks;
use self::document::{Document, Head, from_toml};
use crate::error::ManifestError;
use crate::preprocess::Preprocess;
use crate::runtime::RuntimeKind;

/// The manifest format that this version reads.
const FORMAT: i64 = 1;
/// Longest manifest in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Which vectors may be compared: those of the same space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId(String);

impl SpaceId {
    /// The identifier as the manifest and shards state it, e.g. `siglip-b16-224@26a1d8c06d5b`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpaceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a picture is to a search. Models for cross-view retrieval treat the two in different ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// A picture of the index.
    #[default]
    Reference,
    /// A picture whose place is asked for.
    Query,
}

impl fmt::Display for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Reference => "reference",
            Self::Query => "query",
        })
    }
}

/// Something that references have, and queries too, in their own way or in the same.
#[derive(Debug, Clone)]
pub(crate) struct ByView<T> {
    pub(crate) reference: T,
    pub(crate) query: Option<T>,
}

impl<T> ByView<T> {
    pub(crate) fn of(&self, view: View) -> &T {
        match view {
            View::Reference => &self.reference,
            View::Query => self.query.as_ref().unwrap_or(&self.reference),
        }
    }
}

/// A file of a model and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// The file, joined to the model's folder.
    pub path: PathBuf,
    /// Expected SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The files of a graph.
#[derive(Debug, Clone)]
pub(crate) struct GraphFiles {
    /// The ONNX file.
    pub(crate) graph: FileSpec,
    /// The files of external data that it names.
    pub(crate) data: Vec<FileSpec>,
}

impl GraphFiles {
    /// The graph and its data.
    pub(crate) fn all(&self) -> impl Iterator<Item = &FileSpec> {
        std::iter::once(&self.graph).chain(&self.data)
    }
}

/// The graph of a tower and the names of its ends.
#[derive(Debug, Clone)]
pub(crate) struct GraphSpec {
    /// Graph and data.
    pub(crate) files: GraphFiles,
    /// Name of the input, float32 `[1, 3, height, width]`.
    pub(crate) input: String,
    /// Name of the output, float32 with as many numbers as the space has dimensions.
    pub(crate) output: String,
}

/// A picture whose embedding is known.
#[derive(Debug, Clone)]
pub(crate) struct GoldenSpec {
    /// The picture, joined to the model's folder.
    pub(crate) image: PathBuf,
    /// The expected vector, little-endian float32, joined to the model's folder.
    pub(crate) embedding: PathBuf,
    /// Least cosine between the expected vector and the runtime's, above 0 and at most 1.
    pub(crate) min_cosine: f32,
    /// Which tower it is of.
    pub(crate) view: View,
}

/// A checked description of one encoder.
#[derive(Debug, Clone)]
pub struct Manifest {
    path: PathBuf,
    name: String,
    licence: String,
    source: String,
    trained: bool,
    space: SpaceId,
    dimensions: usize,
    graphs: ByView<GraphSpec>,
    preprocesses: ByView<Preprocess>,
    quantization: Option<Quantization>,
    order: Vec<RuntimeKind>,
    goldens: Vec<GoldenSpec>,
}

impl Manifest {
    /// Reads and checks the manifest of `model`: a folder that holds `model.toml`, or a manifest file. The files that
    /// it names are not opened.
    ///
    /// # Errors
    /// [`ManifestError`]: not readable, not TOML, an unknown, missing or impossible key, another kind than encoder.
    pub fn load(model: &Path) -> Result<Self, ManifestError> {
        let path = manifest_path(model);
        let text = read(&path)?;
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, ManifestError> {
        let check = Checks { path: &path };
        match kind(&path, text)?.as_str() {
            "encoder" => {}
            other => return Err(ManifestError::NotAnEncoder { found: other.to_owned(), path }),
        }
        let document: Document = from_toml(&path, text)?;
        let (space, dimensions) = check.space(document.space)?;
        let graphs = check.graphs(document.graph)?;
        let preprocesses = check.preprocesses(document.preprocess)?;
        let asymmetric = graphs.query.is_some() || preprocesses.query.is_some();
        Ok(Self {
            goldens: check.goldens(document.golden, asymmetric)?,
            name: check.text("name", document.name)?,
            licence: check.text("licence", document.licence)?,
            source: check.text("source", document.source)?,
            quantization: document.quantization.map(|table| check.quantization(table)).transpose()?,
            order: check.order(document.runtime.order)?,
            trained: document.trained,
            space,
            dimensions,
            graphs,
            preprocesses,
            path,
        })
    }

    /// The kind that the manifest of `model` states: `encoder`, `comparator` or `generator`. Nothing else of it is
    /// looked at.
    ///
    /// # Errors
    /// [`ManifestError`]: not readable, not TOML, another format, or another kind than these.
    pub fn kind_of(model: &Path) -> Result<String, ManifestError> {
        let path = manifest_path(model);
        kind(&path, &read(&path)?)
    }

    /// The manifest file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the manifest and all files of the model lie in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// Name of this variant of the model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Licence of the weights, as an SPDX expression where there is one.
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// Where the weights come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the weights were trained. Others are random and show speed and memory alone.
    #[must_use]
    pub fn trained(&self) -> bool {
        self.trained
    }

    /// The space of the model's vectors.
    #[must_use]
    pub fn space(&self) -> &SpaceId {
        &self.space
    }

    /// Width of an embedding.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Expected SHA-256 of the graph file for references, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn graph_sha256(&self) -> &str {
        &self.graphs.reference.files.graph.sha256
    }

    /// Every file of the model that has a digest: graphs and their external data, each once.
    #[must_use]
    pub fn files(&self) -> Vec<&FileSpec> {
        let towers = std::iter::once(&self.graphs.reference).chain(&self.graphs.query);
        let mut files: Vec<&FileSpec> = Vec::new();
        for file in towers.flat_map(|tower| tower.files.all()) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        files
    }

    /// How references are prepared for the model.
    #[must_use]
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocesses.reference
    }

    /// How pictures of one view are prepared for the model.
    #[must_use]
    pub fn preprocess_of(&self, view: View) -> &Preprocess {
        self.preprocesses.of(view)
    }

    /// Whether queries have a graph or a preprocessing of their own.
    #[must_use]
    pub fn is_asymmetric(&self) -> bool {
        self.graphs.query.is_some() || self.preprocesses.query.is_some()
    }

    /// How the graph was quantized, if it was.
    #[must_use]
    pub fn quantization(&self) -> Option<&Quantization> {
        self.quantization.as_ref()
    }

    /// The runtimes that may run the model, preferred first; at least one.
    #[must_use]
    pub fn runtimes(&self) -> &[RuntimeKind] {
        &self.order
    }

    /// The golden pictures with their expected vectors, as paths.
    pub fn golden_files(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.goldens.iter().map(|golden| (golden.image.as_path(), golden.embedding.as_path()))
    }

    pub(crate) fn graphs(&self) -> &ByView<GraphSpec> {
        &self.graphs
    }

    /// At least two of each view that has a tower.
    pub(crate) fn goldens(&self) -> &[GoldenSpec] {
        &self.goldens
    }
}

/// The folder of a manifest file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The manifest file of a model that is named by its folder or by that file.
pub(crate) fn manifest_path(model: &Path) -> PathBuf {
    if model.is_dir() { model.join("model.toml") } else { model.to_path_buf() }
}

/// The text of a manifest file, which is no longer than a manifest can be.
pub(crate) fn read(path: &Path) -> Result<String, ManifestError> {
    let failed = |source| ManifestError::Read { path: path.to_path_buf(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_BYTES {
        let (expected, found) = (format!("at most {MAX_BYTES} bytes"), format!("{bytes} bytes"));
        return Err(ManifestError::Value { path: path.to_path_buf(), key: "the file".to_owned(), expected, found });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// The kind, of a format that this version reads.
pub(crate) fn kind(path: &Path, text: &str) -> Result<String, ManifestError> {
    let head: Head = from_toml(path, text)?;
    let check = Checks { path };
    check.that("format", head.format == FORMAT, FORMAT.to_string(), head.format.to_string())?;
    match head.kind.as_str() {
        "encoder" | "comparator" | "generator" => Ok(head.kind),
        other => Err(check.value("kind", "encoder, comparator or generator", format!("\"{other}\""))),
    }
}
