//! Which files were verified already: a start need not hash what was hashed before and has not been touched since.
//!
//! A stamp is a digest together with what the file system says of the file: device, inode, length, times of change. The
//! time of the last change of the inode cannot be set by whoever writes the file, so a file that was written to, moved
//! or replaced has another identity and is verified again. What a stamp does not see is a bit that the disk flips by
//! itself: `geolocate doctor --full` reads everything again.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::whole_file;

/// Version of the stamps' file.
const FORMAT: u32 = 1;
/// Longest file of stamps that is read: some 100,000 stamps.
const MAX_BYTES: u64 = 32 << 20;
/// A file that was changed less than this before it was read may be changed again within the same tick of the clock
/// that its times are taken from, unnoticed: ticks of up to 10 ms, where times have fractions of seconds.
const TICK_NS: i64 = 50_000_000;
/// The same for file systems that keep whole or even seconds (FAT).
const COARSE_TICK_NS: i64 = 3_000_000_000;

/// What the file system says of a file; equal for the same, untouched file only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Last change of the content, nanoseconds since 1970.
    modified_ns: i64,
    /// Last change of the inode, nanoseconds since 1970.
    changed_ns: i64,
}

impl FileIdentity {
    /// Looks at a file, which symbolic links may lead to.
    ///
    /// # Errors
    /// The file is not there or may not be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::of_metadata(&fs::metadata(path)?))
    }

    /// The identity that these metadata tell.
    pub fn of_metadata(found: &Metadata) -> Self {
        let ns = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified_ns: ns(found.mtime(), found.mtime_nsec()),
            changed_ns: ns(found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether a change of the file from `now_ns` on is certain to change its identity.
    fn is_settled(&self, now_ns: i64) -> bool {
        let is_coarse = self.changed_ns % 1_000_000_000 == 0;
        now_ns.saturating_sub(self.changed_ns) > if is_coarse { COARSE_TICK_NS } else { TICK_NS }
    }
}

/// A file whose digest is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What verifying it gave, 64 lower-case hexadecimal digits.
    pub digest: String,
    /// The file that has it.
    pub identity: FileIdentity,
    /// Whether a stamp told, and the file was not read.
    pub by_stamp: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    path: PathBuf,
    #[serde(rename = "file")]
    identity: FileIdentity,
    digest: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    /// Another version may verify more: its stamps do not count.
    program: String,
    stamps: Vec<Stamp>,
}

/// Files as they were when they were verified, with their digests.
type Known = BTreeMap<PathBuf, (FileIdentity, String)>;

/// The stamps of one file.
#[derive(Debug, Default)]
pub struct Stamps {
    path: Option<PathBuf>,
    known: Known,
    /// Those that were asked for or made since: what is saved.
    used: Known,
    problem: Option<String>,
}

impl Stamps {
    /// The name of the file of stamps in the folder of the daemon's state.
    pub const FILE: &'static str = "stamps.json";

    /// No stamps, and none will be kept: everything is verified.
    pub fn none() -> Self {
        Self::default()
    }

    /// The stamps in `state_dir`. A file of stamps that is missing, damaged or of another version of this program has
    /// none; [`problem`](Self::problem) says so.
    pub fn load(state_dir: &Path) -> Self {
        let path = state_dir.join(Self::FILE);
        let (known, problem) = match read(&path) {
            Ok(known) => (known, None),
            Err(problem) => (BTreeMap::new(), Some(format!("{}: {problem}", path.display()))),
        };
        Self { path: Some(path), known, used: BTreeMap::new(), problem }
    }

    /// Why no stamps were found, where there should be some.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The digest that the file at `path` has, if that was verified and the file has not been touched since.
    pub fn digest(&self, path: &Path, identity: &FileIdentity) -> Option<&str> {
        let mut all = [&self.used, &self.known].into_iter().filter_map(|stamps| stamps.get(path));
        all.find(|(stamped, _)| stamped == identity).map(|(_, digest)| digest.as_str())
    }

