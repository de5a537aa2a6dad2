//! Packed weights: made once, found again, and never trusted when they are not what they should be.

use std::fs;
use std::path::{Path, PathBuf};

use quantized_models::{Encoder, LoadOptions, PackedIn, RuntimeKind, Step, View, WeightsAt};

use crate::model::{Model, has_onnxruntime, on, picture};
use crate::vit::{Size, Weights, tower};

fn model() -> Model {
    let size = Size::NARROW;
    let mut model = Model::new(&tower(size, Weights::Int8(63)), size.image, size.width);
    model.record(RuntimeKind::OnnxRuntime, 0.9999);
    model
}

fn packing_in(folder: &Path) -> LoadOptions {
    let packed = vec![PackedIn::Folder(folder.to_path_buf())];
    LoadOptions { packed, pack_from_bytes: 0, ..on(RuntimeKind::OnnxRuntime) }
}

/// What becomes of a file's content.
type Damage<'a> = &'a dyn Fn(Vec<u8>) -> Vec<u8>;

/// The one folder in the cache.
fn entry(cache: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

/// Loads, and says whether weights were packed meanwhile.
fn load(model: &Model, options: &LoadOptions) -> (Encoder, bool) {
    let mut packed = false;
    let mut watch = |progress: quantized_models::Progress| packed |= progress.step == Step::Packing;
    let encoder = Encoder::load_with(&model.manifest(), options, &mut watch).unwrap();
    (encoder, packed)
}

#[test]
fn weights_are_packed_once_and_give_the_same_vectors() {
    if !has_onnxruntime("weights_are_packed_once_and_give_the_same_vectors") {
        return;
    }
    let (model, cache) = (model(), tempfile::tempdir().unwrap());
    let plain = model.load(&on(RuntimeKind::OnnxRuntime)).unwrap();
    let options = packing_in(cache.path());
    let (first, packed) = load(&model, &options);
    assert!(packed);
    let (again, packed) = load(&model, &options);
    assert!(!packed, "found");
    for encoder in [&first, &again] {
        let is_mapped = matches!(encoder.runtime().weights, WeightsAt::Mapped | WeightsAt::MappedAndCopied);
        assert!(is_mapped, "{:?}", encoder.runtime());
        for seed in 3..6 {
            let vector = |encoder: &Encoder| encoder.embed(&picture(seed), View::Query).unwrap();
            assert_eq!(vector(encoder), vector(&plain), "bit for bit");
        }
    }
    let entry = entry(cache.path());
    let description = fs::read_to_string(entry.join("packed.toml")).unwrap();
    assert!(description.contains("cpu = \"") && description.contains("library = \"1."), "{description}");
}

#[test]
fn damaged_packed_weights_are_made_again() {
    if !has_onnxruntime("damaged_packed_weights_are_made_again") {
        return;
    }
    let (model, cache) = (model(), tempfile::tempdir().unwrap());
    let options = packing_in(cache.path());
    load(&model, &options);
    let folder = entry(cache.path());
    let damages: [(&str, Damage<'_>); 5] = [
        ("weights.bin", &|bytes| bytes[..bytes.len() / 2].to_vec()),
        ("weights.bin", &|mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        }),
        ("graph.onnx", &|_| Vec::new()),
        ("packed.toml", &|_| b"format = 1".to_vec()),
        ("packed.toml", &|bytes| {
            String::from_utf8(bytes).unwrap().replace("cpu = \"", "cpu = \"another ").into_bytes()
        }),
    ];
    for (name, damage) in damages {
        let path = folder.join(name);
        fs::write(&path, damage(fs::read(&path).unwrap())).unwrap();
        let (_, packed) = load(&model, &options);
        assert!(packed, "{name}: made again");
        let (_, packed) = load(&model, &options);
        assert!(!packed, "{name}: good again");
    }
}

#[test]
fn another_library_or_cpu_means_another_folder() {
    if !has_onnxruntime("another_library_or_cpu_means_another_folder") {
        return;
    }
    let (model, cache) = (model(), tempfile::tempdir().unwrap());
    let options = packing_in(cache.path());
    load(&model, &options);
    let ours = entry(cache.path());
    // What others packed of the same graph stays while it is young, and goes when it is old.
    let name = ours.file_name().unwrap().to_str().unwrap();
    let other = cache.path().join(format!("{}-0123456789abcdef", &name[..16]));
    fs::create_dir(&other).unwrap();
    fs::remove_dir_all(&ours).unwrap();
    load(&model, &options);
    assert!(other.exists());
    let day_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3600);
    fs::File::open(&other).unwrap().set_modified(day_ago).unwrap();
    fs::remove_dir_all(&ours).unwrap();
    load(&model, &options);
    assert!(!other.exists() && ours.exists());
}

