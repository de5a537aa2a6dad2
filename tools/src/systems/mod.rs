//! Published systems, run with our parts: `geolocate evaluate --system`.
//!
//! Retrieval is that of the daemon. What a system does with it lies here: `rag` and `sft` ask a [`generator`] for
//! coordinates, which [`coordinate_text`] reads strictly.

pub mod aggregate;
mod answer_cache;
pub mod args;
pub mod coordinate_text;
mod figures;
pub mod generator;
mod geodesy;
mod neighbours;
mod openai;
pub mod prompt;
mod published;
mod questions;
mod report;
mod run;
mod sweep;
mod text_angle;

pub use self::report::SystemReport;
pub use self::run::{Inputs, run};
