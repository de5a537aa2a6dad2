//! What waits to be published beside the device's own topics: the newest message of each topic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tracing::{debug, warn};

use super::home_assistant::HomeAssistant;
use super::retained::RetainedTopics;
use super::{Answer, geojson, owntracks};
use crate::service::link::Shared;
use crate::service::{Settings, Topics};

/// Topics that a camera may have here: a tracker, a location, a feature; and those of the device.
const TOPICS_PER_CAMERA: usize = 3;
const TOPICS_OF_DEVICE: usize = 16;

/// Retained messages in other people's words. An empty one removes what the broker keeps.
#[derive(Debug)]
pub(in crate::service) struct Beside {
    home_assistant: Option<HomeAssistant>,
    /// What comes before the site in topics of OwnTracks.
    owntracks: Option<String>,
    geojson: bool,
    topics: Topics,
    /// `<site>/<device>-`, what comes before the camera there.
    device: String,
    retained: RetainedTopics,
    pending: BTreeMap<String, Vec<u8>>,
    announced: BTreeSet<String>,
}

impl Beside {
    pub(in crate::service) fn new(shared: &Shared) -> Self {
        Self::of(&shared.settings, &shared.topics)
    }

    fn of(settings: &Settings, topics: &Topics) -> Self {
        let publish = &settings.publish;
        let most = settings.inbox.cameras.saturating_mul(2 * TOPICS_PER_CAMERA).saturating_add(TOPICS_OF_DEVICE);
        Self {
            home_assistant: publish.home_assistant.as_ref().map(|prefix| {
                HomeAssistant::new(prefix, &settings.topic_prefix, &settings.site, &settings.device, topics)
            }),
            owntracks: publish.owntracks.clone(),
            geojson: publish.geojson,
            topics: topics.clone(),
            device: format!("{}/{}-", settings.site, settings.device),
            retained: RetainedTopics::open(&settings.state_dir.join("retained_topics"), most),
            pending: BTreeMap::new(),
            announced: BTreeSet::new(),
        }
    }

    /// A broker is there: it is told of the device, and rid of what is switched off.
    pub(in crate::service) fn connection_made(&mut self) {
        self.announced.clear();
        for topic in self.retained.all_but(|topic| self.is_wanted(topic)) {
            self.pending.insert(topic, Vec::new());
        }
        let device = self.home_assistant.as_ref().map(HomeAssistant::device).unwrap_or_default();
        for (topic, config) in device {
            self.offer_message(topic, &config);
        }
    }

    /// Takes in the newest answer for a camera.
    pub(in crate::service) fn offer(&mut self, camera: &str, fix: &[u8]) {
        if self.home_assistant.is_none() && self.owntracks.is_none() && !self.geojson {
            return;
        }
        let answer: Answer = match serde_json::from_slice(fix) {
            Ok(answer) => answer,
            Err(problem) => return warn!(camera, %problem, "an answer cannot be said in other words"),
        };
        if let Some(home_assistant) = &self.home_assistant
            && self.announced.insert(camera.to_owned())
        {
            let (topic, config) = home_assistant.camera(camera);
            self.offer_message(topic, &config);
        }
        if self.geojson {
            self.offer_message(self.topics.geojson(camera), &geojson::feature(&answer));
        }
        if let Some(prefix) = &self.owntracks {
            let topic = format!("{prefix}/{}{camera}", self.device);
            if let Some(location) = owntracks::location(&answer, camera) {
                self.offer_message(topic, &location);
            }
        }
    }

    /// A topic and what it should hold. It waits no more.
    pub(in crate::service) fn send_next(&mut self) -> Option<(String, Vec<u8>)> {
        self.pending.pop_first()
    }

    /// The client could not take it just now; something newer stays.
    pub(in crate::service) fn give_back(&mut self, topic: String, payload: Vec<u8>) {
        self.pending.entry(topic).or_insert(payload);
    }

    /// The broker has what a topic should hold; what was removed is forgotten.
    pub(in crate::service) fn acknowledge(&mut self, topic: &str) {
        if !self.is_wanted(topic) {
            self.retained.remove(topic);
        }
    }

    /// Whether nothing waits.
    pub(in crate::service) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn offer_message(&mut self, topic: String, message: &Value) {
        if self.retained.add(&topic) {
            self.pending.insert(topic, message.to_string().into_bytes());
        } else {
            debug!(topic, "too many cameras had messages of this kind: not published");
        }
    }

