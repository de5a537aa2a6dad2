//! The section of names.
//!
//! With `n` rows:
//!
//! | offset | type | what |
//! |---|---|---|
//! | `8 * i`, `i` in `0..=n` | u64 | where the name of row `i` begins, counted from the end of this table |
//! | `8 * (n + 1)` | bytes | the names, UTF-8, one after the other without separators |
//!
//! The first offset is 0, they rise, and the last one, of no row, is where the last name ends.
//! A name has 1 to 1024 bytes and no control characters; no two rows have the same name.

use super::{SectionError, SectionSink, SectionStream, in_row};
use crate::fault::{Fault, expect};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Read, Write};

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// One entry of the table as it lies in the file.
type Offset = [u8; size_of::<u64>()];

/// Bytes of the table of offsets.
fn table_bytes(rows: u32) -> u64 {
    (u64::from(rows) + 1) * size_of::<Offset>() as u64
}

/// Least and most bytes of the section.
pub(crate) fn length_range(rows: u32) -> std::ops::RangeInclusive<u64> {
    let table = table_bytes(rows);
    table + u64::from(rows)..=table + u64::from(rows) * MAX_NAME_BYTES as u64
}

/// Checks a name's length and characters.
pub(crate) fn check(name: &str) -> Result<(), Fault> {
    check_length(name.len())?;
    let expected = "text without control characters";
    expect(!name.contains(char::is_control), "name", expected, format_args!("{name:?}"))
}

fn check_length(bytes: usize) -> Result<(), Fault> {
    let good = (1..=MAX_NAME_BYTES).contains(&bytes);
    expect(good, "name", format_args!("1 to {MAX_NAME_BYTES} bytes"), format_args!("{bytes} bytes"))
}

/// Which names have been seen, and in which row first. Keeps 128 bits of each name's SHA-256 instead of the name.
#[derive(Debug, Default)]
struct Seen {
    rows: HashMap<[u8; 16], u32>,
}

impl Seen {
    fn key(name: &str) -> [u8; 16] {
        let digest: [u8; 32] = Sha256::digest(name).into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// The row that had the name before, if one did; else `row` has it from now on.
    fn insert(&mut self, name: &str, row: u32) -> Option<u32> {
        match self.rows.entry(Self::key(name)) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(vacant) => {
                vacant.insert(row);
                None
            }
        }
    }
}

/// Collects the section in memory: the names, and about 40 bytes a row.
#[derive(Debug, Default)]
pub(crate) struct NamesWriter {
    ends: Vec<Offset>,
    names: String,
    seen: Seen,
}

impl NamesWriter {
    /// The row that has `name` already.
    pub(crate) fn row_of(&self, name: &str) -> Option<u32> {
        self.seen.rows.get(&Seen::key(name)).copied()
    }

    /// Appends a name that has been checked and that no row has yet.
    pub(crate) fn push(&mut self, name: &str, row: u32) {
        self.seen.insert(name, row);
        self.names.push_str(name);
        self.ends.push((self.names.len() as u64).to_le_bytes());
    }

    /// Writes the section.
    pub(crate) fn write(&self, sink: &mut SectionSink, out: &mut impl Write) -> io::Result<()> {
        sink.write(out, &Offset::default())?;
        sink.write(out, self.ends.as_flattened())?;
        sink.write(out, self.names.as_bytes())
    }
}

/// The section as it is mapped.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    table: &'a [Offset],
    names: &'a [u8],
}

impl<'a> Names<'a> {
    /// `None` when the section is too short for `rows`.
    pub(crate) fn new(section: &'a [u8], rows: u32) -> Option<Self> {
        let (table, names) = section.split_at_checked(usize::try_from(table_bytes(rows)).ok()?)?;
        Some(Self { table: table.as_chunks().0, names })
    }

    /// The name of `row`, checked.
    pub(crate) fn get(&self, row: u32) -> Result<&'a str, Fault> {
        let at = row as usize;
        let Some([from, to]) = self.table.get(at..).and_then(<[Offset]>::first_chunk) else {
            return Err(Fault::new("row", format_args!("less than {}", self.table.len().saturating_sub(1)), row));
        };
        let (from, to) = (u64::from_le_bytes(*from), u64::from_le_bytes(*to));
        let range = usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX);
        let bytes = self.names.get(range).ok_or_else(|| {
            let expected = format_args!("rising and at most {}", self.names.len()).to_string();
            Fault::new("name offsets", expected, format_args!("{from} and {to}"))
        })?;
        decode(bytes)
    }
}

fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    let name = str::from_utf8(bytes).map_err(|error| Fault::new("name", "UTF-8", error))?;
    check(name).map(|()| name)
}

/// Checks every row of the section of `length` bytes that `stream` reads.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, rows: u32, length: u64) -> Result<(), SectionError> {
    let mut lengths = Vec::new();
    let mut end = 0;
    stream.records(u64::from(rows) + 1, |position, offset: &Offset| {
        let next = u64::from_le_bytes(*offset);
        let fault = || Fault::new("name offsets", format_args!("0 first, then rising from {end}"), next);
        let bytes = next.checked_sub(end).and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(fault)?;
        if position == 0 {
            expect(next == 0, "name offsets", "0 first", next)?;
        } else {
            check_length(bytes).map_err(in_row(position - 1))?;
            lengths.extend(u16::try_from(bytes));
        }
        end = next;
        Ok(())
    })?;
    let expected = length.saturating_sub(table_bytes(rows));
    expect(end == expected, "name offsets", format_args!("{expected} last"), end)?;
    verify_names(stream, &lengths)
}

fn verify_names<R: Read>(stream: &mut SectionStream<R>, lengths: &[u16]) -> Result<(), SectionError> {
    let mut seen = Seen::default();
    let mut buffer = [0; MAX_NAME_BYTES];
    for (&length, row) in lengths.iter().zip(0..) {
        let bytes = buffer.get_mut(..usize::from(length)).unwrap_or_default();
        stream.read(bytes)?;
        let name = decode(bytes).map_err(in_row(row))?;
        if let Some(first) = seen.insert(name, row) {
            let fault = Fault::new("name", "no name twice", format_args!("{name:?} of row {first} again"));
            return Err(in_row(row)(fault));
        }
    }
    Ok(())
}
