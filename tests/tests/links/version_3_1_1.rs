//! MQTT 3.1.1: what it can say is said, and nothing is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::device::{BASE, Device, frame_topic, wait_for_log};
use crate::support::broker::Broker;
use crate::support::client::{Client, Message};
use crate::support::daemon::Daemon;
use crate::support::schema::assert_valid;

const VERSION: &str = "version = \"3.1.1\"\n";

fn start(test: &str) -> Option<(Device, Daemon)> {
    let mut device = Device::new(test, Broker::start(), &[&format!("{BASE}/#"), "hub/#"])?;
    let url = device.broker.url();
    let daemon = Daemon::start(&device.settings(&url, VERSION, ""));
    device.wait_until_online(&daemon);
    Some((device, daemon))
}

fn publish_meta_and_frame(device: &Device, camera: &str, id: &str, frame: Vec<u8>) {
    device.watcher.publish(&format!("{BASE}/cam/{camera}/meta"), format!("{{\"id\":\"{id}\"}}"));
    device.watcher.publish(&frame_topic(camera), frame);
}

#[test]
fn frames_fixes_states_and_commands_go_over_3_1_1() {
    let Some((mut device, mut daemon)) = start("frames_fixes_states_and_commands_go_over_3_1_1") else { return };
    publish_meta_and_frame(&device, "nadir", "by-meta", device.picture());
    let fix = device.answer("nadir", "by-meta");
    assert_eq!((&fix["status"], &fix["seq"]), (&json!("fix"), &json!(1)));
    let last = device.watcher.next("the newest answer", |message| message.topic.ends_with("/cam/nadir/last")).json();
    assert_eq!(last, fix);
    // A sender that speaks 5 asks for an answer elsewhere; the daemon never sees where.
    device.watcher.command(&format!("{BASE}/cmd/flush"), r#"{"id":"now"}"#, "hub/replies", b"x");
    let is_reply = |message: &Message| message.topic == format!("{BASE}/cmd/flush/reply");
    let reply = device.watcher.next("the reply", is_reply).json();
    assert_valid("reply", &reply);
    assert_eq!((&reply["id"], &reply["ok"]), (&json!("now"), &json!(true)));
    let resend = r#"{"boot":1,"from_seq":1,"to_seq":1}"#;
    device.watcher.publish(&format!("{BASE}/cmd/resend"), resend);
    let again = device.watcher.next("the fix again", |message| message.topic.ends_with("/fix")).json();
    assert_eq!((&again["seq"], &again["replay"]), (&json!(1), &json!(true)));
    let stats = device.stop(&mut daemon);
    assert_eq!(stats["outbox"]["queued"], 0, "{stats}");
    let states: Vec<Value> = std::iter::from_fn(|| {
        device.watcher.next_within(Duration::from_millis(300), |message| message.topic.ends_with("/status"))
    })
    .map(|message| message.json())
    .collect();
    assert_eq!(states, [json!({"state": "stopping"}), json!({"state": "offline", "reason": "stopped"})]);
}

#[test]
fn a_broker_of_3_1_1_that_restarts_without_memory_gets_every_fix() {
    let test = "a_broker_of_3_1_1_that_restarts_without_memory_gets_every_fix";
    let Some((mut device, mut daemon)) = start(test) else { return };
    let mut received = BTreeSet::new();
    let mut sent = 0;
    for round in 0..4 {
        // Frames wait in the daemon's socket while the broker dies; they are answered without one.
        device.watcher.publish_with(&frame_topic("warm"), "no picture", &[]);
        sent += 1;
        device.watcher.next("an answer", |message| message.topic.ends_with("/cam/warm/fix"));
        received.insert(sent);
        daemon.signal("STOP");
        for camera in ["a", "b", "c"] {
            device.watcher.publish_with(&frame_topic(camera), "no picture", &[]);
            device.watcher.next("the frame to be passed on", |message| message.topic == frame_topic(camera));
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(200));
        device.broker.kill();
        daemon.signal("CONT");
        crate::support::wait_for("the frames to be answered", || {
            (daemon.log().matches("frame refused").count() >= sent).then_some(())
        });
        device.broker.restart();
        let watched = [&format!("{BASE}/#")[..]];
        device.watcher = Client::connect(device.broker.port, &format!("watcher-{round}"), &watched);
        for camera in ["a", "b", "c"] {
            let topic = format!("{BASE}/cam/{camera}/fix");
            let fix = device.watcher.next("a fix made without a broker", |message| message.topic == topic).json();
            received.insert(usize::try_from(fix["seq"].as_u64().unwrap()).unwrap());
        }
    }
    assert_eq!(received, (1..=sent).collect::<BTreeSet<_>>());
    let stats = device.stop(&mut daemon);
    assert_eq!(stats["outbox"]["queued"], 0, "{stats}");
}

#[test]
fn a_packet_limit_that_a_broker_of_3_1_1_cannot_tell_is_a_setting() {
    let test = "a_packet_limit_that_a_broker_of_3_1_1_cannot_tell_is_a_setting";
    let broker = Broker::start_with("max_packet_size 600\n");
    let Some(mut device) = Device::new(test, broker, &[&format!("{BASE}/#")]) else { return };
    let url = device.broker.url();
    let mqtt = format!("{VERSION}max_packet_bytes = 600\n");
    let mut daemon = Daemon::start(&device.settings(&url, &mqtt, ""));
    device.wait_until_online(&daemon);
    // The sender's properties do not arrive, so the long name comes from the topic.
    publish_meta_and_frame(&device, &"y".repeat(60), &"x".repeat(120), b"no picture".to_vec());
    wait_for_log(&daemon, "is larger than the broker takes: 600 bytes");
    device.watcher.publish(&frame_topic("nadir"), "no picture");
    device.watcher.next("the next fix", |message| message.topic.ends_with("/cam/nadir/fix"));
    // Its figures are larger than the broker takes; its log says the same.
    device.stop(&mut daemon);
    let log = daemon.log();
    assert_eq!(log.matches("connected to the broker").count(), 1, "the connection held: {log}");
    assert!(log.contains("fixes_oversize: 1"), "{log}");
}
