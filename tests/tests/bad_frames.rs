//! Bad frames: none of the real pictures is taken for one, the real lens cap is, and the daemon says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use geolocated::locate::{BadFrame, FrameFigures};
use quantized_models::{DecodeLimits, decode};
use serde_json::Value;
use support::broker::Broker;
use support::client::Client;
use support::daemon::{Daemon, settings};
use support::schema::assert_valid;
use support::shared::{Flight, shared};
use support::{free_port, scrape};

const BASE: &str = "geolocated/field/drone-7";

fn pictures(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_picture = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("jpg"));
        if path.is_dir() {
            pictures(&path, found);
        } else if is_picture {
            found.push(path);
        }
    }
}

/// What is said of every picture of a set.
fn judged(set: &Path) -> (usize, Vec<(PathBuf, BadFrame)>) {
    let mut found = Vec::new();
    pictures(set, &mut found);
    found.sort();
    let bad = |path: &PathBuf| {
        let image = decode(&std::fs::read(path).unwrap(), &DecodeLimits::default()).ok()?;
        FrameFigures::of(&image)?.bad().map(|kind| (path.clone(), kind))
    };
    (found.len(), found.iter().filter_map(bad).collect())
}

#[test]
fn of_all_real_pictures_only_bad_and_empty_ones_are_refused() {
    let Some(shared) = shared("of_all_real_pictures_only_bad_and_empty_ones_are_refused") else { return };
    let mut refused = BTreeMap::new();
    let (mut all, mut sets) = (0, 0);
    for entry in std::fs::read_dir(shared.join("imagery")).unwrap() {
        let set = entry.unwrap().path();
        if set.is_dir() {
            let (count, bad) = judged(&set);
            eprintln!("{}: {count} pictures, refused {bad:?}", set.file_name().unwrap().display());
            all += count;
            sets += 1;
            refused.extend(bad);
        }
    }
    assert!(all > 800 && sets > 8, "{all} pictures in {sets} sets");
    let (mut caps, mut others) = (0, Vec::new());
    for (path, kind) in refused {
        let name = path.to_string_lossy().to_lowercase();
        // Tiles and orthophotos, white beyond their edge, are references; the file with corrupt EXIF is one flat colour.
        let is_no_frame = ["/tiles/", "ortho.jpg", "corrupt_exif"].iter().any(|part| name.contains(part));
        if name.contains("lens_cap") {
            assert_eq!(kind, BadFrame::Covered, "{name}");
            caps += 1;
        } else if !is_no_frame {
            others.push((name, kind));
        }
    }
    assert!(caps >= 1, "the lens cap is seen");
    assert_eq!(others, [], "false alarms");
}

struct Scene {
    flight: Flight,
    client: Client,
    _broker: Broker,
    daemon: Daemon,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn start(test: &str, more: &str) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let folder = tempfile::tempdir().unwrap();
        let shard = flight.build(folder.path());
        let broker = Broker::start();
        let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
        let config = settings(folder.path(), &broker.url(), &shard, &flight.model, more);
        let daemon = Daemon::start(&config);
        client.next("the daemon to be online", |message| message.topic.ends_with("/status"));
        Some(Self { flight, client, _broker: broker, daemon, _folder: folder })
    }

    fn ask(&mut self, camera: &str, id: &str, frame: &[u8], captured_at: &str) -> Value {
        let properties = [("id", id), ("captured_at", captured_at)];
        self.client.publish_with(&format!("{BASE}/cam/{camera}/frame"), frame.to_vec(), &properties);
        let topic = format!("{BASE}/cam/{camera}/fix");
        self.client.next(id, |message| message.topic == topic && message.json()["id"] == id).json()
    }
}

#[test]
fn a_covered_and_a_frozen_camera_get_no_fix_and_the_reason() {
    let port = free_port();
    let metrics = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let Some(mut scene) = Scene::start("a_covered_and_a_frozen_camera_get_no_fix_and_the_reason", &metrics) else {
        return;
    };
    let cap = std::fs::read(scene.flight.imagery("bad_frames/images/dji_20251001213509_0003_d_lens_cap.jpg")).unwrap();
    let frames: Vec<Vec<u8>> =
        scene.flight.files("query").iter().take(2).map(|file| scene.flight.frame(file)).collect();
    let schema = include_str!("../../daemon/schema/fix.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str::<Value>(schema).unwrap()).unwrap();
    for (id, camera, frame, at, expected) in [
        ("a", "nadir", &frames[0], "2999-01-01T00:00:00Z", None),
        ("the same once more", "nadir", &frames[0], "2999-01-01T00:00:00Z", None),
        ("b", "nadir", &frames[0], "2999-01-01T00:00:02Z", Some("bad_frame: frozen")),
        ("c", "nadir", &cap, "2999-01-01T00:00:04Z", Some("bad_frame: covered")),
        ("d", "nadir", &frames[0], "2999-01-01T00:00:06Z", Some("bad_frame: frozen")),
        ("e", "other", &frames[0], "2999-01-01T00:00:06Z", None),
        ("f", "nadir", &frames[1], "2999-01-01T00:00:08Z", None),
        ("g", "nadir", &frames[0], "2999-01-01T00:00:10Z", None),
    ] {
        let fix = scene.ask(camera, id, frame, at);
        let problems: Vec<String> = schema.iter_errors(&fix).map(|error| error.to_string()).collect();
        assert_eq!(problems, Vec::<String>::new(), "{fix}");
        match expected {
            None => assert!(fix["status"] == "fix" || fix["status"] == "ambiguous", "{fix}"),
            Some(reason) => {
                assert_eq!((&fix["status"], &fix["reason"]), (&"no_fix".into(), &reason.into()), "{fix}");
                assert!(fix.get("candidates").is_none() && fix["ms"].get("embed").is_none(), "{fix}");
            }
        }
    }
    let figures = scrape(port);
    for (kind, count) in [("dark", 0), ("covered", 1), ("over_exposed", 0), ("blurred", 0), ("frozen", 2)] {
        let line = format!("geolocated_frames_bad_total{{kind=\"{kind}\"}} {count}");
        assert!(figures.lines().any(|found| found == line), "{line}\n{figures}");
    }
    assert!(scene.daemon.stop().0.success());
    let stats = scene.client.next("the last figures", |message| message.topic.ends_with("/stats")).json();
    let stats = std::iter::successors(Some(stats), |_| {
        let next = scene.client.next_within(Duration::from_secs(1), |message| message.topic.ends_with("/stats"));
        next.map(|message| message.json())
    });
    let stats = stats.last().unwrap();
    assert_valid("stats", &stats);
    let count = |key: &str| stats["counters"][key].as_u64().unwrap();
    assert_eq!((count("frames_bad"), count("frames_covered"), count("frames_frozen")), (3, 1, 2), "{stats}");
    assert_eq!((count("frames_answered"), count("frames_failed")), (8, 0), "{stats}");
}

#[test]
fn what_is_not_refused_is_located() {
    let more = "[frames]\nrefuse = [\"dark\"]\n";
    let Some(mut scene) = Scene::start("what_is_not_refused_is_located", more) else { return };
    let cap = std::fs::read(scene.flight.imagery("bad_frames/images/dji_20251001213509_0003_d_lens_cap.jpg")).unwrap();
    for (id, at) in [("a", "2999-01-01T00:00:00Z"), ("b", "2999-01-01T00:00:02Z")] {
        let fix = scene.ask("nadir", id, &cap, at);
        assert!(fix["status"] == "fix" || fix["status"] == "ambiguous", "{fix}");
    }
}
