//! What writes an answer to a question about a picture.

use thiserror::Error;

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The text.
    pub text: &'a str,
    /// The picture: encoded as JPEG, PNG or WebP.
    pub picture: &'a [u8],
    /// How freely the answer is drawn; 0 is always the likeliest word.
    pub temperature: f64,
    /// Number of the answer among several to the same question; generators that can, draw by it.
    pub number: u32,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The text, as it came.
    pub text: String,
    /// Tokens of the question, picture included, where the generator counts them.
    pub question_tokens: u64,
    /// Tokens of the answer.
    pub answer_tokens: u64,
    /// Whether it was written by an earlier run.
    pub cached: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GenerateError {
    /// The server will not answer anything as it is asked: a wrong key, a wrong address, an unknown model.
    #[error("{url}: the server answers {status}: {message}")]
    Refused {
        /// The address.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// The server will not answer this question: it is too long, or against its rules.
    #[error("{url}: the server does not answer this question ({status}): {message}")]
    Declined {
        /// The address.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// The server's own words.
        message: String,
    },
    /// What came is no answer of the kind that was asked for.
    #[error("{url}: expected {expected}, found {found}")]
    Garbage {
        /// The address.
        url: String,
        /// What should have come.
        expected: &'static str,
        /// What came, its beginning.
        found: String,
    },
    /// It failed in passing, and did so each time that it was asked.
    #[error("{url}: {reason} (given up after {attempts} attempts)")]
    GivenUp {
        /// The address.
        url: String,
        /// What went wrong last.
        reason: String,
        /// How often it was asked.
        attempts: u32,
    },
    /// A model that runs here writes no answer to this question.
    #[error("{message}")]
    Here {
        /// The word that stands in reports: `declined` for a question that does not fit, `given_up` for one that took too
        /// long, `failed` for a fault of the runtime.
        word: &'static str,
        /// What happened.
        message: String,
    },
    /// The picture cannot be sent.
    #[error("the picture cannot be sent: {0}")]
    Picture(String),
}

impl GenerateError {
    /// Whether no other question will be answered either, so that there is no use in going on.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The word that stands in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Declined { .. } => "declined",
            Self::Garbage { .. } => "garbage",
            Self::GivenUp { .. } => "given_up",
            Self::Here { word, .. } => word,
            Self::Picture(_) => "picture",
        }
    }
}

/// Writes answers. Asked from several threads at the same time. A server does (`openai.rs`), and so does a model that
/// runs here (`local.rs`).
pub trait Generator: Sync {
    /// What it is called in reports and in the names of kept answers.
    fn name(&self) -> &str;
    /// Answers a question.
    ///
    /// # Errors
    /// [`GenerateError`].
    fn write(&self, question: &Question<'_>) -> Result<Written, GenerateError>;
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn write(&self, question: &Question<'_>) -> Result<Written, GenerateError> {
        (**self).write(question)
    }
}
