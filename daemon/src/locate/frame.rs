//! A camera frame as it comes in: the encoded picture and what its sender says of it.

use index_shards::Window;
use serde::{Deserialize, Serialize};

use super::distance_m;

/// One encoded picture with its metadata, as a source hands it to the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Name of the frame, unique per device; given by the sender or made by the source.
    pub id: String,
    /// Name of the camera.
    pub camera: String,
    /// When the picture was taken, Unix milliseconds UTC; absent when nobody said so.
    pub captured_at_ms: Option<i64>,
    /// What the platform measured while the picture was taken.
    pub hints: Hints,
    /// Where the camera is known to be, roughly; limits the search.
    pub prior: Option<Prior>,
    /// The picture as JPEG, PNG or WebP bytes.
    pub encoded: Vec<u8>,
}

/// Measurements that may come with a frame. All are optional.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Hints {
    /// Heading of the camera in degrees clockwise from true north, in [0, 360).
    pub heading_deg: Option<f32>,
    /// Pitch of the optical axis in degrees above the horizon, in [-90, 90]; -90 looks straight down.
    pub pitch_deg: Option<f32>,
    /// Height above the take-off point in metres.
    pub rel_alt_m: Option<f32>,
    /// Height above the ground in metres.
    pub agl_m: Option<f32>,
    /// Speed over ground in metres per second, not negative.
    pub speed_mps: Option<f32>,
    /// Horizontal field of view in degrees, in (0, 360].
    pub hfov_deg: Option<f32>,
}

/// A circle on the ground in which the camera is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// Latitude of the centre, WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude of the centre, WGS 84 degrees.
    pub lon_deg: f64,
    /// Radius in metres, positive.
    pub radius_m: f64,
}

impl Prior {
    /// A prior whose numbers make sense, or the name of the one that does not with what was expected of it.
    ///
    /// # Errors
    /// A latitude beyond ±90, a longitude beyond ±180, a radius that is not a positive number.
    pub fn new(lat_deg: f64, lon_deg: f64, radius_m: f64) -> Result<Self, String> {
        if !(-90.0..=90.0).contains(&lat_deg) {
            return Err(format!("latitude is {lat_deg}, expected degrees within -90 and 90"));
        }
        if !(-180.0..=180.0).contains(&lon_deg) {
            return Err(format!("longitude is {lon_deg}, expected degrees within -180 and 180"));
        }
        if !(radius_m.is_finite() && radius_m > 0.0) {
            return Err(format!("radius is {radius_m}, expected metres above 0"));
        }
        Ok(Self { lat_deg, lon_deg, radius_m })
    }
}

/// A radius is taken to hold 95 % of the places: so many deviations of a Gaussian in two dimensions.
const DEVIATIONS_OF_RADIUS: f64 = 2.447_7;
/// What a candidate far from the prior loses at most: a wrong prior must not outweigh everything that is seen.
const MOST_NATS: f64 = 6.0;
/// Where a prior weighs, the search reaches so many of its radii.
const RADII_OF_WINDOW: f64 = 3.0;

impl Prior {
    /// What it adds to the logarithm of a place's weight: that of a Gaussian whose 95 % circle has the prior's radius, 0
    /// at its centre, never less than -6.
    pub fn log_weight(&self, lat_deg: f64, lon_deg: f64) -> f64 {
        let metres = distance_m(self.lat_deg, self.lon_deg, lat_deg, lon_deg);
        let deviations = metres * DEVIATIONS_OF_RADIUS / self.radius_m;
        (-deviations * deviations / 2.0).max(-MOST_NATS)
    }

    /// The window of a search whose candidates are weighed by the prior.
    pub(crate) fn wide_window(self) -> Window {
        Window::from(Self { radius_m: self.radius_m * RADII_OF_WINDOW, ..self })
    }
}

impl From<Prior> for Window {
    fn from(prior: Prior) -> Self {
        Self::Circle { lat_deg: prior.lat_deg, lon_deg: prior.lon_deg, radius_m: prior.radius_m }
    }
}

#[cfg(test)]
mod tests {
    use super::Prior;

    #[test]
    fn a_prior_weighs_by_distance_and_never_decides_alone() {
        let prior = Prior::new(0.0, 179.9999, 100.0).unwrap();
        assert!(prior.log_weight(0.0, 179.9999).abs() < 1e-9);
        // One radius away: -3 nats by definition of the 95 % circle, across the antimeridian too.
        let lon_deg = 179.9999 + 100.0 / 111_195.08 - 360.0;
        assert!((prior.log_weight(0.0, lon_deg) + 2.9956).abs() < 1e-3, "{}", prior.log_weight(0.0, lon_deg));
        assert!((prior.log_weight(80.0, 0.0) + 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_prior_with_impossible_numbers_names_the_number() {
        assert!(Prior::new(91.0, 8.0, 5.0).unwrap_err().contains("latitude is 91"));
        assert!(Prior::new(50.0, 181.0, 5.0).unwrap_err().contains("longitude is 181"));
        for radius_m in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Prior::new(50.0, 8.0, radius_m).unwrap_err().contains("radius"));
        }
        assert!(Prior::new(f64::NAN, 8.0, 5.0).is_err());
        assert!(Prior::new(-90.0, 180.0, 0.1).is_ok());
    }
}
