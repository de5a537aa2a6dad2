//! The outbox of a device that has no link: read while the daemon runs or not, cleared while it does not.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::SeqRange;
use super::folder::RealFolder;
use super::log::{Batch, Log, LogLimits, Outcome};
use super::record::{Record, scan};
use super::survey::{Depth, Fate, Place, Survey, read_segment};

/// Room of a segment that clearing may need.
const SEGMENT_BYTES: u64 = 64 << 10;

/// Why an outbox could not be read or cleared.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// There is none.
    #[error("{}: no outbox here: expected the folder `outbox` that a daemon keeps in its state_dir", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The daemon runs, or another tool writes.
    #[error("{}: in use: stop the daemon first, or let it deliver", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageFate {
    /// It waits for a broker, or for being cleared.
    Waiting,
    /// A broker acknowledged it, or it was cleared.
    Delivered,
    /// No broker would take it.
    SetAside,
    /// A bound dropped it.
    Dropped,
}

/// A message of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// Number of the start that made it.
    pub boot: u64,
    /// Its number since then.
    pub seq: u64,
    /// Its camera.
    pub camera: String,
    /// What became of it.
    pub fate: MessageFate,
    /// The fix object.
    pub json: String,
}

/// Messages to be cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All that wait.
    All,
    /// Those in any of the ranges.
    Ranges(Vec<SeqRange>),
}

impl Selection {
    /// Whether a message is selected.
    pub fn holds(&self, boot: u64, seq: u64) -> bool {
        match self {
            Self::All => true,
            Self::Ranges(ranges) => ranges.iter().any(|range| range.holds(boot, seq)),
        }
    }
}

/// The log in the folder `outbox` of a `state_dir`, as it was when it was read.
#[derive(Debug)]
pub struct OutboxArchive {
    path: PathBuf,
    folder: RealFolder,
    survey: Survey,
}

impl OutboxArchive {
    /// Reads what is in the log. Nothing is changed, and a daemon may be writing meanwhile: what it appends later is
    /// not seen.
    ///
    /// # Errors
    /// There is no outbox, or the disk cannot be read.
    pub fn read(state_dir: &Path) -> Result<Self, ArchiveError> {
        let path = existing(state_dir)?;
        let folder = RealFolder::read(&path);
        let survey = Survey::of(&folder, Depth::Everything);
        let survey = survey.map_err(|source| ArchiveError::Disk { path: path.clone(), source })?;
        Ok(Self { path, folder, survey })
    }

    /// What could not be read, in words.
    pub fn damage(&self) -> &[String] {
        &self.survey.damage
    }

    /// Hands every message to `visit`, in the order in which they were made.
    ///
    /// # Errors
    /// The disk cannot be read, or `visit` fails.
    pub fn messages<E: From<ArchiveError>>(
        &self,
        mut visit: impl FnMut(ArchivedMessage) -> Result<(), E>,
    ) -> Result<(), E> {
        for (named, _) in &self.survey.segments {
            let bytes = match read_segment(&self.folder, *named) {
                // The daemon has removed it meanwhile: its oldest messages are out of bounds.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                outcome => outcome.map_err(|source| ArchiveError::Disk { path: self.path.clone(), source })?,
            };
            let mut outcome = Ok(());
            scan(&bytes, |offset, length, record| {
                let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
                let place = Place { segment: named.number, offset: narrow(offset), bytes: narrow(length) };
                if let (Ok(()), Some(message)) = (&outcome, self.message(place, record)) {
                    outcome = visit(message);
                }
            });
            outcome?;
        }
        Ok(())
    }

    /// The message that a record is, where it was not written again later.
    fn message(&self, place: Place, record: Record) -> Option<ArchivedMessage> {
        let Record::Message { id, content } = record else { return None };
        let found = self.survey.messages.get(&id).filter(|found| found.place == place)?;
        let fate = match found.fate {
            Fate::Waits => MessageFate::Waiting,
            Fate::Cleared => MessageFate::Delivered,
            Fate::SetAside(_) => MessageFate::SetAside,
            Fate::Dropped => MessageFate::Dropped,
        };
        let json = String::from_utf8_lossy(&content.json).into_owned();
        Some(ArchivedMessage { boot: content.boot, seq: content.seq, camera: content.camera, fate, json })
    }
}

/// Clears messages that wait, as if a broker had acknowledged them; returns how many. They stay in the log until its
/// bound, but no start sends them.
///
/// # Errors
/// There is no outbox, somebody writes to it, or the disk takes nothing; then nothing may be cleared.
pub fn clear(state_dir: &Path, selection: &Selection) -> Result<u64, ArchiveError> {
    let path = existing(state_dir)?;
    let on_disk = |source| ArchiveError::Disk { path: path.clone(), source };
    let Some(folder) = RealFolder::claim(&path).map_err(on_disk)? else {
        return Err(ArchiveError::InUse { path });
    };
    let survey = Survey::of(&folder, Depth::Waiting).map_err(on_disk)?;
    let selected = survey.messages.iter().filter(|(_, found)| selection.holds(found.content.boot, found.content.seq));
    let decided: Vec<_> = selected.map(|(id, found)| (*id, found.place.segment, Outcome::Cleared)).collect();
    let cleared = decided.len() as u64;
    if cleared > 0 {
        let limits = LogLimits { segment_bytes: SEGMENT_BYTES, max_bytes: u64::MAX };
        let next_id = survey.next_id.max(survey.lease);
        let mut log = Log::resume(Box::new(folder), &survey, limits);
        let batch = Batch { decided, next_id, lease: survey.lease, ..Batch::default() };
        log.write(&batch).map_err(on_disk)?;
    }
    Ok(cleared)
}

fn existing(state_dir: &Path) -> Result<PathBuf, ArchiveError> {
    let path = state_dir.join("outbox");
    if path.is_dir() { Ok(path) } else { Err(ArchiveError::Absent { path }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = OutboxArchive::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("/outbox: no outbox here"), "{error}");
        assert!(clear(dir.path(), &Selection::All).is_err());
    }

    #[test]
    fn a_selection_holds_what_it_says() {
        let range = SeqRange { boot: 1, from_seq: 2, to_seq: 3 };
        let ranges = Selection::Ranges(vec![SeqRange { boot: 5, ..range }, range]);
        assert!(Selection::All.holds(1, 2) && ranges.holds(1, 3) && ranges.holds(5, 2));
        assert!(!ranges.holds(2, 3) && !ranges.holds(1, 4));
    }
}
