//! A generator whose model runs here: a narrow one of random weights, whose answers name no place.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::World;

/// A model that can write, or one that can only compare.
fn folder(kind: &str, name: &str) -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../quantized-models/tests/fixtures");
    fixtures.join(kind).join(name).canonicalize().unwrap().into_os_string().into_string().unwrap()
}

fn writer() -> String {
    folder("narrow-generator", "narrow-smolvlm-long-fp32")
}

/// Whether ONNX Runtime lies beside the tool. Says which test is skipped where it does not.
fn has_onnxruntime(test: &str) -> bool {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_geolocate"));
    let mut entries = fs::read_dir(beside.parent().unwrap()).unwrap().filter_map(|entry| Some(entry.ok()?.file_name()));
    if std::env::var_os("GEOLOCATED_ONNXRUNTIME").is_some()
        || entries.any(|name| name.to_string_lossy().starts_with("libonnxruntime.so"))
    {
        return true;
    }
    assert_ne!(std::env::var("GEOLOCATED_REQUIRE_ONNXRUNTIME").as_deref(), Ok("1"), "ONNX Runtime is required");
    println!("skipped {test}: ONNX Runtime is not there; `make onnxruntime` fetches it");
    false
}

/// Few coordinates: every letter of the question is a token of the narrow model.
const SHORT: [&str; 6] = ["--prompt-similar", "2", "--prompt-dissimilar", "1", "--answer-tokens", "24"];

/// Texts of all kept answers, in the order of their names, which the questions decide.
fn kept(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for below in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(below.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let answer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            all.push((path.file_name().unwrap().to_owned(), answer["text"].as_str().unwrap().to_owned()));
        }
    }
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn what_a_model_here_writes_is_read_as_strictly_and_kept() {
    if !has_onnxruntime("what_a_model_here_writes_is_read_as_strictly_and_kept") {
        return;
    }
    let world = World::new();
    let generator = ["--generator", &writer()];
    let report = world.run("rag", &generator, &SHORT).expect(0).json();
    let (system, rag) = (&report["system"], &report["system"]["rag"]);
    let name = system["generator"].as_str().unwrap();
    assert!(name.starts_with("narrow-smolvlm-long-fp32@") && name.len() == 25 + 12, "{name}");
    let unanswered: u64 = rag["no_answer"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!((&rag["queries"], &rag["answered"], unanswered), (&3.into(), &0.into(), 3), "{rag}");
    assert_eq!((&report["fixes"], &report["errors"]), (&0.into(), &0.into()), "no answer is no place, and no error");
    let tokens = &rag["tokens"];
    assert!(tokens["question"].as_u64().unwrap() > 600 && tokens["answer"].as_u64().unwrap() > 0, "{tokens}");
    assert_eq!((&tokens["written"], &tokens["cached"]), (&3.into(), &0.into()));
    let again = world.run("rag", &generator, &SHORT).expect(0).json();
    assert_eq!(again["system"]["rag"]["tokens"]["cached"], 3);
    // Drawn answers are those of their number, whatever ran before and at the same time.
    let drawn = |name: &str, concurrency: &str| {
        let answers = world.folder.path().join(name);
        let more = ["--runs", "3", "--temperature", "1.2", "--concurrency", concurrency];
        let more: Vec<&str> = SHORT.into_iter().chain(more).collect();
        // The last of two of the same flag would be refused, so the folder is moved.
        fs::rename(world.folder.path().join("answers"), world.folder.path().join(format!("{name}-before"))).unwrap();
        world.run("rag", &generator, &more).expect(0);
        fs::rename(world.folder.path().join("answers"), &answers).unwrap();
        fs::create_dir(world.folder.path().join("answers")).unwrap();
        kept(&answers)
    };
    let (one, other) = (drawn("one", "1"), drawn("other", "2"));
    assert_eq!((one.len(), &one), (9, &other));
    let different: std::collections::BTreeSet<&String> = one.iter().collect();
    assert!(different.len() > 6, "{one:?}");
}

#[test]
fn a_question_that_does_not_fit_costs_its_query_alone() {
    if !has_onnxruntime("a_question_that_does_not_fit_costs_its_query_alone") {
        return;
    }
    let world = World::new();
    let more = ["--prompt-similar", "2", "--prompt-dissimilar", "1", "--answer-tokens", "2040"];
    let run = world.run("rag", &["--generator", &writer()], &more).expect(0);
    let report = run.json();
    assert_eq!((&report["errors"], &report["system"]["rag"]["no_answer"]["declined"]), (&3.into(), &3.into()));
    assert!(run.stderr.contains("generate.context: expected a question of at most 8 tokens"), "{}", run.stderr);
}

#[test]
fn the_model_before_fine_tuning_is_another_folder() {
    if !has_onnxruntime("the_model_before_fine_tuning_is_another_folder") {
        return;
    }
    let world = World::new();
    let base = writer();
    let more = ["--base-model", &base, "--runs", "2", "--answer-tokens", "8"];
    let sft = &world.run("sft", &["--generator", &writer()], &more).expect(0).json()["system"]["sft"];
    let rows: Vec<&str> = sft["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(&rows[..2], ["base", "sft"]);
    assert!(sft["tokens"]["answer"].as_u64().unwrap() > 0, "{sft}");
}

#[test]
fn folders_that_cannot_write_are_named_before_anything_runs() {
    let world = World::new();
    let (comparator, writer) = (folder("narrow-comparator", "narrow-smolvlm-fp32"), writer());
    for (generator, more, said) in [
        (comparator.as_str(), vec![], "graphs.decoder.logits_rows: expected none"),
        (
            "127.0.0.1:8000/v1",
            vec![],
            "expected the address of a server, like http://127.0.0.1:8000/v1, or a model folder",
        ),
        (writer.as_str(), vec!["--generator-model", "m"], "--generator-model: expected none with a model folder"),
        (writer.as_str(), vec!["--runtime", "tract"], "runtime.order: expected onnxruntime among them"),
        ("http://127.0.0.1:9/v1", vec![], "--generator-model: expected the name of the model at the server"),
    ] {
        let run = world.run("rag", &["--generator", generator], &more).expect(1);
        assert!(run.stderr.contains(said), "{generator}: {}", run.stderr);
    }
}
