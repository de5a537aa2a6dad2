//! A generator whose model runs here, from a model folder.

use std::path::Path;
use std::time::Duration;

use geolocated::generator::seed;
use quantized_models::{
    Answer, Ask, ComparatorManifest, DecodeLimits, GenerateError as Fault, Generator as Model, LoadOptions, decode,
};

use super::generator::{GenerateError, Generator, Question, Written};
use crate::builtin::{self, BuiltIn};
use crate::runtime_args::LoadingBar;

/// A model that runs here.
#[derive(Debug)]
pub(super) struct LocalGenerator {
    model: Model,
    most_tokens: usize,
    patience: Duration,
}

impl LocalGenerator {
    /// Loads the model in `folder`, or of a manifest file. An answer may have `most_tokens` tokens and take `patience`.
    ///
    /// # Errors
    /// There is no such folder, it cannot write answers, or it cannot be loaded.
    pub(super) fn open(
        folder: &Path,
        options: &LoadOptions,
        most_tokens: usize,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        if !folder.exists() && BuiltIn::named(folder).is_none() {
            anyhow::bail!(
                "--generator {}: expected the address of a server, like http://127.0.0.1:8000/v1, or a model folder, found \
                 neither",
                folder.display()
            );
        }
        let manifest = ComparatorManifest::load(&builtin::resolve(folder)?)?;
        let mut bar = LoadingBar::new();
        let model = Model::load_with(&manifest, options, &mut |progress| bar.show(progress))?;
        Ok(Self { model, most_tokens, patience })
    }
}

impl Generator for LocalGenerator {
    fn name(&self) -> &str {
        self.model.identity()
    }

    fn write(&self, question: &Question<'_>) -> Result<Written, GenerateError> {
        let image = decode(question.picture, &DecodeLimits::default())
            .map_err(|error| GenerateError::Picture(error.to_string()))?;
        let ask = Ask {
            text: question.text,
            image: &image,
            temperature: question.temperature,
            seed: seed(question.text, question.picture, question.number),
            most_tokens: self.most_tokens,
            patience: self.patience,
        };
        let Answer { text, question_tokens, answer_tokens, .. } = self.model.write(&ask).map_err(|fault| {
            let word = match fault {
                Fault::TooLong { .. } | Fault::Text { .. } => "declined",
                Fault::Late { .. } => "given_up",
                Fault::Model(_) => "failed",
            };
            GenerateError::Here { word, message: fault.to_string() }
        })?;
        let (question_tokens, answer_tokens) = (question_tokens as u64, answer_tokens as u64);
        Ok(Written { text, question_tokens, answer_tokens, cached: false })
    }
}
