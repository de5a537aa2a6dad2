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
use support::shared::Flight;

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
