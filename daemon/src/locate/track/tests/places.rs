//! Where tracks end up: in clutter, between twins, after a jump, anywhere on the Earth, with hardly anything to go by.

use super::simulation::{Country, assert_sound, observation};
use crate::locate::track::matrix::Vector;
use crate::locate::track::{CameraKind, Motion, Observation, Sighting, Track, TrackOptions, TrackState};

fn track() -> Track {
    Track::new(Motion::default(), TrackOptions::default())
}

fn along(second: i64) -> Vector {
    Vector::new(second as f64 * 10.0 - 300.0, second as f64 * 3.0)
}

#[test]
fn a_straight_flight_of_which_six_frames_in_ten_show_nothing_is_found() {
    for seed in 0..8 {
        let mut country = Country::new(48.0, 19.0, seed);
        let (mut track, mut wrong, mut found) = (track(), 0, 0);
        for second in 0..60 {
            let blind = country.random.even() < 0.6;
            let frame = country.frame(along(second), second, blind);
            let estimate = track.observe(frame).unwrap();
            assert_sound(&estimate);
            if let Some(error_m) = country.error_m(&estimate, along(second)) {
                found += 1;
                wrong += usize::from(error_m > 150.0);
            }
        }
        let last = country.error_m(&track.latest(), along(59));
        assert!(found > 20 && wrong == 0 && last.is_none_or(|m| m < 100.0), "seed {seed}: {found} {wrong} {last:?}");
    }
}

#[test]
fn twin_towns_are_not_told_apart_until_a_frame_does() {
    let mut country = Country::new(48.0, 19.0, 3);
    let twin = Vector::new(30_000.0, -20_000.0);
    let mut track = track();
    for second in 0..30 {
        let both = [along(second), along(second) + twin].map(|at| country.sighting(at, 4.0));
        let mut frame = country.frame(along(second), second, true);
        frame.sightings.extend(both);
        let estimate = track.observe(frame).unwrap();
        assert_eq!((estimate.position, estimate.state), (None, TrackState::Acquiring), "frame {second}");
    }
    for second in 30..45 {
        track.observe(country.frame(along(second), second, false)).unwrap();
    }
    assert!(country.error_m(&track.latest(), along(44)).unwrap() < 60.0, "{:?}", track.latest());
}

#[test]
fn a_camera_that_is_carried_away_is_found_again_within_ten_frames() {
    for seed in 0..6 {
        let mut country = Country::new(-33.0, 151.0, seed);
        let mut track = track();
        for second in 0..30 {
            track.observe(country.frame(along(second), second, false)).unwrap();
        }
        assert!(country.error_m(&track.latest(), along(29)).unwrap() < 60.0);
        let away = Vector::new(-1500.0, 1200.0);
        let mut last = None;
        for second in 30..40 {
            let estimate = track.observe(country.frame(along(second) + away, second, false)).unwrap();
            last = country.error_m(&estimate, along(second) + away);
        }
        assert!(last.is_some_and(|m| m < 80.0), "seed {seed}: {last:?}");
    }
}

#[test]
fn poles_and_antimeridian_are_places_like_any_other() {
    for (lat_deg, lon_deg) in [(0.0, 180.0), (51.0, -180.0), (90.0, 0.0), (-90.0, 40.0), (89.99, 120.0)] {
        let mut country = Country::new(lat_deg, lon_deg, 5);
        let mut track = track();
        for second in 0..40 {
            let estimate = track.observe(country.frame(along(second), second, false)).unwrap();
            assert_sound(&estimate);
        }
        let error_m = country.error_m(&track.latest(), along(39));
        assert!(error_m.is_some_and(|m| m < 60.0), "{lat_deg} {lon_deg}: {error_m:?}");
    }
}

#[test]
fn a_track_that_goes_far_stays_as_exact_as_it_was() {
    let mut country = Country::new(60.0, 10.0, 7);
    let motion = Motion::of(CameraKind::Nadir, 300.0);
    let mut track = Track::new(motion, TrackOptions::default());
    let at = |second: i64| Vector::new(second as f64 * 250.0, 0.0);
    for second in 0..200 {
        track.observe(country.frame(at(second), second, false)).unwrap();
    }
    assert!(country.error_m(&track.latest(), at(199)).unwrap() < 60.0, "{:?}", track.latest());
}

