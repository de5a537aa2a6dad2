//! Signed generations on real devices: activated without missing a frame, refused by name, rolled back, and never lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use support::broker::Broker;
use support::client::{Client, Message};
use support::daemon::Daemon;
use support::generation::{self, Keys, bring, make, sign};
use support::matrix::Matrix;
use support::shared::Flight;
use support::{geolocate, succeeded, wait_for};

const BASE: &str = "geolocated/field/drone-7";

/// A device with a folder for generations, a fleet's keys, and what the operator has at home.
struct Scene {
    flight: Flight,
    folder: tempfile::TempDir,
    home: tempfile::TempDir,
    shard: PathBuf,
    keys: Keys,
    spare: Keys,
    broker: Broker,
    client: Client,
    frames: u32,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shard = flight.build(home.path());
        let (keys, spare) = (Keys::make(home.path(), "fleet"), Keys::make(home.path(), "spare"));
        let broker = Broker::start();
        let client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
        Some(Self { flight, folder, home, shard, keys, spare, broker, client, frames: 0 })
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    /// Makes a generation at home.
    fn make(&self, counter: u64, more: &[&str]) -> PathBuf {
        make(self.home.path(), counter, &self.shard, &self.keys, more)
    }

    /// Makes a generation and brings it to the device.
    fn bring(&self, counter: u64) -> PathBuf {
        bring(&self.make(counter, &["--golden", "3"]), &self.index())
    }

    fn config(&self, more: &str) -> PathBuf {
        let keys = [&self.keys, &self.spare];
        generation::settings(self.folder.path(), &self.broker.url(), &keys, Some(&self.flight.model), more)
    }

    fn start(&mut self, more: &str) -> Daemon {
        self.start_with(&self.config(more)).0
    }

    /// Starts the daemon and waits for its first status: it takes frames then.
    fn start_with(&mut self, config: &Path) -> (Daemon, Value) {
        // What an earlier one said does not count.
        while self.client.next_within(Duration::ZERO, |message| message.topic.ends_with("/status")).is_some() {}
        let daemon = Daemon::start(config);
        let is_up = |status: &Value| status["state"] == "online" || status["state"] == "degraded";
        let status = self.status(&daemon, is_up);
        (daemon, status)
    }

    /// The next status that is as wanted.
    fn status(&mut self, daemon: &Daemon, wanted: impl Fn(&Value) -> bool) -> Value {
        let is_wanted = |message: &Message| message.topic.ends_with("/status") && wanted(&message.json());
        match self.client.next_within(support::PATIENCE, is_wanted) {
            Some(message) => message.json(),
            None => panic!("no such status; the daemon:\n{}", daemon.log()),
        }
    }

    /// Publishes a frame and waits for its fix.
    fn ask(&mut self) -> Value {
        self.frames += 1;
        let id = format!("frame-{}", self.frames);
        let frame = self.flight.frame(&self.flight.files("query")[0]);
        self.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", &id)]);
        let topic = format!("{BASE}/cam/nadir/fix");
        let fix = self.client.next(&id, |message| message.topic == topic && message.json()["id"] == id.as_str()).json();
        assert_valid("fix", &fix);
        assert!(fix["status"] == "fix" || fix["status"] == "ambiguous", "{fix}");
        fix
    }

    /// The generation that answers.
    fn serves(&mut self) -> u64 {
        self.ask()["index"]["generation"].as_u64().unwrap()
    }

    fn order(&mut self, verb: &str, payload: &Value) -> Value {
        assert_valid(verb, payload);
        self.client.publish(&format!("{BASE}/cmd/{verb}"), payload.to_string());
        let topic = format!("{BASE}/cmd/{verb}/reply");
        let reply = self.client.next(&topic, |message| message.topic == topic).json();
        assert_valid("reply", &reply);
        reply
    }

    /// The device's pointer.
    fn state(&self) -> Value {
        let path = self.folder.path().join("state/generations/state.json");
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(Value::Null)
    }

    fn info(&self) -> Value {
        let topic = format!("{BASE}/info");
        wait_for("info to be retained", || {
            let mut late = Client::connect(self.broker.port, "late", &[&topic]);
            Some(late.next_within(Duration::from_secs(1), |message| message.retained)?.json())
        })
    }
}

