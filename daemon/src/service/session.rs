//! One connection to the broker, from CONNACK to its end.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rumqttc::Outgoing;
use rumqttc::v5::Event;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Packet, PubAck, PubAckReason, Publish, PublishProperties, SubAck, SubscribeReasonCode,
};
use tracing::{debug, error, info, warn};

use super::clock::now_ms;
use super::commands::{Asker, Command, Refusal};
use super::generations::Order;
use super::last::{At, LastAnswers};
use super::link::Shared;
use super::metadata::FrameMetadata;
use super::mqtt::Client;
use super::outbox::RecordId;
use super::publish::Beside;
use super::status::Status;
use super::topics::InboundTopic;
use crate::locate::Frame;

/// Messages with QoS 1 that may be on their way at a time; at most half of what the broker takes, so that the client's
/// packet ids never come round to one that is still in use.
const MOST_IN_FLIGHT: usize = 16;

/// Metadata that came by itself is for a frame that follows within this time.
const META_VALID_FOR: Duration = Duration::from_secs(10);

/// Bytes of a PUBLISH packet beside topic, payload and properties: fixed header, topic length, packet id, property
/// length.
const PUBLISH_OVERHEAD: usize = 5 + 2 + 2 + 4;
/// Commands that may wait for their answers at a time.
const MOST_ASKERS: usize = 64;

/// A message handed to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Fix(RecordId),
    Last {
        camera: String,
        at: At,
    },
    /// Something beside the device's own topics.
    Beside(String),
    Farewell,
    Other,
}

/// What is remembered from one connection to the next.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) last: LastAnswers,
    pub(super) beside: Beside,
    /// Metadata by camera that waits for its frame, and when it came.
    pub(super) meta: HashMap<String, (FrameMetadata, Instant)>,
    pub(super) frames: u64,
    /// Who waits for an answer of the outbox, by its number.
    pub(super) askers: HashMap<u64, Asker>,
    /// Who waits for what was ordered, by its number.
    pub(super) orders: HashMap<u64, Asker>,
}

