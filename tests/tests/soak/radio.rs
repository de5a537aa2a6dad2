//! A radio that is silent for a while, and a broker that has forgotten all meanwhile: the daemon, and a client of the
//! same library without an outbox, through the same loss in the same run.

use std::thread;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{Client as MqttClient, MqttOptions};
use serde_json::json;

use crate::scene::{BASE, Scene};
use crate::support::wait_for;
use crate::tap::{Link, Tap};

const PUBLISHES: u64 = 600;
const EVERY: Duration = Duration::from_millis(16);

/// Publishes through the tap, as the library's examples do.
fn bare_client(tap: &Tap) -> thread::JoinHandle<()> {
    let mut options = MqttOptions::new("bare", "127.0.0.1", tap.port);
    options.set_keep_alive(Duration::from_secs(5)).set_clean_start(false);
    let (client, mut connection) = MqttClient::new(options, 1000);
    thread::spawn(move || {
        for event in connection.iter() {
            if event.is_err() {
                thread::sleep(Duration::from_millis(100));
            }
        }
    });
    thread::spawn(move || {
        for seq in 1..=PUBLISHES {
            let fix = json!({ "boot": 1, "seq": seq, "cam": "bare" }).to_string();
            client.publish(format!("{BASE}/cam/bare/fix"), QoS::AtLeastOnce, false, fix).unwrap();
            thread::sleep(EVERY);
        }
        // The client must live until its last publish has had its chance.
        thread::sleep(Duration::from_secs(60));
    })
}

#[test]
fn silent_radio_loss_costs_a_bare_client_messages_and_the_daemon_none() {
    let test = "silent_radio_loss_costs_a_bare_client_messages_and_the_daemon_none";
    let Some(mut scene) = Scene::start(test, 1) else { return };
    let bare = Tap::start(scene.broker.port);
    scene.watch(Duration::from_secs(1));
    let _publisher = bare_client(&bare);
    scene.watch(Duration::from_secs(3));
    for tap in [&scene.tap, &bare] {
        tap.set(Link::BlackHole);
    }
    scene.watch(Duration::from_secs(3));
    scene.broker.restart();
    scene.watch(Duration::from_secs(6));
    for tap in [&scene.tap, &bare] {
        tap.cut();
        tap.set(Link::Open);
    }
    let before = scene.tap.ledger().delivered().len();
    wait_for("600 fixes", || {
        scene.watch(Duration::from_millis(200));
        (scene.tap.ledger().delivered().len() > before.max(PUBLISHES as usize)).then_some(())
    });
    scene.finish();
    let ledger = scene.tap.ledger();
    let delivered = ledger.delivered();
    ledger.assert_no_gaps();
    ledger.assert_in_order_and_marked();
    assert!(scene.promised.is_subset(&delivered));
    let of_bare = bare.ledger().delivered().len() as u64;
    eprintln!(
        "silent for 9 s, the broker restarted meanwhile: the daemon delivered {} of {}, the bare client {of_bare} of \
         {PUBLISHES}",
        delivered.len(),
        delivered.len(),
    );
}
