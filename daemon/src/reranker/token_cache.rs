//! Vision tokens that were computed once, kept in a folder of bounded size.
//!
//! One file for each picture and comparator, named by the digest of both:
//!
//! | offset | type | what |
//! |---|---|---|
//! | 0 | 32 bytes | SHA-256 of the rest |
//! | 32 | bytes | the tokens, as the comparator writes them |
//!
//! A file is written under another name and renamed, and counts only when its digest holds, so nothing waits for the
//! disk: what a loss of power damaged is computed again. Beyond the bound those go that were not asked for the longest,
//! also across starts: a file's time of change is the time when it was last asked for.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;
/// Largest file that is read.
const MAX_ENTRY_BYTES: u64 = 64 << 20;
/// How files begin that are being written.
const UNFINISHED: &str = ".writing-";

/// Which picture, and for which comparator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenKey([u8; DIGEST_BYTES]);

impl TokenKey {
    /// The key of what `producer` makes of the picture whose encoded bytes are these.
    pub fn new(producer: &str, picture: &[u8]) -> Self {
        let hasher = Sha256::new().chain_update(producer).chain_update([0]).chain_update(picture);
        Self(hasher.finalize().into())
    }

    fn file_name(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of_file_name(name: &str) -> Option<Self> {
        let digits = name.as_bytes().as_chunks::<2>();
        let mut key = [0; DIGEST_BYTES];
        if digits.0.len() != DIGEST_BYTES || !digits.1.is_empty() {
            return None;
        }
        for (byte, pair) in key.iter_mut().zip(digits.0) {
            let text = std::str::from_utf8(pair).ok().filter(|text| !text.contains('+'))?;
            *byte = u8::from_str_radix(text, 16).ok()?;
        }
        Some(Self(key)).filter(|key| key.file_name() == name)
    }
}

/// The folder; see the module. Shared between threads.
#[derive(Debug)]
pub struct TokenCache {
    folder: PathBuf,
    max_bytes: u64,
    held: Mutex<Held>,
}

/// What the folder holds, in the order in which it was asked for.
#[derive(Debug, Default)]
struct Held {
    entries: HashMap<TokenKey, Entry>,
    by_use: BTreeMap<u64, TokenKey>,
    next_use: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    bytes: u64,
    used: u64,
}

impl TokenCache {
    /// The cache in `folder`, which is made where it is missing, with what is there already. Files of other names than a
    /// cache's are left alone; what was being written when a process died is removed.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut found: Vec<(SystemTime, TokenKey, u64)> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, metadata) = (entry.file_name(), entry.metadata()?);
            let Some(name) = name.to_str().filter(|_| metadata.is_file()) else { continue };
            if name.starts_with(UNFINISHED) {
                // Another process may have finished it meanwhile.
                fs::remove_file(entry.path()).ok();
            } else if let Some(key) = TokenKey::of_file_name(name) {
                found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), key, metadata.len()));
            }
        }
        found.sort_unstable_by_key(|(time, key, _)| (*time, key.0));
        let cache = Self { folder: folder.to_owned(), max_bytes, held: Mutex::default() };
        let mut held = cache.lock();
        for (_, key, bytes) in found {
            held.add(key, bytes);
        }
        cache.make_room(&mut held, 0);
        drop(held);
        Ok(cache)
    }

    /// The tokens under a key; `None` where there are none, and where the file is damaged, which is removed then.
    pub fn get(&self, key: &TokenKey) -> Option<Vec<u8>> {
        if !self.lock().entries.contains_key(key) {
            return None;
        }
        let tokens = read(&self.path(key));
        let mut held = self.lock();
        if tokens.is_some() {
            held.touch(key);
        } else {
            self.remove(&mut held, key);
        }
        tokens
    }

    /// Keeps tokens under a key, and drops what was not asked for the longest where there is no room. What is larger than
    /// the whole cache is not kept.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn put(&self, key: &TokenKey, tokens: &[u8]) -> io::Result<()> {
        let bytes = (DIGEST_BYTES + tokens.len()) as u64;
        if bytes > self.max_bytes.min(MAX_ENTRY_BYTES) {
            return Ok(());
        }
        let mut held = self.lock();
        self.make_room(&mut held, bytes);
        let mut file: NamedTempFile = Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
        file.write_all(&Sha256::digest(tokens))?;
        file.write_all(tokens)?;
        file.persist(self.path(key)).map_err(|error| error.error)?;
        held.add(*key, bytes);
        Ok(())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn make_room(&self, held: &mut Held, bytes: u64) {
        while held.bytes.saturating_add(bytes) > self.max_bytes {
            let Some(oldest) = held.by_use.values().next().copied() else { return };
            self.remove(held, &oldest);
        }
    }

    fn remove(&self, held: &mut Held, key: &TokenKey) {
        held.forget(key);
        // What cannot be removed is found again by the next start.
        fs::remove_file(self.path(key)).ok();
    }

    fn path(&self, key: &TokenKey) -> PathBuf {
        self.folder.join(key.file_name())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, key: TokenKey, bytes: u64) {
        self.forget(&key);
        self.entries.insert(key, Entry { bytes, used: self.next_use });
        self.by_use.insert(self.next_use, key);
        self.next_use += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn touch(&mut self, key: &TokenKey) {
        if let Some(entry) = self.entries.get(key).copied() {
            self.add(*key, entry.bytes);
        }
    }

    fn forget(&mut self, key: &TokenKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

/// The tokens in a file whose digest holds; notes that they were asked for.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    (&file).take(MAX_ENTRY_BYTES + 1).read_to_end(&mut bytes).ok()?;
    let (digest, tokens) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
    if Sha256::digest(tokens).as_slice() != digest {
        return None;
    }
    // Where it may not be noted, the order across starts suffers and nothing else.
    file.set_modified(SystemTime::now()).ok();
    Some(tokens.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(number: u8) -> TokenKey {
        TokenKey::new("comparator@000000000000", &[number])
    }

    fn path(folder: &Path, number: u8) -> PathBuf {
        folder.join(key(number).file_name())
    }

    #[test]
    fn what_was_put_is_found_by_this_start_and_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("state/tokens");
        let cache = TokenCache::open(&below, 1000).unwrap();
        assert_eq!(cache.get(&key(1)), None);
        cache.put(&key(1), b"tokens").unwrap();
        assert_eq!(cache.get(&key(1)).as_deref(), Some(&b"tokens"[..]));
        assert_eq!(TokenCache::open(&below, 1000).unwrap().get(&key(1)).as_deref(), Some(&b"tokens"[..]));
        assert_eq!(TokenCache::open(&below, 1000).unwrap().bytes(), 38);
        assert_ne!(TokenKey::new("a", b"b"), TokenKey::new("b", b"b"), "another comparator has other tokens");
    }

    #[test]
    fn beyond_the_bound_those_go_that_were_not_asked_for_the_longest() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::open(folder.path(), 3 * 42).unwrap();
        (1..=3).for_each(|number| cache.put(&key(number), &[number; 10]).unwrap());
        assert!(cache.get(&key(1)).is_some());
        cache.put(&key(4), &[4; 10]).unwrap();
        assert_eq!(cache.bytes(), 3 * 42);
        assert!(cache.get(&key(2)).is_none() && !path(folder.path(), 2).exists());
        assert!([1, 3, 4].iter().all(|number| cache.get(&key(*number)).is_some()));
        cache.put(&key(5), &[5; 1000]).unwrap();
        assert!(cache.get(&key(5)).is_none() && cache.get(&key(1)).is_some(), "larger than the cache: not kept");
    }

    #[test]
    fn the_order_of_use_and_a_smaller_bound_hold_across_starts() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::open(folder.path(), 1000).unwrap();
        for number in 1..=3 {
            cache.put(&key(number), &[number; 10]).unwrap();
            let file = File::options().append(true).open(path(folder.path(), number)).unwrap();
            let age = Duration::from_secs(100 - u64::from(number));
            file.set_modified(SystemTime::now().checked_sub(age).unwrap()).unwrap();
        }
        assert!(cache.get(&key(1)).is_some(), "the oldest is asked for again");
        let smaller = TokenCache::open(folder.path(), 2 * 42).unwrap();
        assert_eq!(smaller.bytes(), 84);
        assert!(smaller.get(&key(2)).is_none() && smaller.get(&key(1)).is_some() && smaller.get(&key(3)).is_some());
    }

    #[test]
    fn a_damaged_or_cut_file_counts_for_nothing_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TokenCache::open(folder.path(), 1000).unwrap();
        for (number, damage) in [(1, &b"short"[..]), (2, &[0; 42]), (3, &[])] {
            cache.put(&key(number), &[7; 10]).unwrap();
            fs::write(path(folder.path(), number), damage).unwrap();
            assert_eq!(cache.get(&key(number)), None);
            assert!(!path(folder.path(), number).exists());
        }
        assert_eq!(cache.bytes(), 0);
        cache.put(&key(1), &[7; 10]).unwrap();
        assert!(cache.get(&key(1)).is_some(), "computed again and kept again");
    }

    #[test]
    fn what_is_not_of_the_cache_stays_and_what_was_being_written_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (foreign, unfinished) = (folder.path().join("notes.txt"), folder.path().join(".writing-abc"));
        fs::write(&foreign, "x").unwrap();
        fs::write(&unfinished, "x").unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        let cache = TokenCache::open(folder.path(), 0).unwrap();
        assert!(foreign.exists() && !unfinished.exists());
        cache.put(&key(1), b"x").unwrap();
        assert_eq!((cache.get(&key(1)), cache.bytes()), (None, 0), "a bound of nothing keeps nothing");
        let blocked = TokenCache::open(&foreign, 10).unwrap_err();
        assert_eq!(blocked.kind(), io::ErrorKind::AlreadyExists);
    }
}
