//! Which of two candidates shows the place of the query?
//!
//! A [`Comparator`] runs a vision-language model in its three graphs (vision encoder, embeddings of tokens, decoder with
//! keys and values of what went before), as its [`ComparatorManifest`] describes them. A question is one prefill, cut in
//! pieces that never change: prefix | first | second | suffix. Keys and values of the prefix (instruction and query) are
//! a [`Query`], with a first candidate a [`Pivot`]; both can be gone on from many times. The logits of the answers are
//! read after the last token; nothing is generated. That is what a [`Generator`] does, with the same graphs.

mod bench;
mod decoder;
mod embedding;
mod error;
mod generator;
mod golden;
mod load;
mod manifest;
mod prompt;
mod query;
mod sampler;
mod stopper;
#[cfg(test)]
mod tests;
mod tokens;
mod vision;
mod words;

use std::sync::{Arc, OnceLock};

use image::RgbImage;

use self::decoder::{Decoder, Past, Turn};
use self::load::Parts;
use self::prompt::{Piece, Prompt, Prompts};
use self::query::{Held, PivotInner, QueryInner};
use self::vision::Vision;
use crate::error::LoadError;
use crate::onnxruntime::Packing;
use crate::options::{LoadOptions, OnProgress};
use crate::runtime::RuntimeInfo;

pub use self::bench::{CompareTiming, StepTiming, interleaved_comparisons};
pub use self::error::{CompareError, GenerateError, TokensError};
pub use self::generator::{Answer, Ask, Ended, Generator};
pub use self::manifest::{ComparatorManifest, GoldenComparison, MarginQuantization};
pub use self::query::{Pivot, Query};
pub use self::stopper::Stopper;
pub(crate) use self::stopper::Terminate;
pub use self::tokens::ImageTokens;

/// What the steps of a comparison took when the model was loaded, in milliseconds on the clock, warm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// [`Comparator::see`]: one picture to its tokens.
    pub see_ms: f64,
    /// [`Comparator::begin`]: instruction and query.
    pub begin_ms: f64,
    /// [`Comparator::first`]: one candidate on the prefix.
    pub first_ms: f64,
    /// [`Comparator::pair`]: the second candidate and the question, on a pivot.
    pub pair_ms: f64,
    /// The question alone: what [`Comparator::pair_of_pivots`] takes in models whose blocks are independent, beside
    /// joining their keys and values.
    pub suffix_ms: f64,
}

/// A loaded model that compares pictures. It can be shared between threads: as many runs of each graph go on at the same
/// time as [`LoadOptions::sessions`] allows, further ones wait.
pub struct Comparator {
    name: String,
    owner: u64,
    vision: Vision,
    decoder: Decoder,
    prompts: Prompts,
    blocks_independent: bool,
    perception_noise_nats: f64,
    stopper: Stopper,
    times: Times,
    margin_error: f32,
}

impl Comparator {
    /// Loads the model of `manifest` and runs its golden comparisons: the first, the others, the first again. What the
    /// steps take is measured meanwhile.
    ///
    /// Runtimes are tried as for an [`Encoder`](crate::Encoder), in the order of the manifest; one runs all graphs.
    ///
    /// # Errors
    /// [`LoadError`]: another user may write the model, a file is not readable or has another digest, the ends of a graph
    /// are not those of the manifest, a prompt or an answer does not become the tokens that it should, a margin is missed,
    /// or no runtime is left.
    pub fn load(manifest: &ComparatorManifest, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_with(manifest, options, &mut |_| ())
    }

    /// The same, telling `progress` how far it has come.
    ///
    /// # Errors
    /// As [`Comparator::load`].
    pub fn load_with(
        manifest: &ComparatorManifest,
        options: &LoadOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        Parts { manifest, options, packing: Packing::Tried }.load(progress)
    }

    /// The same, and packed weights of vision encoder and decoder are there afterwards, whatever their size.
    ///
    /// # Errors
    /// As [`Comparator::load`]; also when weights cannot be packed.
    pub fn prepare(
        manifest: &ComparatorManifest,
        options: &LoadOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        Parts { manifest, options, packing: Packing::Demanded }.load(progress)
    }

    /// Name of the variant, from its manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which image tokens it takes, and makes: the name, `@`, and 12 hexadecimal digits of the vision encoder and of how
    /// pictures are prepared for it.
    #[must_use]
    pub fn producer(&self) -> &str {
        self.vision.producer()
    }

    /// Tokens of one picture, and numbers of each.
    #[must_use]
    pub fn tokens_shape(&self) -> [usize; 2] {
        self.vision.shape()
    }

