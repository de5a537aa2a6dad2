//! The section of sources: what the references may come from, a name each ("mapillary", "flight 7").
//!
//! Nothing without sources. With `n` of them, at most 65,534:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | u32 | `n` |
//! | `4 + 4 i`, `i` in `0..=n` | u32 | where name `i` begins, counted from the end of this table |
//! | `4 + 4 (n + 1)` | bytes | the names, UTF-8, one after the other without separators |
//!
//! The first offset is 0, they rise, and the last one, of no name, is where the last name ends. A name has 1 to 256
//! bytes and no control characters. Names rise by their bytes, so none comes twice.

use super::stream::{SectionError, SectionStream};
use crate::fault::{Fault, expect};
use std::collections::BTreeSet;
use std::io::Read;

/// Longest name of a source, bytes.
pub const MAX_SOURCE_BYTES: usize = 256;
/// Most sources of a shard.
pub const MAX_SOURCES: usize = 65_534;
/// Bytes of the number of sources, and of an offset.
const WORD: usize = size_of::<u32>();

/// Least and most bytes of the section.
pub(crate) fn length_range() -> std::ops::RangeInclusive<u64> {
    0..=(WORD * (MAX_SOURCES + 2) + MAX_SOURCES * MAX_SOURCE_BYTES) as u64
}

/// Checks a source's name.
pub(crate) fn check(name: &str) -> Result<(), Fault> {
    let good = (1..=MAX_SOURCE_BYTES).contains(&name.len()) && !name.contains(char::is_control);
    let expected = format_args!("1 to {MAX_SOURCE_BYTES} bytes of text without control characters");
    expect(good, "source", expected, format_args!("{name:?}"))
}

/// The section's bytes.
pub(crate) fn encode(names: &BTreeSet<String>) -> Vec<u8> {
    let mut section = Vec::new();
    if names.is_empty() {
        return section;
    }
    let mut end = 0;
    let ends = names.iter().map(|name| {
        end += name.len();
        end
    });
    for word in [names.len(), 0].into_iter().chain(ends) {
        section.extend(u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
    }
    names.iter().for_each(|name| section.extend(name.as_bytes()));
    section
}

/// The section as it is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    offsets: &'a [[u8; WORD]],
    names: &'a [u8],
}

impl<'a> Sources<'a> {
    /// # Errors
    /// A section too short for its own number of sources.
    pub(crate) fn new(section: &'a [u8]) -> Result<Self, Fault> {
        let Some((count, rest)) = section.split_first_chunk() else {
            return Ok(Self { offsets: &[], names: &[] });
        };
        let count = u32::from_le_bytes(*count);
        let good = (1..=MAX_SOURCES as u64).contains(&u64::from(count));
        expect(good, "sources", format_args!("1 to {MAX_SOURCES}"), count)?;
        let short = || Fault::new("length", format_args!("enough for {count} sources"), section.len());
        let (offsets, names) = rest.split_at_checked((count as usize + 1) * WORD).ok_or_else(short)?;
        Ok(Self { offsets: offsets.as_chunks().0, names })
    }

    /// Number of sources.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The name of a source as columns hold it, 1 to [`len`](Self::len), checked; `None` for 0.
    pub(crate) fn get(&self, code: u16) -> Result<Option<&'a str>, Fault> {
        let Some(at) = usize::from(code).checked_sub(1) else { return Ok(None) };
        let Some([from, to]) = self.offsets.get(at..).and_then(<[_]>::first_chunk) else {
            return Err(Fault::new("source", format_args!("at most {}", self.len()), code));
        };
        let range = u32::from_le_bytes(*from) as usize..u32::from_le_bytes(*to) as usize;
        let found = format_args!("{range:?}").to_string();
        let expected = || format_args!("rising and at most {}", self.names.len()).to_string();
        let bytes = self.names.get(range).ok_or_else(|| Fault::new("source offsets", expected(), found))?;
        let name = str::from_utf8(bytes).map_err(|error| Fault::new("source", "UTF-8", error))?;
        check(name).map(|()| Some(name))
    }

    /// What columns hold for a source of this name; `None` when no row can have it, or its name is damaged.
    pub(crate) fn code(&self, name: &str) -> Option<u16> {
        let (mut from, mut to) = (1, u16::try_from(self.len()).unwrap_or(u16::MAX));
        while from <= to {
            let middle = from + (to - from) / 2;
            match self.get(middle).ok()??.cmp(name) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle - 1,
            }
        }
        None
    }

    /// All names, checked.
    pub(crate) fn names(&self) -> impl Iterator<Item = Result<&'a str, Fault>> + use<'a> {
        let this = *self;
        let last = u16::try_from(self.len()).unwrap_or(u16::MAX);
        (1..=last).map(move |code| this.get(code).map(Option::unwrap_or_default))
    }

    fn check(&self) -> Result<(), Fault> {
        let offset = |at: usize| self.offsets.get(at).map_or(0, |offset| u32::from_le_bytes(*offset) as usize);
        expect(offset(0) == 0, "source offsets", "0 first", offset(0))?;
        let (last, end) = (offset(self.len()), self.names.len());
        expect(last == end, "source offsets", format_args!("{end} last"), last)?;
        let mut before = "";
        for name in self.names() {
            let name = name?;
            expect(before < name, "source", format_args!("rising from {before:?}"), format_args!("{name:?}"))?;
            before = name;
        }
        Ok(())
    }
}

/// Checks the section of `length` bytes that `stream` reads; `greatest` is the greatest source that a row has. Takes up
/// to 17 MiB, as many as the section has bytes.
pub(crate) fn verify<R: Read>(stream: &mut SectionStream<R>, length: u64, greatest: u16) -> Result<(), SectionError> {
    let mut section = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    stream.read(&mut section)?;
    let sources = Sources::new(&section)?;
    sources.check()?;
    let good = usize::from(greatest) <= sources.len();
    Ok(expect(good, "source", format_args!("at most {} in all rows", sources.len()), greatest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_come_back() {
        let names: BTreeSet<String> = ["zoo", "a", "été", "b7"].map(String::from).into();
        let section = encode(&names);
        let sources = Sources::new(&section).unwrap();
        assert_eq!(sources.check(), Ok(()));
        for (name, code) in names.iter().zip(1..) {
            assert_eq!((sources.code(name), sources.get(code)), (Some(code), Ok(Some(name.as_str()))));
        }
        assert_eq!(
            (sources.code(""), sources.code("c"), sources.code("zzz"), sources.get(0)),
            (None, None, None, Ok(None))
        );
        assert!(sources.get(5).is_err());
    }

    #[test]
    fn no_sources_are_no_bytes() {
        assert_eq!(encode(&BTreeSet::new()), []);
        let sources = Sources::new(&[]).unwrap();
        assert_eq!((sources.len(), sources.code("a"), sources.get(0)), (0, None, Ok(None)));
        assert!(sources.get(1).is_err());
    }

    #[test]
    fn damaged_sections_are_refused() {
        let section = encode(&["a", "b"].map(String::from).into());
        assert!(Sources::new(&section[..15]).is_err());
        assert!(Sources::new(&[0; 16]).is_err());
        assert!(Sources::new(&[255; 16]).is_err());
        for at in 4..section.len() {
            let mut section = section.clone();
            section[at] ^= 0x83;
            let sources = Sources::new(&section).unwrap();
            assert!(sources.check().is_err(), "byte {at}");
            assert!(sources.code("b").is_none_or(|code| code <= 2));
        }
    }
}
