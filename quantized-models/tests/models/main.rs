//! What the crate promises to those who use it, one file per part.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests"
)]

mod decode;
mod decode_hostile;
mod encoder;
mod exif;
mod huggingface;
mod manifest;
mod preprocess;
mod support;
