//! What computes under ONNX Runtime.

use ort::ep::{self, ExecutionProviderDispatch};

use super::library::Library;
use crate::error::LoadError;
use crate::options::Provider;

/// Refuses providers that the library was built without.
pub(super) fn check(library: &Library, providers: &[Provider]) -> Result<(), LoadError> {
    let there = library.providers();
    match providers.iter().find(|provider| !there.contains(&provider.name())) {
        None => Ok(()),
        Some(provider) => Err(LoadError::Provider {
            provider: provider.name(),
            library: library.path().to_path_buf(),
            found: format!("one that computes with {}", there.join(", ")),
        }),
    }
}

/// What to register with a session, in order; nothing for the CPU, which ONNX Runtime always adds.
pub(super) fn dispatches(providers: &[Provider]) -> Vec<ExecutionProviderDispatch> {
    providers.iter().filter_map(dispatch).collect()
}

fn dispatch(provider: &Provider) -> Option<ExecutionProviderDispatch> {
    let built = match provider {
        Provider::Cpu => return None,
        Provider::Cuda { device } => ep::CUDA::default().with_device_id(*device).build(),
        Provider::TensorRt { device, fp16, cache } => {
            let tensorrt = ep::TensorRT::default().with_device_id(*device).with_fp16(*fp16);
            match cache {
                Some(cache) => {
                    let cache = cache.display();
                    let tensorrt = tensorrt.with_engine_cache(true).with_engine_cache_path(&cache);
                    tensorrt.with_timing_cache(true).with_timing_cache_path(&cache).build()
                }
                None => tensorrt.build(),
            }
        }
    };
    // Nothing that was asked for is left out quietly.
    Some(built.error_on_failure())
}

/// Names of `providers`, with the CPU last.
pub(super) fn names(providers: &[Provider]) -> Vec<&'static str> {
    let named = providers.iter().map(Provider::name).filter(|name| *name != "cpu");
    named.chain(["cpu"]).collect()
}

/// Whether nothing but the CPU computes.
pub(super) fn are_cpu(providers: &[Provider]) -> bool {
    providers.iter().all(|provider| *provider == Provider::Cpu)
}
