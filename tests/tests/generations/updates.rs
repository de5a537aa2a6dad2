//! Generations over HTTP, from a server that cuts, stalls and lies.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Deed, Server};
use crate::support::client::Message;
use crate::support::daemon::Daemon;
use crate::support::fleet::Fleet;
use crate::support::generation::{bring, make};
use crate::support::schema::assert_valid;
use crate::support::wait_for;

struct Scene {
    fleet: Fleet,
    server: Server,
}

impl Scene {
    /// A device that serves generation 1, and a server that has none yet.
    fn new(test: &str) -> Option<Self> {
        let fleet = Fleet::new(test)?;
        bring(&fleet.make(1, &[]), &fleet.index());
        Some(Self { fleet, server: Server::start() })
    }

    fn start(&self, more: &str) -> Daemon {
        let update = format!("[update]\nurl = {:?}\ninterval_s = 1.0\n{more}", self.server.url("/fleet"));
        Daemon::start(&self.fleet.config(&update))
    }

    /// A generation at home: the shard of the first, and a file of its own.
    fn make(&self, counter: u64) -> PathBuf {
        let folder = self.fleet.home.path().join(format!("gen-{counter}"));
        fs::create_dir_all(folder.join("calibration")).unwrap();
        let numbers: Vec<u8> = (0..300_000_u32).flat_map(|at| (at ^ counter as u32).to_le_bytes()).collect();
        fs::write(folder.join("calibration/numbers.bin"), numbers).unwrap();
        make(self.fleet.home.path(), counter, &self.fleet.shard, &self.fleet.keys, &["--golden", "2"])
    }

    /// Puts a generation onto the server.
    fn publish(&self, folder: &Path) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let mut folders = vec![folder.to_owned()];
        while let Some(at) = folders.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let below = path.strip_prefix(folder).unwrap().to_str().unwrap();
                self.server.put(&format!("/fleet/{name}/{below}"), &fs::read(&path).unwrap());
            }
        }
        self.server.put("/fleet/latest", format!("{name}\n").as_bytes());
    }

    fn update(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let is_wanted = |message: &Message| message.topic.ends_with("/info") && wanted(&message.json()["generations"]);
        let info = self.fleet.client.next(what, is_wanted).json();
        assert_valid("info", &info);
        info["generations"].clone()
    }

    fn degraded(&mut self, part: &str) {
        let is_told = |message: &Message| {
            let said = message.json();
            message.topic.ends_with("/status") && said["reason"].as_str().is_some_and(|reason| reason.contains(part))
        };
        self.fleet.client.next(&format!("a status with {part:?}"), is_told);
    }
}

#[test]
fn a_newer_generation_is_fetched_with_what_the_device_lacks_and_activated() {
    let Some(mut scene) = Scene::new("a_newer_generation_is_fetched_with_what_the_device_lacks_and_activated") else {
        return;
    };
    let two = scene.make(2);
    scene.publish(&two);
    // Its own file is cut and stalls; what is there is resumed.
    let own = "/fleet/gen-2/calibration/numbers.bin";
    scene.server.misbehave(own, &[Deed::Cut(400_000), Deed::Status(503, ""), Deed::Cut(200_000)]);
    let mut daemon = scene.start("");
    scene.update("generation 2", |generations| generations["active"] == 2);
    assert_eq!(scene.fleet.serves(), 2, "{}", daemon.log());
    assert!(scene.server.requests("/fleet/gen-2/reference.shard").is_empty(), "the device has this shard");
    let requests = scene.server.requests(own);
    let resumed: Vec<&str> = requests.iter().filter_map(|request| request.header("range")).collect();
    assert!(resumed.contains(&"bytes=400000-"), "{resumed:?}");
    // Asked again and again, it fetches no manifest twice.
    let asked = scene.server.requests("/fleet/latest").len();
    wait_for("it to ask again", || (scene.server.requests("/fleet/latest").len() > asked + 1).then_some(()));
    assert_eq!(scene.server.requests("/fleet/gen-2/manifest.json").len(), 2, "manifest and signature once");
    // What it fetched and needs no more it removes; what others brought it leaves.
    for counter in [3, 4] {
        let next = scene.make(counter);
        scene.publish(&next);
        scene.update("the next one", |generations| generations["active"] == counter);
    }
    let own = scene.fleet.folder.path().join("state/generations");
    assert!(!own.join("gen-2").exists() && own.join("gen-3").exists() && own.join("gen-4").exists());
    assert!(scene.fleet.folder.path().join("index/gen-1").exists());
    daemon.assert_running();
}

