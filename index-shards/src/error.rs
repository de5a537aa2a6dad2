//! What can go wrong, one enum per operation. Every message names the file, what was expected and what was found.

use crate::fault::Fault;
use crate::header::HeaderError;
use std::io;
use std::path::PathBuf;

/// Why a shard or a set of shards could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io {
        /// The shard.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// A folder, a device or the like.
    #[error("{}: expected a file, found something else", path.display())]
    NotAFile {
        /// What was given as a shard.
        path: PathBuf,
    },
    /// The file ends within the header.
    #[error("{}: {found} bytes long, but a shard's header alone has {expected}: it was cut or not completely copied",
        path.display())]
    Cut {
        /// The shard.
        path: PathBuf,
        /// Bytes of a header.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// The header is not that of an intact shard that is known here.
    #[error("{}: {fault}", path.display())]
    Header {
        /// The shard.
        path: PathBuf,
        /// What is wrong with it.
        fault: HeaderError,
    },
    /// The file has another length than its header says.
    #[error("{}: {found} bytes long, but its header says {expected}: {}", path.display(),
        if found < expected { "it was cut or not completely copied" } else { "something was appended to it" })]
    Length {
        /// The shard.
        path: PathBuf,
        /// Bytes that the header says.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// A set needs at least one shard.
    #[error("expected at least one shard, found an empty list")]
    NoShards,
    /// Two shards of a set are of different embedding spaces.
    #[error("{}: embedding space \"{found}\", but {} has \"{expected}\": their vectors cannot be compared",
        path.display(), first.display())]
    OtherSpace {
        /// The first shard of the set.
        first: PathBuf,
        /// Its space.
        expected: String,
        /// The shard that does not fit.
        path: PathBuf,
        /// The space of that one.
        found: String,
    },
    /// Two shards of a set say the same space, but have vectors of different width.
    #[error("{}: {found} dimensions, but {} has {expected} for the same space", path.display(), first.display())]
    OtherWidth {
        /// The first shard of the set.
        first: PathBuf,
        /// Its dimensions.
        expected: usize,
        /// The shard that does not fit.
        path: PathBuf,
        /// The dimensions of that one.
        found: usize,
    },
    /// A shard of a set is there twice, under one name or two.
    #[error("{}: the same shard as {}, expected each once", path.display(), first.display())]
    Twice {
        /// Where it is first.
        first: PathBuf,
        /// Where it is again.
        path: PathBuf,
    },
}

/// Why a shard did not pass [`verify`](crate::verify()).
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It could not even be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system refused to read on.
    #[error("{}: cannot read section {section}: {error}", path.display())]
    Io {
        /// The shard.
        path: PathBuf,
        /// The section that was being read.
        section: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// A section is not as it was written.
    #[error("{}: damaged section {section}: its SHA-256 should be {expected}, but is {found}", path.display())]
    Digest {
        /// The shard.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// The digest that the header promises.
        expected: String,
        /// The digest that the section has.
        found: String,
    },
    /// A section is as it was written, but what was written is impossible.
    #[error("{}: section {section}{}: {fault}", path.display(),
        row.map(|row| format!(", row {row}")).unwrap_or_default())]
    Value {
        /// The shard.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// The row, where the value belongs to one.
        row: Option<u64>,
        /// What is wrong.
        fault: Fault,
    },
}

impl VerifyError {
    /// Whether the file was read and is not an intact shard. `false`: it could not be read (no such file, no right to),
    /// or it is an intact shard of a version that is not known here.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open(OpenError::Io { .. } | OpenError::NotAFile { .. }) | Self::Io { .. } => false,
            Self::Open(OpenError::Header { fault: HeaderError::Version { .. }, .. }) => false,
            Self::Open(_) | Self::Digest { .. } | Self::Value { .. } => true,
        }
    }
}

