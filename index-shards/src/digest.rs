//! SHA-256 digests and how they are shown.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// Bytes of a digest.
pub(crate) const DIGEST_BYTES: usize = 32;

/// A SHA-256 digest; shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; DIGEST_BYTES]);

impl Digest {
    /// The digest of all that `hasher` took in.
    pub(crate) fn of(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }
}

impl FromStr for Digest {
    type Err = ();

    /// 64 hexadecimal digits.
    fn from_str(digits: &str) -> Result<Self, ()> {
        let mut digest = [0; DIGEST_BYTES];
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != DIGEST_BYTES || !rest.is_empty() {
            return Err(());
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(());
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_published_digest_of_abc() {
        // FIPS 180-4, example "abc".
        let digest = Digest::of(Sha256::new_with_prefix(b"abc"));
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn digits_come_back_and_others_are_refused() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(digits.parse::<Digest>().map(|digest| digest.to_string()), Ok(digits.clone()));
        for bad in [&digits[1..], &format!("{digits}00"), &digits.replace('f', "g"), &"é".repeat(32), ""] {
            assert_eq!(bad.parse::<Digest>(), Err(()), "{bad}");
        }
    }
}
