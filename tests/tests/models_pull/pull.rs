//! `geolocate models pull`, and `list`, `info` and `verify` of what it pulled.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::hub::{COMMIT, Hub, REPO, Run, file, names};
use crate::server::Deed;
use crate::support::wait_for;
use crate::{content, sha256};

const OTHER: &str = "1111111111111111111111111111111111111111";
/// What is pulled of a vision model, beside the record.
const USUAL: [&str; 5] = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json", "pulled.toml"];

#[test]
fn a_vision_model_is_pulled_at_one_commit_listed_described_and_verified() {
    let hub = Hub::new(300_000);
    let pulled = hub.pull(&["--json", "-"], 0);
    assert_eq!(names(&hub.model()), USUAL);
    assert_eq!(hub.names(), ["models.lock", "vision"]);
    let json = pulled.json();
    assert_eq!((json["commit"].as_str(), json["already_there"].as_bool()), (Some(COMMIT), Some(false)));
    assert_eq!(json["fetched_bytes"], json["bytes"]);
    let files = json["files"].as_array().unwrap();
    let weights = files.iter().find(|file| file["path"] == "model.safetensors").unwrap();
    assert_eq!(
        (weights["sha256"].as_str(), weights["digest_from"].as_str()),
        (Some(&*sha256(&content(300_000))), Some("listing"))
    );
    assert!(files.iter().any(|file| file["path"] == "config.json" && file["digest_from"] == "first_pull"));
    assert!(pulled.stderr.contains("recorded in models.lock"), "{}", pulled.stderr);
    assert_eq!(hub.server.requests("/api/")[0].path, format!("/api/models/{REPO}/revision/main?blobs=true"));

    let list = Run::of(&mut hub.command(["list", "--json", "-"]), 0).json();
    let model = |name: &str| list["models"].as_array().unwrap().iter().find(|model| model["name"] == name).cloned();
    assert_eq!(model("vision").unwrap()["state"], "pulled");
    assert_eq!(model("siglip-base-patch16-224").unwrap()["state"], "available");
    let info = Run::of(&mut hub.command(["info", "vision"]), 0).stdout;
    assert!(info.contains(COMMIT) && info.contains("apache-2.0"), "{info}");
    Run::of(&mut hub.command(["verify", "vision"]), 0);
    fs::write(hub.model().join("config.json"), "{}").unwrap();
    let damaged = Run::of(&mut hub.command(["verify", "vision"]), 3);
    assert!(damaged.stderr.contains("config.json: expected sha256"), "{}", damaged.stderr);
    Run::of(&mut hub.command(["verify", "no-such-model"]), 1);
}

#[test]
fn what_is_there_is_not_asked_for_again_and_what_is_damaged_is() {
    let hub = Hub::new(1000);
    hub.pull(&[], 0);
    let asked = hub.server.requests("/").len();
    let again = hub.pull(&[], 0);
    assert!(again.stdout.contains("already there"), "{}", again.stdout);
    Run::of(hub.command(["pull", REPO]).env("HF_HUB_OFFLINE", "1"), 0);
    assert_eq!(hub.server.requests("/").len(), asked);
    fs::write(hub.model().join("model.safetensors"), "x").unwrap();
    let offline = Run::of(hub.command(["pull", REPO]).env("HF_HUB_OFFLINE", "1"), 1);
    assert!(offline.stderr.contains("HF_HUB_OFFLINE"), "{}", offline.stderr);
    assert_eq!(hub.server.requests("/").len(), asked);
    hub.pull(&[], 0);
    assert_eq!(fs::read(hub.model().join("model.safetensors")).unwrap(), content(1000));
    assert_eq!(hub.names(), ["models.lock", "vision"]);
}

