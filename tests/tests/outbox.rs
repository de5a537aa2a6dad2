//! What waits for the broker, with real processes: the daemon and the broker are killed, fixes are taken out by hand,
//! asked for again, or too large.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::broker::Broker;
use support::client::{Client, Message};
use support::daemon::{Daemon, settings};
use support::matrix::Numbers;
use support::shared::Flight;
use support::{geolocate, succeeded, wait_for};

const BASE: &str = "geolocated/field/drone-7";
const CAMERAS: [&str; 3] = ["nadir", "left", "right"];

/// Number of a start, and of a fix since then.
type At = (u64, u64);

fn at(fix: &Value) -> At {
    (fix["boot"].as_u64().unwrap(), fix["seq"].as_u64().unwrap())
}

fn is_fix(message: &Message) -> bool {
    message.topic.ends_with("/fix")
}

fn frame_topic(camera: &str) -> String {
    format!("{BASE}/cam/{camera}/frame")
}

/// A device, its broker, and somebody who watches. Frames that are no pictures are answered like others, and faster.
struct Scene {
    folder: tempfile::TempDir,
    config: PathBuf,
    broker: Broker,
    watcher: Client,
    watchers: usize,
    daemon: Daemon,
    /// Every fix that came, in order.
    fixes: Vec<Value>,
}

