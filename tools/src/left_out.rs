//! What a run left out, by name and counted by reason.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;

use crate::poses::Refused;
use crate::progress::Progress;

/// Names each row or picture that is left out as it comes, and counts them by reason.
#[derive(Debug, Default)]
pub struct LeftOut {
    strict: bool,
    counts: BTreeMap<&'static str, usize>,
    files: Vec<LeftOutFile>,
}

/// One row or picture that was left out.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOutFile {
    /// The picture, or the line of the CSV.
    pub name: String,
    /// One word for the kind of reason.
    pub reason: &'static str,
    /// What was expected and what was found.
    pub message: String,
}

impl LeftOut {
    /// Nothing left out yet. With `strict`, the first one is an error.
    pub fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
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
        self.files.push(LeftOutFile { name: refused.name, reason: refused.reason, message: refused.message });
        Ok(())
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.files.len()
    }

    /// How many there are of each reason.
    pub fn counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.counts
    }

    /// All of them, in the order in which they came.
    pub fn files(&self) -> &[LeftOutFile] {
        &self.files
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
        let (mut left_out, progress) = (LeftOut::new(false), Progress::new("test", 3));
        assert_eq!(left_out.to_string(), "0");
        for (name, reason) in [("a", "bad_row"), ("b", "missing_picture"), ("c", "missing_picture")] {
            left_out.add(refused(name, reason), &progress).unwrap();
        }
        assert_eq!(left_out.to_string(), "3 (bad_row x 1, missing_picture x 2)");
    }

    #[test]
    fn strict_makes_the_first_one_an_error_that_names_it() {
        let error = LeftOut::new(true).add(refused("a.jpg", "bad_row"), &Progress::new("test", 1)).unwrap_err();
        assert!(error.to_string().contains("a.jpg: is bad"));
    }
}
