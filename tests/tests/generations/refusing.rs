//! What does not hold is refused by name, and what served before serves on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::client::Message;
use crate::support::daemon::Daemon;
use crate::support::fleet::{BASE, Fleet};
use crate::support::generation::{self, Keys, bring, make, sign};
use crate::support::matrix::Matrix;
use crate::support::schema::assert_valid;
use crate::support::{self, succeeded, wait_for};

/// As if the copy had been made long ago: nobody is copying any more.
fn long_ago(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            long_ago(&path);
        } else {
            File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
    }
    File::open(folder).unwrap().set_modified(then).unwrap();
}

#[test]
fn what_does_not_hold_is_refused_by_name_and_the_last_good_one_serves() {
    let Some(mut fleet) = Fleet::new("what_does_not_hold_is_refused_by_name_and_the_last_good_one_serves") else {
        return;
    };
    fleet.bring(1);
    let good = fleet.make(2, &["--golden", "3"]);
    let mut daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    let stranger = Keys::make(fleet.home.path(), "stranger");
    let elsewhere = fleet.home.path().join("elsewhere");
    let other_space = {
        let matrix = fleet.home.path().join("matrix");
        fs::create_dir(&matrix).unwrap();
        let shard = fleet.home.path().join("other.shard");
        succeeded(&Matrix::write(&matrix, 50, 64, 1).build("other@000000000000", &shard).output().unwrap());
        shard
    };
    let again = |keys: &Keys, more: &[&str]| {
        fs::remove_dir_all(&elsewhere).ok();
        make(&elsewhere, 2, &fleet.shard, keys, more)
    };
    let append = |path: &Path| {
        let text = fs::read(path).unwrap();
        fs::write(path, [text.as_slice(), b"x"].concat()).unwrap();
    };
    let spoil = |folder: &Path, case: &str| match case {
        "unsigned" => fs::remove_file(folder.join("manifest.json.minisig")).unwrap(),
        "tampered" => {
            let path = folder.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap().replace("\"counter\": 2", "\"counter\": 3");
            fs::write(&path, text).unwrap();
        }
        "flipped" => {
            let path = folder.join("reference.shard");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        "cut" => File::options().write(true).open(folder.join("reference.shard")).unwrap().set_len(1000).unwrap(),
        "oversized" => append(&folder.join("reference.shard")),
        "missing" => fs::remove_file(folder.join("golden.json")).unwrap(),
        "linked" => {
            let path = folder.join("reference.shard");
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&fleet.shard, &path).unwrap();
        }
        _ => {}
    };
    let cases: [(&str, PathBuf, u64, &str); 12] = [
        ("unsigned", good.clone(), 2, "manifest.json.minisig: cannot be read"),
        ("tampered", good.clone(), 2, "wrong signature by key"),
        ("flipped", good.clone(), 2, "reference.shard: expected sha256"),
        ("cut", good.clone(), 2, "found 1000"),
        ("oversized", good.clone(), 2, "reference.shard: expected"),
        ("missing", good.clone(), 2, "golden.json: cannot be read"),
        ("linked", good.clone(), 2, "found a symbolic link"),
        ("mixed", good.clone(), 3, "mixed: expected counter 3 as in the folder's name, found 2"),
        ("stranger", PathBuf::new(), 2, "found one by"),
        ("expired", PathBuf::new(), 2, "expired at"),
        ("golden", PathBuf::new(), 2, "golden query golden/0-0.f32: expected"),
        ("space", PathBuf::new(), 2, "other@000000000000"),
    ];
    let index = fleet.index();
    for (case, from, counter, part) in cases {
        let from = match case {
            "stranger" => again(&stranger, &[]),
            "expired" => {
                fs::remove_dir_all(&elsewhere).ok();
                let folder = make(&elsewhere, 2, &fleet.shard, &fleet.keys, &[]);
                let mut command = Command::new(support::binary("geolocate"));
                command.env("SOURCE_DATE_EPOCH", "1700000000").args(["sign", "--expires-days", "30", "--secret-key"]);
                succeeded(&command.arg(&fleet.keys.secret).arg(&folder).output().unwrap());
                folder
            }
            "golden" => {
                let folder = again(&fleet.keys, &["--golden", "2"]);
                let path = folder.join("golden.json");
                let mut list: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                list["queries"][0]["top"] = json!("somewhere else.jpg");
                fs::write(&path, list.to_string()).unwrap();
                sign(&folder, &fleet.keys, &[]);
                folder
            }
            "space" => {
                fs::remove_dir_all(&elsewhere).ok();
                make(&elsewhere, 2, &other_space, &fleet.keys, &[])
            }
            _ => from,
        };
        let spoiled = fleet.home.path().join("spoiled");
        fs::remove_dir_all(&spoiled).ok();
        generation::copy(&from, &spoiled);
        spoil(&spoiled, case);
        long_ago(&spoiled);
        let to = index.join(format!("gen-{counter}"));
        fs::rename(&spoiled, &to).unwrap();
        let is_refused = |status: &Value| status["reason"].as_str().is_some_and(|reason| reason.contains(part));
        let message = fleet.client.next_within(support::PATIENCE, |message: &Message| {
            message.topic.ends_with("/status") && is_refused(&message.json())
        });
        let status = message.unwrap_or_else(|| panic!("{case}: not refused with {part:?}:\n{}", daemon.log())).json();
        assert_eq!(status["state"], "degraded");
        assert_valid("status", &status);
        let reply = {
            fleet.client.publish(&format!("{BASE}/cmd/activate"), json!({"counter": counter}).to_string());
            fleet.client.next("the refusal", |message| message.topic.ends_with("/cmd/activate/reply")).json()
        };
        assert_eq!(reply["reason"], "generation_refused", "{case}: {reply}");
        let id = format!("during {case}");
        let frame = fleet.flight.frame(&fleet.flight.files("query")[0]);
        fleet.client.publish_with(&format!("{BASE}/cam/nadir/frame"), frame, &[("id", &id)]);
        let fix =
            fleet.client.next(&id, |message| message.topic.ends_with("/fix") && message.json()["id"] == id.as_str());
        assert_eq!(fix.json()["index"]["generation"], 1, "{case}");
        fs::remove_dir_all(&to).unwrap();
        fleet.client.next("the device to be online", |message| {
            message.topic.ends_with("/status") && message.json()["state"] == "online"
        });
        eprintln!("{case}: {}", status["reason"]);
    }
    daemon.assert_running();
    // The same generation, whole, is taken.
    bring(&good, &index);
    wait_for("the good one to serve", || (fleet.serves() == 2).then_some(()));
}

