//! Reading a whole shard to see whether it is as it was written.

use crate::error::{OpenError, VerifyError};
use crate::header::Header;
use crate::sections::{self, Entry, Kind, SectionError, SectionStream, names, places, vectors};
use crate::shard::OpenFile;
use crate::writer::ShardSummary;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are read from the file at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads every byte of a shard and checks every digest and every value: the header, finite vectors of unit length,
/// places on the earth, names that are UTF-8 and unique, zero padding. A flipped bit anywhere is found, and so is a
/// file that was cut or added to. The file is read, not mapped, so that a page that cannot be read is an error; memory
/// does not depend on the size of the vectors (2 MiB, and some 40 bytes a row for the names).
///
/// # Errors
/// [`VerifyError`] names the file, the section, and where possible the row; [`VerifyError::is_damage`] tells a damaged
/// shard from one that could not be read.
pub fn verify(path: &Path) -> Result<ShardSummary, VerifyError> {
    let OpenFile { file, header, digest, bytes } = OpenFile::open(path)?;
    let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
    for entry in &header.sections {
        let refused = |error| VerifyError::Io { path: path.into(), section: entry.kind.name(), error };
        input.seek(SeekFrom::Start(entry.offset)).map_err(refused)?;
        sections::verify(&mut input, entry, |stream| verify_values(&header, entry, stream))
            .map_err(|error| in_section(path, entry, error))?;
    }
    let found = input.get_ref().metadata().map_err(|error| OpenError::Io {
        path: path.into(),
        action: "read the length",
        error,
    })?;
    if found.len() != bytes {
        return Err(OpenError::Length { path: path.into(), expected: bytes, found: found.len() }.into());
    }
    Ok(ShardSummary { path: path.into(), rows: header.rows as usize, bytes, digest })
}

fn verify_values<R: Read>(header: &Header, entry: &Entry, stream: &mut SectionStream<R>) -> Result<(), SectionError> {
    match entry.kind {
        Kind::Vectors => vectors::verify(stream, header.rows, header.description.dimensions),
        Kind::Places => places::verify(stream, header.rows, header.bounds),
        Kind::Names => names::verify(stream, header.rows, entry.length),
    }
}

fn in_section(path: &Path, entry: &Entry, error: SectionError) -> VerifyError {
    let (path, section) = (path.to_path_buf(), entry.kind.name());
    match error {
        SectionError::Io(error) => VerifyError::Io { path, section, error },
        SectionError::Value { row, fault } => VerifyError::Value { path, section, row, fault },
        SectionError::Digest { expected, found } => {
            VerifyError::Digest { path, section, expected: expected.to_string(), found: found.to_string() }
        }
    }
}