    fn is_wanted(&self, topic: &str) -> bool {
        let is_location = |prefix: &String| {
            let rest = topic.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| rest.starts_with(&self.device))
        };
        self.home_assistant.as_ref().is_some_and(|home_assistant| home_assistant.announces(topic))
            || self.owntracks.as_ref().is_some_and(is_location)
            || (self.geojson && self.topics.is_geojson(topic))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    pub(in super::super) fn assert_valid(schema: &str, instance: &Value) {
        let path = format!("{}/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let problems: Vec<String> = validator.iter_errors(instance).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
    }

    fn beside(dir: &Path, publish: &str) -> Beside {
        for file in ["a.shard", "model.toml"] {
            std::fs::write(dir.join(file), "").unwrap();
        }
        let text = format!(
            "[device]\nsite = \"field\"\nname = \"drone-7\"\nstate_dir = \"state\"\n[mqtt]\nurl = \"mqtt://h\"\n[index]\n\
             shards = [\"a.shard\"]\n[models]\nencoder = \"model.toml\"\n{publish}"
        );
        std::fs::write(dir.join("settings.toml"), text).unwrap();
        let settings = Settings::load(&dir.join("settings.toml"), []).unwrap();
        Beside::of(&settings, &Topics::new("geolocated", "field", "drone-7"))
    }

    const ALL: &str = "[publish.home_assistant]\nenabled = true\n[publish.owntracks]\nenabled = true\n\
                       [publish.geojson]\nenabled = true\n";

    fn fix(seq: u64) -> Vec<u8> {
        let fix = json!({
            "v": 1, "id": "f", "boot": 1, "seq": seq, "cam": "nadir", "status": "fix", "lat": 1.0, "lon": 2.0,
            "captured_at": "2026-01-31T12:00:00.000Z", "position_of": "camera"
        });
        fix.to_string().into_bytes()
    }

    fn sent(beside: &mut Beside) -> BTreeMap<String, Vec<u8>> {
        std::iter::from_fn(|| beside.send_next()).collect()
    }

    #[test]
    fn nothing_is_published_unless_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut beside = beside(dir.path(), "");
        beside.connection_made();
        beside.offer("nadir", &fix(1));
        assert!(beside.is_empty() && !dir.path().join("state").exists());
    }

    #[test]
    fn the_newest_of_each_topic_waits_and_what_is_switched_off_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = beside(dir.path(), ALL);
        all.connection_made();
        for seq in 1..5 {
            all.offer("nadir", &fix(seq));
        }
        let messages = sent(&mut all);
        assert_eq!(messages.len(), 4 + 3, "{:?}", messages.keys());
        let feature: Value = serde_json::from_slice(&messages["geolocated/field/drone-7/cam/nadir/geojson"]).unwrap();
        assert_eq!(feature["properties"]["seq"], 4);
        assert!(messages.contains_key("owntracks/field/drone-7-nadir"));
        messages.keys().for_each(|topic| all.acknowledge(topic));
        all.offer("nadir", &fix(9));
        assert_eq!(sent(&mut all).len(), 2, "a camera is announced once in a connection");

        let mut fewer = beside(dir.path(), "[publish.geojson]\nenabled = true\n");
        fewer.connection_made();
        let removed = sent(&mut fewer);
        assert_eq!(removed.len(), 6);
        assert!(removed.values().all(Vec::is_empty) && removed.keys().all(|topic| !topic.ends_with("/geojson")));
        let mut again = beside(dir.path(), "[publish.geojson]\nenabled = true\n");
        again.connection_made();
        assert_eq!(sent(&mut again).len(), 6, "until the broker has acknowledged it");
        removed.keys().for_each(|topic| fewer.acknowledge(topic));
        let mut after = beside(dir.path(), "[publish.geojson]\nenabled = true\n");
        after.connection_made();
        assert!(after.is_empty());
    }

    #[test]
    fn thousands_of_cameras_do_not_fill_the_broker() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = beside(dir.path(), &format!("{ALL}[frames]\nmax_cameras = 4\n"));
        for n in 0..5000 {
            all.offer(&format!("cam{n}"), &fix(n));
        }
        assert!(sent(&mut all).len() <= 4 * 2 * TOPICS_PER_CAMERA + TOPICS_OF_DEVICE);
    }
}
