//! Answers in other people's words: Home Assistant, OwnTracks, GeoJSON, and NMEA 0183. All off unless asked for.
//!
//! On MQTT these are retained messages beside the device's own topics, the newest of each only. They never pass through
//! the outbox: what is lost of them the next answer replaces. Which topics were published is remembered, so that what is
//! switched off is removed from the broker.

mod answer;
mod beside;
mod geojson;
mod home_assistant;
mod nmea;
mod owntracks;
mod retained;

pub(super) use self::answer::Answer;
pub(super) use self::beside::Beside;
pub(super) use self::nmea::{Nmea, NmeaServer};
