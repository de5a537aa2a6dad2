//! Sorting more records than fit into memory: sorted runs on the disk, merged.

use super::scratch::Scratch;
use crate::disk::{DiskFile, read_exact_at};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

/// Bytes of a run, which is sorted in memory, at most.
const RUN_BYTES: usize = 8 << 20;
/// Bytes that are read of a run at once while runs are merged.
const READ_BYTES: usize = 1 << 14;

/// Takes in records of `N` bytes, which sort by these bytes: numbers are put into them with the highest byte first.
/// Takes 8 MiB, and a byte per KiB of records.
#[derive(Debug)]
pub(crate) struct Sorter<const N: usize> {
    run: Vec<[u8; N]>,
    most: usize,
    /// Offset and number of records of each run.
    runs: Vec<(u64, usize)>,
}

impl<const N: usize> Sorter<N> {
    pub(crate) fn new() -> Self {
        Self::with_run_bytes(RUN_BYTES)
    }

    fn with_run_bytes(bytes: usize) -> Self {
        Self { run: Vec::new(), most: (bytes / N).max(1), runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, record: [u8; N], scratch: &mut Scratch) -> io::Result<()> {
        if self.run.len() >= self.most {
            self.run.sort_unstable();
            self.runs.push((scratch.append(self.run.as_flattened())?, self.run.len()));
            self.run.clear();
        }
        self.run.push(record);
        Ok(())
    }

    /// All records, sorted.
    pub(crate) fn into_sorted(mut self, scratch: &Scratch) -> io::Result<Sorted<'_, N>> {
        self.run.sort_unstable();
        let mut runs = vec![Run { file: None, offset: 0, left: 0, records: self.run.into_iter() }];
        for (offset, left) in self.runs {
            runs.push(Run { file: Some(scratch.file()?), offset, left, records: Vec::new().into_iter() });
        }
        let mut heap = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            heap.extend(run.next()?.map(|record| Reverse((record, at))));
        }
        Ok(Sorted { runs, heap })
    }
}

/// A sorted run that is read from its beginning to its end.
#[derive(Debug)]
struct Run<'a, const N: usize> {
    file: Option<&'a dyn DiskFile>,
    offset: u64,
    /// Records that have not been read.
    left: usize,
    records: std::vec::IntoIter<[u8; N]>,
}

impl<const N: usize> Run<'_, N> {
    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        if let (Some(file), 0, 1..) = (self.file, self.records.len(), self.left) {
            let mut records = vec![[0; N]; self.left.min((READ_BYTES / N).max(1))];
            read_exact_at(file, records.as_flattened_mut(), self.offset)?;
            self.offset += records.as_flattened().len() as u64;
            self.left -= records.len();
            self.records = records.into_iter();
        }
        Ok(self.records.next())
    }
}

/// Records that come in order.
#[derive(Debug)]
pub(crate) struct Sorted<'a, const N: usize> {
    runs: Vec<Run<'a, N>>,
    /// The first record that is left of each run.
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Sorted<'_, N> {
    fn advance(&mut self) -> io::Result<Option<[u8; N]>> {
        let Some(Reverse((record, at))) = self.heap.pop() else { return Ok(None) };
        if let Some(run) = self.runs.get_mut(at) {
            self.heap.extend(run.next()?.map(|record| Reverse((record, at))));
        }
        Ok(Some(record))
    }
}

impl<const N: usize> Iterator for Sorted<'_, N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #![proptest_config(crate::deterministic())]

        #[test]
        fn records_come_in_order_from_any_number_of_runs(
            numbers in prop::collection::vec(any::<u32>(), 0..500),
            run_bytes in 1_usize..3000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut scratch = Scratch::new(Arc::new(RealDisk), folder.path().join("scratch"));
            let mut sorter = Sorter::with_run_bytes(run_bytes);
            for number in &numbers {
                sorter.push(number.to_be_bytes(), &mut scratch).unwrap();
            }
            let found: Vec<u32> =
                sorter.into_sorted(&scratch).unwrap().map(|record| u32::from_be_bytes(record.unwrap())).collect();
            let mut expected = numbers;
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
