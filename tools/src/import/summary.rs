//! What an import says of itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::archives::Extracted;
use super::check::CheckReport;
use super::dropped::Reason;

/// Figures of one import.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Name of the data set.
    pub(crate) data_set: &'static str,
    /// Rows that were read.
    pub(crate) rows: u64,
    /// Rows in the poses CSV.
    pub(crate) written: u64,
    /// The others, by reason.
    pub(crate) dropped: BTreeMap<&'static str, Reason>,
    /// What a reader of figures on this data must know.
    pub(crate) notes: Vec<String>,
    /// What all rows together tell; absent without `--check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<CheckReport>,
    /// What came out of archives; absent without `--extract`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extracted: Option<Extracted>,
    /// Bytes of tables that were read, decompressed.
    pub(crate) table_bytes: u64,
    /// Wall-clock seconds, unpacking included.
    pub(crate) seconds: f64,
    /// The poses CSV.
    pub(crate) out: PathBuf,
}

impl Summary {
    /// Whether something is wrong with the data: rows that had to be left out for what they say or for a picture that is
    /// not there, names that stand there twice, entries of archives that were refused.
    pub(crate) fn has_faults(&self) -> bool {
        let wanted = ["same_photo", "same_user"];
        self.dropped.keys().any(|reason| !wanted.contains(reason))
            || self.check.as_ref().is_some_and(|check| check.duplicate_rows > 0)
            || self.extracted.as_ref().is_some_and(|extracted| !extracted.refused.is_empty())
    }

    /// The same for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {} of {} rows of {}\n", self.out.display(), self.written, self.rows, self.data_set);
        // Writing into a string cannot fail.
        for (reason, found) in &self.dropped {
            let _ = writeln!(text, "left out, {reason}: {}", found.rows);
            text.extend(found.examples.iter().map(|example| format!("  {example}\n")));
        }
        if let Some(extracted) = &self.extracted {
            let _ = writeln!(
                text,
                "unpacked {} pictures ({:.1} MB) from {} archives; {} were there already",
                extracted.pictures,
                extracted.bytes as f64 / 1e6,
                extracted.archives,
                extracted.there_already
            );
            for (reason, found) in &extracted.refused {
                let _ = writeln!(text, "refused, {reason}: {}", found.rows);
                text.extend(found.examples.iter().map(|example| format!("  {example}\n")));
            }
        }
        if let Some(check) = &self.check {
            let _ = write!(text, "check: {} rows name a picture that an earlier row has", check.duplicate_rows);
            if !check.duplicates.is_empty() {
                let _ = write!(text, " ({})", check.duplicates.join(", "));
            }
            if let Some(count) = check.pictures_without_row {
                let _ = write!(text, "; {count} pictures have no row");
            }
            if let Some(place) = &check.commonest_place {
                let _ = write!(text, "; {} rows at {place}", check.rows_at_commonest_place);
            }
            text.push('\n');
        }
        text.extend(self.notes.iter().map(|note| format!("note: {note}\n")));
        if self.table_bytes > 0 {
            let megabytes = self.table_bytes as f64 / 1e6;
            let _ = writeln!(text, "{megabytes:.1} MB of tables in {:.1} s", self.seconds);
        }
        text
    }
}
