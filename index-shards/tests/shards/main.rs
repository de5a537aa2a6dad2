//! The shard from outside, by its public interface and by its bytes:
//!
//! - `golden`: the file of format 1 that is kept, and the byte tables of the documentation, byte for byte
//! - `writing`: what goes in comes out; what is refused; what is left behind
//! - `resuming`: builds that were dropped or killed and go on
//! - `crashing`: builds on a disk that fails, tears and forgets at every call (`tests/faulty_disk/`)
//! - `merging`: shards joined into one
//! - `searching`: small shards: both ends against a naive search, filters, sets, ways to be dissimilar
//! - `coded`: larger shards: recall of the codes, kernels, threads, filters
//! - `damage`: every flipped bit (`bits`), every cut (`files`), crafted headers, sections and details

#[cfg(test)]
mod coded;
#[cfg(test)]
mod common;
#[cfg(test)]
mod crashing;
#[cfg(test)]
mod damage;
#[cfg(test)]
#[path = "../../../tests/faulty_disk/mod.rs"]
mod faulty_disk;
#[cfg(test)]
#[path = "../../../tests/faulty_disk/as_disk.rs"]
mod faulty_disk_as_disk;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod resuming;
#[cfg(test)]
mod searching;
#[cfg(test)]
mod writing;
