//! What a device remembers of its generations: the file `state.json`.
//!
//! It is the pointer to the active generation. It is replaced as a whole: written under another name, synced, renamed,
//! and the folder synced; so after a loss of power at any instruction the device has the old pointer or the new one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use index_shards::Disk;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Generation, GenerationError, KeyId, KeyRing};

/// Version of the form.
const FORMAT: u32 = 1;
/// Longest file that is read, bytes.
const MOST_BYTES: u64 = 1 << 20;
/// Generations that were set aside of which the device keeps the reason.
const MOST_SET_ASIDE: usize = 16;

/// Which generation is active, what was before, and how far the counter has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationState {
    format: u32,
    /// What serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Entry>,
    /// What served before, for a roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Entry>,
    /// The highest generation that was ever accepted: nothing below it is activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest: Option<Entry>,
    /// When the newest manifest was made that was ever accepted: it is not earlier now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_created: Option<Timestamp>,
    /// Starts with the active generation that have not served yet.
    #[serde(default)]
    pub starts: u32,
    /// Generations that are not activated by themselves any more, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
    /// Ids of keys that accepted manifests have revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// A generation that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number.
    pub counter: u64,
    /// Where it lies.
    pub folder: PathBuf,
    /// SHA-256 of its manifest.
    pub manifest: String,
}

/// A generation that failed or was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAside {
    /// Its number.
    pub counter: u64,
    /// SHA-256 of its manifest.
    pub manifest: String,
    /// Why.
    pub reason: String,
}

/// Why the state could not be read.
#[derive(Debug, Error)]
pub enum StateError {
    /// The disk does not give it.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("{}: damaged: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
    },
}

impl From<&Generation> for Entry {
    fn from(generation: &Generation) -> Self {
        let (counter, folder) = (generation.manifest().counter, generation.folder().to_owned());
        Self { counter, folder, manifest: generation.sha256().to_owned() }
    }
}

impl Default for GenerationState {
    fn default() -> Self {
        Self {
            format: FORMAT,
            active: None,
            previous: None,
            highest: None,
            newest_created: None,
            starts: 0,
            set_aside: Vec::new(),
            revoked: Vec::new(),
        }
    }
}

