//! Fetches generations over HTTP.
//!
//! What is served there is folders as on a device, and a file `latest` beside them that names the newest: `gen-8`. It is
//! signed by nobody, and need not be: what it leads to is. Files that the device has already, by their digests, are not
//! fetched; what was cut is resumed. A generation gets its name `gen-N` in the state folder when it is whole; then the
//! keeper takes it like one that was brought by hand.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use index_shards::RealDisk;
use jiff::Timestamp;
use quantized_models::sha256_of_reader;
use thiserror::Error;
use tracing::{info, warn};
use url::Url;

use super::keeper::{KeeperParts, own_folder, state_path};
use super::view::{UpdateState, UpdateView};
use super::{GenerationsView, Live, Orders};
use crate::download::{Download, DownloadError, Downloader, Patience, Token, free_bytes};
use crate::generations::{
    Entry, Generation, GenerationError, GenerationState, KeyRing, MANIFEST_NAME, ManifestFile, Now, SIGNATURE_NAME,
};
use crate::locate::timestamp;
use crate::service::Settings;
use crate::service::clock::{Clock, TIMESYNC, now_ms};
use crate::service::health::Health;
use crate::service::link::spread;
use crate::service::settings::UpdateSettings;
use crate::whole_file;

/// Longest answers for the small files, bytes.
const MOST_LATEST_BYTES: u64 = 64;
const MOST_SIGNATURE_BYTES: u64 = 16 << 10;
const MOST_MANIFEST_BYTES: u64 = 4 << 20;
/// Bytes of the disk that are left to others.
const SPARE_BYTES: u64 = 64 << 20;
/// The server is asked for the first time within this.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// How often what was fetched is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Why nothing was fetched.
#[derive(Debug, Error)]
enum UpdateError {
    /// The server or the way to it.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// What the server has is refused.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// The server says what makes no sense.
    #[error("{url}: expected {expected}, found {found}")]
    Nonsense { url: String, expected: &'static str, found: String },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    /// No room.
    #[error("{}: expected room for {needed} bytes and {SPARE_BYTES} to spare, found {free}", path.display())]
    Space { path: PathBuf, needed: u64, free: u64 },
    /// Larger than the settings allow.
    #[error("generation {counter}: expected at most {most} bytes (update.max_bytes), found {found}")]
    TooLarge { counter: u64, most: u64, found: u64 },
}

impl UpdateError {
    /// Whether it is the link, which comes and goes, and nothing that somebody should look at.
    fn is_link(&self) -> bool {
        match self {
            Self::Download(DownloadError::Cancelled { .. }) => true,
            Self::Download(error) => error.is_passing() || matches!(error, DownloadError::GivenUp { .. }),
            _ => false,
        }
    }
}

/// Asks a server for newer generations, again and again.
pub(in crate::service) struct Updater {
    settings: UpdateSettings,
    keys: KeyRing,
    state_dir: PathBuf,
    downloader: Downloader,
    orders: Arc<Orders>,
    view: Arc<GenerationsView>,
    live: Arc<Live>,
    health: Arc<Health>,
    shown: UpdateView,
}

impl Updater {
    /// An updater, where the settings have one.
    pub(in crate::service) fn new(settings: &Settings, parts: &KeeperParts) -> Option<Self> {
        let (update, generations) = (settings.update.clone()?, settings.generations.as_ref()?);
        let token = update.token.as_ref().and_then(|token| Token::new(&update.url, token).ok());
        let shown = UpdateView {
            state: UpdateState::Idle,
            counter: None,
            reason: None,
            asked_at: None,
            bytes: None,
            total_bytes: None,
        };
        Some(Self {
            keys: generations.keys.clone(),
            state_dir: settings.state_dir.clone(),
            downloader: Downloader::new(Patience::default(), token),
            settings: update,
            orders: Arc::clone(&parts.orders),
            view: Arc::clone(&parts.view),
            live: Arc::clone(&parts.live),
            health: Arc::clone(&parts.health),
            shown,
        })
    }

    /// Asks, and asks again after the interval, until the daemon stops. The first time comes after a moment that differs
    /// from device to device, so that a fleet that gets its power back does not come all at once.
    pub(in crate::service) fn run(mut self) {
        let mut wait = self.settings.interval.min(FIRST_WITHIN).mul_f64(spread());
        while !self.orders.closed_within(wait) {
            self.ask();
            wait = self.settings.interval.mul_f64(1.0 + self.settings.jitter * (2.0 * spread() - 1.0));
        }
    }

    fn ask(&mut self) {
        self.shown.asked_at = timestamp(now_ms());
        self.show(UpdateState::Asking, None);
        match self.fetch() {
            Ok(None) => {
                self.health.mend("update");
                self.show(UpdateState::Idle, None);
            }
            Ok(Some(counter)) => {
                info!(counter, "fetched a generation");
                self.health.mend("update");
                self.show(UpdateState::Fetched, None);
                self.orders.nudge();
            }
            Err(error) => {
                let reason = error.to_string();
                warn!(reason, "no update");
                if error.is_link() {
                    self.health.mend("update");
                } else {
                    self.health.degrade("update", &format!("update: {reason}"));
                }
                self.show(UpdateState::Failed, Some(reason));
            }
        }
    }

