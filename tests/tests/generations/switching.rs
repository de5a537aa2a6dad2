//! Generations are activated, rolled back and brought while frames are answered.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::client::Message;
use crate::support::daemon::settings;
use crate::support::fleet::{BASE, Fleet};
use crate::support::generation::{self, bring, sign};
use crate::support::schema::assert_valid;
use crate::support::{geolocate, succeeded, wait_for};

#[test]
fn a_generation_is_activated_and_rolled_back_without_missing_a_frame() {
    let Some(mut fleet) = Fleet::new("a_generation_is_activated_and_rolled_back_without_missing_a_frame") else {
        return;
    };
    fleet.bring(1);
    let mut daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    fleet.bring(2);
    let served: Vec<u64> = std::iter::from_fn(|| Some(fleet.serves())).take_while(|serves| *serves == 1).collect();
    assert!(served.len() < 1000, "never activated: {}", daemon.log());
    let info = fleet.info();
    assert_valid("info", &info);
    assert_eq!(info["index"]["generation"], 2);
    assert_eq!(info["generations"]["previous"], 1);

    let reply = fleet.order("rollback", &json!({"id": "back"}));
    assert_eq!((&reply["ok"], &reply["generation"], &reply["id"]), (&json!(true), &json!(1), &json!("back")));
    assert_eq!(fleet.serves(), 1);
    // What was rolled back by command stays so until it is ordered: also over a restart.
    let (status, _) = daemon.stop();
    assert!(status.success());
    let mut daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    assert_eq!(fleet.order("rollback", &json!({}))["reason"], "no_generation");
    let reply = fleet.order("activate", &json!({"counter": 2}));
    assert_eq!((&reply["ok"], &reply["generation"], &reply["changed"]), (&json!(true), &json!(2), &json!(true)));
    assert_eq!(fleet.serves(), 2);
    let reply = fleet.order("activate", &json!({"counter": 1}));
    assert_eq!(reply["reason"], "generation_refused");
    assert!(reply["message"].as_str().unwrap().contains("expected a counter of at least 2, found 1"), "{reply}");
    assert_eq!(fleet.order("activate", &json!({"counter": 7}))["reason"], "no_generation");
    assert_eq!(fleet.order("activate", &json!({}))["changed"], false);
    assert_eq!(fleet.order("reload", &json!({}))["generation"], 2);
    daemon.stop();
    while let Some(stats) =
        fleet.client.next_within(Duration::from_secs(1), |message| message.topic.ends_with("/stats"))
    {
        let counters = &stats.json()["counters"];
        assert_eq!(counters["frames_received"], counters["frames_answered"], "a frame was missed");
    }
}

#[test]
fn what_is_still_being_copied_is_waited_for() {
    let Some(mut fleet) = Fleet::new("what_is_still_being_copied_is_waited_for") else { return };
    fleet.bring(1);
    let two = fleet.make(2, &[]);
    let daemon = fleet.start("");
    let to = fleet.index().join("gen-2");
    fs::create_dir(&to).unwrap();
    let whole = fs::read(two.join("reference.shard")).unwrap();
    for name in ["manifest.json", "manifest.json.minisig"] {
        fs::copy(two.join(name), to.join(name)).unwrap();
    }
    fs::write(to.join("reference.shard"), &whole[..whole.len() / 2]).unwrap();
    wait_for("the daemon to see it", || daemon.log().contains("not complete yet").then_some(()));
    assert_eq!(fleet.serves(), 1);
    fs::write(to.join("reference.shard"), &whole).unwrap();
    wait_for("the second one to serve", || (fleet.serves() == 2).then_some(()));
    let degraded = |message: &Message| message.topic.ends_with("/status") && message.json()["state"] == "degraded";
    assert!(fleet.client.next_within(Duration::ZERO, degraded).is_none(), "a copy under way is no fault");
}

#[test]
fn a_generation_may_bring_its_model_and_pictures_as_golden_queries() {
    let Some(mut fleet) = Fleet::new("a_generation_may_bring_its_model_and_pictures_as_golden_queries") else { return };
    let folder = fleet.home.path().join("gen-1");
    fs::create_dir(&folder).unwrap();
    generation::copy(fleet.flight.model.parent().unwrap(), &folder.join("model"));
    fs::copy(&fleet.flight.model, folder.join("model/model.toml")).unwrap();
    fs::remove_file(folder.join("model/model_w8.toml")).ok();
    fs::copy(&fleet.shard, folder.join("reference.shard")).unwrap();
    let picture = fleet.flight.images.join(&fleet.flight.files("query")[0]);
    sign(&folder, &fleet.keys, &["--golden", "2", "--golden-pictures", picture.to_str().unwrap()]);
    let checked = geolocate([
        "sign".as_ref(),
        folder.as_os_str(),
        "--check".as_ref(),
        "--key".as_ref(),
        fleet.keys.public.as_os_str(),
    ]);
    assert!(succeeded(&checked).contains("good: generation 1"));
    bring(&folder, &fleet.index());
    let config = generation::settings(fleet.folder.path(), &fleet.broker.url(), &[&fleet.keys], None, "");
    let (daemon, _) = fleet.start_with(&config);
    let fix = fleet.ask();
    assert_eq!(fix["index"]["generation"], 1, "{}", daemon.log());
    assert!(fix["models"]["encoder"].is_string());
    // The next one's model is not as it was signed.
    let next = fleet.home.path().join("gen-2");
    generation::copy(&folder, &next);
    sign(&next, &fleet.keys, &[]);
    let graph = fs::read_dir(next.join("model")).unwrap().map(|entry| entry.unwrap().path());
    let graph = graph.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = fs::read(&graph).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&graph, bytes).unwrap();
    bring(&next, &fleet.index());
    let status = fleet.status(&daemon, |status| status["state"] == "degraded");
    let expected = format!("gen-2/model/{}: expected sha256", graph.file_name().unwrap().to_str().unwrap());
    assert!(status["reason"].as_str().unwrap().contains(&expected), "{status}");
    assert_eq!(fleet.serves(), 1);
}

