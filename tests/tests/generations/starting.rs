//! Starts: before the first generation, after failed ones, with a damaged one, with one that takes long to read.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::fleet::{BASE, Fleet};
use crate::support::schema::assert_valid;
use crate::support::wait_for;

#[test]
fn frames_wait_until_the_first_generation_is_there() {
    let Some(mut fleet) = Fleet::new("frames_wait_until_the_first_generation_is_there") else { return };
    let (daemon, status) = fleet.start_with(&fleet.config(""));
    assert!(status["reason"].as_str().unwrap().contains("no generation serves"), "{status}");
    assert_valid("info", &fleet.info());
    assert_eq!(fleet.order("activate", &json!({}))["reason"], "generation_refused");
    assert_eq!(fleet.order("rollback", &json!({}))["reason"], "no_generation");
    let frame = fleet.flight.frame(&fleet.flight.files("query")[0]);
    fleet.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", "early")]);
    fleet.bring(1);
    let fix = fleet.client.next("the early frame's fix", |message| message.topic.ends_with("/fix")).json();
    assert_eq!((&fix["id"], &fix["index"]["generation"]), (&json!("early"), &json!(1)));
    fleet.status(&daemon, |status| status["state"] == "online");
}

#[test]
fn a_frame_that_waits_for_too_long_gets_no_fix_but_the_reason() {
    let Some(mut fleet) = Fleet::new("a_frame_that_waits_for_too_long_gets_no_fix_but_the_reason") else { return };
    let _daemon = fleet.start("[frames]\nmax_age_s = 0.2\n");
    let frame = fleet.flight.frame(&fleet.flight.files("query")[0]);
    fleet.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", "early")]);
    // That the frame is older than its limit when the index comes is what this is about.
    std::thread::sleep(Duration::from_millis(400));
    fleet.bring(1);
    let fix = fleet.client.next("the early frame's answer", |message| message.topic.ends_with("/fix")).json();
    assert_valid("fix", &fix);
    assert_eq!((&fix["status"], &fix["reason"]), (&json!("no_fix"), &json!("stale")), "{fix}");
    assert_eq!(fleet.serves(), 1, "the next one is new enough");
}

#[test]
fn a_generation_whose_starts_fail_gives_way_to_the_one_before() {
    let Some(mut fleet) = Fleet::new("a_generation_whose_starts_fail_gives_way_to_the_one_before") else { return };
    fleet.bring(1);
    let mut daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    fleet.bring(2);
    wait_for("the second one to serve", || (fleet.serves() == 2).then_some(()));
    wait_for("the pointer", || (fleet.state()["starts"] == 0).then_some(()));
    daemon.stop();
    for start in 1..=3 {
        let daemon = Daemon::start(&fleet.config(""));
        wait_for("the start to be counted", || (fleet.state()["starts"] == start).then_some(()));
        // As a crash while it opens the generation.
        daemon.signal("KILL");
    }
    let (daemon, status) = fleet.start_with(&fleet.config(""));
    assert!(status["reason"].as_str().unwrap().contains("3 starts with it failed"), "{status}");
    assert!(status["reason"].as_str().unwrap().contains("generation 2 is set aside"), "{status}");
    assert_eq!(fleet.serves(), 1);
    // What served a frame has not failed.
    wait_for("the trial to end", || (fleet.state()["starts"] == 0).then_some(()));
    // A newer one is not held up by that.
    fleet.bring(3);
    wait_for("the third one to serve", || (fleet.serves() == 3).then_some(()));
    fleet.status(&daemon, |status| status["state"] == "online");
}

#[test]
fn a_damaged_newest_generation_or_pointer_still_gives_a_running_degraded_daemon() {
    let Some(mut fleet) = Fleet::new("a_damaged_newest_generation_or_pointer_still_gives_a_running_degraded_daemon")
    else {
        return;
    };
    fleet.bring(1);
    let mut daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    let two = fleet.bring(2);
    wait_for("the second one to serve", || (fleet.serves() == 2).then_some(()));
    daemon.stop();
    let shard = two.join("reference.shard");
    let whole = fs::read(&shard).unwrap();
    let mut bytes = whole.clone();
    bytes[5000] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let (mut daemon, status) = fleet.start_with(&fleet.config(""));
    let reason = status["reason"].as_str().unwrap();
    assert!(
        reason.contains("gen-2/reference.shard: expected sha256") && reason.contains("generation 1 serves"),
        "{reason}"
    );
    assert_eq!(fleet.serves(), 1);
    // Copied again, it is taken without a command.
    fs::write(&shard, whole).unwrap();
    wait_for("the second one to serve again", || (fleet.serves() == 2).then_some(()));
    daemon.stop();
    fs::write(fleet.folder.path().join("state/generations/state.json"), "{").unwrap();
    let daemon = fleet.start("");
    assert_eq!(fleet.serves(), 2);
    assert!(daemon.log().contains("state.json: damaged"), "{}", daemon.log());
}

/// Frames may wait for as long as reading takes on a machine that has much else to do.
const PATIENT: &str = "[frames]\nmax_age_s = 600.0\n";

/// Reads as so many bytes, and takes no room on the disk.
fn large_file(path: &Path, bytes: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn a_large_generation_is_read_after_the_daemon_is_ready_and_frames_wait_meanwhile() {
    let test = "a_large_generation_is_read_after_the_daemon_is_ready_and_frames_wait_meanwhile";
    let Some(mut fleet) = Fleet::new(test) else { return };
    large_file(&fleet.home.path().join("gen-1/calibration/large.bin"), 320 << 20);
    let made = fleet.make(1, &["--golden", "3"]);
    fs::create_dir_all(fleet.index()).unwrap();
    let brought = fleet.index().join("gen-1");
    fs::rename(made, &brought).unwrap();
    let (mut daemon, status) = fleet.start_with(&fleet.config(PATIENT));
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("generation 1 is being verified") && reason.contains("frames wait"), "{status}");
    let frame = fleet.flight.frame(&fleet.flight.files("query")[0]);
    fleet.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", "early")]);
    let fix = fleet.client.next("the early frame's fix", |message| message.topic.ends_with("/fix")).json();
    assert_eq!((&fix["id"], &fix["index"]["generation"]), (&json!("early"), &json!(1)), "{fix}");
    fleet.status(&daemon, |status| status["state"] == "online");
    assert!(daemon.stop().0.success());

    // What was read is known: the next start serves at once.
    let (mut daemon, status) = fleet.start_with(&fleet.config(PATIENT));
    assert_eq!(status["state"], "online", "{}", daemon.log());
    assert_eq!(fleet.serves(), 1);
    assert!(daemon.stop().0.success());

    // Touched, it is read again. Starts that end meanwhile, in whatever way, are none that failed.
    for ending in ["TERM", "KILL", "TERM", "KILL"] {
        let large = File::options().write(true).open(brought.join("calibration/large.bin")).unwrap();
        large.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        let (mut daemon, status) = fleet.start_with(&fleet.config(PATIENT));
        assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("being verified")), "{status}");
        let served = |daemon: &Daemon| daemon.log().matches("serving").count();
        let before = served(&daemon);
        daemon.signal(ending);
        daemon.wait();
        assert_eq!(fleet.state()["active"]["counter"], 1, "{ending}");
        // A fast machine may have read it by then.
        if served(&daemon) == before {
            assert_eq!(fleet.state()["starts"], 0, "{ending}");
        }
    }
    let daemon = fleet.start(PATIENT);
    assert_eq!(fleet.serves(), 1);
    fleet.status(&daemon, |status| status["state"] == "online");
}
