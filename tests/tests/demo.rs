//! The demo as a newcomer runs it, on a tiny world: real broker, real daemon, and what it leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use support::{binary, geolocate, succeeded};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// An encoder of random weights: what it finds is by chance, all else is as ever.
fn encoder() -> PathBuf {
    project("quantized-models/tests/fixtures/narrow/narrow-siglip-fp32")
}

/// Runs the demo into a folder; what it said, and its summary.
fn demo(out: &Path, arguments: &str) -> (String, Value) {
    let json = out.with_extension("json");
    let mut command = Command::new(binary("geolocate"));
    command.arg("demo").args(arguments.split_whitespace()).arg("--out").arg(out).arg("--json").arg(&json);
    let said = succeeded(&command.output().unwrap());
    (said, serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap())
}

fn number(summary: &Value, path: &str) -> u64 {
    summary.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// Occurrences of a text.
fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

/// What must hold of every page: it is whole, asks nobody for anything, and shows each frame.
fn check_page(out: &Path, frames: usize) -> String {
    let page = std::fs::read_to_string(out.join("demo.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for outside in ["http://", "https://", "src=\"/", "url(", "@import", "<link"] {
        assert!(!page.contains(outside), "the page asks for something: {outside}");
    }
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    assert_eq!(count(&page, "<article class=\"card "), frames);
    assert_eq!(count(&page, "<a class=\"mark "), frames);
    for frame in [1, frames] {
        assert!(page.contains(&format!("id=\"frame-{frame}\"")) && page.contains(&format!("href=\"#frame-{frame}\"")));
    }
    for shape in ["disc", "square", "diamond", "cross", "ring", "box", "dot"] {
        assert_eq!(count(&page, &format!("id=\"s-{shape}\"")), 1);
    }
    let picture = std::fs::read(out.join("demo.jpg")).unwrap();
    let picture = quantized_models::decode(&picture, &quantized_models::DecodeLimits::default()).unwrap();
    assert!(picture.width() > 1000 && picture.height() > 200, "{:?}", picture.dimensions());
    page
}

#[test]
fn a_drone_is_flown_over_a_world_and_each_frame_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let encoder = encoder();
    let options = format!("--seed 1506 --size-m 200 --frames 12 --rate-hz 20 --encoder {}", encoder.display());
    let (said, summary) = demo(&out, &options);
    assert_eq!((number(&summary, "/frames"), number(&summary, "/references")), (36, 16));
    // What is flown is a function of the seed; every frame counts in one place.
    let placed = ["/queries", "/outside/frames", "/bad/frames", "/border"].map(|path| number(&summary, path));
    assert_eq!(placed, [26, 3, 4, 3], "one flight leaves the map, some frames are bad: {summary}");
    let answers = ["/fixes", "/ambiguous", "/no_fix", "/errors", "/unanswered"].map(|path| number(&summary, path));
    assert_eq!(answers.iter().sum::<u64>(), number(&summary, "/queries"), "{summary}");
    assert!(summary["recall_at_1"].as_f64().is_some_and(|recall| (0.0..=1.0).contains(&recall)));
    assert!(summary["ms"]["embed"]["median"].as_f64().is_some_and(|ms| ms > 0.0), "{summary}");
    let answered = 36 - number(&summary, "/replaced");
    let fixes = std::fs::read_to_string(out.join("fixes.ndjson")).unwrap();
    let fixes: Vec<Value> = fixes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for fix in &fixes {
        assert!(fix["captured_at"].is_string(), "the drone says when a frame was taken: {fix}");
    }
    let (revisions, first): (Vec<&Value>, Vec<&Value>) = fixes.iter().partition(|fix| fix["revises"].is_string());
    assert_eq!(first.len() as u64, answered, "one answer for each frame but those replaced");
    assert!(revisions.iter().all(|fix| fix["models"]["comparator"] == "vlm-mini"), "{revisions:?}");
    assert!(said.contains("flight_002_0011.jpg") && said.contains("Recall@1 within 80 m"), "{said}");
    let page = check_page(&out, 36);
    assert_eq!((count(&page, "<image "), count(&page, "class=\"edge-of-map\"")), (1, 1));
    assert!(page.contains("World 1506") && page.contains("class=\"rank-1 "));
    // The same again into the same folder, which replaces what is there.
    let (_, again) = demo(&out, &format!("{options} --setting easy"));
    assert_eq!(number(&again, "/frames"), 36);
}

#[test]
fn the_built_in_encoder_finds_places_in_a_town_that_it_never_saw() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let (_, summary) = demo(&out, "--seed 1506 --size-m 480 --frames 12 --rate-hz 10");
    // A hundred tiles; colours alone find a quarter of the places.
    let recall = summary["recall_at_1"].as_f64().unwrap();
    assert!(recall >= 0.5, "{summary}");
}

