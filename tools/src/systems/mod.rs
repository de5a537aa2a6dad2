//! Published systems, run with our parts: `geolocate evaluate --system`.
//!
//! Retrieval is that of the daemon. What a system does with it lies here: `rag` and `sft` ask a [`generator`] for
//! coordinates, a server or a model that runs here; question and reading are those of [`geolocated::generator`].

pub mod aggregate;
mod answer_cache;
pub mod args;
mod figures;
pub mod generator;
mod geodesy;
mod local;
mod neighbours;
mod openai;
mod published;
mod questions;
mod report;
mod retrieval;
mod run;
mod sweep;
mod sweep_table;

pub use self::report::SystemReport;
pub use self::retrieval::{CheckEncoder, Reopen, Retrieval, SweptEncoder};
pub use self::run::{Inputs, run};
