//! The thread that shows candidates to the comparator, and what it makes of the answers.
//!
//! It works on one frame at a time, the newest when it is idle; frames that come meanwhile are answered by retrieval
//! alone, which says so. Nothing that happens here costs a fix: a frame's retrieved answer is published before it comes
//! here, or is kept and published when its time is over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use index_shards::ShardSet;
use quantized_models::{ComparatorManifest, LoadOptions, Stopper};
use tracing::{info, warn};

use super::Counters;
use super::answers::Answers;
use super::follower::Follower;
use super::generations::Live;
use super::generator_stage::GeneratorStage;
use super::health::Health;
use super::marker::{self, Found, MarkedModel, Marker, identity};
use super::{PublishStages, RerankSettings};
use crate::assemble::{ComparatorChoice, assemble_reranker};
use crate::calibration::missing_for_reranked;
use crate::locate::rerank::StoppedBy;
use crate::locate::{FixMessage, Frame, Outcome, Pipeline, Prediction, RerankEnd, RerankPart, Reranking};
use crate::reranker::{Reranked, Reranker};

/// A comparator that has been at work for this long beyond its budget is reported.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How long after its budget a kept answer is published without the comparator's.
const GRACE: Duration = Duration::from_millis(500);
/// How long to wait at once for an index.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long stopping waits for the comparator to come back.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What the thread is doing.
#[derive(Debug)]
enum State {
    /// Loading the comparator.
    WarmingUp,
    /// Not running: there is no comparator to run.
    Off,
    Idle,
    /// Promised to a frame whose retrieved answer is just being published.
    Promised,
    Waiting(Box<Job>),
    Busy(Instant),
    /// The daemon stops.
    Closed,
}

/// A frame with its retrieved answer.
struct Job {
    pipeline: Arc<Pipeline>,
    frame: Frame,
    prediction: Prediction,
    /// The retrieved answer, with a number only where it was kept back.
    message: FixMessage,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Job").field("frame", &self.frame.id).finish_non_exhaustive()
    }
}

/// A retrieved answer that is published when the comparator does not come back in time.
#[derive(Debug)]
struct Held {
    camera: String,
    message: FixMessage,
    due: Instant,
}

/// What the second stage needs of the rest of the daemon.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) answers: Arc<Answers>,
    pub(super) follower: Arc<Follower>,
    /// Is offered every frame whose last answer is there.
    pub(super) generator: Option<Arc<GeneratorStage>>,
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
    /// Folder for what must outlive the process.
    pub(super) state_dir: PathBuf,
}

/// The second stage; see the module. Shared between the thread that answers frames and its own.
#[derive(Debug)]
pub(super) struct SecondStage {
    settings: RerankSettings,
    comparator: String,
    around: Surroundings,
    state: Mutex<State>,
    changed: Condvar,
    held: Mutex<Option<Held>>,
    stopper: OnceLock<Stopper>,
    /// Whether a marker that is there now is of this start.
    marked: AtomicBool,
}

impl SecondStage {
    /// The second stage that `settings` describe. It is warming up until [`SecondStage::run`], on a thread of its own,
    /// has loaded the comparator.
    pub(super) fn new(settings: RerankSettings, around: Surroundings) -> Self {
        let comparator = settings.name();
        let (state, changed) = (Mutex::new(State::WarmingUp), Condvar::new());
        Self {
            settings,
            comparator,
            around,
            state,
            changed,
            held: Mutex::default(),
            stopper: OnceLock::new(),
            marked: AtomicBool::new(false),
        }
    }

