//! The tool as a script uses it: flags, files, JSON, exit statuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod bench;
mod build;
mod calibrate;
mod common;
mod deltas;
mod evaluate;
mod flat_memory;
mod import;
mod integrity;
mod labels;
mod locate;
mod partition;
mod pictures;
mod rerank;
mod resuming;
mod sample;
mod search;
mod sequence;
mod systems;
mod world;
