//! One connection to the broker, from CONNACK to its end.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event};
use tracing::{debug, error, info, warn};

use super::clock::now_ms;
use super::last::LastAnswers;
use super::link::Shared;
use super::metadata::FrameMetadata;
use super::outbox::RecordId;
use super::status::Status;
use super::topics::InboundTopic;
use crate::locate::{Frame, timestamp};

/// Messages with QoS 1 that may be on their way at a time; at most half of what the broker takes, so that the client's
/// packet ids never come round to one that is still in use.
const MOST_IN_FLIGHT: usize = 16;

/// Metadata that came by itself is for a frame that follows within this time.
const META_VALID_FOR: Duration = Duration::from_secs(10);

/// Bytes of a PUBLISH packet beside topic and payload: fixed header, topic length, packet id, property length.
const PUBLISH_OVERHEAD: usize = 5 + 2 + 2 + 1;

/// A message handed to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Fix(RecordId),
    Last { camera: String, seq: u64 },
    Farewell,
    Other,
}

/// What is remembered from one connection to the next.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) last: LastAnswers,
    /// Metadata by camera that waits for its frame, and when it came.
    pub(super) meta: HashMap<String, (FrameMetadata, Instant)>,
    pub(super) frames: u64,
}

/// The state of one connection. Owned by the task that polls the event loop; nothing here waits.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    memory: &'a mut Memory,
    client: AsyncClient,
    /// Handed to the client and not yet written to the connection, in order.
    submitted: VecDeque<Sent>,
    /// Written and not yet acknowledged, by packet id.
    in_flight: HashMap<u16, Sent>,
    window: usize,
    max_packet: Option<usize>,
    connected: bool,
    said_stopping: bool,
    said_goodbye: bool,
    /// After a refusal nothing is sent until then.
    paused: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Shared, memory: &'a mut Memory, client: AsyncClient) -> Self {
        let (submitted, in_flight) = (VecDeque::new(), HashMap::new());
        let (window, max_packet) = (MOST_IN_FLIGHT, None);
        Self {
            shared,
            memory,
            client,
            submitted,
            in_flight,
            window,
            max_packet,
            connected: false,
            said_stopping: false,
            said_goodbye: false,
            paused: false,
        }
    }

    pub(super) fn connected(&self) -> bool {
        self.connected
    }

    /// Nothing more is sent on this connection; what it received may still be taken in.
    pub(super) fn close(&mut self) {
        self.connected = false;
    }

    /// Takes in what the event loop saw. True when the connection is over because we said goodbye.
    pub(super) fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => self.on_connack(&connack),
            Event::Incoming(Packet::Publish(publish)) => self.on_publish(&publish),
            Event::Incoming(Packet::PubAck(puback)) => return self.on_puback(&puback),
            Event::Incoming(Packet::SubAck(suback)) => self.on_suback(&suback),
            Event::Outgoing(Outgoing::Publish(packet_id)) => self.on_written(packet_id),
            Event::Outgoing(Outgoing::Disconnect) => return true,
            other => debug!(?other, "mqtt"),
        }
        false
    }

    /// Sends what waits, as far as the window allows.
    pub(super) fn pump(&mut self) {
        if !self.connected || self.paused {
            return;
        }
        while self.submitted.len() + self.in_flight.len() < self.window {
            if !(self.send_fix() || self.send_last()) {
                break;
            }
        }
    }

    /// Sends again after a refusal.
    pub(super) fn resume(&mut self) {
        self.paused = false;
        self.pump();
    }

    /// Publishes the state as it is now.
    pub(super) fn publish_status(&mut self, status: &Status) {
        self.submit(&self.shared.topics.status(), true, status.json(), Sent::Other);
    }

    /// Publishes the counters; what is lost of them nobody misses.
    pub(super) fn publish_stats(&mut self) {
        if self
            .client
            .try_publish(self.shared.topics.stats(), QoS::AtMostOnce, false, self.shared.stats().json())
            .is_ok()
        {
            self.submitted.push_back(Sent::Other);
        }
    }

    /// Whether the broker has everything.
    pub(super) fn drained(&self) -> bool {
        self.shared.outbox.is_empty() && self.memory.last.all_acknowledged()
    }

    /// Publishes, once, that the device is stopping.
    pub(super) fn say_stopping(&mut self) {
        if !self.said_stopping && self.connected {
            self.said_stopping = true;
            self.publish_status(&Status::stopping());
        }
    }

    /// Publishes that the device is going; once acknowledged, disconnects.
    pub(super) fn say_goodbye(&mut self) {
        if !self.said_goodbye && self.connected {
            self.publish_stats();
            let status = Status::offline("stopped").json();
            self.said_goodbye = self.submit(&self.shared.topics.status(), true, status, Sent::Farewell);
        }
    }

    fn on_connack(&mut self, connack: &ConnAck) {
        let properties = connack.properties.as_ref();
        let receive_max = properties.and_then(|p| p.receive_max).map_or(usize::from(u16::MAX), usize::from);
        self.window = (receive_max / 2).clamp(1, MOST_IN_FLIGHT);
        self.max_packet = properties.and_then(|p| p.max_packet_size).and_then(|size| usize::try_from(size).ok());
        self.connected = true;
        self.shared.counters.connections.add_one();
        info!(session_present = connack.session_present, "connected to the broker");
        for topic in self.shared.topics.subscriptions() {
            // At QoS 1 the broker would keep frames, and metadata without its frame, for a device that is away.
            if let Err(error) = self.client.try_subscribe(topic, QoS::AtMostOnce) {
                error!(%error, "could not subscribe");
            }
        }
        self.submit(&self.shared.topics.info(), true, self.shared.info.clone(), Sent::Other);
        let status = self.shared.status();
        self.publish_status(&status);
        self.publish_stats();
        self.pump();
    }

    fn on_suback(&mut self, suback: &SubAck) {
        let refused = suback.return_codes.iter().find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        match refused {
            Some(code) => {
                let reason = format!("the broker refuses the subscription to frames: {code:?}");
                error!(reason);
                self.shared.health.degrade("subscription", &reason);
            }
            None => self.shared.health.mend("subscription"),
        }
    }

    fn on_written(&mut self, packet_id: u16) {
        let sent = self.submitted.pop_front();
        if let (Some(sent), true) = (sent, packet_id != 0) {
            self.in_flight.insert(packet_id, sent);
        }
    }

    fn on_puback(&mut self, puback: &PubAck) -> bool {
        let Some(sent) = self.in_flight.remove(&puback.pkid) else { return false };
        let taken = matches!(puback.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        match sent {
            Sent::Fix(id) if taken => {
                self.shared.outbox.acknowledge(id);
                self.shared.counters.fixes_delivered.add_one();
                if puback.reason == PubAckReason::NoMatchingSubscribers {
                    self.shared.counters.fixes_unheard.add_one();
                }
                self.shared.health.mend("publish");
            }
            Sent::Fix(id) => self.on_refusal(id, puback.reason),
            Sent::Last { camera, seq } => self.memory.last.acknowledge(&camera, seq),
            Sent::Farewell => {
                if let Err(error) = self.client.try_disconnect() {
                    debug!(%error, "disconnect");
                    return true;
                }
            }
            Sent::Other => {}
        }
        self.pump();
        false
    }

    /// The fix stays in the outbox; sending pauses so that a broker that refuses is not flooded.
    fn on_refusal(&mut self, id: RecordId, reason: PubAckReason) {
        self.shared.counters.fixes_refused.add_one();
        self.shared.outbox.give_back(id);
        self.paused = true;
        let reason = format!("the broker refuses fixes: {reason:?}");
        warn!(reason);
        self.shared.health.degrade("publish", &reason);
    }

    fn send_fix(&mut self) -> bool {
        let Some(record) = self.shared.outbox.send_next(timestamp(now_ms())) else { return false };
        let topic = self.shared.topics.fix(&record.camera);
        let payload = match serde_json::to_vec(&record.message) {
            Ok(payload) => payload,
            Err(error) => {
                error!(id = record.message.id, %error, "fix cannot be written as JSON");
                Vec::new()
            }
        };
        let bytes = payload.len().saturating_add(topic.len()).saturating_add(PUBLISH_OVERHEAD);
        if payload.is_empty() || self.max_packet.is_some_and(|most| bytes > most) {
            let most = self.max_packet.unwrap_or(usize::MAX);
            error!(id = record.message.id, bytes, most, "fix set aside: larger than the broker takes");
            self.shared.counters.fixes_oversize.add_one();
            self.shared.outbox.acknowledge(record.id);
            return true;
        }
        if record.message.replay.is_none() {
            self.memory.last.offer(&record.camera, record.message.seq.unwrap_or_default(), &payload);
        }
        let submitted = self.submit(&topic, false, payload, Sent::Fix(record.id));
        if !submitted {
            self.shared.outbox.give_back(record.id);
        }
        submitted
    }

    fn send_last(&mut self) -> bool {
        let Some((camera, seq, payload)) = self.memory.last.send_next() else { return false };
        let topic = self.shared.topics.last(&camera);
        let submitted = self.submit(&topic, true, payload, Sent::Last { camera: camera.clone(), seq });
        if !submitted {
            self.memory.last.give_back(&camera);
        }
        submitted
    }

    /// Hands a message with QoS 1 to the client; false when the client takes none just now.
    fn submit(&mut self, topic: &str, retain: bool, payload: Vec<u8>, sent: Sent) -> bool {
        match self.client.try_publish(topic, QoS::AtLeastOnce, retain, payload) {
            Ok(()) => {
                self.submitted.push_back(sent);
                true
            }
            Err(error) => {
                debug!(%error, topic, "not handed over");
                false
            }
        }
    }

    fn on_publish(&mut self, publish: &Publish) {
        let Ok(topic) = std::str::from_utf8(&publish.topic) else { return };
        match self.shared.topics.parse(topic) {
            Some(InboundTopic::Frame(camera)) => self.on_frame(camera, publish),
            Some(InboundTopic::Meta(camera)) if !publish.retain => self.on_meta(camera, topic, &publish.payload),
            Some(InboundTopic::Meta(_)) => debug!(topic, "retained metadata ignored"),
            None => self.shared.counters.messages_unknown.add_one(),
        }
    }

    fn on_meta(&mut self, camera: &str, topic: &str, payload: &[u8]) {
        match FrameMetadata::from_json(payload) {
            Ok((metadata, problems)) => {
                self.report(topic, &problems);
                let (meta, now) = (&mut self.memory.meta, Instant::now());
                meta.retain(|_, (_, came)| now.saturating_duration_since(*came) < META_VALID_FOR);
                if meta.len() < self.shared.settings.inbox.cameras || meta.contains_key(camera) {
                    meta.insert(camera.to_owned(), (metadata, now));
                }
            }
            Err(problem) => self.report(topic, &[problem]),
        }
    }

    fn report(&self, topic: &str, problems: &[String]) {
        for problem in problems {
            self.shared.counters.metadata_refused.add_one();
            warn!(topic, problem, "metadata refused");
        }
    }

    fn on_frame(&mut self, camera: &str, publish: &Publish) {
        let counters = &self.shared.counters;
        if publish.retain {
            counters.frames_retained.add_one();
            return;
        }
        counters.frames_received.add_one();
        let waiting = self.memory.meta.remove(camera).filter(|(_, came)| came.elapsed() < META_VALID_FOR);
        let pairs = publish.properties.iter().flat_map(|properties| &properties.user_properties);
        let (from_properties, problems) =
            FrameMetadata::from_pairs(pairs.map(|(key, value)| (key.as_str(), value.as_str())));
        self.report(&String::from_utf8_lossy(&publish.topic), &problems);
        let metadata = match waiting {
            Some((waiting, _)) if from_properties.is_empty() => waiting,
            _ => from_properties,
        };
        if self.is_stale(&metadata) {
            self.shared.counters.frames_stale.add_one();
            return;
        }
        self.memory.frames += 1;
        let id = metadata.id.unwrap_or_else(|| format!("{}-{}", self.shared.boot, self.memory.frames));
        let frame = Frame {
            id,
            camera: camera.to_owned(),
            captured_at_ms: metadata.captured_at_ms,
            hints: metadata.hints,
            prior: metadata.prior,
            encoded: publish.payload.to_vec(),
        };
        self.shared.inbox.put(frame, Instant::now());
    }

    /// A clock that shows a time before the index was built judges nobody.
    fn is_stale(&self, metadata: &FrameMetadata) -> bool {
        let now_ms = now_ms();
        metadata.captured_at_ms.is_some_and(|captured_at_ms| {
            now_ms >= self.shared.index_created_at_ms
                && now_ms.saturating_sub(captured_at_ms) > self.shared.settings.max_frame_age_ms
        })
    }
}
