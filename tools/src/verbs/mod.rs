//! One file per verb.

pub mod bench;
pub mod build;
pub mod bundle;
pub mod calibrate;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod import;
pub mod inspect;
pub mod locate;
pub mod merge;
pub mod models;
pub mod outbox;
pub mod sample;
pub mod search;
pub mod sign;
pub mod verify;
pub mod world;
