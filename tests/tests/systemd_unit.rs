//! The systemd unit is well formed and stays within its exposure, as systemd itself judges.
//! Where `systemd-analyze` is not installed, the tests that need it say so by name and pass.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use geolocated::service::{BrokerAddress, Settings, SettingsError};

/// Ten times the exposure that the unit may have, alone and with what a GPU needs (`systemd-analyze security`).
const EXPOSURE_LIMIT: &str = "--threshold=13";
const EXPOSURE_LIMIT_WITH_GPU: &str = "--threshold=15";

fn systemd_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

/// The unit with its daemon replaced by a program that surely exists: `verify` looks for it.
fn unit() -> io::Result<String> {
    let text = std::fs::read_to_string(systemd_folder().join("geolocated.service"))?;
    Ok(text.replace("/usr/bin/geolocated", &std::env::current_exe()?.to_string_lossy()))
}

fn gpu_drop_in() -> io::Result<String> {
    std::fs::read_to_string(systemd_folder().join("geolocated-gpu.conf"))
}

/// Runs `systemd-analyze` on a unit, and a drop-in where there is one; `None`, and a line that names the test, where it
/// is not installed.
fn analyze(test: &str, arguments: &[&str], unit: &str, drop_in: Option<&str>) -> io::Result<Option<Output>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("geolocated.service");
    std::fs::write(&file, unit)?;
    if let Some(drop_in) = drop_in {
        let folder = folder.path().join("geolocated.service.d");
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("gpu.conf"), drop_in)?;
    }
    match Command::new("systemd-analyze").args(arguments).arg(&file).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: {test}: systemd-analyze is not installed");
            Ok(None)
        }
        output => output.map(Some),
    }
}

fn verify(test: &str, unit: &str) -> io::Result<Option<Output>> {
    analyze(test, &["verify", "--recursive-errors=no", "--man=no"], unit, None)
}

fn security(test: &str, unit: &str) -> io::Result<Option<Output>> {
    analyze(test, &["security", "--offline=true", "--no-pager", EXPOSURE_LIMIT], unit, None)
}

/// The unit with one of its lines replaced; the line must be there.
fn with_line(unit: &str, line: &str, replacement: &str) -> String {
    assert!(unit.lines().any(|each| each == line), "geolocated.service: expected the line `{line}`");
    unit.replace(line, replacement)
}

#[test]
fn systemd_accepts_the_unit() {
    let Some(output) = verify("systemd_accepts_the_unit", &unit().unwrap()).unwrap() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "expected no warnings");
}

#[test]
fn systemd_refuses_a_misspelt_key_and_an_impossible_value() {
    let unit = unit().unwrap();
    for replacement in ["ProtectSytem=strict", "ProtectSystem=strictest"] {
        let broken = with_line(&unit, "ProtectSystem=strict", replacement);
        let test = "systemd_refuses_a_misspelt_key_and_an_impossible_value";
        let Some(output) = verify(test, &broken).unwrap() else { return };
        assert!(!output.status.success(), "`{replacement}` was accepted");
    }
}

#[test]
fn the_unit_stays_within_its_exposure() {
    let Some(output) = security("the_unit_stays_within_its_exposure", &unit().unwrap()).unwrap() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_unit_with_capabilities_exceeds_the_exposure() {
    let exposed = with_line(&unit().unwrap(), "CapabilityBoundingSet=", "");
    let Some(output) = security("a_unit_with_capabilities_exceeds_the_exposure", &exposed).unwrap() else { return };
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn systemd_accepts_the_unit_with_the_gpu_drop_in_and_refuses_a_broken_one() {
    let test = "systemd_accepts_the_unit_with_the_gpu_drop_in_and_refuses_a_broken_one";
    let (unit, arguments) = (unit().unwrap(), ["verify", "--recursive-errors=no", "--man=no"]);
    let Some(output) = analyze(test, &arguments, &unit, Some(&gpu_drop_in().unwrap())).unwrap() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "expected no warnings");
    let broken = with_line(&gpu_drop_in().unwrap(), "DevicePolicy=closed", "DevicePolicy=ajar");
    let output = analyze(test, &arguments, &unit, Some(&broken)).unwrap().unwrap();
    assert!(!output.status.success(), "the drop-in is not looked at");
}

#[test]
fn the_unit_with_the_gpu_drop_in_stays_within_its_exposure() {
    let test = "the_unit_with_the_gpu_drop_in_stays_within_its_exposure";
    let (unit, drop_in) = (unit().unwrap(), gpu_drop_in().unwrap());
    let exposure = |limit| analyze(test, &["security", "--offline=true", "--no-pager", limit], &unit, Some(&drop_in));
    let Some(output) = exposure(EXPOSURE_LIMIT_WITH_GPU).unwrap() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!exposure(EXPOSURE_LIMIT).unwrap().unwrap().status.success(), "the drop-in is not looked at");
}

