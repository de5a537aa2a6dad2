//! What an import leaves out, and why.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// So many examples of each reason are kept.
const EXAMPLES: usize = 5;

/// Rows left out for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// How many.
    pub(crate) rows: u64,
    /// The first of them: the row or picture, and what was expected and found.
    pub(crate) examples: Vec<String>,
}

/// Counts what is left out. All of it goes to a CSV where one is asked for; memory holds a few examples.
pub(super) struct Dropped {
    reasons: BTreeMap<&'static str, Reason>,
    list: Option<csv::Writer<File>>,
}

impl Dropped {
    /// Nothing left out yet.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(super) fn new(list: Option<&Path>) -> anyhow::Result<Self> {
        let open = |path: &Path| -> anyhow::Result<csv::Writer<File>> {
            let file = File::create(path).with_context(|| format!("{}: cannot write", path.display()))?;
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(["row", "reason", "message"])?;
            Ok(writer)
        };
        Ok(Self { reasons: BTreeMap::new(), list: list.map(open).transpose()? })
    }

    /// One more, by the row or picture, one word for the reason, and what was expected and found.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(super) fn add(&mut self, row: &str, reason: &'static str, message: &str) -> anyhow::Result<()> {
        let entry = self.reasons.entry(reason).or_default();
        entry.rows += 1;
        if entry.examples.len() < EXAMPLES {
            entry.examples.push(format!("{row}: {message}"));
        }
        match &mut self.list {
            Some(list) => {
                list.write_record([row, reason, message]).context("cannot write the list of what is left out")
            }
            None => Ok(()),
        }
    }

    /// How many for this reason.
    pub(super) fn of(&self, reason: &str) -> u64 {
        self.reasons.get(reason).map_or(0, |found| found.rows)
    }

    /// All of them.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<BTreeMap<&'static str, Reason>> {
        if let Some(mut list) = self.list {
            list.flush().context("cannot write the list of what is left out")?;
        }
        Ok(self.reasons)
    }
}
