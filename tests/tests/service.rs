//! The daemon as a whole process, with a real broker: what goes in over MQTT and what comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::broker::{Broker, CREDENTIALS};
use support::client::{Client, Message};
use support::daemon::{Daemon, settings};
use support::matrix::Matrix;
use support::shared::Flight;
use support::{geolocate, succeeded};

const BASE: &str = "geolocated/field/drone-7";

/// A flight, its shard, a broker, a watching client, and a daemon that is online.
struct Scene {
    flight: Flight,
    folder: tempfile::TempDir,
    shard: std::path::PathBuf,
    broker: Broker,
    client: Client,
    daemon: Daemon,
}

impl Scene {
    fn start(test: &str, more_settings: &str) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let folder = tempfile::tempdir().unwrap();
        let shard = flight.build(folder.path());
        let broker = Broker::start();
        let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
        let config = settings(folder.path(), &broker.url(), &shard, &flight.model, more_settings);
        let daemon = Daemon::start(&config);
        let status = client.next("the daemon to be online", |message| message.topic.ends_with("/status"));
        assert_eq!(status.json(), json!({"state": "online"}), "{}", daemon.log());
        Some(Self { flight, folder, shard, broker, client, daemon })
    }

    /// Publishes a frame and waits for its answer.
    fn ask(&mut self, camera: &str, id: &str, frame: Vec<u8>) -> Value {
        self.client.publish_with(&frame_topic(camera), frame, &[("id", id)]);
        self.answer(camera, id)
    }

    fn answer(&mut self, camera: &str, id: &str) -> Value {
        let topic = format!("{BASE}/cam/{camera}/fix");
        let is_answer = |message: &Message| message.topic == topic && message.json()["id"] == id;
        let answer = self.client.next(&format!("the answer to {id}"), is_answer);
        assert!(answer.payload.len() <= 4096, "{} bytes", answer.payload.len());
        assert!(!answer.retained);
        assert_valid("fix", &answer.json());
        answer.json()
    }

    /// A watcher that comes late gets this as retained message.
    fn retained(&self, topic: &str) -> Value {
        let topic = format!("{BASE}/{topic}");
        support::wait_for(&format!("{topic} to be retained"), || {
            let mut late = Client::connect(self.broker.port, "late", &[&topic]);
            let message = late.next_within(Duration::from_secs(1), |message| message.retained)?;
            Some(message.json())
        })
    }

    /// Stops the daemon as systemd does and gives its counters.
    fn stop(&mut self) -> Value {
        let (status, _) = self.daemon.stop();
        assert!(status.success(), "{status}\n{}", self.daemon.log());
        let mut stats = Value::Null;
        while let Some(message) =
            self.client.next_within(Duration::from_secs(2), |message| message.topic.ends_with("/stats"))
        {
            stats = message.json();
            assert_valid("stats", &stats);
        }
        stats["counters"].clone()
    }
}

fn frame_topic(camera: &str) -> String {
    format!("{BASE}/cam/{camera}/frame")
}

