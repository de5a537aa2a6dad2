//! The task that owns client and event loop.
//!
//! Each connection gets a client of its own: what the client queues for a broken connection (and loses, when the broker
//! has forgotten the session) is of no consequence, because the outbox alone knows what must still be sent.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rumqttc::v5::Event;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::generations::{GenerationsView, Live, Orders};
use super::health::Health;
use super::last::LastAnswers;
use super::metrics::Measured;
use super::mqtt::{Events, LinkError, Tunnel, connect};
use super::outbox::Outbox;
use super::publish::{Beside, Nmea};
use super::sensors::Sensors;
use super::session::{Memory, Session};
use super::status::{Info, Stats, Status};
use super::{BrokerAddress, Counters, Inbox, Settings, Topics};

const STATS_EVERY: Duration = Duration::from_secs(60);
/// How long at most nothing is sent after the broker refused a fix.
const REFUSAL_PAUSE: Duration = Duration::from_secs(5);

/// What all parts of the service share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) topics: Topics,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
    pub(super) nmea: Option<Arc<Nmea>>,
    pub(super) live: Arc<Live>,
    pub(super) orders: Arc<Orders>,
    pub(super) generations: Arc<GenerationsView>,
    pub(super) measured: Arc<Measured>,
    pub(super) boot: u64,
    pub(super) started: Instant,
    pub(super) index_created_at_ms: i64,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        Status::running(self.health.reason())
    }

    /// The `info` message.
    pub(super) fn info(&self) -> Vec<u8> {
        Info::new(&self.settings, self.live.get().as_deref(), self.generations.now(), self.boot).json()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            v: 1,
            boot: self.boot,
            uptime_s: self.started.elapsed().as_secs(),
            device: Sensors::read(),
            outbox: self.outbox.stats(),
            counters: self.counters.now(),
        }
    }
}

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Working.
    Running,
    /// No more frames; answers are still being made.
    Stopping,
    /// All answers are in the outbox.
    Answered,
}

/// How a connection ended.
enum End {
    Goodbye,
    Lost { error: LinkError, was_connected: bool },
}

/// Connects, serves, and connects again, until the phase is [`Phase::Answered`] and the broker has everything.
/// Without a broker it ends as soon as all answers are made.
pub(super) async fn keep_connected(shared: &Shared, mut phase: watch::Receiver<Phase>) {
    let cameras = shared.settings.inbox.cameras;
    let last = LastAnswers::new(cameras, shared.outbox.newest());
    let beside = Beside::new(shared);
    let (askers, orders) = (HashMap::new(), HashMap::new());
    let mut memory = Memory { last, beside, meta: HashMap::new(), frames: 0, askers, orders };
    let mut backoff = Backoff::new();
    loop {
        match serve(shared, &mut memory, &mut phase).await {
            End::Goodbye => return,
            End::Lost { error, was_connected } => {
                if was_connected {
                    backoff.reset();
                }
                let delay = backoff.next(spread());
                warn!(%error, retry_in_ms = delay.as_millis() as u64, "no connection to the broker");
                tokio::select! {
                    () = sleep(delay) => {}
                    _ = phase.wait_for(|phase| *phase == Phase::Answered) => return,
                }
            }
        }
    }
}

/// One connection from the attempt to its end.
async fn serve(shared: &Shared, memory: &mut Memory, phase: &mut watch::Receiver<Phase>) -> End {
    let tunnel = match dial(shared, phase).await {
        Ok(tunnel) => tunnel,
        Err(error) => return End::Lost { error, was_connected: false },
    };
    let (client, mut events) = connect(shared, tunnel.as_ref().map(Tunnel::socket));
    let mut session = Session::new(shared, memory, client);
    let mut stats = ticks(STATS_EVERY);
    let mut resume = ticks(REFUSAL_PAUSE);
    loop {
        let polled = poll(&mut events, &mut session, shared, phase, &mut stats, &mut resume).await;
        match polled {
            Ok(event) => {
                if session.handle(event) {
                    drop(events);
                    if let Some(tunnel) = tunnel {
                        tunnel.finish().await;
                    }
                    return End::Goodbye;
                }
                announce(&mut session, *phase.borrow());
                finish(&mut session, phase);
            }
            Err(error) => {
                let was_connected = session.connected();
                shared.measured.set_connected(false);
                take_late_events(&mut events, &mut session);
                shared.outbox.connection_lost();
                memory.last.connection_lost();
                let error = tunnel.and_then(|tunnel| tunnel.failure()).unwrap_or(error);
                return End::Lost { error, was_connected };
            }
        }
    }
}

/// The way to a broker that speaks TLS; nothing for one that does not.
async fn dial(shared: &Shared, phase: &mut watch::Receiver<Phase>) -> Result<Option<Tunnel>, LinkError> {
    let broker = &shared.settings.broker;
    let BrokerAddress::Tls { host, port } = &broker.address else { return Ok(None) };
    tokio::select! {
        tunnel = Tunnel::open(host, *port, &broker.tls, shared.index_created_at_ms) => tunnel.map(Some),
        _ = phase.wait_for(|phase| *phase == Phase::Answered) => Err(LinkError::Tls("stopped".to_owned())),
    }
}

/// Waits for the next event of the connection, and meanwhile hands over what others want to be sent. The future of
/// the poll is kept until it is ready: the event loop must not be cancelled halfway.
async fn poll(
    events: &mut Events,
    session: &mut Session<'_>,
    shared: &Shared,
    phase: &mut watch::Receiver<Phase>,
    stats: &mut Interval,
    resume: &mut Interval,
) -> Result<Event, LinkError> {
    let mut event = pin!(events.poll());
    loop {
        tokio::select! {
            event = &mut event => return event,
            () = shared.outbox.appended() => session.pump(),
            () = shared.orders.finished() => session.pump(),
            () = shared.live.changed() => session.publish_info(),
            () = shared.health.changed() => {
                if session.connected() && *phase.borrow() == Phase::Running {
                    session.publish_status(&shared.status());
                }
            }
            _ = stats.tick() => {
                if session.connected() {
                    session.publish_stats();
                }
            }
            _ = resume.tick() => session.resume(),
            Ok(()) = phase.changed() => {
                announce(session, *phase.borrow_and_update());
                finish(session, phase);
            }
        }
    }
}

/// Publishes that the device is stopping, if it is. Phases may follow one another faster than they are seen here.
fn announce(session: &mut Session<'_>, phase: Phase) {
    if phase != Phase::Running {
        session.say_stopping();
    }
}

/// Says goodbye when nothing is left to send.
fn finish(session: &mut Session<'_>, phase: &watch::Receiver<Phase>) {
    if *phase.borrow() == Phase::Answered && session.drained() {
        session.say_goodbye();
    }
}

/// Acknowledgements and frames that were read before the connection broke count.
fn take_late_events(events: &mut Events, session: &mut Session<'_>) {
    session.close();
    while let Some(event) = events.pop_late() {
        session.handle(event);
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A number in [0, 1) that differs between devices and moments; nothing secret hangs on it.
pub(super) fn spread() -> f64 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let mixed = nanos.wrapping_mul(0x9E37_79B9) ^ std::process::id();
    f64::from(mixed % 1000) / 1000.0
}

/// Says in the log where the broker is expected.
pub(super) fn log_address(shared: &Shared) {
    match &shared.settings.broker.address {
        BrokerAddress::Tcp { host, port } => info!(host, port, "broker"),
        BrokerAddress::Tls { host, port } => info!(host, port, tls = true, "broker"),
        BrokerAddress::Unix(path) => info!(path = %path.display(), "broker"),
    }
}
