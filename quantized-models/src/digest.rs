//! A file and its digest, from one reading: what was hashed is what is used.

use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;

/// A file's content and its SHA-256.
pub(crate) struct Digested {
    /// Every byte of the file.
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of `bytes`, 64 lower-case hexadecimal digits.
    pub(crate) sha256: String,
}

/// Reads `path` once and hashes what was read.
pub(crate) fn read(path: &Path) -> io::Result<Digested> {
    let bytes = std::fs::read(path)?;
    let sha256 = sha256_hex(&bytes);
    Ok(Digested { bytes, sha256 })
}

/// SHA-256 of `bytes`, 64 lower-case hexadecimal digits.
fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_one_of_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), expected);
    }
}
