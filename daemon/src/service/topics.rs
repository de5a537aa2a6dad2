//! The topic tree of one device.

/// Names of the topics of one device: `<prefix>/<site>/<device>/…`, at most six slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    base: String,
}

/// What a message that came in is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboundTopic<'a> {
    /// A frame of this camera.
    Frame(&'a str),
    /// Metadata of the next frame of this camera.
    Meta(&'a str),
    /// A command with this verb.
    Command(&'a str),
}

impl Topics {
    /// Topics below `<prefix>/<site>/<device>`. The parts were checked with the settings.
    pub fn new(prefix: &str, site: &str, device: &str) -> Self {
        Self { base: format!("{prefix}/{site}/{device}") }
    }

    /// Retained state of the device, and its last will.
    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// Retained description of the device.
    pub fn info(&self) -> String {
        format!("{}/info", self.base)
    }

    /// Counters, regularly.
    pub fn stats(&self) -> String {
        format!("{}/stats", self.base)
    }

    /// Where one camera publishes its frames.
    pub fn frame(&self, camera: &str) -> String {
        format!("{}/cam/{camera}/frame", self.base)
    }

    /// Answers for the frames of one camera.
    pub fn fix(&self, camera: &str) -> String {
        format!("{}/cam/{camera}/fix", self.base)
    }

    /// Retained newest answer for one camera.
    pub fn last(&self, camera: &str) -> String {
        format!("{}/cam/{camera}/last", self.base)
    }

    /// Retained newest answer for one camera as a GeoJSON feature.
    pub fn geojson(&self, camera: &str) -> String {
        format!("{}/cam/{camera}/geojson", self.base)
    }

    /// Whether `topic` is such a one.
    pub(super) fn is_geojson(&self, topic: &str) -> bool {
        let below = topic.strip_prefix(self.base.as_str()).and_then(|below| below.strip_prefix("/cam/"));
        below.and_then(|below| below.strip_suffix("/geojson")).is_some_and(|camera| !camera.contains('/'))
    }

    /// Where the answer to a command goes that names no place for it.
    pub fn reply(&self, verb: &str) -> String {
        format!("{}/cmd/{verb}/reply", self.base)
    }

    /// Where frames and their metadata come from.
    pub fn frame_subscriptions(&self) -> [String; 2] {
        [format!("{}/cam/+/meta", self.base), format!("{}/cam/+/frame", self.base)]
    }

    /// Where commands come from.
    pub fn command_subscription(&self) -> String {
        format!("{}/cmd/+", self.base)
    }

    /// What a message on `topic` is about; `None` for topics that are none of ours.
    pub fn parse<'a>(&self, topic: &'a str) -> Option<InboundTopic<'a>> {
        let below = topic.strip_prefix(self.base.as_str())?;
        if let Some(verb) = below.strip_prefix("/cmd/") {
            return (!verb.is_empty() && !verb.contains('/')).then_some(InboundTopic::Command(verb));
        }
        let below = below.strip_prefix("/cam/")?;
        let (camera, leaf) = below.split_once('/')?;
        match leaf {
            _ if camera.is_empty() => None,
            "frame" => Some(InboundTopic::Frame(camera)),
            "meta" => Some(InboundTopic::Meta(camera)),
            _ => None,
        }
    }
}

/// Whether `text` may be one level of a topic: 1 to 64 bytes, none of `/ + # $` and no control character.
pub(super) fn valid_level(text: &str) -> bool {
    (1..=64).contains(&text.len()) && !text.chars().any(|c| matches!(c, '/' | '+' | '#' | '$') || c.is_control())
}

/// Whether `text` may stand before the site: one or two levels, so that the deepest topic has at most six slashes.
pub(super) fn valid_prefix(text: &str) -> bool {
    text.split('/').count() <= 2 && text.split('/').all(valid_level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_where_subscribers_expect_them() {
        let topics = Topics::new("geolocated", "field", "drone-7");
        assert_eq!(topics.status(), "geolocated/field/drone-7/status");
        assert_eq!(topics.fix("nadir"), "geolocated/field/drone-7/cam/nadir/fix");
        assert_eq!(topics.last("nadir"), "geolocated/field/drone-7/cam/nadir/last");
        assert_eq!(Topics::new("a/b", "s", "d").fix("c").matches('/').count(), 6);
    }

    #[test]
    fn only_own_frames_metadata_and_commands_are_taken() {
        let topics = Topics::new("geolocated", "field", "drone-7");
        assert_eq!(topics.parse("geolocated/field/drone-7/cam/a/frame"), Some(InboundTopic::Frame("a")));
        assert_eq!(topics.parse("geolocated/field/drone-7/cam/a/meta"), Some(InboundTopic::Meta("a")));
        assert_eq!(topics.parse("geolocated/field/drone-7/cmd/flush"), Some(InboundTopic::Command("flush")));
        for other in [
            "geolocated/field/drone-7/cam/a/fix",
            "geolocated/field/drone-70/cam/a/frame",
            "geolocated/field/drone-7/cam//frame",
            "geolocated/field/drone-7/cam/a/b/frame",
            "geolocated/field/drone-7/cam/frame",
            "geolocated/field/drone-7/cmd/",
            "geolocated/field/drone-7/cmd/flush/reply",
            "",
        ] {
            assert_eq!(topics.parse(other), None, "{other}");
        }
    }

    #[test]
    fn levels_with_wildcards_slashes_or_nothing_are_refused() {
        assert!(valid_level("drone-7") && valid_level("Straße 5"));
        for bad in ["", "a/b", "+", "a#", "$SYS", "a\0", "a\n"] {
            assert!(!valid_level(bad), "{bad:?}");
        }
        assert!(!valid_level(&"x".repeat(65)));
        assert!(valid_prefix("fleet/geolocated") && !valid_prefix("a/b/c") && !valid_prefix("a//b"));
    }
}