    /// What runs the decoder, and the vision encoder.
    #[must_use]
    pub fn runtime(&self) -> &RuntimeInfo {
        self.decoder.network.info()
    }

    /// Whether candidates do not see each other, so that pivots can be compared with each other
    /// ([`Comparator::pair_of_pivots`]).
    #[must_use]
    pub fn blocks_independent(&self) -> bool {
        self.blocks_independent
    }

    /// How far what it sees of a place lies from the truth in all its answers alike, in nats, 0 or more. It has no part in
    /// the answers themselves.
    #[must_use]
    pub fn perception_noise_nats(&self) -> f64 {
        self.perception_noise_nats
    }

    /// Whether it can answer [`Comparator::yes_no`].
    #[must_use]
    pub fn has_yes_no(&self) -> bool {
        self.prompts.yes_no.is_some()
    }

    /// Whether it can answer [`Comparator::score`].
    #[must_use]
    pub fn has_score(&self) -> bool {
        self.prompts.score.is_some()
    }

    /// How many candidates [`Comparator::list`] takes at most; 0 where it takes none.
    #[must_use]
    pub fn longest_list(&self) -> usize {
        self.prompts.list.as_ref().map_or(0, |prompt| prompt.candidates.len())
    }

    /// What its steps took at load.
    #[must_use]
    pub fn times(&self) -> Times {
        self.times
    }

    /// Largest difference of a golden margin to that of the manifest, as measured at load.
    #[must_use]
    pub fn margin_error(&self) -> f32 {
        self.margin_error
    }

    /// Ends its runs, from any thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Whether a run that was begun can be ended before it is through. Otherwise it is refused or finished.
    #[must_use]
    pub fn can_stop(&self) -> bool {
        self.decoder.network.can_stop() && self.vision.network.can_stop()
    }

    /// The tokens of `image`.
    ///
    /// # Errors
    /// [`CompareError`]: the picture has no pixels, the runtime failed or was stopped, or gave something that is no
    /// number or of another shape than the manifest says.
    pub fn see(&self, image: &RgbImage) -> Result<ImageTokens, CompareError> {
        self.vision.see(image, &self.stopper)
    }

    /// Runs instruction and query, once for all questions about it.
    ///
    /// # Errors
    /// [`CompareError`]: tokens of another comparator, or the runtime failed or was stopped.
    pub fn begin(&self, query: &ImageTokens) -> Result<Query, CompareError> {
        self.check_tokens(query)?;
        let pasts = self.prompts.prefixes.iter().map(|_| OnceLock::new()).collect();
        let query = Query { inner: Arc::new(QueryInner { owner: self.owner, tokens: query.clone(), pasts }) };
        self.prefix(&query, &self.prompts.pair)?;
        Ok(query)
    }

    /// Runs a first candidate on `query`.
    ///
    /// # Errors
    /// As [`Comparator::begin`]; also a query of another comparator.
    pub fn first(&self, query: &Query, first: &ImageTokens) -> Result<Pivot, CompareError> {
        self.check_tokens(first)?;
        let prefix = self.prefix(query, &self.prompts.pair)?;
        let past = self.extend(&prefix, self.slot(0)?, first, prefix.next)?;
        let held = match self.blocks_independent {
            false => Held::Chain(past),
            true => Held::Block { first: self.block(&past, self.slot(0)?)?, second: OnceLock::new() },
        };
        let bytes = self.decoder.bytes(match &held {
            Held::Chain(past) | Held::Block { first: past, .. } => past,
        });
        let (query, tokens) = (query.clone(), first.clone());
        Ok(Pivot { inner: Arc::new(PivotInner { query, tokens, held, bytes }) })
    }

    /// The margin of the pivot over `second`, in nats: logit of the first answer less that of the second. Above 0: the
    /// pivot shows the place of the query.
    ///
    /// # Errors
    /// As [`Comparator::first`]; also logits that are no numbers.
    pub fn pair(&self, pivot: &Pivot, second: &ImageTokens) -> Result<f32, CompareError> {
        self.margin(&self.second(pivot, second)?)
    }

