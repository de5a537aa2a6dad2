//! The rows of a build on their way to the writer, and the account of those left out.

use std::io;

use anyhow::Context;
use index_shards::{Row, ShardSummary, ShardWriter, WriteError};

use super::args::BuildArgs;
use super::input_row::InputRow;
use super::name_key::name_key;
use super::plan::source;
use crate::left_out::{self, LeftOut};
use crate::poses::Refused;
use crate::progress::Progress;
use crate::sorter::{Sorted, Sorter};

/// What goes into the shard for a row, beside what its pose says.
pub(super) struct Made {
    /// Unit length.
    pub(super) embedding: Vec<f32>,
    /// What is kept of its picture.
    pub(super) blob: Option<Vec<u8>>,
}

/// Hands the chosen rows to the writer one after the other, and keeps account of those left out, also of those that an
/// earlier run of this build had left out.
pub(super) struct Rows<'a> {
    args: &'a BuildArgs,
    writer: ShardWriter,
    /// How many chosen rows there are.
    count: usize,
    /// How many of them are done.
    done: usize,
    /// How many of them were done when this run began.
    taken_over: usize,
    /// The keys of the names that went in, where they are asked for.
    names: Option<Sorter>,
    left_out: LeftOut,
}

impl<'a> Rows<'a> {
    /// Begins with the `count` rows of `chosen`. Those that the writer was told by an earlier run are taken over and are
    /// no longer among `chosen` afterwards. With `names`, the names that go in are kept account of.
    ///
    /// # Errors
    /// With `--strict`, when the earlier run had left something out; a row cannot be read.
    pub(super) fn new(
        args: &'a BuildArgs,
        writer: ShardWriter,
        (chosen, count): (&mut impl Iterator<Item = io::Result<InputRow>>, usize),
        names: Option<Sorter>,
        left_out: LeftOut,
    ) -> anyhow::Result<Self> {
        let done = usize::try_from(writer.resumed().inputs)?.min(count);
        let mut rows = Self { args, writer, count, done, taken_over: done, names, left_out };
        if done > 0 {
            rows.take_over(chosen)?;
        }
        Ok(rows)
    }

    fn take_over(&mut self, chosen: &mut impl Iterator<Item = io::Result<InputRow>>) -> anyhow::Result<()> {
        let (out, notes) = (self.args.out.display(), &self.writer.resumed().notes);
        let progress = Progress::new("resuming", self.count);
        progress.note(&format!(
            "{out}: {} of {} rows are taken over from the build that was stopped, {} of them left out",
            self.done,
            self.count,
            notes.len()
        ));
        let wrong =
            |note: &str| format!("{out}: cannot go on where it was stopped: {note:?} (begin anew with --afresh)");
        let mut notes = notes.iter().peekable();
        for (at, row) in chosen.take(self.done).enumerate() {
            let row = row?;
            let Some(note) = notes.next_if(|note| left_out_at(note) == Some(at)) else {
                self.names.as_mut().map_or(Ok(()), |names| names.push(&[&name_key(&row.file)]))?;
                continue;
            };
            let refused = read_note(note, &row.file).with_context(|| wrong(note))?;
            self.left_out.add(refused, &progress).with_context(|| {
                format!("{out}: the build that was stopped had left something out (--afresh begins anew)")
            })?;
        }
        notes.next().map_or(Ok(()), |note| Err(anyhow::Error::msg(wrong(note))))
    }

    /// How many rows are still to be done.
    pub(super) fn to_do(&self) -> usize {
        self.count - self.done
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
    pub(super) fn take(
        &mut self,
        input: &InputRow,
        made: Result<Made, Refused>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let made = match made {
            Ok(made) => made,
            Err(refused) => return self.leave_out(refused, progress),
        };
        let row = Row {
            name: &input.file,
            place: &input.place,
            source: source(self.args, input),
            embedding: &made.embedding,
            blob: made.blob.as_deref(),
        };
        match self.writer.push(&row) {
            Ok(_) => {
                self.done += 1;
                Ok(self.names.as_mut().map_or(Ok(()), |names| names.push(&[&name_key(&input.file)]))?)
            }
            Err(WriteError::Row { fault, .. }) => {
                let (name, message) = (input.file.clone(), fault.to_string());
                self.leave_out(Refused { name, reason: "refused_by_shard", message }, progress)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn leave_out(&mut self, refused: Refused, progress: &Progress) -> anyhow::Result<()> {
        let note = format!("{} {} {}", self.done, refused.reason, refused.message);
        self.left_out.add(refused, progress)?;
        self.writer.skip(&note)?;
        self.done += 1;
        Ok(())
    }

    /// The keys of the names of the rows that went in, where they were asked for.
    pub(super) fn take_names(&mut self) -> Option<Sorted> {
        self.names.take().map(Sorter::sorted)
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

/// Which of the chosen rows [`Rows::leave_out`] noted.
fn left_out_at(note: &str) -> Option<usize> {
    note.split_once(' ')?.0.parse().ok()
}

/// Reads what [`Rows::leave_out`] noted of the row `name`: position, reason, message.
fn read_note(note: &str, name: &str) -> Option<Refused> {
    let (_, rest) = note.split_once(' ')?;
    let (reason, message) = rest.split_once(' ')?;
    Some(Refused { name: name.to_owned(), reason: left_out::reason(reason)?, message: message.to_owned() })
}
