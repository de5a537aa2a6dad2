//! A generator over MQTT: what it writes comes as a revision, and no fix depends on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::broker::Broker;
use support::client::{Client, Message};
use support::daemon::{Daemon, settings};
use support::shared::Flight;
use support::{binary, wait_for};

const BASE: &str = "geolocated/field/drone-7";
const FAR_AWAY: [(&str, &str); 3] = [("prior_lat", "0"), ("prior_lon", "0"), ("prior_radius_m", "1000")];

/// The built-in comparator, which also writes places.
fn model() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../quantized-models/mini/vlm-mini");
    folder.canonicalize().unwrap()
}

/// Whether ONNX Runtime, which alone runs generators, lies beside the daemon.
fn has_runtime() -> bool {
    let is_it = |name: &str| name.starts_with("libonnxruntime.so");
    let beside = binary("geolocated").parent().unwrap().read_dir().unwrap();
    let found = beside.flatten().any(|entry| is_it(&entry.file_name().to_string_lossy()));
    assert!(found || std::env::var("GEOLOCATED_REQUIRE_ONNXRUNTIME").as_deref() != Ok("1"), "ONNX Runtime is required");
    found
}

struct Scene {
    flight: Flight,
    folder: tempfile::TempDir,
    _broker: Broker,
    client: Client,
    daemon: Daemon,
}

impl Scene {
    /// A flight, its shard, a broker, a watching client, and a daemon with `more` at the end of `[models]`.
    fn start(test: &str, more: &str) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        if !has_runtime() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let shard = flight.build(folder.path());
        let broker = Broker::start();
        let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
        let daemon = Daemon::start(&settings(folder.path(), &broker.url(), &shard, &flight.model, more));
        // What it says of itself comes after its subscriptions.
        client.next("the start", |message| message.topic.ends_with("/info"));
        Some(Self { flight, folder, _broker: broker, client, daemon })
    }

    fn wait_for(&mut self, line: &str) {
        wait_for(line, || {
            self.daemon.assert_running();
            self.daemon.log().contains(line).then_some(())
        });
    }

    fn send(&self, id: &str, file: &str, more: &[(&str, &str)]) {
        let properties = [&[("id", id)], more].concat();
        self.client.publish_with(&format!("{BASE}/cam/nadir/frame"), self.flight.frame(file), &properties);
    }

    /// The next message about a frame.
    fn next(&mut self, id: &str) -> Value {
        let is_it = |message: &Message| message.topic.ends_with("/nadir/fix") && message.json()["id"] == id;
        let message = self.client.next(id, is_it);
        assert!(message.payload.len() <= 4096, "{} bytes", message.payload.len());
        assert_valid("fix", &message.json());
        message.json()
    }

    fn nothing_more(&mut self) {
        let more = self.client.next_within(Duration::from_millis(700), |message| message.topic.ends_with("/fix"));
        assert!(more.is_none(), "{}", more.unwrap().json());
    }

    fn retained(&self, topic: &str) -> Value {
        let topic = format!("{BASE}/{topic}");
        wait_for(&format!("{topic} to be retained"), || {
            let mut late = Client::connect(self._broker.port, "late", &[&topic]);
            late.next_within(Duration::from_secs(1), |message| message.retained).map(|message| message.json())
        })
    }

    /// The counters at the end.
    fn stop(&mut self) -> Value {
        let (status, _) = self.daemon.stop();
        assert!(status.success(), "{status}\n{}", self.daemon.log());
        let marker = self.folder.path().join("state/generator-at-work.json");
        assert!(!marker.exists(), "an end that was asked for accuses nobody");
        let mut stats = Value::Null;
        while let Some(message) = self.client.next_within(Duration::from_secs(2), |m| m.topic.ends_with("/stats")) {
            stats = message.json();
            assert_valid("stats", &stats);
        }
        stats["counters"].clone()
    }
}

fn assert_valid(schema: &str, instance: &Value) {
    let path = format!("{}/../daemon/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{path}: {problems:?}\n{instance:#}");
}

/// A message without what differs between the answers to one frame.
fn comparable(fix: &Value) -> Value {
    let mut fix = fix.as_object().unwrap().clone();
    for key in ["seq", "revises", "published_at", "clock", "generated"] {
        fix.remove(key);
    }
    Value::Object(fix)
}

