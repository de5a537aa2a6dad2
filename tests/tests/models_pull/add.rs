//! `geolocate models add`, `verify` and `info` of ready models, and pulling such a one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::hub::{COMMIT, Hub, Run, file, names};
use crate::server::Deed;
use crate::support::shared::shared;

/// A real, small encoder as a model folder, with the manifest under its usual name.
fn encoder(folder: &Path, test: &str) -> Option<PathBuf> {
    let from = shared(test)?.join("encoders/mobilenetv3_small_576");
    let to = folder.join("encoder");
    fs::create_dir_all(to.join("golden")).unwrap();
    for (source, target) in [("model_w8.toml", "model.toml"), ("model_b1_l2_w8.onnx", "model_b1_l2_w8.onnx")] {
        fs::copy(from.join(source), to.join(target)).unwrap();
    }
    for entry in fs::read_dir(from.join("golden")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join("golden").join(path.file_name().unwrap())).unwrap();
    }
    fs::write(to.join("LICENSE"), "BSD").unwrap();
    fs::write(to.join("notes.txt"), "not part of it").unwrap();
    Some(to)
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_model_is_added_checked_described_and_verified() {
    let hub = Hub::new(10);
    let elsewhere = tempfile::tempdir().unwrap();
    let Some(model) = encoder(elsewhere.path(), "a_model_is_added_checked_described_and_verified") else { return };
    let path = model.display().to_string();
    let added = Run::of(&mut hub.command(["add", &path, "--json", "-"]), 0).json();
    let name = added["name"].as_str().unwrap().to_owned();
    assert_eq!(name, "mobilenetv3-small-576-w8");
    let inside = hub.folder.path().join(&name);
    assert_eq!(names(&inside), ["LICENSE", "golden", "model.toml", "model_b1_l2_w8.onnx"]);
    assert!(Run::of(&mut hub.command(["add", &path]), 1).stderr.contains("--replace"));
    Run::of(&mut hub.command(["add", &path, "--replace"]), 0);
    let good = Run::of(&mut hub.command(["verify", &name]), 0);
    assert!(good.stdout.contains("golden vectors reproduced by "), "{}", good.stdout);
    let info = Run::of(&mut hub.command(["info", &name, "--json", "-"]), 0).json();
    assert_eq!((info["state"].as_str(), info["model"]["dimensions"].as_u64()), (Some("ready"), Some(576)));
    flip(&inside.join("model_b1_l2_w8.onnx"));
    let damaged = Run::of(&mut hub.command(["verify", &name, "--json", "-"]), 3);
    assert_eq!(damaged.json()[0]["damaged"], true);
    fs::remove_file(inside.join("golden/frame_a.jpg")).unwrap();
    assert!(Run::of(&mut hub.command(["verify", &name]), 3).stderr.contains("frame_a.jpg: missing"));
    // A damaged model is not taken in.
    flip(&model.join("model_b1_l2_w8.onnx"));
    assert!(Run::of(&mut hub.command(["add", &path, "--name", "other"]), 1).stderr.contains("expected sha256"));
    assert!(!hub.folder.path().join("other").exists());
}

