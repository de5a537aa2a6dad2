//! Generations of the index: folders `gen-N` of files with one signed manifest.
//!
//! A generation is what a device serves from: shards, and where it brings them a model, a calibration and golden
//! queries. [`GenerationManifest`] names every file with its length and digest; [`KeyRing`] says whose signature counts;
//! [`Generation`] is a folder whose manifest was signed by one of them, and [`Generation::verify`] compares every file.
//! [`GenerationState`] is what a device remembers: which one is active, which one was before, and how far the counter
//! has come. Nothing here knows of threads, a broker or a server: `geolocate sign` and the daemon call the same code.

#[cfg(test)]
mod crashing;
mod error;
mod folder;
mod golden;
mod keys;
mod manifest;
mod state;
mod time_floor;

pub use error::{GenerationError, KeyError};
pub use folder::{Generation, Watch, counter_of_name, list};
pub use golden::{GoldenList, GoldenQuery};
pub use keys::{KeyId, KeyRing};
pub use manifest::{FileRole, GOLDEN_NAME, GenerationManifest, MANIFEST_NAME, ManifestFile, SIGNATURE_NAME};
pub use state::{Entry, GenerationState, SetAside, StateError};
pub use time_floor::{BUILD_TIME_S, Now};
