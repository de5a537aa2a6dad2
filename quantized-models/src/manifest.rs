//! The manifest of a model (`model.toml`): what it is, which files it has, how pictures are prepared for it.
//!
//! Reading has two stages: the TOML as written ([`Document`], unknown keys refused), then [`Manifest`], whose values
//! were checked: names are not empty, sizes are bounded, paths stay in the model's folder.

use crate::error::ManifestError;
use crate::preprocess::{Channels, Filter, Preprocess, Resize};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// The manifest format that this version reads.
const FORMAT: i64 = 1;
/// Longest name, licence, source or space in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Widest embedding.
const MAX_DIMENSIONS: usize = 65_536;
/// Longest side of a model's input in pixels.
const MAX_INPUT_SIDE: u32 = 4096;

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

/// A checked description of one encoder.
#[derive(Debug, Clone)]
pub struct Manifest {
    path: PathBuf,
    name: String,
    licence: String,
    source: String,
    space: SpaceId,
    dimensions: usize,
    graph: GraphSpec,
    preprocess: Preprocess,
    goldens: Vec<GoldenSpec>,
}

/// The graph file of a model and the names of its ends.
#[derive(Debug, Clone)]
pub(crate) struct GraphSpec {
    /// The file, joined to the model's folder.
    pub(crate) file: PathBuf,
    /// 64 lower-case hexadecimal digits.
    pub(crate) sha256: String,
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
}

