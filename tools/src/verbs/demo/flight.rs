//! The drone of the demo: publishes a frame, waits for its fix, publishes the next.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use geolocated::locate::FixMessage;
use geolocated::service::Topics;
use quantized_models::DecodeLimits;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PublishProperties};
use rumqttc::v5::{Client, Event, MqttOptions};

use super::broker::Broker;
use super::process::Daemon;
use crate::pictures;

/// How long the daemon may take to load its model, or to answer a frame.
const PATIENCE: Duration = Duration::from_secs(60);
const CAMERA: &str = "nadir";
const MOST_PACKET_BYTES: u32 = 128 << 20;

/// A client of the broker that plays the drone.
pub(super) struct Flight {
    client: Client,
    topics: Topics,
    messages: Receiver<(String, Vec<u8>)>,
}

/// An answer and how long it was under way.
#[derive(Debug)]
pub(super) struct Answer {
    /// The fix object.
    pub(super) message: FixMessage,
    /// From publishing the frame to receiving its fix, in milliseconds.
    pub(super) round_trip_ms: f64,
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
        let status = self.topics.status();
        let payload = self.next(daemon, |topic, _| topic == status)?;
        let text = String::from_utf8_lossy(&payload).into_owned();
        if !text.contains("\"online\"") {
            bail!("geolocated is not online: {text}; see {}", daemon.log().display());
        }
        Ok(())
    }

    /// Publishes the photo `name` below `folder` and waits for its fix.
    ///
    /// # Errors
    /// The photo cannot be read, or no answer comes in time.
    pub(super) fn ask(&mut self, folder: &Path, name: &str, daemon: &Daemon) -> anyhow::Result<Answer> {
        let photo = pictures::read_below(folder, name, &DecodeLimits::default())?;
        let user_properties = vec![("id".to_owned(), name.to_owned())];
        let properties = PublishProperties { user_properties, ..PublishProperties::default() };
        let start = Instant::now();
        let topic = self.topics.frame(CAMERA);
        self.client.publish_with_properties(topic, QoS::AtLeastOnce, false, photo, properties)?;
        let fix = self.topics.fix(CAMERA);
        let mut message: Option<FixMessage> = None;
        self.next(daemon, |topic, payload| {
            message = serde_json::from_slice(payload).ok();
            topic == fix && message.as_ref().is_some_and(|message| message.id == name)
        })?;
        let message = message.context("the answer is no fix object")?;
        Ok(Answer { message, round_trip_ms: start.elapsed().as_secs_f64() * 1e3 })
    }

    fn next(&mut self, daemon: &Daemon, mut wanted: impl FnMut(&str, &[u8]) -> bool) -> anyhow::Result<Vec<u8>> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.messages.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((topic, payload)) if wanted(&topic, &payload) => return Ok(payload),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("geolocated does not answer within {PATIENCE:?}; see {}", daemon.log().display())
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the connection to mosquitto broke"),
            }
        }
    }
}