    /// Keeps the stamp of a file that is not asked for now and may be later, if it has a fresh one.
    pub fn keep(&mut self, path: &Path) {
        if let Ok(identity) = FileIdentity::of(path)
            && let Some(digest) = self.digest(path, &identity).map(str::to_owned)
        {
            self.used.insert(path.to_owned(), (identity, digest));
        }
    }

    /// The digest of the file at `path`: by its stamp, or by `verify`, which reads the file. What `verify` gives is
    /// remembered if the file was not touched while it was read, nor just before.
    ///
    /// # Errors
    /// Those of `verify`; that the file cannot be looked at is left to `verify` to say.
    pub fn check<E: From<io::Error>>(
        &mut self,
        path: &Path,
        verify: impl FnOnce() -> Result<String, E>,
    ) -> Result<Checked, E> {
        let before = FileIdentity::of(path);
        if let Ok(identity) = before
            && let Some(digest) = self.digest(path, &identity).map(str::to_owned)
        {
            self.used.insert(path.to_owned(), (identity, digest.clone()));
            return Ok(Checked { digest, identity, by_stamp: true });
        }
        let started_ns = now_ns();
        let digest = verify()?;
        let identity = FileIdentity::of(path)?;
        if before.is_ok_and(|before| before == identity) && identity.is_settled(started_ns) {
            self.used.insert(path.to_owned(), (identity, digest.clone()));
        }
        Ok(Checked { digest, identity, by_stamp: false })
    }

    /// Keeps the stamps that were asked for or made, and no others.
    ///
    /// # Errors
    /// They cannot be written. The next start then verifies more than it would have to.
    pub fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.used == self.known {
            return Ok(());
        }
        let stamp = |(path, (identity, digest)): (&PathBuf, &(FileIdentity, String))| Stamp {
            path: path.clone(),
            identity: *identity,
            digest: digest.clone(),
        };
        let stamps = self.used.iter().map(stamp).collect();
        let document = Document { format: FORMAT, program: env!("CARGO_PKG_VERSION").to_owned(), stamps };
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder)?;
        whole_file::replace(path, &serde_json::to_vec_pretty(&document)?)
    }
}

