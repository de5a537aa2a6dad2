//! What `geolocate build` keeps of pictures, and what `geolocate inspect --row` shows of it.

use std::fs;

use quantized_models::{DecodeLimits, decode};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{at_angle, caliterra, command, finish, model, npy, plane_shard, run, shared};

#[test]
fn a_thumbnail_is_kept_of_each_picture_and_can_be_taken_out() {
    let Some(shared) = shared("a_thumbnail_is_kept_of_each_picture_and_can_be_taken_out") else { return };
    let (folder, shard) = (TempDir::new().unwrap(), caliterra(&shared));
    let shown = run("inspect", &[&shard, &"--json", &"-"]).expect(0).json();
    assert_eq!(shown["blobs"], json!({"codec": "jpeg", "producer": "geolocate-thumbnail-160"}));
    let jpeg = folder.path().join("first.jpg");
    let row = run("inspect", &[&shard, &"--row", &"0", &"--blob", &jpeg, &"--json", &"-"]).expect(0).json();
    assert_eq!(row["position"], 0);
    assert_eq!(row["blob_bytes"].as_u64().unwrap(), fs::metadata(&jpeg).unwrap().len());
    let name = row["name"].as_str().unwrap();
    let limits = DecodeLimits::default();
    let picture = |path| decode(&fs::read(path).unwrap(), &limits).unwrap();
    let (small, whole) = (picture(jpeg), picture(shared.join("imagery/caliterra/images").join(name)));
    assert_eq!(small.width().max(small.height()), 160);
    assert_eq!(small.width() > small.height(), whole.width() > whole.height());
    let brightness = |image: &quantized_models::RgbImage| {
        image.as_raw().iter().map(|value| f64::from(*value)).sum::<f64>() / image.as_raw().len() as f64
    };
    assert!((brightness(&small) - brightness(&whole)).abs() < 3.0, "the same picture");
}

#[test]
fn the_room_that_thumbnails_take_is_said_before_and_after() {
    let Some(shared) = shared("the_room_that_thumbnails_take_is_said_before_and_after") else { return };
    let (folder, set) = (TempDir::new().unwrap(), shared.join("imagery/caliterra"));
    let out = folder.path().join("a.shard");
    let mut build = command("build");
    build.arg("--images").arg(set.join("images")).arg("--poses").arg(set.join("poses.csv")).arg("--out").arg(&out);
    build.arg("--split").arg(set.join("split.csv")).arg("--encoder").arg(model(&shared)).args(["--json", "-"]);
    let with = finish(&mut build).expect(0);
    let said = with.stderr.lines().find(|line| line.starts_with("thumbnails: about ")).unwrap();
    let megabytes: f64 = said.split_whitespace().nth(5).unwrap().parse().unwrap();
    let bytes = with.json()["blobs"]["bytes"].as_f64().unwrap();
    assert!((megabytes * 1e6 / bytes - 1.0).abs() < 0.3, "{said}, found {bytes}");
    assert!(with.stderr.contains(&format!("{bytes} of them thumbnails")), "{}", with.stderr);
    let without = finish(build.args(["--pictures", "none"])).expect(0);
    assert!(!without.stderr.contains("thumbnails"), "{}", without.stderr);
    assert_eq!(without.json().get("blobs"), None);
    let bare = run("inspect", &[&out, &"--row", &"3", &"--blob", &folder.path().join("b.jpg")]).expect(1);
    assert!(bare.stderr.contains("a.shard") && bare.stderr.contains("has no blob"), "{}", bare.stderr);
}

#[test]
fn vectors_can_have_thumbnails_too() {
    let Some(shared) = shared("vectors_can_have_thumbnails_too") else { return };
    let folder = TempDir::new().unwrap();
    let (vectors, poses) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
    npy(&vectors, &[at_angle(0.0), at_angle(90.0)]);
    fs::write(&poses, "file,lat,lon\nimg_9354.jpg,30,-98\nnone.jpg,30,-98\n").unwrap();
    let mut build = command("build");
    build.arg("--vectors").arg(&vectors).arg("--poses").arg(&poses).args(["--space", "p"]);
    build.arg("--images").arg(shared.join("imagery/caliterra/images")).args(["--pictures", "thumbnails"]);
    let out = folder.path().join("v.shard");
    let built = finish(build.arg("--out").arg(&out)).expect(0);
    assert!(built.stdout.contains("in: 1, left out: 1 (missing_picture x 1)"), "{}", built.stdout);
    let row = run("inspect", &[&out, &"--row", &"0", &"--json", &"-"]).expect(0).json();
    assert!(row["blob_bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn a_reference_is_shown_by_its_position() {
    let folder = TempDir::new().unwrap();
    let (vectors, poses) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
    npy(&vectors, &[at_angle(0.0), at_angle(90.0), at_angle(45.0)]);
    let rows = "file,lat,lon,alt_m,heading_deg,time,source\nsouth,-50,8,,,,\nnorth,50.25,8.5,120,270,2026-05-04T12:30:00Z,flight 7\n\
                east,1,100,,,,\n";
    fs::write(&poses, rows).unwrap();
    let out = folder.path().join("v.shard");
    run("build", &[&"--vectors", &vectors, &"--poses", &poses, &"--space", &"p", &"--out", &out]).expect(0);
    let row = run("inspect", &[&out, &"--row", &"1", &"--json", &"-"]).expect(0).json();
    for (key, value) in [("name", json!("north")), ("source", json!("flight 7")), ("heading_deg", json!(270.0))] {
        assert_eq!(row[key], value, "{row}");
    }
    assert_eq!(row["captured_at"], "2026-05-04T12:30:00.000Z");
    assert!((row["lat"].as_f64().unwrap() - 50.25).abs() < 1e-6);
    assert!(row.as_object().unwrap().values().all(|value| !value.is_null()), "{row}");
    let text = run("inspect", &[&out, &"--row", &"1"]).expect(0).stdout;
    assert!(text.contains("flight 7") && text.contains("1 as given to build"), "{text}");
    let error = run("inspect", &[&out, &"--row", &"3"]).expect(1).stderr;
    assert!(error.contains("v.shard") && error.contains("--row 3"), "{error}");
}

#[test]
fn inspect_says_what_every_section_is_for() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[0.0, 10.0]);
    let shown = run("inspect", &[&shard, &"--json", &"-"]).expect(0).json();
    assert_eq!((&shown["format"], &shown["layout"]["kind"]), (&json!(1), &json!("flat")));
    let sections = shown["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 12);
    for section in sections {
        assert!(!section["purpose"].as_str().unwrap().is_empty(), "{section}");
        let length = section["length"].as_f64().unwrap();
        assert_eq!(section["bytes_per_row"].as_f64().unwrap(), length / 2.0);
    }
}