fn assert_valid(schema: &str, instance: &Value) {
    let path = format!("{}/../daemon/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
}

/// As if the copy had been made long ago: nobody is copying any more.
fn long_ago(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            long_ago(&path);
        } else {
            File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
    }
    File::open(folder).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_generation_is_activated_and_rolled_back_without_missing_a_frame() {
    let Some(mut scene) = Scene::new("a_generation_is_activated_and_rolled_back_without_missing_a_frame") else {
        return;
    };
    scene.bring(1);
    let mut daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    scene.bring(2);
    let served: Vec<u64> = std::iter::from_fn(|| Some(scene.serves())).take_while(|serves| *serves == 1).collect();
    assert!(served.len() < 1000, "never activated: {}", daemon.log());
    let info = scene.info();
    assert_valid("info", &info);
    assert_eq!(info["index"]["generation"], 2);
    assert_eq!(info["generations"]["previous"], 1);

    let reply = scene.order("rollback", &json!({"id": "back"}));
    assert_eq!((&reply["ok"], &reply["generation"], &reply["id"]), (&json!(true), &json!(1), &json!("back")));
    assert_eq!(scene.serves(), 1);
    // What was rolled back by command stays so until it is ordered: also over a restart.
    let (status, _) = daemon.stop();
    assert!(status.success());
    let mut daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    assert_eq!(scene.order("rollback", &json!({}))["reason"], "no_generation");
    let reply = scene.order("activate", &json!({"counter": 2}));
    assert_eq!((&reply["ok"], &reply["generation"], &reply["changed"]), (&json!(true), &json!(2), &json!(true)));
    assert_eq!(scene.serves(), 2);
    let reply = scene.order("activate", &json!({"counter": 1}));
    assert_eq!(reply["reason"], "generation_refused");
    assert!(reply["message"].as_str().unwrap().contains("expected a counter of at least 2, found 1"), "{reply}");
    assert_eq!(scene.order("activate", &json!({"counter": 7}))["reason"], "no_generation");
    assert_eq!(scene.order("activate", &json!({}))["changed"], false);
    assert_eq!(scene.order("reload", &json!({}))["generation"], 2);
    daemon.stop();
    while let Some(stats) =
        scene.client.next_within(Duration::from_secs(1), |message| message.topic.ends_with("/stats"))
    {
        let counters = &stats.json()["counters"];
        assert_eq!(counters["frames_received"], counters["frames_answered"], "a frame was missed");
    }
}

#[test]
fn what_does_not_hold_is_refused_by_name_and_the_last_good_one_serves() {
    let Some(mut scene) = Scene::new("what_does_not_hold_is_refused_by_name_and_the_last_good_one_serves") else {
        return;
    };
    scene.bring(1);
    let good = scene.make(2, &["--golden", "3"]);
    let mut daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    let stranger = Keys::make(scene.home.path(), "stranger");
    let elsewhere = scene.home.path().join("elsewhere");
    let other_space = {
        let matrix = scene.home.path().join("matrix");
        fs::create_dir(&matrix).unwrap();
        let shard = scene.home.path().join("other.shard");
        succeeded(&Matrix::write(&matrix, 50, 64, 1).build("other@000000000000", &shard).output().unwrap());
        shard
    };
    let again = |keys: &Keys, more: &[&str]| {
        fs::remove_dir_all(&elsewhere).ok();
        make(&elsewhere, 2, &scene.shard, keys, more)
    };
    let append = |path: &Path| {
        let text = fs::read(path).unwrap();
        fs::write(path, [text.as_slice(), b"x"].concat()).unwrap();
    };
    let spoil = |folder: &Path, case: &str| match case {
        "unsigned" => fs::remove_file(folder.join("manifest.json.minisig")).unwrap(),
        "tampered" => {
            let path = folder.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap().replace("\"counter\": 2", "\"counter\": 3");
            fs::write(&path, text).unwrap();
        }
        "flipped" => {
            let path = folder.join("reference.shard");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        "cut" => File::options().write(true).open(folder.join("reference.shard")).unwrap().set_len(1000).unwrap(),
        "oversized" => append(&folder.join("reference.shard")),
        "missing" => fs::remove_file(folder.join("golden.json")).unwrap(),
        "linked" => {
            let path = folder.join("reference.shard");
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&scene.shard, &path).unwrap();
        }
        _ => {}
    };
    let cases: [(&str, PathBuf, u64, &str); 12] = [
        ("unsigned", good.clone(), 2, "manifest.json.minisig: cannot be read"),
        ("tampered", good.clone(), 2, "wrong signature by key"),
        ("flipped", good.clone(), 2, "reference.shard: expected sha256"),
        ("cut", good.clone(), 2, "found 1000"),
        ("oversized", good.clone(), 2, "reference.shard: expected"),
        ("missing", good.clone(), 2, "golden.json: cannot be read"),
        ("linked", good.clone(), 2, "found a symbolic link"),
        ("mixed", good.clone(), 3, "mixed: expected counter 3 as in the folder's name, found 2"),
        ("stranger", PathBuf::new(), 2, "found one by"),
        ("expired", PathBuf::new(), 2, "expired at"),
        ("golden", PathBuf::new(), 2, "golden query golden/0-0.f32: expected"),
        ("space", PathBuf::new(), 2, "other@000000000000"),
    ];
    let index = scene.index();
    for (case, from, counter, part) in cases {
        let from = match case {
            "stranger" => again(&stranger, &[]),
            "expired" => {
                fs::remove_dir_all(&elsewhere).ok();
                let folder = make(&elsewhere, 2, &scene.shard, &scene.keys, &[]);
                let mut command = Command::new(support::binary("geolocate"));
                command.env("SOURCE_DATE_EPOCH", "1700000000").args(["sign", "--expires-days", "30", "--secret-key"]);
                succeeded(&command.arg(&scene.keys.secret).arg(&folder).output().unwrap());
                folder
            }
            "golden" => {
                let folder = again(&scene.keys, &["--golden", "2"]);
                let path = folder.join("golden.json");
                let mut list: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                list["queries"][0]["top"] = json!("somewhere else.jpg");
                fs::write(&path, list.to_string()).unwrap();
                sign(&folder, &scene.keys, &[]);
                folder
            }
            "space" => {
                fs::remove_dir_all(&elsewhere).ok();
                make(&elsewhere, 2, &other_space, &scene.keys, &[])
            }
            _ => from,
        };
        let spoiled = scene.home.path().join("spoiled");
        fs::remove_dir_all(&spoiled).ok();
        generation::copy(&from, &spoiled);
        spoil(&spoiled, case);
        long_ago(&spoiled);
        let to = index.join(format!("gen-{counter}"));
        fs::rename(&spoiled, &to).unwrap();
        let is_refused = |status: &Value| status["reason"].as_str().is_some_and(|reason| reason.contains(part));
        let message = scene.client.next_within(support::PATIENCE, |message: &Message| {
            message.topic.ends_with("/status") && is_refused(&message.json())
        });
        let status = message.unwrap_or_else(|| panic!("{case}: not refused with {part:?}:\n{}", daemon.log())).json();
        assert_eq!(status["state"], "degraded");
        assert_valid("status", &status);
        let reply = {
            scene.client.publish(&format!("{BASE}/cmd/activate"), json!({"counter": counter}).to_string());
            scene.client.next("the refusal", |message| message.topic.ends_with("/cmd/activate/reply")).json()
        };
        assert_eq!(reply["reason"], "generation_refused", "{case}: {reply}");
        let id = format!("during {case}");
        let frame = scene.flight.frame(&scene.flight.files("query")[0]);
        scene.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", &id)]);
        let fix =
            scene.client.next(&id, |message| message.topic.ends_with("/fix") && message.json()["id"] == id.as_str());
        assert_eq!(fix.json()["index"]["generation"], 1, "{case}");
        fs::remove_dir_all(&to).unwrap();
        scene.client.next("the device to be online", |message| {
            message.topic.ends_with("/status") && message.json()["state"] == "online"
        });
        eprintln!("{case}: {}", status["reason"]);
    }
    daemon.assert_running();
    // The same generation, whole, is taken.
    bring(&good, &index);
    wait_for("the good one to serve", || (scene.serves() == 2).then_some(()));
}

#[test]
fn what_is_still_being_copied_is_waited_for() {
    let Some(mut scene) = Scene::new("what_is_still_being_copied_is_waited_for") else { return };
    scene.bring(1);
    let two = scene.make(2, &[]);
    let daemon = scene.start("");
    let to = scene.index().join("gen-2");
    fs::create_dir(&to).unwrap();
    let whole = fs::read(two.join("reference.shard")).unwrap();
    for name in ["manifest.json", "manifest.json.minisig"] {
        fs::copy(two.join(name), to.join(name)).unwrap();
    }
    fs::write(to.join("reference.shard"), &whole[..whole.len() / 2]).unwrap();
    wait_for("the daemon to see it", || daemon.log().contains("not complete yet").then_some(()));
    assert_eq!(scene.serves(), 1);
    fs::write(to.join("reference.shard"), &whole).unwrap();
    wait_for("the second one to serve", || (scene.serves() == 2).then_some(()));
    let degraded = |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == "degraded";
    assert!(scene.client.next_within(Duration::ZERO, degraded).is_none(), "a copy under way is no fault");
}

#[test]
fn frames_wait_until_the_first_generation_is_there() {
    let Some(mut scene) = Scene::new("frames_wait_until_the_first_generation_is_there") else { return };
    let (daemon, status) = scene.start_with(&scene.config(""));
    assert!(status["reason"].as_str().unwrap().contains("no generation serves"), "{status}");
    assert_valid("info", &scene.info());
    assert_eq!(scene.order("activate", &json!({}))["reason"], "generation_refused");
    assert_eq!(scene.order("rollback", &json!({}))["reason"], "no_generation");
    let frame = scene.flight.frame(&scene.flight.files("query")[0]);
    scene.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", "early")]);
    scene.bring(1);
    let fix = scene.client.next("the early frame's fix", |message| message.topic.ends_with("/fix")).json();
    assert_eq!((&fix["id"], &fix["index"]["generation"]), (&json!("early"), &json!(1)));
    scene.status(&daemon, |status| status["state"] == "online");
}

#[test]
fn a_frame_that_waits_for_too_long_gets_no_fix_but_the_reason() {
    let Some(mut scene) = Scene::new("a_frame_that_waits_for_too_long_gets_no_fix_but_the_reason") else { return };
    let _daemon = scene.start("[frames]\nmax_age_s = 0.2\n");
    let frame = scene.flight.frame(&scene.flight.files("query")[0]);
    scene.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", "early")]);
    // That the frame is older than its limit when the index comes is what this is about.
    std::thread::sleep(Duration::from_millis(400));
    scene.bring(1);
    let fix = scene.client.next("the early frame's answer", |message| message.topic.ends_with("/fix")).json();
    assert_valid("fix", &fix);
    assert_eq!((&fix["status"], &fix["reason"]), (&json!("no_fix"), &json!("stale")), "{fix}");
    assert_eq!(scene.serves(), 1, "the next one is new enough");
}

#[test]
fn a_generation_whose_starts_fail_gives_way_to_the_one_before() {
    let Some(mut scene) = Scene::new("a_generation_whose_starts_fail_gives_way_to_the_one_before") else { return };
    scene.bring(1);
    let mut daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    scene.bring(2);
    wait_for("the second one to serve", || (scene.serves() == 2).then_some(()));
    wait_for("the pointer", || (scene.state()["starts"] == 0).then_some(()));
    daemon.stop();
    for start in 1..=3 {
        let daemon = Daemon::start(&scene.config(""));
        wait_for("the start to be counted", || (scene.state()["starts"] == start).then_some(()));
        // As a crash while it opens the generation.
        daemon.signal("KILL");
    }
    let (daemon, status) = scene.start_with(&scene.config(""));
    assert!(status["reason"].as_str().unwrap().contains("3 starts with it failed"), "{status}");
    assert!(status["reason"].as_str().unwrap().contains("generation 2 is set aside"), "{status}");
    assert_eq!(scene.serves(), 1);
    // What served a frame has not failed.
    wait_for("the trial to end", || (scene.state()["starts"] == 0).then_some(()));
    // A newer one is not held up by that.
    scene.bring(3);
    wait_for("the third one to serve", || (scene.serves() == 3).then_some(()));
    scene.status(&daemon, |status| status["state"] == "online");
}

#[test]
fn a_damaged_newest_generation_or_pointer_still_gives_a_running_degraded_daemon() {
    let Some(mut scene) = Scene::new("a_damaged_newest_generation_or_pointer_still_gives_a_running_degraded_daemon")
    else {
        return;
    };
    scene.bring(1);
    let mut daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    let two = scene.bring(2);
    wait_for("the second one to serve", || (scene.serves() == 2).then_some(()));
    daemon.stop();
    let shard = two.join("reference.shard");
    let whole = fs::read(&shard).unwrap();
    let mut bytes = whole.clone();
    bytes[5000] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let (mut daemon, status) = scene.start_with(&scene.config(""));
    let reason = status["reason"].as_str().unwrap();
    assert!(
        reason.contains("gen-2/reference.shard: expected sha256") && reason.contains("generation 1 serves"),
        "{reason}"
    );
    assert_eq!(scene.serves(), 1);
    // Copied again, it is taken without a command.
    fs::write(&shard, whole).unwrap();
    wait_for("the second one to serve again", || (scene.serves() == 2).then_some(()));
    daemon.stop();
    fs::write(scene.folder.path().join("state/generations/state.json"), "{").unwrap();
    let daemon = scene.start("");
    assert_eq!(scene.serves(), 2);
    assert!(daemon.log().contains("state.json: damaged"), "{}", daemon.log());
}

#[test]
fn kills_at_any_moment_leave_a_generation_that_serves() {
    let Some(mut scene) = Scene::new("kills_at_any_moment_leave_a_generation_that_serves") else { return };
    scene.bring(1);
    let mut daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    scene.bring(2);
    wait_for("the second one to serve", || (scene.serves() == 2).then_some(()));
    let mut highest = 2;
    for round in 0_u64..12 {
        // Orders that write the pointer, and new generations, with a kill somewhere among them.
        if round % 3 == 0 {
            highest += 1;
            scene.bring(highest);
        }
        for _ in 0..3 {
            scene.client.publish(&format!("{BASE}/cmd/rollback"), "");
            scene.client.publish(&format!("{BASE}/cmd/activate"), json!({"counter": highest}).to_string());
        }
        std::thread::sleep(Duration::from_millis(round * 37 % 220));
        daemon.signal("KILL");
        daemon.wait();
        let state = scene.state();
        let active = state["active"]["counter"].as_u64().unwrap();
        assert!(active >= 1 && active <= highest, "{state:#}");
        daemon = scene.start("");
        assert!(scene.serves() >= 1);
        daemon.assert_running();
    }
    let reply = wait_for("the highest to be active", || {
        scene.client.publish(&format!("{BASE}/cmd/activate"), json!({"counter": highest, "id": "last"}).to_string());
        let is_last = |message: &Message| message.topic.ends_with("/activate/reply") && message.json()["id"] == "last";
        scene.client.next_within(Duration::from_secs(2), is_last)
    });
    assert_eq!(reply.json()["ok"], true, "{}", daemon.log());
    assert_eq!(scene.serves(), highest);
}

#[test]
fn keys_are_rotated_and_revoked() {
    let Some(mut scene) = Scene::new("keys_are_rotated_and_revoked") else { return };
    scene.bring(1);
    let daemon = scene.start("");
    assert_eq!(scene.serves(), 1);
    // The first key may not revoke the second, which stands after it.
    let spare_id = scene.spare.id();
    let hostile = scene.make(2, &["--revoke", &spare_id]);
    let hostile = bring(&hostile, &scene.index());
    let status = scene.status(&daemon, |status| status["state"] == "degraded");
    assert!(status["reason"].as_str().unwrap().contains("may only revoke keys that stand before it"), "{status}");
    fs::remove_dir_all(hostile).unwrap();
    scene.status(&daemon, |status| status["state"] == "online");
    // The second key revokes the first, which was stolen.
    let two = make(&scene.home.path().join("spare"), 2, &scene.shard, &scene.spare, &["--revoke", &scene.keys.id()]);
    bring(&two, &scene.index());
    wait_for("the second one to serve", || (scene.serves() == 2).then_some(()));
    let stolen = scene.bring(3);
    let status = scene.status(&daemon, |status| status["state"] == "degraded");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("signed by key {}, which is revoked", scene.keys.id())), "{reason}");
    assert_eq!(scene.serves(), 2);
    fs::remove_dir_all(stolen).unwrap();
    let three = make(&scene.home.path().join("spare"), 3, &scene.shard, &scene.spare, &[]);
    bring(&three, &scene.index());
    wait_for("the third one to serve", || (scene.serves() == 3).then_some(()));
}