#[test]
fn a_server_that_lies_is_named_and_what_served_before_serves() {
    let Some(mut scene) = Scene::new("a_server_that_lies_is_named_and_what_served_before_serves") else { return };
    let two = scene.make(2);
    scene.publish(&two);
    let good = fs::read(two.join("manifest.json")).unwrap();
    let tampered = String::from_utf8(good.clone()).unwrap().replace("\"counter\": 2", "\"counter\": 9");
    scene.server.put("/fleet/gen-2/manifest.json", tampered.as_bytes());
    let mut daemon = scene.start("");
    scene.degraded("wrong signature by key");
    scene.server.put("/fleet/gen-2/manifest.json", &good);
    scene.server.put("/fleet/latest", b"gen-7\n");
    scene.degraded("404");
    scene.server.put("/fleet/latest", b"../../etc\n");
    scene.degraded("expected the name of a generation");
    // The newest is said to be an older one: nothing is done.
    scene.server.put("/fleet/latest", b"gen-1\n");
    scene.fleet.client.next("to be online", |message| {
        message.topic.ends_with("/status") && message.json() == json!({"state": "online"})
    });
    let own = "/fleet/gen-2/calibration/numbers.bin";
    scene.server.misbehave(own, &[Deed::Falsify, Deed::Announce(5), Deed::Chunked, Deed::Falsify]);
    scene.server.put("/fleet/latest", b"gen-2\n");
    scene.degraded("numbers.bin: expected sha256");
    assert_eq!(scene.fleet.serves(), 1);
    scene.update("generation 2", |generations| generations["active"] == 2);
    assert_eq!(scene.fleet.serves(), 2, "{}", daemon.log());
    daemon.assert_running();
}

#[test]
fn a_link_that_is_down_is_no_fault_and_a_kill_in_the_midst_is_resumed() {
    let Some(mut scene) = Scene::new("a_link_that_is_down_is_no_fault_and_a_kill_in_the_midst_is_resumed") else {
        return;
    };
    let two = scene.make(2);
    scene.publish(&two);
    let own = "/fleet/gen-2/calibration/numbers.bin";
    scene.server.misbehave(own, &[Deed::Stall(600_000, Duration::from_secs(20))]);
    let mut daemon = scene.start("");
    let fetching = |generations: &Value| generations["update"]["state"] == "fetching";
    let seen = scene.update("it to fetch", fetching);
    assert_eq!(
        (&seen["update"]["counter"], &seen["update"]["total_bytes"]),
        (&json!(2), &seen["update"]["total_bytes"])
    );
    let part = scene.fleet.folder.path().join("state/generations/.fetching-2/calibration/numbers.bin.part");
    wait_for("a part", || fs::metadata(&part).is_ok_and(|part| part.len() >= 600_000).then_some(()));
    daemon.signal("KILL");
    daemon.wait();
    let _daemon = scene.start("");
    scene.update("generation 2", |generations| generations["active"] == 2);
    let status = scene.fleet.client.next_within(Duration::ZERO, |message| {
        message.topic.ends_with("/status") && message.json()["state"] == "degraded"
    });
    assert!(status.is_none(), "{status:?}");
}

#[test]
fn the_pace_and_the_size_are_bounded() {
    let Some(mut scene) = Scene::new("the_pace_and_the_size_are_bounded") else { return };
    let two = scene.make(2);
    scene.publish(&two);
    let mut daemon = scene.start("max_bytes = 100000\n");
    scene.degraded("update.max_bytes");
    assert!(scene.server.requests("/fleet/gen-2/calibration").is_empty());
    daemon.stop();
    let start = Instant::now();
    let _daemon = scene.start("max_bytes_per_s = 500000\n");
    scene.update("generation 2", |generations| generations["active"] == 2);
    // 1.2 MB at 0.5 MB/s.
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
}
