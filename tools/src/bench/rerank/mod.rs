//! A simulation of reranking: frames whose truth is known, comparators that err as real ones do, and the daemon's own
//! schedules between the two.
//!
//! Everything is drawn by seed. A comparator's answer to a pair in one order is always the same, as that of a model
//! without sampling is: asking twice teaches nothing.

pub mod comparator;
pub mod consistency;
pub mod frame;
pub mod published;
pub mod trial;
