//! Asks a generator about all queries, several at the same time, and reads its answers.

use std::collections::BTreeMap;
use std::path::Path;

use geolocated::generator::{NoAnswer, PromptOptions, place, prompt};
use quantized_models::DecodeLimits;

use super::generator::{GenerateError, Generator, Question, Written};
use super::neighbours::{Neighbours, picture};
use crate::evaluation::Query;
use crate::ordered::ordered_map;
use crate::progress::Progress;

/// One answer, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// It was written, and names no place.
    NoPlace(NoAnswer),
    /// It was not written.
    Failed(&'static str, String),
}

/// The place of an answer, or why there is none.
pub(super) type Answer = Result<Place, Why>;

/// A place in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place(pub(super) f64, pub(super) f64);

impl Eq for Place {}

/// What was written in all, by tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Tokens {
    /// Of questions, pictures included, as far as the server counts.
    pub(super) question: u64,
    /// Of answers.
    pub(super) answer: u64,
    /// Answers of this run.
    pub(super) written: u64,
    /// Answers of earlier runs, which cost nothing now.
    pub(super) cached: u64,
}

/// How all queries are asked.
pub(super) struct Asking<'a> {
    pub(super) generator: &'a dyn Generator,
    pub(super) images: &'a Path,
    pub(super) limits: &'a DecodeLimits,
    pub(super) picture_px: u32,
    pub(super) temperature: f64,
    pub(super) runs: usize,
    pub(super) concurrency: usize,
}

/// What came of asking: for each query its answers, as many as there were to be.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) answers: Vec<Vec<Answer>>,
    pub(super) tokens: Tokens,
}

impl Asking<'_> {
    /// Asks about each query with the neighbours at its position.
    ///
    /// # Errors
    /// The generator refuses all questions: asking on would be of no use.
    pub(super) fn ask(
        &self,
        title: &'static str,
        options: &PromptOptions,
        queries: &[Query<'_>],
        neighbours: &[&Neighbours],
    ) -> Result<Asked, GenerateError> {
        let progress = Progress::new(title, queries.len());
        let mut asked = Asked::default();
        let work = |(query, neighbours): (&Query<'_>, &&Neighbours)| -> Vec<Result<Written, GenerateError>> {
            let text = prompt(options, &neighbours.similar, &neighbours.dissimilar);
            let picture = match picture(self.images, &query.pose.file, self.limits, self.picture_px) {
                Ok(picture) => picture,
                Err(error) => return vec![Err(GenerateError::Picture(error)); self.runs],
            };
            let write = |number: u32| {
                self.generator.write(&Question {
                    text: &text,
                    picture: &picture,
                    temperature: self.temperature,
                    number,
                })
            };
            (0..u32::try_from(self.runs).unwrap_or(u32::MAX)).map(write).collect()
        };
        ordered_map(queries.iter().zip(neighbours), self.concurrency, work, |written| {
            let mut answers = Vec::with_capacity(written.len());
            for written in written {
                answers.push(match written {
                    Ok(written) => {
                        asked.tokens.add(&written);
                        place(&written.text).map(|(lat, lon)| Place(lat, lon)).map_err(Why::NoPlace)
                    }
                    Err(error) if error.is_final() => return Err(error),
                    Err(error) => {
                        progress.note(&format!("no answer: {error}"));
                        Err(Why::Failed(error.as_str(), error.to_string()))
                    }
                });
            }
            asked.answers.push(answers);
            progress.step();
            Ok(())
        })?;
        Ok(asked)
    }
}

impl Tokens {
    fn add(&mut self, written: &Written) {
        self.question += written.question_tokens;
        self.answer += written.answer_tokens;
        if written.cached {
            self.cached += 1;
        } else {
            self.written += 1;
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            question: self.question + other.question,
            answer: self.answer + other.answer,
            written: self.written + other.written,
            cached: self.cached + other.cached,
        }
    }
}

/// How many answers name no place or were not written, by reason.
pub(super) fn counts<'a>(answers: impl Iterator<Item = &'a Answer>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        let word = match answer {
            Ok(_) => continue,
            Err(Why::NoPlace(reason)) => reason.as_str(),
            Err(Why::Failed(word, _)) => word,
        };
        *counts.entry(word).or_default() += 1;
    }
    counts
}
