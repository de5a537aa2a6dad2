//! What stands for the name of a reference where names are compared.

use sha2::{Digest, Sha256};

/// The first 128 bits of a name's SHA-256: no two names are known that share them, and none are to be expected.
pub(super) type NameKey = [u8; 16];

/// What stands for a name.
pub(super) fn name_key(name: &str) -> NameKey {
    let digest: [u8; 32] = Sha256::digest(name).into();
    digest.first_chunk().copied().unwrap_or_default()
}
