//! A comparator beside `build`, `locate` and `evaluate`: vision tokens, figures, pages, and what it cannot look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use index_shards::{BlobDescription, Place, PositionOf, Row, ShardDescription, ShardWriter, WriterOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Run, at_angle, caliterra, command, finish, model, npy, run, shared};

/// A small comparator of random weights.
fn comparator(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../quantized-models/tests/fixtures/narrow-comparator");
    fixtures.join(name).canonicalize().unwrap()
}

fn plain() -> PathBuf {
    comparator("narrow-smolvlm-fp32-plain")
}

/// `evaluate` of the flight's queries with a comparator and a cache of its own, to be given further arguments.
fn evaluate(shared: &Path, shard: &Path, cache: &TempDir) -> Command {
    let set = shared.join("imagery/caliterra");
    let mut evaluate = command("evaluate");
    evaluate.env("XDG_CACHE_HOME", cache.path()).arg("--index").arg(shard).arg("--encoder").arg(model(shared));
    evaluate.arg("--images").arg(set.join("images")).arg("--poses").arg(set.join("poses.csv"));
    evaluate.arg("--split").arg(set.join("split.csv")).args(["--role", "query"]).arg("--comparator").arg(plain());
    evaluate
}

/// Options with which what the comparator says counts.
fn always(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("options.toml");
    fs::write(&path, "gate_nats = 1e9\nprobes = 0\ndoubt = 1e-9\ntop = 4\n").unwrap();
    path
}