#[test]
fn a_generation_may_bring_its_model_and_pictures_as_golden_queries() {
    let Some(mut scene) = Scene::new("a_generation_may_bring_its_model_and_pictures_as_golden_queries") else { return };
    let folder = scene.home.path().join("gen-1");
    fs::create_dir(&folder).unwrap();
    generation::copy(scene.flight.model.parent().unwrap(), &folder.join("model"));
    fs::copy(&scene.flight.model, folder.join("model/model.toml")).unwrap();
    fs::remove_file(folder.join("model/model_w8.toml")).ok();
    fs::copy(&scene.shard, folder.join("reference.shard")).unwrap();
    let picture = scene.flight.images.join(&scene.flight.files("query")[0]);
    sign(&folder, &scene.keys, &["--golden", "2", "--golden-pictures", picture.to_str().unwrap()]);
    let checked = geolocate([
        "sign".as_ref(),
        folder.as_os_str(),
        "--check".as_ref(),
        "--key".as_ref(),
        scene.keys.public.as_os_str(),
    ]);
    assert!(succeeded(&checked).contains("good: generation 1"));
    bring(&folder, &scene.index());
    let config = generation::settings(scene.folder.path(), &scene.broker.url(), &[&scene.keys], None, "");
    let (daemon, _) = scene.start_with(&config);
    let fix = scene.ask();
    assert_eq!(fix["index"]["generation"], 1, "{}", daemon.log());
    assert!(fix["models"]["encoder"].is_string());
}

