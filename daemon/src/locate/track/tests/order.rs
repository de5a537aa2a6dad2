//! Frames that come late, twice, in another order, or from a clock that was set back; many cameras.

use super::simulation::{Country, observation};
use crate::locate::track::matrix::Vector;
use crate::locate::track::{Motion, Observation, Track, TrackOptions, Tracks};

fn frames(count: i64) -> Vec<Observation> {
    let mut country = Country::new(48.0, 19.0, 11);
    (0..count).map(|second| country.frame(Vector::new(second as f64 * 8.0, 0.0), second, second % 4 == 3)).collect()
}

fn track() -> Track {
    Track::new(Motion::default(), TrackOptions::default())
}

#[test]
fn frames_in_another_order_give_the_same_track() {
    let frames = frames(40);
    let (mut sorted, mut mixed) = (track(), track());
    for frame in &frames {
        sorted.observe(frame.clone());
    }
    // Within the history: every block of eight backwards.
    for block in frames.chunks(8) {
        for frame in block.iter().rev() {
            assert!(mixed.observe(frame.clone()).is_some());
        }
    }
    assert!(sorted.latest().position.is_some());
    assert_eq!(sorted.latest(), mixed.latest());
}

#[test]
fn a_revision_counts_as_if_it_had_been_said_at_first() {
    let frames = frames(30);
    let other = |second: i64| {
        let mut country = Country::new(48.2, 19.0, 5);
        Observation { id: format!("f{second}"), ..country.frame(Vector::default(), second, false) }
    };
    let (mut straight, mut revised) = (track(), track());
    for frame in &frames {
        straight.observe(frame.clone());
    }
    for (second, frame) in frames.iter().enumerate() {
        let late = second >= 20;
        let first = if late { other(frame.time_ms / 1000) } else { frame.clone() };
        revised.observe(first).unwrap();
    }
    assert_ne!(straight.latest(), revised.latest());
    for frame in frames.iter().skip(20) {
        assert!(revised.revise(Observation { time_ms: 0, ..frame.clone() }).is_some());
    }
    assert_eq!(straight.latest(), revised.latest());
    assert_eq!(revised.revise(frames[0].clone()), None, "what is not remembered cannot be revised");
}

#[test]
fn a_frame_that_is_too_old_changes_nothing_until_the_clock_was_set_back() {
    let frames = frames(40);
    let mut track = track();
    for frame in &frames {
        track.observe(frame.clone());
    }
    let before = track.latest();
    assert_eq!(track.observe(Observation { id: "late".to_owned(), ..frames[3].clone() }), None);
    assert_eq!(track.latest(), before);
    let set_back = |number: i64| Observation { id: format!("back-{number}"), ..observation(number - 5000, vec![]) };
    let taken: Vec<bool> = (0..6).map(|number| track.observe(set_back(number)).is_some()).collect();
    assert_eq!(taken, [false, false, false, true, true, true], "the old frame before them counts, too");
    assert_eq!(track.newest_ms(), Some(-4_995_000));
}

#[test]
fn thousands_of_cameras_share_the_room_there_is() {
    let mut tracks = Tracks::new(TrackOptions::default(), 8);
    let frames = frames(2);
    for number in 0..3000 {
        tracks.observe(&format!("cam{number}"), Motion::default(), frames[0].clone()).unwrap();
        tracks.observe("mine", Motion::default(), frames[number % 2].clone()).unwrap();
        assert!(tracks.len() <= 8);
    }
    assert!(tracks.get("mine").is_some() && tracks.get("cam0").is_none());
}
