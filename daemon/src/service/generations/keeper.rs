//! The thread that keeps generations: opens, activates, rolls back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use index_shards::RealDisk;
use jiff::Timestamp;
use quantized_models::Progress;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::opener::Opener;
use super::orders::{Answer, Lane, Next, Order, Orders};
use super::reading::Reading;
use super::scan::Refused;
use super::{GenerationsView, Live};
use crate::assemble::AssembleError;
use crate::generations::{Entry, Generation, GenerationError, GenerationState, Now};
use crate::locate::Pipeline;
use crate::service::clock::{Clock, TIMESYNC, now_ms};
use crate::service::commands::Refusal;
use crate::service::health::Health;
use crate::service::settings::GenerationSettings;
use crate::service::worker::Heartbeat;
use crate::service::{Counters, Settings};
use crate::stamps::Stamps;

/// Who stayed up for so long, with a pipeline that shows signs of life, has not failed.
const STAYED_UP: Duration = Duration::from_secs(60);
/// A younger sign of life than this is one.
const ALIVE: Duration = Duration::from_secs(30);
/// How often is looked whether a generation on trial has served.
const TRIAL_TICK: Duration = Duration::from_secs(1);
/// Without generations there is nothing to look for.
const IDLE_TICK: Duration = Duration::from_secs(3600);

/// What the keeper shares with the rest of the service.
#[derive(Clone)]
pub(in crate::service) struct KeeperParts {
    pub(in crate::service) live: Arc<Live>,
    pub(in crate::service) orders: Arc<Orders>,
    pub(in crate::service) view: Arc<GenerationsView>,
    pub(in crate::service) health: Arc<Health>,
    pub(in crate::service) counters: Arc<Counters>,
    pub(in crate::service) heartbeat: Arc<Heartbeat>,
}

/// Where the device's own folder of generations is: what was fetched, and the pointer.
pub(super) fn own_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("generations")
}

/// Where the pointer is.
pub(super) fn state_path(state_dir: &Path) -> PathBuf {
    own_folder(state_dir).join("state.json")
}

/// Keeps what serves; see the module.
pub(in crate::service) struct Keeper {
    pub(super) parts: KeeperParts,
    shards: Vec<PathBuf>,
    pub(super) settings: Option<GenerationSettings>,
    pub(super) state_dir: PathBuf,
    pub(super) opener: Opener,
    pub(super) state: GenerationState,
    /// Why each of the folders is refused, until it is touched.
    pub(super) refused: BTreeMap<PathBuf, Refused>,
    /// What is wrong with what serves.
    pub(super) fallback: Option<String>,
    /// The thread has yet to open what is to serve.
    pub(super) late: bool,
    started: Instant,
}