impl Manifest {
    /// Reads and checks the manifest of `model`: a folder that holds `model.toml`, or a manifest file. The files that
    /// it names are not opened.
    ///
    /// # Errors
    /// [`ManifestError`]: not readable, not TOML, an unknown, missing or impossible key, another kind than encoder.
    pub fn load(model: &Path) -> Result<Self, ManifestError> {
        let path = if model.is_dir() { model.join("model.toml") } else { model.to_path_buf() };
        let text =
            std::fs::read_to_string(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, ManifestError> {
        let head: Head = from_toml(&path, text)?;
        let check = Checks { path: &path };
        check.that("format", head.format == FORMAT, FORMAT.to_string(), head.format.to_string())?;
        match head.kind.as_str() {
            "encoder" => {}
            "comparator" | "generator" => return Err(ManifestError::NotAnEncoder { path, found: head.kind }),
            other => return Err(check.value("kind", "encoder, comparator or generator", format!("\"{other}\""))),
        }
        let document: Document = from_toml(&path, text)?;
        let (space, dimensions) = check.space(document.space)?;
        let graph = check.graph(document.graph)?;
        let preprocess = check.preprocess(&document.preprocess)?;
        let goldens = check.goldens(document.golden)?;
        let name = check.text("name", document.name)?;
        let licence = check.text("licence", document.licence)?;
        let source = check.text("source", document.source)?;
        Ok(Self { name, licence, source, space, dimensions, graph, preprocess, goldens, path })
    }

    /// The manifest file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Expected SHA-256 of the graph file, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn graph_sha256(&self) -> &str {
        &self.graph.sha256
    }

    /// How pictures are prepared for the model.
    #[must_use]
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    pub(crate) fn graph(&self) -> &GraphSpec {
        &self.graph
    }

    /// At least two.
    pub(crate) fn goldens(&self) -> &[GoldenSpec] {
        &self.goldens
    }
}

/// The keys that say whether the rest can be read.
#[derive(Deserialize)]
struct Head {
    format: i64,
    kind: String,
}

/// The manifest as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "format")]
    _format: i64,
    #[serde(rename = "kind")]
    _kind: String,
    name: String,
    licence: String,
    source: String,
    space: SpaceTable,
    graph: GraphTable,
    preprocess: PreprocessTable,
    golden: Vec<GoldenTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpaceTable {
    id: String,
    dimensions: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphTable {
    file: String,
    sha256: String,
    input: String,
    output: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreprocessTable {
    width: u32,
    height: u32,
    resize: Resize,
    filter: Filter,
    channels: Channels,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenTable {
    image: String,
    embedding: String,
    min_cosine: f32,
}

/// Reads TOML; errors state line and key.
fn from_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ManifestError> {
    let refuse = |error: &toml::de::Error, key: String| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
        ManifestError::Syntax { path: path.to_path_buf(), line, key, message: error.message().to_owned() }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| refuse(&error, "the file".to_owned()))?;
    serde_path_to_error::deserialize(document).map_err(|error| refuse(error.inner(), error.path().to_string()))
}

/// Checks of values; each error names the file and the key.
struct Checks<'a> {
    path: &'a Path,
}

impl Checks<'_> {
    fn value(&self, key: &str, expected: impl Into<String>, found: impl Into<String>) -> ManifestError {
        ManifestError::Value {
            path: self.path.to_path_buf(),
            key: key.to_owned(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn that(
        &self,
        key: &str,
        holds: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Result<(), ManifestError> {
        if holds { Ok(()) } else { Err(self.value(key, expected, found)) }
    }

    fn text(&self, key: &str, text: String) -> Result<String, ManifestError> {
        let is_plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
        self.that(key, is_plain, "one line of text", format!("{text:?}"))?;
        self.that(
            key,
            text.len() <= MAX_TEXT_BYTES,
            format!("at most {MAX_TEXT_BYTES} bytes"),
            text.len().to_string(),
        )?;
        Ok(text)
    }

    fn space(&self, table: SpaceTable) -> Result<(SpaceId, usize), ManifestError> {
        let dimensions = table.dimensions;
        let in_range = (1..=MAX_DIMENSIONS).contains(&dimensions);
        self.that("space.dimensions", in_range, format!("1 to {MAX_DIMENSIONS}"), dimensions.to_string())?;
        Ok((SpaceId(self.text("space.id", table.id)?), dimensions))
    }

    fn graph(&self, table: GraphTable) -> Result<GraphSpec, ManifestError> {
        let is_digest = table.sha256.len() == 64 && table.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.that("graph.sha256", is_digest, "64 hexadecimal digits", format!("{:?}", table.sha256))?;
        Ok(GraphSpec {
            file: self.file("graph.file", &table.file)?,
            sha256: table.sha256.to_ascii_lowercase(),
            input: self.text("graph.input", table.input)?,
            output: self.text("graph.output", table.output)?,
        })
    }

    fn preprocess(&self, table: &PreprocessTable) -> Result<Preprocess, ManifestError> {
        for (key, side) in [("preprocess.width", table.width), ("preprocess.height", table.height)] {
            let expected = format!("1 to {MAX_INPUT_SIDE} pixels");
            self.that(key, (1..=MAX_INPUT_SIDE).contains(&side), expected, side.to_string())?;
        }
        let [mean, std] = [table.mean, table.std];
        let is_finite = mean.iter().all(|value| value.is_finite());
        self.that("preprocess.mean", is_finite, "three finite numbers", format!("{mean:?}"))?;
        let is_positive = std.iter().all(|value| value.is_finite() && *value > 0.0);
        self.that("preprocess.std", is_positive, "three finite numbers above zero", format!("{std:?}"))?;
        let PreprocessTable { width, height, resize, filter, channels, .. } = *table;
        Ok(Preprocess { width, height, resize, filter, channels, mean, std })
    }

    fn goldens(&self, tables: Vec<GoldenTable>) -> Result<Vec<GoldenSpec>, ManifestError> {
        self.that("golden", tables.len() >= 2, "at least two tables [[golden]]", tables.len().to_string())?;
        tables.into_iter().enumerate().map(|(at, table)| self.golden(at, &table)).collect()
    }

    fn golden(&self, at: usize, table: &GoldenTable) -> Result<GoldenSpec, ManifestError> {
        let in_range = table.min_cosine > 0.0 && table.min_cosine <= 1.0;
        self.that(&format!("golden[{at}].min_cosine"), in_range, "above 0, at most 1", table.min_cosine.to_string())?;
        Ok(GoldenSpec {
            image: self.file(&format!("golden[{at}].image"), &table.image)?,
            embedding: self.file(&format!("golden[{at}].embedding"), &table.embedding)?,
            min_cosine: table.min_cosine,
        })
    }

    /// A path below the manifest's folder, joined to it.
    fn file(&self, key: &str, relative: &str) -> Result<PathBuf, ManifestError> {
        let path = Path::new(relative);
        let stays_inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let names_a_file = path.file_name().is_some() && !relative.contains('\0');
        let expected = "a relative path inside the model's folder";
        self.that(key, stays_inside && names_a_file, expected, format!("{relative:?}"))?;
        Ok(self.path.parent().unwrap_or_else(|| Path::new("")).join(path))
    }
}
