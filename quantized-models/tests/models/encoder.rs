//! The encoder on a real network: golden vectors, and everything that must be refused.

use crate::support::shared;
use quantized_models::{DecodeLimits, Encoder, LoadError, LoadOptions, Manifest, RuntimeKind, View, decode};
use std::path::Path;

const MODEL: &str = "encoders/mobilenetv3_small_576";

/// The runtime that is always there.
fn tract() -> LoadOptions {
    LoadOptions { runtime: Some(RuntimeKind::Tract), ..LoadOptions::default() }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn vector(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

#[test]
fn both_variants_reproduce_onnx_runtime_and_pillow() {
    const NAME: &str = "both_variants_reproduce_onnx_runtime_and_pillow";
    let Some(model) = shared(NAME, MODEL) else { return };
    for (file, suffix) in [("model.toml", ""), ("model_w8.toml", "_w8")] {
        let manifest = Manifest::load(&model.join(file)).unwrap();
        let encoder = Encoder::load(&manifest, &tract()).unwrap();
        assert_eq!(encoder.name(), manifest.name());
        assert_eq!(encoder.space(), manifest.space());
        assert_eq!((encoder.dimensions(), encoder.digest()), (576, manifest.graph_sha256()));
        for frame in ["frame_a", "frame_b"] {
            let picture = std::fs::read(model.join(format!("golden/{frame}.jpg"))).unwrap();
            let image = decode(&picture, &DecodeLimits::default()).unwrap();
            let embedding = encoder.embed(&image, View::Query).unwrap();
            let length = cosine(embedding.as_slice(), embedding.as_slice()).sqrt();
            assert!((length - 1.0).abs() < 1e-6);
            let found = cosine(embedding.as_slice(), &vector(&model.join(format!("golden/{frame}{suffix}.f32"))));
            println!("{file} {frame}: cosine {found:.7}");
            assert!(found >= 0.9995, "{file} {frame}: cosine {found}");
        }
    }
}

#[test]
fn the_runtime_names_the_version_that_is_locked() {
    const NAME: &str = "the_runtime_names_the_version_that_is_locked";
    let Some(model) = shared(NAME, MODEL) else { return };
    let encoder = Encoder::load(&Manifest::load(&model).unwrap(), &tract()).unwrap();
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let tract = packages.iter().find(|package| package["name"].as_str() == Some("tract-onnx")).unwrap();
    assert_eq!(encoder.runtime().name, format!("tract-onnx {}", tract["version"].as_str().unwrap()));
}

/// A copy of the shared model in which `edit` may change the manifest's text and the files.
fn load_edited(test: &str, edit: impl Fn(&Path, String) -> String) -> Option<Result<Encoder, LoadError>> {
    let model = shared(test, MODEL)?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("golden")).unwrap();
    for file in ["model_b1_l2_w8.onnx", "golden/frame_a.jpg", "golden/frame_b.jpg"]
        .into_iter()
        .chain(["golden/frame_a_w8.f32", "golden/frame_b_w8.f32"])
    {
        let bytes = std::fs::read(model.join(file)).unwrap();
        std::fs::write(folder.path().join(file), bytes).unwrap();
    }
    let manifest = edit(folder.path(), std::fs::read_to_string(model.join("model_w8.toml")).unwrap());
    std::fs::write(folder.path().join("model.toml"), manifest).unwrap();
    Some(Encoder::load(&Manifest::load(folder.path()).unwrap(), &tract()))
}

fn refusal(test: &str, edit: impl Fn(&Path, String) -> String) -> Option<LoadError> {
    load_edited(test, edit).map(|outcome| outcome.err().expect("must be refused"))
}

#[test]
fn the_copy_itself_loads() {
    let Some(outcome) = load_edited("the_copy_itself_loads", |_, manifest| manifest) else { return };
    assert!(outcome.is_ok());
}

#[test]
fn a_graph_with_another_digest_is_refused_with_both() {
    const NAME: &str = "a_graph_with_another_digest_is_refused_with_both";
    let Some(error) = refusal(NAME, |folder, manifest| {
        let path = folder.join("model_b1_l2_w8.onnx");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
        manifest
    }) else {
        return;
    };
    let LoadError::Digest { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!(expected, "23013c11d88dc6d9ded54d2eeb39c52c1706d4a111739e5f317298255886c922");
    assert!(found.len() == 64 && found != expected);
    let message = error.to_string();
    assert!(message.contains(expected.as_str()) && message.contains(found.as_str()) && message.contains("w8.onnx"));
}

#[test]
fn a_missing_graph_is_named() {
    let Some(error) = refusal("a_missing_graph_is_named", |folder, manifest| {
        std::fs::remove_file(folder.join("model_b1_l2_w8.onnx")).unwrap();
        manifest
    }) else {
        return;
    };
    assert!(matches!(error, LoadError::Read { .. }), "{error}");
    assert!(
        error.to_string().contains("mobilenetv3-small-576-w8") && error.to_string().contains("model_b1_l2_w8.onnx")
    );
}

/// Writes `content` as the graph and its digest into the manifest.
fn replace_graph(folder: &Path, manifest: &str, content: &[u8]) -> String {
    use sha2::Digest;
    std::fs::write(folder.join("model_b1_l2_w8.onnx"), content).unwrap();
    let digest: String = sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    manifest.replace("23013c11d88dc6d9ded54d2eeb39c52c1706d4a111739e5f317298255886c922", &digest)
}

#[test]
fn a_graph_that_is_no_onnx_is_refused_by_the_runtime() {
    const NAME: &str = "a_graph_that_is_no_onnx_is_refused_by_the_runtime";
    for content in [b"".as_slice(), b"not a network", &[0x0A; 4000]] {
        let Some(error) = refusal(NAME, |folder, manifest| replace_graph(folder, &manifest, content)) else { return };
        let is_named = matches!(error, LoadError::Graph { .. } | LoadError::Interface { .. });
        assert!(is_named && error.to_string().contains("w8.onnx"), "{error}");
    }
}

#[test]
fn a_cut_graph_is_refused_by_the_runtime() {
    const NAME: &str = "a_cut_graph_is_refused_by_the_runtime";
    for percent in [10, 50, 99] {
        let Some(error) = refusal(NAME, |folder, manifest| {
            let whole = std::fs::read(folder.join("model_b1_l2_w8.onnx")).unwrap();
            replace_graph(folder, &manifest, &whole[..whole.len() * percent / 100])
        }) else {
            return;
        };
        assert!(matches!(error, LoadError::Graph { step: "read the graph", .. }), "{error}");
    }
}

#[test]
fn names_and_shapes_that_the_graph_does_not_have_are_refused() {
    const NAME: &str = "names_and_shapes_that_the_graph_does_not_have_are_refused";
    let cases = [
        ("input = \"input\"", "input = \"pixels\"", "inputs: expected [\"pixels\"], found [\"input\"]"),
        ("output = \"embedding\"", "output = \"vector\"", "outputs: expected [\"vector\"], found [\"embedding\"]"),
        ("width = 224", "width = 256", "input \"input\": expected float32 [1, 3, 224, 256], found 1,3,224,224,F32"),
    ];
    for (from, to, expected) in cases {
        let Some(error) = refusal(NAME, |_, manifest| manifest.replace(from, to)) else { return };
        assert!(matches!(error, LoadError::Interface { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_space_of_another_width_is_refused() {
    const NAME: &str = "a_space_of_another_width_is_refused";
    let Some(error) = refusal(NAME, |_, manifest| manifest.replace("dimensions = 576", "dimensions = 512")) else {
        return;
    };
    let expected = "output \"embedding\": expected float32 [1, 512], found 1,576,F32";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_golden_vector_of_another_width_is_refused() {
    const NAME: &str = "a_golden_vector_of_another_width_is_refused";
    let Some(error) = refusal(NAME, |folder, manifest| {
        std::fs::write(folder.join("golden/frame_b_w8.f32"), [0; 2300]).unwrap();
        manifest
    }) else {
        return;
    };
    assert!(error.to_string().ends_with("frame_b_w8.f32: expected 576 float32 numbers (2304 bytes), found 2300 bytes"));
}

#[test]
fn a_golden_vector_that_is_not_a_number_is_refused() {
    const NAME: &str = "a_golden_vector_that_is_not_a_number_is_refused";
    let Some(error) = refusal(NAME, |folder, manifest| {
        std::fs::write(folder.join("golden/frame_b_w8.f32"), [0xFF; 2304]).unwrap();
        manifest
    }) else {
        return;
    };
    assert!(matches!(error, LoadError::GoldenVector { .. }), "{error}");
}

#[test]
fn a_golden_vector_without_direction_is_refused() {
    const NAME: &str = "a_golden_vector_without_direction_is_refused";
    let Some(error) = refusal(NAME, |folder, manifest| {
        std::fs::write(folder.join("golden/frame_b_w8.f32"), [0; 2304]).unwrap();
        manifest
    }) else {
        return;
    };
    assert!(error.to_string().contains("frame_b_w8.f32"), "{error}");
}

#[test]
fn swapped_golden_vectors_are_refused_with_the_cosine() {
    const NAME: &str = "swapped_golden_vectors_are_refused_with_the_cosine";
    let Some(error) = refusal(NAME, |_, manifest| {
        manifest.replace("frame_a_w8", "swap").replace("frame_b_w8", "frame_a_w8").replace("swap", "frame_b_w8")
    }) else {
        return;
    };
    let LoadError::GoldenMissed { expected, found, .. } = &error else { panic!("{error}") };
    assert!(*expected == 0.999 && *found < 0.99, "{error}");
    assert!(error.to_string().contains(&format!("expected cosine >= 0.999, found {found}")), "{error}");
}

#[test]
fn alike_golden_vectors_are_refused() {
    const NAME: &str = "alike_golden_vectors_are_refused";
    let Some(error) = refusal(NAME, |_, manifest| manifest.replace("frame_b", "frame_a")) else { return };
    assert!(matches!(error, LoadError::GoldensAlike { cosine, .. } if cosine > 0.999), "{error}");
}

#[test]
fn a_golden_picture_that_is_cut_is_refused() {
    const NAME: &str = "a_golden_picture_that_is_cut_is_refused";
    let Some(error) = refusal(NAME, |folder, manifest| {
        let path = folder.join("golden/frame_a.jpg");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(path, &whole[..whole.len() / 2]).unwrap();
        manifest
    }) else {
        return;
    };
    assert!(matches!(error, LoadError::GoldenPicture { .. }), "{error}");
    assert!(error.to_string().contains("golden/frame_a.jpg: the JPEG picture is cut"), "{error}");
}

#[test]
fn other_preprocessing_misses_the_golden_vectors() {
    const NAME: &str = "other_preprocessing_misses_the_golden_vectors";
    for (from, to) in [("\"rgb\"", "\"bgr\""), ("mean = [0.485, 0.456, 0.406]", "mean = [0, 0, 0]")] {
        let Some(error) = refusal(NAME, |_, manifest| manifest.replace(from, to)) else { return };
        assert!(matches!(error, LoadError::GoldenMissed { .. }), "{to}: {error}");
    }
}

#[test]
fn threads_share_an_encoder_and_agree() {
    let Some(model) = shared("threads_share_an_encoder_and_agree", MODEL) else { return };
    let encoder = Encoder::load(&Manifest::load(&model.join("model_w8.toml")).unwrap(), &tract()).unwrap();
    let image = decode(&std::fs::read(model.join("golden/frame_a.jpg")).unwrap(), &DecodeLimits::default()).unwrap();
    let alone = encoder.embed(&image, View::Query).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| encoder.embed(&image, View::Query).unwrap())).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}
