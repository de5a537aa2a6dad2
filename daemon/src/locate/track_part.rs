//! What a message says of the track of its camera.

use serde::{Deserialize, Serialize};

use super::track::{TrackEstimate, TrackState};

/// The track of the camera at the time of the frame. A position stands there only while one place holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrackPart {
    /// Latitude in WGS 84 degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat: Option<f64>,
    /// Longitude in WGS 84 degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lon: Option<f64>,
    /// Radius around it in which 95 % of the weight lies, by the track's own model, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius_95_m: Option<f64>,
    /// What the track knows.
    pub state: TrackState,
}

impl From<TrackEstimate> for TrackPart {
    fn from(estimate: TrackEstimate) -> Self {
        let rounded = |value: f64, scale: f64| (value * scale).round() / scale;
        let position = estimate.position;
        Self {
            lat: position.map(|position| rounded(position.lat_deg, 1e7)),
            lon: position.map(|position| rounded(position.lon_deg, 1e7)),
            radius_95_m: position.map(|position| rounded(position.radius_95_m, 10.0)),
            state: estimate.state,
        }
    }
}
