//! What does this picture show, in words?
//!
//! A [`Generator`] is a comparator whose decoder gives the logits of the whole vocabulary, and whose manifest says how a
//! question is put (`[generate]`). The question with its picture is run in one call; then each token on the keys and
//! values of those before it.

use std::time::{Duration, Instant};

use image::RgbImage;

use super::Comparator;
use super::decoder::Turn;
use super::embedding::Embedding;
use super::error::GenerateError;
use super::load::Parts;
use super::manifest::{ComparatorManifest, GenerateSpec, ImageLayout, Positions};
use super::prompt::Piece;
use super::sampler::Sampler;
use super::stopper::Stopper;
use super::words::{Tokens, Words};
use crate::digest;
use crate::error::LoadError;
use crate::onnxruntime::{Packing, Sums};
use crate::options::{LoadOptions, OnProgress};
use crate::runtime::{RuntimeInfo, RuntimeKind};

/// What a [`Generator`] is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The question. Marks of turns and pictures that the manifest puts around it do not belong in it.
    pub text: &'a str,
    /// The picture that it is about.
    pub image: &'a RgbImage,
    /// How freely tokens are drawn; 0 always takes the likeliest.
    pub temperature: f64,
    /// Of the draws: the same one gives the same answer.
    pub seed: u64,
    /// Tokens that the answer may have.
    pub most_tokens: usize,
    /// How long it may take; the clock is looked at between tokens.
    pub patience: Duration,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The model ended it.
    Stop,
    /// It has as many tokens as it may have.
    Limit,
}

/// What a [`Generator`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text, without marks of turns and the like.
    pub text: String,
    /// Tokens of the question, its picture and the marks around it included.
    pub question_tokens: usize,
    /// Tokens of the answer, without the one that ended it.
    pub answer_tokens: usize,
    /// Why it ended there.
    pub ended: Ended,
}

/// A loaded model that answers questions about a picture with a text. It can be shared between threads: as many runs go
/// on at the same time as [`LoadOptions::sessions`] allows, further ones wait.
pub struct Generator {
    pub(super) comparator: Comparator,
    embedding: Embedding,
    pub(super) words: Words,
    spec: GenerateSpec,
    pub(super) stops: Vec<u32>,
    image: ImageLayout,
    positions: Positions,
    /// Tokens of the vocabulary; columns behind it are no token's.
    vocabulary: usize,
    identity: String,
}

impl Generator {
    /// Loads the model of `manifest` on ONNX Runtime, and runs its golden comparisons.
    ///
    /// # Errors
    /// [`LoadError`]: the manifest has no `[generate]` or the logits of answers alone, its stop tokens are none, tract is
    /// asked for (a question of another length would be another plan there, and so would each token), the tables have
    /// fewer rows or columns than the tokenizer has tokens, and everything that [`Comparator::load`] refuses.
    pub fn load(manifest: &ComparatorManifest, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_with(manifest, options, &mut |_| ())
    }

    /// The same, telling `progress` how far it has come.
    ///
    /// # Errors
    /// As [`Generator::load`].
    pub fn load_with(
        manifest: &ComparatorManifest,
        options: &LoadOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        let spec = written_by(manifest, options)?.clone();
        let words = Words::load(manifest)?;
        let stops = words.stops(&spec)?;
        let runtime = RuntimeKind::OnnxRuntime;
        let options = LoadOptions { runtime: Some(runtime), ..options.clone() };
        let parts = Parts { manifest, options: &options, packing: Packing::Tried };
        let comparator = parts.load(progress)?;
        // Unlike a comparator's it stays, so that its rows are mapped where that can be.
        let embedding = parts.embedding((runtime, Sums::Fast), &options, progress)?;
        let (image, positions, vocabulary) = (manifest.image().clone(), manifest.decoder().positions, words.count());
        let identity = identity(manifest, &spec);
        let generator = Self { comparator, embedding, words, spec, stops, image, positions, vocabulary, identity };
        generator.check_tables(manifest)?;
        Ok(generator)
    }

    /// Sees whether the model of `manifest` can be asked questions with these options, without loading it.
    ///
    /// # Errors
    /// As [`Generator::load`], as far as the manifest says.
    pub fn check(manifest: &ComparatorManifest, options: &LoadOptions) -> Result<(), LoadError> {
        written_by(manifest, options).map(|_| ())
    }

