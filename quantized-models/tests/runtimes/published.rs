//! The models of `mini/`, on both runtimes: their golden vectors and margins hold.

use std::fs;
use std::path::Path;

use quantized_models::{Comparator, ComparatorManifest, Encoder, Manifest, RuntimeKind};

use crate::model::{has_onnxruntime, on};

#[test]
fn models_of_the_repository_run_on_both_runtimes() {
    let has_library = has_onnxruntime("models_of_the_repository_run_on_both_runtimes");
    let mut kinds = [0, 0];
    for entry in Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/mini")).read_dir().unwrap() {
        let folder = entry.unwrap().path();
        let is_comparator = fs::read_to_string(folder.join("model.toml")).unwrap().contains("kind = \"comparator\"");
        kinds[usize::from(is_comparator)] += 1;
        for kind in [RuntimeKind::OnnxRuntime, RuntimeKind::Tract] {
            if kind == RuntimeKind::OnnxRuntime && !has_library {
                continue;
            }
            if is_comparator {
                Comparator::load(&ComparatorManifest::load(&folder).unwrap(), &on(kind)).unwrap();
            } else {
                let encoder = Encoder::load(&Manifest::load(&folder).unwrap(), &on(kind)).unwrap();
                assert!(encoder.golden_cosine() >= 0.99, "{}: {}", folder.display(), encoder.golden_cosine());
            }
        }
    }
    assert!(kinds[0] >= 2 && kinds[1] >= 1, "found {kinds:?}");
}
