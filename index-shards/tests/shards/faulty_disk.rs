//! A disk that fails, tears and forgets, where and when a test wants it to.
//!
//! For everything that is written through [`Disk`], in whatever crate: this file uses nothing of the tests around it, and
//! tests of other crates take it in by its path,
//!
//! ```text
//! #[cfg(test)]
//! #[path = "../../index-shards/tests/shards/faulty_disk.rs"]
//! mod faulty_disk;
//! ```

#![allow(dead_code, reason = "not all tests that take it in need all of it")]

use index_shards::{Disk, DiskFile};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What happens at the call that a test has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// This one call fails, a write after half of its bytes; the others go on.
    Error,
    /// From this call on nothing works any more, until the disk is started again.
    Stop,
}

/// Numbers from 0 to 1 that look random, the same on each run.
struct Chances(u64);

impl Chances {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1 << 24) as f64
    }
}

/// A disk in memory, shared by all clones.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What names mean now, and what they mean after a loss of power unless some of `renamed` had made it.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    renamed: Vec<NameChange>,
    files: Vec<Content>,
    claimed: HashSet<usize>,
    calls: u64,
    mishap: Option<(u64, Mishap)>,
    stopped: bool,
}

/// Names that change together.
type NameChange = Vec<(PathBuf, Option<usize>)>;

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since the last sync.
    since: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length as usize, 0),
            Self::Write { offset, bytes } => {
                let end = *offset as usize + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset as usize..end].copy_from_slice(bytes);
            }
        }
    }
}

impl State {
    /// Counts a call; whether it is to fail.
    fn call(&mut self) -> bool {
        self.calls += 1;
        match self.mishap {
            _ if self.stopped => true,
            Some((at, mishap)) if at == self.calls => {
                self.stopped = mishap == Mishap::Stop;
                true
            }
            _ => false,
        }
    }

    fn change_names(&mut self, change: NameChange) {
        for (path, file) in &change {
            match file {
                Some(file) => drop(self.names.insert(path.clone(), *file)),
                None => drop(self.names.remove(path)),
            }
        }
        self.renamed.push(change);
    }

    fn file(&mut self, path: &Path) -> usize {
        if let Some(file) = self.names.get(path) {
            return *file;
        }
        self.files.push(Content::default());
        let file = self.files.len() - 1;
        self.change_names(vec![(path.into(), Some(file))]);
        file
    }
}

fn no_room() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl FaultyDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Chooses the call, counted from 1 and from now on, at which something happens.
    pub(crate) fn plan(&self, mishap: Option<(u64, Mishap)>) {
        let mut state = self.state();
        (state.calls, state.mishap) = (0, mishap);
    }

    /// Calls since [`plan`](Self::plan).
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Starts again after the process was killed: what was written is there.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        (state.stopped, state.mishap) = (false, None);
        state.claimed.clear();
    }

    /// Starts again after a loss of power: of what was not synced, some is there and some is not, and some in part.
    pub(crate) fn lose_power(&self, seed: u64) {
        let mut chances = Chances(seed);
        let mut state = self.state();
        for file in &mut state.files {
            let mut content = file.durable.clone();
            for change in std::mem::take(&mut file.since) {
                match (change, chances.next()) {
                    (change, 0.6..) => change.apply(&mut content),
                    (Change::Write { offset, bytes }, 0.3..) => {
                        let kept = bytes.len() * 2 / 3;
                        Change::Write { offset, bytes: bytes[..kept].to_vec() }.apply(&mut content);
                    }
                    _ => {}
                }
            }
            (file.now, file.durable) = (content.clone(), content);
        }
        let renamed = std::mem::take(&mut state.renamed);
        state.names = state.durable_names.clone();
        for change in renamed.into_iter().filter(|_| chances.next() > 0.5) {
            state.change_names(change);
        }
        state.durable_names = state.names.clone();
        state.renamed.clear();
        drop(state);
        self.restart();
    }

    /// The content of a file; `None` where there is none.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|file| state.files[*file].now.clone())
    }

    /// All names.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Puts a file there that was there before everything, on the disk.
    pub(crate) fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.state();
        state.files.push(Content { now: content.into(), durable: content.into(), since: Vec::new() });
        let file = state.files.len() - 1;
        state.names.insert(path.into(), file);
        state.durable_names.insert(path.into(), file);
    }

    fn open(&self, file: usize, claimed: bool) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { disk: self.clone(), file, claimed })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        if state.call() {
            return Err(no_room());
        }
        let file = state.file(path);
        let content = &mut state.files[file];
        content.now.clear();
        content.since.push(Change::Length(0));
        drop(state);
        Ok(self.open(file, false))
    }

    fn claim(&self, path: &Path) -> io::Result<Option<Box<dyn DiskFile>>> {
        let mut state = self.state();
        if state.call() {
            return Err(no_room());
        }
        let file = state.file(path);
        let free = state.claimed.insert(file);
        drop(state);
        Ok(free.then(|| self.open(file, true)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.call() {
            return Err(no_room());
        }
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(vec![(from.into(), None), (to.into(), Some(file))]);
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.call() {
            return Err(no_room());
        }
        state.durable_names = state.names.clone();
        state.renamed.clear();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.call() {
            return Err(no_room());
        }
        if state.names.contains_key(path) {
            state.change_names(vec![(path.into(), None)]);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
    claimed: bool,
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        if self.claimed {
            self.disk.state().claimed.remove(&self.file);
        }
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        if state.call() {
            return Err(io::Error::other("a bad sector"));
        }
        let content = &state.files[self.file].now;
        let rest = content.get(offset as usize..).unwrap_or_default();
        // Never all that could be read: the reader has to ask again.
        let count = rest.len().min(buffer.len()).min(buffer.len() / 2 + 1);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let fails = state.call();
        let kept = if fails { bytes.len() / 2 } else { bytes.len() };
        if state.stopped && kept == 0 {
            return Err(no_room());
        }
        let change = Change::Write { offset, bytes: bytes[..kept].to_vec() };
        let content = &mut state.files[self.file];
        change.apply(&mut content.now);
        content.since.push(change);
        if fails { Err(no_room()) } else { Ok(()) }
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        if state.call() {
            return Err(no_room());
        }
        Ok(state.files[self.file].now.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.call() {
            return Err(no_room());
        }
        let content = &mut state.files[self.file];
        Change::Length(length).apply(&mut content.now);
        content.since.push(Change::Length(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if state.call() {
            return Err(io::Error::other("a bad sector"));
        }
        let content = &mut state.files[self.file];
        content.durable = content.now.clone();
        content.since.clear();
        Ok(())
    }
}
