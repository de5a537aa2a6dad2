//! Where was this frame taken, in the words of a model?
//!
//! [`generate`] asks a [`Generator`] about a frame, told the places of the references most similar and most dissimilar to
//! it, as in retrieval-augmented street-level geo-localization (arXiv 2509.01341), and reads its answers strictly.

mod coordinate_text;
mod median;
mod prompt;
mod text_angle;

use std::time::{Duration, Instant};

use quantized_models::{Ask, DecodeError, DecodeLimits, GenerateError, Generator, decode};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::coordinate_text::{NoAnswer, place};
pub use self::median::geometric_median;
pub use self::prompt::{Form, Notation, Order, PromptOptions, dms, prompt};
use crate::locate::{Candidate, Prediction};

/// How a generator is asked about a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// What the question is made of.
    pub prompt: PromptOptions,
    /// Answers that are asked for, at least 1; the place is their geometric median.
    pub samples: usize,
    /// How freely tokens are drawn, 0 or more; at 0 all samples are the same.
    pub temperature: f64,
    /// Tokens that an answer may have.
    pub answer_tokens: usize,
    /// How long all samples together may take.
    pub budget: Duration,
}

/// What a generator made of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Latitude and longitude in WGS 84 degrees; `None` where no answer names a place, or they cancel out.
    pub place: Option<(f64, f64)>,
    /// Answers that were written.
    pub samples: usize,
    /// Of those, answers that name a place.
    pub parsed: usize,
    /// Why there are not as many answers as were asked for.
    pub cut_short: Option<String>,
}

/// Why a generator made nothing of a frame.
#[derive(Debug, Error)]
pub enum AskError {
    /// The picture.
    #[error("{0}")]
    Picture(#[from] DecodeError),
    /// The model.
    #[error(transparent)]
    Model(#[from] GenerateError),
}

/// Asks `model` about the frame whose picture is `encoded` and whose candidates are those of `prediction`.
///
/// # Errors
/// [`AskError`], when not even the first answer was written.
pub fn generate(
    model: &Generator,
    encoded: &[u8],
    limits: &DecodeLimits,
    prediction: &Prediction,
    options: &GenerateOptions,
) -> Result<Generated, AskError> {
    let until = Instant::now() + options.budget;
    let image = decode(encoded, limits)?;
    let places =
        |found: &[Candidate]| -> Vec<(f64, f64)> { found.iter().map(|found| (found.lat_deg, found.lon_deg)).collect() };
    let text = prompt(&options.prompt, &places(&prediction.similar), &places(&prediction.dissimilar));
    let (mut found, mut samples, mut cut_short) = (Vec::new(), 0, None);
    for number in 0..u32::try_from(options.samples.max(1)).unwrap_or(u32::MAX) {
        let ask = Ask {
            text: &text,
            image: &image,
            temperature: options.temperature,
            seed: seed(&text, encoded, number),
            most_tokens: options.answer_tokens,
            patience: until.saturating_duration_since(Instant::now()),
        };
        match model.write(&ask) {
            Ok(answer) => {
                samples += 1;
                found.extend(place(&answer.text));
            }
            Err(error) if samples == 0 => return Err(error.into()),
            Err(error) => {
                cut_short = Some(error.to_string());
                break;
            }
        }
    }
    Ok(Generated { place: geometric_median(&found), samples, parsed: found.len(), cut_short })
}

/// Of the draws of an answer: its question and its number among several, so that each is drawn anew and the same again.
pub fn seed(text: &str, picture: &[u8], number: u32) -> u64 {
    let mut digest = Sha256::new();
    digest.update(number.to_le_bytes());
    digest.update(Sha256::digest(picture));
    digest.update(text.as_bytes());
    digest.finalize().iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_to_each_question_is_drawn_by_a_seed_of_its_own() {
        let usual = seed("where", b"jpeg", 0);
        assert_eq!(usual, seed("where", b"jpeg", 0));
        for other in [seed("who", b"jpeg", 0), seed("where", b"png", 0), seed("where", b"jpeg", 1)] {
            assert_ne!(usual, other);
        }
    }
}
