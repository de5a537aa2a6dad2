//! Ten times as many frames as can be answered: the newest are answered in time, the others counted.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::PublishProperties;
use rumqttc::v5::{Client as MqttClient, MqttOptions};
use serde_json::Value;

use crate::scene::BASE;
use crate::support::broker::Broker;
use crate::support::client::{Client, Message};
use crate::support::daemon::{Daemon, settings};
use crate::support::shared::Flight;
use crate::wanted;

const TIMES: f64 = 10.0;
/// What may be waiting and in work beside what there is at rest.
const MOST_GROWN_BYTES: u64 = 48 << 20;

/// Publishes `picture` at a rate for a time; gives when each was sent.
fn publish(port: u16, picture: &[u8], every: Duration, lasts: Duration) -> BTreeMap<String, Instant> {
    let mut options = MqttOptions::new("flood", "127.0.0.1", port);
    options.set_max_packet_size(Some(64 << 20));
    let (client, mut connection) = MqttClient::new(options, 10);
    thread::spawn(move || while connection.iter().next().is_some_and(|event| event.is_ok()) {});
    let (start, mut sent) = (Instant::now(), BTreeMap::new());
    while start.elapsed() < lasts {
        let id = format!("flood-{}", sent.len());
        let properties =
            PublishProperties { user_properties: vec![("id".to_owned(), id.clone())], ..PublishProperties::default() };
        sent.insert(id, Instant::now());
        let topic = format!("{BASE}/cam/nadir/frame");
        client.publish_with_properties(topic, QoS::AtMostOnce, false, picture.to_vec(), properties).unwrap();
        thread::sleep((start + every * sent.len() as u32).saturating_duration_since(Instant::now()));
    }
    sent
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

#[test]
fn a_flood_of_frames_leaves_memory_flat_and_every_frame_counted() {
    let test = "a_flood_of_frames_leaves_memory_flat_and_every_frame_counted";
    let Some(flight) = Flight::caliterra(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let broker = Broker::start();
    let topics = [&format!("{BASE}/cam/nadir/fix")[..], &format!("{BASE}/stats"), &format!("{BASE}/status")];
    let mut watcher = Client::connect(broker.port, "watcher", &topics);
    let mut daemon = Daemon::start(&settings(folder.path(), &broker.url(), &shard, &flight.model, ""));
    let picture = flight.frame(&flight.files("query")[0]);
    watcher.next("the device", |message| message.topic.ends_with("/status") && message.json()["state"] == "online");
    let is_fix = |message: &Message| message.topic.ends_with("/fix");
    // How long one frame takes at rest, which is what a flood of ten times as many follows from.
    let mut at_rest = Vec::new();
    for number in 0..12 {
        watcher.publish_with(&format!("{BASE}/cam/nadir/frame"), picture.clone(), &[("id", &format!("rest-{number}"))]);
        let fix = watcher.next("an answer at rest", is_fix).json();
        assert_eq!(fix["status"], "fix", "{fix}");
        at_rest.push(fix["ms"]["total"].as_f64().unwrap());
    }
    let service_ms = quantile(&mut at_rest, 0.5);
    let before = daemon.anonymous_bytes();
    let lasts = Duration::from_secs(wanted("GEOLOCATED_FLOOD_S", 4));
    let every = Duration::from_secs_f64(service_ms / 1e3 / TIMES);
    let (port, (sender, receiver)) = (broker.port, channel());
    let bytes = picture.len();
    let publisher = thread::spawn(move || {
        let sent = publish(port, &picture, every, lasts);
        sender.send(()).unwrap();
        sent
    });
    let (mut answers, mut most): (Vec<(Instant, Value)>, u64) = (Vec::new(), 0);
    let mut quiet = false;
    while !quiet {
        let is_over = receiver.try_recv().is_ok() || publisher.is_finished();
        let patience = Duration::from_millis(if is_over { 1000 } else { 20 });
        let answer = watcher.next_within(patience, is_fix);
        quiet = is_over && answer.is_none();
        answers.extend(answer.map(|message| (Instant::now(), message.json())));
        most = most.max(daemon.anonymous_bytes());
    }
    let sent = publisher.join().unwrap();
    assert!(daemon.stop().0.success());
    let stats = watcher.next("the last figures", |message| message.topic.ends_with("/stats")).json();
    let mut latency: Vec<f64> = answers
        .iter()
        .filter_map(|(at, fix)| Some((*at - *sent.get(fix["id"].as_str()?)?).as_secs_f64() * 1e3))
        .collect();
    let mut service: Vec<f64> = answers.iter().filter_map(|(_, fix)| fix["ms"]["total"].as_f64()).collect();
    let mut waited: Vec<f64> = answers.iter().filter_map(|(_, fix)| fix["ms"]["wait"].as_f64()).collect();
    eprintln!(
        "{} frames of {bytes} bytes in {} s, one in {:.2} ms; at rest one took {service_ms:.1} ms; {} answered: service \
         p50 {:.1} ms, p95 {:.1}; waiting p95 {:.1} ms; from publish to answer p50 {:.1} ms, p95 {:.1} (bound {:.1})",
        sent.len(),
        lasts.as_secs(),
        every.as_secs_f64() * 1e3,
        answers.len(),
        quantile(&mut service, 0.5),
        quantile(&mut service, 0.95),
        quantile(&mut waited, 0.95),
        quantile(&mut latency, 0.5),
        quantile(&mut latency, 0.95),
        2.0 * quantile(&mut service, 0.95) + 50.0,
    );
    let bound = 2.0 * quantile(&mut service, 0.95) + 50.0;
    assert!(quantile(&mut latency, 0.95) <= bound, "answers came later than {bound:.1} ms after their frames");
    eprintln!("anonymous memory: {} KiB at rest, at most {} KiB", before >> 10, most >> 10);
    assert!(most < before + MOST_GROWN_BYTES, "{before} -> {most}");
    assert!(answers.len() > 10 && answers.len() < sent.len() / 2, "a flood: {} of {}", answers.len(), sent.len());
    let count = |key: &str| stats["counters"][format!("frames_{key}")].as_u64().unwrap();
    let known = ["answered", "replaced", "over_memory", "over_cameras", "stale", "at_stop"];
    assert_eq!(known.iter().map(|key| count(key)).sum::<u64>(), count("received"), "{stats}");
}
