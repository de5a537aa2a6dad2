//! Where is the camera, given all that its frames said so far?
//!
//! A [`Track`] holds several hypotheses of where a camera is and how it moves, each a Gaussian over position and velocity
//! in a local tangent plane, and beside them the weight of its being anywhere else. Each frame is an [`Observation`]: its
//! candidates with their weights. Every hypothesis goes on with every candidate and with none of them, weighed by how well
//! they agree; candidates also begin hypotheses of their own, so that a camera that was carried away is found again. What
//! says nearly the same is merged, what weighs nothing is dropped (a Gaussian-sum filter: D. Alspach, H. Sorenson,
//! "Nonlinear Bayesian Estimation Using Gaussian Sum Approximations", 1972; with the multiple hypotheses of D. Reid, "An
//! Algorithm for Tracking Multiple Targets", 1979). A position is published only while one place holds nearly all of the
//! weight ([`TrackEstimate`]).
//!
//! Nothing here reads a clock: time comes with the frames.

mod belief;
mod estimate;
mod evidence;
mod history;
mod hypothesis;
mod matrix;
mod observation;
mod options;
mod plane;
mod tracks;
mod window;

#[cfg(test)]
mod tests;

pub use estimate::{TrackEstimate, TrackPosition, TrackState};
pub use history::Track;
pub use observation::{Observation, Scale, Sighting};
pub use options::{CameraKind, Motion, TrackOptions};
pub use tracks::Tracks;
pub use window::{Window, WindowOptions};