    /// Publishes the retrieved answer for a frame, or keeps it back, as the settings say, and hands the frame over to
    /// the comparator if that is idle.
    pub(super) fn answer(
        &self,
        pipeline: &Arc<Pipeline>,
        frame: Frame,
        mut message: FixMessage,
        prediction: Prediction,
    ) {
        let camera = frame.camera.clone();
        if matches!(prediction.outcome, Outcome::Error(_)) || prediction.similar.is_empty() {
            return self.publish_last(&frame, &prediction, &message);
        }
        if let Err(end) = self.promise() {
            self.around.counters.reranks_skipped.add_one();
            let skipped = Reranking::skipped(&self.comparator, self.settings.options.strategy, end);
            let rerank = Some(RerankPart::from(&skipped));
            return self.publish_last(&frame, &prediction, &FixMessage { rerank, ..message });
        }
        if self.settings.publish == PublishStages::Final {
            message.seq = Some(self.around.answers.reserve());
            let budget = Duration::from_millis(self.settings.options.budget_ms.unwrap_or_default());
            let due = Instant::now() + budget + GRACE;
            *lock(&self.held) = Some(Held { camera, message: message.clone(), due });
        } else {
            self.around.answers.publish(&camera, message.clone());
        }
        let job = Job { pipeline: Arc::clone(pipeline), frame, prediction, message };
        let mut state = lock(&self.state);
        if matches!(*state, State::Promised) {
            *state = State::Waiting(Box::new(job));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Publishes an answer that no other follows by the comparator.
    fn publish_last(&self, frame: &Frame, prediction: &Prediction, message: &FixMessage) {
        self.around.answers.publish(&frame.camera, message.clone());
        self.offer(frame, prediction, message);
    }

    fn offer(&self, frame: &Frame, prediction: &Prediction, message: &FixMessage) {
        if let Some(generator) = &self.around.generator {
            generator.offer(frame, prediction, message);
        }
    }

    /// Takes the comparator for the frame that is being answered, or says why it cannot be had.
    fn promise(&self) -> Result<(), RerankEnd> {
        let mut state = lock(&self.state);
        match *state {
            State::Idle => {
                *state = State::Promised;
                return Ok(());
            }
            State::WarmingUp => return Err(RerankEnd::WarmingUp),
            State::Off | State::Closed => return Err(RerankEnd::Off),
            State::Busy(since) => self.report_stuck(since.elapsed()),
            State::Promised | State::Waiting(_) => {}
        }
        Err(RerankEnd::Busy)
    }

    fn report_stuck(&self, busy_for: Duration) {
        let budget = Duration::from_millis(self.settings.options.budget_ms.unwrap_or_default());
        if busy_for > budget + STUCK_AFTER {
            let reason = format!("comparator {} is at work for {} s on one frame", self.comparator, busy_for.as_secs());
            self.around.health.degrade(MarkedModel::Comparator.word(), &reason);
        }
    }

    /// Publishes a retrieved answer that was kept back for longer than the comparator may take.
    pub(super) fn publish_overdue(&self) {
        let mut held = lock(&self.held);
        if held.as_ref().is_some_and(|held| held.due <= Instant::now())
            && let Some(Held { camera, message, .. }) = held.take()
        {
            self.publish_kept(&camera, message, RerankEnd::Ran(StoppedBy::Deadline));
        }
    }

    /// When [`SecondStage::publish_overdue`] is to be called next.
    pub(super) fn due(&self) -> Option<Instant> {
        lock(&self.held).as_ref().map(|held| held.due)
    }

    fn publish_kept(&self, camera: &str, message: FixMessage, end: RerankEnd) {
        let reranking = Reranking::skipped(&self.comparator, self.settings.options.strategy, end);
        let rerank = Some(RerankPart::from(&reranking));
        self.around.answers.publish(camera, FixMessage { rerank, ..message });
    }

    /// Ends what the comparator is at, waits for it a little, publishes what was kept back, and says to the next start
    /// that this one ended as it was told to.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        let is_at_work = matches!(*state, State::Busy(_) | State::Waiting(_));
        if !is_at_work {
            *state = State::Closed;
        }
        if let Some(stopper) = self.stopper.get() {
            stopper.stop();
        }
        self.changed.notify_all();
        let at_work = |state: &mut State| matches!(state, State::Busy(_) | State::Waiting(_));
        let (mut state, _) =
            self.changed.wait_timeout_while(state, STOP_PATIENCE, at_work).unwrap_or_else(PoisonError::into_inner);
        *state = State::Closed;
        drop(state);
        self.changed.notify_all();
        if let Some(Held { camera, message, .. }) = lock(&self.held).take() {
            self.publish_kept(&camera, message, RerankEnd::Off);
        }
        if self.marked.load(Ordering::SeqCst) {
            marker::remove(&self.around.state_dir, MarkedModel::Comparator);
        }
    }

    /// Loads the comparator and asks it about one frame after the other, until the stage is closed.
    pub(super) fn run(&self, load: &LoadOptions, live: &Live) {
        // The first generation may still be on its way.
        let first = loop {
            match live.wait(PATIENCE) {
                Some(pipeline) => break pipeline,
                None if matches!(*lock(&self.state), State::Closed) => return,
                None => {}
            }
        };
        let Some((reranker, mut marker)) = self.load(load, first.shards()) else {
            let mut state = lock(&self.state);
            if !matches!(*state, State::Closed) {
                *state = State::Off;
            }
            return;
        };
        let mut state = lock(&self.state);
        if !matches!(*state, State::Closed) {
            *state = State::Idle;
        }
        drop(state);
        self.check_calibration(&first, reranker.comparator().name());
        drop(first);
        while let Some(job) = self.next() {
            self.work(&reranker, &mut marker, &job);
            let mut state = lock(&self.state);
            if !matches!(*state, State::Closed) {
                *state = State::Idle;
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// The comparator, unless it is suspected, or cannot be loaded; then `status` says so.
    fn load(&self, load: &LoadOptions, shards: &ShardSet) -> Option<(Reranker, Marker)> {
        let manifest = match ComparatorManifest::load(&self.settings.comparator) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.leave_off(&format!("reranking is off: {error}"));
                return None;
            }
        };
        let mut marker = match Marker::find(&self.around.state_dir, MarkedModel::Comparator, &identity(&manifest)) {
            Found::Clear(marker) => marker,
            Found::Suspected(reason) => {
                self.leave_off(&reason);
                return None;
            }
        };
        if let Err(error) = marker.set() {
            let file = MarkedModel::Comparator.file();
            self.leave_off(&format!("reranking is off: {file} cannot be written: {error}"));
            return None;
        }
        self.marked.store(true, Ordering::SeqCst);
        let started = Instant::now();
        let choice = ComparatorChoice { manifest: &manifest, options: load, cache: Some(&self.settings.cache) };
        let loaded = catch_unwind(AssertUnwindSafe(|| assemble_reranker(choice, shards, &mut |_| ())));
        marker.clear(false);
        let reason = match loaded {
            Ok(Ok(reranker)) => {
                let comparator = reranker.comparator();
                self.stopper.set(comparator.stopper()).ok();
                let (runtime, took) = (comparator.runtime().label(), started.elapsed());
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                info!(name = comparator.name(), runtime, can_stop = comparator.can_stop(), took_ms, "comparator ready");
                return Some((reranker, marker));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the comparator did not survive being loaded; see the log".to_owned(),
        };
        self.leave_off(&format!("reranking is off: {reason}"));
        None
    }

    /// Says so when there is a calibration, and none for the answers of this comparator.
    fn check_calibration(&self, pipeline: &Pipeline, comparator: &str) {
        let strategy = self.settings.options.strategy.as_str();
        match missing_for_reranked(pipeline, comparator, strategy) {
            Some(reason) => {
                warn!(reason, "degraded");
                self.around.health.degrade("calibration_of_reranking", &reason);
            }
            None => self.around.health.mend("calibration_of_reranking"),
        }
    }

    fn leave_off(&self, reason: &str) {
        warn!(reason, "degraded");
        self.around.health.degrade(MarkedModel::Comparator.word(), reason);
    }

    /// The next frame; `None` when the stage is closed.
    fn next(&self) -> Option<Job> {
        let idle = |state: &mut State| !matches!(state, State::Waiting(_) | State::Closed);
        let mut state = self.changed.wait_while(lock(&self.state), idle).unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Busy(Instant::now())) {
            State::Waiting(job) => Some(*job),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Reranks one frame. A comparator that could ruin the next start without a trace is not asked.
    fn work(&self, reranker: &Reranker, marker: &mut Marker, job: &Job) {
        let Job { pipeline, frame, prediction, .. } = job;
        if let Err(error) = marker.set() {
            let file = MarkedModel::Comparator.file();
            self.leave_off(&format!("reranking pauses: {file} cannot be written: {error}"));
            return self.deliver_skipped(job, RerankEnd::Off);
        }
        let options = &self.settings.options;
        let reranked =
            catch_unwind(AssertUnwindSafe(|| reranker.rerank(pipeline, &frame.encoded, prediction, options)));
        let failure = match &reranked {
            Ok(Reranked { ranking, .. }) => match ranking.stopped_by {
                StoppedBy::NotFinite => Some("it gave a number that is not finite".to_owned()),
                StoppedBy::Unsupported => Some("it does not answer what the strategy asks".to_owned()),
                _ => ranking.failure.clone(),
            },
            Err(_) => Some("it did not survive this frame; see the log".to_owned()),
        };
        marker.clear(failure.is_none());
        match failure {
            None => self.around.health.mend(MarkedModel::Comparator.word()),
            Some(failure) => {
                let reason = format!("comparator {}: {failure}", self.comparator);
                warn!(camera = frame.camera, id = frame.id, reason, "not reranked");
                self.around.health.degrade(MarkedModel::Comparator.word(), &reason);
            }
        }
        match reranked {
            Ok(reranked) => self.deliver(job, &reranked.prediction),
            Err(_) => self.deliver_skipped(job, RerankEnd::Ran(StoppedBy::Failed)),
        }
    }

    fn deliver_skipped(&self, job: &Job, end: RerankEnd) {
        let reranking = Reranking::skipped(&self.comparator, self.settings.options.strategy, end);
        self.deliver(job, &Prediction { reranking: Some(reranking), ..job.prediction.clone() });
    }

    /// Publishes the second answer, as the settings say.
    fn deliver(&self, job: &Job, prediction: &Prediction) {
        let Job { pipeline, frame, .. } = job;
        let ran = prediction.reranking.as_ref().is_some_and(Reranking::ran);
        let counters = &self.around.counters;
        if ran {
            counters.frames_reranked.add_one();
        } else {
            counters.reranks_skipped.add_one();
        }
        let first = |prediction: &Prediction| prediction.similar.first().map(|first| (first.shard, first.row));
        if first(prediction) != first(&job.prediction) {
            counters.reranks_changed.add_one();
        }
        let (id, camera) = (frame.id.as_str(), frame.camera.as_str());
        let mut message = FixMessage::new(pipeline, id, Some(camera), frame.captured_at_ms, prediction);
        message.ms.wait = job.message.ms.wait;
        // What is watched and not published is not followed either.
        if self.settings.publish != PublishStages::Retrieved {
            message.track = self.around.follower.revise(pipeline, frame, prediction);
        }
        match self.settings.publish {
            PublishStages::Both if ran => {
                message.revises = Some(frame.id.clone());
                self.publish_last(frame, prediction, &message);
            }
            PublishStages::Final => {
                let held = lock(&self.held).take();
                if held.is_some() {
                    message.seq = job.message.seq;
                    self.publish_last(frame, prediction, &message);
                } else {
                    counters.reranks_late.add_one();
                    self.offer(frame, &job.prediction, &job.message);
                }
            }
            PublishStages::Both | PublishStages::Retrieved => {
                let (rerank, changed) = (message.rerank.as_ref(), first(prediction) != first(&job.prediction));
                info!(camera, id, ?rerank, changed, lat = message.lat, lon = message.lon, "reranked, not published");
                self.offer(frame, &job.prediction, &job.message);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::rerank::RerankOptions;
    use crate::reranker::TokenCacheOptions;
    use crate::service::outbox::{Outbox, OutboxFolder};
    use crate::service::{Cameras, OutboxLimits};
    use std::path::Path;

    fn stage(folder: &Path, publish: PublishStages) -> (SecondStage, Arc<Outbox>, Arc<Health>) {
        let (counters, health) = (Arc::new(Counters::default()), Arc::new(Health::default()));
        let limits = OutboxLimits {
            messages: 10,
            max_bytes: 1 << 20,
            segment_bytes: 1 << 16,
            max_age_ms: 60_000,
            group_commit_ms: 0,
            memory_bytes: 1 << 20,
        };
        let folder_of_outbox = OutboxFolder::below(folder);
        let outbox = Arc::new(Outbox::open(limits, folder_of_outbox, Arc::clone(&counters), Arc::clone(&health), 0));
        let answers = Arc::new(Answers::new(Arc::clone(&outbox), Arc::clone(&counters), 1, 0));
        let follower = Arc::new(Follower::new(None, Cameras::default()));
        let (health_of_stage, state_dir) = (Arc::clone(&health), folder.to_owned());
        let around = Surroundings { answers, follower, generator: None, counters, health: health_of_stage, state_dir };
        let settings = RerankSettings {
            comparator: folder.join("no-such-vlm"),
            options: RerankOptions::default(),
            publish,
            candidates: 64,
            cache: TokenCacheOptions { folder: folder.join("tokens"), max_bytes: 0 },
        };
        (SecondStage::new(settings, around), outbox, health)
    }

    fn message() -> FixMessage {
        let json = r#"{"v":1,"id":"f","stage":"retrieved","status":"ambiguous","index":{"digest":"0","verified":true},
                       "models":{},"ms":{}}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn why_the_comparator_cannot_be_had_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (stage, _, health) = stage(folder.path(), PublishStages::Both);
        assert_eq!(stage.comparator, "no-such-vlm");
        assert_eq!(stage.promise(), Err(RerankEnd::WarmingUp));
        *lock(&stage.state) = State::Idle;
        assert_eq!(stage.promise(), Ok(()));
        assert_eq!(stage.promise(), Err(RerankEnd::Busy), "it is promised to another frame");
        *lock(&stage.state) = State::Busy(Instant::now());
        assert_eq!((stage.promise(), health.reason()), (Err(RerankEnd::Busy), None));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        *lock(&stage.state) = State::Busy(long_ago);
        assert_eq!(stage.promise(), Err(RerankEnd::Busy));
        assert!(health.reason().unwrap().contains("no-such-vlm"), "{:?}", health.reason());
        for state in [State::Off, State::Closed] {
            *lock(&stage.state) = state;
            assert_eq!(stage.promise(), Err(RerankEnd::Off));
        }
    }

    #[test]
    fn a_kept_answer_is_published_when_its_time_is_over_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (stage, outbox, _) = stage(folder.path(), PublishStages::Final);
        let keep = |due| *lock(&stage.held) = Some(Held { camera: "a".to_owned(), message: message(), due });
        keep(Instant::now() + Duration::from_secs(60));
        stage.publish_overdue();
        assert_eq!(outbox.len(), 0);
        keep(Instant::now());
        assert!(stage.due().is_some());
        stage.publish_overdue();
        stage.publish_overdue();
        assert_eq!((outbox.len(), stage.due()), (1, None));
        keep(Instant::now() + Duration::from_secs(60));
        stage.close();
        assert_eq!(outbox.len(), 2);
    }
}
