//! What benchmarks of the index are made of: vectors that look like embeddings, queries, and the truth about them.

pub mod folder;
pub mod npy_writer;
pub mod process;
pub mod queries;
pub mod questions;
pub mod random;
pub mod rerank;
pub mod rotation;
pub mod routes;
pub mod truth;
pub mod vectors;