/// Why a shard could not be written. After a refused row the writer goes on without it; after [`WriteError::Io`] it
/// refuses everything.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io {
        /// The shard that was to be.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// The output is not a file name in a folder.
    #[error("{}: expected the name of a file to write, found a folder or nothing", path.display())]
    NotAFile {
        /// What was given as the output.
        path: PathBuf,
    },
    /// The description is impossible or too long.
    #[error("{}: {fault}", path.display())]
    Description {
        /// The shard that was to be.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// A row's name, place or embedding is impossible.
    #[error("{}: \"{}\": {fault}", path.display(), name.escape_debug())]
    Row {
        /// The shard that was to be.
        path: PathBuf,
        /// The row's name, its first 100 characters.
        name: String,
        /// What is wrong.
        fault: Fault,
    },
    /// Somebody else is writing it.
    #[error("{}: it is being written by another process or writer", path.display())]
    Busy {
        /// The shard that was to be.
        path: PathBuf,
    },
    /// Two rows have the same name.
    #[error("{}: \"{}\": name: expected no name twice, found it at positions {first} and {again} of what was given",
        path.display(), name.escape_debug())]
    NameTwice {
        /// The shard that was to be.
        path: PathBuf,
        /// The name, its first 100 characters.
        name: String,
        /// Position of the first row with it.
        first: u32,
        /// Position of another one.
        again: u32,
    },
    /// A shard holds at most 2^32 - 64 rows, and they and what was skipped are counted together.
    #[error("{}: expected at most {} inputs, found one more", path.display(), crate::header::MAX_ROWS)]
    Full {
        /// The shard that was to be.
        path: PathBuf,
    },
    /// A shard holds at least one row, or tombstones.
    #[error("{}: expected at least one row or a tombstone, found neither", path.display())]
    Empty {
        /// The shard that was to be.
        path: PathBuf,
    },
    /// An earlier write had failed.
    #[error("{}: an earlier write had failed; this shard cannot be finished", path.display())]
    Failed {
        /// The shard that was to be.
        path: PathBuf,
    },
}

/// Why shards could not be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A merge needs at least one shard.
    #[error("expected at least one shard to merge, found an empty list")]
    NoInputs,
    /// An input is damaged or could not be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// An input could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An input could not be read on.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An input was replaced by another shard meanwhile.
    #[error("{}: replaced by another shard while it was being read", path.display())]
    Changed {
        /// The input.
        path: PathBuf,
    },
    /// An input does not fit the first one.
    #[error("{}: cannot be merged with {}: {fault}", path.display(), first.display())]
    Differs {
        /// The input.
        path: PathBuf,
        /// The first input.
        first: PathBuf,
        /// In what it differs.
        fault: Fault,
    },
    /// The operating system refused a temporary file.
    #[error("{}: cannot use a temporary file beside it: {error}", path.display())]
    Io {
        /// The shard that was to be.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// The new shard could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why something could not be read from an open shard.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {error}", path.display())]
    Io {
        /// The shard.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// The file was cut after it had been opened.
    #[error("{}: {found} bytes long, but had {expected} when it was opened: it was cut in place", path.display())]
    Cut {
        /// The shard.
        path: PathBuf,
        /// Bytes when it was opened.
        expected: u64,
        /// Bytes now.
        found: u64,
    },
    /// There is no such row.
    #[error("{}: row {found}, but it has {rows} rows", path.display())]
    NoSuchRow {
        /// The shard.
        path: PathBuf,
        /// The row that was asked for.
        found: u32,
        /// Rows of the shard.
        rows: u32,
    },
    /// There is no such shard in the set.
    #[error("shard {found}, but the set has {shards} shards")]
    NoSuchShard {
        /// The position that was asked for.
        found: usize,
        /// Shards of the set.
        shards: usize,
    },
    /// What is stored is impossible.
    #[error("{}: damaged section {section}{}: {fault}", path.display(),
        row.map(|row| format!(", row {row}")).unwrap_or_default())]
    Damaged {
        /// The shard.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// The row, where the value belongs to one.
        row: Option<u32>,
        /// What is wrong.
        fault: Fault,
    },
}

/// Why a search was refused.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The query has another width than the shards.
    #[error("query of {found} dimensions, but the shards have {expected}")]
    Dimensions {
        /// Dimensions of the shards.
        expected: usize,
        /// Dimensions of the query.
        found: usize,
    },
    /// The query, `k` or the window is impossible.
    #[error("{0}")]
    Impossible(Fault),
    /// A shard could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Fault> for SearchError {
    fn from(fault: Fault) -> Self {
        Self::Impossible(fault)
    }
}
