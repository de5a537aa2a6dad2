//! Imagery and models that lie beside the project and are not part of it.

use std::path::{Path, PathBuf};

/// The folder of shared imagery, or `None`, after a line that names the test, where it is absent. Where
/// `GEOLOCATED_REQUIRE_SHARED=1` its absence is a failure.
pub fn shared(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("GEOLOCATED_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    if folder.join("imagery").is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    let required = std::env::var("GEOLOCATED_REQUIRE_SHARED").is_ok_and(|value| value == "1");
    assert!(!required, "{test} needs shared imagery at {} (GEOLOCATED_SHARED)", folder.display());
    eprintln!("skipped: {test}: no shared imagery at {}", folder.display());
    None
}

/// One flight with its references and queries, and the model for it.
pub struct Flight {
    pub images: PathBuf,
    pub poses: PathBuf,
    pub split: PathBuf,
    pub model: PathBuf,
    shared: PathBuf,
}

impl Flight {
    /// The flight over a road-construction site.
    pub fn caliterra(test: &str) -> Option<Self> {
        let shared = shared(test)?;
        let set = shared.join("imagery/caliterra");
        Some(Self {
            images: set.join("images"),
            poses: set.join("poses.csv"),
            split: set.join("split.csv"),
            model: shared.join("encoders/mobilenetv3_small_576/model_w8.toml"),
            shared,
        })
    }

    /// A file below the shared imagery.
    pub fn imagery(&self, path: &str) -> PathBuf {
        self.shared.join("imagery").join(path)
    }

    /// Builds the shard of the reference frames in `folder`.
    pub fn build(&self, folder: &Path) -> PathBuf {
        let shard = folder.join("reference.shard");
        let paths = [("--images", &self.images), ("--poses", &self.poses), ("--split", &self.split)];
        let mut arguments: Vec<std::ffi::OsString> = vec!["build".into(), "--role".into(), "reference".into()];
        for (flag, path) in paths.into_iter().chain([("--encoder", &self.model), ("--out", &shard)]) {
            arguments.extend([flag.into(), path.into()]);
        }
        super::succeeded(&super::geolocate(arguments));
        shard
    }

    /// Builds a shard in `folder` that adds frames to a base and removes references from it.
    pub fn build_delta(&self, folder: &Path, base: &Path, added: &[&String], removed: &[&String]) -> PathBuf {
        let [delta, poses, gone] = ["delta.shard", "delta.csv", "gone.txt"].map(|name| folder.join(name));
        let text = std::fs::read_to_string(&self.poses).unwrap();
        let is_added = |line: &&str| line.split(',').next().is_some_and(|file| added.iter().any(|name| *name == file));
        let rows = text.lines().take(1).chain(text.lines().filter(is_added));
        std::fs::write(&poses, rows.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        std::fs::write(&gone, removed.iter().map(|name| format!("{name}\n")).collect::<String>()).unwrap();
        let paths =
            [("--images", &*self.images), ("--poses", &poses), ("--encoder", &self.model), ("--replaces", base)];
        let mut arguments: Vec<std::ffi::OsString> = vec!["build".into()];
        for (flag, path) in paths.into_iter().chain([("--remove", &*gone), ("--out", &*delta)]) {
            arguments.extend([flag.into(), path.into()]);
        }
        super::succeeded(&super::geolocate(arguments));
        delta
    }

    /// Names of the frames with a role, in the order of the split.
    pub fn files(&self, role: &str) -> Vec<String> {
        let text = std::fs::read_to_string(&self.split).unwrap();
        let rows = text.lines().filter_map(|line| line.split_once(','));
        rows.filter(|(_, found)| *found == role).map(|(file, _)| file.to_owned()).collect()
    }

    /// Where each frame was taken: file, latitude, longitude.
    pub fn truth(&self) -> Vec<(String, f64, f64)> {
        let text = std::fs::read_to_string(&self.poses).unwrap();
        let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        rows.map(|row| (row[0].to_owned(), row[1].parse().unwrap(), row[2].parse().unwrap())).collect()
    }

    /// The bytes of a frame.
    pub fn frame(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.images.join(file)).unwrap()
    }
}
