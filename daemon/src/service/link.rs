//! The task that owns client and event loop.
//!
//! Each connection gets a client of its own: what the client queues for a broken connection (and loses, when the broker
//! has forgotten the session) is of no consequence, because the outbox alone knows what must still be sent.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rumqttc::Transport;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::LastWill;
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use super::backoff::Backoff;
use super::health::Health;
use super::last::LastAnswers;
use super::outbox::Outbox;
use super::session::{Memory, Session};
use super::status::{Stats, Status};
use super::{BrokerAddress, Counters, Inbox, Settings, Topics};

/// Requests that the client may hold; more than the window and all that is sent beside it.
const CLIENT_QUEUE: usize = 256;
const STATS_EVERY: Duration = Duration::from_secs(60);
/// How long at most nothing is sent after the broker refused a fix.
const REFUSAL_PAUSE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT_S: u64 = 10;
/// MQTT adds topic, properties and headers to a frame.
const FRAME_PACKET_EXTRA: usize = 64 << 10;

/// What all parts of the service share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) topics: Topics,
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
    /// The `info` message.
    pub(super) info: Vec<u8>,
    pub(super) boot: u64,
    pub(super) started: Instant,
    pub(super) index_created_at_ms: i64,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        Status::running(self.health.reason())
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            v: 1,
            boot: self.boot,
            uptime_s: self.started.elapsed().as_secs(),
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
    Lost { error: Box<ConnectionError>, was_connected: bool },
}

/// Connects, serves, and connects again, until the phase is [`Phase::Answered`] and the broker has everything.
/// Without a broker it ends as soon as all answers are made.
pub(super) async fn keep_connected(shared: &Shared, mut phase: watch::Receiver<Phase>) {
    let cameras = shared.settings.inbox.cameras;
    let last = LastAnswers::new(cameras, shared.outbox.newest());
    let mut memory = Memory { last, meta: HashMap::new(), frames: 0, askers: HashMap::new() };
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
    let (client, mut events) = AsyncClient::new(options(shared), CLIENT_QUEUE);
    let mut session = Session::new(shared, memory, client);
    let mut stats = ticks(STATS_EVERY);
    let mut resume = ticks(REFUSAL_PAUSE);
    loop {
        let polled = poll(&mut events, &mut session, shared, phase, &mut stats, &mut resume).await;
        match polled {
            Ok(event) => {
                if session.handle(event) {
                    return End::Goodbye;
                }
                announce(&mut session, *phase.borrow());
                finish(&mut session, phase);
            }
            Err(error) => {
                let was_connected = session.connected();
                take_late_events(&mut events, &mut session);
                shared.outbox.connection_lost();
                memory.last.connection_lost();
                return End::Lost { error: Box::new(error), was_connected };
            }
        }
    }
}

/// Waits for the next event of the connection, and meanwhile hands over what others want to be sent. The future of
/// the poll is kept until it is ready: the event loop must not be cancelled halfway.
async fn poll(
    events: &mut EventLoop,
    session: &mut Session<'_>,
    shared: &Shared,
    phase: &mut watch::Receiver<Phase>,
    stats: &mut Interval,
    resume: &mut Interval,
) -> Result<Event, ConnectionError> {
    let mut event = pin!(events.poll());
    loop {
        tokio::select! {
            event = &mut event => return event,
            () = shared.outbox.appended() => session.pump(),
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
fn take_late_events(events: &mut EventLoop, session: &mut Session<'_>) {
    session.close();
    while let Some(event) = events.state.events.pop_front() {
        session.handle(event);
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn options(shared: &Shared) -> MqttOptions {
    let broker = &shared.settings.broker;
    let client_id = format!("{}-{}-{}", shared.settings.topic_prefix, shared.settings.site, shared.settings.device);
    let mut options = match &broker.address {
        BrokerAddress::Tcp { host, port } => MqttOptions::new(client_id, host.as_str(), *port),
        BrokerAddress::Unix(path) => {
            let mut options = MqttOptions::new(client_id, path.to_string_lossy(), 0);
            options.set_transport(Transport::Unix);
            options
        }
    };
    if let Some((username, password)) = &broker.credentials {
        options.set_credentials(username.as_str(), password.as_str());
    }
    // A frame a little over its limit still comes in, so that its sender gets an answer; the broker keeps larger ones.
    let most = shared.settings.decode.max_bytes.saturating_mul(2).saturating_add(FRAME_PACKET_EXTRA);
    let will = Status::offline("connection lost").json();
    // Small messages must not wait for the acknowledgement of the one before (Nagle's algorithm): that costs 40 ms each.
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options
        .set_keep_alive(Duration::from_secs(u64::from(broker.keep_alive_s)))
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_clean_start(false)
        .set_session_expiry_interval(Some(broker.session_expiry_s))
        .set_max_packet_size(Some(u32::try_from(most).unwrap_or(u32::MAX)))
        .set_outgoing_inflight_upper_limit(1024)
        .set_last_will(LastWill::new(shared.topics.status(), will, QoS::AtLeastOnce, true, None));
    options
}

/// A number in [0, 1) that differs between devices and moments; nothing secret hangs on it.
fn spread() -> f64 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let mixed = nanos.wrapping_mul(0x9E37_79B9) ^ std::process::id();
    f64::from(mixed % 1000) / 1000.0
}

/// Says in the log where the broker is expected.
pub(super) fn log_address(shared: &Shared) {
    match &shared.settings.broker.address {
        BrokerAddress::Tcp { host, port } => info!(host, port, "broker"),
        BrokerAddress::Unix(path) => info!(path = %path.display(), "broker"),
    }
}