#[test]
fn doctor_and_locate_answer_over_mqtt() {
    let Some(mut scene) = Scene::new("doctor_and_locate_answer_over_mqtt") else { return };
    scene.bring(1);
    let _daemon = scene.start("");
    let fix = scene.ask();
    let picture = scene.flight.frame(&scene.flight.files("query")[0]);
    let to = format!("{BASE}/answers");
    scene.client.command(&format!("{BASE}/cmd/locate"), picture, &to, b"ask-1");
    let reply = scene.client.next("where it was taken", |message| message.topic == to);
    assert_eq!(reply.correlation.as_deref(), Some(&b"ask-1"[..]));
    let reply = reply.json();
    assert_valid("reply", &reply);
    assert_valid("fix", &reply["fix"]);
    assert_eq!((&reply["fix"]["lat"], &reply["fix"]["lon"]), (&fix["lat"], &fix["lon"]));
    scene.client.command(&format!("{BASE}/cmd/locate"), b"no picture".to_vec(), &to, b"ask-2");
    let reply = scene.client.next("why it is none", |message| message.topic == to).json();
    assert_eq!(reply["fix"]["status"], "error", "{reply}");
    let reply = scene.order("doctor", &json!({}));
    assert_eq!(reply["good"], true, "{reply:#}");
    let checks: Vec<&str> = reply["findings"].as_array().unwrap().iter().filter_map(|f| f["check"].as_str()).collect();
    assert_eq!(checks, ["status", "index", "pipeline", "outbox", "disk", "clock", "memory"]);
}

