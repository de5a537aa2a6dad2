//! Encoders on both runtimes: networks that are made here, packed weights, memory, and everything that must be refused.
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

mod asymmetric;
mod bad_input;
mod golden;
mod mapped;
mod model;
mod onnx;
#[path = "../support/onnxruntime.rs"]
mod onnxruntime;
mod packed;
mod published;
mod speed;
mod vit;