#[test]
fn one_candidate_none_and_numbers_that_are_none_make_no_trouble() {
    let country = Country::new(48.0, 19.0, 1);
    let here = country.sighting(Vector::default(), 0.0);
    let bad = [
        Sighting { log_weight: f64::NAN, ..here },
        Sighting { lat_deg: f64::INFINITY, ..here },
        Sighting { lon_deg: f64::NAN, ..here },
        Sighting { deviation_m: 0.0, ..here },
        Sighting { extent_m: f64::NAN, ..here },
        Sighting { log_weight: f64::MAX, ..here },
        Sighting { log_weight: f64::MIN, ..here },
    ];
    let sets = [vec![], vec![here], bad.to_vec(), vec![here; 200], bad.iter().map(|one| vec![*one]).next().unwrap()];
    for set in sets {
        let mut track = track();
        for second in 0..20 {
            let hints = Observation {
                speed_m_s: Some([0.0, 1e9, 5.0][second as usize % 3]),
                heading_deg: Some(400.0),
                ..observation(second, set.clone())
            };
            assert_sound(&track.observe(hints).unwrap());
            assert_sound(&track.observe(Observation { places: 0, ..observation(second, set.clone()) }).unwrap());
        }
    }
}

#[test]
fn a_gap_widens_the_track_until_it_is_lost_and_bad_frames_only_let_time_go_by() {
    let mut country = Country::new(48.0, 19.0, 2);
    let mut track = track();
    for second in 0..30 {
        track.observe(country.frame(along(second), second, false)).unwrap();
    }
    let held = track.latest().position.unwrap();
    let next = track.observe(Observation::silent("bad", 31_000)).unwrap().position.unwrap();
    assert!(next.radius_95_m > held.radius_95_m, "{held:?} {next:?}");
    let later = track.observe(Observation::silent("bad", 90_000)).unwrap();
    assert_eq!((later.state, later.position), (TrackState::Lost, None));
    let anew = track.observe(country.frame(along(30), 9000, false)).unwrap();
    assert_eq!(anew.state, TrackState::Lost);
}

#[test]
fn a_speed_that_comes_with_frames_makes_the_track_surer() {
    let radius_m = |speed_m_s: Option<f64>| {
        let mut country = Country::new(48.0, 19.0, 4);
        let mut track = track();
        for second in 0..40 {
            let frame = country.frame(along(second), second, second % 3 > 0);
            track.observe(Observation { speed_m_s, ..frame }).unwrap();
        }
        assert!(country.error_m(&track.latest(), along(39)).unwrap() < 60.0);
        track.latest().position.unwrap().radius_95_m
    };
    assert!(radius_m(Some(109.0_f64.sqrt())) < radius_m(None));
}

#[test]
fn hypotheses_are_bounded_whatever_comes() {
    let options = TrackOptions { hypotheses: 12, ..TrackOptions::default() };
    let mut track = Track::new(Motion::default(), options);
    let mut country = Country::new(48.0, 19.0, 9);
    for second in 0..100 {
        track.observe(country.frame(along(second), second, true)).unwrap();
        assert!(track.hypotheses() <= 12);
    }
}

#[test]
fn a_camera_whose_frames_show_no_mapped_ground_loses_its_place_sooner_and_one_that_comes_back_finds_it() {
    let flown = |said: Option<f64>| {
        let mut country = Country::new(48.0, 19.0, 5);
        let mut track = track();
        let mut observe = |second: i64, blind: bool, beyond: Option<f64>| {
            let frame = country.frame(along(second), second, blind);
            let estimate = track.observe(Observation { beyond, ..frame }).unwrap();
            assert_sound(&estimate);
            estimate.state == TrackState::Tracking
        };
        for second in 0..20 {
            observe(second, false, said.map(f64::recip));
        }
        assert!(observe(20, false, said.map(f64::recip)));
        // Bad numbers say nothing; so does a frame without a calibration.
        assert!(observe(21, false, Some(f64::NAN)));
        assert!(observe(22, false, None));
        let away = (23..53).filter(|second| observe(*second, true, said)).count();
        let back = (53..75).filter(|second| observe(*second, false, said.map(f64::recip))).count();
        (away, back)
    };
    let ((soon, found), (late, _)) = (flown(Some(3.0)), flown(None));
    assert!(soon < late / 2 && found > 10, "{soon} {found} {late}");
}
