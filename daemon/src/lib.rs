//! `geolocated` answers on the device where a camera frame was taken, and publishes the answer over MQTT.
//!
//! Two rooms: [`locate`] finds the place of a frame and knows nothing of the world outside; [`service`] brings frames in
//! and answers out. [`assemble`] opens the files that a pipeline needs;
//! [`no_telemetry`] keeps a library from reporting to its maker.

pub mod assemble;
pub mod locate;
pub mod no_telemetry;
pub mod service;
