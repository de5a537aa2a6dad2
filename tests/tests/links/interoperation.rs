//! Answers in other people's words: Home Assistant, OwnTracks, GeoJSON and NMEA 0183.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use nmea::ParseResult;
use nmea::sentences::FixType;
use serde_json::{Value, json};

use crate::device::{BASE, Device, frame_topic};
use crate::support::broker::Broker;
use crate::support::client::{Client, Message};
use crate::support::daemon::Daemon;
use crate::support::schema::assert_valid;
use crate::support::{PATIENCE, wait_for};

const WATCHED: [&str; 3] = ["geolocated/#", "homeassistant/#", "owntracks/#"];

/// What the broker keeps, to somebody who comes late, beside the device's own status, info and newest answers.
fn retained(device: &Device) -> BTreeMap<String, Value> {
    let mut late = Client::connect(device.broker.port, "late", &WATCHED);
    let mut kept = BTreeMap::new();
    while let Some(message) = late.next_within(Duration::from_millis(300), |message| message.retained) {
        let own = ["/status", "/info", "/last"].iter().any(|end| message.topic.ends_with(end));
        if !own {
            kept.insert(message.topic.clone(), message.json());
        }
    }
    kept
}

#[test]
fn other_words_are_retained_fit_their_schemas_and_go_when_switched_off() {
    let test = "other_words_are_retained_fit_their_schemas_and_go_when_switched_off";
    let Some(mut device) = Device::new(test, Broker::start(), &WATCHED) else { return };
    let url = device.broker.url();
    let on =
        ["home_assistant", "owntracks", "geojson"].map(|word| format!("[publish.{word}]\nenabled = true\n")).concat();
    let mut daemon = Daemon::start(&device.settings(&url, "", &on));
    device.wait_until_online(&daemon);
    let captured = [("id", "x"), ("captured_at", "2999-01-31T12:00:00Z")];
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &captured);
    let fix = device.answer("nadir", "x");
    let kept = wait_for("seven retained messages", || Some(retained(&device)).filter(|kept| kept.len() == 7));
    for (topic, message) in &kept {
        let schema = match topic.split('/').next().unwrap() {
            "homeassistant" => "home_assistant",
            "owntracks" => "owntracks",
            _ => "geojson",
        };
        assert_valid(schema, message);
    }
    let tracker = &kept["homeassistant/device_tracker/geolocated-field-drone-7/cam_nadir/config"];
    assert_eq!(tracker["json_attributes_topic"], format!("{BASE}/cam/nadir/last"));
    let location = &kept["owntracks/field/drone-7-nadir"];
    assert_eq!((&location["lat"], &location["lon"]), (&fix["lat"], &fix["lon"]));
    let feature = &kept[&format!("{BASE}/cam/nadir/geojson")];
    assert_eq!(feature["geometry"]["coordinates"], json!([fix["lon"], fix["lat"]]));
    // An answer without a position takes the point from the map; OwnTracks has no word for it.
    device.watcher.publish_with(&frame_topic("nadir"), "no picture", &[("id", "y")]);
    let is_error = |message: &Message| message.topic.ends_with("/geojson") && message.json()["properties"]["id"] == "y";
    assert_eq!(device.watcher.next("the error as a feature", is_error).json()["geometry"], Value::Null);
    device.stop(&mut daemon);

    let mut daemon = Daemon::start(&device.settings(&url, "", "[publish.geojson]\nenabled = true\n"));
    wait_for("what is switched off to be removed", || {
        let kept = retained(&device);
        (kept.len() == 1 && kept.keys().all(|topic| topic.ends_with("/geojson"))).then_some(())
    });
    daemon.assert_running();
    assert!(daemon.stop().0.success());
}

#[test]
fn nmea_is_spoken_over_tcp_for_fixes_alone_and_another_parser_reads_it() {
    let test = "nmea_is_spoken_over_tcp_for_fixes_alone_and_another_parser_reads_it";
    let Some(mut device) = Device::new(test, Broker::start(), &WATCHED) else { return };
    let url = device.broker.url();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let on = format!("[publish.nmea]\nenabled = true\nlisten = \"127.0.0.1:{port}\"\n");
    let mut daemon = Daemon::start(&device.settings(&url, "", &on));
    device.wait_until_online(&daemon);
    let connect = || {
        let stream = wait_for("the port", || TcpStream::connect(("127.0.0.1", port)).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(stream).lines()
    };
    let (mut one, mut other) = (connect(), connect());
    // Nobody knows when a connection is taken in; frames go on until both hear.
    std::thread::sleep(Duration::from_millis(200));
    device.watcher.publish_with(&frame_topic("nadir"), "no picture", &[("id", "error")]);
    device.answer("nadir", "error");
    let captured = [("id", "x"), ("captured_at", "2999-01-31T12:34:56.780Z")];
    device.watcher.publish_with(&frame_topic("nadir"), device.picture(), &captured);
    let fix = device.answer("nadir", "x");
    let place = |key: &str| fix[key].as_f64().unwrap();
    for lines in [&mut one, &mut other] {
        let gga = lines.next().unwrap().unwrap();
        let ParseResult::GGA(parsed) = nmea::parse_str(&gga).unwrap() else { panic!("{gga}") };
        assert_eq!(parsed.fix_type, Some(FixType::Estimated), "{gga}");
        assert!((parsed.latitude.unwrap() - place("lat")).abs() < 2e-7, "{gga}: {fix}");
        assert!((parsed.longitude.unwrap() - place("lon")).abs() < 2e-7, "{gga}: {fix}");
        assert_eq!(parsed.fix_time.unwrap().to_string(), "12:34:56.780");
        let rmc = lines.next().unwrap().unwrap();
        let ParseResult::RMC(parsed) = nmea::parse_str(&rmc).unwrap() else { panic!("{rmc}") };
        assert!((parsed.lat.unwrap() - place("lat")).abs() < 2e-7, "{rmc}");
        assert_eq!(parsed.fix_date.unwrap().to_string().get(4..), Some("-01-31"), "{rmc}");
        assert!(gga.starts_with("$GPGGA,123456.78,") && rmc.ends_with(&rmc[rmc.len() - 2..]));
    }
    device.stop(&mut daemon);
    assert!(one.next().is_none_or(|line| line.is_err()), "nothing more was said, and no GST without a radius");
}
