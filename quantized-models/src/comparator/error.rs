//! Why pictures were not compared, and no answer was written.

use crate::error::{EmbedError, LoadError};

/// Why pictures were not compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A [`Stopper`](crate::Stopper) was told to stop, and not told to go on again.
    #[error("comparator {model}: stopped")]
    Stopped {
        /// Name of the model.
        model: String,
    },
    /// A picture has no pixels, or cannot be resized.
    #[error("cannot compare: {0}")]
    Picture(#[source] EmbedError),
    /// The model gave something that is no number.
    #[error("comparator {model}: expected finite {what}, found {found}")]
    NotFinite {
        /// Name of the model.
        model: String,
        /// What should be finite.
        what: &'static str,
        /// The first number that is not.
        found: f32,
    },
    /// The runtime failed.
    #[error("comparator {model}: {runtime} failed on {graph}: {reason}")]
    Runtime {
        /// Name of the model.
        model: String,
        /// Name and version of the runtime.
        runtime: String,
        /// `vision_encoder`, `embed_tokens` or `decoder`.
        graph: &'static str,
        /// What it said.
        reason: String,
    },
    /// The tokens were made by another model: they mean nothing to this one.
    #[error("expected image tokens of comparator {expected}, found those of {found}")]
    OtherProducer {
        /// Producer of tokens that this comparator takes.
        expected: String,
        /// The one that made them.
        found: String,
    },
    /// The query or the pivot is of another comparator, loaded at another time.
    #[error("comparator {model}: expected keys and values that it made itself, found those of another comparator")]
    OtherComparator {
        /// Name of the model.
        model: String,
    },
    /// The vision encoder gave another number of tokens, or of numbers, than the manifest says.
    #[error(
        "comparator {model}: image.tokens x image.width: expected {} x {} numbers from vision_encoder, found {found:?}",
        expected[0], expected[1]
    )]
    TokensShape {
        /// Name of the model.
        model: String,
        /// Tokens, and numbers of each.
        expected: [usize; 2],
        /// The axes of what it gave.
        found: Vec<usize>,
    },
    /// Keys, values or logits have other axes than the manifest says.
    #[error("comparator {model}: {output} of decoder: expected {expected:?}, found {found:?}")]
    Shape {
        /// Name of the model.
        model: String,
        /// Name of the output.
        output: String,
        /// The axes that the manifest says.
        expected: Vec<usize>,
        /// The axes that it has.
        found: Vec<usize>,
    },
    /// The manifest has no such question, or the model was not made for it.
    #[error("comparator {model} cannot {what}")]
    Unsupported {
        /// Name of the model.
        model: String,
        /// What was asked of it.
        what: String,
    },
}

/// Why a [`Generator`](crate::Generator) wrote no answer.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// Question, picture and answer are more than the model can hold.
    #[error(
        "generator {model}: generate.context: expected a question of at most {} tokens, its picture included, beside an \
         answer of {answer}, found {found}",
        context.saturating_sub(*answer)
    )]
    TooLong {
        /// Name of the model.
        model: String,
        /// Tokens that it can hold.
        context: usize,
        /// Tokens that the answer may have.
        answer: usize,
        /// Tokens of the question.
        found: usize,
    },
    /// The question does not become the tokens that it should, or what was written no text.
    #[error("generator {model}: {source}")]
    Text {
        /// Name of the model.
        model: String,
        /// What is wrong.
        source: Box<LoadError>,
    },
    /// It took longer than it may.
    #[error("generator {model}: expected an answer within {patience_s} s, found {tokens} tokens by then")]
    Late {
        /// Name of the model.
        model: String,
        /// How long it may take, in seconds.
        patience_s: f64,
        /// Tokens that were written.
        tokens: usize,
    },
    /// The picture was not seen, the runtime failed or was stopped, or gave what no model should.
    #[error(transparent)]
    Model(#[from] CompareError),
}

/// Why stored image tokens were not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// The bytes are of another form.
    #[error("image tokens: expected {expected}, found {found}")]
    Form {
        /// The rule.
        expected: String,
        /// What is there.
        found: String,
    },
}
