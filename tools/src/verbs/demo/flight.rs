//! The drone of the demo: publishes frames and takes the answers in.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use geolocated::locate::FixMessage;
use geolocated::service::Topics;
use jiff::Timestamp;
use quantized_models::DecodeLimits;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PublishProperties};
use rumqttc::v5::{Client, Event, MqttOptions};

use super::broker::Broker;
use super::frame::{Answer, Flown};
use super::process::Daemon;
use crate::pictures;

/// How long the daemon may take to load its model, or to answer a frame.
const PATIENCE: Duration = Duration::from_secs(60);
const CAMERA: &str = "nadir";
const MOST_PACKET_BYTES: u32 = 128 << 20;

/// When the next frame is published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// When the one before is answered.
    Answered,
    /// After so long, whether that one is answered or not, as a camera does.
    Every(Duration),
}

/// How long answers are taken in.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// Until then.
    Until(Instant),
    /// Until the frame of this number is answered.
    For(usize),
}

/// What was published, or will be.
struct InAir<'a> {
    frames: &'a mut [Flown],
    /// Of each frame, by its name.
    numbers: HashMap<String, usize>,
    /// When each frame was published, as far as they were.
    sent: Vec<Instant>,
}

/// A client of the broker that plays the drone.
pub(super) struct Flight {
    client: Client,
    topics: Topics,
    messages: Receiver<(String, Vec<u8>)>,
}

impl Flight {
    /// Connects and subscribes to the fixes of the demo's device.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(super) fn connect(broker: &Broker) -> anyhow::Result<Self> {
        let topics = Topics::new("geolocated", "demo", "drone");
        let mut options = MqttOptions::new("geolocate-demo", "127.0.0.1", broker.port());
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(Some(MOST_PACKET_BYTES));
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, mut connection) = Client::new(options, 16);
        client.subscribe(topics.status(), QoS::AtLeastOnce)?;
        client.subscribe(topics.fix(CAMERA), QoS::AtLeastOnce)?;
        let (sender, messages) = channel();
        std::thread::Builder::new().name("mqtt".to_owned()).spawn(move || {
            // Ends with the connection, or when nobody listens any more.
            for event in connection.iter().map_while(Result::ok) {
                if let Event::Incoming(Packet::Publish(publish)) = event {
                    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                    if sender.send((topic, publish.payload.to_vec())).is_err() {
                        return;
                    }
                }
            }
        })?;
        Ok(Self { client, topics, messages })
    }

    /// Waits for the daemon to say that it is online.
    ///
    /// # Errors
    /// It says something else, or nothing in time.
    pub(super) fn wait_until_online(&mut self, daemon: &Daemon) -> anyhow::Result<()> {
        let (status, end) = (self.topics.status(), Instant::now() + PATIENCE);
        loop {
            let Some((topic, payload)) = self.next(end)? else { return Err(silent(daemon)) };
            let text = String::from_utf8_lossy(&payload);
            match topic == status {
                true if text.contains("\"online\"") => return Ok(()),
                true => bail!("geolocated is not online: {text}; see {}", daemon.log().display()),
                false => {}
            }
        }
    }

    /// Publishes the frames and takes the answers in; `tell` is told of each answer, by the number of its frame.
    ///
    /// At a pace of its own, a frame may take the place of one that waits: that one is never answered. The newest is
    /// always answered, and no answer of the same stage comes after its.
    ///
    /// # Errors
    /// A picture cannot be read, the daemon falls silent, or `tell` fails.
    pub(super) fn fly(
        &mut self,
        frames: &mut [Flown],
        pace: Pace,
        daemon: &Daemon,
        mut tell: impl FnMut(usize, &Flown) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let numbers = frames.iter().enumerate().map(|(number, frame)| (frame.id.clone(), number)).collect();
        let count = frames.len();
        let mut air = InAir { frames, numbers, sent: Vec::with_capacity(count) };
        let start = Instant::now();
        for number in 0..count {
            if let Some(frame) = air.frames.get(number) {
                air.sent.push(self.publish(frame, pace)?);
            }
            let wait = match pace {
                Pace::Every(interval) if number + 1 < count => {
                    Wait::Until(start + interval.saturating_mul(u32::try_from(number + 1).unwrap_or(u32::MAX)))
                }
                _ => Wait::For(number),
            };
            self.take(&mut air, wait, daemon, &mut tell)?;
        }
        Ok(())
    }

    /// Takes answers in.
    fn take(
        &self,
        air: &mut InAir<'_>,
        wait: Wait,
        daemon: &Daemon,
        tell: &mut impl FnMut(usize, &Flown) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let end = match wait {
            Wait::Until(end) => end,
            Wait::For(_) => Instant::now() + PATIENCE,
        };
        loop {
            let Some((topic, payload)) = self.next(end)? else {
                return if matches!(wait, Wait::Until(_)) { Ok(()) } else { Err(silent(daemon)) };
            };
            if topic != self.topics.fix(CAMERA) {
                continue;
            }
            let message: FixMessage = serde_json::from_slice(&payload).context("an answer is no fix object")?;
            // What an earlier demo left in the same folder comes first, as a replay.
            let is_old = message.replay == Some(true);
            let Some(of) = air.numbers.get(&message.id).copied().filter(|_| !is_old) else { continue };
            if let (Some(frame), Some(since)) = (air.frames.get_mut(of), air.sent.get(of)) {
                frame.answers.push(Answer { message, after_ms: since.elapsed().as_secs_f64() * 1e3 });
                tell(of, frame)?;
            }
            if matches!(wait, Wait::For(number) if number == of) {
                return Ok(());
            }
        }
    }

    /// Publishes a frame with what is said of it; when that was. What flies at a pace of its own is taken just now,
    /// other frames carry the time of their own tags.
    fn publish(&self, frame: &Flown, pace: Pace) -> anyhow::Result<Instant> {
        let picture = pictures::read(&frame.picture, DecodeLimits::default().max_bytes)?;
        let now = (pace != Pace::Answered).then(|| ("captured_at", format!("{:.3}", Timestamp::now())));
        let pairs = [("id", frame.id.clone())].into_iter().chain(now).chain(frame.said.iter().cloned());
        let user_properties = pairs.map(|(key, value)| (key.to_owned(), value)).collect();
        let properties = PublishProperties { user_properties, ..PublishProperties::default() };
        let start = Instant::now();
        let topic = self.topics.frame(CAMERA);
        self.client.publish_with_properties(topic, QoS::AtLeastOnce, false, picture, properties)?;
        Ok(start)
    }

    /// The next message, or nothing until `end`.
    fn next(&self, end: Instant) -> anyhow::Result<Option<(String, Vec<u8>)>> {
        match self.messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the connection to mosquitto broke"),
        }
    }
}

fn silent(daemon: &Daemon) -> anyhow::Error {
    anyhow::anyhow!("geolocated does not answer within {PATIENCE:?}; see {}", daemon.log().display())
}
