//! How certain fixes are, as the daemon publishes it: with a calibration of its index, and with one of another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::path::Path;

use geolocated::calibration::{Calibration, FORMAT, FittedOn, FuseScale, asked, digests};
use geolocated::locate::{FEATURE_NAMES, FuseOptions, Logistic, RadiusBand, StageCalibration, Term};
use index_shards::{SearchOptions, ShardSet};
use serde_json::Value;
use support::broker::Broker;
use support::client::Client;
use support::daemon::{Daemon, settings};
use support::fleet::Fleet;
use support::generation::bring;
use support::shared::Flight;
use support::{geolocate, wait_for};

const BASE: &str = "geolocated/field/drone-7";

/// A calibration of this shard by which every fix is published, sure by 0.88.
fn calibration(shard: &Path) -> Calibration {
    let shards = ShardSet::open(&[shard.to_owned()]).unwrap();
    let term = |name: &&str| Term { feature: (*name).to_owned(), mean: 0.0, deviation: 1.0, weight: 0.0 };
    Calibration {
        format: FORMAT,
        space: shards.space().to_owned(),
        shards: digests(&shards),
        asked: asked(&SearchOptions::default()),
        fuse: FuseScale::of(&FuseOptions::default()),
        fitted_on: FittedOn {
            poses: "poses.csv".into(),
            flights: 60,
            frames: 1200,
            outside: 90,
            right_within_m: 50.0,
            risk: 0.05,
            hints: Vec::new(),
        },
        retrieved: StageCalibration {
            least_confidence: Some(0.5),
            mapped: None,
            right: Logistic { intercept: 2.0, terms: FEATURE_NAMES.iter().map(term).collect() },
            radius: vec![RadiusBand { above: 0.0, sigmas_68: 1.0, sigmas_95: 2.5 }],
        },
        reranked: None,
    }
}

/// The answer to a frame, valid by its schema, and what `status` says, of a daemon that starts with this calibration.
fn answer(flight: &Flight, folder: &Path, shard: &Path, calibration: &Calibration) -> (Value, Value) {
    calibration.store(&folder.join("calibration.toml")).unwrap();
    let broker = Broker::start();
    let mut client = Client::connect(broker.port, "watcher", &[&format!("{BASE}/#")]);
    let more = "[calibration]\nfile = \"calibration.toml\"\n";
    let mut daemon = Daemon::start(&settings(folder, &broker.url(), shard, &flight.model, more));
    let status = client.next("the daemon's status", |message| message.topic.ends_with("/status")).json();
    let file = flight.files("query").remove(0);
    client.publish_with(&format!("{BASE}/cam/nadir/frame"), flight.frame(&file), &[("id", "first")]);
    let fix = client.next("the answer", |message| message.topic.ends_with("/cam/nadir/fix")).json();
    let schema = include_str!("../../daemon/schema/fix.schema.json");
    let validator = jsonschema::validator_for(&serde_json::from_str::<Value>(schema).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&fix).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}\n{fix:#}");
    assert!(daemon.stop().0.success());
    (fix, status)
}

#[test]
fn fixes_have_radii_by_a_calibration_of_the_index_and_none_by_another() {
    let Some(flight) = Flight::caliterra("fixes_have_radii_by_a_calibration_of_the_index_and_none_by_another") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let shard = flight.build(folder.path());
    let good = calibration(&shard);
    let (fix, status) = answer(&flight, folder.path(), &shard, &good);
    assert_eq!((&status["state"], &fix["status"]), (&"online".into(), &"fix".into()), "{status} {fix:#}");
    let number = |key: &str| fix[key].as_f64().unwrap_or_else(|| panic!("{key}: {fix:#}"));
    assert!((number("confidence") - 0.8808).abs() < 1e-3);
    assert!(number("radius_68_m") > 1.0 && (number("radius_95_m") / number("radius_68_m") - 2.5).abs() < 0.05);
    assert_eq!(fix["covariance_m2"].as_array().unwrap().len(), 3);
    assert!(fix["candidates"][0]["p"].as_f64().unwrap() > 0.0);

    let other = Calibration { shards: vec!["0".repeat(64)], ..good };
    let (fix, status) = answer(&flight, folder.path(), &shard, &other);
    assert_eq!((&status["state"], &fix["status"]), (&"degraded".into(), &"fix".into()), "{status} {fix:#}");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("no radii") && reason.contains("calibration.toml"), "{reason}");
    for key in ["radius_68_m", "radius_95_m", "covariance_m2", "confidence"] {
        assert!(fix.get(key).is_none(), "{key}: {fix:#}");
    }
}

