//! A disk that fails, tears, forgets and reorders, where and when a test wants it to: one for everything that must
//! survive it. Shards, the outbox, generations and packed models are all held against it.
//!
//! It knows none of the crates. Their tests take it in by its path, and say what it is in the words of their own trait:
//!
//! ```text
//! #[cfg(test)]
//! #[path = "../../tests/faulty_disk/mod.rs"]
//! mod faulty_disk;
//! ```
//!
//! **Calls** are counted, each that a process makes: [`plan`](FaultyDisk::plan) has one of them fail, a write after half
//! of its bytes, or has everything end with it. **A loss of power** leaves what was synced: the content of files that
//! were, and names in folders that were. Of the rest each change, in whatever order they were made, may or may not have
//! reached the disk, and of a write any pages. A rename is there or not, never by half.

#![allow(dead_code, reason = "not all tests that take it in need all of it")]

mod content;
mod names;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use content::{Change, Content};
use names::{Names, Node};

/// What happens at the call that a test has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// This one call fails, a write after half of its bytes; the others go on.
    Error,
    /// From this call on nothing works any more, until the disk is started again.
    Stop,
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A disk in memory, shared by all clones. Folders that nobody made were always there.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    files: Vec<Content>,
    claimed: HashSet<usize>,
    calls: u64,
    mishap: Option<(u64, Mishap)>,
    stopped: bool,
    /// No room: nothing grows, and there are no new files.
    full: bool,
    /// Nothing can be written.
    read_only: bool,
}

fn bad_sector() -> io::Error {
    io::Error::other("a bad sector")
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

    fn has_room(&self) -> io::Result<()> {
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.node(path) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_or_new(&mut self, path: &Path) -> io::Result<usize> {
        match self.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.has_room()?;
                self.files.push(Content::default());
                let file = self.files.len() - 1;
                self.names.give(path, Node::File(file));
                Ok(file)
            }
            found => found,
        }
    }
}

impl FaultyDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn open_file(&self, file: usize, claimed: bool) -> FaultyFile {
        FaultyFile { disk: self.clone(), file, claimed }
    }
}

/// What a test does with it.
impl FaultyDisk {
    /// Chooses the call, counted from 1 and from now on, at which something happens.
    pub(crate) fn plan(&self, mishap: Option<(u64, Mishap)>) {
        let mut state = self.state();
        (state.calls, state.mishap) = (0, mishap);
    }

    /// Calls since [`plan`](Self::plan).
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(crate) fn set_read_only(&self, read_only: bool) {
        self.state().read_only = read_only;
    }

    /// Starts again after the process was killed: what was written is there.
    pub(crate) fn restart(&self) {
        let mut state = self.state();
        (state.stopped, state.mishap) = (false, None);
        state.claimed.clear();
    }

    /// Everything works from now on.
    pub(crate) fn heal(&self) {
        self.restart();
        let mut state = self.state();
        (state.full, state.read_only) = (false, false);
    }

    /// Starts again after a loss of power: of what was not synced, some is there and some is not, and some in part.
    pub(crate) fn lose_power(&self, seed: u64) {
        let mut numbers = Numbers(seed);
        let mut state = self.state();
        state.files.iter_mut().for_each(|file| file.lose_power(&mut numbers));
        state.names.lose_power(&mut numbers);
        drop(state);
        self.restart();
    }

    /// The content of a file; `None` where there is none.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.file(path).ok().map(|file| state.files[file].now.clone())
    }

    /// The paths of all files, in order.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.state().names.files()
    }

    /// Puts a file there that was there before everything, on the disk.
    pub(crate) fn put(&self, path: &Path, content: &[u8]) {
        let mut state = self.state();
        state.files.push(Content::durable(content));
        let file = state.files.len() - 1;
        state.names.put(path, Node::File(file));
    }

    /// Puts a folder there that was there before everything.
    pub(crate) fn put_folder(&self, path: &Path) {
        self.state().names.put_folder(path);
    }

    /// Changes what is on the disk in a file.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.file(path).unwrap();
        let mut content = state.files[file].now.clone();
        change(&mut content);
        state.files[file] = Content::durable(&content);
    }
}

/// What a process does with it.
impl FaultyDisk {
    /// An empty file, which takes the place of the content of one that has the name.
    pub(crate) fn create(&self, path: &Path) -> io::Result<FaultyFile> {
        let mut state = self.state();
        state.call(true)?;
        let file = state.file_or_new(path)?;
        state.files[file].change(Change::Length(0));
        drop(state);
        Ok(self.open_file(file, false))
    }

    /// A file that is there.
    pub(crate) fn open(&self, path: &Path) -> io::Result<FaultyFile> {
        let mut state = self.state();
        state.call(false)?;
        let file = state.file(path)?;
        drop(state);
        Ok(self.open_file(file, false))
    }

    /// A file, made if need be, that nobody else can claim until it is closed; `None` when somebody else has it.
    pub(crate) fn claim(&self, path: &Path) -> io::Result<Option<FaultyFile>> {
        let mut state = self.state();
        state.call(true)?;
        let file = state.file_or_new(path)?;
        let free = state.claimed.insert(file);
        drop(state);
        Ok(free.then(|| self.open_file(file, true)))
    }

    /// Gives a file or a folder another name, in one step. A file that has it is replaced; a folder is only where it is
    /// empty.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        state.names.rename(from, to)
    }

    /// Removes a file. One that is not there is as good as removed.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        if state.names.node(path).is_some() {
            state.names.take(path);
        }
        Ok(())
    }

    /// Makes a folder, and those above it. One that is there is as good as made.
    pub(crate) fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        state.names.make_folder(path);
        Ok(())
    }

    /// Removes a folder with everything in it, one name after the other.
    pub(crate) fn remove_folder(&self, path: &Path) -> io::Result<()> {
        for name in self.names(path)? {
            let path = path.join(name);
            let is_folder = matches!(self.state().names.node(&path), Some(Node::Folder(_)));
            if is_folder { self.remove_folder(&path)? } else { self.remove(&path)? }
        }
        let mut state = self.state();
        state.call(true)?;
        state.names.take(path);
        Ok(())
    }

    /// The names in a folder, in order.
    pub(crate) fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call(false)?;
        state.names.list(folder).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(true)?;
        state.names.sync(folder);
        Ok(())
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct FaultyFile {
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

impl FaultyFile {
    /// Reads; never all that could be read at once, so that the reader has to ask again.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.call(false)?;
        let rest = state.files[self.file].now.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len()).min(buffer.len() / 2 + 1);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    /// Writes all of `bytes`, or half of them and fails.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let was_stopped = state.stopped;
        let mut outcome = state.call(true);
        let nothing = was_stopped || state.read_only;
        if outcome.is_ok() && offset as usize + bytes.len() > state.files[self.file].now.len() {
            outcome = state.has_room();
        }
        let kept = match &outcome {
            Ok(()) => bytes.len(),
            Err(_) if nothing => 0,
            Err(_) => bytes.len() / 2,
        };
        if kept > 0 {
            state.files[self.file].change(Change::Write { offset, bytes: bytes[..kept].to_vec() });
        }
        outcome
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.call(false)?;
        Ok(state.files[self.file].now.len() as u64)
    }

    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call(true)?;
        if length as usize > state.files[self.file].now.len() {
            state.has_room()?;
        }
        state.files[self.file].change(Change::Length(length));
        Ok(())
    }

    /// Makes content and length durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call(true)?;
        state.files[self.file].sync();
        Ok(())
    }
}
