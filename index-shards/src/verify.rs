//! Reading a whole shard to see whether it is as it was written.

use crate::distinct::Distinct;
use crate::error::{OpenError, VerifyError};
use crate::fault::Fault;
use crate::header::Header;
use crate::layers::Layers;
use crate::open_file::OpenFile;
use crate::sections::centroids::{Expected, filled};
use crate::sections::columns::Found;
use crate::sections::stream::{self, SectionError, SectionStream, in_row};
use crate::sections::{
    Entry, Kind, blobs, centroids, codes, columns, decoder, details, removed, slots, sources, vectors, zones,
};
use crate::writer::{NameKey, ShardSummary, name_key};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are read from the file at once.
const BUFFER_BYTES: usize = 1 << 20;
/// Names that are compared at once, about.
const NAMES_AT_ONCE: u32 = 1 << 20;

/// Reads every byte of a shard and checks every digest and every value: the header, vectors of unit length, codes that
/// are numbers, lists that hold every row once, places on the earth, zones that fit them, names that are UTF-8 and
/// unique, offsets that rise, zero padding. Whether codes are those of their vectors is not computed again: whoever
/// wrote others wrote a shard that finds less. A flipped bit anywhere is found, and so is a file that was cut or added
/// to. The file is read, not mapped, so that a page that cannot be read is an error. Memory does not grow with the file
/// beyond some 40 MiB, but for 1 byte for each 32 rows; where there are more than a million names they are read again
/// for each further million.
///
/// # Errors
/// [`VerifyError`] names the file, the section, and where possible the row; [`VerifyError::is_damage`] tells a damaged
/// shard from one that could not be read.
pub fn verify(path: &Path) -> Result<ShardSummary, VerifyError> {
    verify_with(path, &mut |_| {})
}

/// The same; `on_bytes` is told the number of bytes of each piece that is read. What little is read twice counts once.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(path: &Path, on_bytes: &mut dyn FnMut(u64)) -> Result<ShardSummary, VerifyError> {
    let OpenFile { file, header, digest, bytes } = OpenFile::open(path)?;
    let mut verifier = Verifier { header: &header, file: &file, lists: Vec::new(), found: None };
    let in_section = |kind: Kind| move |error| in_section(path, kind, error);
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Told { file: &file, on_bytes });
    // Centroids first: they say which slots of the codes have rows.
    let others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Centroids);
    for entry in [Kind::Centroids].into_iter().chain(others).map(|kind| header.section(kind)) {
        let io_error = |error| in_section(entry.kind)(SectionError::Io(error));
        input.seek(SeekFrom::Start(entry.offset)).map_err(io_error)?;
        stream::verify(&mut input, &entry, |stream| verifier.verify(&entry, stream)).map_err(in_section(entry.kind))?;
    }
    let found =
        file.metadata().map_err(|error| OpenError::Io { path: path.into(), action: "read the length", error })?;
    if found.len() != bytes {
        return Err(OpenError::Length { path: path.into(), expected: bytes, found: found.len() }.into());
    }
    Ok(ShardSummary { path: path.into(), rows: header.rows as usize, bytes, digest: digest.to_string() })
}

/// A file that tells what is read of it.
struct Told<'a> {
    file: &'a File,
    on_bytes: &'a mut dyn FnMut(u64),
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        (self.on_bytes)(bytes as u64);
        Ok(bytes)
    }
}

impl Seek for Told<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn in_section(path: &Path, kind: Kind, error: SectionError) -> VerifyError {
    let (path, section) = (path.to_path_buf(), kind.name());
    match error {
        SectionError::Io(error) => VerifyError::Io { path, section, error },
        SectionError::Value { row, fault } => VerifyError::Value { path, section, row, fault },
        SectionError::Digest { expected, found } => {
            VerifyError::Digest { path, section, expected: expected.to_string(), found: found.to_string() }
        }
    }
}

