//! Digests of files.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// SHA-256 of `bytes`, 64 lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of what `file` holds from where it stands, 64 lower-case hexadecimal digits; `progress` is told the number
/// of bytes of each piece.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of_reader(mut file: impl Read, mut progress: impl FnMut(u64)) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(length) => {
                hasher.update(chunk.get(..length).unwrap_or_default());
                progress(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_the_one_of_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), expected);
        let mut bytes = 0;
        assert_eq!(sha256_of_reader(b"abc".as_slice(), |piece| bytes += piece).unwrap(), expected);
        assert_eq!(bytes, 3);
    }
}
