//! A device that serves from signed generations, and its operator.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::broker::Broker;
use super::client::{Client, Message};
use super::daemon::Daemon;
use super::generation::{self, Keys, bring, make};
use super::schema::assert_valid;
use super::shared::Flight;
use super::{PATIENCE, wait_for};

/// Where the device's topics are.
pub const BASE: &str = "geolocated/field/drone-7";

/// A device with a folder for generations, a fleet's keys, and what the operator has at home.
pub struct Fleet {
    pub flight: Flight,
    pub folder: tempfile::TempDir,
    pub home: tempfile::TempDir,
    pub shard: PathBuf,
    pub keys: Keys,
    pub spare: Keys,
    pub broker: Broker,
    pub client: Client,
    frames: u32,
}

impl Fleet {
    /// `None`, after a line that names the test, where there is no shared imagery.
    pub fn new(test: &str) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shard = flight.build(home.path());
        let (keys, spare) = (Keys::make(home.path(), "fleet"), Keys::make(home.path(), "spare"));
        let broker = Broker::start();
        let client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
        Some(Self { flight, folder, home, shard, keys, spare, broker, client, frames: 0 })
    }

    /// The device's folder for generations.
    pub fn index(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    /// Makes a generation at home.
    pub fn make(&self, counter: u64, more: &[&str]) -> PathBuf {
        make(self.home.path(), counter, &self.shard, &self.keys, more)
    }

    /// Makes a generation and brings it to the device.
    pub fn bring(&self, counter: u64) -> PathBuf {
        bring(&self.make(counter, &["--golden", "3"]), &self.index())
    }

    /// Settings of the device, with more sections.
    pub fn config(&self, more: &str) -> PathBuf {
        let keys = [&self.keys, &self.spare];
        generation::settings(self.folder.path(), &self.broker.url(), &keys, Some(&self.flight.model), more)
    }

    pub fn start(&mut self, more: &str) -> Daemon {
        self.start_with(&self.config(more)).0
    }

    /// Starts the daemon and waits for its first status: it takes frames then.
    pub fn start_with(&mut self, config: &Path) -> (Daemon, Value) {
        // What an earlier one said does not count.
        while self.client.next_within(Duration::ZERO, |message| message.topic.ends_with("/status")).is_some() {}
        let daemon = Daemon::start(config);
        let is_up = |status: &Value| status["state"] == "online" || status["state"] == "degraded";
        let status = self.status(&daemon, is_up);
        (daemon, status)
    }

    /// The next status that is as wanted.
    pub fn status(&mut self, daemon: &Daemon, wanted: impl Fn(&Value) -> bool) -> Value {
        let is_wanted = |message: &Message| message.topic.ends_with("/status") && wanted(&message.json());
        match self.client.next_within(PATIENCE, is_wanted) {
            Some(message) => message.json(),
            None => panic!("no such status; the daemon:\n{}", daemon.log()),
        }
    }

    /// Publishes a frame and waits for its fix.
    pub fn ask(&mut self) -> Value {
        self.frames += 1;
        let id = format!("frame-{}", self.frames);
        let frame = self.flight.frame(&self.flight.files("query")[0]);
        self.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", &id)]);
        let topic = format!("{BASE}/cam/nadir/fix");
        let fix = self.client.next(&id, |message| message.topic == topic && message.json()["id"] == id.as_str()).json();
        assert_valid("fix", &fix);
        assert!(fix["status"] == "fix" || fix["status"] == "ambiguous", "{fix}");
        fix
    }

    /// The generation that answers.
    pub fn serves(&mut self) -> u64 {
        self.ask()["index"]["generation"].as_u64().unwrap()
    }

    /// Orders something and waits for the reply.
    pub fn order(&mut self, verb: &str, payload: &Value) -> Value {
        assert_valid(verb, payload);
        self.client.publish(&format!("{BASE}/cmd/{verb}"), payload.to_string());
        let topic = format!("{BASE}/cmd/{verb}/reply");
        let reply = self.client.next(&topic, |message| message.topic == topic).json();
        assert_valid("reply", &reply);
        reply
    }

    /// The device's pointer.
    pub fn state(&self) -> Value {
        let path = self.folder.path().join("state/generations/state.json");
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(Value::Null)
    }

    /// What the device says of itself, as the broker keeps it.
    pub fn info(&self) -> Value {
        let topic = format!("{BASE}/info");
        wait_for("info to be retained", || {
            let mut late = Client::connect(self.broker.port, "late", &[&topic]);
            Some(late.next_within(Duration::from_secs(1), |message| message.retained)?.json())
        })
    }
}