#[test]
fn plain_shards_are_opened_anew_by_reload_and_a_damaged_one_is_refused() {
    let Some(mut fleet) = Fleet::new("plain_shards_are_opened_anew_by_reload_and_a_damaged_one_is_refused") else {
        return;
    };
    let shard = fleet.folder.path().join("reference.shard");
    fs::copy(&fleet.shard, &shard).unwrap();
    let config = settings(fleet.folder.path(), &fleet.broker.url(), &shard, &fleet.flight.model, "");
    let (daemon, status) = fleet.start_with(&config);
    assert_eq!(status["state"], "online");
    assert_eq!(fleet.order("activate", &json!({}))["reason"], "not_configured");
    assert_eq!(fleet.order("rollback", &json!({}))["reason"], "not_configured");
    let digest = fleet.ask()["index"]["digest"].clone();
    let replace = |bytes: &[u8]| {
        let part = shard.with_extension("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(&part, &shard).unwrap();
    };
    let whole = fs::read(&shard).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    replace(&damaged);
    let reply = fleet.order("reload", &json!({"id": "damaged"}));
    assert_eq!((&reply["ok"], &reply["reason"]), (&json!(false), &json!("index_refused")), "{reply}");
    let status = fleet.status(&daemon, |status| status["state"] == "degraded");
    assert!(status["reason"].as_str().unwrap().contains("what was open before serves"), "{status}");
    assert_eq!(fleet.ask()["index"]["digest"], digest);
    // Another shard: the same with two references more and one less.
    let (other, merged) = (fleet.home.path().join("other"), fleet.home.path().join("merged.shard"));
    fs::create_dir(&other).unwrap();
    let (added, removed) = (fleet.flight.files("query"), fleet.flight.files("reference"));
    let delta = fleet.flight.build_delta(&other, &fleet.shard, &[&added[0], &added[1]], &[&removed[0]]);
    let [merge, out] = ["merge", "--out"].map(AsRef::as_ref);
    succeeded(&geolocate([merge, fleet.shard.as_os_str(), delta.as_os_str(), out, merged.as_os_str()]));
    replace(&fs::read(merged).unwrap());
    let reply = fleet.order("reload", &json!({}));
    assert_eq!((&reply["ok"], &reply["changed"]), (&json!(true), &json!(true)), "{reply}");
    fleet.status(&daemon, |status| status["state"] == "online");
    assert_ne!(fleet.ask()["index"]["digest"], digest);
}

#[test]
fn kills_at_any_moment_leave_a_generation_that_serves() {
    let Some(mut fleet) = Fleet::new("kills_at_any_moment_leave_a_generation_that_serves") else { return };
    fleet.bring(1);
    let mut daemon = fleet.start("");
    assert_eq!(fleet.serves(), 1);
    fleet.bring(2);
    wait_for("the second one to serve", || (fleet.serves() == 2).then_some(()));
    let mut highest = 2;
    for round in 0_u64..12 {
        // Orders that write the pointer, and new generations, with a kill somewhere among them.
        if round % 3 == 0 {
            highest += 1;
            fleet.bring(highest);
        }
        for _ in 0..3 {
            fleet.client.publish(&format!("{BASE}/cmd/rollback"), "");
            fleet.client.publish(&format!("{BASE}/cmd/activate"), json!({"counter": highest}).to_string());
        }
        std::thread::sleep(Duration::from_millis(round * 37 % 220));
        daemon.signal("KILL");
        daemon.wait();
        let state = fleet.state();
        let active = state["active"]["counter"].as_u64().unwrap();
        assert!(active >= 1 && active <= highest, "{state:#}");
        daemon = fleet.start("");
        assert!(fleet.serves() >= 1);
        daemon.assert_running();
    }
    let reply = wait_for("the highest to be active", || {
        fleet.client.publish(&format!("{BASE}/cmd/activate"), json!({"counter": highest, "id": "last"}).to_string());
        let is_last = |message: &Message| message.topic.ends_with("/activate/reply") && message.json()["id"] == "last";
        fleet.client.next_within(Duration::from_secs(2), is_last)
    });
    assert_eq!(reply.json()["ok"], true, "{}", daemon.log());
    assert_eq!(fleet.serves(), highest);
}
