//! Values that wait for their turn in a temporary file, as JSON, one on a line.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scratch::Scratch;

/// Bytes that are kept in memory before they go to the file, about.
const MEMORY_BYTES: usize = 1 << 20;
/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 16;

/// Values in the order in which they came. Takes 1 MiB of memory, however many there are; where they take no more than
/// that, no file is made.
#[derive(Debug)]
pub(crate) struct JsonSpool {
    scratch: Scratch,
    tail: Vec<u8>,
}

impl JsonSpool {
    /// An empty spool, whose file will be in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { scratch: Scratch::new(folder), tail: Vec::new() }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn push(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.tail, value)?;
        self.tail.push(b'\n');
        if self.tail.len() >= MEMORY_BYTES {
            self.scratch.append(&self.tail)?;
            self.tail.clear();
        }
        Ok(())
    }

    /// All values in their order.
    pub(crate) fn values<T: DeserializeOwned>(&self) -> impl Iterator<Item = io::Result<T>> {
        let all = self.scratch.reader(0..self.scratch.end()).chain(self.tail.as_slice());
        let mut lines = BufReader::with_capacity(READ_BYTES, all);
        let mut line = Vec::new();
        std::iter::from_fn(move || {
            line.clear();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => None,
                Ok(_) => Some(serde_json::from_slice(&line).map_err(io::Error::from)),
                Err(error) => Some(Err(error)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were_from_memory_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for count in [0, 3, 30_000] {
            let mut spool = JsonSpool::new(folder.path());
            let value =
                |i: usize| (i, format!("line\n{i} \"ü\""), 0.1_f32 * i as f32, 1.0 / (i as f64 + 3.0), Some(-1_i64));
            for i in 0..count {
                spool.push(&value(i)).unwrap();
            }
            assert_eq!(spool.scratch.end() > 0, count == 30_000);
            for _ in 0..2 {
                let mut values = spool.values::<(usize, String, f32, f64, Option<i64>)>();
                assert!((0..count).all(|i| values.next().unwrap().unwrap() == value(i)));
                assert!(values.next().is_none());
            }
        }
    }
}