/// What a GPU needs is open in the drop-in alone, and nothing else is.
#[test]
fn the_gpu_drop_in_opens_devices_and_generated_code_and_nothing_else() {
    let (unit, drop_in) = (unit().unwrap(), gpu_drop_in().unwrap());
    for line in ["MemoryDenyWriteExecute=yes", "PrivateDevices=yes", "DevicePolicy=closed"] {
        assert!(unit.lines().any(|found| found == line), "geolocated.service: expected {line}");
    }
    let opened: Vec<&str> = drop_in.lines().filter(|line| !line.starts_with('#') && line.contains('=')).collect();
    for line in &opened {
        let allowed = match line.split_once('=').unwrap() {
            ("MemoryDenyWriteExecute" | "PrivateDevices", value) => value == "no",
            ("DevicePolicy", value) => value == "closed",
            ("DeviceAllow", value) => value.starts_with("char-nv") && value.ends_with(" rw"),
            ("SupplementaryGroups", value) => value == "video",
            ("TimeoutStartSec", _) => true,
            _ => false,
        };
        assert!(allowed, "geolocated-gpu.conf: {line}");
    }
    assert!(opened.contains(&"MemoryDenyWriteExecute=no"), "{opened:?}");
}

#[test]
fn make_install_leaves_the_gpu_drop_in_as_an_example_that_is_not_active() {
    let root = tempfile::tempdir().unwrap();
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut make = Command::new("make");
    make.current_dir(systemd_folder().join("..")).env("CARGO_TARGET_DIR", target).arg("install");
    let installed = make.arg(format!("DESTDIR={}", root.path().display())).arg("PREFIX=/usr").output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let example = root.path().join("usr/share/doc/geolocated/geolocated-gpu.conf");
    assert_eq!(std::fs::read_to_string(example).unwrap(), gpu_drop_in().unwrap());
    let units = std::fs::read_dir(root.path().join("usr/lib/systemd/system")).unwrap();
    let units: Vec<_> = units.map(|unit| unit.unwrap().file_name()).collect();
    assert_eq!(units, ["geolocated.service"]);
}

#[test]
fn the_account_of_the_unit_is_declared() {
    let unit = unit().unwrap();
    let accounts = std::fs::read_to_string(systemd_folder().join("geolocated.sysusers.conf")).unwrap();
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).unwrap();
    assert!(accounts.lines().any(|line| line.starts_with(&format!("u {user} "))), "`{user}` is not declared");
}

/// The example settings, with their state directory moved to `folder`, in which the files that they name are made.
fn example_settings(folder: &Path, change: impl Fn(String) -> String) -> io::Result<Result<Settings, SettingsError>> {
    let example = std::fs::read_to_string(systemd_folder().join("geolocated.toml"))?;
    let file = folder.join("geolocated.toml");
    std::fs::write(&file, change(example.replace("/var/lib/geolocated", &folder.to_string_lossy())))?;
    std::fs::create_dir_all(folder.join("index"))?;
    std::fs::create_dir_all(folder.join("models/encoder"))?;
    std::fs::write(folder.join("index/reference.shard"), "")?;
    Ok(Settings::load(&file, []))
}

#[test]
fn the_example_settings_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let settings = example_settings(folder.path(), |text| text).unwrap().unwrap();
    assert_eq!((settings.site.as_str(), settings.device.as_str()), ("field", "drone-7"));
    assert_eq!(settings.state_dir, folder.path());
    assert_eq!(settings.broker.address, BrokerAddress::Tcp { host: "127.0.0.1".to_owned(), port: 1883 });
}

#[test]
fn the_commented_keys_of_the_example_settings_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mqtt.password"), "secret\n").unwrap();
    let uncomment = |text: String| text.replace("# username", "username").replace("# password_file", "password_file");
    let settings = example_settings(folder.path(), uncomment).unwrap().unwrap();
    assert_eq!(settings.broker.credentials, Some(("drone-7".to_owned(), "secret".to_owned())));
}
