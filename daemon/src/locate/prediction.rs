//! What the pipeline answers for one frame.

use std::fmt;

use quantized_models::DecodeError;

use super::{BadFrame, Candidate, Certainty, Posterior, Reranking};

/// Position that the pipeline stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Latitude in WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude in WGS 84 degrees.
    pub lon_deg: f64,
}

/// Why there is no fix although the frame could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoFixReason {
    /// No reference lies where the frame may have been taken.
    OutOfCoverage,
    /// A comparator looked at the candidates, and what it said leaves none that can be stood for.
    ComparatorRejected,
    /// The picture is not worth an embedding.
    BadFrame(BadFrame),
    /// The frame waited for longer than a frame may be old.
    Stale,
}

impl NoFixReason {
    /// The word that stands in reports, and that messages begin with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfCoverage => "out_of_coverage",
            Self::ComparatorRejected => "comparator_rejected",
            Self::BadFrame(_) => "bad_frame",
            Self::Stale => "stale",
        }
    }
}

impl fmt::Display for NoFixReason {
    /// As it stands in messages: the word, and for a bad frame a colon and what is wrong with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadFrame(kind) => write!(f, "{}: {kind}", self.as_str()),
            Self::OutOfCoverage | Self::ComparatorRejected | Self::Stale => f.write_str(self.as_str()),
        }
    }
}

/// Why a frame could not be worked on.
#[derive(Debug, Clone)]
pub enum FrameError {
    /// The picture was refused.
    Decode(DecodeError),
    /// The encoder gave no usable vector.
    Embed(String),
    /// The index could not answer.
    Search(String),
    /// The pipeline itself failed on it.
    Panicked,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "frame_refused: {error}"),
            Self::Embed(error) => write!(f, "encoder_failed: {error}"),
            Self::Search(error) => write!(f, "search_failed: {error}"),
            Self::Panicked => write!(f, "pipeline_failed: the pipeline did not survive this frame; see the log"),
        }
    }
}

/// The answer for one frame.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A position.
    Fix(Fix),
    /// Several places far apart explain the frame about equally well; they stand in the candidates.
    Ambiguous,
    /// The frame was read, and there is no position to stand for.
    NoFix(NoFixReason),
    /// The frame could not be worked on.
    Error(FrameError),
}

/// Wall-clock milliseconds that each stage took; absent for a stage that did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StageTimes {
    /// From encoded bytes to an upright RGB picture.
    pub decode_ms: Option<f64>,
    /// From the picture to whether it is worth an embedding.
    pub check_ms: Option<f64>,
    /// From the picture to its embedding, preprocessing included.
    pub embed_ms: Option<f64>,
    /// From the embedding to the most similar and most dissimilar references.
    pub search_ms: Option<f64>,
    /// From the retrieved candidates to their new order.
    pub rerank_ms: Option<f64>,
    /// From candidates to a fix.
    pub fuse_ms: Option<f64>,
    /// All of them together.
    pub total_ms: Option<f64>,
}

/// All that the pipeline found for one frame.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The answer.
    pub outcome: Outcome,
    /// The most similar references, most similar first; after reranking, the best one first.
    pub similar: Vec<Candidate>,
    /// Those that follow, for a reranking that looks further down; they have no part in the answer of retrieval.
    pub further: Vec<Candidate>,
    /// The most dissimilar references, most dissimilar first.
    pub dissimilar: Vec<Candidate>,
    /// What is believed of the place: shares of [`Prediction::similar`], after reranking of [`Prediction::further`], too,
    /// in their order, and the places that they show.
    pub posterior: Posterior,
    /// What a calibration says of the answer; absent without one that holds.
    pub certainty: Option<Certainty>,
    /// What a comparator said, or why it said nothing; absent where none was to be asked.
    pub reranking: Option<Reranking>,
    /// How long each stage took.
    pub stages: StageTimes,
}

impl Prediction {
    /// The answer for a frame that could not be worked on.
    pub fn failed(error: FrameError, stages: StageTimes) -> Self {
        Self::without_candidates(Outcome::Error(error), stages)
    }

    /// The answer for a frame that was not looked for.
    pub fn no_fix(reason: NoFixReason, stages: StageTimes) -> Self {
        Self::without_candidates(Outcome::NoFix(reason), stages)
    }

    fn without_candidates(outcome: Outcome, stages: StageTimes) -> Self {
        Self {
            outcome,
            similar: Vec::new(),
            further: Vec::new(),
            dissimilar: Vec::new(),
            posterior: Posterior::default(),
            certainty: None,
            reranking: None,
            stages,
        }
    }
}
