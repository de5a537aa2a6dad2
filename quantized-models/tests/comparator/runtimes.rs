//! The same margins on both runtimes, from packed weights, and on several threads.

use quantized_models::{Comparator, ComparatorManifest, LoadOptions, PackedIn, RuntimeKind, WeightsAt};

use crate::model::{FP32, INDEPENDENT, INT8, PLAIN, folder, has_onnxruntime, load, margin, on, see};

#[test]
fn golden_margins_hold_on_onnxruntime() {
    if !has_onnxruntime("golden_margins_hold_on_onnxruntime") {
        return;
    }
    for name in [FP32, PLAIN, INDEPENDENT, INT8] {
        let comparator = load(name, RuntimeKind::OnnxRuntime).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: golden margins within {}, {:?}", comparator.margin_error(), comparator.times());
        assert!(comparator.runtime().label().starts_with("onnxruntime 1."), "{}", comparator.runtime().label());
        assert!(comparator.can_stop() && comparator.producer().starts_with(&format!("{name}@")));
        assert!(comparator.times().see_ms > 0.0 && comparator.times().suffix_ms <= comparator.times().pair_ms);
    }
}

/// Decoders of plain operators run on both: margins of random weights differ by what sums in another order differ by.
#[test]
fn margins_of_plain_decoders_are_the_same_on_tract() {
    for name in [PLAIN, INDEPENDENT] {
        let tract = load(name, RuntimeKind::Tract).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!tract.can_stop());
        let found = margin(&tract, [1, 2, 3]);
        assert_eq!(found.to_bits(), margin(&tract, [1, 2, 3]).to_bits(), "the same twice");
        if has_onnxruntime("margins_of_plain_decoders_are_the_same_on_tract") {
            let other = margin(&load(name, RuntimeKind::OnnxRuntime).unwrap(), [1, 2, 3]);
            println!("{name}: {found} on tract, {other} on ONNX Runtime");
            assert!((found - other).abs() <= 1e-3, "{name}: {found} {other}");
        }
    }
}

#[test]
fn packed_weights_give_the_same_margins() {
    if !has_onnxruntime("packed_weights_give_the_same_margins") {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    for name in [FP32, INT8] {
        let manifest = ComparatorManifest::load(&folder(name)).unwrap();
        let packed = vec![PackedIn::Folder(cache.path().to_owned())];
        let options = LoadOptions { packed, ..on(RuntimeKind::OnnxRuntime) };
        let own = Comparator::load(&manifest, &on(RuntimeKind::OnnxRuntime)).unwrap();
        assert_eq!(own.runtime().weights, WeightsAt::Own);
        let prepared = Comparator::prepare(&manifest, &options, &mut |_| ()).unwrap();
        assert_ne!(prepared.runtime().weights, WeightsAt::Own);
        let again = Comparator::load(&manifest, &LoadOptions { pack_from_bytes: 0, ..options }).unwrap();
        for comparator in [&prepared, &again] {
            let (found, expected) = (margin(comparator, [1, 2, 3]), margin(&own, [1, 2, 3]));
            assert!((found - expected).abs() <= 1e-4, "{name}: {found} {expected}");
        }
    }
}

#[test]
fn several_threads_get_the_margins_of_one() {
    if !has_onnxruntime("several_threads_get_the_margins_of_one") {
        return;
    }
    let manifest = ComparatorManifest::load(&folder(FP32)).unwrap();
    let options = LoadOptions { sessions: 3, ..on(RuntimeKind::OnnxRuntime) };
    let comparator = Comparator::load(&manifest, &options).unwrap();
    let query = comparator.begin(&see(&comparator, 1)).unwrap();
    let pivot = comparator.first(&query, &see(&comparator, 2)).unwrap();
    let expected: Vec<u32> = (3..7).map(|seed| margin(&comparator, [1, 2, seed]).to_bits()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let found: Vec<u32> =
                    (3..7).map(|seed| comparator.pair(&pivot, &see(&comparator, seed)).unwrap().to_bits()).collect();
                assert_eq!(found, expected);
            });
        }
    });
}
