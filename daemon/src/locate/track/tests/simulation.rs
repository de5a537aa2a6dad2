//! Flights with frames that see the truth now and then, drawn by a generator that gives the same every time.

use crate::locate::distance_m;
use crate::locate::track::matrix::Vector;
use crate::locate::track::plane::Plane;
use crate::locate::track::{Observation, Sighting, TrackEstimate, TrackState};

/// Deviation of sightings of the truth, metres.
pub(super) const SEEN_M: f64 = 25.0;
/// References of the simulated index.
const PLACES: usize = 2000;

/// A generator of random numbers (xorshift64*).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Even in [0, 1).
    pub(super) fn even(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a normal distribution with this deviation.
    pub(super) fn normal(&mut self, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.even()).ln()).sqrt();
        deviation * radius * (std::f64::consts::TAU * self.even()).cos()
    }
}

/// A country of 4 km around a place, in which frames are taken.
pub(super) struct Country {
    pub(super) plane: Plane,
    pub(super) random: Random,
}

impl Country {
    pub(super) fn new(lat_deg: f64, lon_deg: f64, seed: u64) -> Self {
        Self { plane: Plane::at(lat_deg, lon_deg), random: Random::new(seed) }
    }

    pub(super) fn sighting(&self, at: Vector, log_weight: f64) -> Sighting {
        let (lat_deg, lon_deg) = self.plane.unproject(at);
        Sighting { lat_deg, lon_deg, log_weight, deviation_m: SEEN_M, extent_m: SEEN_M }
    }

    fn anywhere(&mut self) -> Vector {
        Vector::new((self.random.even() - 0.5) * 4000.0, (self.random.even() - 0.5) * 4000.0)
    }

    /// A frame taken at `at` after so many seconds: ten places that it does not show, and, unless `blind`, the one that it
    /// does, which leads them by two to three nats.
    pub(super) fn frame(&mut self, at: Vector, second: i64, blind: bool) -> Observation {
        let mut sightings = Vec::new();
        for _ in 0..10 {
            let (place, weight) = (self.anywhere(), -self.random.even());
            sightings.push(self.sighting(place, weight));
        }
        if !blind {
            let seen = at + Vector::new(self.random.normal(SEEN_M), self.random.normal(SEEN_M));
            let weight = 2.0 + self.random.even();
            sightings.push(self.sighting(seen, weight));
        }
        observation(second, sightings)
    }

    /// Metres between a track's position and `at`.
    pub(super) fn error_m(&self, estimate: &TrackEstimate, at: Vector) -> Option<f64> {
        let (lat_deg, lon_deg) = self.plane.unproject(at);
        estimate.position.map(|found| distance_m(found.lat_deg, found.lon_deg, lat_deg, lon_deg))
    }
}

pub(super) fn observation(second: i64, sightings: Vec<Sighting>) -> Observation {
    let (id, time_ms) = (format!("f{second}"), second * 1000);
    Observation { id, time_ms, sightings, places: PLACES, beyond: None, speed_m_s: None, heading_deg: None }
}

/// What holds of every estimate.
pub(super) fn assert_sound(estimate: &TrackEstimate) {
    assert_eq!(estimate.position.is_some(), estimate.state == TrackState::Tracking, "{estimate:?}");
    if let Some(at) = &estimate.position {
        assert!((-90.0..=90.0).contains(&at.lat_deg) && (-180.0..=180.0).contains(&at.lon_deg), "{at:?}");
        assert!(at.radius_95_m > 0.0 && at.radius_95_m.is_finite() && (0.0..=1.0).contains(&at.share), "{at:?}");
        assert!(at.covariance_m2.iter().all(|value| value.is_finite()), "{at:?}");
    }
}
