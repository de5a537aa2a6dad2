//! How the daemon speaks to brokers and others: by TLS, in MQTT 3.1.1, from folders and commands, in other people's
//! words; and what bad input over the broker does to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod bad_input;
mod contract;
mod device;
mod interoperation;
mod operations;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod version_3_1_1;
