//! Ending runs from another thread.

use std::time::Duration;

use quantized_models::{Comparator, CompareError, RuntimeKind};

use crate::model::{FP32, PLAIN, has_onnxruntime, load, margin, picture, see};

#[test]
fn a_comparator_that_was_stopped_goes_on_when_it_is_cleared() {
    for (name, runtime) in [(FP32, RuntimeKind::OnnxRuntime), (PLAIN, RuntimeKind::Tract)] {
        if runtime == RuntimeKind::OnnxRuntime && !has_onnxruntime("a_comparator_that_was_stopped_goes_on") {
            continue;
        }
        let comparator = load(name, runtime).unwrap();
        let expected = margin(&comparator, [1, 2, 3]);
        let (tokens, query) = (see(&comparator, 2), comparator.begin(&see(&comparator, 1)).unwrap());
        let pivot = comparator.first(&query, &tokens).unwrap();
        comparator.stopper().stop();
        assert!(is_stopped(&comparator.see(&picture(1))));
        assert!(is_stopped(&comparator.begin(&tokens)));
        assert!(is_stopped(&comparator.first(&query, &tokens)));
        assert!(is_stopped(&comparator.pair(&pivot, &tokens)));
        assert!(is_stopped(&comparator.yes_no(&query, &tokens)));
        assert!(comparator.stopper().is_stopped());
        comparator.stopper().clear();
        assert_eq!(margin(&comparator, [1, 2, 3]).to_bits(), expected.to_bits());
    }
}

#[test]
fn runs_under_way_are_ended() {
    if !has_onnxruntime("runs_under_way_are_ended") {
        return;
    }
    let comparator = load(FP32, RuntimeKind::OnnxRuntime).unwrap();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let working = scope.spawn(|| until_it_fails(&comparator));
            std::thread::sleep(Duration::from_millis(2));
            comparator.stopper().stop();
            let error = working.join().unwrap();
            assert!(matches!(error, CompareError::Stopped { .. }), "{error}");
        });
        comparator.stopper().clear();
    }
    margin(&comparator, [1, 2, 3]);
}

fn until_it_fails(comparator: &Comparator) -> CompareError {
    loop {
        if let Err(error) = comparator.see(&picture(1)).and_then(|tokens| comparator.begin(&tokens)) {
            return error;
        }
    }
}

fn is_stopped<T>(outcome: &Result<T, CompareError>) -> bool {
    matches!(outcome, Err(CompareError::Stopped { .. }))
}