/// The state of one connection. Owned by the task that polls the event loop; nothing here waits.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    memory: &'a mut Memory,
    client: Client,
    /// Handed to the client and not yet written to the connection, in order.
    submitted: VecDeque<Sent>,
    /// Written and not yet acknowledged, by packet id.
    in_flight: HashMap<u16, Sent>,
    window: usize,
    max_packet: Option<usize>,
    /// Whether the broker keeps retained messages.
    retains: bool,
    /// Whether the broker takes messages with QoS 1.
    acknowledges: bool,
    connected: bool,
    said_stopping: bool,
    said_goodbye: bool,
    /// After a refusal nothing is sent until then.
    paused: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Shared, memory: &'a mut Memory, client: Client) -> Self {
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
            retains: true,
            acknowledges: true,
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
        if !self.connected {
            return;
        }
        self.answer_askers();
        self.answer_orders();
        if self.paused || !self.acknowledges {
            return;
        }
        while self.submitted.len() + self.in_flight.len() < self.window {
            if !(self.send_fix() || self.send_last() || self.send_beside()) {
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

    /// Publishes what the device runs now.
    pub(super) fn publish_info(&mut self) {
        if self.connected {
            self.submit(&self.shared.topics.info(), true, self.shared.info(), Sent::Other);
        }
    }

    /// Publishes the counters; what is lost of them nobody misses.
    pub(super) fn publish_stats(&mut self) {
        let (topic, stats) = (self.shared.topics.stats(), self.shared.stats().json());
        let properties = PublishProperties::default();
        if self.fits(&topic, stats.len(), None)
            && self.client.try_publish(&topic, QoS::AtMostOnce, false, stats, properties).is_ok()
        {
            self.submitted.push_back(Sent::Other);
        }
    }

    /// Whether the broker has everything, or will not take it.
    pub(super) fn drained(&self) -> bool {
        !self.acknowledges
            || (self.shared.outbox.len() == 0 && self.memory.last.all_acknowledged() && self.memory.beside.is_empty())
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
        let said = properties.and_then(|p| p.max_packet_size).and_then(|size| usize::try_from(size).ok());
        self.max_packet = [said, self.shared.settings.broker.max_packet_bytes].into_iter().flatten().min();
        self.retains = properties.and_then(|p| p.retain_available) != Some(0);
        self.acknowledges = properties.and_then(|p| p.max_qos) != Some(0);
        self.connected = true;
        self.shared.measured.set_connected(true);
        self.shared.counters.connections.add_one();
        info!(session_present = connack.session_present, "connected to the broker");
        self.judge_broker();
        // Limits and rights may be other ones now.
        self.shared.health.mend("packet_size");
        self.shared.health.mend("subscription");
        self.shared.outbox.connection_made();
        self.memory.beside.connection_made();
        // At QoS 1 the broker would keep frames, and metadata without its frame, for a device that is away.
        let frames = self.shared.topics.frame_subscriptions().map(|topic| (topic, QoS::AtMostOnce));
        let commands = (self.shared.topics.command_subscription(), QoS::AtLeastOnce);
        for (topic, qos) in frames.into_iter().chain([commands]) {
            if let Err(error) = self.client.try_subscribe(&topic, qos) {
                error!(%error, "could not subscribe");
            }
        }
        self.publish_info();
        let status = self.shared.status();
        self.publish_status(&status);
        self.publish_stats();
        self.pump();
    }

    /// Says what a broker lacks that the device cannot do without.
    fn judge_broker(&self) {
        let mut lacks = Vec::new();
        if !self.acknowledges {
            lacks.push("takes no QoS 1: fixes wait");
        }
        if !self.retains {
            lacks.push("retains nothing: status, info and last are not kept");
        }
        if lacks.is_empty() {
            self.shared.health.mend("broker");
        } else {
            let reason = format!("the broker {}", lacks.join("; it "));
            warn!(reason, "degraded");
            self.shared.health.degrade("broker", &reason);
        }
    }

    fn on_suback(&mut self, suback: &SubAck) {
        let refused = suback.return_codes.iter().find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        if let Some(code) = refused {
            let reason = format!("the broker refuses the subscription to frames or commands: {code:?}");
            error!(reason);
            self.shared.health.degrade("subscription", &reason);
        }
    }

    fn on_written(&mut self, packet_id: u16) {
        match self.submitted.pop_front() {
            Some(sent) if packet_id != 0 => drop(self.in_flight.insert(packet_id, sent)),
            // Without QoS 1 nobody acknowledges the farewell.
            Some(Sent::Farewell) => drop(self.client.try_disconnect()),
            _ => {}
        }
    }

    fn on_puback(&mut self, puback: &PubAck) -> bool {
        let Some(sent) = self.in_flight.remove(&puback.pkid) else { return false };
        let taken = matches!(puback.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers);
        match sent {
            Sent::Fix(id) if taken => {
                self.shared.outbox.acknowledge(id, puback.reason == PubAckReason::Success);
                self.shared.health.mend("publish");
            }
            Sent::Fix(id) => self.on_refusal(id, puback.reason),
            Sent::Last { camera, at } => self.memory.last.acknowledge(&camera, at),
            Sent::Beside(topic) => self.memory.beside.acknowledge(&topic),
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

    /// A fix that the broker will never take is set aside. Any other stays in the outbox, and sending pauses, so that a
    /// broker that refuses is not flooded.
    fn on_refusal(&mut self, id: RecordId, reason: PubAckReason) {
        self.shared.counters.fixes_refused.add_one();
        let never = matches!(reason, PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid);
        let reason = format!("the broker refuses fixes: {reason:?}");
        warn!(reason, set_aside = never);
        if never {
            self.shared.outbox.set_aside(id, &reason);
        } else {
            self.shared.outbox.give_back(id);
            self.paused = true;
        }
        self.shared.health.degrade("publish", &reason);
    }

    fn send_fix(&mut self) -> bool {
        let Some(record) = self.shared.outbox.send_next() else { return false };
        let topic = self.shared.topics.fix(&record.camera);
        let payload = record.payload();
        let (boot, seq) = record.at;
        if !self.fits(&topic, payload.len(), None) {
            let (bytes, most) = (payload.len(), self.max_packet.unwrap_or(usize::MAX));
            let reason = format!("a fix of {bytes} bytes on {topic} is larger than the broker takes: {most} bytes");
            error!(boot, seq, reason, "fix set aside");
            self.shared.counters.fixes_oversize.add_one();
            self.shared.health.degrade("packet_size", &reason);
            self.shared.outbox.set_aside(record.id, &reason);
            return true;
        }
        // A replay says nothing of what is newest: what is known of the numbers does.
        self.memory.last.offer(&record.camera, record.at, &record.first_payload());
        let submitted = self.submit(&topic, false, payload, Sent::Fix(record.id));
        if !submitted {
            self.shared.outbox.give_back(record.id);
        }
        submitted
    }

    fn send_last(&mut self) -> bool {
        if !self.retains {
            return false;
        }
        let Some((camera, at, payload)) = self.memory.last.send_next() else { return false };
        self.memory.beside.offer(&camera, &payload);
        let topic = self.shared.topics.last(&camera);
        if !self.fits(&topic, payload.len(), None) {
            self.memory.last.acknowledge(&camera, at);
            return true;
        }
        let submitted = self.submit(&topic, true, payload, Sent::Last { camera: camera.clone(), at });
        if !submitted {
            self.memory.last.give_back(&camera);
        }
        submitted
    }

    fn send_beside(&mut self) -> bool {
        let Some((topic, payload)) = self.memory.beside.send_next() else { return false };
        if !self.fits(&topic, payload.len(), None) {
            debug!(topic, "larger than the broker takes: not published");
            return true;
        }
        let submitted = self.submit(&topic, true, payload.clone(), Sent::Beside(topic.clone()));
        if !submitted {
            self.memory.beside.give_back(topic, payload);
        }
        submitted
    }

    /// Whether the broker takes a message of this size. One that it does not take would break the connection, and
    /// every further one.
    fn fits(&self, topic: &str, payload_bytes: usize, properties: Option<&PublishProperties>) -> bool {
        let correlation = properties.and_then(|properties| properties.correlation_data.as_ref());
        let properties_bytes = correlation.map_or(0, |data| data.len().saturating_add(3));
        let bytes =
            [payload_bytes, topic.len(), properties_bytes].iter().fold(PUBLISH_OVERHEAD, |a, b| a.saturating_add(*b));
        self.max_packet.is_none_or(|most| bytes <= most)
    }

    /// Hands a message with QoS 1 to the client; false when the client takes none just now.
    fn submit(&mut self, topic: &str, retain: bool, payload: Vec<u8>, sent: Sent) -> bool {
        self.submit_with(topic, retain, payload, PublishProperties::default(), sent)
    }

    fn submit_with(
        &mut self,
        topic: &str,
        retain: bool,
        payload: Vec<u8>,
        properties: PublishProperties,
        sent: Sent,
    ) -> bool {
        if !self.fits(topic, payload.len(), Some(&properties)) {
            error!(topic, bytes = payload.len(), most = self.max_packet, "larger than the broker takes: not sent");
            return false;
        }
        let qos = if self.acknowledges { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let retain = retain && self.retains;
        match self.client.try_publish(topic, qos, retain, payload, properties) {
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

    fn on_command(&mut self, verb: &str, publish: &Publish) {
        if publish.retain {
            self.shared.counters.commands_retained.add_one();
            warn!(verb, "retained command ignored");
            return;
        }
        let properties = publish.properties.as_ref();
        let topics = &self.shared.topics;
        let (command, id) = match Command::read(verb, &publish.payload) {
            Ok(read) => read,
            Err((refusal, message)) => {
                let asker = Asker::new(topics, verb, None, properties);
                return self.reply(&asker, asker.refused(refusal, &message));
            }
        };
        let asker = Asker::new(topics, verb, id, properties);
        if self.memory.askers.len() + self.memory.orders.len() >= MOST_ASKERS {
            return self.reply(&asker, asker.refused(Refusal::Busy, "too many commands wait for their answers"));
        }
        info!(?command, "command");
        let ticket = match command {
            Command::Flush => {
                self.paused = false;
                self.shared.outbox.flush()
            }
            Command::Resend(range) => self.shared.outbox.resend(range),
            Command::Order(order) => return self.order(order, asker),
        };
        self.memory.askers.insert(ticket, asker);
        self.pump();
    }

    /// Hands over what takes a while to those who do it.
    fn order(&mut self, order: Order, asker: Asker) {
        match self.shared.orders.ask(order) {
            Some(ticket) => drop(self.memory.orders.insert(ticket, asker)),
            None => self.reply(&asker, asker.refused(Refusal::Busy, "too many such commands wait for their answers")),
        }
    }

    /// Tells those who ordered something what became of it.
    fn answer_orders(&mut self) {
        for (ticket, answer) in self.shared.orders.take_done() {
            if let Some(asker) = self.memory.orders.remove(&ticket) {
                self.reply(&asker, asker.ordered(&answer));
            }
        }
    }

    /// Tells those who asked what the outbox did.
    fn answer_askers(&mut self) {
        for (ticket, done) in self.shared.outbox.take_done() {
            if let Some(asker) = self.memory.askers.remove(&ticket) {
                let queued = self.shared.outbox.len() as u64;
                self.reply(&asker, asker.done(&done, queued));
            }
        }
    }

    fn reply(&mut self, asker: &Asker, payload: Vec<u8>) {
        self.shared.counters.commands_answered.add_one();
        self.submit_with(&asker.topic, false, payload, asker.properties.clone(), Sent::Other);
    }

    fn on_publish(&mut self, publish: &Publish) {
        let Ok(topic) = std::str::from_utf8(&publish.topic) else { return };
        match self.shared.topics.parse(topic) {
            Some(InboundTopic::Frame(camera)) => self.on_frame(camera, publish),
            Some(InboundTopic::Meta(camera)) if !publish.retain => self.on_meta(camera, topic, &publish.payload),
            Some(InboundTopic::Meta(_)) => debug!(topic, "retained metadata ignored"),
            Some(InboundTopic::Command(verb)) => self.on_command(verb, publish),
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
