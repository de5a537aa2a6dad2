//! Why a file could not be fetched.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use url::Url;

/// Why a file could not be fetched. Each names the address or the file, what was expected and what was found. Addresses
/// are shown without their query, in which some servers put credentials.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The address cannot be asked for.
    #[error("{url}: expected an address that begins with http:// or https:// and names a host, without credentials")]
    Address {
        /// The address.
        url: String,
    },
    /// No connection, or no answer in time.
    #[error("{url}: {reason}")]
    Connection {
        /// The address.
        url: String,
        /// What went wrong.
        reason: String,
        /// Whether it may go well another time.
        passing: bool,
    },
    /// The server said no.
    #[error("{url}: the server answers {status}{}{}", colon(message),
        retry_after.map(|wait| format!("; it asks to wait {} s", wait.as_secs())).unwrap_or_default())]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
        /// What the server said about it, and its code for that.
        message: String,
        /// For how long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The server led nowhere.
    #[error("{url}: expected the file after at most {most} redirects, found one more")]
    Redirects {
        /// The first address.
        url: String,
        /// Redirects that are followed.
        most: usize,
    },
    /// A redirect that is not followed.
    #[error("{url}: redirected to {to:?}, which is not followed: {reason}")]
    Redirect {
        /// The address that redirects.
        url: String,
        /// Where to, as the server said.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// The answer does not make sense.
    #[error("{url}: expected {expected}, found {found}")]
    Answer {
        /// The address.
        url: String,
        /// What is expected of a server.
        expected: String,
        /// What this one did.
        found: String,
    },
    /// The connection ended before the file did.
    #[error("{url}: cut after {found} of {}: {reason}", bytes(*expected))]
    Cut {
        /// The address.
        url: String,
        /// Length of the file, where it is known.
        expected: Option<u64>,
        /// Bytes that are there.
        found: u64,
        /// What the connection said.
        reason: String,
    },
    /// The file is longer or shorter than it should be.
    #[error("{url}: expected {expected} bytes, found {found}")]
    Length {
        /// The address.
        url: String,
        /// What was known before.
        expected: u64,
        /// What the server sends.
        found: u64,
    },
    /// The file is too large.
    #[error("{url}: expected at most {limit} bytes, found {found}")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        limit: u64,
        /// What the server announces, or has sent so far.
        found: u64,
    },
    /// The file is not the one that it should be. It was deleted.
    #[error("{url}: expected sha256 {expected}, found {found}: deleted ({})", path.display())]
    Digest {
        /// The address.
        url: String,
        /// Where the file was to be.
        path: PathBuf,
        /// The digest that it should have.
        expected: String,
        /// The digest that it had.
        found: String,
    },
    /// There is not enough room.
    #[error("{}: {needed} more bytes are needed on its disk, {free} are free", path.display())]
    Space {
        /// The file that was to be.
        path: PathBuf,
        /// Bytes that are missing of it.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Somebody else is fetching it.
    #[error("{}: it is being fetched by another process", path.display())]
    Busy {
        /// The file that was to be.
        path: PathBuf,
    },
    /// Whoever asked for it wants it no more.
    #[error("{}: broken off; the next time goes on from there", path.display())]
    Cancelled {
        /// The file that was to be.
        path: PathBuf,
    },
    /// It failed too often.
    #[error("{last} (given up after {attempts} attempts)")]
    GivenUp {
        /// Attempts that failed one after the other.
        attempts: u32,
        /// Why the last one failed.
        last: Box<DownloadError>,
    },
}

impl DownloadError {
    /// Whether the same may go well a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { passing, .. } => *passing,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Cut { .. } => true,
            _ => false,
        }
    }

    /// The status with which the server said no, if that was it.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::GivenUp { last, .. } => last.status(),
            _ => None,
        }
    }
}

/// An address without its query and without credentials.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Addresses that can have none refuse to have them removed.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn bytes(number: Option<u64>) -> String {
    number.map_or_else(|| "an unknown number of bytes".to_owned(), |number| format!("{number} bytes"))
}
