//! The split of a build: which role each picture has, sorted by the pictures' names on the disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::name_key::{NameKey, name_key};
use super::role_names::RoleNames;
use crate::pose_row::once;
use crate::poses::{PosesError, RowError};
use crate::sorter::{Records, Sorted, Sorter};
use crate::split::for_each_row;

/// All rows of a split CSV.
#[derive(Debug)]
pub(super) struct SplitKeys {
    pub(super) path: PathBuf,
    sorted: Sorted,
}

/// A row of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitKey {
    key: NameKey,
    pub(super) line: u64,
    pub(super) role: u32,
    pub(super) file: String,
}

impl SplitKeys {
    /// Reads a split CSV. Temporary files go to `scratch`.
    ///
    /// # Errors
    /// The file cannot be read, lacks a column, or has a row that is empty; a temporary file cannot be written.
    pub(super) fn read(path: &Path, roles: &mut RoleNames, scratch: &Path) -> anyhow::Result<Self> {
        let file =
            File::open(path).map_err(|error| PosesError::Read { path: path.to_owned(), source: error.into() })?;
        let mut sorter = Sorter::new(scratch);
        for_each_row(path, file, |row, file, role| {
            let role = roles.number(Some(role)).to_be_bytes();
            anyhow::Ok(sorter.push(&[&name_key(file), &row.line().to_be_bytes(), &role, file.as_bytes()])?)
        })?;
        Ok(Self { path: path.to_owned(), sorted: sorter.sorted() })
    }

    /// A walk along the names.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(super) fn walk(&self) -> io::Result<SplitWalk<'_>> {
        let mut walk = SplitWalk { path: &self.path, records: self.sorted.records()?, current: None, twice: None };
        walk.current = walk.read()?;
        Ok(walk)
    }
}

/// Goes along the names of a split, beside other names in the same order.
#[derive(Debug)]
pub(super) struct SplitWalk<'a> {
    path: &'a Path,
    records: Records<'a>,
    current: Option<SplitKey>,
    /// A row whose file stands in a line above, and that line: of all such rows the first one.
    twice: Option<(SplitKey, u64)>,
}

impl SplitWalk<'_> {
    /// The role of the name, if it has one. Those that are passed by go to `unmatched`.
    pub(super) fn role_of(
        &mut self,
        name: &NameKey,
        mut unmatched: impl FnMut(&SplitKey) -> io::Result<()>,
    ) -> io::Result<Option<u32>> {
        while let Some(passed) = self.next_if(|key| key.key < *name)? {
            unmatched(&passed)?;
        }
        Ok(self.next_if(|key| key.key == *name)?.map(|key| key.role))
    }

    /// All that is left.
    ///
    /// # Errors
    /// A file stands in the split twice; the first such row is named.
    pub(super) fn finish(mut self, mut unmatched: impl FnMut(&SplitKey) -> io::Result<()>) -> anyhow::Result<()> {
        while let Some(left) = self.next_if(|_| true)? {
            unmatched(&left)?;
        }
        let Some((SplitKey { line, file, .. }, first)) = self.twice else { return Ok(()) };
        let error = RowError {
            path: self.path.to_owned(),
            line,
            column: "file".to_owned(),
            found: file,
            expected: once(first),
        };
        Err(PosesError::from(error).into())
    }

    /// Goes on behind the current row, if it is such a one.
    fn next_if(&mut self, wanted: impl FnOnce(&SplitKey) -> bool) -> io::Result<Option<SplitKey>> {
        let Some(current) = self.current.take_if(|current| wanted(current)) else { return Ok(None) };
        while let Some(next) = self.read()? {
            if next.key != current.key {
                self.current = Some(next);
                break;
            }
            if self.twice.as_ref().is_none_or(|(twice, _)| next.line < twice.line) {
                self.twice = Some((next, current.line));
            }
        }
        Ok(Some(current))
    }

    fn read(&mut self) -> io::Result<Option<SplitKey>> {
        let Some(record) = self.records.next().transpose()? else { return Ok(None) };
        let parse = || {
            let (key, rest) = record.split_first_chunk()?;
            let (line, rest) = rest.split_first_chunk()?;
            let (role, file) = rest.split_first_chunk()?;
            let (line, role) = (u64::from_be_bytes(*line), u32::from_be_bytes(*role));
            Some(SplitKey { key: *key, line, role, file: str::from_utf8(file).ok()?.to_owned() })
        };
        parse().map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
