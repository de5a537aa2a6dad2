//! Whether the covariance says how far the track is off: the normalised estimation error squared (Y. Bar-Shalom, "Estimation
//! with Applications to Tracking and Navigation", 2001, 5.4) over many flights whose motion is that of the model.

use super::simulation::Country;
use crate::locate::track::matrix::{Matrix, Vector};
use crate::locate::track::{Motion, Track, TrackOptions};

const FLIGHTS: u64 = 80;

/// A step of one second of the motion that tracks assume, without turns, in ten parts.
fn moved(country: &mut Country, (mut at, mut velocity): (Vector, Vector), motion: &Motion) -> (Vector, Vector) {
    for _ in 0..10 {
        let kept = (-0.1 / motion.persistence_s).exp();
        let noise = motion.speed_m_s * (1.0 - kept * kept).sqrt();
        at = at + velocity * 0.1;
        velocity = velocity * kept + Vector::new(country.random.normal(noise), country.random.normal(noise));
    }
    (at, velocity)
}

#[test]
fn errors_are_as_large_as_the_covariance_says() {
    let motion = Motion { turns_per_s: 0.0, ..Motion::default() };
    let options = TrackOptions { jumps_per_s: 1e-6, ..TrackOptions::default() };
    let (mut sum, mut count, mut within) = (0.0, 0.0, 0.0);
    for seed in 0..FLIGHTS {
        let mut country = Country::new(48.0, 19.0, seed);
        let mut track = Track::new(motion, options);
        let start = motion.speed_m_s / 2.0;
        let mut state = (Vector::default(), Vector::new(country.random.normal(start), country.random.normal(start)));
        for second in 0..40 {
            state = moved(&mut country, state, &motion);
            track.observe(country.frame(state.0, second, false)).unwrap();
        }
        let Some(found) = track.latest().position else { continue };
        let off = country.plane.project(found.lat_deg, found.lon_deg) - state.0;
        let [ee, en, nn] = found.covariance_m2;
        sum += off.dot(Matrix { ee, en, ne: en, nn }.inverse().of(off));
        within += f64::from(u8::from(off.length() <= found.radius_95_m));
        count += 1.0;
    }
    assert!(count >= 0.9 * FLIGHTS as f64, "{count} flights hold");
    // The mean of so many values of a chi-square distribution of two degrees lies in here in 99.9 % of cases.
    let slack = 3.3 * 2.0 / f64::sqrt(count);
    let mean = sum / count;
    assert!((2.0 - slack..=2.0 + slack).contains(&mean), "mean of the normalised squared error: {mean}, {slack}");
    assert!(within / count > 0.88, "{within} of {count} within the radius");
}