#[test]
fn a_device_whose_clock_shows_1970_activates_what_is_valid_and_refuses_what_has_expired() {
    let name = "a_device_whose_clock_shows_1970_activates_what_is_valid_and_refuses_what_has_expired";
    if Command::new("faketime").arg("--version").output().is_err() {
        eprintln!("skipped: {name}: no faketime");
        return;
    }
    let Some(mut scene) = Scene::new(name) else { return };
    scene.bring(1);
    let mut command = Command::new("faketime");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").args(["-f", "@1970-01-02 00:00:00"]);
    command.arg(support::binary("geolocated"));
    let daemon = Daemon::start_by(command, &scene.config(""));
    scene.status(&daemon, |status| status["state"] == "online");
    let fix = scene.ask();
    assert_eq!((&fix["index"]["generation"], &fix["clock"]), (&json!(1), &json!("unsynced")), "{}", daemon.log());
    let old = scene.make(2, &[]);
    let mut command = Command::new(support::binary("geolocate"));
    command.env("SOURCE_DATE_EPOCH", "1700000000").args(["sign", "--expires-days", "30", "--secret-key"]);
    succeeded(&command.arg(&scene.keys.secret).arg(&old).output().unwrap());
    bring(&old, &scene.index());
    let status = scene.status(&daemon, |status| status["state"] == "degraded");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("expired at 2023-12-14") && reason.contains("the clock is behind"), "{reason}");
    assert_eq!(scene.serves(), 1);
}

