//! The rows of a build on their way to the writer, and the account of those left out.

use std::collections::HashSet;

use anyhow::Context;
use index_shards::{Row, ShardSummary, ShardWriter, WriteError};

use super::args::BuildArgs;
use super::plan::source;
use crate::left_out::LeftOut;
use crate::poses::{Pose, Refused};
use crate::progress::Progress;

/// Why a chosen row is left out, in one word.
const REASONS: [&str; 8] = [
    "outside_folder",
    "missing_picture",
    "unreadable_picture",
    "too_large",
    "bad_picture",
    "not_embedded",
    "no_thumbnail",
    "refused_by_shard",
];

/// What goes into the shard for a row, beside what its pose says.
pub(super) struct Made {
    /// Unit length.
    pub(super) embedding: Vec<f32>,
    /// A small JPEG.
    pub(super) thumbnail: Option<Vec<u8>>,
}

/// Hands the chosen rows to the writer one after the other, and keeps account of those left out, also of those that an
/// earlier run of this build had left out.
pub(super) struct Rows<'a> {
    args: &'a BuildArgs,
    writer: ShardWriter,
    chosen: &'a [&'a Pose],
    /// How many of the chosen rows are done.
    done: usize,
    /// How many of them were done when this run began.
    taken_over: usize,
    /// Positions among the chosen rows.
    left_out_at: HashSet<usize>,
    left_out: LeftOut,
}

impl<'a> Rows<'a> {
    /// Takes over what the writer was told by an earlier run.
    ///
    /// # Errors
    /// With `--strict`, when the earlier run had left something out.
    pub(super) fn new(
        args: &'a BuildArgs,
        writer: ShardWriter,
        chosen: &'a [&'a Pose],
        left_out: LeftOut,
    ) -> anyhow::Result<Self> {
        let resumed = writer.resumed().clone();
        let done = usize::try_from(resumed.inputs)?.min(chosen.len());
        let mut rows = Self { args, writer, chosen, done, taken_over: done, left_out_at: HashSet::new(), left_out };
        if done == 0 {
            return Ok(rows);
        }
        let progress = Progress::new("resuming", chosen.len());
        progress.note(&format!(
            "{}: {done} of {} rows are taken over from the build that was stopped, {} of them left out",
            args.out.display(),
            chosen.len(),
            resumed.notes.len()
        ));
        for note in &resumed.notes {
            let (at, refused) = read_note(note, chosen).with_context(|| {
                format!(
                    "{}: cannot go on where it was stopped: {note:?} (begin anew with --afresh)",
                    args.out.display()
                )
            })?;
            rows.left_out_at.insert(at);
            rows.left_out.add(refused, &progress).with_context(|| {
                format!(
                    "{}: the build that was stopped had left something out (--afresh begins anew)",
                    args.out.display()
                )
            })?;
        }
        Ok(rows)
    }

    /// The rows that are still to be done.
    pub(super) fn to_do(&self) -> &'a [&'a Pose] {
        self.chosen.get(self.done..).unwrap_or_default()
    }

    /// How many rows an earlier run had done.
    pub(super) fn taken_over(&self) -> usize {
        self.taken_over
    }

    /// How many rows are done.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Takes what was made of the next row, or leaves the row out.
    ///
    /// # Errors
    /// The shard cannot be written; with `--strict`, when the row is left out.
    pub(super) fn take(&mut self, made: Result<Made, Refused>, progress: &Progress) -> anyhow::Result<()> {
        let pose = self.chosen.get(self.done).context("expected no more results than rows")?;
        let made = match made {
            Ok(made) => made,
            Err(refused) => return self.leave_out(refused, progress),
        };
        let row = Row {
            name: &pose.file,
            place: &pose.place,
            source: source(self.args, pose),
            embedding: &made.embedding,
            blob: made.thumbnail.as_deref(),
        };
        match self.writer.push(&row) {
            Ok(_) => {
                self.done += 1;
                Ok(())
            }
            Err(WriteError::Row { fault, .. }) => {
                let (name, message) = (pose.file.clone(), fault.to_string());
                self.leave_out(Refused { name, reason: "refused_by_shard", message }, progress)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn leave_out(&mut self, refused: Refused, progress: &Progress) -> anyhow::Result<()> {
        let note = format!("{} {} {}", self.done, refused.reason, refused.message);
        self.left_out.add(refused, progress)?;
        self.writer.skip(&note)?;
        self.left_out_at.insert(self.done);
        self.done += 1;
        Ok(())
    }

    /// The names of the rows that went in.
    pub(super) fn names(&self) -> HashSet<&'a str> {
        let rows = self.chosen.iter().take(self.done).enumerate();
        rows.filter(|(at, _)| !self.left_out_at.contains(at)).map(|(_, pose)| pose.file.as_str()).collect()
    }

    /// Hides rows of another shard.
    ///
    /// # Errors
    /// The shard cannot be written.
    pub(super) fn hide(&mut self, digest: &str, rows: &[u32]) -> Result<(), WriteError> {
        self.writer.remove(digest, rows)
    }

    /// Reports something that could not be done and is no row.
    ///
    /// # Errors
    /// With `--strict`, always.
    pub(super) fn note(&mut self, refused: Refused) -> anyhow::Result<()> {
        self.left_out.add(refused, &Progress::new("removing", 0))
    }

    /// Writes the shard; what was left out comes back, whatever becomes of it.
    pub(super) fn finish(self) -> (Result<ShardSummary, WriteError>, LeftOut) {
        (self.writer.finish(), self.left_out)
    }
}

/// Reads what [`Rows::leave_out`] noted: position, reason, message.
fn read_note(note: &str, chosen: &[&Pose]) -> Option<(usize, Refused)> {
    let (at, rest) = note.split_once(' ')?;
    let (reason, message) = rest.split_once(' ')?;
    let at: usize = at.parse().ok()?;
    let reason = REASONS.into_iter().find(|known| *known == reason)?;
    Some((at, Refused { name: chosen.get(at)?.file.clone(), reason, message: message.to_owned() }))
}
