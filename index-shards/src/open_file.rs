//! A shard's file, opened and its header checked: what mapping and verifying begin with.

use crate::digest::Digest;
use crate::error::OpenError;
use crate::header::{HEADER_BYTES, Header, HeaderError, MAGIC, Page};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// A file whose header is that of an intact shard and whose length is what the header says.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) header: Header,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
}

impl OpenFile {
    /// Reads and checks the header; what is left to read begins at the first section.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let refused = |action| move |error| OpenError::Io { path: path.into(), action, error };
        // Looked at before it is opened: opening a pipe would wait for somebody to write into it.
        if !fs::metadata(path).map_err(refused("open"))?.is_file() {
            return Err(OpenError::NotAFile { path: path.into() });
        }
        let file = File::open(path).map_err(refused("open"))?;
        let found = file.metadata().map_err(refused("read the length"))?.len();
        let mut start = Vec::new();
        (&file).take(HEADER_BYTES as u64).read_to_end(&mut start).map_err(refused("read the header"))?;
        let (header, digest) = decode(path, &start)?;
        let expected = header.file_bytes().unwrap_or(u64::MAX);
        if found != expected {
            return Err(OpenError::Length { path: path.into(), expected, found });
        }
        Ok(Self { file, header, digest, bytes: found })
    }
}

/// The header in the first bytes of a file.
fn decode(path: &Path, start: &[u8]) -> Result<(Header, Digest), OpenError> {
    let refused = |fault| OpenError::Header { path: path.into(), fault };
    if !start.starts_with(&MAGIC) {
        return Err(refused(HeaderError::Magic { found: start.iter().copied().take(MAGIC.len()).collect() }));
    }
    let Some(page) = start.first_chunk::<HEADER_BYTES>() else {
        let (expected, found) = (HEADER_BYTES as u64, start.len() as u64);
        return Err(OpenError::Cut { path: path.into(), expected, found });
    };
    let page: &Page = page;
    Header::decode(page).map_err(refused)
}