#[test]
fn a_pull_that_is_killed_goes_on_where_it_was_and_shows_no_half_model() {
    let hub = Hub::new(20 << 20);
    let weights = file(COMMIT, "model.safetensors");
    hub.server.misbehave(&weights, &[Deed::Stall(19 << 20, Duration::from_secs(60))]);
    let mut pull = hub.command(["pull", REPO]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let staging = hub.folder.path().join(format!(".vision.{}.pulling", &COMMIT[..12]));
    let durable_bytes = wait_for("16 MiB to be safe on the disk", || {
        let note: toml::Table = fs::read_to_string(staging.join("model.safetensors.part.toml")).ok()?.parse().ok()?;
        note["durable_bytes"].as_integer().filter(|bytes| *bytes >= 16 << 20)
    });
    let list = Run::of(&mut hub.command(["list"]), 0).stdout;
    assert!(list.lines().any(|line| line.starts_with("vision ") && line.contains("unfinished")), "{list}");
    let second = hub.pull(&[], 1);
    assert!(second.stderr.contains("another process"), "{}", second.stderr);
    pull.kill().unwrap();
    pull.wait().unwrap();
    assert!(!hub.model().exists());
    let resumed = hub.pull(&["--json", "-"], 0).json();
    assert!(resumed["resumed_bytes"].as_i64().unwrap() >= durable_bytes, "{resumed}");
    let range = format!("bytes={durable_bytes}-");
    assert_eq!(hub.server.requests(&weights).last().unwrap().header("range"), Some(&*range));
    assert_eq!(fs::read(hub.model().join("model.safetensors")).unwrap(), content(20 << 20));
    assert_eq!(names(&hub.model()), USUAL);
    assert_eq!(hub.names(), ["models.lock", "vision"]);
}

#[test]
fn a_server_that_misbehaves_is_endured_or_named() {
    let hub = Hub::new(300_000);
    let weights = file(COMMIT, "model.safetensors");
    let list = format!("/api/models/{REPO}/revision/main");
    hub.server.misbehave(&list, &[Deed::Status(429, "Retry-After: 1\r\n"), Deed::Cut(20)]);
    hub.server.misbehave(&weights, &[Deed::Cut(100_000), Deed::Status(503, ""), Deed::IgnoreRange]);
    hub.pull(&[], 0);
    assert_eq!(fs::read(hub.model().join("model.safetensors")).unwrap(), content(300_000));
    for (path, deed, part) in [
        (&weights, Deed::Falsify, "expected sha256"),
        (&weights, Deed::Status(404, ""), "there is no such model, revision or file"),
        (&weights, Deed::Announce(7), "expected 300000 bytes, found 7"),
        (&list, Deed::Status(401, ""), "set HF_TOKEN"),
        (&list, Deed::Status(404, ""), "there is no such model, revision or file"),
    ] {
        let hub = Hub::new(300_000);
        hub.server.misbehave(path, &[deed]);
        let run = hub.pull(&[], 1);
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        assert!(!hub.model().exists());
        hub.pull(&[], 0);
    }
}

#[test]
fn lists_that_lead_out_of_the_folder_are_refused() {
    for path in ["../../escaped.json", "/tmp/escaped.json", "a/../../escaped.json", "..\\escaped.json"] {
        let hub = Hub::new(10);
        let files = ["config.json", "model.safetensors", path].map(|path| json!({"rfilename": path, "size": 1}));
        hub.list(COMMIT, &json!({"sha": COMMIT, "siblings": files}));
        let run = hub.pull(&["--file", "*"], 1);
        assert!(run.stderr.contains("inside the repository"), "{}", run.stderr);
        assert_eq!(hub.names(), Vec::<String>::new());
    }
    let hub = Hub::new(10);
    hub.list("../../main", &json!({"sha": "../../main", "siblings": []}));
    assert!(hub.pull(&[], 1).stderr.contains("expected the name of a commit"));
    for bad in ["../main", "a?b", ""] {
        hub.pull(&["--revision", bad], 1);
    }
    Run::of(&mut hub.command(["pull", "no-such-name"]), 1);
}

#[test]
fn what_was_first_pulled_is_what_later_pulls_get() {
    let hub = Hub::new(1000);
    hub.pull(&[], 0);
    // `main` has moved: another folder of the same models still gets the commit of the first pull.
    let newer = [("config.json", b"{\"a\": 1}".to_vec()), ("model.safetensors", content(2000))];
    hub.publish(OTHER, &newer);
    let out = |name: &str| hub.folder.path().join(name).display().to_string();
    let second = hub.pull(&["--out", &out("second"), "--json", "-"], 0).json();
    assert_eq!(second["commit"], COMMIT);
    assert!(second["files"].as_array().unwrap().iter().all(|file| file["digest_from"] == "lock"), "{second}");
    // The same commit with other bytes, of a file that the list has no digest of.
    hub.server.put(&file(COMMIT, "config.json"), b"{\"model_type\": \"SIGLIP\"}");
    let refused = hub.pull(&["--out", &out("third")], 1);
    assert!(refused.stderr.contains("models.lock") && refused.stderr.contains("--accept-new"), "{}", refused.stderr);
    assert!(!hub.folder.path().join("third").exists());
    // The commit is gone from the server.
    hub.server.misbehave(&format!("/api/models/{REPO}/revision/{COMMIT}"), &vec![Deed::Status(404, ""); 9]);
    let gone = hub.pull(&["--out", &out("fourth")], 1);
    assert!(gone.stderr.contains(COMMIT) && gone.stderr.contains("--accept-new"), "{}", gone.stderr);
    let accepted = hub.pull(&["--accept-new", "--json", "-"], 0).json();
    assert_eq!(accepted["commit"], OTHER);
    assert_eq!(fs::read(hub.model().join("model.safetensors")).unwrap(), content(2000));
    assert!(!hub.model().join("README.md").exists(), "the folder was replaced as a whole");
    let lock = fs::read_to_string(hub.folder.path().join("models.lock")).unwrap();
    assert!(lock.contains(OTHER) && !lock.contains(COMMIT), "{lock}");
    fs::write(hub.folder.path().join("models.lock"), "?").unwrap();
    fs::remove_dir_all(hub.model()).unwrap();
    assert!(hub.pull(&[], 1).stderr.contains("models.lock"));
}

#[test]
fn other_files_revisions_and_folders_can_be_chosen() {
    let hub = Hub::new(1000);
    hub.server.put(&format!("/api/models/{REPO}/revision/refs%2Fpr%2F1"), &{
        let files = [json!({"rfilename": "onnx/vision model.onnx", "size": 5})];
        json!({"sha": OTHER, "siblings": files}).to_string().into_bytes()
    });
    hub.server.put(&file(OTHER, "onnx/vision%20model.onnx"), b"graph");
    let out = hub.folder.path().join("deep/chosen").display().to_string();
    hub.pull(&["--revision", "refs/pr/1", "--file", "*.onnx", "--out", &out], 0);
    assert_eq!(fs::read(format!("{out}/onnx/vision model.onnx")).unwrap(), b"graph");
    assert!(fs::exists(hub.folder.path().join("deep/models.lock")).unwrap());
    let none = hub.pull(&["--file", "*.gguf"], 1);
    assert!(none.stderr.contains("fits none of .gitattributes, README.md"), "{}", none.stderr);
    // What is there and was not pulled is left alone.
    fs::create_dir(hub.model()).unwrap();
    fs::write(hub.model().join("mine"), "x").unwrap();
    for arguments in [&[][..], &["--accept-new"]] {
        assert!(hub.pull(arguments, 1).stderr.contains("something else than a pulled model"));
    }
    assert_eq!(names(&hub.model()), ["mine"]);
}

#[test]
fn a_page_that_asks_to_log_in_is_not_taken_for_a_file() {
    let hub = Hub::new(1000);
    let page = b"<html>log in</html>     ".to_vec();
    hub.publish(COMMIT, &[("config.json", page), ("model.safetensors", content(1000))]);
    let run = hub.pull(&[], 1);
    assert!(run.stderr.contains("config.json: expected JSON"), "{}", run.stderr);
    assert!(!hub.model().exists());
}

#[test]
fn weights_in_parts_come_with_their_index() {
    let hub = Hub::new(10);
    let parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = |second: &str| json!({"weight_map": {"a": parts[0], "b": second}}).to_string().into_bytes();
    let files = |second: &str| {
        vec![
            ("config.json", b"{}".to_vec()),
            (parts[0], content(100)),
            (parts[1], content(200)),
            ("model.safetensors.index.json", index(second)),
        ]
    };
    hub.publish(COMMIT, &files("../model.safetensors"));
    assert!(hub.pull(&[], 1).stderr.contains("not among the pulled files"));
    hub.publish(OTHER, &files(parts[1]));
    hub.pull(&[], 0);
    assert_eq!(names(&hub.model()).len(), 5);
}

#[test]
fn a_token_of_the_environment_opens_its_server_only() {
    let hub = Hub::new(1000);
    let cdn = crate::server::Server::start();
    let weights = file(COMMIT, "model.safetensors");
    cdn.put(&weights, &content(1000));
    hub.server.misbehave(&weights, &[Deed::Redirect(cdn.url("{path}"))]);
    Run::of(hub.command(["pull", REPO]).env("HUGGING_FACE_HUB_TOKEN", "hf_secret"), 0);
    assert!(hub.server.requests("/").iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
    assert_eq!(cdn.requests("/").len(), 1);
    assert!(cdn.requests("/").iter().all(|request| request.header("authorization").is_none()));
    let bad = Run::of(hub.command(["pull", REPO, "--accept-new"]).env("HF_TOKEN", "two words"), 0);
    assert!(bad.stderr.contains("HF_TOKEN is not used") && !bad.stderr.contains("two words"), "{}", bad.stderr);
    let wrong = Run::of(hub.command(["pull", "org/other"]).env("HF_ENDPOINT", "huggingface.co"), 1);
    assert!(wrong.stderr.contains("HF_ENDPOINT: expected"), "{}", wrong.stderr);
}
