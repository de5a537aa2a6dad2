//! Sorting more than fits into memory: sorted runs in a temporary file, merged as they are read.
//!
//! A record is a byte string; records sort by their bytes, so numbers are put into them with the highest byte first. In
//! the file each has its length as a u32, little-endian, before it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use crate::scratch::{Scratch, ScratchReader};

/// Bytes of the records that are sorted in memory at once, about.
const RUN_BYTES: usize = 4 << 20;
/// Bytes that are read of a run at once.
const READ_BYTES: usize = 1 << 14;

/// Takes in records in any order. Takes 4 MiB, 16 bytes for each record of these, and a byte for each 256 on the disk.
#[derive(Debug)]
pub(crate) struct Sorter {
    scratch: Scratch,
    most: usize,
    /// The records of the run that is being filled.
    run: Vec<u8>,
    /// Where in it they are.
    places: Vec<Place>,
    /// Where the other runs are.
    runs: Vec<Range<u64>>,
    /// What all records of the runs that are sorted begin with; none before the first run.
    prefix: Option<Vec<u8>>,
}

/// Where a record of a run is, and what most often tells it from others without looking there.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Bytes of the record behind what all records of the run begin with, the highest first; set when the run is sorted.
    key: u64,
    start: u32,
    end: u32,
}

impl Place {
    fn record(self, run: &[u8]) -> &[u8] {
        run.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// How many bytes both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The eight bytes of a record from `at` on as a number, as if zeros followed it.
fn key(record: &[u8], at: usize) -> u64 {
    let rest = record.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => rest.iter().zip([56, 48, 40, 32, 24, 16, 8]).map(|(byte, bits)| u64::from(*byte) << bits).sum(),
    }
}

impl Sorter {
    /// No records yet; where they do not fit into memory, the file is in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with_run_bytes(folder, RUN_BYTES)
    }

    fn with_run_bytes(folder: &Path, most: usize) -> Self {
        Self {
            scratch: Scratch::new(folder),
            most,
            run: Vec::new(),
            places: Vec::new(),
            runs: Vec::new(),
            prefix: None,
        }
    }

    /// Takes in a record, which is put together of these parts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.run.len() >= self.most {
            self.write_run()?;
        }
        let start = self.run.len();
        parts.iter().for_each(|part| self.run.extend_from_slice(part));
        let offset = |at| u32::try_from(at).map_err(io::Error::other);
        self.places.push(Place { key: 0, start: offset(start)?, end: offset(self.run.len())? });
        Ok(())
    }

    fn sort_run(&mut self) {
        let run = self.run.as_slice();
        let first = self.places.first().map(|place| place.record(run)).unwrap_or_default();
        let shared = self
            .places
            .iter()
            .fold(first.len(), |shared, place| common(first.get(..shared).unwrap_or_default(), place.record(run)));
        self.places.iter_mut().for_each(|place| place.key = key(place.record(run), shared));
        if !self.places.is_empty() {
            let prefix = self.prefix.get_or_insert_with(|| first.to_vec());
            prefix.truncate(common(prefix, first.get(..shared).unwrap_or_default()));
        }
        self.places.sort_unstable_by(|a, b| a.key.cmp(&b.key).then_with(|| a.record(run).cmp(b.record(run))));
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.sort_run();
        let (mut sorted, start) = (Vec::with_capacity(1 << 16), self.scratch.end());
        for place in self.places.drain(..) {
            let record = place.record(&self.run);
            sorted.extend(u32::try_from(record.len()).map_err(io::Error::other)?.to_le_bytes());
            sorted.extend_from_slice(record);
            if sorted.len() >= 1 << 16 {
                self.scratch.append(&sorted)?;
                sorted.clear();
            }
        }
        self.scratch.append(&sorted)?;
        self.runs.push(start..self.scratch.end());
        self.run.clear();
        Ok(())
    }

    /// Ends the taking in.
    pub(crate) fn sorted(mut self) -> Sorted {
        self.sort_run();
        Sorted(self)
    }
}

/// Records that can be read in their order, any number of times.
#[derive(Debug)]
pub(crate) struct Sorted(Sorter);

