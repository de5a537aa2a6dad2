//! Graphs and folders that must be refused, with the same words on both runtimes where they can be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use quantized_models::{LibraryError, LoadError, LoadOptions, RuntimeKind};

use crate::model::{Model, has_onnxruntime, on, sha256};
use crate::onnx::Graph;
use crate::vit::ENDS;

const SIDE: usize = 4;
const DIMENSIONS: usize = 3;

/// The mean of each colour plane, through `operator`.
fn means(operator: &str) -> Graph {
    let mut graph = Graph::default();
    graph.int64s("shape", &[1, 3]);
    graph.node("GlobalAveragePool", &[ENDS.0], &["mean"], &[]);
    graph.node("Reshape", &["mean", "shape"], &["flat"], &[]);
    graph.node(operator, &["flat"], &[ENDS.1], &[]);
    graph
}

fn file(graph: Graph) -> Vec<u8> {
    graph.file((ENDS.0, &[1, 3, SIDE, SIDE]), (ENDS.1, &[1, DIMENSIONS]))
}

fn model(onnx: &[u8]) -> Model {
    Model::new(onnx, SIDE, DIMENSIONS)
}

/// Both runtimes, or tract alone where the library is not there.
fn runtimes(test: &str) -> Vec<RuntimeKind> {
    RuntimeKind::ALL.into_iter().filter(|kind| *kind == RuntimeKind::Tract || has_onnxruntime(test)).collect()
}

#[test]
fn operators_that_a_runtime_does_not_have_are_named() {
    for runtime in runtimes("operators_that_a_runtime_does_not_have_are_named") {
        let error = model(&file(means("Fold"))).refusal(&on(runtime));
        assert!(matches!(error, LoadError::Operators { .. }), "{error}");
        let message = error.to_string();
        let is_named = message.contains("model.onnx: ") && message.contains(runtime.name());
        assert!(is_named && message.ends_with("has no operator Fold"), "{message}");
    }
}

#[test]
fn an_operator_that_one_runtime_lacks_moves_the_model_to_the_next() {
    if !has_onnxruntime("an_operator_that_one_runtime_lacks_moves_the_model_to_the_next") {
        return;
    }
    // In order of the manifest, tract first; it has no such operator, and neither has the other.
    let mut model = model(&file(means("Fold")));
    model.tables = "[runtime]\norder = [\"tract\", \"onnxruntime\"]\n".to_owned();
    let options = LoadOptions { runtime: None, ..on(RuntimeKind::Tract) };
    let error = model.refusal(&options).to_string();
    assert!(error.starts_with("model test: no runtime can run it: tract: "), "{error}");
    assert!(error.contains("; onnxruntime: ") && error.matches("has no operator Fold").count() == 2, "{error}");
}

#[test]
fn vectors_that_are_not_numbers_are_refused() {
    for runtime in runtimes("vectors_that_are_not_numbers_are_refused") {
        // The logarithm of a negative mean.
        let error = model(&file(means("Log"))).refusal(&on(runtime));
        let LoadError::GoldenEmbed { path, .. } = &error else { panic!("{error}") };
        assert!(path.ends_with("a.png"), "{error}");
        assert!(error.to_string().contains("expected a vector of finite numbers that are not all zero"), "{error}");
    }
}