fn read(path: &Path) -> Result<Known, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    let document: Document = serde_json::from_str(&text).map_err(|error| format!("damaged: {error}"))?;
    let (found, expected) = (document.program, env!("CARGO_PKG_VERSION"));
    if document.format != FORMAT || found != expected {
        return Err(format!("written by version {found}, expected {expected}"));
    }
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut known = BTreeMap::new();
    for Stamp { path, identity, digest } in document.stamps {
        if !is_digest(&digest) {
            return Err(format!("damaged: expected 64 hexadecimal digits for {}, found {digest:?}", path.display()));
        }
        known.insert(path, (identity, digest));
    }
    Ok(known)
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// A start that verifies one file: whether a stamp told, and the digest.
    fn start(state_dir: &Path, file: &Path) -> (bool, String) {
        let mut stamps = Stamps::load(state_dir);
        let found = fs::read(file).unwrap();
        let checked = stamps.check(file, || io::Result::Ok(format!("{:064x}", found.len()))).unwrap();
        stamps.save().unwrap();
        (checked.by_stamp, checked.digest)
    }

    /// A file that has not been touched for a while.
    fn settled(folder: &Path, content: &str) -> PathBuf {
        let file = folder.join("a");
        fs::write(&file, content).unwrap();
        sleep(Duration::from_millis(80));
        file
    }

    #[test]
    fn what_was_verified_is_not_verified_again_until_it_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let file = settled(folder.path(), "abc");
        let three = format!("{:064x}", 3);
        assert_eq!(start(&state, &file), (false, three.clone()));
        assert_eq!(start(&state, &file), (true, three.clone()));
        // The same length, and the old time of change set again: the inode's own time tells.
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "abd").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        sleep(Duration::from_millis(80));
        assert_eq!(start(&state, &file), (false, three.clone()));
        assert_eq!(start(&state, &file), (true, three));
        fs::rename(settled(folder.path(), "abcd"), folder.path().join("b")).unwrap();
        fs::rename(folder.path().join("b"), &file).unwrap();
        assert_eq!(start(&state, &file), (false, format!("{:064x}", 4)));
    }

    #[test]
    fn a_file_touched_while_it_was_read_or_just_before_gets_no_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let file = settled(folder.path(), "abc");
        let mut stamps = Stamps::load(folder.path());
        let touched = stamps.check(&file, || fs::write(&file, "x").map(|()| DIGEST.to_owned()));
        assert!(!touched.unwrap().by_stamp);
        assert!(stamps.used.is_empty());
        let identity = FileIdentity { device: 1, inode: 2, bytes: 3, modified_ns: 0, changed_ns: 1_500_000_000 };
        assert!(!identity.is_settled(1_510_000_000));
        assert!(identity.is_settled(1_600_000_000));
        assert!(!FileIdentity { changed_ns: 2_000_000_000, ..identity }.is_settled(4_000_000_000));
        assert!(!identity.is_settled(0), "a clock that was set back");
    }

    #[test]
    fn damaged_or_foreign_stamps_count_for_nothing_and_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = settled(folder.path(), "abc");
        assert_eq!(Stamps::load(folder.path()).problem(), None, "none yet is no problem");
        start(folder.path(), &file);
        let path = folder.path().join(Stamps::FILE);
        let good = fs::read_to_string(&path).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        for (bad, part) in [
            (good[..good.len() / 2].to_owned(), "damaged"),
            (String::new(), "damaged"),
            (good.replace("\"digest\": \"00", "\"digest\": \"xx"), "expected 64 hexadecimal digits"),
            (
                good.replace(&format!("\"program\": \"{version}\""), "\"program\": \"9.9.9\""),
                "written by version 9.9.9",
            ),
        ] {
            fs::write(&path, bad).unwrap();
            let problem = Stamps::load(folder.path()).problem().unwrap_or_default().to_owned();
            assert!(problem.contains(part), "{problem}");
            assert!(!start(folder.path(), &file).0);
            assert!(start(folder.path(), &file).0);
        }
    }

    #[test]
    fn what_was_verified_is_known_at_once_and_a_stamp_that_is_kept_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = settled(folder.path(), "abc");
        start(folder.path(), &file);
        let other = folder.path().join("other");
        fs::write(&other, "x").unwrap();
        sleep(Duration::from_millis(80));
        let mut stamps = Stamps::load(folder.path());
        stamps.keep(&file);
        stamps.keep(Path::new("/no/such/file"));
        let verify = |stamps: &mut Stamps| stamps.check(&other, || io::Result::Ok(DIGEST.to_owned())).unwrap();
        assert!(!verify(&mut stamps).by_stamp && verify(&mut stamps).by_stamp);
        stamps.save().unwrap();
        assert_eq!(Stamps::load(folder.path()).known.len(), 2);
    }

    #[test]
    fn stamps_of_files_that_are_no_longer_asked_for_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = settled(folder.path(), "abc");
        start(folder.path(), &file);
        let other = folder.path().join("other");
        fs::write(&other, "x").unwrap();
        sleep(Duration::from_millis(80));
        start(folder.path(), &other);
        assert_eq!(Stamps::load(folder.path()).known.len(), 1);
    }

    #[test]
    fn without_a_file_nothing_is_kept_and_errors_of_verifying_are_passed_on() {
        let mut stamps = Stamps::none();
        let missing = stamps.check(Path::new("/no/such/file"), || fs::read_to_string("/no/such/file"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        stamps.save().unwrap();
    }
}
