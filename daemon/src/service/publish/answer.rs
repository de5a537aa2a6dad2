//! What others need of a fix object.

use jiff::Timestamp;
use serde::Deserialize;

/// The parts of a fix object that have a meaning elsewhere. Others are passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(in crate::service) struct Answer {
    pub(super) id: String,
    pub(super) boot: Option<u64>,
    pub(super) seq: Option<u64>,
    pub(super) cam: Option<String>,
    pub(super) captured_at: Option<String>,
    pub(super) published_at: Option<String>,
    pub(super) clock: Option<String>,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) lat: Option<f64>,
    pub(super) lon: Option<f64>,
    pub(super) position_of: Option<String>,
    pub(super) radius_68_m: Option<f64>,
    pub(super) radius_95_m: Option<f64>,
}

impl Answer {
    /// Latitude and longitude in WGS 84 degrees, of an answer that is a fix.
    pub(super) fn position(&self) -> Option<(f64, f64)> {
        (self.status == "fix").then_some(self.lat.zip(self.lon)).flatten()
    }

    /// When the position held: when the picture was taken, else when the answer was published if the clock may be right.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let by_clock = self.published_at.as_ref().filter(|_| self.clock.as_deref() != Some("unsynced"));
        self.captured_at.as_ref().or(by_clock)?.parse().ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A fix with the changes of a test.
    pub(in super::super) fn fix(changes: &Value) -> Answer {
        let mut fix = json!({
            "v": 1, "id": "img.jpg", "boot": 3, "seq": 7, "cam": "nadir", "stage": "retrieved", "status": "fix",
            "captured_at": "2026-01-31T12:00:00.250Z", "lat": 30.1711628, "lon": -98.0898855,
            "position_of": "camera", "index": {}, "models": {}, "ms": {}
        });
        for (key, value) in changes.as_object().unwrap() {
            fix[key] = value.clone();
        }
        serde_json::from_value(fix).unwrap()
    }

    #[test]
    fn only_a_fix_has_a_position_and_only_a_clock_that_may_be_right_tells_the_time() {
        assert_eq!(fix(&json!({})).position(), Some((30.1711628, -98.0898855)));
        assert_eq!(fix(&json!({"status": "no_fix"})).position(), None);
        assert_eq!(fix(&json!({})).time().unwrap().as_millisecond(), 1_769_860_800_250);
        let published = json!({"captured_at": null, "published_at": "2026-01-31T12:00:01Z"});
        assert_eq!(fix(&published).time().unwrap().as_second(), 1_769_860_801);
        let unsynced = json!({"captured_at": null, "published_at": "1970-01-01T00:00:09Z", "clock": "unsynced"});
        assert_eq!(fix(&unsynced).time(), None);
    }
}