#[test]
fn names_and_shapes_that_the_graph_does_not_have_are_refused_alike() {
    let cases = [
        ("input = \"pixel_values\"", "input = \"pixels\"", "inputs: expected [\"pixels\"], found [\"pixel_values\"]"),
        ("output = \"embedding\"", "output = \"vector\"", "outputs: expected [\"vector\"], found [\"embedding\"]"),
        ("width = 4", "width = 5", "input \"pixel_values\": expected float32 [1, 3, 4, 5], found"),
    ];
    for runtime in runtimes("names_and_shapes_that_the_graph_does_not_have_are_refused_alike") {
        for (from, to, expected) in cases {
            let model = model(&file(means("Neg")));
            fs::write(model.file("model.toml"), model.manifest_text().replace(from, to)).unwrap();
            let manifest = quantized_models::Manifest::load(model.path()).unwrap();
            let error = quantized_models::Encoder::load(&manifest, &on(runtime)).err().unwrap();
            assert!(matches!(error, LoadError::Interface { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        let wide = Model::new(&file(means("Neg")), SIDE, 4);
        let error = wide.refusal(&on(runtime)).to_string();
        assert!(error.contains("output \"embedding\": expected float32 [1, 4], found"), "{error}");
    }
}

#[test]
fn what_is_no_graph_is_refused() {
    for runtime in runtimes("what_is_no_graph_is_refused") {
        let whole = file(means("Neg"));
        for content in [b"".as_slice(), b"not a network", &[0x0A; 4000], &whole[..whole.len() / 2]] {
            let error = model(content).refusal(&on(runtime));
            let is_named = matches!(error, LoadError::Graph { .. } | LoadError::Interface { .. });
            assert!(is_named && error.to_string().contains("model.onnx: "), "{error}");
        }
    }
}

/// A graph whose weights lie in `data`.
fn external(data: &str) -> Vec<u8> {
    let mut graph = Graph::default();
    graph.external_floats("gain", &[3], data);
    graph.int64s("shape", &[1, 3]);
    graph.node("GlobalAveragePool", &[ENDS.0], &["mean"], &[]);
    graph.node("Reshape", &["mean", "shape"], &["flat"], &[]);
    graph.node("Mul", &["flat", "gain"], &[ENDS.1], &[]);
    file(graph)
}

/// A model with external data that its manifest lists.
fn with_data() -> Model {
    let mut model = model(&external("weights.data"));
    let data: Vec<u8> = [1.0_f32, -1.0, 2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(model.file("weights.data"), &data).unwrap();
    model.graph_lines = format!("[[graph.data]]\nfile = \"weights.data\"\nsha256 = \"{}\"\n", sha256(&data));
    model
}

#[test]
fn external_data_is_read_when_it_is_listed() {
    for runtime in runtimes("external_data_is_read_when_it_is_listed") {
        let mut model = with_data();
        model.record(runtime, 0.9999);
        assert!(model.load(&on(runtime)).is_ok());
        assert_eq!(model.manifest().files().len(), 2);
    }
}

#[test]
fn external_data_that_is_missing_edited_or_not_listed_is_named() {
    for runtime in runtimes("external_data_that_is_missing_edited_or_not_listed_is_named") {
        let missing = with_data();
        fs::remove_file(missing.file("weights.data")).unwrap();
        let error = missing.refusal(&on(runtime)).to_string();
        assert!(error.contains("model test: cannot read ") && error.contains("weights.data"), "{error}");
        let edited = with_data();
        fs::write(edited.file("weights.data"), [0; 12]).unwrap();
        let error = edited.refusal(&on(runtime));
        assert!(matches!(&error, LoadError::Digest { path, .. } if path.ends_with("weights.data")), "{error}");
        let mut unlisted = with_data();
        unlisted.graph_lines.clear();
        let error = unlisted.refusal(&on(runtime)).to_string();
        let expected = "its weights lie in \"weights.data\" too: expected a table [[graph.data]] with that file";
        assert!(error.contains(expected) && error.ends_with("found none"), "{error}");
    }
}

#[test]
fn external_data_outside_the_folder_is_refused() {
    for runtime in runtimes("external_data_outside_the_folder_is_refused") {
        for data in ["../weights.data", "/etc/hostname", "a/../../weights.data", ""] {
            let error = model(&external(data)).refusal(&on(runtime));
            assert!(matches!(error, LoadError::DataOutside { .. }), "{error}");
            assert!(error.to_string().ends_with(&format!("found {data:?}")), "{error}");
        }
    }
}

#[test]
fn a_model_that_others_may_write_is_refused_unless_it_is_trusted() {
    for name in ["", "model.toml", "model.onnx", "a.png", "b.f32"] {
        let mut model = model(&file(means("Neg")));
        model.record(RuntimeKind::Tract, 0.9999);
        let path = if name.is_empty() { model.path().to_path_buf() } else { model.file(name) };
        let manifest = model.manifest();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let error = quantized_models::Encoder::load(&manifest, &on(RuntimeKind::Tract)).err().unwrap();
        assert!(matches!(error, LoadError::WritableByOthers { .. }), "{name}: {error}");
        assert!(error.to_string().contains("permissions 777, which let everybody write"), "{name}: {error}");
        let trusting = LoadOptions { trust_writable_folders: true, ..on(RuntimeKind::Tract) };
        assert!(quantized_models::Encoder::load(&manifest, &trusting).is_ok(), "{name}");
    }
}

#[test]
fn a_library_that_is_named_but_is_none_is_an_error_not_a_fallback() {
    let mut model = model(&file(means("Neg")));
    model.record(RuntimeKind::Tract, 0.9999);
    let options = LoadOptions { runtime: None, onnxruntime: Some(model.file("model.onnx")), ..on(RuntimeKind::Tract) };
    let error = model.refusal(&options);
    let LoadError::Library(library) = &error else { panic!("{error}") };
    // Another test may have loaded the library of this process already.
    assert!(matches!(library, LibraryError::NotALibrary { .. } | LibraryError::Another { .. }), "{error}");
    assert!(error.to_string().contains("model.onnx: "), "{error}");
}

#[test]
fn a_gpu_that_the_library_knows_nothing_of_is_an_error_not_a_fallback() {
    if !has_onnxruntime("a_gpu_that_the_library_knows_nothing_of_is_an_error_not_a_fallback") {
        return;
    }
    let mut model = model(&file(means("Neg")));
    model.record(RuntimeKind::Tract, 0.9999);
    for (provider, name) in [
        (quantized_models::Provider::Cuda { device: 0 }, "cuda"),
        (quantized_models::Provider::TensorRt { device: 0, fp16: true, cache: None }, "tensorrt"),
    ] {
        let options = LoadOptions { runtime: None, providers: vec![provider], ..on(RuntimeKind::OnnxRuntime) };
        let error = model.refusal(&options);
        if matches!(error, LoadError::Graph { .. }) {
            println!("this library knows {name}, but there is no such device: {error}");
            continue;
        }
        let expected = format!("expected a library that computes with {name}, found one that computes with");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}
