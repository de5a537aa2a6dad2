//! What of retrieval a sweep varies: the encoder with its gallery, the sources that are searched, and how dissimilar
//! references are picked.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::bail;
use geolocated::locate::Pipeline;
use serde::{Deserialize, Serialize};

use crate::evaluation::Query;
use crate::search_args::Way;

/// An encoder, or vectors that another one made, and the gallery in its space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweptEncoder {
    /// What it is called in tables.
    pub name: String,
    /// Model folder or manifest, or `mini`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Instead of a model: vectors of the queries, a row for each row of the poses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_vectors: Option<PathBuf>,
    /// The shards.
    pub index: Vec<PathBuf>,
}

impl SweptEncoder {
    /// Joins its paths to `folder`.
    ///
    /// # Errors
    /// Both a model and vectors, or neither; no shard; no name.
    pub(super) fn check(&mut self, folder: &Path) -> anyhow::Result<()> {
        if self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            bail!("name: expected a line of text, found {:?}", self.name);
        }
        if self.model.is_some() == self.query_vectors.is_some() {
            let found = if self.model.is_some() { "both" } else { "neither" };
            bail!("expected one of model and query_vectors, found {found}");
        }
        if self.index.is_empty() {
            bail!("index: expected at least one shard, found none");
        }
        let is_built_in = |path: &Path| crate::builtin::BuiltIn::named(path).is_some();
        let model = self.model.iter_mut().filter(|model| !is_built_in(model));
        for path in model.chain(&mut self.query_vectors).chain(&mut self.index) {
            *path = folder.join(&*path);
        }
        Ok(())
    }
}

/// How it is retrieved, where that is not as on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Retrieval {
    /// Another encoder with its gallery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<SweptEncoder>,
    /// Other sources of the gallery; none of them named means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// Another way to pick dissimilar references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dissimilar_by: Option<Way>,
}

impl Retrieval {
    /// Whether it is that of the command line.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Retrieval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoder = self.encoder.as_ref().map(|encoder| encoder.name.clone());
        let sources = self.sources.as_ref().map(|sources| match sources.as_slice() {
            [] => "all sources".to_owned(),
            named => format!("source {}", named.join(", ")),
        });
        let way = self.dissimilar_by.map(|way| format!("dissimilar by {}", way.as_str()));
        let parts: Vec<String> = [encoder, sources, way].into_iter().flatten().collect();
        formatter.write_str(if parts.is_empty() { "as on the command line" } else { "" })?;
        formatter.write_str(&parts.join(", "))
    }
}

/// Opens the pipeline of another retrieval, with the queries as it takes them.
pub type Reopen<'a> = dyn Fn(&Retrieval) -> anyhow::Result<(Pipeline, Vec<Query<'a>>)> + 'a;

/// Refuses an encoder whose files are not there or do not go together, before anything runs.
pub type CheckEncoder<'a> = dyn Fn(&SweptEncoder) -> anyhow::Result<()> + 'a;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_needs_a_model_or_vectors_and_a_gallery() {
        let check = |text: &str| {
            let mut encoder: SweptEncoder = toml::from_str(text).unwrap();
            encoder.check(Path::new("sweeps")).map(|()| encoder).map_err(|error| error.to_string())
        };
        let good = check("name = \"a\"\nmodel = \"mini\"\nindex = [\"a.shard\", \"/b.shard\"]").unwrap();
        assert_eq!(good.model, Some("mini".into()));
        assert_eq!(good.index, [PathBuf::from("sweeps/a.shard"), "/b.shard".into()]);
        for (text, said) in [
            ("name = \"a\"\nindex = [\"a\"]", "found neither"),
            ("name = \"a\"\nmodel = \"m\"\nquery_vectors = \"v\"\nindex = [\"a\"]", "found both"),
            ("name = \"a\"\nmodel = \"m\"\nindex = []", "at least one shard"),
            ("name = \" \"\nmodel = \"m\"\nindex = [\"a\"]", "a line of text"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        assert!(toml::from_str::<SweptEncoder>("name = \"a\"\nindex = [\"a\"]\ncolour = 1").is_err());
    }
}
