//! Faults of all kinds in random order, while a device makes fixes without end: none is lost, none comes out of order,
//! and what comes twice says so. A short form runs with all tests; `make soak` runs the long one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, unreachable_pub)]
// Helpers of tests may fail loudly.

mod faults;
mod flood;
mod ledger;
mod radio;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod tap;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use faults::{Fault, strike};
use scene::Scene;
use support::matrix::Numbers;

/// How many faults: a few in CI, more where somebody asks for it.
fn wanted(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn a_device_that_everything_happens_to_loses_nothing() {
    let test = "a_device_that_everything_happens_to_loses_nothing";
    let (count, seed) = (wanted("GEOLOCATED_FAULTS", 30), wanted("GEOLOCATED_SEED", 1));
    let Some(mut scene) = Scene::start(test, seed) else { return };
    let mut numbers = Numbers(seed);
    let mut struck: BTreeMap<&'static str, usize> = BTreeMap::new();
    let start = Instant::now();
    scene.watch(Duration::from_secs(2));
    for number in 0..count {
        let fault = Fault::nth(number, &mut numbers);
        let name = if strike(&mut scene, fault, &mut numbers) { fault.name() } else { "not possible here" };
        *struck.entry(name).or_default() += 1;
        scene.watch(Duration::from_millis(50 + numbers.below(200)));
    }
    let took_s = start.elapsed().as_secs_f64();
    let stats = scene.finish();
    report(&scene, &struck, &stats, took_s);
    let ledger = scene.tap.ledger();
    let delivered = ledger.delivered();
    let lost: Vec<_> = scene.promised.difference(&delivered).collect();
    assert!(lost.is_empty(), "{lost:?} were on the disk and never came");
    ledger.assert_in_order_and_marked();
    ledger.assert_no_gaps();
    assert!(!scene.promised.is_empty() && delivered.len() as u64 > 5 * count, "the test saw something");
    assert_eq!(stats["outbox"]["set_aside"], 0, "{stats}");
    for (early, late) in &scene.memory {
        assert!(late < &(early + (24 << 20)), "memory grew from {early} to {late} bytes");
    }
}

fn report(scene: &Scene, struck: &BTreeMap<&str, usize>, stats: &serde_json::Value, took_s: f64) {
    let ledger = scene.tap.ledger();
    let delivered = ledger.delivered();
    let heard = delivered.intersection(&scene.heard).count();
    let starts = delivered.iter().map(|at| at.0).collect::<std::collections::BTreeSet<_>>().len();
    let (written, queued) = (&stats["outbox"]["written_bytes"], &stats["outbox"]["queued_bytes"]);
    let grown = scene.memory.iter().map(|(early, late)| late.saturating_sub(*early)).max().unwrap_or_default();
    let most = scene.memory.iter().map(|(_, late)| *late).max().unwrap_or_default();
    eprintln!("faults: {struck:?} in {took_s:.0} s");
    eprintln!(
        "delivered: {} fixes of {starts} starts; {} waited at a kill, 0 of them lost; sent again, marked: {}",
        delivered.len(),
        scene.promised.len(),
        ledger.sent_again()
    );
    eprintln!(
        "acknowledged, and not heard by the subscriber: {} (nobody subscribed: {})",
        delivered.len() - heard,
        ledger.unheard()
    );
    eprintln!("memory: at most {} KiB, grown by at most {} KiB in one start", most >> 10, grown >> 10);
    eprintln!("last start: {written} bytes written, {queued} queued");
}