    /// The same of two pivots on one query, in models whose blocks are independent: the question alone is run. What a
    /// candidate is as the second is run when it is needed first, and kept.
    ///
    /// # Errors
    /// As [`Comparator::pair`]; [`CompareError::Unsupported`] of other models, and of pivots on different queries.
    pub fn pair_of_pivots(&self, first: &Pivot, second: &Pivot) -> Result<f32, CompareError> {
        let Held::Block { second: block, .. } = &second.inner.held else {
            return Err(self.unsupported("compare two pivots: its candidates see each other"));
        };
        if !Arc::ptr_eq(&first.inner.query.inner, &second.inner.query.inner) {
            return Err(self.unsupported("compare pivots on different queries"));
        }
        let made;
        let block = match block.get() {
            Some(block) => block,
            None => {
                made = self.second_block(first, &second.inner.tokens)?;
                block.get_or_init(|| made)
            }
        };
        self.margin(&self.joined(first, block)?)
    }

    /// Whether `candidate` shows the place of the query: logit of yes less that of no.
    ///
    /// # Errors
    /// As [`Comparator::pair`]; [`CompareError::Unsupported`] where the manifest has no such prompt.
    pub fn yes_no(&self, query: &Query, candidate: &ImageTokens) -> Result<f32, CompareError> {
        let prompt =
            self.prompts.yes_no.as_ref().ok_or_else(|| self.unsupported("answer yes or no: no such prompt"))?;
        Ok(difference(&self.ask(query, prompt, &[candidate])?))
    }

    /// How well `candidate` matches: the mean of the answers' values under the softmax over their logits.
    ///
    /// # Errors
    /// As [`Comparator::pair`]; [`CompareError::Unsupported`] where the manifest has no such prompt.
    pub fn score(&self, query: &Query, candidate: &ImageTokens) -> Result<f32, CompareError> {
        let prompt = self.prompts.score.as_ref().ok_or_else(|| self.unsupported("answer a score: no such prompt"))?;
        Ok(expected(&self.ask(query, prompt, &[candidate])?, &prompt.values))
    }

    /// The logit of each of `candidates`, all in one prompt, in their order.
    ///
    /// # Errors
    /// As [`Comparator::pair`]; [`CompareError::Unsupported`] where the manifest has no such prompt, and for fewer than
    /// two candidates or more than it has answers.
    pub fn list(&self, query: &Query, candidates: &[&ImageTokens]) -> Result<Vec<f32>, CompareError> {
        let prompt = self.prompts.list.as_ref().ok_or_else(|| self.unsupported("answer lists: no such prompt"))?;
        if !(2..=prompt.candidates.len()).contains(&candidates.len()) {
            let (most, found) = (prompt.candidates.len(), candidates.len());
            return Err(self.unsupported(&format!("take a list of {found} candidates: expected 2 to {most}")));
        }
        let mut logits = self.ask(query, prompt, candidates)?;
        logits.truncate(candidates.len());
        Ok(logits)
    }

    /// The keys and values of everything before the question of a pair.
    fn second(&self, pivot: &Pivot, second: &ImageTokens) -> Result<Past, CompareError> {
        self.check_tokens(second)?;
        match &pivot.inner.held {
            Held::Chain(past) => {
                self.check_owner(&pivot.inner.query)?;
                self.extend(past, self.slot(1)?, second, past.next)
            }
            Held::Block { .. } => self.joined(pivot, &self.second_block(pivot, second)?),
        }
    }

    /// The margin of a pair, all of which but the question was run.
    fn margin(&self, past: &Past) -> Result<f32, CompareError> {
        Ok(difference(&self.answer(past, &self.prompts.pair)?))
    }

    /// A candidate alone, in the place of the second.
    fn second_block(&self, pivot: &Pivot, second: &ImageTokens) -> Result<Past, CompareError> {
        let prefix = self.prefix(&pivot.inner.query, &self.prompts.pair)?;
        let piece = self.slot(1)?;
        self.block(&self.extend(&prefix, piece, second, prefix.next + self.slot(0)?.advance)?, piece)
    }

    /// Prefix, the pivot as the first, and another as the second.
    fn joined(&self, pivot: &Pivot, second: &Past) -> Result<Past, CompareError> {
        let prefix = self.prefix(&pivot.inner.query, &self.prompts.pair)?;
        match &pivot.inner.held {
            Held::Block { first, .. } => self.decoder.join(&[&prefix, first, second]),
            Held::Chain(_) => Err(self.unsupported("compare two pivots: its candidates see each other")),
        }
    }

