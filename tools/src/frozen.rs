//! Which frames of a flight show the picture before once more.

use std::collections::BTreeMap;

use geolocated::locate::{CameraContext, LastPicture};

/// The newest picture of each flight, as the daemon keeps that of each camera.
#[derive(Debug, Default)]
pub(crate) struct LastPictures(BTreeMap<String, LastPicture>);

impl LastPictures {
    /// Takes in the next picture of a flight, and says whether it is that of an earlier moment.
    pub(crate) fn repeats(&mut self, flight: &str, picture: LastPicture) -> bool {
        let before = self.0.insert(flight.to_owned(), picture);
        CameraContext::after(before, picture.captured_at_ms).previous == Some(picture.fingerprint)
    }
}
