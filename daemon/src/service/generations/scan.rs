//! Looks for generations that were brought.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::keeper::{Keeper, own_folder};
use crate::generations::{Generation, GenerationError, KeyRing, MANIFEST_NAME, SIGNATURE_NAME, list};
use crate::locate::Pipeline;
use crate::service::settings::ActivateWhen;
use crate::stamps::FileIdentity;

/// For how long after it was last touched an incomplete folder counts as one that is still being copied.
const COPYING: Duration = Duration::from_secs(60);

/// A folder that is refused, and what it looked like.
#[derive(Debug)]
pub(super) struct Refused {
    looks: Vec<Option<FileIdentity>>,
    /// Why; nothing while it is still being copied.
    pub(super) problem: Option<String>,
}

impl Keeper {
    /// Looks for newer generations and activates the newest that holds, if they are activated by themselves.
    pub(super) fn look(&mut self) {
        let auto = self.settings.as_ref().is_some_and(|settings| settings.activate == ActivateWhen::Auto);
        // Without anything that serves there is nothing to protect.
        self.look_and(auto || self.parts.live.get().is_none());
    }

    /// The same, whether they are activated by themselves or not.
    pub(super) fn look_and(&mut self, activate: bool) {
        if self.settings.is_none() {
            return;
        }
        let folders = self.folders();
        self.refused.retain(|folder, _| folders.iter().any(|(_, found)| found == folder));
        for (counter, folder) in folders {
            let serves = self.parts.live.get().and_then(|pipeline| pipeline.generation());
            let active = serves.and(self.state.active.as_ref()).map_or(0, |entry| entry.counter);
            let highest = self.state.highest.as_ref().map_or(0, |entry| entry.counter);
            if counter <= active || (counter < highest && serves.is_some()) {
                // Older ones lie around rightly; of the newest there is no other.
                self.refused.remove(&folder);
                continue;
            }
            if activate && self.consider(&folder) {
                break;
            }
        }
        self.say_problems();
    }

    /// Examines a folder, unless it was refused and not touched since, and activates what holds. Whether it did.
    fn consider(&mut self, folder: &Path) -> bool {
        if self.refused.get(folder).is_some_and(|refused| refused.looks == self.looks_now(folder)) {
            return false;
        }
        let problem = match self.examine_newer(folder) {
            Ok(None) => None,
            Ok(Some((generation, pipeline))) => match self.activate(&generation, pipeline) {
                Ok(()) => {
                    self.refused.remove(folder);
                    return true;
                }
                // The disk is tried again at the next look.
                Err(_) => return false,
            },
            Err(error) if error.is_incomplete() && was_touched_lately(folder) => {
                tracing::info!(folder = %folder.display(), %error, "not complete yet");
                self.refused.remove(folder);
                return false;
            }
            // It may have been in the middle of reading.
            Err(_) if self.is_ending() => return false,
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = &problem {
            tracing::warn!(problem, "generation refused");
        }
        let looks = self.looks_now(folder);
        self.refused.insert(folder.to_owned(), Refused { looks, problem });
        false
    }

    /// As [`examine`](Self::examine); nothing for what was set aside.
    fn examine_newer(&mut self, folder: &Path) -> Result<Option<(Generation, Pipeline)>, GenerationError> {
        let generation = Generation::open(folder, &self.ring())?;
        if self.state.set_aside_for(&generation).is_some() {
            return Ok(None);
        }
        self.examine(folder).map(Some)
    }

    /// Signature, counter, expiry, every byte of every file, spaces, golden queries.
    pub(super) fn examine(&mut self, folder: &Path) -> Result<(Generation, Pipeline), GenerationError> {
        let generation = Generation::open(folder, &self.ring())?;
        self.state.check_counter(&generation)?;
        self.now().check(&generation.path(), generation.manifest())?;
        generation.check_lengths()?;
        let pipeline = self.open(&generation, true, &mut |_| {})?;
        Ok((generation, pipeline))
    }

    fn ring(&self) -> KeyRing {
        // Settings are there wherever generations are looked at; without keys nothing counts.
        let keys = self.settings.as_ref().map(|settings| self.state.ring(&settings.keys));
        keys.unwrap_or_default()
    }

    /// All folders, of whoever brings generations and of the device itself, highest number first.
    fn folders(&self) -> Vec<(u64, PathBuf)> {
        let brought = self.settings.as_ref().map(|settings| settings.folder.clone());
        let mut all = Vec::new();
        for folder in brought.into_iter().chain([own_folder(&self.state_dir)]) {
            match list(&folder) {
                Ok(found) => all.extend(found),
                Err(problem) => tracing::warn!(folder = %folder.display(), %problem, "cannot be looked at"),
            }
        }
        all.sort_by_key(|(counter, _)| Reverse(*counter));
        all
    }

    /// The newest that was brought and is signed.
    pub(super) fn newest(&self) -> Option<Generation> {
        let ring = self.ring();
        self.folders().into_iter().find_map(|(_, folder)| Generation::open(&folder, &ring).ok())
    }

    pub(super) fn folder_of(&self, counter: u64) -> Option<PathBuf> {
        self.folders().into_iter().find(|(found, _)| *found == counter).map(|(_, folder)| folder)
    }

    pub(super) fn counters(&self) -> Vec<u64> {
        self.folders().into_iter().map(|(counter, _)| counter).collect()
    }

    fn looks_now(&self, folder: &Path) -> Vec<Option<FileIdentity>> {
        looks(folder, Generation::open(folder, &self.ring()).ok().as_ref())
    }
}

/// What changes when somebody touches a folder: of its files those that its manifest names, where that can be read.
fn looks(folder: &Path, generation: Option<&Generation>) -> Vec<Option<FileIdentity>> {
    match generation {
        Some(generation) => generation.identities(),
        None => [MANIFEST_NAME, SIGNATURE_NAME].map(|name| FileIdentity::of(&folder.join(name)).ok()).into(),
    }
}

fn was_touched_lately(folder: &Path) -> bool {
    let now = SystemTime::now();
    let recent = |path: &Path| {
        let modified = fs::metadata(path).and_then(|found| found.modified());
        modified.is_ok_and(|modified| now.duration_since(modified).is_ok_and(|age| age < COPYING))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    recent(folder) || entries.map(|entry| entry.path()).any(|path| recent(&path))
}
