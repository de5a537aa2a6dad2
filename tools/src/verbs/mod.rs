//! One file per verb.

pub mod build;
pub mod demo;
pub mod evaluate;
pub mod inspect;
pub mod locate;
pub mod search;
pub mod verify;