#[test]
fn every_strategy_is_held_against_retrieval_alone() {
    let Some(shared) = shared("every_strategy_is_held_against_retrieval_alone") else { return };
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let strategies = "adaptive,knockout,round_robin,bubble,listwise,pointwise_yes_no,pointwise_score";
    let mut evaluate = evaluate(&shared, caliterra(&shared), &cache);
    evaluate.args(["--rerank", strategies, "--max-comparisons", "8", "--json", "-"]);
    let run = finish(evaluate.arg("--rerank-options").arg(always(&folder))).expect(0);
    println!("{}", run.stderr);
    let report = run.json();
    let queries = report["queries"].as_u64().unwrap();
    assert_eq!(report["rerank"]["strategy"], "adaptive");
    assert_eq!(report["rerank"]["recall"], report["recall"], "the figures are those of the first");
    assert_eq!(report["strategies"]["adaptive"], report["rerank"]);
    assert_eq!(report["evaluated"]["comparator"], "narrow-smolvlm-fp32-plain");
    assert!(report["ms"]["rerank"]["p50"].as_f64().unwrap() > 0.0);
    let alone = |rank: &str| report["retrieval_only"]["recall"][rank]["25"].as_f64().unwrap();
    for strategy in strategies.split(',') {
        let figures = &report["strategies"][strategy];
        let count = |key: &str| figures[key].as_u64().unwrap();
        assert!(count("improved") + count("worsened") <= count("changed_top1"), "{figures:#}");
        let ended: u64 = figures["stopped_by"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!((ended, count("queries")), (queries, queries));
        assert!((1.0..=8.0).contains(&figures["comparisons_mean"].as_f64().unwrap()), "{figures:#}");
        let gain = &figures["top1"]["25"];
        let (gained, lost) = (gain["gained"].as_f64().unwrap(), gain["lost"].as_f64().unwrap());
        let difference = gain["difference"].as_f64().unwrap();
        assert!((difference - (gained - lost) / queries as f64).abs() < 1e-12, "{gain}");
        let leader = &figures["leader"]["25"];
        assert!(leader["gained"].as_u64().unwrap() + leader["lost"].as_u64().unwrap() <= queries, "{leader}");
        let after = figures["recall"]["1"]["25"].as_f64().unwrap();
        assert!((after - alone("1") - difference).abs() < 1e-12, "{figures:#}");
        assert!(after <= figures["ceiling"]["25"].as_f64().unwrap() + 1e-12, "{figures:#}");
        let kinds = [figures.get("pairwise").is_some(), figures.get("pointwise").is_some()];
        match strategy {
            "listwise" => assert_eq!(kinds, [false, false]),
            "pointwise_yes_no" | "pointwise_score" => assert_eq!(kinds, [false, true]),
            _ => assert_eq!(kinds, [true, false]),
        }
    }
    let pairs = &report["strategies"]["round_robin"]["pairwise"]["25"];
    assert!((0.0..=1.0).contains(&pairs["accuracy"].as_f64().unwrap()) && pairs["ece"].as_f64().unwrap() <= 1.0);
    let yes_no = &report["strategies"]["pointwise_yes_no"]["pointwise"]["25"];
    assert!(yes_no["auroc"].as_f64().is_some() && yes_no["ece"].as_f64().is_some(), "{yes_no:#}");
    let score = &report["strategies"]["pointwise_score"]["pointwise"]["25"];
    assert!(score["ece"].is_null() && !score["reliability"].as_array().unwrap().is_empty(), "{score:#}");
    assert!(fs::read_dir(cache.path().join("geolocated/tokens")).unwrap().count() > 0, "vision tokens are kept");
}

#[test]
fn a_page_shows_every_comparison() {
    let Some(shared) = shared("a_page_shows_every_comparison") else { return };
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let pages = folder.path().join("pages");
    let page = |strategy: &str| {
        let mut evaluate = evaluate(&shared, caliterra(&shared), &cache);
        evaluate.args(["--rerank", strategy, "--explain", "img_9355.jpg"]).arg("--html").arg(&pages);
        let run = finish(evaluate.arg("--rerank-options").arg(always(&folder))).expect(0);
        assert!(run.stderr.contains("explain-img_9355.jpg.html"), "{}", run.stderr);
        fs::read_to_string(pages.join("explain-img_9355.jpg.html")).unwrap()
    };
    let pairs = page("round_robin");
    assert!(pairs.contains("<h2>Comparisons</h2>") && pairs.contains("narrow-smolvlm-fp32-plain"));
    assert!(pairs.matches("data:image/jpeg;base64,").count() > 20, "all pictures are in it");
    assert!(!pairs.contains("src=\"http"), "nothing is fetched");
    assert!(page("pointwise_yes_no").contains("<h2>Answers</h2>"));
    let mut evaluate = evaluate(&shared, caliterra(&shared), &cache);
    let unknown = finish(evaluate.args(["--explain", "lost.jpg"])).expect(1);
    assert!(unknown.stderr.contains("lost.jpg"), "{}", unknown.stderr);
}

/// Builds a shard of two pictures with what `more` says.
fn build(shared: &Path, out: &Path, more: &[&str]) -> Run {
    let mut build = command("build");
    let poses = out.with_extension("csv");
    fs::write(&poses, "file,lat,lon\nimg_9354.jpg,30.1712,-98.0900\nimg_9374.jpg,30.1812,-98.0900\n").unwrap();
    build.arg("--images").arg(shared.join("imagery/caliterra/images")).arg("--poses").arg(poses);
    finish(build.arg("--encoder").arg(model(shared)).arg("--out").arg(out).args(more))
}

fn locate(shared: &Path, shard: &Path, comparator: &Path) -> Run {
    let cache = TempDir::new().unwrap();
    let options = always(&cache);
    let mut locate = command("locate");
    locate.env("XDG_CACHE_HOME", cache.path()).arg("--index").arg(shard).arg("--encoder").arg(model(shared));
    locate.arg("--comparator").arg(comparator).args(["--rerank", "round_robin"]).arg("--rerank-options").arg(options);
    finish(locate.arg(shared.join("imagery/caliterra/images/img_9355.jpg")))
}

fn was_compared(run: &Run) {
    let rerank = &run.json()["rerank"];
    assert!(rerank["comparisons"].as_u64().unwrap() > 0 && rerank["stopped_by"] == "finished", "{rerank}");
}

#[test]
fn vision_tokens_are_kept_in_the_shard_and_those_of_another_comparator_are_named_and_made_anew() {
    let test = "vision_tokens_are_kept_in_the_shard_and_those_of_another_comparator_are_named_and_made_anew";
    let Some(shared) = shared(test) else { return };
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("tokens.shard");
    let (mine, other) = (plain(), comparator("narrow-smolvlm-independent-fp32-plain"));
    let tokens = ["--pictures", "tokens", "--comparator"];
    let built = build(&shared, &out, &[&tokens[..], &[mine.to_str().unwrap()]].concat()).expect(0);
    assert!(built.stderr.contains("tokens with thumbnails: about "), "{}", built.stderr);
    let shown = run("inspect", &[&out, &"--json", &"-"]).expect(0).json();
    assert_eq!(shown["blobs"]["codec"], "vision-tokens+jpeg");
    assert!(shown["blobs"]["producer"].as_str().unwrap().starts_with("narrow-smolvlm-fp32-plain@"), "{shown}");
    let own = locate(&shared, &out, &mine).expect(0);
    assert!(own.stderr.is_empty(), "{}", own.stderr);
    was_compared(&own);
    let foreign = locate(&shared, &out, &other).expect(0);
    assert!(
        foreign.stderr.contains("tokens.shard") && foreign.stderr.contains("narrow-smolvlm-fp32-plain@"),
        "{}",
        foreign.stderr
    );
    was_compared(&foreign);

    let alone = build(&shared, &out, &["--pictures", "tokens"]).expect(2);
    assert!(alone.stderr.contains("--comparator"), "{}", alone.stderr);
    build(&shared, &out, &["--pictures", "none", "--comparator", mine.to_str().unwrap()]).expect(1);
}

#[test]
fn a_shard_without_pictures_is_named() {
    let Some(shared) = shared("a_shard_without_pictures_is_named") else { return };
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("bare.shard");
    build(&shared, &out, &["--pictures", "none"]).expect(0);
    let refused = locate(&shared, &out, &plain()).expect(1);
    assert!(refused.stderr.contains("bare.shard") && refused.stderr.contains("--pictures"), "{}", refused.stderr);
}

/// A shard of the plane whose thumbnails are no pictures, and a picture.
fn broken_thumbnails(folder: &TempDir) -> PathBuf {
    let out = folder.path().join("broken.shard");
    let blobs = BlobDescription { codec: "jpeg".to_owned(), producer: "test".to_owned() };
    let description = ShardDescription {
        space: "plane".to_owned(),
        dimensions: 2,
        encoder: "test".to_owned(),
        encoder_sha256: None,
        position_of: PositionOf::Camera,
        licence: String::new(),
        attribution: String::new(),
        created_at_ms: 0,
        blobs: Some(blobs),
    };
    let mut writer = ShardWriter::create(&out, description, WriterOptions::default()).unwrap();
    for (name, lat_deg, angle) in [("r0", 50.0, 0.0), ("r1", 51.0, 60.0), ("r2", 52.0, 120.0)] {
        let place = Place::at(lat_deg, 8.0);
        let embedding = at_angle(angle);
        let row = Row { name, place: &place, source: None, embedding: &embedding, blob: Some(b"no picture") };
        writer.push(&row).unwrap();
    }
    writer.finish().unwrap();
    out
}

#[test]
fn thumbnails_that_are_no_pictures_leave_the_retrieved_answer() {
    let Some(shared) = shared("thumbnails_that_are_no_pictures_leave_the_retrieved_answer") else { return };
    let (folder, cache) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (vectors, poses) = (folder.path().join("q.npy"), folder.path().join("q.csv"));
    npy(&vectors, &[at_angle(2.0)]);
    fs::write(&poses, "file,lat,lon\nimg_9355.jpg,50,8\n").unwrap();
    let mut evaluate = command("evaluate");
    evaluate.env("XDG_CACHE_HOME", cache.path()).arg("--index").arg(broken_thumbnails(&folder));
    evaluate.arg("--query-vectors").arg(vectors).arg("--poses").arg(poses).arg("--comparator").arg(plain());
    let without = finish(&mut evaluate).expect(1);
    assert!(without.stderr.contains("--images"), "{}", without.stderr);
    evaluate.arg("--images").arg(shared.join("imagery/caliterra/images"));
    let report = finish(evaluate.arg("--rerank-options").arg(always(&folder)).args(["--json", "-"])).expect(0).json();
    assert_eq!(report["rerank"]["stopped_by"], serde_json::json!({"failed": 1}), "{report:#}");
    assert_eq!((&report["fixes"], &report["rerank"]["changed_top1"]), (&Value::from(1), &Value::from(0)));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let Some(shared) = shared("what_does_not_go_together_is_refused") else { return };
    let cache = TempDir::new().unwrap();
    let refused = |arguments: &[&str], status: i32| {
        finish(evaluate(&shared, caliterra(&shared), &cache).args(arguments)).expect(status).stderr
    };
    assert!(refused(&["--rerank", "best"], 2).contains("pointwise_yes_no"));
    assert!(refused(&["--rerank", "off,adaptive"], 1).contains("off alone"));
    assert!(refused(&["--budget-ms", "100", "--threads", "2"], 1).contains("--threads 1"));
    let off = finish(evaluate(&shared, caliterra(&shared), &cache).args(["--rerank", "off", "--json", "-"])).expect(0);
    assert!(off.json().get("rerank").is_none());
}
