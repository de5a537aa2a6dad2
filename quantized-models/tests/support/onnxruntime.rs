//! ONNX Runtime's library, where it is: for the tests that need it.

use std::fs;
use std::path::PathBuf;

/// Whether ONNX Runtime can be loaded here. Says which test is skipped where it cannot.
pub(crate) fn has_onnxruntime(test: &str) -> bool {
    if std::env::var_os("GEOLOCATED_ONNXRUNTIME").is_some() || library().is_some() {
        return true;
    }
    assert_ne!(std::env::var("GEOLOCATED_REQUIRE_ONNXRUNTIME").as_deref(), Ok("1"), "ONNX Runtime is required");
    println!("skipped {test}: ONNX Runtime is not there; `make onnxruntime` fetches it");
    false
}

/// What `make onnxruntime` fetched: beside the binaries, which is one folder up from the tests.
pub(crate) fn library() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.parent()?.to_path_buf();
    let mut entries = fs::read_dir(&folder).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
    entries.any(|name| name.to_string_lossy().starts_with("libonnxruntime.so")).then_some(folder)
}
