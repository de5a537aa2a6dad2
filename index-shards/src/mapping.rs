//! The file as memory: the only place that maps.
//!
//! A mapped file is shared with whoever else has it open. Three things follow:
//!
//! - **It must not change.** A shard is written under a temporary name and moved into place by rename; a newer one
//!   replaces the name, never the content, and whoever has the old one mapped keeps the old one. A file that somebody
//!   overwrites in place all the same is outside of what Rust promises. What is read is checked at every use, so in
//!   practice it gives wrong answers or errors, and no access outside of the mapping.
//! - **Cutting it is fatal.** Reading a page beyond the new end of a file that was cut while it is mapped raises
//!   SIGBUS, also for private mappings, and no check can close the gap between looking and reading.
//!   [`Mapping::bytes`] compares the file's length each time it is asked (one fstat, well under a microsecond), so a
//!   file cut between two calls is an error; one cut in the middle of a search ends the process.
//!   `cp new.shard old.shard` cuts; `mv` within a file system does not.
//! - **A failing disk is fatal as well**: a page that cannot be read is SIGBUS. [`verify`](crate::verify()) therefore
//!   reads instead of mapping, and finds such a page as an ordinary error.

#![expect(unsafe_code, reason = "mapping a file is unsafe: nobody can promise that it does not change")]

use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;

/// A file that is mapped read-only, whole.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: Mmap,
    file: File,
}

impl Mapping {
    /// Maps the first `length` bytes of `file`, which must have that many.
    pub(crate) fn new(file: File, length: usize) -> io::Result<Self> {
        // SAFETY: the mapping is read-only and its length is that of the file, compared by the caller at this open
        // file. That nobody changes or cuts the file afterwards is what the module documentation asks of the system;
        // content is re-checked at every use.
        let map = unsafe { MmapOptions::new().len(length).map(&file)? };
        Ok(Self { map, file })
    }

    /// Bytes that are mapped.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// The bytes, if the file is not shorter than the mapping; else its length now.
    pub(crate) fn bytes(&self) -> io::Result<Result<&[u8], u64>> {
        let found = self.file.metadata()?.len();
        Ok(if found < self.len() { Err(found) } else { Ok(&self.map) })
    }
}
