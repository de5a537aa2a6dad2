//! `geolocated` answers on the device where a camera frame was taken, and publishes the answer over MQTT.
//!
//! Two rooms: [`locate`] finds the place of a frame and knows nothing of the world outside; [`service`] brings frames in
//! and answers out. [`reranker`] has a comparator look at what was retrieved, [`generator`] asks a model for the
//! place in words. [`assemble`] opens the files that a pipeline needs;
//! [`calibration`] says how certain its answers are;
//! [`environment`] sets what libraries read at their start.

pub mod assemble;
pub mod calibration;
pub mod download;
pub mod environment;
pub mod generations;
pub mod generator;
pub mod locate;
pub mod reranker;
pub mod service;
pub mod stamps;
pub mod whole_file;

#[cfg(test)]
#[path = "../../tests/faulty_disk/mod.rs"]
mod faulty_disk;
#[cfg(test)]
#[path = "../../tests/faulty_disk/as_disk.rs"]
mod faulty_disk_as_disk;