impl Scene {
    fn start(test: &str, broker: Broker, more: &str) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let folder = tempfile::tempdir().unwrap();
        let shard = flight.build(folder.path());
        let watcher = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#"), "hub/#"]);
        let config = settings(folder.path(), &broker.url(), &shard, &flight.model, more);
        let daemon = Daemon::start(&config);
        let mut scene = Self { folder, config, broker, watcher, watchers: 1, daemon, fixes: Vec::new() };
        scene.wait_until_online();
        Some(scene)
    }

    fn wait_until_online(&mut self) {
        let of_status = |message: &Message| {
            message.topic.ends_with("/status")
                && matches!(message.json()["state"].as_str(), Some("online" | "degraded"))
        };
        while !of_status(&self.watcher.next("a status", |message| message.topic.ends_with("/status"))) {}
    }

    fn publish(&self, camera: &str, id: &str) {
        self.watcher.publish_with(&frame_topic(camera), "no picture", &[("id", id)]);
    }

    /// Takes in the fixes that have come.
    fn collect(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while let Some(message) = self.watcher.next_within(end.saturating_duration_since(Instant::now()), is_fix) {
            self.fixes.push(message.json());
        }
    }

    fn restart(&mut self) {
        let is_status = |message: &Message| message.topic.ends_with("/status");
        while self.watcher.next_within(Duration::from_millis(50), is_status).is_some() {}
        self.daemon = Daemon::start(&self.config);
        self.wait_until_online();
    }

    fn kill(&mut self) {
        self.daemon.signal("KILL");
        self.daemon.wait();
    }

    /// The daemon has frames in its socket, answers them, and finds no broker.
    fn answer_without_broker(&mut self, prefix: &str, frames: &[&str]) {
        self.daemon.signal("STOP");
        for (n, camera) in frames.iter().enumerate() {
            self.publish(camera, &format!("{prefix}-{n}"));
        }
        for camera in frames {
            self.watcher.next("the broker to have passed the frame on", |message| message.topic == frame_topic(camera));
        }
        std::thread::sleep(Duration::from_millis(100));
        self.collect(Duration::from_millis(200));
        let before = self.daemon.log().matches("frame refused").count();
        self.broker.kill();
        self.daemon.signal("CONT");
        wait_for("an answer", || (self.daemon.log().matches("frame refused").count() > before).then_some(()));
    }

    /// Starts the broker again, without memory, and watches.
    fn bring_broker_back(&mut self) {
        self.broker.restart();
        self.watchers += 1;
        let name = format!("watcher-{}", self.watchers);
        self.watcher = Client::connect(self.broker.port, &name, &[&format!("{BASE}/#"), "hub/#"]);
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn outbox(&self, arguments: &[&str]) -> std::process::Output {
        let state = self.state_dir();
        let what = ["outbox", arguments[0], "--state-dir"].map(std::ffi::OsString::from);
        let rest = arguments[1..].iter().map(std::ffi::OsString::from);
        geolocate(what.into_iter().chain([state.into_os_string()]).chain(rest))
    }

    /// What waits in the outbox, as somebody with a stick takes it.
    fn waiting(&self) -> Vec<Value> {
        let text = succeeded(&self.outbox(&["export"]));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Stops the daemon as systemd does and gives its last figures.
    fn stop(&mut self) -> Value {
        let (status, _) = self.daemon.stop();
        assert!(status.success(), "{status}\n{}", self.daemon.log());
        let mut stats = Value::Null;
        while let Some(message) =
            self.watcher.next_within(Duration::from_secs(1), |message| message.topic.ends_with("/stats"))
        {
            stats = message.json();
            assert_valid("stats", &stats);
        }
        stats
    }
}

fn assert_valid(schema: &str, instance: &Value) {
    let path = format!("{}/../daemon/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> = validator.iter_errors(instance).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
}

/// Each camera's fixes come in order the first time, and a second time only marked.
fn assert_in_order_and_marked(fixes: &[Value]) {
    let mut seen: BTreeSet<At> = BTreeSet::new();
    let mut newest: BTreeMap<&str, At> = BTreeMap::new();
    for fix in fixes {
        if seen.insert(at(fix)) {
            let before = newest.insert(fix["cam"].as_str().unwrap(), at(fix));
            assert!(before < Some(at(fix)), "{before:?} came before {fix}");
        } else {
            assert_eq!(fix["replay"], true, "came twice: {fix}");
        }
    }
}

/// How many times the daemon is killed: a few in CI, more where somebody asks for it.
fn kills() -> usize {
    std::env::var("GEOLOCATED_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

#[test]
fn a_daemon_that_is_killed_again_and_again_loses_nothing() {
    let test = "a_daemon_that_is_killed_again_and_again_loses_nothing";
    let more = "[outbox]\ngroup_commit_ms = 20\nsegment_bytes = 16384\n";
    let Some(mut scene) = Scene::start(test, Broker::start(), more) else { return };
    let mut numbers = Numbers(5);
    let mut promised: BTreeSet<At> = BTreeSet::new();
    let mut recovered = 0;
    for round in 0..kills() {
        if round % 3 == 2 {
            let frames: Vec<&str> = CAMERAS.iter().copied().take(1 + numbers.below(3) as usize).collect();
            scene.answer_without_broker(&format!("away-{round}"), &frames);
        } else {
            for n in 0..5 + numbers.below(40) {
                scene.publish(CAMERAS[n as usize % CAMERAS.len()], &format!("{round}-{n}"));
                std::thread::sleep(Duration::from_micros(numbers.below(6000)));
            }
        }
        std::thread::sleep(Duration::from_micros(numbers.below(60_000)));
        scene.kill();
        let waiting = scene.waiting();
        recovered += waiting.len();
        promised.extend(waiting.iter().map(at));
        if round % 3 == 2 {
            scene.bring_broker_back();
        }
        scene.restart();
        scene.collect(Duration::from_millis(100));
    }
    wait_for("everything to be delivered", || {
        scene.collect(Duration::from_millis(200));
        scene.waiting().is_empty().then_some(())
    });
    let stats = scene.stop();
    scene.collect(Duration::from_millis(500));
    let received: BTreeSet<At> = scene.fixes.iter().map(at).collect();
    let replays = scene.fixes.iter().filter(|fix| fix["replay"] == true).count();
    let twice = scene.fixes.len() - received.len();
    eprintln!(
        "{} kills: {} fixes came, {replays} marked, {twice} a second time; {recovered} waited at a kill",
        kills(),
        received.len()
    );
    let lost: Vec<&At> = promised.difference(&received).collect();
    assert!(lost.is_empty(), "{lost:?} waited on the disk and never came");
    assert_in_order_and_marked(&scene.fixes);
    for boot in received.iter().map(|at| at.0).collect::<BTreeSet<u64>>() {
        let seqs: Vec<u64> = received.iter().filter(|at| at.0 == boot).map(|at| at.1).collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gaps in start {boot}");
    }
    assert_eq!(stats["outbox"]["queued"], 0, "{stats}");
    assert!(recovered > 0 && received.len() > 5 * kills(), "the test saw something");
}

#[test]
fn fixes_leave_by_a_stick_and_are_not_sent_again() {
    let test = "fixes_leave_by_a_stick_and_are_not_sent_again";
    let Some(mut scene) = Scene::start(test, Broker::start(), "") else { return };
    scene.answer_without_broker("away", &CAMERAS);
    let all: BTreeSet<String> = (0..3).map(|n| format!("away-{n}")).collect();
    let ids = |fixes: &[Value]| -> BTreeSet<String> {
        fixes.iter().map(|fix| fix["id"].as_str().unwrap().to_owned()).collect()
    };
    wait_for("all answers to be on the disk", || (ids(&scene.waiting()) == all).then_some(()));
    for fix in scene.waiting() {
        assert_valid("fix", &fix);
    }
    let refused = scene.outbox(&["ack", "--all"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use: stop the daemon first"));

    scene.kill();
    let file = |name: &str| scene.folder.path().join(name).to_string_lossy().into_owned();
    for format in ["ndjson", "geojson", "gpx", "csv"] {
        let out = file(&format!("fixes.{format}"));
        succeeded(&scene.outbox(&["export", "--format", format, "--out", &out]));
        let text = std::fs::read_to_string(&out).unwrap();
        let with_ids = all.iter().all(|id| text.contains(id.as_str()));
        assert!(with_ids || format == "gpx", "{format}: {text}");
    }
    let receipt = file("receipt.json");
    let first = ["export", "--boot", "1", "--to-seq", "1", "--out", &file("part.ndjson"), "--json", &receipt];
    succeeded(&scene.outbox(&first));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&receipt).unwrap()).unwrap();
    assert_eq!(report["exported"], json!([{"boot": 1, "from_seq": 1, "to_seq": 1}]));
    succeeded(&scene.outbox(&["ack", "--receipt", &receipt]));
    assert_eq!(scene.waiting().iter().map(at).collect::<Vec<_>>(), [(1, 2), (1, 3)]);
    succeeded(&scene.outbox(&["ack", "--boot", "1", "--from-seq", "3"]));
    assert_eq!(scene.waiting().len(), 1);

    scene.bring_broker_back();
    scene.restart();
    scene.collect(Duration::from_secs(1));
    assert_eq!(scene.fixes.iter().map(at).collect::<Vec<_>>(), [(1, 2)], "only what was not taken out");
    assert_eq!(scene.stop()["outbox"]["recovered"], 1);
}

#[test]
fn a_gap_is_sent_again_when_it_is_asked_for() {
    let Some(mut scene) = Scene::start("a_gap_is_sent_again_when_it_is_asked_for", Broker::start(), "") else { return };
    // To a daemon that runs it is a command like others; the next start finds it retained.
    scene.watcher.publish_retained(&format!("{BASE}/cmd/flush"), "{}");
    scene.watcher.next("the reply", |message| message.topic == format!("{BASE}/cmd/flush/reply"));
    for n in 0..6 {
        scene.publish("nadir", &format!("f{n}"));
        let fix = scene.watcher.next("a fix", is_fix).json();
        assert_eq!(fix.get("replay"), None);
    }
    wait_for("the group commit", || {
        let delivered = succeeded(&scene.outbox(&["export", "--which", "delivered"]));
        (delivered.lines().count() == 6).then_some(())
    });
    scene.kill();
    scene.restart();
    let request = r#"{"boot":1,"from_seq":2,"to_seq":4,"id":"gap"}"#;
    scene.watcher.command(&format!("{BASE}/cmd/resend"), request, "hub/replies", b"\x00\x01token");
    let reply = scene.watcher.next("the reply", |message| message.topic == "hub/replies");
    assert_eq!(reply.correlation.as_deref(), Some(&b"\x00\x01token"[..]));
    assert_valid("reply", &reply.json());
    let expected = json!({"v": 1, "command": "resend", "id": "gap", "ok": true, "resending": 3, "waiting": 0});
    assert_eq!(reply.json(), expected);
    for seq in 2..=4 {
        let fix = scene.watcher.next("a fix again", is_fix).json();
        assert_eq!((at(&fix), &fix["replay"]), ((1, seq), &json!(true)));
        assert_valid("fix", &fix);
    }
    for (verb, payload, reason) in
        [("resend", "{}", json!("bad_request")), ("paint", "", json!("unknown_command")), ("flush", "", Value::Null)]
    {
        scene.watcher.publish(&format!("{BASE}/cmd/{verb}"), payload);
        let topic = format!("{BASE}/cmd/{verb}/reply");
        let reply = scene.watcher.next("a reply", |message| message.topic == topic).json();
        assert_valid("reply", &reply);
        assert_eq!((&reply["ok"], &reply["reason"]), (&json!(reason.is_null()), &reason), "{reply}");
    }
    let stats = scene.stop();
    assert_eq!((&stats["outbox"]["resent"], &stats["outbox"]["set_aside"]), (&json!(3), &json!(0)));
    assert_eq!(stats["counters"]["commands_retained"], 1, "{stats}");
    assert_eq!(stats["counters"]["commands_answered"], 4, "{stats}");
}

#[test]
fn a_fix_that_the_broker_has_no_room_for_is_set_aside_and_said_and_the_next_one_goes_out() {
    let test = "a_fix_that_the_broker_has_no_room_for_is_set_aside_and_said_and_the_next_one_goes_out";
    let Some(mut scene) = Scene::start(test, Broker::start_with("max_packet_size 600\n"), "") else { return };
    let long = "x".repeat(120);
    scene.publish(&"y".repeat(60), &long);
    scene.publish("nadir", "short");
    let fix = scene.watcher.next("the short fix", is_fix).json();
    assert_eq!((&fix["id"], at(&fix)), (&json!("short"), (1, 2)));
    let is_degraded = |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == "degraded";
    let status = scene.watcher.next("the device to say so", is_degraded).json();
    assert!(status["reason"].as_str().unwrap().contains("is larger than the broker takes: 600 bytes"), "{status}");
    let kept = wait_for("it to be kept", || {
        Some(succeeded(&scene.outbox(&["export", "--which", "set-aside"]))).filter(|text| !text.is_empty())
    });
    assert!(kept.contains(&long) && kept.lines().count() == 1, "{kept}");
    scene.kill();
    scene.restart();
    scene.publish("nadir", "again");
    scene.collect(Duration::from_secs(1));
    assert_eq!(scene.fixes.iter().map(|fix| fix["id"].clone()).collect::<Vec<_>>(), ["again"], "not tried again");
    assert!(scene.daemon.stop().0.success());
    let connections = scene.daemon.log().matches("connected to the broker").count();
    assert_eq!(connections, 2, "one for each start: {}", scene.daemon.log());
}

/// A small file system of its own; gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, after a line that names the test, where this user may not mount one.
    fn mount(test: &str, folder: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        eprintln!("skipped: {test}: no small file system can be mounted");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

#[test]
fn a_read_only_disk_degrades_the_device_and_fixes_go_out() {
    let test = "a_read_only_disk_degrades_the_device_and_fixes_go_out";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let state = folder.path().join("state");
    let Some(_disk) = SmallDisk::mount(test, &state, 1 << 20) else { return };
    let remount = |option: &str| {
        let done = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&state).status().unwrap();
        assert!(done.success(), "remount,{option}");
    };
    let broker = Broker::start();
    let mut watcher = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let config = settings(folder.path(), &broker.url(), &shard, &flight.model, "");
    let ask = |watcher: &mut Client, id: &str| {
        watcher.publish_with(&frame_topic("nadir"), "no picture", &[("id", id)]);
        watcher.next("a fix", |message| is_fix(message) && message.json()["id"] == id);
    };
    remount("ro");
    let mut daemon = Daemon::start(&config);
    let is_degraded = |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == "degraded";
    let status = watcher.next("degraded", is_degraded).json();
    assert!(status["reason"].as_str().unwrap().contains("Read-only file system"), "{status}");
    for number in 0..3 {
        ask(&mut watcher, &format!("read-only {number}"));
    }
    daemon.assert_running();
    // Once it can be written, fixes wait on the disk again.
    remount("rw");
    let wrote = || std::fs::read_dir(state.join("outbox")).is_ok_and(|mut names| names.next().is_some());
    wait_for("the outbox to be on the disk", || wrote().then_some(()));
    ask(&mut watcher, "written");
    assert!(daemon.stop().0.success(), "{}", daemon.log());
}

#[test]
fn a_full_disk_degrades_the_device_and_fixes_go_out_until_there_is_room_again() {
    let test = "a_full_disk_degrades_the_device_and_fixes_go_out_until_there_is_room_again";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let state = folder.path().join("state");
    let Some(_disk) = SmallDisk::mount(test, &state, 1 << 20) else { return };
    let filler = state.join("filler");
    std::fs::write(&filler, vec![0; 900 << 10]).unwrap();
    let broker = Broker::start();
    let mut watcher = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let more = "[outbox]\nsegment_bytes = 262144\ngroup_commit_ms = 20\n";
    let mut daemon = Daemon::start(&settings(folder.path(), &broker.url(), &shard, &flight.model, more));
    let with_state = |state: &'static str| {
        move |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == state
    };
    let ask = |watcher: &mut Client, id: &str| {
        watcher.publish_with(&frame_topic("nadir"), "no picture", &[("id", id)]);
        watcher.next("a fix", |message| is_fix(message) && message.json()["id"] == id);
    };
    watcher.next("the device", |message| message.topic.ends_with("/status"));
    ask(&mut watcher, "on a full disk");
    let status = watcher.next("degraded", with_state("degraded")).json();
    assert!(status["reason"].as_str().unwrap().contains("fixes wait in memory: No space left"), "{status}");
    ask(&mut watcher, "on a disk that is still full");
    std::fs::remove_file(&filler).unwrap();
    watcher.next("online again", with_state("online"));
    ask(&mut watcher, "with room");
    assert!(daemon.stop().0.success(), "{}", daemon.log());
    let exported = geolocate([
        "outbox".as_ref(),
        "export".as_ref(),
        "--which".as_ref(),
        "delivered".as_ref(),
        "--state-dir".as_ref(),
        state.as_os_str(),
    ]);
    assert_eq!(succeeded(&exported).lines().count(), 3, "what was sent meanwhile is kept too");
}