impl Sorted {
    /// All records, sorted; equal ones follow each other.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn records(&self) -> io::Result<Records<'_>> {
        let Sorter { scratch, run, places, runs, prefix, .. } = &self.0;
        let shared = prefix.as_ref().map_or(0, Vec::len);
        let on_disk = |part: &Range<u64>| Run::Disk(BufReader::with_capacity(READ_BYTES, scratch.reader(part.clone())));
        let mut all: Vec<Run<'_>> = runs.iter().map(on_disk).collect();
        all.push(Run::Memory { run, places: places.iter() });
        let mut heap = BinaryHeap::new();
        for (at, run) in all.iter_mut().enumerate() {
            let mut record = Vec::new();
            if run.next(&mut record)? {
                heap.push(Reverse((key(&record, shared), record, at)));
            }
        }
        Ok(Records { runs: all, heap, shared, current: Vec::new() })
    }
}

/// A run that is read from its beginning to its end.
#[derive(Debug)]
enum Run<'a> {
    Disk(BufReader<ScratchReader<'a>>),
    Memory { run: &'a [u8], places: std::slice::Iter<'a, Place> },
}

impl Run<'_> {
    /// Puts the next record into `record`; false where there is none.
    fn next(&mut self, record: &mut Vec<u8>) -> io::Result<bool> {
        record.clear();
        match self {
            Self::Memory { run, places } => {
                let Some(place) = places.next() else { return Ok(false) };
                record.extend_from_slice(place.record(run));
            }
            Self::Disk(reader) => {
                if reader.fill_buf()?.is_empty() {
                    return Ok(false);
                }
                let mut length = [0; 4];
                reader.read_exact(&mut length)?;
                record.resize(u32::from_le_bytes(length) as usize, 0);
                reader.read_exact(record)?;
            }
        }
        Ok(true)
    }
}

/// Records that come in their order.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    runs: Vec<Run<'a>>,
    /// The first record that is left of each run, behind its [`key`].
    heap: BinaryHeap<Reverse<(u64, Vec<u8>, usize)>>,
    /// So many bytes are the same at the beginning of all records.
    shared: usize,
    /// The record that was handed out last.
    current: Vec<u8>,
}

impl Records<'_> {
    /// The next record, as [`Iterator::next`], lent until the one after it is asked for.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn lend(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(mut top) = self.heap.peek_mut() else { return Ok(None) };
        let Reverse((first_key, first, at)) = &mut *top;
        std::mem::swap(first, &mut self.current);
        let more = match self.runs.get_mut(*at) {
            Some(run) => run.next(first)?,
            None => false,
        };
        if more {
            *first_key = key(first, self.shared);
        } else {
            PeekMut::pop(top);
        }
        Ok(Some(&self.current))
    }
}

impl Iterator for Records<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lend().map(|record| record.map(<[u8]>::to_vec)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_come_in_order_from_any_number_of_runs(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..300),
            run_bytes in 1_usize..2000,
        ) {
            sorts(records, run_bytes)?;
        }

        /// Many records of a run differ late, or only in their length.
        #[test]
        fn records_that_begin_alike_come_in_order_too(
            prefix in prop::collection::vec(any::<u8>(), 0..12),
            ends in prop::collection::vec(prop::collection::vec(0_u8..2, 0..12), 0..300),
            run_bytes in 1_usize..2000,
        ) {
            sorts(ends.iter().map(|end| [prefix.as_slice(), end].concat()).collect(), run_bytes)?;
        }
    }

    fn sorts(records: Vec<Vec<u8>>, run_bytes: usize) -> Result<(), TestCaseError> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::with_run_bytes(folder.path(), run_bytes);
        for record in &records {
            let (head, tail) = record.split_at(record.len() / 2);
            sorter.push(&[head, tail]).unwrap();
        }
        let sorted = sorter.sorted();
        let mut expected = records;
        expected.sort_unstable();
        for _ in 0..2 {
            let found: Vec<Vec<u8>> = sorted.records().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(&found, &expected);
        }
        Ok(())
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap().path().join("none");
        let mut sorter = Sorter::with_run_bytes(&folder, 4);
        sorter.push(&[b"four"]).unwrap();
        sorter.push(&[b"more"]).unwrap_err();
    }
}
