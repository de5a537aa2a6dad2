//! The models of `mini/`, on both runtimes: their golden vectors hold, of every view.

use std::path::Path;

use quantized_models::{Encoder, Manifest, RuntimeKind};

use crate::model::{has_onnxruntime, on};

#[test]
fn models_of_the_repository_run_on_both_runtimes() {
    let has_library = has_onnxruntime("models_of_the_repository_run_on_both_runtimes");
    let mut count = 0;
    for entry in Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/mini")).read_dir().unwrap() {
        let manifest = Manifest::load(&entry.unwrap().path()).unwrap();
        for kind in [RuntimeKind::OnnxRuntime, RuntimeKind::Tract] {
            if kind == RuntimeKind::Tract || has_library {
                let encoder = Encoder::load(&manifest, &on(kind)).unwrap();
                assert!(encoder.golden_cosine() >= 0.99, "{}: {}", manifest.name(), encoder.golden_cosine());
            }
        }
        count += 1;
    }
    assert!(count >= 2, "found {count}");
}