fn assert_valid(schema: &str, instance: &Value) {
    let path = format!("{}/../daemon/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
}

/// Haversine distance in metres.
fn distance_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let (dlat, dlon) = (lat_b - lat_a, (b.1 - a.1).to_radians());
    let h = (dlat / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (dlon / 2.0).sin().powi(2);
    2.0 * 6_371_008.8 * h.sqrt().asin()
}

/// A fix object without what differs between a message and a line of `geolocate locate`: names, times, the track, and the
/// candidates that a message has no room for.
fn comparable(fix: &Value) -> Value {
    let mut fix = fix.as_object().unwrap().clone();
    for key in ["id", "boot", "seq", "cam", "published_at", "captured_at", "clock", "ms", "track", "truncated"] {
        fix.remove(key);
    }
    for (key, most) in [("candidates", 8), ("dissimilar", 4)] {
        if let Some(list) = fix.get_mut(key).and_then(Value::as_array_mut) {
            list.truncate(most);
        }
    }
    Value::Object(fix)
}

#[test]
fn frames_over_mqtt_get_the_fixes_that_locate_and_evaluate_give() {
    let Some(mut scene) = Scene::start("frames_over_mqtt_get_the_fixes_that_locate_and_evaluate_give", "") else {
        return;
    };
    let queries = scene.flight.files("query");
    let fixes: Vec<Value> = queries.iter().map(|file| scene.ask("nadir", file, scene.flight.frame(file))).collect();
    assert!(fixes.iter().all(|fix| fix["track"]["state"].is_string()), "{fixes:?}");
    let info = scene.retained("info");
    assert_valid("info", &info);
    let runtime = info["encoder"]["runtime"].as_str().unwrap();
    assert!(runtime.starts_with("onnxruntime ") || runtime.starts_with("tract"), "{runtime}");
    if std::env::var("GEOLOCATED_REQUIRE_ONNXRUNTIME").as_deref() == Ok("1") {
        assert!(runtime.starts_with("onnxruntime "), "{runtime}");
    }
    assert_eq!(scene.retained("cam/nadir/last"), fixes[fixes.len() - 1]);
    assert_eq!(
        fixes.iter().map(|fix| fix["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=queries.len() as u64).collect::<Vec<_>>()
    );

    let mut arguments = vec!["locate".into(), "--index".into(), scene.shard.clone().into_os_string()];
    arguments.extend(["--encoder".into(), scene.flight.model.clone().into_os_string()]);
    arguments.extend(queries.iter().map(|file| scene.flight.images.join(file).into_os_string()));
    let lines = succeeded(&geolocate(arguments));
    for (line, fix) in lines.lines().zip(&fixes) {
        let located: Value = serde_json::from_str(line).unwrap();
        assert_valid("fix", &located);
        assert_eq!(comparable(&located), comparable(fix));
    }
    assert_eq!(lines.lines().count(), fixes.len());
    compare_with_evaluate(&scene, &fixes);
}

/// `geolocate evaluate` must count what came over MQTT.
fn compare_with_evaluate(scene: &Scene, fixes: &[Value]) {
    let report = scene.folder.path().join("evaluate.json");
    let flight = &scene.flight;
    let mut arguments: Vec<std::ffi::OsString> =
        ["evaluate", "--rerank", "off", "--role", "query"].map(Into::into).into();
    let paths = [("--index", &scene.shard), ("--encoder", &flight.model), ("--images", &flight.images)];
    for (flag, path) in
        paths.into_iter().chain([("--poses", &flight.poses), ("--split", &flight.split), ("--json", &report)])
    {
        arguments.extend([flag.into(), path.into()]);
    }
    succeeded(&geolocate(arguments));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();

    let truth: HashMap<String, (f64, f64)> =
        flight.truth().into_iter().map(|(file, lat, lon)| (file, (lat, lon))).collect();
    let position = |place: &Value| Some((place["lat"].as_f64()?, place["lon"].as_f64()?));
    let within = |place: Option<(f64, f64)>, fix: &Value, metres: f64| {
        place.is_some_and(|place| distance_m(place, truth[fix["id"].as_str().unwrap()]) <= metres)
    };
    for (metres, key) in [(10.0, "10"), (25.0, "25"), (50.0, "50")] {
        let share = |good: usize| good as f64 / fixes.len() as f64;
        let fix_share = share(fixes.iter().filter(|fix| within(position(fix), fix, metres)).count());
        let top_share = share(fixes.iter().filter(|fix| within(position(&fix["candidates"][0]), fix, metres)).count());
        assert!((report["within_m"][key].as_f64().unwrap() - fix_share).abs() < 1e-9, "within {key} m: {report:#}");
        assert!((report["recall"]["1"][key].as_f64().unwrap() - top_share).abs() < 1e-9, "recall {key} m: {report:#}");
        eprintln!("within {key} m over MQTT: fix {fix_share:.3}, first candidate {top_share:.3}");
    }
    let with_status = |status: &str| fixes.iter().filter(|fix| fix["status"] == status).count() as u64;
    assert_eq!(report["fixes"].as_u64(), Some(with_status("fix")));
    assert_eq!(report["ambiguous"].as_u64(), Some(with_status("ambiguous")));
    assert_eq!(report["errors"].as_u64(), Some(0));
    assert!(report["recall"]["1"]["25"].as_f64().unwrap() >= 0.85);
}

#[test]
fn bad_frames_get_errors_that_say_why_and_the_next_frame_is_answered() {
    let limits = "[frames]\nmax_bytes = 400000\nmax_pixels = 4000000\n";
    let Some(mut scene) = Scene::start("bad_frames_get_errors_that_say_why_and_the_next_frame_is_answered", limits)
    else {
        return;
    };
    let good = scene.flight.frame(&scene.flight.files("query")[0]);
    let bomb = {
        // The real header with impossible dimensions: SOF's height and width are bytes 5 to 8 of its segment.
        let mut bytes = good[..2000.min(good.len())].to_vec();
        let sof = bytes.windows(2).position(|pair| pair[0] == 0xFF && (0xC0..=0xC2).contains(&pair[1])).unwrap();
        bytes[sof + 5..sof + 9].copy_from_slice(&[0xFD, 0xE8, 0xFD, 0xE8]);
        bytes
    };
    let mut oversize = good.clone();
    oversize.resize(400_001, 0);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("empty", Vec::new(), "empty"),
        ("text", b"not a picture at all".to_vec(), "not a JPEG, PNG or WebP"),
        ("cut-700", good[..700].to_vec(), "JPEG"),
        ("cut-half", good[..good.len() / 2].to_vec(), "JPEG"),
        ("bomb", bomb, "65000"),
        ("oversize", oversize, "400001"),
    ];
    for (id, frame, word) in cases {
        let answer = scene.ask("nadir", id, frame);
        assert_eq!(answer["status"], "error", "{id}: {answer}");
        let reason = answer["reason"].as_str().unwrap();
        eprintln!("{id}: {reason}");
        assert!(reason.starts_with("frame_refused: ") && reason.contains(word), "{id}: {reason}");
        assert_eq!(scene.ask("nadir", &format!("after-{id}"), good.clone())["status"], "fix", "after {id}");
    }
    let counters = scene.stop();
    assert_eq!((&counters["frames_answered"], &counters["frames_failed"]), (&json!(12), &json!(6)));
}

#[test]
fn the_newest_frame_wins_and_every_drop_is_counted() {
    let Some(mut scene) = Scene::start("the_newest_frame_wins_and_every_drop_is_counted", "") else { return };
    let queries = scene.flight.files("query");
    let sent = 100;
    for n in 0..sent {
        let frame = scene.flight.frame(&queries[n % queries.len()]);
        scene.client.publish_with(&frame_topic("nadir"), frame, &[("id", &format!("flood-{n}"))]);
    }
    scene.answer("nadir", &format!("flood-{}", sent - 1));
    let counters = scene.stop();
    let count = |key: &str| counters[key].as_u64().unwrap();
    assert_eq!(count("frames_received"), sent as u64, "{counters}");
    assert_eq!(count("frames_answered") + count("frames_replaced"), sent as u64, "{counters}");
    assert!(count("frames_replaced") > 0, "{counters}");
    assert_eq!(count("fixes_delivered"), count("frames_answered"), "{counters}");
}

#[test]
fn a_flood_of_frames_and_camera_names_leaves_memory_flat() {
    let Some(mut scene) = Scene::start("a_flood_of_frames_and_camera_names_leaves_memory_flat", "") else { return };
    let frame = scene.flight.frame(&scene.flight.files("query")[0]);
    let flood = |scene: &mut Scene, round: usize| {
        for n in 0..1000 {
            scene.client.publish(&frame_topic(&format!("cam-{round}-{n}")), frame.clone());
        }
        // The watcher's own frames pass through the same queue, so an echo means that all were read.
        let echo = format!("{BASE}/cam/echo/meta");
        scene.client.publish(&echo, format!("{{\"id\":\"{round}\"}}"));
        scene.client.next("the echo", |message| message.topic == echo);
    };
    flood(&mut scene, 0);
    std::thread::sleep(Duration::from_secs(1));
    let before = scene.daemon.anonymous_bytes();
    for round in 1..4 {
        flood(&mut scene, round);
    }
    std::thread::sleep(Duration::from_secs(1));
    let after = scene.daemon.anonymous_bytes();
    eprintln!("anonymous memory: {before} bytes, after 3000 more camera names {after}");
    assert!(after < before + (32 << 20), "{before} -> {after}");
    let counters = scene.stop();
    assert!(counters["frames_over_cameras"].as_u64().unwrap() >= 3000, "{counters}");
}

#[test]
fn metadata_comes_by_properties_or_by_a_message_before_the_frame() {
    let Some(mut scene) = Scene::start("metadata_comes_by_properties_or_by_a_message_before_the_frame", "") else {
        return;
    };
    let frame = scene.flight.frame(&scene.flight.files("query")[0]);
    scene.client.publish(&format!("{BASE}/cam/nadir/meta"), r#"{"id":"by-meta","heading_deg":12.5,"agl_m":"low"}"#);
    scene.client.publish(&frame_topic("nadir"), frame.clone());
    scene.answer("nadir", "by-meta");

    let far_away = [("id", "elsewhere"), ("prior_lat", "0"), ("prior_lon", "0"), ("prior_radius_m", "1000")];
    scene.client.publish_with(&frame_topic("nadir"), frame.clone(), &far_away);
    let answer = scene.answer("nadir", "elsewhere");
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("no_fix"), &json!("out_of_coverage")));

    let now = "2999-01-01T00:00:00Z";
    scene.client.publish_with(&frame_topic("nadir"), frame.clone(), &[("id", "timed"), ("captured_at", now)]);
    assert_eq!(scene.answer("nadir", "timed")["captured_at"], "2999-01-01T00:00:00.000Z");

    scene.client.publish_with(
        &frame_topic("nadir"),
        frame.clone(),
        &[("id", "old"), ("captured_at", "2014-10-19T13:20:51Z")],
    );
    scene.client.publish_retained(&frame_topic("nadir"), frame);
    scene.client.publish(&frame_topic("nadir"), "last");
    scene.client.next("the answer to the last frame", |message| {
        message.topic.ends_with("/fix") && message.json()["status"] == "error"
    });
    let counters = scene.stop();
    assert_eq!(counters["frames_stale"], 1, "{counters}");
    assert_eq!(counters["metadata_refused"], 1, "{counters}");
}

/// Distance in metres from one position of a message to another one, to the east and to the north.
fn east_north_m(from: &Value, to: &Value) -> (f64, f64) {
    let of = |position: &Value, key: &str| position[key].as_f64().unwrap();
    let metres = |key: &str| (of(to, key) - of(from, key)) * 111_195.08;
    (metres("lon") * of(from, "lat").to_radians().cos(), metres("lat"))
}

#[test]
fn over_tiles_of_a_map_the_fix_is_the_camera_s_where_its_attitude_is_known() {
    let test = "over_tiles_of_a_map_the_fix_is_the_camera_s_where_its_attitude_is_known";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (tiles, shard) = (flight.imagery("cross_caliterra_ortho"), folder.path().join("tiles.shard"));
    let (poses, model) = (tiles.join("tiles.csv"), &flight.model);
    let paths = [("--images", &tiles), ("--poses", &poses), ("--encoder", model), ("--out", &shard)];
    let arguments = paths.into_iter().flat_map(|(flag, path)| [flag.into(), path.clone().into_os_string()]);
    succeeded(&geolocate(std::iter::once("build".into()).chain(arguments)));
    let broker = Broker::start();
    let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let more = "[camera.tilted]\nhints = [\"attitude\"]\n";
    let daemon = Daemon::start(&settings(folder.path(), &broker.url(), &shard, model, more));
    client.next("the daemon to be online", |message| message.topic.ends_with("/status"));
    let mut scene = Scene { flight, folder, shard, broker, client, daemon };
    let frame = std::fs::read(tiles.join("tiles/t_0528_0066.jpg")).unwrap();

    let ground = scene.ask("tilted", "ground", frame.clone());
    assert_eq!((&ground["status"], &ground["position_of"]), (&json!("fix"), &json!("footprint_centre")));
    assert_eq!(east_north_m(&ground, &ground["view"]), (0.0, 0.0));
    let mut ask = |id: &str, camera: &str, pitch_deg: &str| {
        let known = [("id", id), ("heading_deg", "90"), ("pitch_deg", pitch_deg), ("agl_m", "50")];
        scene.client.publish_with(&frame_topic(camera), frame.clone(), &known);
        scene.answer(camera, id)
    };
    // Half below the horizon it looks as far ahead as it is high: the camera is 50 m to the west of what it sees.
    let camera = ask("camera", "tilted", "-45");
    assert_eq!(camera["position_of"], "camera");
    assert_eq!(camera["view"], ground["view"]);
    let (east_m, north_m) = east_north_m(&camera["view"], &camera);
    assert!((east_m + 50.0).abs() < 0.3 && north_m.abs() < 0.3, "{east_m} {north_m}");
    // Neither where nothing follows from the attitude nor where nobody asked is anything moved.
    for (id, camera, pitch_deg) in [("flat", "tilted", "-10"), ("other", "other", "-45")] {
        let answer = ask(id, camera, pitch_deg);
        assert_eq!((&answer["position_of"], &answer["lat"]), (&ground["position_of"], &ground["lat"]), "{id}");
    }
    let counters = scene.stop();
    assert_eq!(counters["metadata_refused"], 2, "{counters}");
}

#[test]
fn retained_frames_are_ignored_when_the_daemon_starts() {
    let Some(flight) = Flight::caliterra("retained_frames_are_ignored_when_the_daemon_starts") else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let broker = Broker::start();
    let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    client.publish_retained(&frame_topic("nadir"), flight.frame(&flight.files("query")[0]));
    client.next("the retained frame", |message| message.topic == frame_topic("nadir"));
    let mut daemon = Daemon::start(&settings(folder.path(), &broker.url(), &shard, &flight.model, ""));
    client.next("online", |message| message.topic.ends_with("/status"));
    client.publish(&frame_topic("other"), "x");
    client.next("an answer to another frame", |message| message.topic.ends_with("/cam/other/fix"));
    assert!(client.next_within(Duration::from_millis(200), |m| m.topic.ends_with("/cam/nadir/fix")).is_none());
    let (status, _) = daemon.stop();
    assert!(status.success());
}

#[test]
fn a_broker_that_comes_back_without_memory_gets_everything_again() {
    let Some(mut scene) = Scene::start("a_broker_that_comes_back_without_memory_gets_everything_again", "") else {
        return;
    };
    let frame = scene.flight.frame(&scene.flight.files("query")[0]);
    let first = scene.ask("nadir", "before", frame.clone());
    scene.broker.restart();
    scene.client = Client::connect(scene.broker.port, "watcher-2", &[&format!("{BASE}/#")]);
    let online = scene.client.next("the daemon to be back", |message| message.topic.ends_with("/status"));
    assert_eq!(online.json(), json!({"state": "online"}));
    assert_eq!(scene.retained("cam/nadir/last"), first, "the new broker knows the newest answer");
    assert_eq!(scene.ask("nadir", "after", frame)["status"], "fix");
    scene.daemon.assert_running();
}

#[test]
fn answers_made_while_the_broker_hangs_are_delivered_in_order_when_it_is_back() {
    let test = "answers_made_while_the_broker_hangs_are_delivered_in_order_when_it_is_back";
    let Some(mut scene) = Scene::start(test, "") else { return };
    // The daemon is stopped while the frames arrive, so that they wait in its socket when the broker dies. Frames that
    // are no pictures fit into the socket and are answered like others.
    scene.ask("nadir", "warm", b"no picture".to_vec());
    scene.daemon.signal("STOP");
    let cameras: Vec<String> = (0..5).map(|n| format!("cam{n}")).collect();
    for camera in &cameras {
        scene.client.publish_with(&frame_topic(camera), "no picture", &[("id", camera)]);
    }
    for camera in &cameras {
        scene.client.next("the broker to have passed the frame on", |message| message.topic == frame_topic(camera));
    }
    std::thread::sleep(Duration::from_millis(300));
    scene.broker.kill();
    scene.daemon.signal("CONT");
    support::wait_for("the frames to be answered", || {
        (scene.daemon.log().matches("frame refused").count() >= 6).then_some(())
    });
    scene.broker.restart();
    scene.client = Client::connect(scene.broker.port, "watcher-2", &[&format!("{BASE}/#")]);
    let seqs: Vec<u64> = cameras.iter().map(|camera| scene.answer(camera, camera)["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 6]);
}

#[test]
fn the_last_will_says_that_a_killed_device_is_offline_and_its_next_start_has_a_new_number() {
    let test = "the_last_will_says_that_a_killed_device_is_offline_and_its_next_start_has_a_new_number";
    let Some(mut scene) = Scene::start(test, "") else { return };
    let frame = scene.flight.frame(&scene.flight.files("query")[0]);
    assert_eq!(scene.ask("nadir", "first", frame.clone())["boot"], 1);
    scene.daemon.signal("KILL");
    scene.daemon.wait();
    let status = scene.client.next("the last will", |message| message.topic.ends_with("/status")).json();
    assert_valid("status", &status);
    assert_eq!(status, json!({"state": "offline", "reason": "connection lost"}));
    scene.daemon = Daemon::start(&scene.folder.path().join("geolocated.toml"));
    scene.client.next("online again", |message| message.topic.ends_with("/status"));
    let again = scene.ask("nadir", "second", frame);
    assert_eq!((&again["boot"], &again["seq"]), (&json!(2), &json!(1)));
}

#[test]
fn sigterm_says_goodbye_and_ends_well_with_and_without_a_broker() {
    let Some(mut scene) = Scene::start("sigterm_says_goodbye_and_ends_well_with_and_without_a_broker", "") else {
        return;
    };
    scene.stop();
    let states: Vec<Value> = (0..2)
        .map(|_| scene.client.next("the states of stopping", |message| message.topic.ends_with("/status")).json())
        .collect();
    for state in &states {
        assert_valid("status", state);
    }
    assert_eq!(states, [json!({"state": "stopping"}), json!({"state": "offline", "reason": "stopped"})]);
    assert_eq!(scene.retained("status"), json!({"state": "offline", "reason": "stopped"}));

    scene.broker.kill();
    scene.daemon = Daemon::start(&scene.folder.path().join("geolocated.toml"));
    support::wait_for("the daemon to look for its broker", || {
        scene.daemon.log().contains("no connection to the broker").then_some(())
    });
    let (status, seconds) = scene.daemon.stop();
    assert!(status.success(), "{}", scene.daemon.log());
    assert!(seconds < 10.0, "{seconds} s");
}

#[test]
fn a_broker_behind_a_unix_socket_with_a_password_is_reached_and_a_wrong_password_is_said() {
    let test = "a_broker_behind_a_unix_socket_with_a_password_is_reached_and_a_wrong_password_is_said";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let broker = Broker::start();
    let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let (name, password) = CREDENTIALS;
    let config = settings(folder.path(), &broker.socket_url(), &shard, &flight.model, "");
    let text = std::fs::read_to_string(&config).unwrap();
    let with_password = format!("[mqtt]\nusername = \"{name}\"\npassword_file = \"password\"\n");
    std::fs::write(&config, text.replace("[mqtt]\n", &with_password)).unwrap();

    std::fs::write(folder.path().join("password"), "wrong\n").unwrap();
    let mut refused = Daemon::start(&config);
    support::wait_for("the refusal to be logged", || refused.log().contains("NotAuthorized").then_some(()));
    refused.assert_running();
    assert!(refused.stop().0.success());

    std::fs::write(folder.path().join("password"), format!("{password}\n")).unwrap();
    let mut daemon = Daemon::start(&config);
    let status = client.next("the daemon to be online", |message| message.topic.ends_with("/status"));
    assert_eq!(status.json(), json!({"state": "online"}));
    client.publish_with(&frame_topic("a"), flight.frame(&flight.files("query")[0]), &[("id", "x")]);
    client.next("a fix", |message| message.topic.ends_with("/cam/a/fix") && message.json()["status"] == "fix");
    assert!(daemon.stop().0.success());
}

#[test]
fn a_state_folder_that_cannot_be_written_degrades_and_does_not_stop() {
    let test = "a_state_folder_that_cannot_be_written_degrades_and_does_not_stop";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let broker = Broker::start();
    std::fs::write(folder.path().join("state"), "a file where a folder should be").unwrap();
    let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let _daemon = Daemon::start(&settings(folder.path(), &broker.url(), &shard, &flight.model, ""));
    let status = client.next("a status", |message| message.topic.ends_with("/status")).json();
    assert_valid("status", &status);
    assert_eq!(status["state"], "degraded");
    assert!(status["reason"].as_str().unwrap().contains("state/boot"), "{status}");
    client.publish_with(&frame_topic("a"), flight.frame(&flight.files("query")[0]), &[("id", "x")]);
    client.next("a fix all the same", |message| {
        message.topic.ends_with("/cam/a/fix") && message.json()["status"] == "fix"
    });
}

#[test]
fn damaged_and_foreign_shards_and_bad_settings_are_refused_by_name() {
    let test = "damaged_and_foreign_shards_and_bad_settings_are_refused_by_name";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let bytes = std::fs::read(&shard).unwrap();
    let refused = |name: &str, content: &[u8], words: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let config = settings(folder.path(), "mqtt://127.0.0.1:1", &path, &flight.model, "");
        let mut daemon = Daemon::start(&config);
        assert_eq!(daemon.wait().code(), Some(1));
        let log = daemon.log();
        std::fs::remove_file(config.with_extension("log")).unwrap();
        for word in words.iter().chain([&name]) {
            assert!(log.contains(word), "{name}: expected \"{word}\" in: {log}");
        }
    };
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    refused("flipped.shard", &flipped, &["damaged section", "SHA-256 should be"]);
    refused("cut.shard", &bytes[..bytes.len() / 2], &["cut"]);
    refused("text.shard", b"this is not a shard", &["not a shard"]);
    let foreign = foreign_shard(folder.path());
    refused("foreign.shard", &foreign, &["elsewhere@000000000000", "mobilenetv3-small-576-w8@23013c11d88d"]);

    let config = settings(folder.path(), "mqtt://127.0.0.1:1", &shard, &flight.model, "colour = \"red\"\n");
    let mut daemon = Daemon::start(&config);
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.log().contains("geolocated.toml:11: models.colour: unknown field"), "{}", daemon.log());
}

/// A sound shard of vectors of another model.
fn foreign_shard(folder: &Path) -> Vec<u8> {
    let out = folder.join("made.shard");
    succeeded(&Matrix::write(folder, 2, 4, 1).build("elsewhere@000000000000", &out).output().unwrap());
    std::fs::read(out).unwrap()
}

/// The names of the references in a list of a fix.
fn names(fix: &Value, key: &str) -> Vec<String> {
    let named =
        fix[key].as_array().unwrap().iter().map(|candidate| candidate["reference"].as_str().unwrap().to_owned());
    named.collect()
}

#[test]
fn a_base_with_a_delta_answers_with_the_new_reference_and_not_with_the_removed_one() {
    let test = "a_base_with_a_delta_answers_with_the_new_reference_and_not_with_the_removed_one";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let base = flight.build(folder.path());
    let queries = flight.files("query");
    let (frame, other) = (&queries[0], &queries[1]);
    let located = |shard: &Path| -> Value {
        let photo = flight.images.join(frame);
        let arguments = ["locate".as_ref(), "--index".as_ref(), shard.as_os_str(), "--encoder".as_ref()];
        let arguments = arguments.into_iter().chain([flight.model.as_os_str(), photo.as_os_str()]);
        serde_json::from_str(&succeeded(&geolocate(arguments))).unwrap()
    };
    let removed = names(&located(&base), "candidates").remove(0);
    let delta = flight.build_delta(folder.path(), &base, &[frame, other], &[&removed]);

    let broker = Broker::start();
    let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let config = settings(folder.path(), &broker.url(), &base, &flight.model, "");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&format!("{base:?}"), &format!("{base:?}, {delta:?}"))).unwrap();
    let mut daemon = Daemon::start(&config);
    client.next("online", |message| message.topic.ends_with("/status") && message.json()["state"] == "online");
    client.publish_with(&frame_topic("nadir"), flight.frame(frame), &[("id", "x")]);
    let answer = client.next("a fix", |message| message.topic.ends_with("/cam/nadir/fix")).json();
    assert_valid("fix", &answer);
    assert_eq!(&names(&answer, "candidates")[0], frame, "{answer}");
    assert!(!answer.to_string().contains(&removed), "{removed} in {answer}");

    let merged = folder.path().join("merged.shard");
    let arguments = ["merge".as_ref(), base.as_os_str(), delta.as_os_str(), "--out".as_ref(), merged.as_os_str()];
    succeeded(&geolocate(arguments));
    let of_merged = located(&merged);
    assert_eq!(names(&of_merged, "candidates")[..8], names(&answer, "candidates"));
    assert!(!of_merged.to_string().contains(&removed), "{removed} in {of_merged}");
    assert!(daemon.stop().0.success());
}
