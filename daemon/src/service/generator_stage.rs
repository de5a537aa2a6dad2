//! The thread that asks a generator where a frame was taken, and what it makes of the answers.
//!
//! It works on one frame at a time, the newest when it is idle, once all other answers about the frame are there: what it
//! writes is published beside the last of them, as a revision. Nothing waits for it, and no fix depends on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use quantized_models::{ComparatorManifest, DecodeLimits, GenerateError, Generator, LoadOptions, Stopper};
use tracing::{info, warn};

use super::Counters;
use super::answers::Answers;
use super::health::Health;
use super::marker::{self, Found, MarkedModel, Marker, identity};
use super::settings::{GenerateWhen, GeneratorSettings};
use crate::generator::{AskError, generate};
use crate::locate::{FixMessage, Frame, GeneratedPart, NoFixReason, Outcome, Prediction};

/// How long stopping waits for the generator to come back.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What the thread is doing.
#[derive(Debug)]
enum State {
    /// Loading the model.
    WarmingUp,
    /// Not running: there is no model to run.
    Off,
    Idle,
    Waiting(Box<Job>),
    Busy,
    /// The daemon stops.
    Closed,
}

/// A frame with its last answer.
struct Job {
    encoded: Vec<u8>,
    prediction: Prediction,
    message: FixMessage,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Job").field("frame", &self.message.id).finish_non_exhaustive()
    }
}

/// What the stage needs of the rest of the daemon.
#[derive(Debug, Clone)]
pub(super) struct GeneratorSurroundings {
    pub(super) answers: Arc<Answers>,
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
    /// Folder for what must outlive the process.
    pub(super) state_dir: PathBuf,
    /// What a picture may be at most.
    pub(super) limits: DecodeLimits,
}

/// The stage; see the module. Shared between the threads that answer frames and its own.
#[derive(Debug)]
pub(super) struct GeneratorStage {
    settings: GeneratorSettings,
    around: GeneratorSurroundings,
    state: Mutex<State>,
    changed: Condvar,
    stopper: OnceLock<Stopper>,
    /// Whether a marker that is there now is of this start.
    marked: AtomicBool,
}

impl GeneratorStage {
    /// The stage that `settings` describe. It is warming up until [`GeneratorStage::run`], on a thread of its own, has
    /// loaded the model.
    pub(super) fn new(settings: GeneratorSettings, around: GeneratorSurroundings) -> Self {
        let (state, changed) = (Mutex::new(State::WarmingUp), Condvar::new());
        Self { settings, around, state, changed, stopper: OnceLock::new(), marked: AtomicBool::new(false) }
    }

    /// Takes a frame whose last answer is `message`, of `prediction`, where the settings ask for such frames and the
    /// generator is idle.
    pub(super) fn offer(&self, frame: &Frame, prediction: &Prediction, message: &FixMessage) {
        if !is_wanted(self.settings.when, &prediction.outcome) {
            return;
        }
        let mut state = lock(&self.state);
        if !matches!(*state, State::Idle) {
            drop(state);
            return self.around.counters.generator_skipped.add_one();
        }
        let (encoded, prediction) = (frame.encoded.clone(), prediction.clone());
        *state = State::Waiting(Box::new(Job { encoded, prediction, message: message.clone() }));
        drop(state);
        self.changed.notify_all();
    }