#[test]
fn what_a_generator_writes_comes_as_a_revision_that_leaves_the_fix_as_it_is() {
    let test = "what_a_generator_writes_comes_as_a_revision_that_leaves_the_fix_as_it_is";
    let more = format!("[generate]\nmodel = {:?}\nwhen = \"always\"\nsamples = 2\ntemperature = 0.5\n", model());
    let Some(mut scene) = Scene::start(test, &more) else { return };
    scene.wait_for("generator ready");
    let queries: Vec<String> = scene.flight.files("query").into_iter().take(4).collect();
    for file in &queries {
        scene.send(file, file, &[]);
        let (first, second) = (scene.next(file), scene.next(file));
        assert!(first.get("generated").is_none() && first.get("revises").is_none(), "{first}");
        assert_eq!(second["revises"], first["id"]);
        assert_eq!(comparable(&first), comparable(&second));
        let generated = &second["generated"];
        assert_eq!((&generated["model"], generated["samples"].as_u64()), (&"vlm-mini".into(), Some(2)), "{generated}");
        let parsed = generated["parsed"].as_u64().unwrap();
        assert!(parsed <= 2 && generated.get("lat").is_some() == (parsed > 0), "{generated}");
        assert_eq!(scene.retained("cam/nadir/last")["generated"], *generated);
    }
    let info = scene.retained("info");
    assert_valid("info", &info);
    assert_eq!(info["generator"], serde_json::json!({"name": "vlm-mini", "when": "always", "samples": 2}));
    // What is no picture is not worth a question.
    scene.client.publish_with(&format!("{BASE}/cam/nadir/frame"), "not a picture", &[("id", "text")]);
    assert_eq!(scene.next("text")["status"], "error");
    scene.nothing_more();
    let counters = scene.stop();
    let count = |key: &str| counters[key].as_u64().unwrap();
    assert_eq!((count("frames_answered"), count("fixes_revised"), count("generator_asked")), (5, 4, 4), "{counters}");
}

#[test]
fn by_default_it_is_asked_where_the_index_has_no_place_and_the_answer_stays_no_fix() {
    let test = "by_default_it_is_asked_where_the_index_has_no_place_and_the_answer_stays_no_fix";
    let Some(mut scene) = Scene::start(test, &format!("[generate]\nmodel = {:?}\n", model())) else { return };
    scene.wait_for("generator ready");
    let file = scene.flight.files("query").remove(0);
    scene.send("here", &file, &[]);
    assert_eq!(scene.next("here")["status"], "fix");
    scene.nothing_more();
    scene.send("elsewhere", &file, &FAR_AWAY);
    let (first, second) = (scene.next("elsewhere"), scene.next("elsewhere"));
    for answer in [&first, &second] {
        assert_eq!((&answer["status"], &answer["reason"]), (&"no_fix".into(), &"out_of_coverage".into()));
        assert!(answer.get("lat").is_none(), "what is written is no fix: {answer}");
    }
    assert_eq!(second["generated"]["samples"], 1, "{second}");
    scene.stop();
}

#[test]
fn it_comes_after_the_comparator_and_keeps_what_that_said() {
    let test = "it_comes_after_the_comparator_and_keeps_what_that_said";
    let more = format!(
        "comparator = {:?}\n[rerank]\ngate_nats = inf\nprobes = 0\nbudget_ms = 60000\n[generate]\nmodel = {:?}\n\
         when = \"always\"\n",
        model(),
        model()
    );
    let Some(mut scene) = Scene::start(test, &more) else { return };
    scene.wait_for("generator ready");
    scene.wait_for("comparator ready");
    let file = scene.flight.files("query").remove(0);
    scene.send("one", &file, &[]);
    let answers = [scene.next("one"), scene.next("one"), scene.next("one")];
    let stages = ["retrieved", "reranked", "reranked"];
    assert_eq!(answers.each_ref().map(|answer| answer["stage"].clone()), stages.map(Value::from));
    assert_eq!(comparable(&answers[1]), comparable(&answers[2]));
    assert_eq!(answers[2]["generated"]["samples"], 1);
    scene.stop();
}

#[test]
fn a_generator_that_cannot_be_loaded_is_named_and_costs_no_fix() {
    let test = "a_generator_that_cannot_be_loaded_is_named_and_costs_no_fix";
    let Some(mut scene) = Scene::start(test, "[generate]\nmodel = \"no-such-model\"\nwhen = \"always\"\n") else {
        return;
    };
    scene.wait_for("generating is off");
    let file = scene.flight.files("query").remove(0);
    scene.send("one", &file, &[]);
    assert_eq!(scene.next("one")["status"], "fix");
    let degraded = |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == "degraded";
    let reason = scene.retained("status")["reason"].as_str().unwrap_or_default().to_owned();
    let reason =
        if reason.is_empty() { scene.client.next("status", degraded).json()["reason"].to_string() } else { reason };
    assert!(reason.contains("generating is off") && reason.contains("no-such-model"), "{reason}");
    let counters = scene.stop();
    assert_eq!(counters["generator_skipped"], 1, "{counters}");
    let config = scene.folder.path().join("geolocated.toml");
    let check =
        std::process::Command::new(binary("geolocated")).args(["check", "--config"]).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(!check.status.success() && said.contains("no-such-model"), "{said}");
}
