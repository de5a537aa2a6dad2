//! Comparators on both runtimes: narrow models with random weights (`fixtures/narrow-comparator/`), everything that they
//! can be asked, and everything that must be refused.
//!
//! Tests that need ONNX Runtime's library print a line with their name and pass where it is not there; with
//! `GEOLOCATED_REQUIRE_ONNXRUNTIME=1` they fail. `make onnxruntime` fetches it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod bad_input;
mod generator;
mod model;
#[path = "../support/onnxruntime.rs"]
mod onnxruntime;
mod questions;
mod runtimes;
mod stop;