/// The same, sure by another number.
fn sure(calibration: &Calibration, intercept: f64) -> Calibration {
    let mut calibration = calibration.clone();
    calibration.retrieved.right.intercept = intercept;
    calibration
}

#[test]
fn a_calibration_that_comes_with_a_generation_is_used_with_it_and_that_of_the_settings_goes_before() {
    let test = "a_calibration_that_comes_with_a_generation_is_used_with_it_and_that_of_the_settings_goes_before";
    let Some(mut fleet) = Fleet::new(test) else { return };
    let good = calibration(&fleet.shard);
    let other = Calibration { asked: "8 similar, farthest dissimilar".into(), ..good.clone() };
    let foreign = Calibration { shards: vec!["0".repeat(64)], ..good.clone() };
    let bring = |fleet: &Fleet, counter: u64, calibration: &Calibration| {
        let folder = fleet.home.path().join(format!("gen-{counter}/calibration"));
        std::fs::create_dir_all(&folder).unwrap();
        calibration.store(&folder.join("calibration.toml")).unwrap();
        bring(&fleet.make(counter, &[]), &fleet.index());
    };
    let confidence = |fix: &Value| fix["confidence"].as_f64().map(|found| (found * 1e3).round() / 1e3);
    bring(&fleet, 1, &good);
    let (mut daemon, status) = fleet.start_with(&fleet.config(""));
    assert_eq!(status["state"], "online", "{status}");
    let fix = fleet.ask();
    assert_eq!(confidence(&fix), Some(0.881), "{fix:#}");
    assert!(fix["radius_95_m"].as_f64().unwrap() > fix["radius_68_m"].as_f64().unwrap());
    // Of other shards it is not even signed.
    let folder = fleet.home.path().join("gen-9");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(&fleet.shard, folder.join("reference.shard")).unwrap();
    foreign.store(&folder.join("calibration.toml")).unwrap();
    let arguments = ["sign".as_ref(), folder.as_os_str(), "--secret-key".as_ref(), fleet.keys.secret.as_os_str()];
    let refused = geolocate(arguments);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("calibration.toml: expected a calibration of these"), "{said}");
    // With one that does not hold on the device the generation serves, without radii.
    bring(&fleet, 2, &other);
    wait_for("the second one to serve", || (fleet.serves() == 2).then_some(()));
    let status = fleet.status(&daemon, |status| status["state"] == "degraded");
    let reason = status["reason"].as_str().unwrap();
    let expected = ["no radii", "gen-2/calibration/calibration.toml", "calibrated for a search of 8 similar"];
    assert!(expected.iter().all(|part| reason.contains(part)), "{reason}");
    let fix = fleet.ask();
    for key in ["radius_68_m", "radius_95_m", "covariance_m2", "confidence"] {
        assert!(fix.get(key).is_none(), "{key}: {fix:#}");
    }
    bring(&fleet, 3, &good);
    wait_for("the third one to serve", || (fleet.serves() == 3).then_some(()));
    fleet.status(&daemon, |status| status["state"] == "online");
    assert!(daemon.stop().0.success());

    // That of the settings goes before, where it is one of this index; else that of the generation stays.
    let own = fleet.folder.path().join("calibration.toml");
    let config = fleet.config("[calibration]\nfile = \"calibration.toml\"\n");
    for (calibration, expected) in [(sure(&good, 3.0), 0.953), (sure(&foreign, 3.0), 0.881)] {
        calibration.store(&own).unwrap();
        let (mut daemon, status) = fleet.start_with(&config);
        assert_eq!(status["state"], "online", "{status}");
        let fix = fleet.ask();
        assert_eq!((confidence(&fix), &fix["index"]["generation"]), (Some(expected), &3.into()), "{fix:#}");
        let is_said = daemon.log().contains("passed over for another");
        assert_eq!(is_said, expected < 0.9, "{}", daemon.log());
        assert!(daemon.stop().0.success());
    }
}