#[test]
fn the_flight_of_a_demo_can_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let encoder = encoder();
    demo(&out, &format!("--seed 1502 --size-m 160 --frames 2 --rate-hz 50 --encoder {}", encoder.display()));
    let flights = out.join("flights");
    let arguments: [(&str, PathBuf); 4] = [
        ("--index", out.join("reference.shard")),
        ("--encoder", encoder),
        ("--images", flights.join("images")),
        ("--poses", flights.join("poses.csv")),
    ];
    let words = arguments.into_iter().flat_map(|(flag, path)| [flag.into(), path.into_os_string()]);
    succeeded(&geolocate(std::iter::once("evaluate".into()).chain(words)));
}

#[test]
fn photos_are_held_out_and_located() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    let fly = "world fly --seed 1503 --size-m 200 --px 64 --flights 1 --frames 9 --leaving 0 --bad 0 --unlike little";
    let out = ["--out".into(), photos.clone().into_os_string()];
    succeeded(&geolocate(fly.split_whitespace().map(Into::into).chain(out)));
    let out = folder.path().join("demo");
    let (images, poses, encoder) = (photos.join("images"), photos.join("poses.csv"), encoder());
    let options = format!("--photos {} --poses {} --encoder {}", images.display(), poses.display(), encoder.display());
    let (said, summary) = demo(&out, &options);
    assert!(said.contains("9 photos: 6 references, 3 queries"), "{said}");
    assert_eq!((number(&summary, "/frames"), number(&summary, "/replaced")), (3, 0));
    assert_eq!(summary["right_within_m"], 25.0);
    let page = check_page(&out, 3);
    assert_eq!(count(&page, "<image "), 0, "there is no picture of the ground");
}

#[test]
fn what_does_not_fit_together_is_said() {
    for (arguments, part) in [
        ("demo --setting cross_view --encoder /", "has no flights"),
        ("demo --seed 999", "999"),
        ("demo --photos a", "--encoder"),
        ("demo --photos a --encoder b --seed 1500", "--seed"),
        ("demo --size-m 5", "160"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary("geolocate"));
        let output = command.args(arguments.split_whitespace()).arg("--out").arg(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{arguments}: {said}");
    }
}

#[test]
fn the_built_in_models_are_those_of_the_repository() {
    let cache = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary("geolocate"));
        command.args(arguments).env("XDG_CACHE_HOME", cache.path()).env("GEOLOCATED_MODELS", cache.path().join("none"));
        command.output().unwrap()
    };
    for (name, golden) in [("mini", "golden vectors reproduced"), ("vlm-mini", "golden margins reproduced")] {
        let verified = succeeded(&run(&["models", "verify", name]));
        assert!(verified.contains(golden), "{verified}");
    }
    let listed = succeeded(&run(&["models", "list", "--json", "-"]));
    assert_eq!(count(&listed, "\"built-in\""), 2, "{listed}");
    assert_eq!(std::fs::read_dir(cache.path().join("geolocated/models")).unwrap().count(), 2);
}
