//! How fast SigLIP base runs, of the true shape with random weights: both runtimes and both kinds of weights, taking
//! turns. Not a test: `cargo test --release --workspace --test runtimes -- --ignored --nocapture speed`.
//!
//! `GEOLOCATED_BENCH_FOLDER` keeps the ONNX files there, for other programs to be measured on the same ones.

use std::fs;
use std::path::PathBuf;

use quantized_models::{Encoder, LoadOptions, PackedIn, RuntimeKind, Timing, interleaved};

use crate::model::{Model, has_onnxruntime, on, picture};
use crate::vit::{Size, Weights, tower};

const ROUNDS: usize = 15;

#[test]
#[ignore = "a measurement"]
fn of_siglip_base() {
    assert!(has_onnxruntime("of_siglip_base"));
    let folder = std::env::var_os("GEOLOCATED_BENCH_FOLDER").map(PathBuf::from);
    let size = Size::BASE;
    let mut encoders = Vec::new();
    let mut models = Vec::new();
    for (name, weights) in [("float32", Weights::Float32), ("int8", Weights::Int8(63))] {
        let onnx = tower(size, weights);
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(format!("{name}.onnx")), &onnx).unwrap();
        }
        let mut model = Model::new(&onnx, size.image, size.width);
        model.record(RuntimeKind::OnnxRuntime, 0.99);
        for runtime in RuntimeKind::ALL {
            let options = LoadOptions { packed: vec![PackedIn::ModelFolder], ..on(runtime) };
            match model.load(&options) {
                Ok(encoder) => encoders.push((name, encoder)),
                Err(error) => println!("{name} on {runtime}: {error}"),
            }
        }
        models.push(model);
    }
    let all: Vec<&Encoder> = encoders.iter().map(|(_, encoder)| encoder).collect();
    let timings = interleaved(&all, &picture(3), ROUNDS).unwrap();
    for ((name, encoder), timing) in encoders.iter().zip(&timings) {
        let [p50, p95] = [0.5, 0.95].map(|share| Timing::quantile(&timing.graph_cpu_ms, share).unwrap());
        let label = encoder.runtime().label();
        println!("{name} on {label}: CPU ms p50 {p50:.1}, p95 {p95:.1}; golden cosine {}", encoder.golden_cosine());
    }
}
