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
    places: Vec<Range<usize>>,
    /// Where the other runs are.
    runs: Vec<Range<u64>>,
}

impl Sorter {
    /// No records yet; where they do not fit into memory, the file is in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with_run_bytes(folder, RUN_BYTES)
    }

    fn with_run_bytes(folder: &Path, most: usize) -> Self {
        Self { scratch: Scratch::new(folder), most, run: Vec::new(), places: Vec::new(), runs: Vec::new() }
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
        self.places.push(start..self.run.len());
        Ok(())
    }

    fn sort_run(&mut self) {
        let run = &self.run;
        let record = |place: &Range<usize>| run.get(place.clone()).unwrap_or_default();
        self.places.sort_unstable_by(|a, b| record(a).cmp(record(b)));
    }

    fn write_run(&mut self) -> io::Result<()> {
        self.sort_run();
        let (mut sorted, start) = (Vec::with_capacity(1 << 16), self.scratch.end());
        for place in self.places.drain(..) {
            let record = self.run.get(place).unwrap_or_default();
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
        let Sorter { scratch, run, places, runs, .. } = &self.0;
        let on_disk = |part: &Range<u64>| Run::Disk(BufReader::with_capacity(READ_BYTES, scratch.reader(part.clone())));
        let mut all: Vec<Run<'_>> = runs.iter().map(on_disk).collect();
        all.push(Run::Memory { run, places: places.iter() });
        let mut heap = BinaryHeap::new();
        for (at, run) in all.iter_mut().enumerate() {
            heap.extend(run.next()?.map(|record| Reverse((record, at))));
        }
        Ok(Records { runs: all, heap })
    }
}

/// A run that is read from its beginning to its end.
#[derive(Debug)]
enum Run<'a> {
    Disk(BufReader<ScratchReader<'a>>),
    Memory { run: &'a [u8], places: std::slice::Iter<'a, Range<usize>> },
}

impl Run<'_> {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Memory { run, places } => {
                Ok(places.next().map(|place| run.get(place.clone()).unwrap_or_default().to_vec()))
            }
            Self::Disk(reader) => {
                if reader.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                let mut length = [0; 4];
                reader.read_exact(&mut length)?;
                let mut record = vec![0; u32::from_le_bytes(length) as usize];
                reader.read_exact(&mut record)?;
                Ok(Some(record))
            }
        }
    }
}

/// Records that come in their order.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    runs: Vec<Run<'a>>,
    /// The first record that is left of each run.
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
}

impl Records<'_> {
    fn advance(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(mut top) = self.heap.peek_mut() else { return Ok(None) };
        let Reverse((first, at)) = &mut *top;
        let following = match self.runs.get_mut(*at) {
            Some(run) => run.next()?,
            None => None,
        };
        Ok(Some(match following {
            Some(record) => std::mem::replace(first, record),
            None => PeekMut::pop(top).0.0,
        }))
    }
}

impl Iterator for Records<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
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
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap().path().join("none");
        let mut sorter = Sorter::with_run_bytes(&folder, 4);
        sorter.push(&[b"four"]).unwrap();
        sorter.push(&[b"more"]).unwrap_err();
    }
}
