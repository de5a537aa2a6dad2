//! What the sender of a frame says of it.

use jiff::Timestamp;
use serde_json::Value;

use crate::locate::{Hints, Prior};

/// Metadata of one frame, from MQTT 5 user properties or from a `meta` message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FrameMetadata {
    /// Name of the frame.
    pub id: Option<String>,
    /// When it was taken, Unix milliseconds UTC.
    pub captured_at_ms: Option<i64>,
    /// Measurements of the platform.
    pub hints: Hints,
    /// Where the camera is known to be.
    pub prior: Option<Prior>,
}

const ID_BYTES: usize = 128;

impl FrameMetadata {
    /// Reads key and value pairs. Unknown keys are not ours and are passed over; each known key whose value makes no
    /// sense is left out and described in the second part: key, value found, what was expected.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> (Self, Vec<String>) {
        let mut reading = Reading::default();
        for (key, value) in pairs {
            reading.take(key, value);
        }
        reading.finish()
    }

    /// Reads a JSON object with the same keys, numbers as numbers or strings.
    ///
    /// # Errors
    /// When the payload is no JSON object.
    pub fn from_json(payload: &[u8]) -> Result<(Self, Vec<String>), String> {
        let value: Value =
            serde_json::from_slice(payload).map_err(|error| format!("expected a JSON object: {error}"))?;
        let Value::Object(object) = value else {
            return Err(format!("expected a JSON object, found {}", kind(&value)));
        };
        let mut reading = Reading::default();
        for (key, value) in &object {
            match value {
                Value::String(text) => reading.take(key, text),
                Value::Number(number) => reading.take(key, &number.to_string()),
                other => reading.take(key, kind(other)),
            }
        }
        Ok(reading.finish())
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[derive(Debug, Default)]
struct Reading {
    metadata: FrameMetadata,
    prior_lat: Option<f64>,
    prior_lon: Option<f64>,
    prior_radius_m: Option<f64>,
    problems: Vec<String>,
}

impl Reading {
    fn take(&mut self, key: &str, value: &str) {
        let hints = &mut self.metadata.hints;
        let taken = match key {
            "id" => frame_id(value).map(|id| self.metadata.id = Some(id)),
            "captured_at" => time_ms(value).map(|time| self.metadata.captured_at_ms = Some(time)),
            "heading_deg" => number(value, 0.0, 360.0).map(|n| hints.heading_deg = Some(n as f32 % 360.0)),
            "pitch_deg" => number(value, -90.0, 90.0).map(|n| hints.pitch_deg = Some(n as f32)),
            "rel_alt_m" => number(value, -1e5, 1e5).map(|n| hints.rel_alt_m = Some(n as f32)),
            "agl_m" => number(value, 0.0, 1e5).map(|n| hints.agl_m = Some(n as f32)),
            "speed_mps" => number(value, 0.0, 1e4).map(|n| hints.speed_mps = Some(n as f32)),
            "hfov_deg" => number(value, 0.1, 360.0).map(|n| hints.hfov_deg = Some(n as f32)),
            "prior_lat" => number(value, -90.0, 90.0).map(|n| self.prior_lat = Some(n)),
            "prior_lon" => number(value, -180.0, 180.0).map(|n| self.prior_lon = Some(n)),
            "prior_radius_m" => number(value, 0.1, 2.1e7).map(|n| self.prior_radius_m = Some(n)),
            _ => Ok(()),
        };
        if let Err(expected) = taken {
            let shown: String = value.chars().take(40).collect();
            self.problems.push(format!("{key}: expected {expected}, found \"{}\"", shown.escape_debug()));
        }
    }

    fn finish(mut self) -> (FrameMetadata, Vec<String>) {
        match (self.prior_lat, self.prior_lon, self.prior_radius_m) {
            (Some(lat), Some(lon), Some(radius_m)) => match Prior::new(lat, lon, radius_m) {
                Ok(prior) => self.metadata.prior = Some(prior),
                Err(problem) => self.problems.push(format!("prior: {problem}")),
            },
            (None, None, None) => {}
            _ => self.problems.push("prior: expected prior_lat, prior_lon and prior_radius_m together".to_owned()),
        }
        (self.metadata, self.problems)
    }
}

fn frame_id(value: &str) -> Result<String, String> {
    if (1..=ID_BYTES).contains(&value.len()) && !value.chars().any(char::is_control) {
        Ok(value.to_owned())
    } else {
        Err(format!("1 to {ID_BYTES} bytes without control characters"))
    }
}

fn time_ms(value: &str) -> Result<i64, String> {
    value
        .parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|_| "an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned())
}

fn number(value: &str, least: f64, most: f64) -> Result<f64, String> {
    match value.trim().parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("a number within {least} and {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_read_and_unknown_ones_passed_over() {
        let (metadata, problems) = FrameMetadata::from_pairs([
            ("id", "frame-1"),
            ("captured_at", "2014-10-19T13:20:51.5Z"),
            ("heading_deg", "360"),
            ("agl_m", "44.5"),
            ("colour", "red"),
            ("prior_lat", "30.1"),
            ("prior_lon", "-98.1"),
            ("prior_radius_m", "500"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(metadata.id.as_deref(), Some("frame-1"));
        assert_eq!(metadata.captured_at_ms, Some(1_413_724_851_500));
        assert_eq!(metadata.hints.heading_deg, Some(0.0));
        assert_eq!(metadata.hints.agl_m, Some(44.5));
        assert_eq!(metadata.prior, Some(Prior { lat_deg: 30.1, lon_deg: -98.1, radius_m: 500.0 }));
    }

    #[test]
    fn a_bad_value_is_left_out_and_named_and_the_rest_stays() {
        let (metadata, problems) =
            FrameMetadata::from_pairs([("heading_deg", "north"), ("captured_at", "yesterday"), ("agl_m", "12")]);
        assert_eq!(metadata.hints.agl_m, Some(12.0));
        assert_eq!(metadata.hints.heading_deg, None);
        assert_eq!(problems.len(), 2);
        assert!(
            problems.iter().any(|p| p.starts_with("heading_deg: expected a number within 0 and 360, found \"north\""))
        );
        for bad in ["NaN", "inf", "-1", "361", ""] {
            assert_eq!(FrameMetadata::from_pairs([("heading_deg", bad)]).1.len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_prior_in_part_is_named_and_not_guessed() {
        let (metadata, problems) = FrameMetadata::from_pairs([("prior_lat", "30"), ("prior_lon", "8")]);
        assert_eq!(metadata.prior, None);
        assert_eq!(problems, ["prior: expected prior_lat, prior_lon and prior_radius_m together"]);
    }

    #[test]
    fn json_gives_the_same_as_properties() {
        let (from_json, problems) =
            FrameMetadata::from_json(br#"{"id":"f","heading_deg":12.5,"agl_m":"40","extra":[1]}"#).unwrap();
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(from_json, FrameMetadata::from_pairs([("id", "f"), ("heading_deg", "12.5"), ("agl_m", "40")]).0);
        assert!(FrameMetadata::from_json(b"[1]").unwrap_err().contains("found an array"));
        assert!(FrameMetadata::from_json(b"\xff").unwrap_err().contains("expected a JSON object"));
        assert_eq!(FrameMetadata::from_json(br#"{"heading_deg":null}"#).unwrap().1.len(), 1);
    }
}