#[test]
fn plain_shards_are_opened_anew_by_reload_and_a_damaged_one_is_refused() {
    let Some(mut scene) = Scene::new("plain_shards_are_opened_anew_by_reload_and_a_damaged_one_is_refused") else {
        return;
    };
    let shard = scene.folder.path().join("reference.shard");
    fs::copy(&scene.shard, &shard).unwrap();
    let config = support::daemon::settings(scene.folder.path(), &scene.broker.url(), &shard, &scene.flight.model, "");
    let (daemon, status) = scene.start_with(&config);
    assert_eq!(status["state"], "online");
    assert_eq!(scene.order("activate", &json!({}))["reason"], "not_configured");
    assert_eq!(scene.order("rollback", &json!({}))["reason"], "not_configured");
    let digest = scene.ask()["index"]["digest"].clone();
    let replace = |bytes: &[u8]| {
        let part = shard.with_extension("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(&part, &shard).unwrap();
    };
    let whole = fs::read(&shard).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    replace(&damaged);
    let reply = scene.order("reload", &json!({"id": "damaged"}));
    assert_eq!((&reply["ok"], &reply["reason"]), (&json!(false), &json!("index_refused")), "{reply}");
    let status = scene.status(&daemon, |status| status["state"] == "degraded");
    assert!(status["reason"].as_str().unwrap().contains("what was open before serves"), "{status}");
    assert_eq!(scene.ask()["index"]["digest"], digest);
    // Another shard: the same with two references more and one less.
    let (other, merged) = (scene.home.path().join("other"), scene.home.path().join("merged.shard"));
    fs::create_dir(&other).unwrap();
    let (added, removed) = (scene.flight.files("query"), scene.flight.files("reference"));
    let delta = scene.flight.build_delta(&other, &scene.shard, &[&added[0], &added[1]], &[&removed[0]]);
    let [merge, out] = ["merge", "--out"].map(AsRef::as_ref);
    succeeded(&geolocate([merge, scene.shard.as_os_str(), delta.as_os_str(), out, merged.as_os_str()]));
    replace(&fs::read(merged).unwrap());
    let reply = scene.order("reload", &json!({}));
    assert_eq!((&reply["ok"], &reply["changed"]), (&json!(true), &json!(true)), "{reply}");
    scene.status(&daemon, |status| status["state"] == "online");
    assert_ne!(scene.ask()["index"]["digest"], digest);
}

/// What a scraper gets.
fn scrape(port: u16) -> String {
    use std::io::{Read, Write};
    let mut stream = wait_for("metrics to be served", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn figures_for_prometheus_are_served_on_loopback() {
    let Some(mut scene) = Scene::new("figures_for_prometheus_are_served_on_loopback") else { return };
    scene.bring(1);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _daemon = scene.start(&format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n"));
    scene.serves();
    scene.client.publish(&format!("{BASE}/cam/nadir/frame"), "no picture");
    scene.client.next("its error", |message| message.topic.ends_with("/fix") && message.json()["status"] == "error");
    let text = scrape(port);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("application/openmetrics-text"), "{text}");
    for line in [
        "geolocated_frames_received_total 2",
        "geolocated_fixes_total{status=\"error\"} 1",
        "geolocated_frames_dropped_total{reason=\"stale\"} 0",
        "geolocated_stage_seconds_count{stage=\"embed\"} 1",
        "geolocated_stage_seconds_count{stage=\"total\"} 2",
        "geolocated_broker_connected 1.0",
        "geolocated_generation 1.0",
        "geolocated_degraded 0.0",
        "geolocated_outbox_disk_working 1.0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found.trim_end() == line), "{line}\n{text}");
    }
    scene.broker.kill();
    wait_for("the lost broker to show", || scrape(port).contains("geolocated_broker_connected 0.0").then_some(()));
}
