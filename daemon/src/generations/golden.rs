//! Golden queries: pictures or vectors with the reference that they must find first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{FileRole, GOLDEN_NAME, Generation, GenerationError};
use crate::locate::{Frame, Hints, Outcome, Pipeline};

/// Version of the list.
const FORMAT: u32 = 1;

/// The file `golden.json` of a generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenList {
    /// Version of this form: 1.
    pub format: u32,
    /// The queries; at least one.
    pub queries: Vec<GoldenQuery>,
}

/// One query; it has either a picture or a vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenQuery {
    /// A picture, as a path below the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// A vector as little-endian float32, as a path below the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
    /// Name of the most similar reference.
    pub top: String,
    /// Least cosine that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_similarity: Option<f64>,
}

impl GoldenList {
    /// A list in the present form.
    pub fn new(queries: Vec<GoldenQuery>) -> Self {
        Self { format: FORMAT, queries }
    }

    /// The list of a generation, where it has one.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn load(generation: &Generation) -> Result<Option<Self>, GenerationError> {
        let mut golden = generation.manifest().of(FileRole::Golden);
        let Some(file) = golden.find(|file| file.path == GOLDEN_NAME) else { return Ok(None) };
        let path = generation.path_of(file);
        let text = fs::read(&path).map_err(|source| GenerationError::Read { path: path.clone(), source })?;
        let refused = |message: String| GenerationError::GoldenList { path: path.clone(), message };
        let list: Self = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if list.format != FORMAT {
            return Err(refused(format!("format: expected {FORMAT}, found {}", list.format)));
        }
        if list.queries.is_empty() {
            return Err(refused("queries: expected at least one, found none".to_owned()));
        }
        Ok(Some(list))
    }

    /// Asks `pipeline` every query.
    ///
    /// # Errors
    /// The first one that finds something else, or cannot be asked.
    pub fn check(&self, generation: &Generation, pipeline: &Pipeline) -> Result<(), GenerationError> {
        let files: BTreeMap<&str, PathBuf> = generation
            .manifest()
            .of(FileRole::Golden)
            .map(|file| (file.path.as_str(), generation.path_of(file)))
            .collect();
        let list = generation.folder().join(GOLDEN_NAME);
        for query in &self.queries {
            query.check(&list, &files, pipeline)?;
        }
        Ok(())
    }
}

impl GoldenQuery {
    fn check(&self, list: &Path, files: &BTreeMap<&str, PathBuf>, pipeline: &Pipeline) -> Result<(), GenerationError> {
        let refused = |message: String| GenerationError::GoldenList { path: list.to_owned(), message };
        let (name, is_picture) = match (&self.picture, &self.vector) {
            (Some(picture), None) => (picture, true),
            (None, Some(vector)) => (vector, false),
            _ => return Err(refused(format!("{}: expected either a picture or a vector", self.top))),
        };
        let path = files.get(name.as_str());
        let path = path.ok_or_else(|| refused(format!("expected a file of role golden, found {name:?}")))?;
        let bytes = fs::read(path).map_err(|source| GenerationError::Read { path: path.clone(), source })?;
        let prediction = if is_picture {
            pipeline.locate(&frame(name, bytes))
        } else {
            pipeline.locate_embedding(&floats(&bytes), None)
        };
        let found = match (&prediction.outcome, prediction.similar.first()) {
            (Outcome::Error(error), _) => error.to_string(),
            (_, None) => "nothing".to_owned(),
            (_, Some(top)) if top.reference != self.top => format!("\"{}\"", top.reference),
            (_, Some(top)) => match self.min_similarity {
                Some(least) if f64::from(top.similarity) < least => {
                    format!("it with a similarity of {:.5}, less than {least:.5}", top.similarity)
                }
                _ => return Ok(()),
            },
        };
        let (query, expected) = (name.clone(), self.top.clone());
        Err(GenerationError::Golden { path: list.to_owned(), query, expected, found })
    }
}

fn frame(id: &str, encoded: Vec<u8>) -> Frame {
    let (id, camera) = (id.to_owned(), String::new());
    Frame { id, camera, captured_at_ms: None, hints: Hints::default(), prior: None, encoded }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (parts, _) = bytes.as_chunks::<4>();
    parts.iter().map(|part| f32::from_le_bytes(*part)).collect()
}
