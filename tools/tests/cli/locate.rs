//! `geolocate locate`.

use std::fs;

use geolocated::locate::distance_m;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{caliterra, command, finish, model, plane_shard, run, shared};

#[test]
fn one_object_per_picture_in_the_order_given_whatever_becomes_of_the_others() {
    let Some(shared) = shared("one_object_per_picture_in_the_order_given_whatever_becomes_of_the_others") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let images = shared.join("imagery/caliterra/images");
    let cut = folder.path().join("cut.jpg");
    fs::write(&cut, &fs::read(images.join("img_9355.jpg")).unwrap()[..700]).unwrap();
    let given = [images.join("img_9357.jpg"), cut, folder.path().join("none.jpg"), images.join("img_9355.jpg")];
    let mut locate = command("locate");
    locate.arg("--index").arg(caliterra(&shared)).arg("--encoder").arg(model(&shared)).args(&given);
    let result = finish(&mut locate).expect(1);
    let lines: Vec<Value> = result.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, given.map(|path| path.display().to_string()));
    assert_eq!((lines[1]["status"].as_str(), lines[2]["status"].as_str()), (Some("error"), Some("error")));
    assert!(lines[2]["reason"].as_str().unwrap().starts_with("missing_picture: "), "{}", lines[2]);
    assert!(result.stderr.contains("cut.jpg") && result.stderr.contains("none.jpg"), "{}", result.stderr);
    for line in [&lines[0], &lines[3]] {
        assert_eq!(line["candidates"].as_array().unwrap().len(), 16, "{line}");
        assert_eq!(line["dissimilar"].as_array().unwrap().len(), 16, "{line}");
        assert_eq!(line["models"]["encoder"], "mobilenetv3-small-576-w8");
        assert_ne!(line["status"], "error");
    }
}

#[test]
fn near_limits_the_candidates() {
    let Some(shared) = shared("near_limits_the_candidates") else { return };
    let image = shared.join("imagery/caliterra/images/img_9355.jpg");
    let near = |circle: &str| {
        let result = run(
            "locate",
            &[&"--index", &caliterra(&shared), &"--encoder", &model(&shared), &image, &"--near", &circle],
        );
        result.expect(0).json()
    };
    let few = near("30.17115,-98.08986833,30");
    let found = few["candidates"].as_array().unwrap();
    assert!((1..16).contains(&found.len()), "{few}");
    for candidate in found {
        let (lat, lon) = (candidate["lat"].as_f64().unwrap(), candidate["lon"].as_f64().unwrap());
        assert!(distance_m(30.17115, -98.08986833, lat, lon) < 30.1, "{candidate}");
    }
    let nowhere = near("-30,98,1000");
    assert_eq!((nowhere["status"].as_str(), nowhere["reason"].as_str()), (Some("no_fix"), Some("out_of_coverage")));
}

#[test]
fn an_encoder_of_another_space_is_refused_by_both_names() {
    let Some(shared) = shared("an_encoder_of_another_space_is_refused_by_both_names") else { return };
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0]);
    let image = shared.join("imagery/caliterra/images/img_9355.jpg");
    let result = run("locate", &[&"--index", &shard, &"--encoder", &model(&shared), &image]).expect(1);
    assert!(
        result.stderr.contains("plane") && result.stderr.contains("mobilenetv3-small-576-w8@"),
        "{}",
        result.stderr
    );
    assert_eq!(result.stderr.lines().count(), 1, "{}", result.stderr);
}
