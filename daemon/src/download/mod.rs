//! Fetches one file over HTTP: ranged, resumed where it was cut, checked against its digest.
//!
//! The file grows beside its destination as `NAME.part`, with `NAME.part.toml` saying what it belongs to and how much
//! of it is on the disk for certain. Complete and checked, it is renamed: under its own name it is there whole or not
//! at all. Nothing here runs unless it is called; the daemon opens no connection but to its broker, and to `[update]
//! url` where that is set.

mod answer;
mod client;
mod error;
mod part;
mod retry;
mod space;
mod transfer;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use url::Url;

use self::client::Client;
pub use self::client::{Token, TokenError, tls_config};
pub use self::error::DownloadError;
pub use self::space::free_bytes;
use self::transfer::Transfer;

/// What to fetch, and what is known of it.
#[derive(Debug, Clone)]
pub struct Download<'a> {
    /// `http://` or `https://`.
    pub url: &'a Url,
    /// The file that is to be there; its folder exists. One that is there already is replaced.
    pub to: &'a Path,
    /// Its length in bytes, where it is known.
    pub bytes: Option<u64>,
    /// Its SHA-256, 64 lower-case hexadecimal digits, where it is known.
    pub sha256: Option<&'a str>,
    /// More bytes than these are refused.
    pub max_bytes: u64,
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes that an earlier run had left.
    pub resumed_bytes: u64,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that are there.
    pub bytes: u64,
    /// Length of the file, once it is known.
    pub total_bytes: Option<u64>,
    /// How long nothing is done before the next attempt, while that is so.
    pub waiting: Option<Duration>,
}

/// Is told how far a download is, some times a second; breaking off ends it with [`DownloadError::Cancelled`] and keeps
/// what is there for the next time.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// How patient a [`Downloader`] is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, from when it was asked for.
    pub answer: Duration,
    /// For the next byte.
    pub stall: Duration,
    /// Attempts that may fail one after the other without bringing at least 64 KiB; at least 1.
    pub attempts: u32,
    /// The wait after the first failure, which doubles with each.
    pub first_wait: Duration,
    /// The longest wait. A server that asks for a longer one is given up.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(120),
        }
    }
}

/// Fetches files, one after the other, over connections that it keeps.
///
/// Redirects are followed, eight at most, never from `https` to `http`. The proxy is that of the environment
/// (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). The certificates are those of the system (`SSL_CERT_FILE`,
/// `SSL_CERT_DIR`).
#[derive(Debug)]
pub struct Downloader {
    client: Client,
    patience: Patience,
}

impl Downloader {
    /// A downloader that sends `token`, if there is one, to the origin it is for and to no other.
    pub fn new(patience: Patience, token: Option<Token>) -> Self {
        Self { client: Client::new(&patience, token), patience }
    }

    /// Fetches a file. What an earlier run left of it is hashed again and taken over, where it is certain that it
    /// belongs to the same file: the digest is known and the same, or the server's entity tag is.
    ///
    /// # Errors
    /// [`DownloadError`]. A file with another digest or length than expected is deleted; after all other errors
    /// `NAME.part` stays, and the next call goes on from there.
    pub fn fetch(&self, download: &Download<'_>, on_progress: OnProgress<'_>) -> Result<Downloaded, DownloadError> {
        Transfer::new(&self.client, &self.patience, download, on_progress).run()
    }

    /// Fetches a small document into memory, with the same patience.
    ///
    /// # Errors
    /// [`DownloadError`], also when it has more than `max_bytes` bytes.
    pub fn fetch_document(&self, url: &Url, max_bytes: u64) -> Result<Vec<u8>, DownloadError> {
        transfer::document(&self.client, &self.patience, url, max_bytes)
    }
}