    fn show(&mut self, state: UpdateState, reason: Option<String>) {
        (self.shown.state, self.shown.reason) = (state, reason);
        if self.view.show_update(self.shown.clone()) {
            self.live.announce();
        }
    }

    /// Fetches the newest generation, if it is newer than what the device has accepted; its number.
    fn fetch(&mut self) -> Result<Option<u64>, UpdateError> {
        let state = GenerationState::load(&state_path(&self.state_dir)).unwrap_or_default();
        let counter = self.latest()?;
        let highest = state.highest.as_ref().map_or(0, |entry| entry.counter);
        let own = own_folder(&self.state_dir);
        let to = own.join(format!("gen-{counter}"));
        let folder = own.join(format!(".fetching-{counter}"));
        if counter <= highest || (to.is_dir() && !self.take_back(&to, &folder, &state)) {
            return Ok(None);
        }
        self.shown.counter = Some(counter);
        let from = self.url(&format!("gen-{counter}/"))?;
        let disk = |path: &Path| {
            let path = path.to_owned();
            move |source| UpdateError::Disk { path, source }
        };
        self.remove_other_attempts(&own, &folder);
        fs::create_dir_all(&folder).map_err(disk(&folder))?;
        let generation = self.manifest(&from, &folder, &state)?;
        let found = generation.manifest().counter;
        if found != counter {
            let error = GenerationError::Mixed { path: generation.path(), expected: counter, found };
            return Err(error.into());
        }
        self.fetch_files(&from, &generation, &state)?;
        generation.place(&RealDisk, &to).map_err(disk(&to))?;
        Ok(Some(counter))
    }

    /// Makes an attempt again of a generation that was fetched and lacks something: a file was lost or cut. What holds of
    /// it need not be fetched again. Whether there was need to.
    fn take_back(&self, from: &Path, to: &Path, state: &GenerationState) -> bool {
        let found = Generation::open(from, &state.ring(&self.keys)).and_then(|generation| generation.check_lengths());
        let lacks = found.is_err_and(|error| error.is_incomplete());
        lacks && {
            fs::remove_dir_all(to).ok();
            fs::rename(from, to).is_ok()
        }
    }

    /// What the file `latest` says.
    fn latest(&self) -> Result<u64, UpdateError> {
        let url = self.url("latest")?;
        let text = self.downloader.fetch_document(&url, MOST_LATEST_BYTES)?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        crate::generations::counter_of_name(Path::new(&text)).filter(|_| !text.contains('/')).ok_or_else(|| {
            let expected = "the name of a generation, such as gen-8";
            UpdateError::Nonsense { url: url.to_string(), expected, found: text.clone() }
        })
    }

    fn url(&self, path: &str) -> Result<Url, UpdateError> {
        let nonsense = |_| {
            let (url, found) = (self.settings.url.to_string(), path.to_owned());
            UpdateError::Nonsense { url, expected: "a path", found }
        };
        self.settings.url.join(path).map_err(nonsense)
    }

    /// Manifest and signature, put into the folder once they count.
    fn manifest(&self, from: &Url, folder: &Path, state: &GenerationState) -> Result<Generation, UpdateError> {
        for (name, most) in [(MANIFEST_NAME, MOST_MANIFEST_BYTES), (SIGNATURE_NAME, MOST_SIGNATURE_BYTES)] {
            let url = from.join(name).unwrap_or_else(|_| from.clone());
            let body = self.downloader.fetch_document(&url, most)?;
            let path = folder.join(name);
            whole_file::replace(&path, &body).map_err(|source| UpdateError::Disk { path, source })?;
        }
        let generation = Generation::open(folder, &state.ring(&self.keys))?;
        state.check_counter(&generation)?;
        let now = Timestamp::from_millisecond(now_ms()).unwrap_or(Timestamp::UNIX_EPOCH);
        let unsynced = Clock::judge(now_ms(), 0, Path::new(TIMESYNC)) == Clock::Unsynced;
        Now::judge(now, unsynced, state.newest_created).check(&generation.path(), generation.manifest())?;
        Ok(generation)
    }

    fn fetch_files(&mut self, from: &Url, generation: &Generation, state: &GenerationState) -> Result<(), UpdateError> {
        let known = known_files(state);
        let manifest = generation.manifest();
        let total = manifest.bytes().unwrap_or(u64::MAX);
        if total > self.settings.max_bytes {
            let (counter, most) = (manifest.counter, self.settings.max_bytes);
            return Err(UpdateError::TooLarge { counter, most, found: total });
        }
        let missing: Vec<&ManifestFile> = manifest.files.iter().filter(|file| !has(generation, file)).collect();
        self.check_space(generation.folder(), &missing)?;
        (self.shown.bytes, self.shown.total_bytes) = (Some(0), Some(missing.iter().map(|file| file.length).sum()));
        self.show(UpdateState::Fetching, None);
        let mut before = 0;
        for file in missing {
            let to = generation.path_of(file);
            let parent = to.parent().unwrap_or(generation.folder());
            fs::create_dir_all(parent).map_err(|source| UpdateError::Disk { path: parent.to_owned(), source })?;
            let same = known.iter().find(|(known, _)| known.sha256 == file.sha256 && known.length == file.length);
            let taken_over = same.is_some_and(|(_, path)| take_over(path, &to, &file.sha256));
            if !taken_over {
                let url = join(from, &file.path)?;
                self.fetch_file(&url, &to, file, before)?;
            }
            before = before.saturating_add(file.length);
        }
        Ok(())
    }

