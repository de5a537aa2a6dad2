//! Puts the service together and takes it apart.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use quantized_models::{Progress, Step};
use sd_notify::NotifyState;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{interval, sleep, timeout};
use tracing::{error, info, warn};

use super::answers::Answers;
use super::boot::next_boot;
use super::camera_memory::CameraMemory;
use super::follower::Follower;
use super::generations::{GenerationsView, Keeper, KeeperParts, Live, Orders, Questions, Updater};
use super::generator_stage::{GeneratorStage, GeneratorSurroundings};
use super::health::Health;
use super::link::{Phase, Shared, keep_connected, log_address};
use super::outbox::{Outbox, OutboxFolder};
use super::publish::{Nmea, NmeaServer};
use super::second_stage::{SecondStage, Surroundings};
use super::sources::Sources;
use super::worker::{Heartbeat, Worker};
use super::{Counters, Inbox, Settings, SettingsError, Topics, metrics};
use crate::assemble::AssembleError;
use crate::locate::Pipeline;

/// How long the daemon tries to deliver what waits after it was told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a disk may take for what is left to write then.
const LAST_WRITE: Duration = Duration::from_secs(5);
/// What a step of opening index and model may take: building an engine for a GPU, and reading a large shard from a slow
/// card, take minutes.
const STEP_AT_MOST_US: u32 = 30 * 60 * 1_000_000;

/// Why the daemon did not start or did not go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The model or the index.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The system gave no thread, signal handler or event loop.
    #[error("the system refuses what the daemon needs: {0}")]
    System(#[from] std::io::Error),
    /// The thread that answers frames ended by itself.
    #[error("the thread that answers frames ended unexpectedly")]
    WorkerEnded,
    /// The thread that keeps the outbox ended by itself.
    #[error("the thread that keeps the outbox ended unexpectedly")]
    OutboxEnded,
}

/// Runs the daemon with the settings in `config` until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or when the thread that answers frames ends by itself.
pub fn run(config: &Path) -> Result<(), RunError> {
    let settings = Settings::load(config, std::env::vars())?;
    let started = Instant::now();
    let parts = KeeperParts {
        live: Arc::new(Live::default()),
        orders: Arc::new(Orders::default()),
        view: Arc::new(GenerationsView::default()),
        health: Arc::new(Health::default()),
        counters: Arc::new(Counters::default()),
        heartbeat: Arc::new(Heartbeat::new(started)),
    };
    let keeper = Keeper::start(&settings, parts.clone(), started, &mut say_progress())?;
    if let Some(pipeline) = parts.live.get() {
        log_pipeline(&pipeline, started.elapsed());
    }
    let serving = serve(settings, parts, keeper, started);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serving)
}

async fn serve(settings: Settings, parts: KeeperParts, keeper: Keeper, started: Instant) -> Result<(), RunError> {
    let shared = share(settings, &parts, started);
    log_address(&shared);
    let outbox = Arc::clone(&shared.outbox);
    let mut outbox_done = spawn("outbox", move || outbox.run())?;
    let keeper_done = spawn("generations", move || keeper.run())?;
    spawn_helpers(&shared, &parts)?;
    let ended = tokio::select! {
        ended = work(&shared, &parts.heartbeat) => ended,
        _ = &mut outbox_done => {
            error!("the thread that keeps the outbox ended unexpectedly");
            return Err(RunError::OutboxEnded);
        }
    };
    shared.orders.close();
    shared.outbox.close();
    if timeout(LAST_WRITE, outbox_done).await.is_err() {
        error!("the disk does not take what is left in the outbox");
    }
    // A verification under way is not waited for.
    timeout(LAST_WRITE, keeper_done).await.ok();
    ended
}

/// Starts what answers questions, shows figures and fetches generations. All of it ends when the daemon does.
fn spawn_helpers(shared: &Shared, parts: &KeeperParts) -> Result<(), RunError> {
    let questions = Questions {
        live: Arc::clone(&shared.live),
        orders: Arc::clone(&shared.orders),
        health: Arc::clone(&shared.health),
        heartbeat: Arc::clone(&parts.heartbeat),
        outbox: Arc::clone(&shared.outbox),
        state_dir: shared.settings.state_dir.clone(),
        index_created_at_ms: shared.index_created_at_ms,
    };
    drop(spawn("questions", move || questions.run())?);
    if let Some(listen) = shared.settings.metrics {
        let sources = metrics::Sources {
            measured: Arc::clone(&shared.measured),
            counters: Arc::clone(&shared.counters),
            outbox: Arc::clone(&shared.outbox),
            live: Arc::clone(&shared.live),
            health: Arc::clone(&shared.health),
            heartbeat: Arc::clone(&parts.heartbeat),
            started: shared.started,
        };
        drop(tokio::spawn(metrics::serve(listen, sources)));
    }
    if let Some(updater) = Updater::new(&shared.settings, parts) {
        drop(spawn("update", move || updater.run())?);
    }
    Ok(())
}

