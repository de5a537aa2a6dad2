//! Where was this frame taken?
//!
//! The data walks one way: [`Frame`] → decoded picture → embedding → similar and dissimilar [`Candidate`]s →
//! [`Outcome`], all in one synchronous function, [`Pipeline::locate`]. Where a comparator looks at the candidates too,
//! [`rerank`] chooses what it is asked, and [`reranked`] makes a second prediction of its answers. [`track`] puts the
//! frames of one camera together over time. Nothing here knows of a network, a broker or the
//! time of day: the daemon, `geolocate locate` and `geolocate evaluate` call the very same function, so what is measured
//! is what ships.

mod attitude;
mod candidate;
mod centring;
mod certainty;
mod context;
mod features;
mod fix_message;
mod frame;
mod framing;
mod fuse;
mod geodesy;
mod modes;
mod pipeline;
mod posterior;
mod prediction;
mod quality;
pub mod rerank;
mod reranking;
mod support;
pub mod track;
mod track_part;

pub(crate) use pipeline::same_space;

pub use attitude::CameraOffset;
pub use candidate::Candidate;
pub use centring::CameraMean;
pub use certainty::{Certainty, Logistic, Radii, RadiusBand, StageCalibration, Term};
pub use context::{CameraContext, LastPicture, Located};
pub use features::{FEATURE_NAMES, FEATURES, Features};
pub use fix_message::{
    FixMessage, GeneratedPart, IndexPart, MessageCandidate, MessageStatus, ModelsPart, ProbeOutcome, RerankPart, Stage,
    StageMilliseconds, View, timestamp,
};
pub use frame::{Frame, Hints, Prior};
pub use framing::{Corners, Framing, Hint, HintUse, IgnoredHint};
pub use fuse::FuseOptions;
pub use geodesy::{Plane, distance_m, weighted_mean};
pub use modes::Mode;
pub use pipeline::{Calibrated, Pipeline, PipelineError, PipelineOptions};
pub use posterior::Posterior;
pub use prediction::{Fix, FrameError, NoFixReason, Outcome, Prediction, StageTimes};
pub use quality::{BadFrame, Fingerprint, FrameFigures, RefusedFrames};
pub use reranking::{RerankEnd, Reranking, reranked};
pub use support::Support;
pub use track_part::TrackPart;
