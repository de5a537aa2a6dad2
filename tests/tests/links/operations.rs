//! The broker's rights as the operator's guide gives them.

use std::process::Command;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason};
use rumqttc::v5::{Client as MqttClient, Event, MqttOptions};

use crate::device::{BASE, Device, frame_topic};
use crate::support::broker::Broker;
use crate::support::daemon::Daemon;

/// What the guide shows as `acl_file`.
fn rights() -> String {
    let path = format!("{}/../docs/operations.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split("```acl\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap().to_owned()
}

/// What the broker says to a publish by a user.
fn answer_to(port: u16, user: &str, topic: &str) -> PubAckReason {
    let mut options = MqttOptions::new(format!("{user}-test"), "127.0.0.1", port);
    options.set_credentials(user, "secret").set_keep_alive(Duration::from_secs(5));
    let (client, mut connection) = MqttClient::new(options, 10);
    client.publish(topic, QoS::AtLeastOnce, false, "{}").unwrap();
    connection
        .iter()
        .find_map(|event| match event.unwrap() {
            Event::Incoming(Packet::PubAck(answer)) => Some(answer.reason),
            _ => None,
        })
        .unwrap()
}

#[test]
fn with_the_rights_of_the_guide_a_device_works_and_cannot_command_another() {
    let test = "with_the_rights_of_the_guide_a_device_works_and_cannot_command_another";
    let folder = tempfile::tempdir().unwrap();
    let (passwords, acl) = (folder.path().join("passwords"), folder.path().join("acl"));
    for (number, user) in ["drone-7", "drone-8", "operator"].into_iter().enumerate() {
        let mut command = Command::new("mosquitto_passwd");
        command.args(if number == 0 { &["-b", "-c"][..] } else { &["-b"] });
        assert!(command.arg(&passwords).args([user, "secret"]).status().unwrap().success());
    }
    std::fs::write(&acl, rights()).unwrap();
    std::fs::write(folder.path().join("password"), "secret\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\n",
        passwords.display(),
        acl.display()
    );
    let watched = [&format!("{BASE}/status")[..], &format!("{BASE}/cam/nadir/fix")];
    let Some(mut device) = Device::new(test, Broker::start_with(&listener), &watched) else { return };
    let login = format!("username = \"drone-7\"\npassword_file = {:?}\n", folder.path().join("password"));
    let daemon = Daemon::start(&device.settings(&format!("mqtt://127.0.0.1:{port}"), &login, ""));
    device.wait_until_online(&daemon);
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &[("id", "first")]);
    assert_eq!(device.answer("nadir", "first")["status"], "fix");

    let command = format!("{BASE}/cmd/flush");
    assert_eq!(answer_to(port, "drone-8", &command), PubAckReason::NotAuthorized);
    assert_eq!(answer_to(port, "drone-8", &format!("{BASE}/cam/nadir/fix")), PubAckReason::NotAuthorized);
    assert_eq!(answer_to(port, "drone-7", &command), PubAckReason::NotAuthorized, "devices command nobody");
    assert_eq!(answer_to(port, "operator", &command), PubAckReason::Success);
    assert_eq!(
        answer_to(port, "drone-8", "geolocated/field/drone-8/cam/nadir/last"),
        PubAckReason::NoMatchingSubscribers
    );
}
