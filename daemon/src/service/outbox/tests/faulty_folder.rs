//! A folder that fails, tears and forgets, where and when a test wants it to.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use index_shards::DiskFile;

use super::super::commit::OpenFolder;
use super::super::folder::LogFolder;

/// What happens at the call that a test has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    /// This call fails, what it writes is written by half, and the next one works again.
    Fail,
    /// From this call on nothing works any more, until the power comes back.
    Stop,
}

/// A folder in memory, shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultyFolder {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What names mean now, and after a loss of power unless some of `renamed` had made it.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    renamed: Vec<Vec<(String, Option<usize>)>>,
    files: Vec<Content>,
    calls: u64,
    mishap: Option<(u64, Mishap)>,
    stopped: bool,
    /// No room for new files.
    full: bool,
    /// Nothing can be written.
    read_only: bool,
}

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
    /// Counts a call; the error that it is to give.
    fn call(&mut self, writes: bool) -> io::Result<()> {
        self.calls += 1;
        if self.stopped {
            return Err(bad_sector());
        }
        if let Some((_, mishap)) = self.mishap.filter(|(at, _)| *at == self.calls) {
            self.stopped = mishap == Mishap::Stop;
            return Err(bad_sector());
        }
        if writes && self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn change_names(&mut self, change: Vec<(String, Option<usize>)>) {
        for (name, file) in &change {
            match file {
                Some(file) => drop(self.names.insert(name.clone(), *file)),
                None => drop(self.names.remove(name)),
            }
        }
        self.renamed.push(change);
    }
}

fn bad_sector() -> io::Error {
    io::Error::other("a bad sector")
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl FaultyFolder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Chooses the call, counted from 1 and from now on, at which something happens.
    pub(super) fn plan(&self, mishap: Option<(u64, Mishap)>) {
        let mut state = self.state();
        (state.calls, state.mishap) = (0, mishap);
    }

    /// Calls since [`plan`](Self::plan).
    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(super) fn set_read_only(&self, read_only: bool) {
        self.state().read_only = read_only;
    }

    /// Everything works from now on.
    pub(super) fn heal(&self) {
        let mut state = self.state();
        (state.stopped, state.mishap, state.full, state.read_only) = (false, None, false, false);
    }

    /// Starts again after a loss of power: of what was not synced, some is there and some is not, and some in part.
    pub(super) fn lose_power(&self, seed: u64) {
        let mut numbers = Numbers(seed);
        let mut state = self.state();
        for file in &mut state.files {
            let mut content = file.durable.clone();
            for change in std::mem::take(&mut file.since) {
                match (change, numbers.below(10)) {
                    (change, 0..4) => change.apply(&mut content),
                    (Change::Write { offset, bytes }, 4..7) => {
                        // Pages reach the disk in any order.
                        for (page, part) in bytes.chunks(512).enumerate().filter(|_| numbers.below(2) == 0) {
                            let offset = offset + page as u64 * 512;
                            Change::Write { offset, bytes: part.to_vec() }.apply(&mut content);
                        }
                    }
                    _ => {}
                }
            }
            (file.now, file.durable) = (content.clone(), content);
        }
        let renamed = std::mem::take(&mut state.renamed);
        state.names = state.durable_names.clone();
        for change in renamed.into_iter().filter(|_| numbers.below(2) == 0) {
            state.change_names(change);
        }
        state.durable_names = state.names.clone();
        state.renamed.clear();
        (state.stopped, state.mishap) = (false, None);
    }

    /// Starts again after the process was killed: what was written is there.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        (state.stopped, state.mishap) = (false, None);
    }

    /// Names and bytes of all files.
    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        state.names.iter().map(|(name, file)| (name.clone(), state.files[*file].now.len() as u64)).collect()
    }

    /// Changes what is on the disk in a file.
    pub(super) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.names[name];
        let content = &mut state.files[file];
        change(&mut content.now);
        content.durable = content.now.clone();
        content.since.clear();
    }

    fn file(&self, file: usize) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { folder: self.clone(), file })
    }
}

impl OpenFolder for FaultyFolder {
    fn claim(&self) -> io::Result<Option<Box<dyn LogFolder>>> {
        self.state().call(true)?;
        Ok(Some(Box::new(self.clone())))
    }
}

impl LogFolder for FaultyFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call(false)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, room: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(true)?;
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let now = vec![0; room as usize];
        state.files.push(Content { now, durable: Vec::new(), since: vec![Change::Length(room)] });
        let file = state.files.len() - 1;
        state.change_names(vec![(name.to_owned(), Some(file))]);
        drop(state);
        Ok(self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(false)?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        if state.names.contains_key(name) {
            state.change_names(vec![(name.to_owned(), None)]);
        }
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        state.durable_names = state.names.clone();
        state.renamed.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyFile {
    folder: FaultyFolder,
    file: usize,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.folder.state();
        state.call(false)?;
        let rest = state.files[self.file].now.get(offset as usize..).unwrap_or_default();
        // Never all that could be read: the reader has to ask again.
        let count = rest.len().min(buffer.len()).min(buffer.len() / 2 + 1);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.folder.state();
        let read_only = state.read_only;
        let outcome = state.call(true);
        let kept = match &outcome {
            Ok(()) => bytes.len(),
            Err(_) if read_only => 0,
            Err(_) => bytes.len() / 2,
        };
        if kept > 0 {
            let change = Change::Write { offset, bytes: bytes[..kept].to_vec() };
            let content = &mut state.files[self.file];
            change.apply(&mut content.now);
            content.since.push(change);
        }
        outcome
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.folder.state();
        state.call(false)?;
        Ok(state.files[self.file].now.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.folder.state();
        state.call(true)?;
        let content = &mut state.files[self.file];
        Change::Length(length).apply(&mut content.now);
        content.since.push(Change::Length(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.folder.state();
        state.call(true)?;
        let content = &mut state.files[self.file];
        content.durable = content.now.clone();
        content.since.clear();
        Ok(())
    }
}
