//! What a run left out, by name and counted by reason.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use serde::ser::{Error, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use crate::json_spool::JsonSpool;
use crate::poses::Refused;
use crate::progress::Progress;

/// Why a row or picture is left out of a build, in one word.
const REASONS: [&str; 13] = [
    "bad_row",
    "no_position",
    "no_pose",
    "outside_folder",
    "missing_picture",
    "unreadable_picture",
    "too_large",
    "bad_picture",
    "not_embedded",
    "no_thumbnail",
    "no_tokens",
    "refused_by_shard",
    "not_in_base",
];

/// The reason that this word stands for, when it was read from a file.
pub(crate) fn reason(word: &str) -> Option<&'static str> {
    REASONS.into_iter().find(|known| *known == word)
}

/// Names each row or picture that is left out as it comes, and counts them by reason. They wait for the report in a
/// temporary file, so that memory does not grow with their number.
#[derive(Debug)]
pub struct LeftOut {
    strict: bool,
    counts: BTreeMap<&'static str, usize>,
    files: JsonSpool,
}

/// One row or picture that was left out.
#[derive(Debug, Serialize, Deserialize)]
struct LeftOutFile {
    /// The picture, or the line of the CSV.
    name: String,
    /// One word for the kind of reason.
    reason: String,
    /// What was expected and what was found.
    message: String,
}

/// All that was left out, in the order in which it came, for a report.
#[derive(Debug)]
pub struct LeftOutFiles<'a>(&'a JsonSpool);

impl Serialize for LeftOutFiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut files = serializer.serialize_seq(None)?;
        for file in self.0.values::<LeftOutFile>() {
            files.serialize_element(&file.map_err(S::Error::custom)?)?;
        }
        files.end()
    }
}

impl LeftOut {
    /// Nothing left out yet. With `strict`, the first one is an error. A temporary file, if one is needed, is made in
    /// `folder`.
    pub fn new(strict: bool, folder: &Path) -> Self {
        Self { strict, counts: BTreeMap::new(), files: JsonSpool::new(folder) }
    }

    /// Takes in one row or picture that is left out.
    ///
    /// # Errors
    /// With `strict`, always.
    pub fn add(&mut self, refused: Refused, progress: &Progress) -> anyhow::Result<()> {
        let line = line(&refused);
        if self.strict {
            bail!("{line} (--strict stops here)");
        }
        progress.note(&format!("left out: {line}"));
        *self.counts.entry(refused.reason).or_default() += 1;
        let Refused { name, reason, message } = refused;
        Ok(self.files.push(&LeftOutFile { name, reason: reason.to_owned(), message })?)
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// How many there are of each reason.
    pub fn counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.counts
    }

    /// All of them, in the order in which they came.
    pub fn files(&self) -> LeftOutFiles<'_> {
        LeftOutFiles(&self.files)
    }
}

/// `3 (bad_row x 1, missing_picture x 2)`, or `0`.
impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.total())?;
        if self.counts.is_empty() {
            return Ok(());
        }
        let parts: Vec<String> = self.counts.iter().map(|(reason, count)| format!("{reason} x {count}")).collect();
        write!(f, " ({})", parts.join(", "))
    }
}

/// The name and the message, the name once.
fn line(refused: &Refused) -> String {
    if refused.message.contains(&refused.name) {
        refused.message.clone()
    } else {
        format!("{}: {}", refused.name, refused.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, reason: &'static str) -> Refused {
        Refused { name: name.to_owned(), reason, message: "is bad".to_owned() }
    }

    #[test]
    fn reasons_are_counted() {
        let (mut left_out, progress) = (LeftOut::new(false, Path::new("")), Progress::new("test", 3));
        assert_eq!(left_out.to_string(), "0");
        for (name, reason) in [("a", "bad_row"), ("b", "missing_picture"), ("c", "missing_picture")] {
            left_out.add(refused(name, reason), &progress).unwrap();
        }
        assert_eq!(left_out.to_string(), "3 (bad_row x 1, missing_picture x 2)");
        let files = serde_json::to_value(left_out.files()).unwrap();
        assert_eq!(files[2], serde_json::json!({"name": "c", "reason": "missing_picture", "message": "is bad"}));
        assert_eq!(files.as_array().unwrap().len(), 3);
    }

    #[test]
    fn strict_makes_the_first_one_an_error_that_names_it() {
        let error =
            LeftOut::new(true, Path::new("")).add(refused("a.jpg", "bad_row"), &Progress::new("test", 1)).unwrap_err();
        assert!(error.to_string().contains("a.jpg: is bad"));
    }
}