    /// Ends what the generator is at, waits for it a little, and says to the next start that this one ended as it was
    /// told to.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        let is_at_work = matches!(*state, State::Busy);
        if !is_at_work {
            *state = State::Closed;
        }
        if let Some(stopper) = self.stopper.get() {
            stopper.stop();
        }
        self.changed.notify_all();
        let at_work = |state: &mut State| matches!(state, State::Busy);
        let (mut state, _) =
            self.changed.wait_timeout_while(state, STOP_PATIENCE, at_work).unwrap_or_else(PoisonError::into_inner);
        *state = State::Closed;
        drop(state);
        self.changed.notify_all();
        if self.marked.load(Ordering::SeqCst) {
            marker::remove(&self.around.state_dir, MarkedModel::Generator);
        }
    }

    /// Loads the model and asks it about one frame after the other, until the stage is closed.
    pub(super) fn run(&self, load: &LoadOptions) {
        let loaded = self.load(load);
        self.settle(if loaded.is_some() { State::Idle } else { State::Off });
        let Some((generator, mut marker)) = loaded else { return };
        while let Some(job) = self.next() {
            self.work(&generator, &mut marker, *job);
            self.settle(State::Idle);
        }
    }

    fn settle(&self, into: State) {
        let mut state = lock(&self.state);
        if !matches!(*state, State::Closed) {
            *state = into;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The model, unless it is suspected, or cannot be loaded; then `status` says so.
    fn load(&self, load: &LoadOptions) -> Option<(Generator, Marker)> {
        match self.try_load(load) {
            Ok(loaded) => Some(loaded),
            Err(reason) => {
                self.degrade(&reason);
                None
            }
        }
    }

    fn try_load(&self, load: &LoadOptions) -> Result<(Generator, Marker), String> {
        let off = MarkedModel::Generator.off();
        let manifest = ComparatorManifest::load(&self.settings.model).map_err(|error| format!("{off}: {error}"))?;
        let state_dir = &self.around.state_dir;
        let mut marker = match Marker::find(state_dir, MarkedModel::Generator, &identity(&manifest)) {
            Found::Clear(marker) => marker,
            Found::Suspected(reason) => return Err(reason),
        };
        self.mark(&marker)?;
        let started = Instant::now();
        let loaded = catch_unwind(AssertUnwindSafe(|| Generator::load(&manifest, load)));
        marker.clear(false);
        let generator = match loaded {
            Ok(Ok(generator)) => generator,
            Ok(Err(error)) => return Err(format!("{off}: {error}")),
            Err(_) => return Err(format!("{off}: the generator did not survive being loaded; see the log")),
        };
        self.stopper.set(generator.stopper()).ok();
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        info!(name = generator.name(), runtime = generator.runtime().label(), took_ms, "generator ready");
        Ok((generator, marker))
    }

    /// A model that could ruin the next start without a trace is not asked.
    fn mark(&self, marker: &Marker) -> Result<(), String> {
        let file = MarkedModel::Generator.file();
        marker.set().map_err(|error| format!("{}: {file} cannot be written: {error}", MarkedModel::Generator.off()))?;
        self.marked.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn degrade(&self, reason: &str) {
        warn!(reason, "degraded");
        self.around.health.degrade(MarkedModel::Generator.word(), reason);
    }

    /// The next frame; `None` when the stage is closed.
    fn next(&self) -> Option<Box<Job>> {
        let idle = |state: &mut State| !matches!(state, State::Waiting(_) | State::Closed);
        let mut state = self.changed.wait_while(lock(&self.state), idle).unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Busy) {
            State::Waiting(job) => Some(job),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Asks about one frame, and publishes what was written.
    fn work(&self, generator: &Generator, marker: &mut Marker, job: Job) {
        if let Err(reason) = self.mark(marker) {
            self.around.counters.generator_skipped.add_one();
            return self.degrade(&reason);
        }
        let Job { encoded, prediction, message } = job;
        let started = Instant::now();
        let asked = catch_unwind(AssertUnwindSafe(|| {
            generate(generator, &encoded, &self.around.limits, &prediction, &self.settings.options)
        }));
        let closed = matches!(*lock(&self.state), State::Closed) || self.is_stopped();
        marker.clear(matches!(asked, Ok(Ok(_))));
        self.around.counters.generator_asked.add_one();
        let word = generator.name();
        let generated = match asked {
            Ok(Ok(generated)) => generated,
            // Ended because the daemon stops: the frame has its answer without.
            _ if closed => return,
            Ok(Err(AskError::Model(error @ GenerateError::Late { .. }))) => {
                return warn!(camera = message.cam, id = message.id, %error, "nothing generated");
            }
            Ok(Err(error)) => return self.degrade(&format!("generator {word}: {error}")),
            Err(_) => {
                return self.degrade(&format!("generator {word}: it did not survive this frame; see the log"));
            }
        };
        self.around.health.mend(MarkedModel::Generator.word());
        let part = GeneratedPart::new(word, generated.place, generated.samples, generated.parsed);
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (camera, cut_short) = (message.cam.clone().unwrap_or_default(), generated.cut_short.as_deref());
        info!(camera, id = message.id, lat = part.lat, lon = part.lon, took_ms, cut_short, "place generated");
        let revises = Some(message.id.clone());
        self.around.answers.publish(&camera, FixMessage { seq: None, revises, generated: Some(part), ..message });
    }

    fn is_stopped(&self) -> bool {
        self.stopper.get().is_some_and(Stopper::is_stopped)
    }
}

/// Whether frames with this outcome are asked about. Of what could not be read, or is not worth looking at, no model is
/// to say where it is.
fn is_wanted(when: GenerateWhen, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::NoFix(NoFixReason::OutOfCoverage) => true,
        Outcome::Fix(_) | Outcome::Ambiguous | Outcome::NoFix(NoFixReason::ComparatorRejected) => {
            when == GenerateWhen::Always
        }
        Outcome::NoFix(NoFixReason::BadFrame(_) | NoFixReason::Stale) | Outcome::Error(_) => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
