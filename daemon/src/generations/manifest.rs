//! The signed manifest of a generation.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GenerationError, KeyId};

/// The manifest's name in the folder of its generation.
pub const MANIFEST_NAME: &str = "manifest.json";
/// The name of its signature.
pub const SIGNATURE_NAME: &str = "manifest.json.minisig";
/// The list of golden queries, where there is one.
pub const GOLDEN_NAME: &str = "golden.json";

/// Version of the form.
const FORMAT: u32 = 1;
/// Longest manifest that is read, bytes.
pub(super) const MOST_MANIFEST_BYTES: u64 = 4 << 20;
/// Files that a generation may have.
const MOST_FILES: usize = 10_000;
/// Bytes of a path.
const MOST_PATH_BYTES: usize = 512;

/// What a generation is: its number, its time, its files. All of it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationManifest {
    /// Version of this form: 1.
    pub format: u32,
    /// Number of the generation, from 1; a device accepts none below the highest that it has accepted.
    pub counter: u64,
    /// When it was signed; for a device without a clock it is at least so late.
    pub created: Timestamp,
    /// After this it is not activated any more. What is active goes on serving.
    pub expires: Timestamp,
    /// Ids of keys that count no more from this generation on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revokes: Vec<String>,
    /// All files, each once.
    pub files: Vec<ManifestFile>,
}

/// A file of a generation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// What it is for.
    pub role: FileRole,
    /// Bytes.
    pub length: u64,
    /// SHA-256 of its content, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// A shard of the index.
    Shard,
    /// A file of the encoder; one of them is `model.toml`.
    Model,
    /// A file of the calibration.
    Calibration,
    /// The list of golden queries, `golden.json`, or what it names.
    Golden,
}

impl GenerationManifest {
    /// A manifest in the present form.
    pub fn new(counter: u64, created: Timestamp, expires: Timestamp, mut files: Vec<ManifestFile>) -> Self {
        files.sort();
        Self { format: FORMAT, counter, created, expires, revokes: Vec::new(), files }
    }

    /// Reads a manifest; `path` is where it was read from.
    ///
    /// # Errors
    /// [`GenerationError::Manifest`] with the key, what was expected and what was found.
    pub fn parse(path: &Path, body: &[u8]) -> Result<Self, GenerationError> {
        let refused = |message: String| GenerationError::Manifest { path: path.to_owned(), message };
        let manifest: Self = serde_json::from_slice(body).map_err(|error| refused(error.to_string()))?;
        manifest.check().map_err(refused)?;
        Ok(manifest)
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// The key, what was expected and what was found.
    pub fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format: expected {FORMAT}, found {}", self.format));
        }
        if self.counter == 0 {
            return Err("counter: expected at least 1, found 0".to_owned());
        }
        if self.expires <= self.created {
            return Err(format!("expires: expected a time after {}, found {}", self.created, self.expires));
        }
        if self.files.len() > MOST_FILES {
            return Err(format!("files: expected at most {MOST_FILES}, found {}", self.files.len()));
        }
        for id in &self.revokes {
            id.parse::<KeyId>().map_err(|error| format!("revokes: {error}"))?;
        }
        let mut paths = BTreeSet::new();
        for file in &self.files {
            file.check()?;
            if !paths.insert(&file.path) {
                return Err(format!("files: expected each once, found {} twice", file.path));
            }
        }
        if self.bytes().is_none() {
            return Err("files: expected lengths that a disk can hold, found more".to_owned());
        }
        if self.of(FileRole::Shard).next().is_none() {
            return Err("files: expected at least one of role shard, found none".to_owned());
        }
        let models = self.of(FileRole::Model).filter(|file| file.name() == "model.toml").count();
        let wanted = usize::from(self.of(FileRole::Model).next().is_some());
        if models != wanted {
            return Err(format!("files: expected {wanted} model.toml of role model, found {models}"));
        }
        Ok(())
    }

    /// Its files of one role, in the order of the manifest.
    pub fn of(&self, role: FileRole) -> impl Iterator<Item = &ManifestFile> {
        self.files.iter().filter(move |file| file.role == role)
    }

    /// Bytes of all files; nothing where that is more than a number can hold.
    pub fn bytes(&self) -> Option<u64> {
        self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.length))
    }
}

