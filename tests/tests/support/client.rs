//! A client of the broker, as a drone or an operator has one.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PublishProperties};
use rumqttc::v5::{Client as MqttClient, Event, MqttOptions};
use serde_json::Value;

use super::PATIENCE;

/// A message that the client received.
#[derive(Debug, Clone)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
    /// Correlation data, where there is some.
    pub correlation: Option<Vec<u8>>,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.topic, String::from_utf8_lossy(&self.payload)))
    }
}

/// Publishes, and receives everything below the topics it was given. Connects again when the broker comes back.
pub struct Client {
    client: MqttClient,
    received: Receiver<Message>,
    kept: Vec<Message>,
    closing: Arc<Mutex<bool>>,
}

impl Client {
    pub fn connect(port: u16, name: &str, subscriptions: &[&str]) -> Self {
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(30)).set_max_packet_size(Some(256 << 20)).set_clean_start(true);
        let (client, mut connection) = MqttClient::new(options, 1000);
        let (sender, received) = channel();
        let (ready, is_ready) = channel();
        let subscriptions: Vec<String> = subscriptions.iter().map(ToString::to_string).collect();
        let count = subscriptions.len().max(1);
        let (subscriber, closing) = (client.clone(), Arc::new(Mutex::new(false)));
        let closed = Arc::clone(&closing);
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        for topic in &subscriptions {
                            subscriber.try_subscribe(topic, QoS::AtLeastOnce).unwrap();
                        }
                        if subscriptions.is_empty() {
                            ready.send(()).ok();
                        }
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                        let correlation = publish.properties.and_then(|properties| properties.correlation_data);
                        let correlation = correlation.map(|data| data.to_vec());
                        let (payload, retained) = (publish.payload.to_vec(), publish.retain);
                        let message = Message { topic, payload, retained, correlation };
                        if sender.send(message).is_err() {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) if *closed.lock().unwrap() => return,
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        });
        // One answer for each subscription, or one for the connection.
        for _ in 0..count {
            is_ready.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{name} gets no answer from the broker"));
        }
        Self { client, received, kept: Vec::new(), closing }
    }

    /// Publishes with QoS 1.
    pub fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.into()).unwrap();
    }

    /// Publishes and has the broker keep the message.
    pub fn publish_retained(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, true, payload.into()).unwrap();
    }

    /// Publishes with MQTT 5 user properties.
    pub fn publish_with(&self, topic: &str, payload: impl Into<Vec<u8>>, properties: &[(&str, &str)]) {
        let user_properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let properties = PublishProperties { user_properties, ..PublishProperties::default() };
        self.client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload.into(), properties).unwrap();
    }

    /// Publishes a command whose answer is to go to `response_topic` with `correlation`.
    pub fn command(&self, topic: &str, payload: impl Into<Vec<u8>>, response_topic: &str, correlation: &[u8]) {
        let properties = PublishProperties {
            response_topic: Some(response_topic.to_owned()),
            correlation_data: Some(correlation.to_vec().into()),
            ..PublishProperties::default()
        };
        self.client.publish_with_properties(topic, QoS::AtLeastOnce, false, payload.into(), properties).unwrap();
    }

    /// The next message, received before or to come, that `wanted` takes; others are kept for later.
    pub fn next(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        self.next_within(PATIENCE, &wanted)
            .unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}; got {:?}", self.topics()))
    }

    /// The same, or nothing within `patience`.
    pub fn next_within(&mut self, patience: Duration, wanted: impl Fn(&Message) -> bool) -> Option<Message> {
        if let Some(position) = self.kept.iter().position(&wanted) {
            return Some(self.kept.remove(position));
        }
        let end = Instant::now() + patience;
        loop {
            match self.received.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(message) if wanted(&message) => return Some(message),
                Ok(message) => self.kept.push(message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn topics(&self) -> Vec<&str> {
        self.kept.iter().map(|message| message.topic.as_str()).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        *self.closing.lock().unwrap() = true;
        self.client.disconnect().ok();
    }
}
