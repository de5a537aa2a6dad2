//! `[generate]`: a model that writes where frames were taken.

use std::path::PathBuf;
use std::time::Duration;

use index_shards::SearchOptions;
use serde::{Deserialize, Serialize};

use super::SettingsError;
use super::validation::Validation;
use crate::generator::{Form, GenerateOptions, Notation, Order, PromptOptions};

/// Which frames a generator is asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerateWhen {
    /// Those that show no place of the index.
    #[default]
    OutOfCoverage,
    /// All that could be looked at.
    Always,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GenerateSection {
    model: PathBuf,
    #[serde(default)]
    when: GenerateWhen,
    #[serde(default = "usual_references")]
    similar: usize,
    #[serde(default = "usual_references")]
    dissimilar: usize,
    #[serde(default)]
    form: Form,
    #[serde(default)]
    notation: Notation,
    #[serde(default)]
    order: Order,
    #[serde(default = "usual_samples")]
    samples: usize,
    #[serde(default = "usual_temperature")]
    temperature: f64,
    #[serde(default = "usual_answer_tokens")]
    answer_tokens: usize,
    #[serde(default = "usual_budget_s")]
    budget_s: f64,
}

fn usual_references() -> usize {
    16
}

fn usual_samples() -> usize {
    1
}

fn usual_temperature() -> f64 {
    0.1
}

fn usual_answer_tokens() -> usize {
    64
}

fn usual_budget_s() -> f64 {
    30.0
}

/// What writes where frames were taken, and about which.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorSettings {
    /// Folder or manifest of the model.
    pub model: PathBuf,
    /// Which frames it is asked about.
    pub when: GenerateWhen,
    /// How it is asked.
    pub options: GenerateOptions,
}

impl Validation<'_> {
    /// Whether the model's folder is there is not looked at: what is wrong with it must not keep fixes from being made.
    /// `check` does.
    pub(super) fn generate(&self, section: &GenerateSection) -> Result<GeneratorSettings, SettingsError> {
        let most = SearchOptions::default().k;
        let prompt = PromptOptions {
            similar: self.within("generate.similar", section.similar, 0, most)?,
            dissimilar: self.within("generate.dissimilar", section.dissimilar, 0, most)?,
            form: section.form,
            notation: section.notation,
            order: section.order,
        };
        let budget_s = self.within("generate.budget_s", section.budget_s, 0.1, 600.0)?;
        Ok(GeneratorSettings {
            model: self.path(&section.model),
            when: section.when,
            options: GenerateOptions {
                prompt,
                samples: self.within("generate.samples", section.samples, 1, 64)?,
                temperature: self.within("generate.temperature", section.temperature, 0.0, 2.0)?,
                answer_tokens: self.within("generate.answer_tokens", section.answer_tokens, 1, 1024)?,
                budget: Duration::from_secs_f64(budget_s),
            },
        })
    }
}