    fn fetch_file(&mut self, url: &Url, to: &Path, file: &ManifestFile, before: u64) -> Result<(), UpdateError> {
        let (orders, view, live) = (Arc::clone(&self.orders), Arc::clone(&self.view), Arc::clone(&self.live));
        let mut shown = self.shown.clone();
        let mut pace = Pace::new(self.settings.max_bytes_per_s);
        let mut told = Instant::now();
        let mut on_progress = |progress: crate::download::Progress| {
            pace.slow_down(progress.bytes);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                shown.bytes = Some(before.saturating_add(progress.bytes));
                view.show_update(shown.clone());
                live.announce();
            }
            if orders.closed_within(Duration::ZERO) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let (bytes, sha256) = (Some(file.length), Some(file.sha256.as_str()));
        let download = Download { url, to, bytes, sha256, max_bytes: file.length };
        self.downloader.fetch(&download, &mut on_progress)?;
        Ok(())
    }

    fn check_space(&self, folder: &Path, missing: &[&ManifestFile]) -> Result<(), UpdateError> {
        let needed = missing.iter().fold(0_u64, |sum, file| sum.saturating_add(file.length));
        let path = folder.to_owned();
        match free_bytes(folder) {
            Ok(free) if needed > 0 && free < needed.saturating_add(SPARE_BYTES) => {
                Err(UpdateError::Space { path, needed, free })
            }
            Ok(_) => Ok(()),
            Err(source) => Err(UpdateError::Disk { path, source }),
        }
    }

    /// What was begun of generations that nobody wants any more.
    fn remove_other_attempts(&self, own: &Path, wanted: &Path) {
        for entry in fs::read_dir(own).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_attempt = entry.file_name().to_string_lossy().starts_with(".fetching-");
            if is_attempt && path != wanted {
                fs::remove_dir_all(&path).ok();
            }
        }
    }
}

/// The address of a file; its parts stand in it as they are.
fn join(from: &Url, path: &str) -> Result<Url, UpdateError> {
    let mut url = from.clone();
    let refused =
        || UpdateError::Nonsense { url: from.to_string(), expected: "an address with a path", found: path.to_owned() };
    url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(path.split('/'));
    Ok(url)
}

/// Files that the device has, with where they are.
fn known_files(state: &GenerationState) -> Vec<(ManifestFile, PathBuf)> {
    let files = |entry: &Entry| {
        let generation = Generation::open_accepted(&entry.folder, &entry.manifest).ok()?;
        let files = generation.manifest().files.iter();
        Some(files.map(|file| (file.clone(), generation.path_of(file))).collect::<Vec<_>>())
    };
    [&state.active, &state.previous].into_iter().flatten().filter_map(files).flatten().collect()
}

/// Whether a file is there already, whole, from an attempt before.
fn has(generation: &Generation, file: &ManifestFile) -> bool {
    let path = generation.path_of(file);
    let same_length = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == file.length);
    same_length && digest_is(&path, &file.sha256)
}

/// Takes a file over that the device has: another name for it where the file system allows that, else a copy, which is
/// only taken when it is whole.
fn take_over(from: &Path, to: &Path, sha256: &str) -> bool {
    if fs::hard_link(from, to).is_ok() {
        let same = digest_is(to, sha256);
        if !same {
            fs::remove_file(to).ok();
        }
        return same;
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".copy");
    let part = PathBuf::from(part);
    let copied = fs::copy(from, &part).and_then(|_| fs::File::open(&part)?.sync_all());
    if copied.is_ok() && digest_is(&part, sha256) && fs::rename(&part, to).is_ok() {
        return true;
    }
    fs::remove_file(&part).ok();
    false
}

fn digest_is(path: &Path, sha256: &str) -> bool {
    let found = fs::File::open(path).and_then(|file| sha256_of_reader(file, |_| {}));
    found.is_ok_and(|found| found == sha256)
}

/// Keeps a download at a pace.
struct Pace {
    per_s: Option<u64>,
    start: Instant,
    first: Option<u64>,
}

impl Pace {
    fn new(per_s: Option<u64>) -> Self {
        Self { per_s, start: Instant::now(), first: None }
    }

    /// Waits until `bytes` may be there.
    fn slow_down(&mut self, bytes: u64) {
        let Some(per_s) = self.per_s else { return };
        let since = bytes.saturating_sub(*self.first.get_or_insert(bytes));
        let due = Duration::from_secs_f64(since as f64 / per_s as f64);
        thread::sleep(due.saturating_sub(self.start.elapsed()).min(Duration::from_secs(2)));
    }
}
