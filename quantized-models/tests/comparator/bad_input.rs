//! Manifests, folders and tokens that must be refused by name.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use quantized_models::{
    Comparator, ComparatorManifest, CompareError, ImageTokens, LoadError, LoadOptions, Manifest, RuntimeKind,
};

use crate::model::{Copy, FP32, INDEPENDENT, INT8, PLAIN, folder, has_onnxruntime, load, on, see};

/// Both runtimes, or tract alone where the library is not there.
fn runtimes(test: &str) -> Vec<RuntimeKind> {
    RuntimeKind::ALL.into_iter().filter(|kind| *kind == RuntimeKind::Tract || has_onnxruntime(test)).collect()
}

#[test]
fn manifests_with_impossible_values_are_refused_by_key() {
    for (old, new, said) in [
        ("tokens = 4\n", "tokens = 0\n", "image.tokens: expected 1 to 4096, found 0"),
        ("tokens = 4\n", "tokens = 4\ngrid = [2, 3]\n", "image.grid: expected rows and columns"),
        ("shape = [1, 3, 32, 32]", "shape = [1, 3, 32, 31]", "graphs.vision_encoder.inputs[0].shape: expected 3072"),
        (
            "holds = \"pixels\"",
            "holds = \"patches\"",
            "image.patch: expected a table, for graphs.vision_encoder.inputs[0]",
        ),
        ("holds = \"pixels\"", "holds = \"pictures\"", "graphs.vision_encoder.inputs[0].holds: unknown variant"),
        (
            "past_key = \"past_key_values.{layer}.key\"",
            "past_key = \"past\"",
            "graphs.decoder.past_key: expected a name with {layer}",
        ),
        (
            "heads = 2\n",
            "heads = 2\npositions = \"3d\"\n",
            "image.grid: expected rows and columns, for positions = \"3d\"",
        ),
        ("heads = 2\n", "heads = 2\ncache_position = \"c\"\n", "unknown field `cache_position`"),
        (
            "trained = false\n",
            "trained = false\nblocks_independent = true\n",
            "graphs.decoder.position_ids: expected a name",
        ),
        (
            "answers = [\" A\", \" B\"]",
            "answers = [\" A\", \" B\", \" C\"]",
            "prompt.pair.answers: expected 2 answers, found 3",
        ),
        ("answers = [\" A\", \" B\"]", "answers = [\" A\", \" A\"]", "prompt.pair.answers: expected different texts"),
        (
            "values = [1, 2, 3, 4, 5]",
            "values = [1, 2]",
            "prompt.score.values: expected a finite number for each answer",
        ),
        (
            "first = \"Candidate A: {image}\\n\"",
            "first = \"Candidate A\"",
            "prompt.pair.first: expected {image} 1 times, found 0",
        ),
        ("margin = 0.967", "margin = -0.57", "golden[1].margin: expected further than 0.02"),
        ("tolerance = 0.01", "tolerance = 0.0", "golden[0].tolerance: expected a finite number above 0"),
        ("query = \"golden/a.png\"", "query = \"../a.png\"", "golden[0].query: expected a relative path"),
        ("kind = \"comparator\"", "kind = \"encoder\"", "expected \"comparator\", found \"encoder\""),
    ] {
        let error = Copy::of(FP32).change(old, new).manifest_refusal();
        assert!(error.contains(said) && error.contains("model.toml"), "{new}: {error}");
    }
    let error = Manifest::load(&folder(FP32)).unwrap_err().to_string();
    assert!(error.contains("expected \"encoder\", found \"comparator\""), "{error}");
}

#[test]
fn image_tokens_that_the_graph_does_not_give_are_refused() {
    for runtime in runtimes("image_tokens_that_the_graph_does_not_give_are_refused") {
        let error = Copy::of(PLAIN).change("tokens = 4\n", "tokens = 5\n").refusal(runtime).to_string();
        println!("{runtime}: {error}");
        let is_named = error.contains("image_features") || error.contains("image.tokens");
        assert!(is_named && error.contains("160") || error.contains("5 x 32"), "{runtime}: {error}");
    }
}

#[test]
fn texts_that_do_not_become_the_right_tokens_are_refused() {
    for (old, new, said) in [
        ("placeholder = \"<image>\"", "placeholder = \"<picture>\"", "image.placeholder: expected a token of"),
        ("answers = [\" A\", \" B\"]", "answers = [\" A\", \" Ω\"]", "prompt.pair.answers: expected answers"),
        (
            "answers = [\" A\", \" B\"]",
            "answers = [\" A\", \" neither of them\"]",
            "prompt.pair.answers: expected answers of one token each, found \" neither of them\"",
        ),
        (
            "first = \"Candidate A: {image}\\n\"",
            "first = \"<image>{image}\\n\"",
            "prompt.pair.candidate: expected 4 tokens",
        ),
        ("logits_rows = [316, 317,", "logits_rows = [316,", "graphs.decoder.logits_rows: expected the tokens"),
    ] {
        let error = Copy::of(PLAIN).change(old, new).refusal(RuntimeKind::Tract).to_string();
        assert!(error.contains(said), "{new}: {error}");
    }
    let cut =
        Copy::of(PLAIN).change("first = \"Candidate A: {image}\\n\"", "first = \"Candidate A: {image}\\nThe candi\"");
    let error = cut.change("second = \"Candidate B", "second = \"date B").refusal(RuntimeKind::Tract).to_string();
    assert!(error.contains("prompt.pair: expected cuts that leave tokens whole: token"), "{error}");
}

