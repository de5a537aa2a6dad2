//! The unit under a systemd that really runs: this machine's own, booted in a container over a copy-on-write root.
//! Needs root and systemd-nspawn; where they are not there, the test says so by name and passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::broker::Broker;
use support::client::{Client, Message};
use support::shared::Flight;
use support::{PATIENCE, binary, succeeded, wait_for};

const BASE: &str = "geolocated/field/drone-7";

/// Stops one thread of a process, as a debugger does (PTRACE_SEIZE, PTRACE_INTERRUPT), until its process is gone.
const STOP_A_THREAD: &str = "\
import ctypes, os
def stop(thread):
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    for request in (0x4206, 0x4207):
        if trace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), 'ptrace')
    # It stays stopped at whatever is told of it; its end has to be heard, or nobody else hears of it.
    while True:
        _, status = os.waitpid(thread, 0x40000000)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            return
";

/// A booted system; gone when dropped.
struct System {
    nspawn: Child,
    /// The first process in it.
    init: String,
    root: PathBuf,
    _scratch: tempfile::TempDir,
}

impl System {
    /// Boots; `prepare` puts files into the root before. `None`, after a line that names the test, where it cannot.
    fn boot(test: &str, prepare: impl FnOnce(&Path)) -> Option<Self> {
        let scratch = tempfile::tempdir().unwrap();
        let Some(root) = root(scratch.path()) else {
            eprintln!("skipped: {test}: no copy-on-write root can be mounted");
            return None;
        };
        prepare(&root);
        fs::write(root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
        let nspawn = Command::new("systemd-nspawn")
            .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--link-journal=no", "--console=pipe"])
            .arg(format!("--directory={}", root.display()))
            .arg("systemd.unit=basic.target")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(nspawn) = nspawn else {
            unmount(&root);
            eprintln!("skipped: {test}: systemd-nspawn is not installed");
            return None;
        };
        let mut system = Self { nspawn, init: String::new(), root, _scratch: scratch };
        let id = system.nspawn.id().to_string();
        wait_for("the system to be up", || {
            let children = Command::new("pgrep").args(["-P", &id]).output().unwrap();
            system.init = String::from_utf8(children.stdout).unwrap().lines().next()?.to_owned();
            system.run(&["systemctl", "is-system-running"]).status.success().then_some(())
        });
        Some(system)
    }

    /// Runs a command in the system.
    fn run(&self, command: &[&str]) -> Output {
        Command::new("nsenter").args(["--target", &self.init, "--all"]).args(command).output().unwrap()
    }

    fn done(&self, command: &[&str]) -> String {
        succeeded(&self.run(command))
    }

    /// A property of the service.
    fn property(&self, name: &str) -> String {
        self.done(&["systemctl", "show", "geolocated", "--value", "--property", name]).trim().to_owned()
    }

    /// Replaces the service's drop-in and starts the service anew.
    fn start_with(&self, drop_in: &str) -> Output {
        let folder = self.root.join("etc/systemd/system/geolocated.service.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("test.conf"), format!("[Service]\nRestartSec=100ms\n{drop_in}")).unwrap();
        self.done(&["systemctl", "daemon-reload"]);
        self.run(&["systemctl", "restart", "geolocated"])
    }

    fn journal(&self) -> String {
        self.done(&["journalctl", "--no-pager", "--unit", "geolocated", "--lines", "40"])
    }
}

impl Drop for System {
    fn drop(&mut self) {
        Command::new("nsenter")
            .args(["--target", &self.init, "--all", "systemctl", "halt", "--force", "--force"])
            .output()
            .ok();
        std::thread::sleep(Duration::from_millis(300));
        self.nspawn.kill().ok();
        self.nspawn.wait().ok();
        unmount(&self.root);
    }
}

/// This machine's root, to which nothing is written.
fn root(scratch: &Path) -> Option<PathBuf> {
    let [root, layer] = ["root", "layer"].map(|name| scratch.join(name));
    for folder in [&root, &layer] {
        fs::create_dir_all(folder).unwrap();
    }
    let mount = |kind: &str, options: &str, at: &Path| {
        let done = Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(at).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !mount("tmpfs", "size=512m", &layer) {
        return None;
    }
    let [up, work] = ["up", "work"].map(|name| layer.join(name));
    for folder in [&up, &work] {
        fs::create_dir(folder).unwrap();
    }
    let options = format!("lowerdir=/,upperdir={},workdir={}", up.display(), work.display());
    if mount("overlay", &options, &root) {
        return Some(root);
    }
    unmount(&root);
    None
}

fn unmount(root: &Path) {
    for folder in [root, &root.with_file_name("layer")] {
        Command::new("umount").arg("--lazy").arg(folder).output().ok();
    }
}

/// Installs the daemon, its unit and everything that the unit names, as `make install` and docs/systemd.md do.
fn install(root: &Path, flight: &Flight, broker: &str, shard: &Path) {
    let systemd = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
    let put = |from: &Path, to: &str| {
        let to = root.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    put(&binary("geolocated"), "usr/bin/geolocated");
    put(&systemd.join("geolocated.service"), "etc/systemd/system/geolocated.service");
    put(&systemd.join("geolocated.sysusers.conf"), "etc/sysusers.d/geolocated.conf");
    put(&systemd.join("geolocated.tmpfiles.conf"), "etc/tmpfiles.d/geolocated.conf");
    put(shard, "usr/share/test/reference.shard");
    support::generation::copy(flight.model.parent().unwrap(), &root.join("usr/share/test/encoder"));
    let model = flight.model.file_name().unwrap().to_str().unwrap();
    let settings = format!(
        "[device]\nsite = \"field\"\nname = \"drone-7\"\nstate_dir = \"/var/lib/geolocated\"\n[mqtt]\nurl = {broker:?}\n\
         [index]\nshards = [\"/usr/share/test/reference.shard\"]\n[models]\nencoder = \"/usr/share/test/encoder/{model}\"\n"
    );
    fs::create_dir_all(root.join("etc/geolocated")).unwrap();
    fs::write(root.join("etc/geolocated/geolocated.toml"), settings).unwrap();
}

struct Scene {
    system: System,
    watcher: Client,
    picture: Vec<u8>,
}

impl Scene {
    /// Publishes a frame until it is answered: the daemon may not listen yet.
    fn answers(&mut self, id: &str) -> serde_json::Value {
        let is_fix = |message: &Message| message.topic.ends_with("/fix") && message.json()["id"] == id;
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            self.watcher.publish_with(&format!("{BASE}/cam/nadir/frame"), self.picture.clone(), &[("id", id)]);
            if let Some(message) = self.watcher.next_within(Duration::from_secs(1), is_fix) {
                return message.json();
            }
        }
        panic!("no answer to {id}:\n{}", self.system.journal());
    }
}

#[test]
fn the_unit_starts_serves_is_watched_and_confined_by_a_real_systemd() {
    let test = "the_unit_starts_serves_is_watched_and_confined_by_a_real_systemd";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (shard, broker) = (flight.build(folder.path()), Broker::start());
    let watcher = Client::connect(broker.port, "watcher", &[&format!("{BASE}/cam/+/fix")]);
    let prepare = |root: &Path| install(root, &flight, &broker.url(), &shard);
    let Some(system) = System::boot(test, prepare) else { return };
    let mut scene = Scene { system, watcher, picture: flight.frame(&flight.files("query")[0]) };
    is_ready_when_started(&mut scene);
    is_confined(&scene);
    is_restarted_when_it_hangs(&mut scene);
    is_restarted_when_its_pipeline_hangs(&mut scene);
    is_restarted_when_it_is_killed(&mut scene);
    is_ended_by_its_memory_limit(&scene);
    serves_with_the_gpu_drop_in(&mut scene);
    keeps_its_state_as_a_dynamic_user(&mut scene);
}

/// `systemctl start` of a unit of type notify returns when the daemon says that it is ready.
fn is_ready_when_started(scene: &mut Scene) {
    scene.system.done(&["systemd-sysusers", "geolocated.conf"]);
    scene.system.done(&["systemd-tmpfiles", "--create", "geolocated.conf"]);
    let started = scene.system.start_with("");
    assert!(started.status.success(), "{}", scene.system.journal());
    assert_eq!(scene.system.property("ActiveState"), "active");
    assert_eq!(scene.answers("started")["status"], "fix");
}

/// It may write its state and nothing else, sees no home directories, and has no capabilities.
fn is_confined(scene: &Scene) {
    let main = scene.system.property("MainPID");
    let status = scene.system.done(&["cat", &format!("/proc/{main}/status")]);
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}:\n{status}");
    }
    // As its user, in its own view of the file system.
    let user = scene.system.done(&["id", "--user", "geolocated"]).trim().to_owned();
    let writes = |path: &str| {
        let within = ["nsenter", "--target", &main, "--mount", "setpriv", "--reuid", &user, "--clear-groups"];
        scene.system.run(&[&within[..], &["sh", "-c", &format!("echo x > {path}")]].concat()).status.success()
    };
    assert!(writes("/var/lib/geolocated/written"));
    for path in ["/etc/geolocated/x", "/usr/bin/geolocated", "/var/lib/geolocated/index/x", "/var/log/x", "/root/x"] {
        assert!(!writes(path), "{path} is not to be written");
    }
}

/// A stopped process feeds no watchdog.
fn is_restarted_when_it_hangs(scene: &mut Scene) {
    assert!(scene.system.start_with("WatchdogSec=2s\nTimeoutAbortSec=2s\n").status.success());
    let before = scene.system.property("MainPID");
    scene.system.done(&["kill", "-STOP", &before]);
    wait_for("another process", || {
        let now = scene.system.property("MainPID");
        (now != before && now != "0").then_some(())
    });
    assert!(scene.system.journal().contains("Watchdog timeout"), "{}", scene.system.journal());
    assert_eq!(scene.answers("after a watchdog")["status"], "fix");
}

/// Only the thread that answers frames stops, as in a driver that never comes back: the rest of the daemon goes on, and
/// feeds no watchdog.
fn is_restarted_when_its_pipeline_hangs(scene: &mut Scene) {
    assert!(scene.system.start_with("WatchdogSec=2s\nTimeoutAbortSec=2s\n").status.success());
    assert_eq!(scene.answers("before its pipeline hangs")["status"], "fix");
    let before = scene.system.property("MainPID");
    let threads = format!("grep -lx pipeline /proc/{before}/task/*/comm");
    let found = scene.system.done(&["sh", "-c", &threads]);
    let thread = found.trim().rsplit('/').nth(1).unwrap().to_owned();
    let script = format!("{STOP_A_THREAD}\nstop({thread})");
    let stopper = Command::new("nsenter")
        .args(["--target", &scene.system.init, "--all", "python3", "-c", &script])
        .stdin(Stdio::null())
        .spawn();
    let Ok(mut stopper) = stopper else {
        eprintln!("a pipeline that hangs was NOT tested: python3 is not installed");
        return;
    };
    wait_for("another process", || {
        let now = scene.system.property("MainPID");
        (now != before && now != "0").then_some(())
    });
    stopper.kill().ok();
    stopper.wait().ok();
    let journal = scene.system.journal();
    assert!(journal.contains("the pipeline is stuck"), "{journal}");
    assert_eq!(scene.answers("after its pipeline hung")["status"], "fix");
}

fn is_restarted_when_it_is_killed(scene: &mut Scene) {
    let boot = scene.answers("before a kill")["boot"].as_u64().unwrap();
    scene.system.done(&["kill", "-KILL", &scene.system.property("MainPID")]);
    assert_eq!(scene.answers("after a kill")["boot"], boot + 1);
}

/// Where the kernel lets the container limit memory.
fn is_ended_by_its_memory_limit(scene: &Scene) {
    let started = scene.system.start_with("MemoryMax=6M\nMemorySwapMax=0\nTimeoutStartSec=5s\nRestart=no\n");
    if started.status.success() {
        eprintln!("the memory limit was NOT tested: the kernel gives the container no memory controller");
        return;
    }
    assert_eq!(scene.system.property("Result"), "oom-kill", "{}", scene.system.journal());
}

/// The example for devices with a GPU, which this machine has not: nothing that the daemon needs is closed by it.
fn serves_with_the_gpu_drop_in(scene: &mut Scene) {
    let drop_in = include_str!("../../systemd/geolocated-gpu.conf");
    assert!(scene.system.start_with(drop_in).status.success(), "{}", scene.system.journal());
    assert_eq!(scene.system.property("MemoryDenyWriteExecute"), "no");
    assert_eq!(scene.system.property("PrivateDevices"), "no");
    assert_eq!(scene.answers("with what a GPU needs")["status"], "fix");
    assert!(scene.system.start_with("").status.success());
    assert_eq!(scene.system.property("MemoryDenyWriteExecute"), "yes");
}

/// A user that exists only while the service runs: the state stays.
fn keeps_its_state_as_a_dynamic_user(scene: &mut Scene) {
    // The settings are readable by the group of the usual account.
    let drop_in =
        "DynamicUser=yes\nUser=geolocated-dynamic\nGroup=geolocated-dynamic\nSupplementaryGroups=geolocated\n";
    assert!(scene.system.start_with(drop_in).status.success(), "{}", scene.system.journal());
    let first = scene.answers("as a dynamic user")["boot"].as_u64().unwrap();
    scene.system.done(&["systemctl", "restart", "geolocated"]);
    assert_eq!(scene.answers("as one again")["boot"], first + 1);
    assert!(scene.system.root.join("var/lib/private/geolocated").is_dir());
}
