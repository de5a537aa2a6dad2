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

use memmap2::{Advice, Mmap, MmapOptions};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Page faults of this thread so far that had to wait for the disk.
pub(crate) fn slow_faults() -> libc::c_long {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` has room for what is written, and all zeros is a value of it should nothing be written.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_majflt
    }
}

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

    /// Says that `range` will be read here and there, so that reading a page brings in no others.
    pub(crate) fn read_at_random(&self, range: Range<u64>) {
        self.advise(Advice::Random, range).ok();
    }

    /// Begins to bring the pages of `range` in, without waiting for them.
    pub(crate) fn will_need(&self, range: Range<u64>) {
        self.advise(Advice::WillNeed, range).ok();
    }

    /// Brings the pages of `range` in and waits until they are there. A page that the disk does not give is an error.
    /// Kernels before Linux 5.14 cannot do this; there the pages are asked for and come in later.
    pub(crate) fn populate(&self, range: Range<u64>) -> io::Result<()> {
        match self.advise(Advice::PopulateRead, range.clone()) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.advise(Advice::WillNeed, range),
            outcome => outcome,
        }
    }

    /// Advice on the part of `range` that is mapped.
    fn advise(&self, advice: Advice, range: Range<u64>) -> io::Result<()> {
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(self.map.len());
        let start = usize::try_from(range.start).unwrap_or(usize::MAX);
        if start < end { self.map.advise_range(advice, start, end - start) } else { Ok(()) }
    }

    /// The bytes, if the file is not shorter than the mapping; else its length now.
    pub(crate) fn bytes(&self) -> io::Result<Result<&[u8], u64>> {
        let found = self.file.metadata()?.len();
        Ok(if found < self.len() { Err(found) } else { Ok(&self.map) })
    }
}
