//! `geolocate doctor`, and that a second start of the daemon reads no shard again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::hub::Run;
use crate::support::daemon::{Daemon, settings};
use crate::support::matrix::Matrix;
use crate::support::shared::shared;
use crate::support::{binary, succeeded, wait_for};

/// A device with a shard of random vectors in the space of a real encoder. Its broker is not there.
struct Device {
    folder: TempDir,
    shard: PathBuf,
    model: PathBuf,
    config: PathBuf,
}

impl Device {
    fn new(test: &str) -> Option<Self> {
        let model = shared(test)?.join("encoders/mobilenetv3_small_576/model_w8.toml");
        let folder = TempDir::new().unwrap();
        let shard = folder.path().join("a.shard");
        let text = fs::read_to_string(&model).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let space = manifest["space"]["id"].as_str().unwrap().to_owned();
        succeeded(&Matrix::write(folder.path(), 2000, 576, 7).build(&space, &shard).output().unwrap());
        // What was changed just now gets no stamp.
        std::thread::sleep(Duration::from_millis(200));
        let config = settings(folder.path(), "mqtt://127.0.0.1:1", &shard, &model, "");
        Some(Self { folder, shard, model, config })
    }

    #[track_caller]
    fn doctor(&self, arguments: &[&str], status: i32) -> Value {
        doctor(&self.config, arguments, status)
    }

    /// Starts the daemon, waits until it is ready, and gives the bytes that it has read.
    fn start(&self) -> u64 {
        let log = self.config.with_extension("log");
        fs::remove_file(&log).ok();
        let mut daemon = Daemon::start(&self.config);
        wait_for("the daemon to be ready", || {
            daemon.assert_running();
            daemon.log().contains("pipeline ready").then_some(())
        });
        let read = daemon.read_bytes();
        daemon.stop();
        read
    }
}

#[track_caller]
fn doctor(config: &Path, arguments: &[&str], status: i32) -> Value {
    let mut command = Command::new(binary("geolocate"));
    command.args(["doctor", "--json", "-", "--config"]).arg(config).args(arguments);
    Run::of(&mut command, status).json()
}

/// The findings of one check, as `state: what`.
fn of(report: &Value, check: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings.map(|finding| format!("{}: {}", text(&finding["state"]), text(&finding["what"]))).collect()
}

#[test]
fn a_second_start_reads_no_shard_again_and_the_doctor_knows() {
    let Some(device) = Device::new("a_second_start_reads_no_shard_again_and_the_doctor_knows") else { return };
    let before = device.doctor(&[], 0);
    assert!(of(&before, "shard")[0].contains("not verified yet"), "{before}");
    let bytes = fs::metadata(&device.shard).unwrap().len();
    assert!(bytes > 1_000_000, "{bytes}");
    let (first, second) = (device.start(), device.start());
    assert!(first - second >= bytes, "read {first}, then {second} bytes, with a shard of {bytes}");
    let stamped = device.doctor(&[], 0);
    assert!(of(&stamped, "shard")[0].contains("not touched since"), "{stamped}");
    assert!(of(&device.doctor(&["--full"], 0), "shard")[0].contains("every byte as written"));
    // Stamps that do not read are no reason not to start.
    fs::write(device.folder.path().join("state/stamps.json"), "{").unwrap();
    assert!(of(&device.doctor(&[], 0), "stamps")[0].starts_with("warning: "));
    assert!(device.start() > second + bytes / 2);
    assert!(of(&device.doctor(&[], 0), "stamps").is_empty());
}

#[test]
fn what_is_wrong_is_found_named_and_ends_with_status_3() {
    let Some(device) = Device::new("what_is_wrong_is_found_named_and_ends_with_status_3") else { return };
    let good = device.doctor(&[], 0);
    assert_eq!(good["good"], true);
    for check in ["settings", "state", "disk", "shard", "space", "model", "runtime"] {
        assert!(of(&good, check)[0].starts_with("good: "), "{check}: {good}");
    }
    assert!(of(&good, "broker")[0].starts_with("warning: 127.0.0.1:1: not reached"), "{good}");
    assert!(good["findings"].as_array().unwrap().iter().all(|it| it["state"] == "good" || it["mend"].is_string()));

    let other = device.folder.path().join("other.shard");
    succeeded(&Matrix::write(device.folder.path(), 10, 576, 8).build("other", &other).output().unwrap());
    let config = settings(device.folder.path(), "mqtt://127.0.0.1:1", &other, &device.model, "");
    assert!(of(&doctor(&config, &[], 3), "space")[0].contains("other"));

    let mut bytes = fs::read(&device.shard).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&device.shard, bytes).unwrap();
    let config = settings(device.folder.path(), "mqtt://127.0.0.1:1", &device.shard, &device.model, "");
    let full = doctor(&config, &["--full"], 3);
    assert!(of(&full, "shard")[0].starts_with("wrong: "), "{full}");
    let text = Run::of(Command::new(binary("geolocate")).args(["doctor", "--full", "--config"]).arg(&config), 3).stdout;
    assert!(text.contains("WRONG    shard") && text.contains("-> copy it again"), "{text}");
    fs::write(&device.shard, "cut").unwrap();
    assert!(of(&doctor(&config, &[], 3), "shard")[0].starts_with("wrong: "));

    fs::write(&config, "[device]\n").unwrap();
    assert!(of(&doctor(&config, &[], 3), "settings")[0].starts_with("wrong: "));
    doctor(Path::new("/no/such/settings.toml"), &[], 3);
}
