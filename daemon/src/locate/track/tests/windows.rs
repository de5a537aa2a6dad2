//! Windows: only around a track that holds, wider with each failure, and global after the third.

use super::simulation::Country;
use crate::locate::distance_m;
use crate::locate::track::matrix::Vector;
use crate::locate::track::{Motion, TrackOptions, Tracks, WindowOptions};
use crate::locate::{Candidate, Prior};

const ON: WindowOptions = WindowOptions { window: true, window_min_m: 300.0, window_drop: 0.1 };

fn similar(similarity: f32) -> [Candidate; 1] {
    let reference = String::new();
    [Candidate {
        lat_deg: 0.0,
        lon_deg: 0.0,
        similarity,
        reference,
        shard: 0,
        row: 0,
        extent_m: None,
        prior_nats: 0.0,
        support: None,
        offset: None,
    }]
}

fn holding() -> (Tracks, Country) {
    let (mut tracks, mut country) = (Tracks::new(TrackOptions::default(), 4), Country::new(48.0, 19.0, 21));
    for second in 0..30 {
        let frame = country.frame(Vector::new(second as f64 * 10.0, 0.0), second, false);
        tracks.observe("a", Motion::default(), frame).unwrap();
        tracks.found("a", &similar(0.9), false, &ON);
    }
    (tracks, country)
}

fn next(tracks: &Tracks) -> Option<Prior> {
    tracks.window("a", 30_000, &ON)
}

#[test]
fn the_window_lies_where_the_track_will_be_and_nowhere_while_it_is_off() {
    let (tracks, country) = holding();
    let window = next(&tracks).unwrap();
    let (lat_deg, lon_deg) = country.plane.unproject(Vector::new(300.0, 0.0));
    assert!(distance_m(window.lat_deg, window.lon_deg, lat_deg, lon_deg) < window.radius_m / 2.0, "{window:?}");
    assert!((300.0..1000.0).contains(&window.radius_m), "{window:?}");
    assert_eq!(tracks.window("a", 30_000, &WindowOptions::default()), None);
    assert_eq!(tracks.window("b", 30_000, &ON), None);
    assert_eq!(tracks.window("a", 3_000_000, &ON), None, "too long ago");
}

#[test]
fn a_window_that_fails_is_widened_and_then_given_up_until_a_place_holds() {
    let (mut tracks, _) = holding();
    let first = next(&tracks).unwrap();
    tracks.found("a", &similar(0.7), true, &ON);
    let second = next(&tracks).unwrap();
    assert!((second.radius_m / first.radius_m - 2.0).abs() < 1e-9);
    tracks.found("a", &similar(0.85), true, &ON);
    assert_eq!(next(&tracks), Some(first), "a success brings it back");
    for _ in 0..3 {
        tracks.found("a", &[], true, &ON);
    }
    assert_eq!(next(&tracks), None);
    tracks.found("a", &similar(0.9), false, &ON);
    assert_eq!(next(&tracks), Some(first));
}
