//! Home Assistant's MQTT discovery: a tracker for each camera, and sensors for the device's own state.
//!
//! Discovery only says where to look: the values come from the device's usual topics, by templates.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::Topics;

/// Attributes of a tracker: a position only where the newest answer is a fix, an accuracy only where it is known.
const ATTRIBUTES: &str = "{% set a = {'status': value_json.status, 'frame': value_json.id} %}\
    {% if value_json.lat is defined %}{% set a = dict(a, latitude=value_json.lat, longitude=value_json.lon) %}{% endif %}\
    {% if value_json.radius_68_m is defined %}{% set a = dict(a, gps_accuracy=value_json.radius_68_m) %}{% endif %}\
    {{ a | tojson }}";
const AVAILABLE: &str = "{{ 'online' if value_json.state in ['online', 'degraded'] else 'offline' }}";

/// The device as Home Assistant shall know it.
#[derive(Debug, Clone)]
pub(super) struct HomeAssistant {
    prefix: String,
    /// Name of the device in topics and ids.
    node: String,
    site: String,
    device: String,
    topics: Topics,
}

impl HomeAssistant {
    /// Discovery below `prefix` for a device whose topics are `topics`.
    pub(super) fn new(prefix: &str, base: &str, site: &str, device: &str, topics: &Topics) -> Self {
        let node = slug(&format!("{base}-{site}-{device}"));
        let [prefix, site, device] = [prefix, site, device].map(str::to_owned);
        Self { prefix, node, site, device, topics: topics.clone() }
    }

    /// Whether a topic is one of those that announce this device.
    pub(super) fn announces(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|rest| rest.split('/').nth(1) == Some(self.node.as_str()) && rest.ends_with("/config"))
    }

    /// Topics and contents that announce the device's own state.
    pub(super) fn device(&self) -> Vec<(String, Value)> {
        let stats = self.topics.stats();
        [
            ("state", "State", self.topics.status(), "{{ value_json.state }}", json!({})),
            (
                "waiting",
                "Waiting fixes",
                stats.clone(),
                "{{ value_json.outbox.queued }}",
                json!({"state_class": "measurement"}),
            ),
            (
                "answered",
                "Frames answered",
                stats.clone(),
                "{{ value_json.counters.frames_answered }}",
                json!({"state_class": "total_increasing"}),
            ),
            (
                "dropped",
                "Fixes dropped",
                stats,
                "{{ value_json.counters.fixes_dropped }}",
                json!({"state_class": "total_increasing"}),
            ),
        ]
        .into_iter()
        .map(|(id, name, topic, template, more)| {
            let mut config = self.common(id, name);
            merge(
                &mut config,
                json!({ "state_topic": topic, "value_template": template, "entity_category": "diagnostic" }),
            );
            merge(&mut config, more);
            (format!("{}/sensor/{}/{id}/config", self.prefix, self.node), config)
        })
        .collect()
    }

    /// Topic and content that announce a camera.
    pub(super) fn camera(&self, camera: &str) -> (String, Value) {
        let id = format!("cam_{}", slug(camera));
        let mut config = self.common(&id, camera);
        merge(
            &mut config,
            json!({
                "json_attributes_topic": self.topics.last(camera),
                "json_attributes_template": ATTRIBUTES,
                "source_type": "gps",
            }),
        );
        (format!("{}/device_tracker/{}/{id}/config", self.prefix, self.node), config)
    }

    fn common(&self, id: &str, name: &str) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        json!({
            "unique_id": format!("{}_{id}", self.node),
            "name": name,
            "availability_topic": self.topics.status(),
            "availability_template": AVAILABLE,
            "device": {
                "identifiers": [self.node],
                "name": self.device,
                "suggested_area": self.site,
                "manufacturer": "geolocated",
                "sw_version": version,
            },
            "origin": { "name": "geolocated", "sw_version": version },
        })
    }
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// A name in the letters that Home Assistant takes. Names that lose letters get a few digits, so that no two are one.
fn slug(text: &str) -> String {
    let kept: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect();
    if kept == text {
        return kept;
    }
    let digest = Sha256::digest(text.as_bytes());
    let digits: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{kept}-{digits}")
}

#[cfg(test)]
mod tests {
    use super::super::beside::tests::assert_valid;
    use super::*;

    fn home_assistant() -> HomeAssistant {
        let topics = Topics::new("geolocated", "field", "drone-7");
        HomeAssistant::new("homeassistant", "geolocated", "field", "drone-7", &topics)
    }

    #[test]
    fn a_camera_is_a_tracker_that_reads_the_newest_answer() {
        let (topic, config) = home_assistant().camera("nadir");
        assert_eq!(topic, "homeassistant/device_tracker/geolocated-field-drone-7/cam_nadir/config");
        assert_valid("home_assistant", &config);
        assert_eq!(config["json_attributes_topic"], "geolocated/field/drone-7/cam/nadir/last");
        assert!(home_assistant().announces(&topic));
    }

    #[test]
    fn the_device_has_diagnostic_sensors_of_its_own_topics() {
        let sensors = home_assistant().device();
        assert_eq!(sensors.len(), 4);
        for (topic, config) in sensors {
            assert_valid("home_assistant", &config);
            assert_eq!(config["entity_category"], "diagnostic");
            assert!(home_assistant().announces(&topic), "{topic}");
        }
    }

    #[test]
    fn names_stay_apart_and_others_topics_are_not_ours() {
        let (one, other) = (home_assistant().camera("Süd").0, home_assistant().camera("Sud").0);
        assert_ne!(one, other);
        assert_ne!(slug("a b"), slug("a_b"));
        for topic in ["homeassistant/sensor/other/state/config", "home/sensor/geolocated-field-drone-7/x/config", ""] {
            assert!(!home_assistant().announces(topic), "{topic}");
        }
    }
}