#[test]
fn a_model_can_be_linked_and_a_link_out_of_it_is_not_followed() {
    let hub = Hub::new(10);
    let elsewhere = tempfile::tempdir().unwrap();
    let test = "a_model_can_be_linked_and_a_link_out_of_it_is_not_followed";
    let Some(model) = encoder(elsewhere.path(), test) else { return };
    let path = model.display().to_string();
    Run::of(&mut hub.command(["add", &path, "--link", "--name", "linked"]), 0);
    assert!(hub.folder.path().join("linked").symlink_metadata().unwrap().is_symlink());
    Run::of(&mut hub.command(["verify", "linked"]), 0);
    let list = Run::of(&mut hub.command(["list"]), 0).stdout;
    assert!(list.contains("linked") && list.contains("ready"), "{list}");
    let outside = elsewhere.path().join("outside.onnx");
    fs::rename(model.join("model_b1_l2_w8.onnx"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, model.join("model_b1_l2_w8.onnx")).unwrap();
    let refused = Run::of(&mut hub.command(["add", &path, "--name", "other"]), 1);
    assert!(refused.stderr.contains("found a link to"), "{}", refused.stderr);
}

#[test]
fn a_ready_model_is_pulled_whole_and_refused_when_its_manifest_does_not_fit() {
    let hub = Hub::new(10);
    let elsewhere = tempfile::tempdir().unwrap();
    let test = "a_ready_model_is_pulled_whole_and_refused_when_its_manifest_does_not_fit";
    let Some(model) = encoder(elsewhere.path(), test) else { return };
    let mut paths: Vec<String> = names(&model.join("golden")).iter().map(|name| format!("golden/{name}")).collect();
    paths.extend(["model.toml", "model_b1_l2_w8.onnx"].map(str::to_owned));
    let files = paths.iter().map(|path| json!({"rfilename": path})).collect::<Vec<_>>();
    for path in &paths {
        hub.server.put(&file(COMMIT, path), &fs::read(model.join(path)).unwrap());
    }
    hub.list(COMMIT, &json!({"sha": COMMIT, "siblings": files}));
    // Nobody has told its digest but its own manifest.
    hub.server.misbehave(&file(COMMIT, "model_b1_l2_w8.onnx"), &[Deed::Falsify]);
    assert!(hub.pull(&[], 1).stderr.contains("model_b1_l2_w8.onnx: expected sha256"));
    assert!(!hub.model().exists());
    hub.pull(&[], 0);
    Run::of(&mut hub.command(["verify", "vision"]), 0);
    let info = Run::of(&mut hub.command(["info", "vision"]), 0).stdout;
    assert!(info.contains("ready") && info.contains(COMMIT), "{info}");
}

/// The narrow comparator with random weights that both runtimes run.
#[test]
fn a_comparator_is_added_described_verified_and_measured() {
    let hub = Hub::new(10);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../quantized-models/tests/fixtures/narrow-comparator");
    let path = fixtures.join("narrow-smolvlm-fp32-plain").display().to_string();
    let added = Run::of(&mut hub.command(["add", &path, "--json", "-"]), 0).json();
    let name = added["name"].as_str().unwrap().to_owned();
    assert_eq!((name.as_str(), added.get("space")), ("narrow-smolvlm-fp32-plain", None));
    let good = Run::of(&mut hub.command(["verify", &name]), 0);
    assert!(good.stdout.contains("golden margins reproduced by "), "{}", good.stdout);
    let info = Run::of(&mut hub.command(["info", &name, "--json", "-"]), 0).json();
    assert_eq!((&info["model"]["kind"], &info["model"]["tokens"]), (&json!("comparator"), &json!([4, 32])));
    assert_eq!(info["model"]["questions"], json!(["pair", "yes_no", "score", "list"]));
    let list = Run::of(&mut hub.command(["list", "--json", "-"]), 0).json();
    let listed = list["models"].as_array().unwrap().iter().find(|model| model["name"] == name.as_str()).unwrap();
    assert_eq!((&listed["state"], &listed["kind"]), (&json!("ready"), &json!("comparator")));
    let mut bench = hub.command(["bench", &name, "--runtime", "tract", "--rounds", "2", "--json", "-"]);
    let measured = Run::of(&mut bench, 0).json();
    let row = &measured["comparators"][0];
    for step in ["see_cpu_ms", "prefix_cpu_ms", "first_cpu_ms", "pair_cpu_ms", "suffix_cpu_ms"] {
        assert!(row[step]["p50"].as_f64().is_some_and(|ms| ms >= 0.0), "{step}: {row}");
    }
    flip(&hub.folder.path().join(&name).join("tokenizer.json"));
    let damaged = Run::of(&mut hub.command(["verify", &name]), 3);
    assert!(damaged.stderr.contains("tokenizer.json: expected sha256"), "{}", damaged.stderr);
}