#[test]
fn what_was_prepared_beside_the_model_is_found() {
    if !has_onnxruntime("what_was_prepared_beside_the_model_is_found") {
        return;
    }
    let (model, state) = (model(), tempfile::tempdir().unwrap());
    let beside = LoadOptions { packed: vec![PackedIn::ModelFolder], ..on(RuntimeKind::OnnxRuntime) };
    let prepared = Encoder::prepare(&model.manifest(), &beside, &mut |_| ()).unwrap();
    assert_ne!(prepared.runtime().weights, WeightsAt::Own, "whatever the size");
    let options = LoadOptions {
        packed: vec![PackedIn::Folder(state.path().join("packed")), PackedIn::ModelFolder],
        ..on(RuntimeKind::OnnxRuntime)
    };
    let (encoder, packed) = load(&model, &options);
    assert!(!packed && encoder.runtime().weights != WeightsAt::Own);
    assert!(!state.path().join("packed").exists());
}

#[test]
fn where_nothing_can_be_written_the_model_is_loaded_anyway_but_not_prepared() {
    if !has_onnxruntime("where_nothing_can_be_written_the_model_is_loaded_anyway_but_not_prepared") {
        return;
    }
    let model = model();
    let file = model.file("a.png");
    let options = packing_in(&file);
    let (encoder, _) = load(&model, &options);
    assert_eq!(encoder.runtime().weights, WeightsAt::Own);
    let error = Encoder::prepare(&model.manifest(), &options, &mut |_| ()).err().unwrap().to_string();
    assert!(error.contains("a.png: cannot pack the weights of"), "{error}");
}

#[test]
fn sessions_share_packed_weights_and_agree() {
    if !has_onnxruntime("sessions_share_packed_weights_and_agree") {
        return;
    }
    let (model, cache) = (model(), tempfile::tempdir().unwrap());
    let options = LoadOptions { sessions: 3, ..packing_in(cache.path()) };
    let encoder = model.load(&options).unwrap();
    let alone = encoder.embed(&picture(9), View::Query).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(encoder.embed(&picture(9), View::Query).unwrap(), alone);
                }
            });
        }
    });
}

#[test]
fn stamps_spare_the_second_load_from_hashing() {
    let (model, state) = (
        {
            let size = Size::NARROW;
            let mut model = Model::new(&tower(size, Weights::Float32), size.image, size.width);
            model.record(RuntimeKind::Tract, 0.9999);
            model
        },
        tempfile::tempdir().unwrap(),
    );
    let options = LoadOptions { stamps: Some(state.path().join("stamps")), ..on(RuntimeKind::Tract) };
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut hashed = Vec::new();
    for _ in 0..2 {
        let mut bytes = 0;
        let mut watch = |progress: quantized_models::Progress| {
            if progress.step == Step::Hashing {
                bytes = progress.done;
            }
        };
        Encoder::load_with(&model.manifest(), &options, &mut watch).unwrap();
        hashed.push(bytes);
    }
    assert!(hashed[0] > 0 && hashed[1] == 0, "{hashed:?}");
}
