//! A device whose broker and settings a test chooses.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::client::{Client, Message};
use crate::support::daemon::{Daemon, settings};
use crate::support::schema::assert_valid;
use crate::support::shared::Flight;

pub const BASE: &str = "geolocated/field/drone-7";

pub fn frame_topic(camera: &str) -> String {
    format!("{BASE}/cam/{camera}/frame")
}

/// A flight with its shard, a broker, and somebody who watches; the daemon is yet to be started.
pub struct Device {
    pub flight: Flight,
    pub folder: tempfile::TempDir,
    pub shard: PathBuf,
    pub broker: Broker,
    pub watcher: Client,
}

impl Device {
    /// `None`, after a line that names the test, where there is no shared imagery.
    pub fn new(test: &str, broker: Broker, watched: &[&str]) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let folder = tempfile::tempdir().unwrap();
        let shard = flight.build(folder.path());
        let watcher = Client::connect(broker.port, "watcher", watched);
        Some(Self { flight, folder, shard, broker, watcher })
    }

    /// Settings with more lines in `[mqtt]`, and further sections.
    pub fn settings(&self, url: &str, mqtt: &str, more: &str) -> PathBuf {
        let config = settings(self.folder.path(), url, &self.shard, &self.flight.model, more);
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("[mqtt]\n", &format!("[mqtt]\n{mqtt}"))).unwrap();
        config
    }

    /// A picture of which there is a fix.
    pub fn picture(&self) -> Vec<u8> {
        self.flight.frame(&self.flight.files("query")[0])
    }

    /// Waits for the state `online`.
    pub fn wait_until_online(&mut self, daemon: &Daemon) {
        let is_status = |message: &Message| message.topic.ends_with("/status");
        loop {
            let status = self.watcher.next_within(crate::support::PATIENCE, is_status);
            let status = status.unwrap_or_else(|| panic!("no status; the daemon says:\n{}", daemon.log())).json();
            if status["state"] == "online" {
                return;
            }
            assert_ne!(status["state"], "degraded", "{status}\n{}", daemon.log());
        }
    }

    /// The answer for the frame `id`.
    pub fn answer(&mut self, camera: &str, id: &str) -> Value {
        let topic = format!("{BASE}/cam/{camera}/fix");
        let is_answer = |message: &Message| message.topic == topic && message.json()["id"] == id;
        let answer = self.watcher.next(&format!("the answer to {id}"), is_answer).json();
        assert_valid("fix", &answer);
        answer
    }

    /// Stops the daemon and gives its last figures.
    pub fn stop(&mut self, daemon: &mut Daemon) -> Value {
        let (status, _) = daemon.stop();
        assert!(status.success(), "{status}\n{}", daemon.log());
        let mut stats = Value::Null;
        let is_stats = |message: &Message| message.topic.ends_with("/stats");
        while let Some(message) = self.watcher.next_within(std::time::Duration::from_secs(1), is_stats) {
            stats = message.json();
            assert_valid("stats", &stats);
        }
        stats
    }
}

/// Waits until the daemon has logged `words`.
pub fn wait_for_log(daemon: &Daemon, words: &str) {
    let what = format!("\"{words}\" in the log");
    let start = std::time::Instant::now();
    while !daemon.log().contains(words) {
        assert!(start.elapsed() < crate::support::PATIENCE, "waited for {what}:\n{}", daemon.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A path as TOML writes it.
pub fn quoted(path: &Path) -> String {
    format!("{path:?}")
}
