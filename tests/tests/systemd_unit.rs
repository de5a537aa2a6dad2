//! The systemd unit is well formed and stays within its exposure, as systemd itself judges.
//! Where `systemd-analyze` is not installed, the tests that need it say so by name and pass.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use geolocated::service::{BrokerAddress, Settings, SettingsError};

/// Ten times the exposure that the unit may have (`systemd-analyze security --threshold`).
const EXPOSURE_LIMIT: &str = "--threshold=13";

fn systemd_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

/// The unit with its daemon replaced by a program that surely exists: `verify` looks for it.
fn unit() -> io::Result<String> {
    let text = std::fs::read_to_string(systemd_folder().join("geolocated.service"))?;
    Ok(text.replace("/usr/bin/geolocated", &std::env::current_exe()?.to_string_lossy()))
}

/// Runs `systemd-analyze` on a unit; `None`, and a line that names the test, where it is not installed.
fn analyze(test: &str, arguments: &[&str], unit: &str) -> io::Result<Option<Output>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("geolocated.service");
    std::fs::write(&file, unit)?;
    match Command::new("systemd-analyze").args(arguments).arg(&file).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: {test}: systemd-analyze is not installed");
            Ok(None)
        }
        output => output.map(Some),
    }
}

fn verify(test: &str, unit: &str) -> io::Result<Option<Output>> {
    analyze(test, &["verify", "--recursive-errors=no", "--man=no"], unit)
}

fn security(test: &str, unit: &str) -> io::Result<Option<Output>> {
    analyze(test, &["security", "--offline=true", "--no-pager", EXPOSURE_LIMIT], unit)
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
