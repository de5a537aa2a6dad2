//! The shard from outside, by its public interface and by its bytes:
//!
//! - `golden`: the byte tables of the documentation, byte for byte
//! - `writing`: what goes in comes out; what is refused; what is left behind
//! - `searching`: both ends against a naive search, windows, ties, sets
//! - `damage`: every flipped bit, every cut, crafted headers and sections

#[cfg(test)]
mod common;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod searching;
#[cfg(test)]
mod writing;
