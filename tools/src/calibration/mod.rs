//! Fits how certain answers are, on flights with known places.
//!
//! Flights are cut in two: on one part the confidence is fitted, on the other one the threshold and the radii are read
//! off, each flight counting as one. So they hold for a new flight that is like these, whatever frames of one flight
//! have in common, and whatever the model is worth.

pub mod conformal;
pub mod fit;
pub mod logistic;
pub mod scale;
