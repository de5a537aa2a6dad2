//! `--check`: what only all rows together can tell. Names wait in sorted files on the disk, not in memory.

use std::path::Path;

use serde::Serialize;

use crate::pictures::{self, PictureError};
use crate::sorter::Sorter;

/// So many examples of each kind are kept.
const EXAMPLES: usize = 5;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CheckReport {
    /// Rows whose picture an earlier row has already.
    pub(crate) duplicate_rows: u64,
    /// The first of them by name.
    pub(crate) duplicates: Vec<String>,
    /// Pictures in the folder that no row names; absent where pictures were not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pictures_without_row: Option<u64>,
    /// Rows at the place that the most rows share to the last digit: many photos at one place are a city's middle.
    pub(crate) rows_at_commonest_place: u64,
    /// That place, latitude and longitude as they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commonest_place: Option<String>,
}

/// Takes in all rows.
pub(super) struct Check {
    names: Sorter,
    places: Sorter,
}

impl Check {
    /// Temporary files go to `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { names: Sorter::new(folder), places: Sorter::new(folder) }
    }

    pub(super) fn add(&mut self, file: &str, place: Option<(&str, &str)>) -> anyhow::Result<()> {
        self.names.push(&[file.as_bytes(), &[0, 0]])?;
        if let Some((lat, lon)) = place {
            self.places.push(&[lat.trim().as_bytes(), b",", lon.trim().as_bytes()])?;
        }
        Ok(())
    }

    /// Sorts and compares; `images` is the folder of the pictures, where they are to be looked at.
    pub(super) fn finish(self, images: Option<&Path>) -> anyhow::Result<CheckReport> {
        let Self { mut names, places } = self;
        if let Some(images) = images {
            pictures::for_each_below(images, |name| {
                let pushed = names.push(&[name.as_bytes(), &[0, 1]]);
                pushed.map_err(|source| PictureError::Read { path: images.to_owned(), source })
            })?;
        }
        let mut report = CheckReport { pictures_without_row: images.map(|_| 0), ..CheckReport::default() };
        let (mut last, mut last_has_row): (Vec<u8>, bool) = (Vec::new(), false);
        let names = names.sorted();
        let mut records = names.records()?;
        while let Some(record) = records.lend()? {
            let Some((name, [_, kind])) = record.split_last_chunk::<2>() else { continue };
            let again = !last.is_empty() && last == name;
            if *kind == 1 {
                if let (false, Some(count)) = (again && last_has_row, &mut report.pictures_without_row) {
                    *count += 1;
                }
            } else if again {
                report.duplicate_rows += 1;
                if report.duplicates.len() < EXAMPLES {
                    report.duplicates.push(String::from_utf8_lossy(name).into_owned());
                }
            }
            last_has_row = *kind == 0 || (again && last_has_row);
            last.clear();
            last.extend_from_slice(name);
        }
        commonest(places, &mut report)?;
        Ok(report)
    }
}

/// The place that the most rows share.
fn commonest(places: Sorter, report: &mut CheckReport) -> anyhow::Result<()> {
    let (mut place, mut rows) = (Vec::new(), 0);
    let places = places.sorted();
    let mut records = places.records()?;
    while let Some(record) = records.lend()? {
        if record == place {
            rows += 1;
        } else {
            rows = 1;
            place.clear();
            place.extend_from_slice(record);
        }
        if rows > report.rows_at_commonest_place {
            report.rows_at_commonest_place = rows;
            report.commonest_place = Some(String::from_utf8_lossy(&place).into_owned());
        }
    }
    Ok(())
}
