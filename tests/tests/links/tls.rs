//! `mqtts://`: who is trusted, who the device is, and what is said when either does not hold.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::device::{BASE, Device, frame_topic, quoted, wait_for_log};
use crate::support::broker::Broker;
use crate::support::certificates::{Authority, OVER};
use crate::support::daemon::Daemon;
use crate::support::{binary, wait_for};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A listener with TLS for mosquitto's configuration.
struct TlsListener {
    port: u16,
    lines: String,
}

impl TlsListener {
    fn new(authority: &Authority, (certificate, key): &(PathBuf, PathBuf), more: &str) -> Self {
        let port = free_port();
        let lines = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\n{more}",
            authority.certificate().display(),
            certificate.display(),
            key.display()
        );
        Self { port, lines }
    }

    fn wait(&self) {
        wait_for("the TLS listener", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }
}

/// The lines of `[mqtt]` that name an authority and a certificate with its key.
fn files(ca: &Path, identity: Option<&(PathBuf, PathBuf)>) -> String {
    let identity = identity.map_or(String::new(), |(certificate, key)| {
        format!("certificate_file = {}\nkey_file = {}\n", quoted(certificate), quoted(key))
    });
    format!("ca_file = {}\n{identity}", quoted(ca))
}

#[test]
fn a_device_with_a_certificate_serves_over_tls_and_survives_the_brokers_restart() {
    let test = "a_device_with_a_certificate_serves_over_tls_and_survives_the_brokers_restart";
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("hub"));
    let broker = authority.sign("broker", "DNS:localhost,IP:127.0.0.1");
    let drone = authority.sign("drone-7", "DNS:drone-7");
    let listener = TlsListener::new(&authority, &broker, "require_certificate true\nuse_identity_as_username true\n");
    let watched = [&format!("{BASE}/#")[..]];
    let Some(mut device) = Device::new(test, Broker::start_with(&listener.lines), &watched) else { return };
    listener.wait();
    let url = format!("mqtts://localhost:{}", listener.port);
    let mqtt = files(&authority.certificate(), Some(&drone));
    let mut daemon = Daemon::start(&device.settings(&url, &mqtt, ""));
    device.wait_until_online(&daemon);
    // Large messages in, many at once out.
    for n in 0..20 {
        device.watcher.publish_with(
            &frame_topic(&format!("cam{}", n % 4)),
            device.picture(),
            &[("id", &n.to_string())],
        );
    }
    assert_eq!(device.answer("cam3", "19")["status"], "fix");
    device.broker.restart();
    listener.wait();
    device.watcher = crate::support::client::Client::connect(device.broker.port, "watcher-2", &watched);
    device.wait_until_online(&daemon);
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &[("id", "after")]);
    assert_eq!(device.answer("nadir", "after")["status"], "fix");
    let stats = device.stop(&mut daemon);
    assert_eq!((&stats["outbox"]["queued"], &stats["counters"]["connections"]), (&0.into(), &2.into()), "{stats}");
    // The goodbye went through: not the last will, but the daemon's own word is what is kept.
    let states: Vec<_> = std::iter::from_fn(|| {
        device.watcher.next_within(Duration::from_millis(500), |message| message.topic.ends_with("/status"))
    })
    .map(|message| message.json()["reason"].clone())
    .collect();
    assert_eq!(states.last().unwrap(), "stopped", "{states:?}");
    assert!(!daemon.log().contains("no connection to the broker: stopped"));
}

