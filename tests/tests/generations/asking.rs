//! Asking a device: by commands, and for figures.

use serde_json::json;

use crate::support::fleet::{BASE, Fleet};
use crate::support::schema::assert_valid;
use crate::support::{free_port, scrape, wait_for};

#[test]
fn doctor_and_locate_answer_over_mqtt() {
    let Some(mut fleet) = Fleet::new("doctor_and_locate_answer_over_mqtt") else { return };
    fleet.bring(1);
    let _daemon = fleet.start("");
    let fix = fleet.ask();
    let picture = fleet.flight.frame(&fleet.flight.files("query")[0]);
    let to = format!("{BASE}/answers");
    fleet.client.command(&format!("{BASE}/cmd/locate"), picture, &to, b"ask-1");
    let reply = fleet.client.next("where it was taken", |message| message.topic == to);
    assert_eq!(reply.correlation.as_deref(), Some(&b"ask-1"[..]));
    let reply = reply.json();
    assert_valid("reply", &reply);
    assert_valid("fix", &reply["fix"]);
    assert_eq!((&reply["fix"]["lat"], &reply["fix"]["lon"]), (&fix["lat"], &fix["lon"]));
    fleet.client.command(&format!("{BASE}/cmd/locate"), b"no picture".to_vec(), &to, b"ask-2");
    let reply = fleet.client.next("why it is none", |message| message.topic == to).json();
    assert_eq!(reply["fix"]["status"], "error", "{reply}");
    let reply = fleet.order("doctor", &json!({}));
    assert_eq!(reply["good"], true, "{reply:#}");
    let checks: Vec<&str> = reply["findings"].as_array().unwrap().iter().filter_map(|f| f["check"].as_str()).collect();
    assert_eq!(checks, ["status", "index", "pipeline", "outbox", "disk", "clock", "memory"]);
}

#[test]
fn figures_for_prometheus_are_served_on_loopback() {
    let Some(mut fleet) = Fleet::new("figures_for_prometheus_are_served_on_loopback") else { return };
    fleet.bring(1);
    let port = free_port();
    let _daemon = fleet.start(&format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n"));
    fleet.serves();
    fleet.client.publish(&format!("{BASE}/cam/nadir/frame"), "no picture");
    fleet.client.next("its error", |message| message.topic.ends_with("/fix") && message.json()["status"] == "error");
    let text = scrape(port);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("application/openmetrics-text"), "{text}");
    for line in [
        "geolocated_frames_received_total 2",
        "geolocated_fixes_total{status=\"error\"} 1",
        "geolocated_frames_dropped_total{reason=\"stale\"} 0",
        "geolocated_stage_seconds_count{stage=\"embed\"} 1",
        "geolocated_stage_seconds_count{stage=\"total\"} 2",
        "geolocated_broker_connected 1.0",
        "geolocated_generation 1.0",
        "geolocated_degraded 0.0",
        "geolocated_outbox_disk_working 1.0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found.trim_end() == line), "{line}\n{text}");
    }
    fleet.broker.kill();
    wait_for("the lost broker to show", || scrape(port).contains("geolocated_broker_connected 0.0").then_some(()));
}
