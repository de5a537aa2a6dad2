//! The second stage of a manifest: from what was written to what a model can be.

use std::path::{Component, Path, PathBuf};

use super::document::{DataTable, GoldenTable, GraphTable, PreprocessTable, QuantizationTable, SpaceTable};
use super::{ByView, FileSpec, GoldenSpec, GraphFiles, GraphSpec, Quantization, SpaceId, View};
use crate::error::ManifestError;
use crate::preprocess::{Preprocess, Resize};
use crate::runtime::RuntimeKind;

/// Longest name, licence, source or space in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Widest embedding.
const MAX_DIMENSIONS: usize = 65_536;
/// Longest side of a model's input in pixels.
const MAX_INPUT_SIDE: u32 = 4096;

/// Checks of values; each error names the file and the key.
pub(crate) struct Checks<'a> {
    pub(crate) path: &'a Path,
}

impl Checks<'_> {
    pub(crate) fn value(&self, key: &str, expected: impl Into<String>, found: impl Into<String>) -> ManifestError {
        ManifestError::Value {
            path: self.path.to_path_buf(),
            key: key.to_owned(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn that(
        &self,
        key: &str,
        holds: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Result<(), ManifestError> {
        if holds { Ok(()) } else { Err(self.value(key, expected, found)) }
    }

    pub(crate) fn text(&self, key: &str, text: String) -> Result<String, ManifestError> {
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

    pub(crate) fn digest(&self, key: &str, text: &str) -> Result<String, ManifestError> {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.that(key, is_digest, "64 hexadecimal digits", format!("{text:?}"))?;
        Ok(text.to_ascii_lowercase())
    }

    pub(super) fn space(&self, table: SpaceTable) -> Result<(SpaceId, usize), ManifestError> {
        let dimensions = table.dimensions;
        let in_range = (1..=MAX_DIMENSIONS).contains(&dimensions);
        self.that("space.dimensions", in_range, format!("1 to {MAX_DIMENSIONS}"), dimensions.to_string())?;
        Ok((SpaceId(self.text("space.id", table.id)?), dimensions))
    }

    pub(super) fn graphs(&self, mut table: GraphTable) -> Result<ByView<GraphSpec>, ManifestError> {
        let query = table.query.take().map(|query| self.graph("graph.query", *query)).transpose()?;
        Ok(ByView { reference: self.graph("graph", table)?, query })
    }

    fn graph(&self, key: &str, table: GraphTable) -> Result<GraphSpec, ManifestError> {
        self.that(&format!("{key}.query"), table.query.is_none(), "no further tower", "a table")?;
        Ok(GraphSpec {
            files: self.graph_files(key, &table.file, &table.sha256, &table.data)?,
            input: self.text(&format!("{key}.input"), table.input)?,
            output: self.text(&format!("{key}.output"), table.output)?,
        })
    }

    /// The files of the graph in the table `key`.
    pub(crate) fn graph_files(
        &self,
        key: &str,
        file: &str,
        sha256: &str,
        data: &[DataTable],
    ) -> Result<GraphFiles, ManifestError> {
        let sha256 = self.digest(&format!("{key}.sha256"), sha256)?;
        let graph = FileSpec { path: self.file(&format!("{key}.file"), file)?, sha256 };
        let data = data.iter().enumerate().map(|(at, data)| self.data(&format!("{key}.data[{at}]"), data));
        Ok(GraphFiles { graph, data: data.collect::<Result<_, _>>()? })
    }

    pub(crate) fn data(&self, key: &str, table: &DataTable) -> Result<FileSpec, ManifestError> {
        Ok(FileSpec {
            path: self.file(&format!("{key}.file"), &table.file)?,
            sha256: self.digest(&format!("{key}.sha256"), &table.sha256)?,
        })
    }

    pub(super) fn preprocesses(&self, mut table: PreprocessTable) -> Result<ByView<Preprocess>, ManifestError> {
        let query = table.query.take().map(|query| self.preprocess("preprocess.query", &query)).transpose()?;
        Ok(ByView { reference: self.preprocess("preprocess", &table)?, query })
    }

    pub(crate) fn preprocess(&self, key: &str, table: &PreprocessTable) -> Result<Preprocess, ManifestError> {
        let name = |part: &str| format!("{key}.{part}");
        self.that(&name("query"), table.query.is_none(), "no further tower", "a table")?;
        for (part, side) in [("width", table.width), ("height", table.height)] {
            let expected = format!("1 to {MAX_INPUT_SIDE} pixels");
            self.that(&name(part), (1..=MAX_INPUT_SIDE).contains(&side), expected, side.to_string())?;
        }
        self.crop_alone(&name("shortest_side"), table, table.shortest_side.map(|side| side.to_string()))?;
        self.crop_alone(&name("margin"), table, table.margin.map(|margin| format!("{margin:?}").to_lowercase()))?;
        if let Some(side) = table.shortest_side {
            let least = table.width.max(table.height);
            let expected = format!("{least} to {MAX_INPUT_SIDE} pixels, so that the crop lies inside");
            self.that(&name("shortest_side"), (least..=MAX_INPUT_SIDE).contains(&side), expected, side.to_string())?;
        }
        let [mean, std] = [table.mean, table.std];
        let is_finite = mean.iter().all(|value| value.is_finite());
        self.that(&name("mean"), is_finite, "three finite numbers", format!("{mean:?}"))?;
        let is_positive = std.iter().all(|value| value.is_finite() && *value > 0.0);
        self.that(&name("std"), is_positive, "three finite numbers above zero", format!("{std:?}"))?;
        let rescale = table.rescale.unwrap_or(Preprocess::RESCALE);
        let is_scale = rescale.is_finite() && rescale > 0.0;
        self.that(&name("rescale"), is_scale, "a finite number above zero", rescale.to_string())?;
        let PreprocessTable { width, height, resize, filter, channels, shortest_side, .. } = *table;
        let margin = table.margin.unwrap_or_default();
        Ok(Preprocess { width, height, resize, shortest_side, margin, filter, channels, rescale, mean, std })
    }

    /// Refuses a key that only `resize = "crop"` has a use for.
    fn crop_alone(&self, key: &str, table: &PreprocessTable, found: Option<String>) -> Result<(), ManifestError> {
        match found {
            Some(found) if table.resize != Resize::Crop => {
                Err(self.value(key, "nothing unless resize = \"crop\"", found))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn quantization(&self, table: QuantizationTable) -> Result<Quantization, ManifestError> {
        let share = |part: &str, least: f64, value: Option<f64>| {
            let in_range = value.is_none_or(|value| (least..=1.0).contains(&value));
            let found = value.map(|value| value.to_string()).unwrap_or_default();
            self.that(&format!("quantization.{part}"), in_range, format!("{least} to 1"), found)
        };
        share("cosine_least", -1.0, table.cosine_least)?;
        share("cosine_median", -1.0, table.cosine_median)?;
        share("recall_at_1", 0.0, table.recall_at_1)?;
        share("recall_at_1_reference", 0.0, table.recall_at_1_reference)?;
        let reference = table.reference.map(|text| self.digest("quantization.reference", &text)).transpose()?;
        let measured_on = table.measured_on.map(|text| self.text("quantization.measured_on", text)).transpose()?;
        Ok(Quantization {
            weights: table.weights,
            activations: table.activations.unwrap_or_default(),
            reduce_range: table.reduce_range,
            reference,
            measured_on,
            pictures: table.pictures,
            cosine_least: table.cosine_least,
            cosine_median: table.cosine_median,
            recall_at_1: table.recall_at_1,
            recall_at_1_reference: table.recall_at_1_reference,
        })
    }

    /// The order of runtimes, each at most once; without one, the fast one first.
    pub(crate) fn order(&self, order: Option<Vec<RuntimeKind>>) -> Result<Vec<RuntimeKind>, ManifestError> {
        let order = order.unwrap_or_else(|| RuntimeKind::ALL.to_vec());
        let is_once =
            !order.is_empty() && order.iter().enumerate().all(|(at, kind)| !order.iter().take(at).any(|k| k == kind));
        let names: Vec<&str> = order.iter().map(|kind| kind.name()).collect();
        self.that("runtime.order", is_once, "runtimes, each at most once", format!("{names:?}"))?;
        Ok(order)
    }

    pub(super) fn goldens(&self, tables: Vec<GoldenTable>, asymmetric: bool) -> Result<Vec<GoldenSpec>, ManifestError> {
        self.that("golden", tables.len() >= 2, "at least two tables [[golden]]", tables.len().to_string())?;
        let of_queries = tables.iter().filter(|table| table.view == View::Query).count();
        let of_references = tables.len() - of_queries;
        if asymmetric {
            let found = format!("{of_references} and {of_queries}");
            let holds = of_queries >= 2 && of_references >= 2;
            self.that("golden", holds, "at least two [[golden]] of references and two of queries", found)?;
        } else {
            let expected = "no golden of queries without [graph.query] or [preprocess.query]";
            self.that("golden", of_queries == 0, expected, of_queries.to_string())?;
        }
        tables.into_iter().enumerate().map(|(at, table)| self.golden(at, &table)).collect()
    }

    fn golden(&self, at: usize, table: &GoldenTable) -> Result<GoldenSpec, ManifestError> {
        let in_range = table.min_cosine > 0.0 && table.min_cosine <= 1.0;
        self.that(&format!("golden[{at}].min_cosine"), in_range, "above 0, at most 1", table.min_cosine.to_string())?;
        Ok(GoldenSpec {
            image: self.file(&format!("golden[{at}].image"), &table.image)?,
            embedding: self.file(&format!("golden[{at}].embedding"), &table.embedding)?,
            min_cosine: table.min_cosine,
            view: table.view,
        })
    }

    /// A path below the manifest's folder, joined to it.
    pub(crate) fn file(&self, key: &str, relative: &str) -> Result<PathBuf, ManifestError> {
        let path = Path::new(relative);
        let stays_inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let names_a_file = path.file_name().is_some() && !relative.contains('\0');
        let expected = "a relative path inside the model's folder";
        self.that(key, stays_inside && names_a_file, expected, format!("{relative:?}"))?;
        Ok(self.path.parent().unwrap_or_else(|| Path::new("")).join(path))
    }
}
