//! What a comparator can be asked, and that keys and values that are gone on from change no answer.

use quantized_models::{CompareError, ImageTokens, RuntimeKind};

use crate::model::{FP32, INDEPENDENT, INT8, has_onnxruntime, load, margin, see};

#[test]
fn what_was_run_before_changes_no_margin() {
    if !has_onnxruntime("what_was_run_before_changes_no_margin") {
        return;
    }
    for name in [FP32, INT8, INDEPENDENT] {
        let comparator = load(name, RuntimeKind::OnnxRuntime).unwrap();
        let query = comparator.begin(&see(&comparator, 1)).unwrap();
        let pivots: Vec<_> = (2..5).map(|seed| comparator.first(&query, &see(&comparator, seed)).unwrap()).collect();
        let mut margins = Vec::new();
        for (first, pivot) in (2..5).zip(&pivots) {
            for second in (2..5).filter(|second| *second != first) {
                let found = comparator.pair(pivot, &see(&comparator, second)).unwrap();
                let fresh = margin(&comparator, [1, first, second]);
                assert_eq!(found.to_bits(), fresh.to_bits(), "{name}: {first} {second}");
                margins.push(found);
            }
        }
        margins.sort_by(f32::total_cmp);
        assert!(margins.windows(2).all(|pair| pair[0] < pair[1]), "{name}: pictures and order matter: {margins:?}");
    }
}

#[test]
fn stored_tokens_compare_as_what_they_were_stored_from_read_back() {
    if !has_onnxruntime("stored_tokens_compare_as_what_they_were_stored_from_read_back") {
        return;
    }
    let comparator = load(FP32, RuntimeKind::OnnxRuntime).unwrap();
    let query = comparator.begin(&see(&comparator, 1)).unwrap();
    let [first, second] = [2, 3].map(|seed| see(&comparator, seed));
    let stored = |tokens: &ImageTokens| ImageTokens::from_bytes(comparator.producer(), &tokens.to_bytes()).unwrap();
    let margin = |first: &ImageTokens, second: &ImageTokens| {
        comparator.pair(&comparator.first(&query, first).unwrap(), second).unwrap()
    };
    let from_stored = margin(&stored(&first), &stored(&second));
    assert_eq!(from_stored.to_bits(), margin(&first.as_stored(), &second.as_stored()).to_bits());
    let exact = margin(&first, &second);
    println!("margin {exact}, of stored tokens {from_stored}");
    assert!((exact - from_stored).abs() < 0.05, "{exact} {from_stored}");
    assert_eq!(first.to_bytes().len(), ImageTokens::stored_bytes(comparator.tokens_shape()));
}

#[test]
fn independent_blocks_are_run_once_each() {
    if !has_onnxruntime("independent_blocks_are_run_once_each") {
        return;
    }
    let comparator = load(INDEPENDENT, RuntimeKind::OnnxRuntime).unwrap();
    let query = comparator.begin(&see(&comparator, 1)).unwrap();
    let pivots: Vec<_> = (2..5).map(|seed| comparator.first(&query, &see(&comparator, seed)).unwrap()).collect();
    for (first, pivot) in (2..5).zip(&pivots) {
        for (second, other) in (2..5).zip(&pivots).filter(|(second, _)| *second != first) {
            let found = comparator.pair_of_pivots(pivot, other).unwrap();
            let expected = comparator.pair(pivot, &see(&comparator, second)).unwrap();
            assert_eq!(found.to_bits(), expected.to_bits(), "{first} {second}");
        }
    }
    let other = comparator.begin(&see(&comparator, 1)).unwrap();
    let other = comparator.first(&other, &see(&comparator, 2)).unwrap();
    let error = comparator.pair_of_pivots(&pivots[0], &other).unwrap_err().to_string();
    assert!(error.contains("pivots on different queries"), "{error}");
    let ordinary = load(FP32, RuntimeKind::OnnxRuntime).unwrap();
    let query = ordinary.begin(&see(&ordinary, 1)).unwrap();
    let pivot = ordinary.first(&query, &see(&ordinary, 2)).unwrap();
    let error = ordinary.pair_of_pivots(&pivot, &pivot).unwrap_err();
    assert!(matches!(error, CompareError::Unsupported { .. }), "{error}");
    assert!(pivots[0].bytes() < pivot.bytes(), "a block is less than prefix and candidate");
}

#[test]
fn one_candidate_or_many_at_once() {
    for (name, runtime) in [(FP32, RuntimeKind::OnnxRuntime), (INDEPENDENT, RuntimeKind::Tract)] {
        if runtime == RuntimeKind::OnnxRuntime && !has_onnxruntime("one_candidate_or_many_at_once") {
            continue;
        }
        let comparator = load(name, runtime).unwrap();
        let query = comparator.begin(&see(&comparator, 1)).unwrap();
        let tokens: Vec<ImageTokens> = (2..6).map(|seed| see(&comparator, seed)).collect();
        let yes: Vec<f32> = tokens.iter().map(|tokens| comparator.yes_no(&query, tokens).unwrap()).collect();
        assert!(yes.windows(2).all(|pair| pair[0] != pair[1]), "{yes:?}");
        for tokens in &tokens {
            let score = comparator.score(&query, tokens).unwrap();
            assert!((1.0..=5.0).contains(&score), "{score}");
        }
        let all: Vec<&ImageTokens> = tokens.iter().collect();
        let logits = comparator.list(&query, &all).unwrap();
        assert_eq!(logits.len(), 4);
        assert!(logits.iter().all(|logit| logit.is_finite()));
        assert_eq!(comparator.list(&query, &all).unwrap(), logits, "the same twice");
        assert_eq!(comparator.longest_list(), 8);
        for count in [1, 9] {
            let some: Vec<&ImageTokens> = std::iter::repeat_n(&tokens[0], count).collect();
            let error = comparator.list(&query, &some).unwrap_err().to_string();
            assert!(error.contains(&format!("list of {count} candidates: expected 2 to 8")), "{error}");
        }
    }
}