#[test]
fn graphs_with_other_ends_are_refused_alike() {
    for runtime in runtimes("graphs_with_other_ends_are_refused_alike") {
        for (old, new, said) in [
            ("layers = 2", "layers = 1", "inputs: expected no input that the manifest does not name"),
            ("layers = 2", "layers = 3", "past_key_values.2.key"),
            ("heads = 2", "heads = 4", "input \"past_key_values.0.key\": expected float32 [1, 4, any, 16]"),
            ("head_size = 16", "head_size = 8", "input \"past_key_values.0.key\": expected float32 [1, 2, any, 8]"),
            ("logits = \"logits\"", "logits = \"scores\"", "output \"scores\": expected float32"),
            ("embeddings = \"inputs_embeds\"", "embeddings = \"x\"", "inputs: expected no input"),
        ] {
            let error = Copy::of(PLAIN).change(old, new).refusal(runtime);
            assert!(matches!(error, LoadError::Interface { .. }), "{runtime}: {error}");
            let error = error.to_string();
            assert!(error.contains(said) && error.contains("decoder_model_merged.onnx"), "{runtime} {new}: {error}");
        }
    }
}

#[test]
fn files_that_are_missing_or_changed_are_named() {
    for name in
        ["vision_encoder.onnx", "embed_tokens.onnx.data", "decoder_model_merged.onnx", "tokenizer.json", "golden/b.png"]
    {
        let copy = Copy::of(PLAIN);
        fs::remove_file(copy.path().join(name)).unwrap();
        let error = copy.refusal(RuntimeKind::Tract);
        assert!(matches!(error, LoadError::Read { .. }) && error.to_string().contains(name), "{error}");
    }
    let copy = Copy::of(PLAIN);
    let path = copy.path().join("tokenizer.json");
    fs::write(&path, fs::read_to_string(&path).unwrap() + "\n").unwrap();
    let error = copy.refusal(RuntimeKind::Tract);
    assert!(matches!(error, LoadError::Digest { .. }) && error.to_string().contains("tokenizer.json"), "{error}");
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    let copy = Copy::of(PLAIN);
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let options = LoadOptions { trust_writable_folders: false, ..on(RuntimeKind::Tract) };
    let error = Comparator::load(&ComparatorManifest::load(copy.path()).unwrap(), &options).unwrap_err();
    assert!(matches!(error, LoadError::WritableByOthers { .. }), "{error}");
}

#[test]
fn margins_that_are_missed_move_the_model_to_the_next_runtime() {
    let copy = Copy::of(PLAIN).change("margin = ", "margin = 10");
    let error = copy.refusal(RuntimeKind::Tract);
    let LoadError::MarginMissed { golden: 0, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains("does not reproduce golden[0].margin: expected 10"), "{error}");
    if has_onnxruntime("margins_that_are_missed_move_the_model_to_the_next_runtime") {
        let options = LoadOptions { runtime: None, ..on(RuntimeKind::Tract) };
        let manifest = ComparatorManifest::load(copy.path()).unwrap();
        let error = Comparator::load(&manifest, &options).unwrap_err().to_string();
        let both = error.contains("onnxruntime: ") && error.contains("; tract: ");
        assert!(!manifest.runtimes().contains(&RuntimeKind::Tract) || both, "{error}");
    }
}

#[test]
fn operators_that_tract_does_not_have_are_named() {
    for name in [FP32, INT8] {
        let error = load(name, RuntimeKind::Tract).unwrap_err();
        let LoadError::Operators { operators, .. } = &error else { panic!("{name}: {error}") };
        println!("{name}: tract has no {operators}");
    }
}

#[test]
fn tokens_and_queries_of_other_comparators_are_refused() {
    let comparator = load(INDEPENDENT, RuntimeKind::Tract).unwrap();
    let tokens = see(&comparator, 1);
    let query = comparator.begin(&tokens).unwrap();
    let others = ImageTokens::from_bytes("other-vlm@0123456789ab", &tokens.to_bytes()).unwrap();
    let expected =
        format!("expected image tokens of comparator {}, found those of other-vlm@0123456789ab", comparator.producer());
    for error in [
        comparator.begin(&others).unwrap_err(),
        comparator.first(&query, &others).unwrap_err(),
        comparator.yes_no(&query, &others).unwrap_err(),
        comparator.list(&query, &[&tokens, &others]).unwrap_err(),
    ] {
        assert!(matches!(error, CompareError::OtherProducer { .. }), "{error}");
        assert_eq!(error.to_string(), expected);
    }
    let mut narrower = b"GLT1\x01\0\0\0\x02\0\0\0".to_vec();
    narrower.extend([0; 6]);
    let narrower = ImageTokens::from_bytes(comparator.producer(), &narrower).unwrap();
    let error = comparator.begin(&narrower).unwrap_err();
    assert!(matches!(error, CompareError::TokensShape { expected: [4, 32], .. }), "{error}");
    let again = load(INDEPENDENT, RuntimeKind::Tract).unwrap();
    let error = again.first(&query, &tokens).unwrap_err();
    assert!(matches!(error, CompareError::OtherComparator { .. }), "{error}");
    let error = comparator.see(&quantized_models::RgbImage::new(0, 4)).unwrap_err();
    assert!(matches!(error, CompareError::Picture(_)), "{error}");
}
