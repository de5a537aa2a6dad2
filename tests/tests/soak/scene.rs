//! A device that makes fixes without end, its broker, the tap between them, and somebody who watches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ledger::{At, at};
use crate::support::broker::Broker;
use crate::support::client::{Client, Message};
use crate::support::daemon::Daemon;
use crate::support::generation::{self, Keys};
use crate::support::shared::Flight;
use crate::support::{PATIENCE, geolocate, succeeded, wait_for};
use crate::tap::Tap;

pub const BASE: &str = "geolocated/field/drone-7";
const CAMERAS: [&str; 3] = ["nadir", "left", "right"];
/// A JPEG of a comment alone: answered like others, and faster.
const PICTURE: &str = r"\377\330\377\376\000\004ab\377\331";
const CLOCKS: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];
/// Messages wait in memory while the disk is full; there is room for some of the log.
const DISK_BYTES: usize = 24 << 20;

pub struct Scene {
    pub folder: tempfile::TempDir,
    pub broker: Broker,
    pub tap: Tap,
    pub daemon: Option<Daemon>,
    pub watcher: Client,
    pub keys: Keys,
    pub shard: PathBuf,
    pub generation: u64,
    /// What a stopped daemon had on its disk for the broker.
    pub promised: BTreeSet<At>,
    /// What the watcher got.
    pub heard: BTreeSet<At>,
    /// Anonymous bytes of each start, early and late.
    pub memory: Vec<(u64, u64)>,
    early: Option<(Instant, u64)>,
    config: PathBuf,
    clock: Option<PathBuf>,
    has_disk: bool,
}

impl Scene {
    /// With an even seed the broker keeps its sessions on disk, with an odd one it forgets all when it is killed.
    pub fn start(test: &str, seed: u64) -> Option<Self> {
        let flight = Flight::caliterra(test)?;
        let folder = tempfile::tempdir().unwrap();
        let shard = flight.build(folder.path());
        let keys = Keys::make(folder.path(), "fleet");
        let kept = format!(
            "persistence true\npersistence_location {}/\nautosave_on_changes true\nautosave_interval 1\n",
            folder.path().display()
        );
        let broker = Broker::start_with(if seed.is_multiple_of(2) { &kept } else { "" });
        let tap = Tap::start(broker.port);
        let watched = [&format!("{BASE}/status")[..], &format!("{BASE}/stats"), &format!("{BASE}/cam/+/fix")];
        let watcher = Client::connect(broker.port, "watcher", &watched);
        let config = generation::settings(folder.path(), &url(&tap), &[&keys], Some(&flight.model), &more());
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("[mqtt]\n", "[mqtt]\nkeep_alive_s = 5\n")).unwrap();
        let state = folder.path().join("state");
        let has_disk = mount(&state);
        let clock = CLOCKS.iter().map(Path::new).find(|path| path.exists()).map(Path::to_path_buf);
        let mut scene = Self {
            folder,
            broker,
            tap,
            daemon: None,
            watcher,
            keys,
            shard,
            generation: 0,
            promised: BTreeSet::new(),
            heard: BTreeSet::new(),
            memory: Vec::new(),
            early: None,
            config,
            clock,
            has_disk,
        };
        scene.bring_generation();
        scene.set_clock("+0");
        scene.start_daemon();
        Some(scene)
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn start_daemon(&mut self) {
        let clock = self.folder.path().join("clock");
        let library = self.clock.clone().unwrap_or_default();
        let faked = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let variables = if self.clock.is_some() { &faked[..] } else { &[] };
        self.daemon = Some(Daemon::start_with(variables, &self.config));
        self.early = None;
    }

    /// SIGKILL, and what it had on its disk.
    pub fn kill_daemon(&mut self) {
        self.measure();
        let Some(mut daemon) = self.daemon.take() else { return };
        daemon.signal("KILL");
        daemon.wait();
        if let (Some((_, early)), Some(late)) = (self.early, self.memory.last_mut()) {
            late.0 = early;
        }
        let waiting = self.waiting();
        self.promised.extend(waiting);
    }

    /// What waits on the disk of a stopped daemon, as somebody with a stick takes it.
    pub fn waiting(&self) -> Vec<At> {
        let state = self.state_dir();
        let export = ["outbox", "export", "--state-dir"].map(std::ffi::OsString::from);
        let text = succeeded(&geolocate(export.into_iter().chain([state.into_os_string()])));
        text.lines().map(|line| at(&serde_json::from_str(line).unwrap())).collect()
    }