    /// The logits of a prompt's answers for `candidates`.
    fn ask(&self, query: &Query, prompt: &Prompt, candidates: &[&ImageTokens]) -> Result<Vec<f32>, CompareError> {
        candidates.iter().try_for_each(|tokens| self.check_tokens(tokens))?;
        let prefix = self.prefix(query, prompt)?;
        let turns = prompt.candidates.iter().zip(candidates);
        if !self.blocks_independent {
            let mut past: Option<Past> = None;
            for (piece, tokens) in turns {
                let before = past.as_ref().unwrap_or(&prefix);
                past = Some(self.extend(before, piece, tokens, before.next)?);
            }
            return self.answer(past.as_ref().unwrap_or(&prefix), prompt);
        }
        let (mut at, mut blocks) = (prefix.next, Vec::new());
        for (piece, tokens) in turns {
            blocks.push(self.block(&self.extend(&prefix, piece, tokens, at)?, piece)?);
            at += piece.advance;
        }
        let all: Vec<&Past> = std::iter::once(&*prefix).chain(&blocks).collect();
        self.answer(&self.decoder.join(&all)?, prompt)
    }

    /// The keys and values of a prompt's prefix, run when they are needed first.
    fn prefix(&self, query: &Query, prompt: &Prompt) -> Result<Arc<Past>, CompareError> {
        self.check_owner(query)?;
        let missing = || self.unsupported("find a prefix of its prompts");
        let held = query.inner.pasts.get(prompt.prefix).ok_or_else(missing)?;
        if let Some(past) = held.get() {
            return Ok(Arc::clone(past));
        }
        let piece = self.prompts.prefixes.get(prompt.prefix).ok_or_else(missing)?;
        let past = Arc::new(self.extend(&self.decoder.nothing(), piece, &query.inner.tokens, 0)?);
        Ok(Arc::clone(held.get_or_init(|| past)))
    }

    fn extend(&self, past: &Past, piece: &Piece, image: &ImageTokens, at: i64) -> Result<Past, CompareError> {
        self.decoder.extend(past, Turn { piece, image: Some(image), at }, &self.stopper)
    }

    /// What a piece alone added to the past that it was run on.
    fn block(&self, past: &Past, piece: &Piece) -> Result<Past, CompareError> {
        self.decoder.tail(past, piece.tokens())
    }

    fn answer(&self, past: &Past, prompt: &Prompt) -> Result<Vec<f32>, CompareError> {
        let turn = Turn { piece: &prompt.suffix, image: None, at: past.next };
        self.decoder.logits(past, turn, &prompt.columns, &self.stopper)
    }

    /// Gives back what the goldens left behind: keys and values that outlived a run kept its memory from being so.
    fn give_back(&self) {
        if self.decoder.network.gives_back() {
            let turn = Turn { piece: &self.prompts.pair.suffix, image: None, at: 0 };
            // What it gives does not matter; a runtime that fails says so when it is asked something.
            let _ = self.decoder.logits(&self.decoder.nothing(), turn, &[], &self.stopper);
        }
    }

    /// The piece of the first or the second of a pair.
    fn slot(&self, at: usize) -> Result<&Piece, CompareError> {
        self.prompts.pair.candidates.get(at).ok_or_else(|| self.unsupported("compare pairs: no such prompt"))
    }

    fn check_tokens(&self, tokens: &ImageTokens) -> Result<(), CompareError> {
        let (expected, found) = (self.producer(), tokens.producer());
        if expected != found {
            return Err(CompareError::OtherProducer { expected: expected.to_owned(), found: found.to_owned() });
        }
        let (expected, found) = (self.vision.shape(), [tokens.tokens(), tokens.width()]);
        if expected != found {
            return Err(CompareError::TokensShape { model: self.name.clone(), expected, found: found.to_vec() });
        }
        match tokens.as_slice().iter().find(|number| !number.is_finite()) {
            Some(&found) => Err(CompareError::NotFinite { model: self.name.clone(), what: "image tokens", found }),
            None => Ok(()),
        }
    }

    fn check_owner(&self, query: &Query) -> Result<(), CompareError> {
        if query.inner.owner == self.owner {
            return Ok(());
        }
        Err(CompareError::OtherComparator { model: self.name.clone() })
    }

    fn unsupported(&self, what: &str) -> CompareError {
        CompareError::Unsupported { model: self.name.clone(), what: what.to_owned() }
    }
}

impl std::fmt::Debug for Comparator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Comparator").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The first logit less the second.
fn difference(logits: &[f32]) -> f32 {
    match logits {
        [first, second, ..] => first - second,
        _ => f32::NAN,
    }
}

/// The mean of `values` under the softmax over `logits`, which are finite.
fn expected(logits: &[f32], values: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights = logits.iter().map(|logit| f64::from(logit - most).exp());
    let (sum, all) = weights
        .zip(values)
        .fold((0.0, 0.0), |(sum, all), (weight, &value)| (sum + weight * f64::from(value), all + weight));
    (sum / all) as f32
}
