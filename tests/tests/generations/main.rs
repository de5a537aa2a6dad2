//! Signed generations on real devices: activated without missing a frame, refused by name, rolled back, fetched, and
//! never lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod asking;
mod refusing;
#[path = "../models_pull/server.rs"]
#[allow(dead_code, reason = "another test needs all of it")]
mod server;
mod starting;
#[path = "../support/mod.rs"]
mod support;
mod switching;
mod updates;
