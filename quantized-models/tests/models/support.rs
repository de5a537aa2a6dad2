//! Where tests find their pictures and models.

use std::path::{Path, PathBuf};

/// The content of a file in `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path in the shared folder (`GEOLOCATED_SHARED`, else `../shared` beside the workspace). Where it is absent, `None`
/// after saying which test is skipped; with `GEOLOCATED_REQUIRE_SHARED=1` a failure.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let found = std::env::var_os("GEOLOCATED_SHARED").map_or_else(beside, PathBuf::from).join(path);
    if found.exists() {
        return Some(found);
    }
    assert_ne!(std::env::var("GEOLOCATED_REQUIRE_SHARED").as_deref(), Ok("1"), "{} is required", found.display());
    println!("skipped {test}: no {}", found.display());
    None
}

/// The pictures in `folder` whose names end in `.jpg`, in any case; sorted.
pub(crate) fn jpegs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jpg")));
    paths.sort();
    assert!(!paths.is_empty(), "no pictures in {}", folder.display());
    paths
}