/// What is known of the file on the way through its sections.
struct Verifier<'a> {
    header: &'a Header,
    file: &'a File,
    /// Rows of each list, or of a flat shard.
    lists: Vec<u32>,
    /// What the columns said.
    found: Option<Found>,
}

impl Verifier<'_> {
    fn filled(&self) -> impl Iterator<Item = usize> + use<'_> {
        filled(self.lists.iter().copied())
    }

    fn verify<R: Read>(&mut self, entry: &Entry, stream: &mut SectionStream<R>) -> Result<(), SectionError> {
        let Header { description, rows, bounds, coding, .. } = self.header;
        let (dimensions, rows) = (description.dimensions, *rows);
        let layers = Layers::new(dimensions);
        match entry.kind {
            Kind::Vectors => vectors::verify(stream, rows, dimensions),
            Kind::Codes => codes::verify(stream, layers, self.filled()),
            Kind::Second => codes::verify_second(stream, layers, self.filled()),
            Kind::Centroids => {
                let (centroids, lists, slots) = (coding.centroids, coding.lists, coding.slots);
                let expected = Expected { rows, dimensions, centroids, lists, slots };
                let of_lists = centroids::verify(stream, &expected)?;
                self.lists = if lists { of_lists } else { vec![rows] };
                Ok(())
            }
            Kind::Slots if coding.lists => self.verify_slots(entry, stream),
            Kind::Slots => Ok(()),
            Kind::Columns => {
                let found = columns::verify(stream, rows, *bounds)?;
                self.verify_positions(entry, &found.positions)?;
                self.found = Some(found);
                Ok(())
            }
            Kind::Zones => zones::verify(stream, self.found.as_ref().map_or(&[], |found| &found.zones)),
            Kind::Details => self.verify_details(entry, stream),
            Kind::Sources => {
                sources::verify(stream, entry.length, self.found.as_ref().map_or(0, |found| found.sources))
            }
            Kind::Blobs => blobs::verify(stream, rows, entry.length),
            Kind::Removed => removed::verify(stream),
            Kind::Decoder => decoder::verify(stream, layers, entry.length),
        }
    }

    /// The section of slots of `entry`, read once more for every 2^26 rows.
    fn verify_slots<R: Read>(&self, entry: &Entry, stream: &mut SectionStream<R>) -> Result<(), SectionError> {
        let mut seen = Distinct::default();
        slots::verify(stream, self.header.rows, self.filled(), &mut seen)?;
        for pass in seen.passes_left() {
            let mut seen = Distinct::pass(pass);
            let again = |row| Fault::new("row of a slot", "no row twice", format_args!("{row} again"));
            self.for_each_u32(entry.range(), |row| {
                if row < self.header.rows { seen.insert(row).map_err(again) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    /// The positions beyond the first 2^26, once for every further 2^26.
    fn verify_positions(&self, entry: &Entry, seen: &Distinct) -> Result<(), SectionError> {
        let [.., column] = columns::offsets(self.header.rows);
        for pass in seen.passes_left() {
            let mut seen = Distinct::pass(pass);
            let again = |position| Fault::new("position", "no position twice", format_args!("{position} again"));
            let range = entry.range();
            self.for_each_u32(range.start + column..range.end, |position| seen.insert(position).map_err(again))?;
        }
        Ok(())
    }

    fn for_each_u32(
        &self,
        range: std::ops::Range<u64>,
        mut visit: impl FnMut(u32) -> Result<(), Fault>,
    ) -> Result<(), SectionError> {
        let mut buffer = vec![[0; size_of::<u32>()]; BUFFER_BYTES / size_of::<u32>()];
        let mut offset = range.start;
        while offset < range.end {
            let left = usize::try_from((range.end - offset) / size_of::<u32>() as u64).unwrap_or(usize::MAX);
            let numbers = buffer.get_mut(..left.min(BUFFER_BYTES / size_of::<u32>())).unwrap_or_default();
            if numbers.is_empty() {
                break;
            }
            self.file.read_exact_at(numbers.as_flattened_mut(), offset)?;
            numbers.iter().try_for_each(|number| visit(u32::from_le_bytes(*number)))?;
            offset += numbers.as_flattened().len() as u64;
        }
        Ok(())
    }

    /// Names, places with the coordinates of the columns before, and that no name comes twice.
    fn verify_details<R: Read>(&self, entry: &Entry, stream: &mut SectionStream<R>) -> Result<(), SectionError> {
        let rows = self.header.rows;
        let passes = rows.div_ceil(NAMES_AT_ONCE).max(1);
        let mut coordinates = Coordinates::new(self.file, self.header);
        let mut names = Names::new(passes, 0);
        details::verify(stream, rows, |row, detail| {
            let (lat, lon) = coordinates.get(row)?;
            detail.place(lat, lon, None).map_err(in_row(row))?;
            names.push(detail.name().map_err(in_row(row))?, row);
            Ok(())
        })?;
        names.check()?;
        for pass in 1..passes {
            let mut names = Names::new(passes, pass);
            details::read_again(self.file, entry, rows, |row, detail| {
                names.push(detail.name().map_err(in_row(row))?, row);
                Ok(())
            })?;
            names.check()?;
        }
        Ok(())
    }
}

/// Names that are compared in one pass of several: those whose keys fall to it.
struct Names {
    passes: u32,
    pass: u32,
    keys: Vec<(NameKey, u32)>,
}

impl Names {
    fn new(passes: u32, pass: u32) -> Self {
        Self { passes, pass, keys: Vec::new() }
    }

    fn push(&mut self, name: &str, row: u32) {
        let key = name_key(name);
        let share = key.first_chunk().map_or(0, |start| u32::from_le_bytes(*start));
        if share % self.passes == self.pass {
            self.keys.push((key, row));
        }
    }

    fn check(mut self) -> Result<(), SectionError> {
        self.keys.sort_unstable();
        let twice = |pair: &[(NameKey, u32)]| match pair {
            [(key, first), (next, again)] if key == next => Some((*first, *again)),
            _ => None,
        };
        match self.keys.windows(2).filter_map(twice).min_by_key(|(_, again)| *again) {
            None => Ok(()),
            Some((first, again)) => {
                let fault = Fault::new("name", "no name twice", format_args!("the name of row {first} again"));
                Err(in_row(again)(fault))
            }
        }
    }
}

/// Latitudes and longitudes of rows that are asked for one after the other.
struct Coordinates<'a> {
    file: &'a File,
    /// Where the two columns begin.
    columns: [u64; 2],
    rows: u32,
    /// First row of what was read.
    first: u32,
    read: [Vec<[u8; 4]>; 2],
}

impl<'a> Coordinates<'a> {
    fn new(file: &'a File, header: &Header) -> Self {
        let section = header.section(Kind::Columns).offset;
        let [lats, lons, ..] = columns::offsets(header.rows).map(|column| section + column);
        Self { file, columns: [lats, lons], rows: header.rows, first: 0, read: [Vec::new(), Vec::new()] }
    }

    fn get(&mut self, row: u32) -> Result<(i32, i32), SectionError> {
        let known = self.read.first().map_or(0, Vec::len);
        if row < self.first || (row - self.first) as usize >= known {
            let count = (self.rows - row.min(self.rows)).min(zones::ZONE_ROWS);
            for (column, numbers) in self.columns.iter().zip(&mut self.read) {
                numbers.resize(count as usize, [0; 4]);
                self.file.read_exact_at(numbers.as_flattened_mut(), column + 4 * u64::from(row))?;
            }
            self.first = row;
        }
        let at = (row - self.first) as usize;
        let [lat, lon] = self.read.each_ref().map(|numbers| numbers.get(at).map(|number| i32::from_le_bytes(*number)));
        let missing = || Fault::new("row", format_args!("less than {}", self.rows), row);
        Ok(lat.zip(lon).ok_or_else(missing)?)
    }
}
