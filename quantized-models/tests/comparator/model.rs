//! The narrow comparators and copies of them that tests change.

use std::fs;
use std::path::{Path, PathBuf};

use quantized_models::{Comparator, ComparatorManifest, ImageTokens, LoadError, LoadOptions, RgbImage, RuntimeKind};

pub(crate) use crate::onnxruntime::has_onnxruntime;
use crate::onnxruntime::library;

pub(crate) const FP32: &str = "narrow-smolvlm-fp32";
pub(crate) const PLAIN: &str = "narrow-smolvlm-fp32-plain";
pub(crate) const INDEPENDENT: &str = "narrow-smolvlm-independent-fp32-plain";
pub(crate) const INT8: &str = "narrow-smolvlm-int8-reduced";
/// Two that write answers: with positions in a line, and in rows and columns.
pub(crate) const WRITER: &str = "narrow-smolvlm-long-fp32";
pub(crate) const WRITER_3D: &str = "narrow-qwen2-vl-fp32";

/// Options for one runtime and no other.
pub(crate) fn on(runtime: RuntimeKind) -> LoadOptions {
    let named = std::env::var_os("GEOLOCATED_ONNXRUNTIME").is_some();
    let onnxruntime = if named { None } else { library() };
    // Checkouts may be writable by their group.
    let trust_writable_folders = true;
    LoadOptions { runtime: Some(runtime), onnxruntime, trust_writable_folders, ..LoadOptions::default() }
}

pub(crate) fn folder(name: &str) -> PathBuf {
    let kind = if matches!(name, WRITER | WRITER_3D) { "narrow-generator" } else { "narrow-comparator" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(kind).join(name)
}

pub(crate) fn load(name: &str, runtime: RuntimeKind) -> Result<Comparator, LoadError> {
    Comparator::load(&ComparatorManifest::load(&folder(name)).unwrap(), &on(runtime))
}

/// A picture that differs from those of other seeds in every patch.
pub(crate) fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(48, 40, |x, y| {
        let mixed = (x / 4 + 7).wrapping_mul(2_654_435_761 ^ seed.wrapping_mul(40_503));
        let mixed = (mixed ^ (y / 4 + 3).wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917);
        image::Rgb([(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8])
    })
}

pub(crate) fn see(comparator: &Comparator, seed: u32) -> ImageTokens {
    comparator.see(&picture(seed)).unwrap()
}

/// The margin of two candidates, everything run anew.
pub(crate) fn margin(comparator: &Comparator, [query, first, second]: [u32; 3]) -> f32 {
    let query = comparator.begin(&see(comparator, query)).unwrap();
    let pivot = comparator.first(&query, &see(comparator, first)).unwrap();
    comparator.pair(&pivot, &see(comparator, second)).unwrap()
}

/// A copy of a model that may be changed.
pub(crate) struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    pub(crate) fn of(name: &str) -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap() };
        copy_below(&folder(name), copy.path());
        copy
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces `old`, which must be there, in the manifest.
    pub(crate) fn change(self, old: &str, new: &str) -> Self {
        let path = self.path().join("model.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{old} is not in the manifest");
        fs::write(&path, text.replacen(old, new, 1)).unwrap();
        self
    }

    /// Leaves the table `name` of the manifest out; it must be there, and another one behind it.
    pub(crate) fn without(self, name: &str) -> Self {
        let path = self.path().join("model.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(&format!("[{name}]\n")).unwrap();
        let (_, after) = rest.split_once("\n[").unwrap();
        fs::write(&path, format!("{before}[{after}")).unwrap();
        self
    }

    pub(crate) fn load(&self, runtime: RuntimeKind) -> Result<Comparator, LoadError> {
        Comparator::load(&ComparatorManifest::load(self.path()).unwrap(), &on(runtime))
    }

    /// Why the manifest is refused.
    pub(crate) fn manifest_refusal(&self) -> String {
        ComparatorManifest::load(self.path()).map(drop).expect_err("must be refused").to_string()
    }

    /// Why the model is refused.
    pub(crate) fn refusal(&self, runtime: RuntimeKind) -> LoadError {
        self.load(runtime).map(drop).expect_err("must be refused")
    }
}

fn copy_below(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_below(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