#[test]
fn keys_are_rotated_and_revoked() {
    let Some(mut fleet) = Fleet::new("keys_are_rotated_and_revoked") else { return };
    fleet.bring(1);
    let daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    // The first key may not revoke the second, which stands after it.
    let spare_id = fleet.spare.id();
    let hostile = fleet.make(2, &["--revoke", &spare_id]);
    let hostile = bring(&hostile, &fleet.index());
    let status = fleet.status(&daemon, |status| status["state"] == "degraded");
    assert!(status["reason"].as_str().unwrap().contains("may only revoke keys that stand before it"), "{status}");
    fs::remove_dir_all(hostile).unwrap();
    fleet.status(&daemon, |status| status["state"] == "online");
    // The second key revokes the first, which was stolen.
    let two = make(&fleet.home.path().join("spare"), 2, &fleet.shard, &fleet.spare, &["--revoke", &fleet.keys.id()]);
    bring(&two, &fleet.index());
    wait_for("the second one to serve", || (fleet.serves() == 2).then_some(()));
    let stolen = fleet.bring(3);
    let status = fleet.status(&daemon, |status| status["state"] == "degraded");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("signed by key {}, which is revoked", fleet.keys.id())), "{reason}");
    assert_eq!(fleet.serves(), 2);
    fs::remove_dir_all(stolen).unwrap();
    let three = make(&fleet.home.path().join("spare"), 3, &fleet.shard, &fleet.spare, &[]);
    bring(&three, &fleet.index());
    wait_for("the third one to serve", || (fleet.serves() == 3).then_some(()));
}

#[test]
fn a_device_whose_clock_shows_1970_activates_what_is_valid_and_refuses_what_has_expired() {
    let name = "a_device_whose_clock_shows_1970_activates_what_is_valid_and_refuses_what_has_expired";
    if Command::new("faketime").arg("--version").output().is_err() {
        eprintln!("skipped: {name}: no faketime");
        return;
    }
    let Some(mut fleet) = Fleet::new(name) else { return };
    fleet.bring(1);
    let mut command = Command::new("faketime");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").args(["-f", "@1970-01-02 00:00:00"]);
    command.arg(support::binary("geolocated"));
    let daemon = Daemon::start_by(command, &fleet.config(""));
    fleet.status(&daemon, |status| status["state"] == "online");
    let fix = fleet.ask();
    assert_eq!((&fix["index"]["generation"], &fix["clock"]), (&json!(1), &json!("unsynced")), "{}", daemon.log());
    let old = fleet.make(2, &[]);
    let mut command = Command::new(support::binary("geolocate"));
    command.env("SOURCE_DATE_EPOCH", "1700000000").args(["sign", "--expires-days", "30", "--secret-key"]);
    succeeded(&command.arg(&fleet.keys.secret).arg(&old).output().unwrap());
    bring(&old, &fleet.index());
    let status = fleet.status(&daemon, |status| status["state"] == "degraded");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("expired at 2023-12-14") && reason.contains("the clock is behind"), "{reason}");
    assert_eq!(fleet.serves(), 1);
}
