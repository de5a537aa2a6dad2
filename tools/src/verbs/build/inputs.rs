//! The rows that a build may take in: read once, one after the other, and kept in temporary files, so that memory does
//! not grow with their number.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use quantized_models::DecodeLimits;

use super::args::BuildArgs;
use super::input_row::{BadRow, Input, InputRow, StoredInput};
use super::name_key::{NameKey, name_key};
use super::role_names::RoleNames;
use crate::dataset::all_cores;
use crate::json_spool::JsonSpool;
use crate::ordered::ordered_map;
use crate::pictures::{exif_pose, for_each_below};
use crate::pose_row::Row;
use crate::poses::{PosesError, Records, RowError};
use crate::progress::Progress;
use crate::sorter::Sorter;

/// What stands for a row where names are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowKey {
    pub(super) name: NameKey,
    /// Position among all rows.
    pub(super) index: u64,
    /// Line of the file, from 1; 0 where there is no file.
    pub(super) line: u64,
    /// The role that the row itself names.
    pub(super) role: u32,
    /// Whether the row can be used.
    pub(super) good: bool,
    /// Whether it has a footprint.
    pub(super) footprint: bool,
}

impl RowKey {
    /// Reads what [`Inputs`] wrote.
    pub(super) fn read(record: &[u8]) -> Option<Self> {
        let (name, rest) = record.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (line, rest) = rest.split_first_chunk()?;
        let (role, rest) = rest.split_first_chunk()?;
        let [good, footprint] = rest else { return None };
        let (index, line) = (u64::from_be_bytes(*index), u64::from_be_bytes(*line));
        let (good, footprint) = (*good == 1, *footprint == 1);
        Some(Self { name: *name, index, line, role: u32::from_be_bytes(*role), good, footprint })
    }

    fn push_to(self, sorter: &mut Sorter) -> io::Result<()> {
        let Self { name, index, line, role, good, footprint } = self;
        let flags = [u8::from(good), u8::from(footprint)];
        sorter.push(&[&name, &index.to_be_bytes(), &line.to_be_bytes(), &role.to_be_bytes(), &flags])
    }
}

/// All rows, good and bad, in their order, and their names, to be sorted.
#[derive(Debug)]
pub(super) struct Inputs {
    /// The CSV file, or the folder whose pictures carry positions.
    pub(super) path: PathBuf,
    /// How many rows there are.
    pub(super) rows: usize,
    /// How many of them cannot be used.
    pub(super) bad: usize,
    /// Whether rows name roles.
    pub(super) have_roles: bool,
    pub(super) roles: RoleNames,
    /// [`StoredInput`], one for each row.
    pub(super) spool: JsonSpool,
    /// [`RowKey`], one for each row that names a picture.
    pub(super) keys: Sorter,
}

impl Inputs {
    /// Reads the poses CSV, or the EXIF tags of all pictures below the folder when there is no CSV. Temporary files go
    /// to `scratch`.
    ///
    /// # Errors
    /// The CSV cannot be used, the folder cannot be read, a temporary file cannot be written.
    pub(super) fn read(args: &BuildArgs, limits: &DecodeLimits, scratch: &Path) -> anyhow::Result<Self> {
        if let Some(path) = &args.poses {
            return Self::from_csv(path, scratch);
        }
        let folder = args.images.as_deref().context("expected --poses, or --images with positions in the EXIF tags")?;
        Self::from_exif(folder, limits, scratch)
    }

    /// No rows.
    pub(super) fn none(path: &Path, scratch: &Path) -> Self {
        Self {
            path: path.to_owned(),
            rows: 0,
            bad: 0,
            have_roles: false,
            roles: RoleNames::default(),
            spool: JsonSpool::new(scratch),
            keys: Sorter::new(scratch),
        }
    }

    pub(super) fn from_csv(path: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let file =
            File::open(path).map_err(|error| PosesError::Read { path: path.to_owned(), source: error.into() })?;
        let mut records = Records::open(path, file, &["file", "lat", "lon"])?;
        let mut inputs = Self::none(path, scratch);
        inputs.have_roles = records.columns.names().iter().any(|column| column == "role");
        while let Some(record) = records.next_record()? {
            match record {
                Ok(line) => inputs.take_row(&line.row(path, &records.columns))?,
                Err(error) => inputs.refuse(None, 0, &error)?,
            }
        }
        Ok(inputs)
    }

    fn take_row(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        match row.file().and_then(|file| Ok((file, row.place()?))) {
            Ok((file, place)) => {
                let source = row.text("source").map(str::to_owned);
                let input = InputRow { index: self.rows, file: file.to_owned(), place, source };
                self.take(input, row.line(), row.text("role"))
            }
            Err(error) => self.refuse(row.text("file"), row.line(), &error),
        }
    }

    fn take(&mut self, row: InputRow, line: u64, role: Option<&str>) -> anyhow::Result<()> {
        let key = RowKey {
            name: name_key(&row.file),
            index: row.index as u64,
            line,
            role: self.roles.number(role),
            good: true,
            footprint: row.place.footprint.is_some(),
        };
        self.rows += 1;
        key.push_to(&mut self.keys)?;
        Ok(self.spool.push(&StoredInput::from(row))?)
    }

    fn refuse(&mut self, file: Option<&str>, line: u64, error: &RowError) -> anyhow::Result<()> {
        if let Some(file) = file {
            let index = self.rows as u64;
            let key = RowKey { name: name_key(file), index, line, role: 0, good: false, footprint: false };
            key.push_to(&mut self.keys)?;
        }
        self.take_bad(BadRow { index: self.rows, file: file.map(str::to_owned), refused: error.refused() })
    }

    fn take_bad(&mut self, row: BadRow) -> anyhow::Result<()> {
        self.rows += 1;
        self.bad += 1;
        Ok(self.spool.push(&StoredInput::from(row))?)
    }

    fn from_exif(folder: &Path, limits: &DecodeLimits, scratch: &Path) -> anyhow::Result<Self> {
        let (mut names, mut count) = (Sorter::new(scratch), 0);
        for_each_below(folder, |name| {
            count += 1;
            anyhow::Ok(names.push(&[name.as_bytes()])?)
        })?;
        let (names, mut inputs) = (names.sorted(), Self::none(folder, scratch));
        let progress = Progress::new("reading EXIF", count);
        let work = |(index, name): (usize, io::Result<Vec<u8>>)| {
            let name = String::from_utf8(name?)?;
            anyhow::Ok((index, exif_pose(folder, index, name, limits)))
        };
        ordered_map(names.records()?.enumerate(), all_cores(), work, |result| {
            progress.step();
            match result? {
                (index, Ok(pose)) => {
                    let row = InputRow { index, file: pose.file, place: pose.place, source: None };
                    inputs.take(row, 0, None)
                }
                // It is not among the names, so that a split that names it is told that it has no position.
                (index, Err(refused)) => inputs.take_bad(BadRow { index, file: None, refused }),
            }
        })?;
        Ok(inputs)
    }
}

/// All rows in the order of the poses.
pub(super) fn rows(spool: &JsonSpool) -> impl Iterator<Item = io::Result<Input>> {
    spool.values::<StoredInput>().map(|stored| Ok(stored?.into()))
}