#[test]
fn who_is_not_trusted_is_named_and_asked_again_until_mended() {
    let test = "who_is_not_trusted_is_named_and_asked_again_until_mended";
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("hub"));
    let stranger = Authority::new(&folder.path().join("stranger"));
    let good = TlsListener::new(&authority, &authority.sign("broker", "DNS:localhost"), "require_certificate true\n");
    let old = TlsListener::new(&authority, &authority.sign_for("old", "DNS:localhost", OVER), "");
    let lines = format!("{}{}", good.lines, old.lines);
    let watched = [&format!("{BASE}/#")[..]];
    let Some(mut device) = Device::new(test, Broker::start_with(&lines), &watched) else { return };
    good.wait();
    old.wait();
    let ca = folder.path().join("ca.pem");
    let refused = |url: &str, mqtt: &str, words: &[&str]| {
        let config = device.settings(url, mqtt, "");
        let mut daemon = Daemon::start(&config);
        for word in words {
            wait_for_log(&daemon, word);
        }
        wait_for("a second attempt", || {
            (daemon.log().matches("no connection to the broker").count() > 1).then_some(())
        });
        daemon.assert_running();
        assert!(daemon.stop().0.success());
        std::fs::remove_file(config.with_extension("log")).unwrap();
    };
    let by_name = format!("mqtts://localhost:{}", good.port);
    std::fs::copy(stranger.certificate(), &ca).unwrap();
    refused(&by_name, &files(&ca, None), &["the broker's certificate is signed by nobody in", "ca.pem"]);
    std::fs::copy(authority.certificate(), &ca).unwrap();
    let by_address = format!("mqtts://127.0.0.1:{}", good.port);
    refused(&by_address, &files(&ca, None), &["is not for the name 127.0.0.1, but for", "localhost"]);
    refused(&format!("mqtts://localhost:{}", old.port), &files(&ca, None), &["expired at 2020-02-01T00:00:00Z"]);
    refused(&by_name, &files(&ca, None), &["the broker asks for a certificate: set mqtt.certificate_file"]);
    let foreign = stranger.sign("drone-7", "DNS:drone-7");
    refused(&by_name, &files(&ca, Some(&foreign)), &["the broker refuses the connection or the certificate"]);
    refused(
        &format!("mqtts://localhost:{}", device.broker.port),
        &files(&ca, None),
        &["no TLS connection to localhost"],
    );

    // What a file holds counts with the next attempt.
    let drone = authority.sign("drone-7", "DNS:drone-7");
    std::fs::copy(stranger.certificate(), &ca).unwrap();
    let by_another_name = format!("{}server_name = \"localhost\"\n", files(&ca, Some(&drone)));
    let mut daemon = Daemon::start(&device.settings(&by_address, &by_another_name, ""));
    wait_for_log(&daemon, "is signed by nobody in");
    std::fs::copy(authority.certificate(), &ca).unwrap();
    device.wait_until_online(&daemon);
    device.stop(&mut daemon);
}

#[test]
fn a_name_and_a_password_go_through_tls_alone() {
    let test = "a_name_and_a_password_go_through_tls_alone";
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let broker = authority.sign("broker", "IP:127.0.0.1");
    let passwords = folder.path().join("passwords");
    let mut made = std::process::Command::new("mosquitto_passwd");
    made.args(["-b", "-c"]).arg(&passwords).args(["drone-7", "s3"]);
    assert!(made.status().unwrap().success());
    let mut listener = TlsListener::new(&authority, &broker, "");
    let with_passwords = format!("allow_anonymous false\npassword_file {}", passwords.display());
    listener.lines = listener.lines.replace("allow_anonymous true", &with_passwords);
    let watched = [&format!("{BASE}/#")[..]];
    let Some(mut device) = Device::new(test, Broker::start_with(&listener.lines), &watched) else { return };
    listener.wait();
    let url = format!("mqtts://127.0.0.1:{}", listener.port);
    let mqtt = format!("{}username = \"drone-7\"\npassword_file = \"p\"\n", files(&authority.certificate(), None));
    for (version, password, word) in [("5", "wrong", "NotAuthorized"), ("3.1.1", "wrong", "NotAuthorized")] {
        std::fs::write(device.folder.path().join("p"), password).unwrap();
        let daemon = Daemon::start(&device.settings(&url, &format!("{mqtt}version = \"{version}\"\n"), ""));
        wait_for_log(&daemon, word);
        std::fs::remove_file(device.folder.path().join("geolocated.log")).unwrap();
    }
    for version in ["5", "3.1.1"] {
        std::fs::write(device.folder.path().join("p"), "s3\n").unwrap();
        let mut daemon = Daemon::start(&device.settings(&url, &format!("{mqtt}version = \"{version}\"\n"), ""));
        device.wait_until_online(&daemon);
        device.stop(&mut daemon);
    }
}

#[test]
fn files_that_do_not_fit_are_named_by_check() {
    let test = "files_that_do_not_fit_are_named_by_check";
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let (one, other) = (authority.sign("one", "DNS:one"), authority.sign("other", "DNS:other"));
    let Some(device) = Device::new(test, Broker::start(), &["nothing"]) else { return };
    let ca = authority.certificate();
    let mixed = files(&ca, Some(&(one.0.clone(), other.1)));
    let alone = format!("ca_file = {}\ncertificate_file = {}\n", quoted(&ca), quoted(&one.0));
    for (url, mqtt, words) in [
        ("mqtts://hub", &mixed[..], "mqtt.key_file: "),
        ("mqtts://hub", &mixed, "is not the key of the certificate"),
        ("mqtts://hub", &files(&one.1, None), "expected a certificate in PEM form, found none"),
        ("mqtts://hub", "ca_file = \"absent.pem\"\n", "mqtt.ca_file: "),
        ("mqtts://hub", &alone, "mqtt.certificate_file: expected mqtt.key_file beside it"),
        ("mqtt://hub", &files(&ca, None), "mqtt.ca_file: expected with mqtt.url = \"mqtts://...\" alone"),
    ] {
        let config = device.settings(url, mqtt, "");
        let output = std::process::Command::new(binary("geolocated"))
            .arg("check")
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "expected \"{words}\" in: {said}");
        assert!(said.contains("geolocated.toml:"), "file and line in: {said}");
    }
}
