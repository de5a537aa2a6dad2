//! Golden vectors on both runtimes, and on CPUs that add up 8-bit products in 16 bits. `scripts/older-cpu.sh` runs these
//! tests as such a CPU.

use quantized_models::{LoadError, RuntimeKind, View, WeightsAt};

use crate::model::{Model, cosine, has_onnxruntime, on, picture};
use crate::vit::{Size, Weights, tower};

fn narrow(weights: Weights) -> Model {
    let size = Size::NARROW;
    Model::new(&tower(size, weights), size.image, size.width)
}

#[test]
fn golden_vectors_of_one_runtime_hold_on_the_other() {
    if !has_onnxruntime("golden_vectors_of_one_runtime_hold_on_the_other") {
        return;
    }
    for (weights, bound) in [(Weights::Float32, 0.999_99), (Weights::Int8(63), 0.999)] {
        let mut model = narrow(weights);
        model.record(RuntimeKind::Tract, bound);
        let encoder = model.load(&on(RuntimeKind::OnnxRuntime)).unwrap();
        let info = encoder.runtime();
        assert!(info.label().starts_with("onnxruntime 1.") && info.label().ends_with(" (cpu)"), "{}", info.label());
        assert_eq!((info.threads, info.weights), (1, WeightsAt::Own));
        let tract = model.load(&on(RuntimeKind::Tract)).unwrap();
        for seed in 3..8 {
            let vector = |encoder: &quantized_models::Encoder| encoder.embed(&picture(seed), View::Query).unwrap();
            let found = cosine(vector(&encoder).as_slice(), vector(&tract).as_slice());
            println!("{weights:?}, picture {seed}: cosine {found:.6}");
            assert!(found >= f64::from(bound), "{weights:?}: {found}");
        }
    }
}

/// Sums of products of weights of full range saturate in 16 bits, which x86 CPUs without VNNI use. The golden check
/// finds out, and another way of adding up or another runtime is taken, so that the vectors hold on every CPU.
#[test]
fn golden_vectors_hold_on_a_cpu_that_saturates() {
    if !has_onnxruntime("golden_vectors_hold_on_a_cpu_that_saturates") {
        return;
    }
    let mut model = narrow(Weights::Int8(127));
    model.record(RuntimeKind::Tract, 0.999);
    let options = quantized_models::LoadOptions { runtime: None, ..on(RuntimeKind::OnnxRuntime) };
    let encoder = model.load(&options).unwrap();
    println!("weights of full range run on {}", encoder.runtime().label());
    assert!(encoder.golden_cosine() >= 0.999, "{}", encoder.golden_cosine());
}

/// A runtime that misses a golden vector however it adds up is refused, and the next in order takes over.
#[test]
fn golden_vectors_that_one_runtime_misses_move_the_model_to_the_next() {
    if !has_onnxruntime("golden_vectors_that_one_runtime_misses_move_the_model_to_the_next") {
        return;
    }
    let mut model = narrow(Weights::Int8(63));
    model.record(RuntimeKind::Tract, 1.0);
    match model.load(&on(RuntimeKind::OnnxRuntime)) {
        Ok(encoder) => println!("no difference in the last digit: cosine {}", encoder.golden_cosine()),
        Err(LoadError::GoldenMissed { found, runtime, .. }) => {
            println!("{runtime} differs: cosine {found}");
            let options = quantized_models::LoadOptions { runtime: None, ..on(RuntimeKind::Tract) };
            let encoder = model.load(&options).unwrap();
            assert_eq!(encoder.runtime().kind, RuntimeKind::Tract, "the next in order");
        }
        Err(error) => panic!("{error}"),
    }
}