impl ManifestFile {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let path = Path::new(&self.path);
        let plain = !self.path.is_empty()
            && self.path.len() <= MOST_PATH_BYTES
            && !self.path.chars().any(|letter| letter.is_control() || letter == '\\')
            && path.components().all(|part| matches!(part, Component::Normal(_)))
            && !self.path.ends_with('/')
            && !self.path.contains("//")
            && !self.path.split('/').any(|part| part == ".");
        if !plain {
            return Err(format!("files: expected a plain path below the folder, found {:?}", self.path));
        }
        if [MANIFEST_NAME, SIGNATURE_NAME].contains(&self.path.as_str()) || self.path.ends_with(".part") {
            return Err(format!("files: {:?} cannot be a file of a generation", self.path));
        }
        let is_digest = self.sha256.len() == 64
            && self.sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_digest {
            let expected = "expected 64 lower-case hexadecimal digits";
            return Err(format!("files: {}: sha256: {expected}, found {:?}", self.path, self.sha256));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({
            "format": 1, "counter": 8, "created": "2026-11-01T00:00:00Z", "expires": "2027-11-01T00:00:00Z",
            "files": [{ "path": "a.shard", "role": "shard", "length": 4096, "sha256": "0a".repeat(32) }]
        })
    }

    fn refusal(change: impl Fn(&mut Value)) -> String {
        let mut value = sample();
        change(&mut value);
        GenerationManifest::parse(Path::new("gen-8/manifest.json"), value.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let manifest = GenerationManifest::parse(Path::new("m"), sample().to_string().as_bytes()).unwrap();
        assert_eq!((manifest.counter, manifest.bytes()), (8, Some(4096)));
        assert_eq!(serde_json::to_value(&manifest).unwrap(), sample());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let file = |path: &str| json!({ "path": path, "role": "shard", "length": 1, "sha256": "0a".repeat(32) });
        for (key, value, part) in [
            ("format", json!(2), "format: expected 1, found 2"),
            ("counter", json!(0), "counter: expected at least 1"),
            ("counter", json!(-1), "invalid value"),
            ("expires", json!("2026-01-01T00:00:00Z"), "expires: expected a time after"),
            ("files", json!([]), "at least one of role shard"),
            ("files", json!([file("a.shard"), file("a.shard")]), "found a.shard twice"),
            ("files", json!([file("../a.shard")]), "expected a plain path below the folder"),
            ("files", json!([file("/etc/passwd")]), "expected a plain path"),
            ("files", json!([file("a//b")]), "expected a plain path"),
            ("files", json!([file("./a")]), "expected a plain path"),
            ("files", json!([file("")]), "expected a plain path"),
            ("files", json!([file("manifest.json")]), "cannot be a file of a generation"),
            ("revokes", json!(["red"]), "revokes: expected the id of a key"),
            ("colour", json!("red"), "unknown field"),
        ] {
            let error = refusal(|manifest| manifest[key] = value.clone());
            assert!(error.starts_with("gen-8/manifest.json: ") && error.contains(part), "{key}: {error}");
        }
        let error = refusal(|manifest| manifest["files"][0]["sha256"] = json!("0A".repeat(32)));
        assert!(error.contains("a.shard: sha256: expected 64 lower-case"), "{error}");
        let error = refusal(|manifest| manifest["files"][0]["role"] = json!("paint"));
        assert!(error.contains("unknown variant `paint`, expected one of `shard`"), "{error}");
        let model = json!({ "path": "model/a.onnx", "role": "model", "length": 1, "sha256": "0a".repeat(32) });
        let error = refusal(|manifest| manifest["files"].as_array_mut().unwrap().push(model.clone()));
        assert!(error.contains("expected 1 model.toml of role model, found 0"), "{error}");
        let huge = |path: &str| json!({ "path": path, "role": "shard", "length": u64::MAX, "sha256": "0a".repeat(32) });
        let error = refusal(|manifest| manifest["files"] = json!([huge("a"), huge("b")]));
        assert!(error.contains("lengths that a disk can hold"), "{error}");
    }
}