impl Keeper {
    /// Opens what is to serve. With generations something always starts: the active one, the one before, any other that
    /// holds, or none, until one comes, or until the thread has read what takes long.
    ///
    /// # Errors
    /// Plain shards, or the encoder, that do not open.
    pub(in crate::service) fn start(
        settings: &Settings,
        parts: KeeperParts,
        started: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, AssembleError> {
        let state_dir = settings.state_dir.clone();
        let stamps = if settings.generations.is_some() { own_folder(&state_dir) } else { state_dir.clone() };
        let mut keeper = Self {
            parts,
            shards: settings.shards.clone(),
            settings: settings.generations.clone(),
            opener: Opener::new(settings, Stamps::load(&stamps)),
            state_dir,
            state: GenerationState::default(),
            refused: BTreeMap::new(),
            fallback: None,
            late: false,
            started,
        };
        if keeper.settings.is_some() {
            keeper.start_generations(progress);
        } else {
            let pipeline = keeper.opener.shards(&keeper.shards, progress)?;
            keeper.go_live(pipeline);
        }
        Ok(keeper)
    }

    /// The work of the thread: orders, and what comes by itself, until nothing more is to be done.
    pub(in crate::service) fn run(mut self) {
        let orders = Arc::clone(&self.parts.orders);
        if self.late {
            self.begin_late();
        }
        let mut looked: Option<Instant> = None;
        loop {
            let rescan = self.settings.as_ref().map_or(IDLE_TICK, |settings| settings.rescan);
            let on_trial = self.settings.is_some() && self.state.starts > 0;
            // The first look comes at once: what serves is open, and nobody waits for it.
            let due = looked.map_or(Duration::ZERO, |looked| rescan.saturating_sub(looked.elapsed()));
            match orders.next(Lane::Keeper, if on_trial { due.min(TRIAL_TICK) } else { due }) {
                Next::Order(ticket, order) => orders.finish(ticket, self.follow(&order)),
                Next::Look => {
                    self.end_trial();
                    if looked.is_none_or(|looked| looked.elapsed() >= rescan) || !on_trial {
                        looked = Some(Instant::now());
                        self.look();
                    }
                }
                Next::Closed => break,
            }
        }
        self.say_goodbye();
    }

    fn follow(&mut self, order: &Order) -> Answer {
        match order {
            Order::Reload => self.reload(),
            Order::Activate(_) | Order::Rollback if self.settings.is_none() => {
                Err((Refusal::NotConfigured, "the settings name shards, not index.generations".to_owned()))
            }
            Order::Activate(counter) => self.activate_ordered(*counter),
            Order::Rollback => self.roll_back_ordered(),
            Order::Doctor | Order::Locate(_) => {
                Err((Refusal::UnknownCommand, "not an order for the keeper".to_owned()))
            }
        }
    }

    pub(super) fn reading(&self, generation: &Generation) -> Reading {
        Reading::new(&self.parts, generation, self.opener.unread_bytes(generation))
    }

    /// Whether the daemon stops.
    pub(super) fn is_ending(&self) -> bool {
        self.parts.orders.closed_within(Duration::ZERO)
    }

    pub(super) fn open_entry(
        &mut self,
        entry: &Entry,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pipeline, GenerationError> {
        let generation = Generation::open_accepted(&entry.folder, &entry.manifest)?;
        self.open(&generation, false, progress)
    }

    /// Opens a generation, whose files are read where they are not known; `golden`: and asks its golden queries.
    pub(super) fn open(
        &mut self,
        generation: &Generation,
        golden: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pipeline, GenerationError> {
        let mut reading = self.reading(generation);
        self.opener.generation(generation, golden, &mut |bytes| reading.watch(bytes), progress)
    }

    pub(super) fn serve(&self, pipeline: Pipeline) {
        let shards = pipeline.shards();
        info!(generation = pipeline.generation(), references = shards.len(), digest = shards.digest(), "serving");
        self.go_live(pipeline);
    }

    /// Lets a pipeline answer; `status` says why its calibration is not used.
    fn go_live(&self, pipeline: Pipeline) {
        match pipeline.calibration_problem() {
            Some(problem) => self.degrade("calibration", problem),
            None => self.parts.health.mend("calibration"),
        }
        self.parts.live.replace(Arc::new(pipeline));
    }

    /// Makes a generation the active one, whose pipeline is open: the pointer first, so that what serves is what the next
    /// start opens.
    ///
    /// # Errors
    /// The pointer cannot be written; then nothing has changed.
    pub(super) fn activate(&mut self, generation: &Generation, pipeline: Pipeline) -> Result<(), String> {
        self.keep(self.state.activated(generation))?;
        info!(counter = generation.manifest().counter, folder = %generation.folder().display(), "activated");
        self.fallback = None;
        self.serve(pipeline);
        self.remove_old();
        self.show();
        Ok(())
    }

    /// Keeps a state, on the disk and here.
    pub(super) fn keep(&mut self, state: GenerationState) -> Result<(), String> {
        let path = state_path(&self.state_dir);
        match state.store(&RealDisk, &path) {
            Ok(()) => {
                self.parts.health.mend("generation_state");
                self.state = state;
                Ok(())
            }
            Err(problem) => {
                let problem = format!("{}: cannot be written: {problem}", path.display());
                self.degrade("generation_state", &problem);
                Err(problem)
            }
        }
    }

    fn activate_ordered(&mut self, counter: Option<u64>) -> Answer {
        if let Some(counter) = counter {
            let serves = self.parts.live.get().and_then(|pipeline| pipeline.generation());
            if serves == Some(counter) {
                return Ok(self.answer(false));
            }
            let refused = |error: &dyn std::fmt::Display| (Refusal::GenerationRefused, error.to_string());
            let Some(folder) = self.folder_of(counter) else {
                let found = self.counters();
                return Err((
                    Refusal::NoGeneration,
                    format!("expected one of the generations {found:?}, found {counter}"),
                ));
            };
            let (generation, pipeline) = self.examine(&folder).map_err(|error| refused(&error))?;
            self.activate(&generation, pipeline).map_err(|problem| (Refusal::DiskFailing, problem))?;
            self.look();
            return Ok(self.answer(true));
        }
        let before = self.parts.live.get().and_then(|pipeline| pipeline.generation());
        self.refused.clear();
        self.look_and(true);
        let changed = self.parts.live.get().and_then(|pipeline| pipeline.generation()) != before;
        match self.problems() {
            Some(problem) if !changed => Err((Refusal::GenerationRefused, problem)),
            _ => Ok(self.answer(changed)),
        }
    }

    fn roll_back_ordered(&mut self) -> Answer {
        let Some(previous) = self.state.previous.clone() else {
            return Err((Refusal::NoGeneration, "there is no generation before the active one".to_owned()));
        };
        let opened = self.open_entry(&previous, &mut |_| {});
        let pipeline = opened.map_err(|error| (Refusal::GenerationRefused, error.to_string()))?;
        if let Some(state) = self.state.rolled_back("rolled back by command") {
            self.keep(state).map_err(|problem| (Refusal::DiskFailing, problem))?;
        }
        self.fallback = None;
        self.serve(pipeline);
        self.show();
        self.look();
        Ok(self.answer(true))
    }

    fn reload(&mut self) -> Answer {
        let before = self.parts.live.get();
        if self.settings.is_some() {
            self.refused.clear();
            self.look();
        } else {
            match self.opener.shards(&self.shards, &mut |_| {}) {
                Ok(pipeline) => {
                    self.parts.health.mend("index");
                    self.serve(pipeline);
                }
                Err(error) => {
                    self.degrade("index", &format!("{error}; what was open before serves"));
                    return Err((Refusal::IndexRefused, error.to_string()));
                }
            }
        }
        let digest = |pipeline: Option<Arc<Pipeline>>| pipeline.map(|pipeline| pipeline.shards().digest());
        Ok(self.answer(digest(before) != digest(self.parts.live.get())))
    }

    fn answer(&self, changed: bool) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("changed".to_owned(), json!(changed));
        if let Some(pipeline) = self.parts.live.get() {
            fields.insert("digest".to_owned(), json!(pipeline.shards().digest()));
            if let Some(counter) = pipeline.generation() {
                fields.insert("generation".to_owned(), json!(counter));
            }
        }
        fields
    }

    /// What the device takes for now.
    pub(super) fn now(&self) -> Now {
        let ms = now_ms();
        let unsynced = Clock::judge(ms, 0, Path::new(TIMESYNC)) == Clock::Unsynced;
        let clock = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        Now::judge(clock, unsynced, self.state.newest_created)
    }

    /// Says what is wrong, all of it, or that nothing is.
    pub(super) fn say_problems(&self) {
        match self.problems() {
            Some(problems) => self.degrade("generation", &problems),
            None => self.parts.health.mend("generation"),
        }
    }

    fn problems(&self) -> Option<String> {
        let serves = self.parts.live.get();
        let none = serves.is_none().then(|| "no generation serves: frames wait".to_owned());
        let revoked = self.revoked_key();
        let refused = self.refused.values().filter_map(|refused| refused.problem.clone());
        let active = self.state.active.as_ref().map(|entry| entry.counter);
        let aside = self
            .state
            .set_aside
            .iter()
            .filter(|aside| aside.reason.contains("failed") && active.is_none_or(|active| active < aside.counter));
        let aside = aside.map(|aside| format!("generation {} is set aside: {}", aside.counter, aside.reason));
        let all: Vec<String> =
            none.into_iter().chain(self.fallback.clone()).chain(revoked).chain(aside).chain(refused).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// What serves was signed by a key that counts no more.
    fn revoked_key(&self) -> Option<String> {
        let (settings, entry) = (self.settings.as_ref()?, self.state.active.as_ref()?);
        let signer = Generation::open_accepted(&entry.folder, &entry.manifest).ok()?.signer()?;
        let is_revoked = self.state.ring(&settings.keys).is_revoked(signer);
        is_revoked.then(|| format!("generation {} serves, signed by key {signer}, which is revoked", entry.counter))
    }

    pub(super) fn degrade(&self, subject: &'static str, reason: &str) {
        if self.parts.health.degrade(subject, reason) {
            warn!(reason, "degraded");
        }
    }

    pub(super) fn show(&self) {
        if self.settings.is_some() {
            self.parts.view.show(&self.state);
            self.parts.live.announce();
        }
    }

    /// A generation on trial that has served a frame, or has stayed up, has not failed.
    fn end_trial(&mut self) {
        if self.settings.is_none() || self.state.starts == 0 {
            return;
        }
        let counters = &self.parts.counters;
        let served = counters.frames_answered.get() > counters.frames_failed.get();
        let alive = self.parts.heartbeat.age() < ALIVE;
        if served || (alive && self.started.elapsed() >= STAYED_UP) {
            self.keep(self.state.proven()).ok();
        }
    }

    /// An orderly end is no failed start.
    fn say_goodbye(mut self) {
        let alive = self.parts.heartbeat.age() < ALIVE;
        if self.settings.is_some() && self.state.starts > 0 && alive {
            self.keep(self.state.proven()).ok();
        }
    }

    /// Removes what the device fetched itself and needs no more. What others brought is theirs to remove.
    fn remove_old(&self) {
        let needed = [&self.state.active, &self.state.previous].map(|entry| entry.as_ref().map(|entry| &entry.folder));
        let Some(active) = self.state.active.as_ref().map(|entry| entry.counter) else { return };
        for (counter, folder) in crate::generations::list(&own_folder(&self.state_dir)).unwrap_or_default() {
            if counter < active && !needed.contains(&Some(&folder)) {
                match fs::remove_dir_all(&folder) {
                    Ok(()) => info!(folder = %folder.display(), "removed an old generation"),
                    Err(problem) => warn!(folder = %folder.display(), %problem, "an old generation stays"),
                }
            }
        }
    }
}