/// Starts a thread; the receiver learns when it ends, in whatever way.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<oneshot::Receiver<()>, RunError> {
    let (done, is_done) = oneshot::channel::<()>();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _done = done;
        work();
    })?;
    Ok(is_done)
}

/// Answers frames and delivers the answers, until the daemon is told to stop.
async fn work(shared: &Shared, heartbeat: &Arc<Heartbeat>) -> Result<(), RunError> {
    let (outbox, counters) = (Arc::clone(&shared.outbox), Arc::clone(&shared.counters));
    let answers = Answers::new(outbox, counters, shared.boot, shared.index_created_at_ms);
    let answers = Arc::new(answers.told_to(shared.nmea.clone(), Arc::clone(&shared.measured)));
    let follower = Arc::new(Follower::new(shared.settings.track, shared.settings.cameras.clone()));
    let generator = start_generator(shared, &answers)?;
    let worker = Worker {
        live: Arc::clone(&shared.live),
        inbox: Arc::clone(&shared.inbox),
        second_stage: start_second_stage(shared, &answers, &follower, generator.clone())?,
        generator,
        answers,
        follower,
        heartbeat: Arc::clone(heartbeat),
        cameras: CameraMemory::new(shared.settings.inbox.cameras, shared.settings.cameras.clone()),
        max_frame_age_ms: shared.settings.max_frame_age_ms,
        counters: Arc::clone(&shared.counters),
    };
    let mut worker_done = spawn("pipeline", move || worker.run())?;
    let (phase, phases) = watch::channel(Phase::Running);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sources = Sources::start(shared);
    let _nmea = shared.nmea.clone().map(|nmea| NmeaServer::start(nmea, Arc::clone(&shared.health)));
    notify(&[NotifyState::Ready]);
    let link = keep_connected(shared, phases);
    tokio::pin!(link);
    tokio::select! {
        () = &mut link => return Err(RunError::WorkerEnded),
        _ = &mut worker_done => {
            error!("the thread that answers frames ended unexpectedly");
            return Err(RunError::WorkerEnded);
        }
        () = feed_watchdog(heartbeat) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sources.stop().await;
    stop(shared, &phase, worker_done, link).await;
    Ok(())
}

/// Starts the thread that asks the comparator, where the settings name one. What is wrong with it costs no fix: `status`
/// says it.
fn start_second_stage(
    shared: &Shared,
    answers: &Arc<Answers>,
    follower: &Arc<Follower>,
    generator: Option<Arc<GeneratorStage>>,
) -> Result<Option<Arc<SecondStage>>, RunError> {
    let Some(settings) = shared.settings.rerank.clone() else { return Ok(None) };
    let around = Surroundings {
        answers: Arc::clone(answers),
        follower: Arc::clone(follower),
        generator,
        counters: Arc::clone(&shared.counters),
        health: Arc::clone(&shared.health),
        state_dir: shared.settings.state_dir.clone(),
    };
    let second_stage = Arc::new(SecondStage::new(settings, around));
    let (stage, live, load) = (Arc::clone(&second_stage), Arc::clone(&shared.live), shared.settings.load.clone());
    // Nobody waits for its end: what it does after the stage was closed is of no consequence.
    drop(spawn("comparator", move || stage.run(&load, &live))?);
    Ok(Some(second_stage))
}

/// Starts the thread that asks the generator, where the settings name one. What is wrong with it costs no fix: `status`
/// says it.
fn start_generator(shared: &Shared, answers: &Arc<Answers>) -> Result<Option<Arc<GeneratorStage>>, RunError> {
    let Some(settings) = shared.settings.generate.clone() else { return Ok(None) };
    let around = GeneratorSurroundings {
        answers: Arc::clone(answers),
        counters: Arc::clone(&shared.counters),
        health: Arc::clone(&shared.health),
        state_dir: shared.settings.state_dir.clone(),
        limits: shared.settings.decode,
    };
    let generator = Arc::new(GeneratorStage::new(settings, around));
    let (stage, load) = (Arc::clone(&generator), shared.settings.load.clone());
    drop(spawn("generator", move || stage.run(&load))?);
    Ok(Some(generator))
}

/// No more frames, the answer in work is finished, and what waits is delivered if the broker takes it in time.
async fn stop(
    shared: &Shared,
    phase: &watch::Sender<Phase>,
    worker_done: oneshot::Receiver<()>,
    mut link: std::pin::Pin<&mut impl Future<Output = ()>>,
) {
    info!("stopping");
    notify(&[NotifyState::Stopping]);
    shared.inbox.close();
    phase.send_replace(Phase::Stopping);
    let in_time = timeout(DRAIN, async {
        tokio::select! {
            _ = worker_done => {}
            () = &mut link => return,
        }
        phase.send_replace(Phase::Answered);
        link.await;
    })
    .await;
    let undelivered = shared.outbox.len();
    if undelivered > 0 {
        warn!(
            undelivered,
            in_time = in_time.is_ok(),
            "stopped with fixes that no broker took; the next start sends them"
        );
    }
    info!(counters = ?shared.counters.now(), "stopped");
}

fn share(settings: Settings, parts: &KeeperParts, started: Instant) -> Shared {
    let KeeperParts { live, orders, view, health, counters, .. } = parts.clone();
    let pipeline = live.get();
    let shards = pipeline.iter().flat_map(|pipeline| pipeline.shards().shards());
    let index_created_at_ms = shards.map(|shard| shard.description().created_at_ms).max().unwrap_or(0);
    let outbox = Outbox::open(
        settings.outbox,
        OutboxFolder::below(&settings.state_dir),
        Arc::clone(&counters),
        Arc::clone(&health),
        index_created_at_ms,
    );
    let (boot, kept) = next_boot(&settings.state_dir, outbox.last_boot());
    if let Err(problem) = kept {
        warn!(problem, "degraded");
        health.degrade("state_dir", &problem);
    }
    Shared {
        topics: Topics::new(&settings.topic_prefix, &settings.site, &settings.device),
        inbox: Arc::new(Inbox::new(settings.inbox, Arc::clone(&counters))),
        outbox: Arc::new(outbox),
        nmea: settings.publish.nmea.clone().map(|nmea| Arc::new(Nmea::new(nmea))),
        live,
        orders,
        generations: view,
        measured: Arc::default(),
        index_created_at_ms,
        counters,
        health,
        boot,
        started,
        settings,
    }
}

/// Tells systemd's watchdog that the daemon lives, for as long as the pipeline shows signs of life. One without for twice
/// the watchdog's time is stuck.
async fn feed_watchdog(heartbeat: &Heartbeat) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let stuck_after = limit * 2;
    let mut ticks = interval(limit / 3);
    loop {
        ticks.tick().await;
        if heartbeat.age() < stuck_after {
            notify(&[NotifyState::Watchdog]);
        } else {
            error!(silent_s = heartbeat.age().as_secs(), "the pipeline is stuck; the watchdog is no longer fed");
            sleep(stuck_after).await;
        }
    }
}

/// Says in the log when a step of opening begins that may take long, and tells systemd to wait for it.
fn say_progress() -> impl FnMut(Progress) {
    let mut said = None;
    move |progress| {
        if said != Some(progress.step) && progress.step != Step::Checking {
            info!(step = progress.step.name(), bytes = progress.total, "opening index and encoder");
            notify(&[NotifyState::ExtendTimeoutUsec(STEP_AT_MOST_US)]);
        }
        said = Some(progress.step);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(problem) = sd_notify::notify(states) {
        warn!(%problem, "systemd could not be told");
    }
}

fn log_pipeline(pipeline: &Pipeline, took: Duration) {
    let shards = pipeline.shards();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        references = shards.len(),
        shards = shards.shards().len(),
        space = shards.space(),
        digest = shards.digest(),
        "index open"
    );
    if let Some(encoder) = pipeline.encoder() {
        info!(
            name = encoder.name(),
            runtime = encoder.runtime().label(),
            threads = encoder.runtime().threads,
            took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "pipeline ready"
        );
    }
}