    /// Takes in what has come, and looks at the daemon's memory.
    pub fn watch(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        let is_fix = |message: &Message| message.topic.ends_with("/fix");
        while let Some(message) = self.watcher.next_within(end.saturating_duration_since(Instant::now()), is_fix) {
            self.heard.insert(at(&message.json()));
        }
        let is_status = |message: &Message| message.topic.ends_with("/status");
        while self.watcher.next_within(Duration::ZERO, is_status).is_some() {}
        if let Some(daemon) = &mut self.daemon {
            daemon.assert_running();
            let now = (Instant::now(), daemon.anonymous_bytes());
            self.early.get_or_insert(now);
        }
    }

    fn measure(&mut self) {
        let (Some(daemon), Some((since, early))) = (&self.daemon, self.early) else { return };
        // A start that was killed at once says nothing about growth.
        if since.elapsed() > Duration::from_secs(2) {
            self.memory.push((early, daemon.anonymous_bytes()));
        }
    }

    /// A new signed generation for the device.
    pub fn bring_generation(&mut self) {
        self.generation += 1;
        let made = generation::make(&self.folder.path().join("made"), self.generation, &self.shard, &self.keys, &[]);
        generation::bring(&made, &self.folder.path().join("index"));
        std::fs::remove_dir_all(made).unwrap();
    }

    /// The device's clock, as an offset of faketime; false where none can be faked.
    pub fn set_clock(&self, offset: &str) -> bool {
        std::fs::write(self.folder.path().join("clock"), offset).unwrap();
        self.clock.is_some()
    }

    /// No room on the device's disk any more; false where it has none of its own.
    pub fn fill_disk(&self) -> bool {
        if self.has_disk {
            let mut file = std::fs::File::create(self.state_dir().join("filler")).unwrap();
            while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        }
        self.has_disk
    }

    pub fn free_disk(&self) {
        std::fs::remove_file(self.state_dir().join("filler")).ok();
    }

    /// Everything works again: waits until nothing waits, stops the daemon and gives its last figures.
    pub fn finish(&mut self) -> Value {
        let sent = |scene: &Self| scene.tap.ledger().sent();
        let before = sent(self);
        wait_for("fixes to pass again", || {
            self.watch(Duration::from_millis(200));
            (sent(self) > before + 20).then_some(())
        });
        self.watch(Duration::from_secs(3));
        self.measure();
        let mut daemon = self.daemon.take().unwrap();
        let (status, _) = daemon.stop();
        assert!(status.success(), "{status}\n{}", daemon.log());
        let is_stats = |message: &Message| message.topic.ends_with("/stats");
        let mut stats = self.watcher.next("the last figures", is_stats).json();
        while let Some(message) = self.watcher.next_within(Duration::from_secs(1), is_stats) {
            stats = message.json();
        }
        let waiting = self.waiting();
        self.promised.extend(&waiting);
        // What the last moments left is delivered by one more start, whose cameras are switched off.
        std::fs::write(&self.config, std::fs::read_to_string(&self.config).unwrap().replace(&sources(), "")).unwrap();
        self.start_daemon();
        let start = Instant::now();
        while !self.promised.is_subset(&self.tap.ledger().delivered()) && start.elapsed() < PATIENCE {
            self.watch(Duration::from_millis(100));
        }
        self.watch(Duration::from_secs(1));
        assert!(self.daemon.take().unwrap().stop().0.success());
        stats
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.daemon = None;
        if self.has_disk {
            Command::new("umount").arg("--lazy").arg(self.state_dir()).status().ok();
        }
    }
}

fn url(tap: &Tap) -> String {
    format!("mqtt://127.0.0.1:{}", tap.port)
}

fn sources() -> String {
    let source = |camera| {
        format!(
            "[[source]]\ncamera = \"{camera}\"\nkind = \"command\"\n\
             command = [\"sh\", \"-c\", '''while printf '{PICTURE}'; do sleep 0.05; done''']\n"
        )
    };
    CAMERAS.map(source).concat()
}

fn more() -> String {
    format!("[outbox]\nsegment_bytes = 262144\nmax_bytes = 8388608\ngroup_commit_ms = 50\n{}", sources())
}

/// A disk of its own; false where this user may not mount one.
fn mount(folder: &Path) -> bool {
    std::fs::create_dir_all(folder).unwrap();
    let size = format!("size={DISK_BYTES}");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
    mounted.is_ok_and(|output| output.status.success())
}
