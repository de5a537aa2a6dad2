//! What a report says of a published system, beside the figures that every evaluation has.

use std::fmt::Write;

use index_shards::ShardSet;
use serde::Serialize;

use super::figures::{RagFigures, SftFigures};
use super::published::Published;
use super::sweep_table::{self, SweepRow};
use crate::explain::escaped;

/// One shard of the gallery.
#[derive(Debug, Clone, Serialize)]
pub struct GalleryPart {
    /// Its file.
    pub file: String,
    /// References in it.
    pub references: usize,
    /// The encoder of its vectors.
    pub encoder: String,
    /// Sources of its references.
    pub sources: Vec<String>,
    /// Whose imagery it is, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
}

/// The gallery: what could be found.
#[derive(Debug, Clone, Serialize)]
pub struct Gallery {
    /// Its shards.
    pub parts: Vec<GalleryPart>,
    /// The sources that were searched; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// How it is kept apart from the queries.
    pub deduplication: &'static str,
}

/// References with the query's own photo are left out by their names; owners are not known to a shard.
const DEDUPLICATION: &str = "photos: references whose names hold the number of the query's photo (column photo) are left out \
    of the prompt; users: as the gallery was imported (geolocate import --without)";

impl Gallery {
    pub(super) fn of(shards: &ShardSet, sources: Option<Vec<String>>) -> Self {
        let part = |shard: &index_shards::Shard| GalleryPart {
            file: shard.path().display().to_string(),
            references: shard.len(),
            encoder: shard.description().encoder.clone(),
            sources: shard
                .source_names()
                .map(|names| names.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            attribution: Some(shard.description().attribution.clone()).filter(|text| !text.is_empty()),
        };
        Self { parts: shards.shards().iter().map(part).collect(), sources, deduplication: DEDUPLICATION }
    }
}

/// The part of a report that is about a published system.
#[derive(Debug, Clone, Serialize)]
pub struct SystemReport {
    /// Its name here.
    pub name: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What could be found.
    pub gallery: Gallery,
    /// Name of the generator; absent where none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// How freely answers were drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Figures of retrieval-augmented answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rag: Option<RagFigures>,
    /// Figures of a fine-tuned model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sft: Option<SftFigures>,
    /// A row for each setting of a sweep; absent without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<SweepRow>,
    /// What was published, where it is known to us.
    pub published: Vec<Published>,
}

impl SystemReport {
    /// What is said of a reranking of labelled references; its figures are those of every evaluation.
    pub fn of_rerank(shards: &ShardSet, sources: Option<Vec<String>>) -> Self {
        Self {
            name: "rerank",
            paper: "arXiv 2603.27251",
            gallery: Gallery::of(shards, sources),
            generator: None,
            temperature: None,
            rag: None,
            sft: None,
            sweep: Vec::new(),
            published: Vec::new(),
        }
    }

    /// The same for people.
    pub fn text(&self) -> String {
        self.figures() + &sweep_table::text(&self.sweep)
    }

    /// All but the sweep.
    fn figures(&self) -> String {
        let mut text = format!("system {} ({})", self.name, self.paper);
        if let (Some(generator), Some(temperature)) = (&self.generator, self.temperature) {
            text += &format!(", generator {generator}, temperature {temperature}");
        }
        text.push('\n');
        // Writing into a string cannot fail.
        for part in &self.gallery.parts {
            let sources = if part.sources.is_empty() { "no source named".to_owned() } else { part.sources.join(", ") };
            let _ =
                writeln!(text, "gallery: {}, {} references ({sources}), {}", part.file, part.references, part.encoder);
        }
        text += &self.rag.as_ref().map(RagFigures::text).unwrap_or_default();
        text += &self.sft.as_ref().map(SftFigures::text).unwrap_or_default();
        for Published { data_set, within_km, share, source, .. } in &self.published {
            let _ = writeln!(text, "published for {data_set} within {within_km} km: {share:.3} ({source})");
        }
        text
    }

    /// The same for a page.
    pub fn html(&self) -> String {
        let head = format!("<h2>{} ({})</h2>\n", escaped(self.name), escaped(self.paper));
        format!("{head}<pre>{}</pre>\n{}", escaped(&self.figures()), sweep_table::html(&self.sweep))
    }
}