    /// Name of the variant, from its manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        self.comparator.name()
    }

    /// What its answers depend on beside the question: the name, `@`, and 12 hexadecimal digits of all its files, of how
    /// pictures are prepared, and of how a question is put.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What runs it.
    #[must_use]
    pub fn runtime(&self) -> &RuntimeInfo {
        self.comparator.runtime()
    }

    /// Tokens that question, picture and answer may have together.
    #[must_use]
    pub fn context(&self) -> usize {
        self.spec.context
    }

    /// Ends its runs, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.comparator.stopper()
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// [`GenerateError`]: the question does not fit into the context beside the answer, holds a mark of pictures, took
    /// longer than it may, or the runtime failed or was stopped.
    pub fn write(&self, ask: &Ask<'_>) -> Result<Answer, GenerateError> {
        let started = Instant::now();
        let (question, room) = self.question(ask)?;
        let image = self.comparator.see(ask.image)?;
        let piece = self.piece(&question)?;
        let decoder = &self.comparator.decoder;
        let mut sampler = Sampler::new(ask.temperature, ask.seed);
        let turn = Turn { piece: &piece, image: Some(&image), at: 0 };
        let (mut logits, mut past) = decoder.step(&decoder.nothing(), turn, &self.comparator.stopper)?;
        let mut ids = Vec::new();
        let ended = loop {
            if ids.len() >= room {
                break Ended::Limit;
            }
            let id = self.pick(&mut sampler, &logits);
            if self.stops.contains(&id) {
                break Ended::Stop;
            }
            ids.push(id);
            if started.elapsed() > ask.patience {
                let (model, tokens) = (self.name().to_owned(), ids.len());
                return Err(GenerateError::Late { model, patience_s: ask.patience.as_secs_f64(), tokens });
            }
            if ids.len() < room {
                let piece = self.piece(&Tokens { ids: vec![id], image_at: None })?;
                let turn = Turn { piece: &piece, image: None, at: past.next };
                (logits, past) = decoder.step(&past, turn, &self.comparator.stopper)?;
            }
        };
        let text = self.words.text(&ids).map_err(|error| self.unfit(error))?;
        Ok(Answer { text, question_tokens: question.ids.len(), answer_tokens: ids.len(), ended })
    }

    /// The tokens of a question, and how many the answer may have.
    pub(super) fn question(&self, ask: &Ask<'_>) -> Result<(Tokens, usize), GenerateError> {
        let question = self.words.question(&self.spec, ask.text).map_err(|error| self.unfit(error))?;
        let (context, answer, found) = (self.spec.context, ask.most_tokens.max(1), question.ids.len());
        if found.saturating_add(answer) > context {
            return Err(GenerateError::TooLong { model: self.name().to_owned(), context, answer, found });
        }
        Ok((question, answer))
    }

    pub(super) fn piece(&self, tokens: &Tokens) -> Result<Piece, GenerateError> {
        let mut embed = |ids: &[i64]| self.embedding.rows(ids);
        Piece::of(tokens, &self.image, self.positions, &mut embed).map_err(|error| self.unfit(error))
    }

    pub(super) fn pick(&self, sampler: &mut Sampler, logits: &[f32]) -> u32 {
        let column = sampler.pick(logits.get(..self.vocabulary).unwrap_or(logits));
        u32::try_from(column).unwrap_or(u32::MAX)
    }

    fn unfit(&self, error: LoadError) -> GenerateError {
        GenerateError::Text { model: self.name().to_owned(), source: Box::new(error) }
    }

    /// Every token of the tokenizer has a row in the table of embeddings, and a column in the logits.
    fn check_tables(&self, manifest: &ComparatorManifest) -> Result<(), LoadError> {
        let graph = |path: &std::path::Path, what: &str, expected: &str, found: String| LoadError::Interface {
            path: path.to_owned(),
            what: what.to_owned(),
            expected: format!("at least {} {expected}, one for each token of the tokenizer", self.vocabulary),
            found,
        };
        let path = &manifest.embed().files.graph.path;
        let last = Tokens { ids: vec![u32::try_from(self.vocabulary.saturating_sub(1)).unwrap_or(0)], image_at: None };
        let mut embed = |ids: &[i64]| self.embedding.rows(ids);
        let piece = Piece::of(&last, &self.image, self.positions, &mut embed)
            .map_err(|error| graph(path, "embeddings", "rows", format!("fewer: {error}")))?;
        let path = &manifest.decoder().files.graph.path;
        let decoder = &self.comparator.decoder;
        let turn = Turn { piece: &piece, image: None, at: 0 };
        let (logits, _) = decoder
            .step(&decoder.nothing(), turn, &self.comparator.stopper)
            .map_err(|error| graph(path, "logits", "columns", error.to_string()))?;
        if logits.len() < self.vocabulary {
            return Err(graph(path, "logits", "columns", logits.len().to_string()));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Generator").field("name", &self.name()).finish_non_exhaustive()
    }
}

fn identity(manifest: &ComparatorManifest, spec: &GenerateSpec) -> String {
    let digests: Vec<&str> = manifest.files().iter().map(|file| file.sha256.as_str()).collect();
    let (preprocess, image) = (manifest.preprocess(), manifest.image());
    let text = format!("{}\n{preprocess:?}\n{image:?}\n{spec:?}", digests.join(" "));
    let digest = digest::sha256_hex(text.as_bytes());
    format!("{}@{}", manifest.name(), digest.get(..12).unwrap_or(&digest))
}

/// How a question is put, of a model that can be asked one with these options.
fn written_by<'a>(manifest: &'a ComparatorManifest, options: &LoadOptions) -> Result<&'a GenerateSpec, LoadError> {
    let refuse = |key: &str, expected: &str, found: String| LoadError::Prompt {
        path: manifest.path().to_owned(),
        key: key.to_owned(),
        expected: expected.to_owned(),
        found,
    };
    if let Some(rows) = &manifest.decoder().logits_rows {
        let expected = "none, since an answer is written with the whole vocabulary (comparator.py export --all-rows)";
        return Err(refuse("graphs.decoder.logits_rows", expected, format!("{} token ids", rows.len())));
    }
    let spec = manifest.generate().ok_or_else(|| {
        let expected = "a table with prompt, stop and context (comparator.py export --all-rows writes it)";
        refuse("generate", expected, "none".to_owned())
    })?;
    let named = manifest.runtimes();
    let allowed: Vec<RuntimeKind> = options.runtime.map_or_else(|| named.to_vec(), |kind| vec![kind]);
    if !allowed.contains(&RuntimeKind::OnnxRuntime) {
        let names: Vec<&str> = allowed.iter().map(|kind| kind.name()).collect();
        let expected = "onnxruntime among them: answers are written with ONNX Runtime alone";
        return Err(refuse("runtime.order", expected, names.join(", ")));
    }
    Ok(spec)
}