impl GenerationState {
    /// The state at `path`; that of a new device where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn load(path: &Path) -> Result<Self, StateError> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
            Ok(_) => {}
        }
        Self::parse(&bytes).map_err(|message| StateError::Damaged { path: path.to_owned(), message })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if state.format == FORMAT {
            Ok(state)
        } else {
            Err(format!("expected format {FORMAT}, found {}", state.format))
        }
    }

    /// Puts this state in place of the file at `path`, whose folder is there.
    ///
    /// # Errors
    /// The disk refuses; then the old state is there, or this one.
    pub fn store(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let file = disk.create(&new)?;
        file.write_at(&text, 0)?;
        file.sync()?;
        drop(file);
        disk.rename(&new, path)?;
        disk.sync_folder(path.parent().unwrap_or_else(|| Path::new(".")))
    }

    /// The keys that count on this device.
    pub fn ring(&self, settings: &KeyRing) -> KeyRing {
        settings.without(self.revoked.iter().filter_map(|id| id.parse::<KeyId>().ok()))
    }

    /// Whether a generation may become active as far as its counter goes.
    ///
    /// # Errors
    /// [`GenerationError::Counter`] below the highest that was accepted, [`GenerationError::Replaced`] for another
    /// manifest of the same number.
    pub fn check_counter(&self, generation: &Generation) -> Result<(), GenerationError> {
        let Some(highest) = &self.highest else { return Ok(()) };
        let (path, found) = (generation.path(), generation.manifest().counter);
        if found < highest.counter {
            return Err(GenerationError::Counter { path, expected: highest.counter, found });
        }
        if found == highest.counter && generation.sha256() != highest.manifest {
            let (counter, expected) = (found, highest.manifest.clone());
            return Err(GenerationError::Replaced { path, counter, expected, found: generation.sha256().to_owned() });
        }
        Ok(())
    }

    /// Why a generation is not activated by itself, where it was set aside.
    pub fn set_aside_for(&self, generation: &Generation) -> Option<&str> {
        let same = |aside: &&SetAside| aside.manifest == generation.sha256();
        self.set_aside.iter().find(same).map(|aside| aside.reason.as_str())
    }

    /// The state after `generation` became active.
    pub fn activated(&self, generation: &Generation) -> Self {
        let entry = Entry::from(generation);
        let mut next = self.clone();
        next.set_aside.retain(|aside| aside.manifest != entry.manifest);
        let again = self.active.as_ref().is_some_and(|active| active.manifest == entry.manifest);
        if !again {
            next.previous = self.active.clone();
        }
        if next.highest.as_ref().is_none_or(|highest| highest.counter <= entry.counter) {
            next.highest = Some(entry.clone());
        }
        let created = generation.manifest().created;
        next.newest_created = Some(next.newest_created.map_or(created, |newest| newest.max(created)));
        for id in generation.revokes().map(|id| id.to_string()) {
            if !next.revoked.contains(&id) {
                next.revoked.push(id);
            }
        }
        // The next start with it counts; what served once before this process ends is taken back.
        (next.active, next.starts) = (Some(entry), 0);
        next
    }

    /// The state once the active generation has served.
    pub fn proven(&self) -> Self {
        let mut next = self.clone();
        next.starts = 0;
        next
    }

    /// The state after the active generation gave way to the one before; nothing where there is none before.
    pub fn rolled_back(&self, reason: &str) -> Option<Self> {
        let previous = self.previous.clone()?;
        let mut next = self.clone();
        if let Some(Entry { counter, manifest, .. }) = self.active.clone() {
            next.set_aside.retain(|aside| aside.manifest != manifest);
            next.set_aside.push(SetAside { counter, manifest, reason: reason.to_owned() });
            let surplus = next.set_aside.len().saturating_sub(MOST_SET_ASIDE);
            next.set_aside.drain(..surplus);
        }
        (next.active, next.previous, next.starts) = (Some(previous), None, 0);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty_disk::{FaultyDisk, Mishap};
    use index_shards::RealDisk;

    const PATH: &str = "/state/generations/state.json";

    fn entry(counter: u64) -> Entry {
        Entry { counter, folder: format!("/index/gen-{counter}").into(), manifest: format!("{counter:064x}") }
    }

    fn state(counter: u64) -> GenerationState {
        let (active, previous) = (Some(entry(counter)), Some(entry(counter - 1)));
        GenerationState { highest: active.clone(), active, previous, starts: 1, ..GenerationState::default() }
    }

    #[test]
    fn the_pointer_is_the_old_or_the_new_one_whatever_fails_or_loses_power_at_any_call() {
        let path = Path::new(PATH);
        let calls = {
            let disk = FaultyDisk::default();
            state(8).store(&disk, path).unwrap();
            disk.calls()
        };
        assert!(calls >= 5, "{calls}");
        for mishap in [Mishap::Error, Mishap::Stop] {
            for at in 1..=calls + 1 {
                for seed in 0..8 {
                    let disk = FaultyDisk::default();
                    disk.put(path, &serde_json::to_vec(&state(7)).unwrap());
                    disk.plan(Some((at, mishap)));
                    let stored = state(8).store(&disk, path);
                    disk.lose_power(seed);
                    let found = GenerationState::parse(&disk.content(path).unwrap()).unwrap();
                    assert!(found == state(7) || found == state(8), "{mishap:?} at call {at}");
                    assert!(stored.is_err() || found == state(8), "{mishap:?} at call {at}: what was stored stays");
                    // The next one gets there, whatever lies around.
                    state(9).store(&disk, path).unwrap();
                    disk.lose_power(seed);
                    assert_eq!(GenerationState::parse(&disk.content(path).unwrap()).unwrap(), state(9));
                }
            }
        }
    }

    #[test]
    fn a_state_comes_back_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        assert_eq!(GenerationState::load(&path).unwrap(), GenerationState::default());
        state(3).store(&RealDisk, &path).unwrap();
        assert_eq!(GenerationState::load(&path).unwrap(), state(3));
        for bad in ["", "{}", "{\"format\":9}", "{\"format\":1,\"colour\":2}"] {
            std::fs::write(&path, bad).unwrap();
            let error = GenerationState::load(&path).unwrap_err().to_string();
            assert!(error.contains("state.json: damaged: "), "{error}");
        }
    }

    #[test]
    fn a_roll_back_goes_one_step_and_remembers_why() {
        let back = state(8).rolled_back("asked for").unwrap();
        assert_eq!((back.active.clone(), back.previous.clone()), (Some(entry(7)), None));
        assert_eq!(back.highest, Some(entry(8)), "the counter does not go back");
        let aside = SetAside { counter: 8, manifest: entry(8).manifest, reason: "asked for".to_owned() };
        assert_eq!((back.set_aside.as_slice(), back.starts), (&[aside][..], 0));
        assert_eq!(back.rolled_back("again"), None);
    }
}
