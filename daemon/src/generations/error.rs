//! Why a generation, or a key, is refused.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use thiserror::Error;

use super::keys::KeyId;
use crate::assemble::AssembleError;

/// Why a generation is refused. Each names file or folder, what was expected and what was found.
#[derive(Debug, Error)]
pub enum GenerationError {
    /// A file is not there, or cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The manifest is none.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Which key, what was expected and what was found.
        message: String,
    },
    /// The signature is none, by nobody who is trusted, or wrong.
    #[error("{}: {message}", path.display())]
    Signature {
        /// The signature.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
    },
    /// Signed by a key that counts no more.
    #[error("{}: signed by key {key}, which is revoked", path.display())]
    Revoked {
        /// The signature.
        path: PathBuf,
        /// The key.
        key: KeyId,
    },
    /// The manifest revokes a key that its signer may not revoke.
    #[error("{}: revokes key {revoked}; signed by key {signer}, which may only revoke keys that stand before it", path.display())]
    Revokes {
        /// The manifest.
        path: PathBuf,
        /// Who signed.
        signer: KeyId,
        /// Who should be revoked.
        revoked: String,
    },
    /// The folder's name speaks of another generation than its manifest.
    #[error("{}: mixed: expected counter {expected} as in the folder's name, found {found}", path.display())]
    Mixed {
        /// The manifest.
        path: PathBuf,
        /// The number in the name.
        expected: u64,
        /// The counter in the manifest.
        found: u64,
    },
    /// An older generation than one that was accepted before.
    #[error("{}: expected a counter of at least {expected}, found {found}: an older generation is not activated", path.display())]
    Counter {
        /// The manifest.
        path: PathBuf,
        /// The least that is accepted.
        expected: u64,
        /// The counter in the manifest.
        found: u64,
    },
    /// Another manifest bore the same counter before.
    #[error("{}: counter {counter} was accepted before with another manifest (sha256 {expected}), found {found}", path.display())]
    Replaced {
        /// The manifest.
        path: PathBuf,
        /// The counter of both.
        counter: u64,
        /// The digest of the manifest that was accepted.
        expected: String,
        /// The digest of this one.
        found: String,
    },
    /// Its time is over.
    #[error("{}: expired at {expires:.0}; it is {now:.0} ({clock})", path.display())]
    Expired {
        /// The manifest.
        path: PathBuf,
        /// Until when it may be activated.
        expires: Timestamp,
        /// What the device takes for now.
        now: Timestamp,
        /// How the device knows.
        clock: &'static str,
    },
    /// A file has another length.
    #[error("{}: expected {expected} bytes, found {found}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// As the manifest says.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// A file has another content.
    #[error("{}: expected sha256 {expected}, found {found}", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// As the manifest says.
        expected: String,
        /// As it is.
        found: String,
    },
    /// What the manifest names is not a file of the folder.
    #[error("{}: expected a file inside the generation's folder, found {found}", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The list of golden queries is none.
    #[error("{}: {message}", path.display())]
    GoldenList {
        /// The list, or a file that it names.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
    },
    /// A golden query found something else.
    #[error("{}: golden query {query}: expected \"{expected}\" first, found {found}", path.display())]
    Golden {
        /// The list.
        path: PathBuf,
        /// The query's picture or vector.
        query: String,
        /// The reference that it should find.
        expected: String,
        /// What it found.
        found: String,
    },
    /// The parts do not make a pipeline.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

impl GenerationError {
    /// Whether files are still missing or short, as while they are being copied.
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Length { expected, found, .. } => found < expected,
            _ => false,
        }
    }
}

/// Why a public key cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// It is none.
    #[error("expected a minisign public key (56 characters that begin with RW), found \"{0}\"")]
    NoKey(String),
    /// It is the id of none.
    #[error("expected the id of a key, 16 hexadecimal digits, found \"{0}\"")]
    NoId(String),
    /// Too many keys, or none.
    #[error("expected one key, or two while keys are rotated, found {0}")]
    Count(usize),
    /// Twice the same.
    #[error("expected two different keys, found {0} twice")]
    Twice(KeyId),
}
