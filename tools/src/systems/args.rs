//! Arguments of `evaluate --system`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use geolocated::generator::{Form, Notation, Order, PromptOptions};
use url::Url;

use crate::index_args::at_least_one;
use crate::metrics::Threshold;

/// A published system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SystemName {
    /// Retrieval, then a comparator (arXiv 2603.27251): --comparator, --rerank, labelled poses
    Rerank,
    /// Coordinates of similar and dissimilar photos in the prompt of a generator (arXiv 2509.01341)
    Rag,
    /// A fine-tuned generator, several answers, one place (arXiv 2506.01277)
    Sft,
}

/// Which published system runs instead of ours, and with what.
#[derive(Debug, Clone, Args)]
pub struct SystemArgs {
    /// Run a published system with these parts; see docs/reproduce
    #[arg(long, value_name = "SYSTEM")]
    pub system: Option<SystemName>,
    /// Search only references of these sources (the data set's name, as import writes it)
    #[arg(long = "source", value_name = "NAME[,...]", value_delimiter = ',', requires = "system")]
    pub(super) sources: Vec<String>,
    /// Show what was published for this data set beside the figures: im2gps, im2gps3k, yfcc4k
    #[arg(long, value_name = "NAME", requires = "system")]
    pub(super) data_set: Option<String>,
    /// Distances in kilometres, on the ellipsoid, at which shares are reported
    #[arg(long, value_name = "KM[,...]", value_delimiter = ',', default_value = "1,25,200,750,2500", value_parser = kilometres)]
    pub(super) thresholds_km: Vec<f64>,
    /// What answers: a server with OpenAI's chat completions (vLLM, LMDeploy, llama.cpp, Ollama) by its address with /v1, or
    /// a model that runs here by its folder (comparator.py export --all-rows). A key is read from GEOLOCATE_GENERATOR_KEY
    /// and sent to https or this machine only
    #[arg(long, value_name = "URL|FOLDER", required_if_eq_any([("system", "rag"), ("system", "sft")]), value_parser = generator_at)]
    pub(super) generator: Option<GeneratorAt>,
    /// Name of the model at the server; a folder names its own
    #[arg(long, value_name = "NAME", requires = "generator")]
    pub(super) generator_model: Option<String>,
    /// For sft: the model before fine-tuning, at the same server, or its folder, as the first row of the table
    #[arg(long, value_name = "NAME|FOLDER", requires = "generator")]
    pub(super) base_model: Option<String>,
    /// How freely answers are drawn
    #[arg(long, value_name = "NUMBER", default_value = "0.1", value_parser = temperature)]
    pub(super) temperature: f64,
    /// Answers to each query: for the spread in rag, for the aggregation in sft [default: 1, in sft 5]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) runs: Option<usize>,
    /// Questions under way at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = at_least_one)]
    pub(super) concurrency: usize,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub(super) timeout_s: u64,
    /// How often a question is asked that fails in passing
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) attempts: u32,
    /// Milliseconds before the second attempt; doubled with each
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(super) retry_wait_ms: u64,
    /// Tokens that an answer may have
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(super) answer_tokens: u32,
    /// Longest side in pixels of the picture that is sent
    #[arg(long, value_name = "PX", default_value_t = 1024)]
    pub(super) picture_px: u32,
    /// Folder where answers are kept [default: answers, in the user's cache]
    #[arg(long, value_name = "DIR")]
    pub(super) answers: Option<PathBuf>,
    /// Coordinates of similar references in the prompt [default: 16, in sft 0]
    #[arg(long, value_name = "K")]
    pub(super) prompt_similar: Option<usize>,
    /// Coordinates of dissimilar references in the prompt [default: 16, in sft 0]
    #[arg(long, value_name = "K")]
    pub(super) prompt_dissimilar: Option<usize>,
    /// Form of the prompt and of the answer
    #[arg(long, value_name = "FORM", default_value = "json")]
    pub(super) prompt_form: Form,
    /// How coordinates are written
    #[arg(long, value_name = "NOTATION", default_value = "decimal")]
    pub(super) prompt_notation: Notation,
    /// In which order coordinates stand
    #[arg(long, value_name = "ORDER", default_value = "similar_first")]
    pub(super) prompt_order: Order,
    /// Also ask every query with the neighbours of another one: what the neighbours are worth
    #[arg(long, requires = "system")]
    pub(super) control_shuffled: bool,
    /// Run many settings one after the other, which this file names; what is done is kept beside it, so a stopped sweep goes
    /// on (docs/reproduce/rag.md)
    #[arg(long, value_name = "FILE.toml", requires = "system")]
    pub(super) sweep: Option<PathBuf>,
}

/// Where a generator is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GeneratorAt {
    /// At a server.
    Server(Url),
    /// In a folder, or a manifest file.
    Folder(PathBuf),
}

fn generator_at(text: &str) -> Result<GeneratorAt, String> {
    if text.contains("://") {
        return Url::parse(text).map(GeneratorAt::Server).map_err(|error| error.to_string());
    }
    match text.trim() {
        "" => Err("expected an address like http://127.0.0.1:8000/v1, or a model folder".to_owned()),
        _ => Ok(GeneratorAt::Folder(text.into())),
    }
}

fn kilometres(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(km) if km.is_finite() && km > 0.0 => Ok(km),
        _ => Err(format!("found {text:?}, expected kilometres above 0")),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err(format!("found {text:?}, expected a number from 0 to 2")),
    }
}

impl SystemArgs {
    /// Whether a generator is asked, instead of fusing what was retrieved.
    pub fn asks_a_generator(&self) -> bool {
        matches!(self.system, Some(SystemName::Rag | SystemName::Sft))
    }

    pub(super) fn is_sft(&self) -> bool {
        self.system == Some(SystemName::Sft)
    }

    /// The sources to search; `None` for all.
    pub fn sources(&self) -> Option<Vec<String>> {
        (!self.sources.is_empty()).then(|| self.sources.clone())
    }

    /// How many candidates must be retrieved at either end.
    pub fn retrieved(&self) -> usize {
        let prompt = self.prompt();
        prompt.similar.max(prompt.dissimilar).max(if self.sweep.is_some() { 32 } else { 0 })
    }

    pub(super) fn prompt(&self) -> PromptOptions {
        let usual = if self.is_sft() { 0 } else { 16 };
        PromptOptions {
            similar: self.prompt_similar.unwrap_or(usual),
            dissimilar: self.prompt_dissimilar.unwrap_or(usual),
            form: self.prompt_form,
            notation: self.prompt_notation,
            order: self.prompt_order,
        }
    }

    pub(super) fn runs(&self) -> usize {
        self.runs.unwrap_or(if self.is_sft() { 5 } else { 1 })
    }

    /// The thresholds in metres, under the texts that reports have.
    pub(super) fn thresholds(&self) -> Vec<Threshold> {
        self.thresholds_km
            .iter()
            .map(|km| Threshold { text: format!("{}", km * 1000.0), metres: km * 1000.0 })
            .collect()
    }
}
