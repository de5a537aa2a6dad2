//! A frame that is flown: what is known of it, and what came back.

use std::path::PathBuf;

use geolocated::locate::{FixMessage, MessageStatus, distance_m};

use super::outcome::Outcome;

/// What a frame shows, and so what should come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// Mapped ground: a fix near the truth.
    Map,
    /// The edge of the map: either is right, and the frame is not judged.
    Edge,
    /// Other ground: no fix.
    Elsewhere,
    /// Nothing that can be located, and why: no fix.
    Bad(&'static str),
}

/// A frame of the demo.
#[derive(Debug, Clone)]
pub(super) struct Flown {
    /// Its name, under which it is published.
    pub(super) id: String,
    /// The file.
    pub(super) picture: PathBuf,
    /// Which flight it belongs to.
    pub(super) flight: String,
    /// True latitude of the camera.
    pub(super) lat_deg: f64,
    /// True longitude of the camera.
    pub(super) lon_deg: f64,
    /// What it shows.
    pub(super) shows: Shows,
    /// What is published beside the picture: never a position.
    pub(super) said: Vec<(&'static str, String)>,
    /// For people: season, height and the like.
    pub(super) about: String,
    /// What came back, one answer for each stage of the pipeline, in the order in which they came.
    pub(super) answers: Vec<Answer>,
}

/// An answer and how long it was under way.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The fix object.
    pub(super) message: FixMessage,
    /// From publishing the frame to receiving this, in milliseconds.
    pub(super) after_ms: f64,
}

impl Answer {
    /// Name of the stage, as it stands in the message.
    pub(super) fn stage(&self) -> String {
        let name = serde_json::to_value(self.message.stage).ok();
        name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The published position in degrees.
    pub(super) fn position(&self) -> Option<(f64, f64)> {
        self.message.lat.zip(self.message.lon).filter(|_| self.message.status == MessageStatus::Fix)
    }
}

impl Flown {
    /// Metres from the truth.
    pub(super) fn off_m(&self, lat_deg: f64, lon_deg: f64) -> f64 {
        distance_m(self.lat_deg, self.lon_deg, lat_deg, lon_deg)
    }

    /// Metres between the truth and the position that an answer gives.
    pub(super) fn error_m(&self, answer: &Answer) -> Option<f64> {
        answer.position().map(|(lat, lon)| self.off_m(lat, lon))
    }

    /// Where the upper edge of the picture points, clockwise from north, where the drone says so.
    pub(super) fn heading_deg(&self) -> Option<f64> {
        let heading = self.said.iter().find(|(key, _)| *key == "heading_deg");
        heading.and_then(|(_, deg)| deg.parse().ok())
    }

    /// The newest answer, which goes before those of earlier stages.
    pub(super) fn last(&self) -> Option<&Answer> {
        self.answers.last()
    }

    /// The answer of a stage.
    pub(super) fn of_stage(&self, stage: &str) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.stage() == stage)
    }

    /// How the newest answer is to be judged.
    pub(super) fn outcome(&self, right_within_m: f64) -> Outcome {
        self.outcome_of(self.last(), right_within_m)
    }

    /// How an answer is to be judged.
    pub(super) fn outcome_of(&self, answer: Option<&Answer>, right_within_m: f64) -> Outcome {
        let Some(answer) = answer else { return Outcome::Replaced };
        match (self.shows, answer.message.status) {
            (_, MessageStatus::Error) => Outcome::Failed,
            (Shows::Edge, _) => Outcome::Edge,
            (Shows::Map, MessageStatus::Fix) => {
                let is_right = self.error_m(answer).is_some_and(|error_m| error_m <= right_within_m);
                if is_right { Outcome::Right } else { Outcome::Wrong }
            }
            (Shows::Map, MessageStatus::Ambiguous) => Outcome::Ambiguous,
            (Shows::Map, MessageStatus::NoFix) => Outcome::NoFix,
            (Shows::Elsewhere | Shows::Bad(_), MessageStatus::Fix) => Outcome::FalseFix,
            (Shows::Elsewhere | Shows::Bad(_), _) => Outcome::Refused,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame at 50 N 8 E with an answer of this form: `fix 50.001`, `ambiguous`, `no_fix`, `error`, or none.
    pub(in super::super) fn flown(id: &str, shows: Shows, answer: &str) -> Flown {
        let (status, lat) = answer.split_once(' ').unwrap_or((answer, ""));
        let position = if lat.is_empty() { String::new() } else { format!(r#""lat":{lat},"lon":8.0,"#) };
        let candidate = if lat.is_empty() { "50.1" } else { lat };
        let text = format!(
            r#"{{"v":1,"id":"{id}","stage":"retrieved","status":"{status}",{position}
            "candidates":[{{"lat":{candidate},"lon":8.0,"similarity":0.9,"reference":"a.jpg"}}],
            "index":{{"digest":"","verified":true}},"models":{{}},"ms":{{"embed":2.0,"total":3.0}}}}"#
        );
        let answers = match status {
            "" => Vec::new(),
            _ => vec![Answer { message: serde_json::from_str(&text).unwrap(), after_ms: 5.0 }],
        };
        Flown {
            id: id.to_owned(),
            picture: PathBuf::from(id),
            flight: "1".to_owned(),
            lat_deg: 50.0,
            lon_deg: 8.0,
            shows,
            said: Vec::new(),
            about: String::new(),
            answers,
        }
    }

    #[test]
    fn answers_are_judged_by_what_the_frame_shows() {
        let (map, other, bad) = (Shows::Map, Shows::Elsewhere, Shows::Bad("dark"));
        for (shows, answer, expected) in [
            (map, "fix 50.0005", Outcome::Right),
            (map, "fix 50.001", Outcome::Wrong),
            (map, "ambiguous", Outcome::Ambiguous),
            (map, "no_fix", Outcome::NoFix),
            (map, "error", Outcome::Failed),
            (map, "", Outcome::Replaced),
            (other, "fix 50.0", Outcome::FalseFix),
            (other, "ambiguous", Outcome::Refused),
            (bad, "no_fix", Outcome::Refused),
            (bad, "error", Outcome::Failed),
            (Shows::Edge, "fix 50.0", Outcome::Edge),
        ] {
            assert_eq!(flown("f", shows, answer).outcome(80.0), expected, "{shows:?} {answer}");
        }
    }
}
