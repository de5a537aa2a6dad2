//! Bad input that comes over the broker, by the names of what it is.

use std::time::Duration;

use serde_json::json;

use crate::device::{BASE, Device, frame_topic, wait_for_log};
use crate::support::broker::Broker;
use crate::support::daemon::Daemon;

#[test]
fn five_thousand_camera_names_are_dropped_and_counted_and_known_cameras_are_served() {
    let test = "five_thousand_camera_names_are_dropped_and_counted_and_known_cameras_are_served";
    let watched = [&format!("{BASE}/status")[..], &format!("{BASE}/stats"), &format!("{BASE}/cam/nadir/fix")];
    let Some(mut device) = Device::new(test, Broker::start(), &watched) else { return };
    let url = device.broker.url();
    let mut daemon = Daemon::start(&device.settings(&url, "", ""));
    device.wait_until_online(&daemon);
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &[("id", "first")]);
    device.answer("nadir", "first");
    let before = daemon.anonymous_bytes();
    for n in 0..5000 {
        device.watcher.publish(&frame_topic(&format!("cam-{n}")), "no picture");
        device.watcher.publish(&format!("{BASE}/cam/cam-{n}/meta"), format!("{{\"id\":\"{n}\"}}"));
    }
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &[("id", "last")]);
    assert_eq!(device.answer("nadir", "last")["status"], "fix");
    let after = daemon.anonymous_bytes();
    eprintln!("anonymous memory: {before} bytes, after 5000 camera names {after}");
    assert!(after < before + (32 << 20), "{before} -> {after}");
    let stats = device.stop(&mut daemon);
    let count = |key: &str| stats["counters"][key].as_u64().unwrap();
    assert!(count("frames_over_cameras") >= 5000 - 16, "{stats}");
    let known = ["answered", "replaced", "over_memory", "over_cameras", "stale", "at_stop"];
    assert_eq!(
        known.iter().map(|key| count(&format!("frames_{key}"))).sum::<u64>(),
        count("frames_received"),
        "{stats}"
    );
}

#[test]
fn retained_commands_are_ignored_and_counted() {
    let test = "retained_commands_are_ignored_and_counted";
    let Some(mut device) = Device::new(test, Broker::start(), &[&format!("{BASE}/#")]) else { return };
    let verbs = ["flush", "resend", "locate", "paint"];
    for verb in verbs {
        device.watcher.publish_retained(&format!("{BASE}/cmd/{verb}"), "{}");
        device.watcher.next("the command", |message| message.topic.ends_with(&format!("/cmd/{verb}")));
    }
    let url = device.broker.url();
    for version in ["5", "3.1.1"] {
        let mut daemon = Daemon::start(&device.settings(&url, &format!("version = \"{version}\"\n"), ""));
        device.wait_until_online(&daemon);
        device.watcher.publish(&format!("{BASE}/cmd/flush"), "");
        device.watcher.next("the reply to a living command", |message| message.topic.ends_with("/cmd/flush/reply"));
        let stats = device.stop(&mut daemon);
        let counted = (&stats["counters"]["commands_retained"], &stats["counters"]["commands_answered"]);
        assert_eq!(counted, (&json!(verbs.len()), &json!(1)), "{stats}");
        let is_reply = |message: &crate::support::client::Message| message.topic.ends_with("/reply");
        assert!(device.watcher.next_within(Duration::from_millis(200), is_reply).is_none());
    }
}

#[test]
fn a_puback_of_0x10_clears_the_fix_and_is_counted_as_unheard() {
    let test = "a_puback_of_0x10_clears_the_fix_and_is_counted_as_unheard";
    let watched = [&format!("{BASE}/status")[..], &format!("{BASE}/stats"), &format!("{BASE}/cam/+/last")];
    let Some(mut device) = Device::new(test, Broker::start(), &watched) else { return };
    let url = device.broker.url();
    let mut daemon = Daemon::start(&device.settings(&url, "", ""));
    device.wait_until_online(&daemon);
    device.watcher.publish_with(&frame_topic("nadir"), "no picture", &[("id", "unheard")]);
    device.watcher.next("the newest answer", |message| message.topic.ends_with("/cam/nadir/last"));
    let stats = device.stop(&mut daemon);
    let count = |key: &str| stats["counters"][key].as_u64().unwrap();
    assert_eq!((count("fixes_delivered"), count("fixes_unheard"), count("fixes_refused")), (1, 1, 0), "{stats}");
    assert_eq!((&stats["outbox"]["queued"], &stats["outbox"]["unheard"]), (&json!(0), &json!(1)), "{stats}");
}

/// The library that fakes the time of a process, where Debian's package `faketime` is installed.
fn faketime() -> Option<String> {
    let mut folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let library = folders.find_map(|folder| {
        let library = folder.path().join("faketime/libfaketimeMT.so.1");
        library.exists().then_some(library)
    });
    library.map(|library| library.to_string_lossy().into_owned())
}

#[test]
fn a_clock_of_1970_is_said_and_frames_are_served() {
    let test = "a_clock_of_1970_is_said_and_frames_are_served";
    let Some(library) = faketime() else {
        eprintln!("skipped: {test}: faketime is not installed");
        return;
    };
    let Some(mut device) = Device::new(test, Broker::start(), &[&format!("{BASE}/#")]) else { return };
    let url = device.broker.url();
    let config = device.settings(&url, "", "");
    let clock = [("FAKETIME", "@1970-01-02 00:00:00"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("LD_PRELOAD", &library)];
    let mut daemon = Daemon::start_with(&clock, &config);
    device.wait_until_online(&daemon);
    let captured = [("id", "timed"), ("captured_at", "2026-01-31T12:00:00Z")];
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &captured);
    let fix = device.answer("nadir", "timed");
    assert_eq!((&fix["status"], &fix["clock"]), (&json!("fix"), &json!("unsynced")), "{fix}");
    assert_eq!(fix["captured_at"], "2026-01-31T12:00:00.000Z", "the frame's own time is kept, and not judged");
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &[("id", "untimed")]);
    assert_eq!(device.answer("nadir", "untimed")["seq"], 2, "order is by boot and seq");
    let stats = device.stop(&mut daemon);
    assert_eq!((&stats["counters"]["frames_stale"], &stats["outbox"]["queued"]), (&json!(0), &json!(0)), "{stats}");
    wait_for_log(&daemon, "stopped");
}
