//! Fixes as NMEA 0183 over TCP, for autopilots and chart plotters: as if a receiver spoke that only estimates.
//!
//! A sentence goes out for a fix alone: without a position the line is silent, and whoever listens notices by time. A
//! listener that is slow misses sentences; it never holds anybody up.

mod sentences;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::Answer;
use crate::locate::FixMessage;
use crate::service::settings::NmeaSettings;

pub(in crate::service) use self::server::NmeaServer;

/// Fixes that a slow listener may lag behind.
const LAG: usize = 8;

/// Where fixes go that are to become sentences. Shared between threads.
#[derive(Debug)]
pub(in crate::service) struct Nmea {
    settings: NmeaSettings,
    sentences: broadcast::Sender<Arc<str>>,
}

impl Nmea {
    pub(in crate::service) fn new(settings: NmeaSettings) -> Self {
        Self { settings, sentences: broadcast::Sender::new(LAG) }
    }

    /// Where to listen.
    fn listen(&self) -> SocketAddr {
        self.settings.listen
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<str>> {
        self.sentences.subscribe()
    }

    /// Tells all listeners of an answer, if it is a fix of the right camera and of the right place.
    pub(in crate::service) fn offer(&self, message: &FixMessage) {
        if self.sentences.receiver_count() == 0 {
            return;
        }
        let answer = serde_json::to_value(message).and_then(serde_json::from_value::<Answer>);
        if let Some(text) = answer.ok().and_then(|answer| self.text(&answer)) {
            // Nobody listens any more: nothing is lost.
            self.sentences.send(text.into()).ok();
        }
    }

    fn text(&self, answer: &Answer) -> Option<String> {
        let of_camera = self.settings.camera.is_none() || self.settings.camera == answer.cam;
        let of_place = self.settings.footprint_centre || answer.position_of.as_deref() == Some("camera");
        (of_camera && of_place).then(|| sentences::of(&self.settings.talker, answer)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::fix;
    use super::*;
    use serde_json::{Value, json};

    fn nmea(camera: Option<&str>, footprint_centre: bool) -> Nmea {
        Nmea::new(NmeaSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            camera: camera.map(str::to_owned),
            talker: "GP".to_owned(),
            footprint_centre,
        })
    }

    #[test]
    fn only_fixes_of_the_camera_and_of_its_own_place_are_spoken() {
        let said = |nmea: &Nmea, changes: Value| nmea.text(&fix(&changes)).is_some();
        assert!(said(&nmea(None, false), json!({})));
        assert!(said(&nmea(Some("nadir"), false), json!({})) && !said(&nmea(Some("front"), false), json!({})));
        let of_ground = json!({"position_of": "footprint_centre"});
        assert!(!said(&nmea(None, false), of_ground.clone()) && said(&nmea(None, true), of_ground));
        for status in ["ambiguous", "no_fix", "error"] {
            assert!(!said(&nmea(None, true), json!({"status": status, "lat": null, "lon": null})), "{status}");
        }
    }
}
