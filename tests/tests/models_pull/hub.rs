//! A server in Hugging Face's layout with one repository, and the tool that pulls from it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;
use crate::support::binary;
use crate::{content, sha256};

pub const REPO: &str = "org/vision";
pub const COMMIT: &str = "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed";

/// One repository with the files of a vision model, and a folder of models.
pub struct Hub {
    pub server: Server,
    pub folder: TempDir,
}

impl Hub {
    /// Weights of so many bytes.
    pub fn new(weights_bytes: usize) -> Self {
        let hub = Self { server: Server::start(), folder: TempDir::new().unwrap() };
        hub.publish(
            COMMIT,
            &[
                (".gitattributes", b"x".to_vec()),
                ("README.md", b"# Vision".to_vec()),
                ("config.json", b"{\"model_type\": \"siglip\"}".to_vec()),
                ("model.safetensors", content(weights_bytes)),
                ("preprocessor_config.json", b"{}".to_vec()),
                ("tokenizer.json", b"{}".to_vec()),
            ],
        );
        hub
    }

    /// Publishes files as a commit, and as `main`. Weights have digests in the list, as large files do.
    pub fn publish(&self, commit: &str, files: &[(&str, Vec<u8>)]) {
        let siblings: Vec<Value> = files
            .iter()
            .map(|(path, bytes)| {
                let mut sibling = json!({"rfilename": path, "size": bytes.len()});
                if path.ends_with(".safetensors") {
                    sibling["lfs"] = json!({"sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134});
                }
                sibling
            })
            .collect();
        self.list(commit, &json!({"sha": commit, "siblings": siblings, "cardData": {"license": "apache-2.0"}}));
        for (path, bytes) in files {
            self.server.put(&file(commit, path), bytes);
        }
    }

    /// Serves a list of files for a commit and for `main`.
    pub fn list(&self, commit: &str, list: &Value) {
        for revision in [commit, "main"] {
            self.server.put(&format!("/api/models/{REPO}/revision/{revision}"), list.to_string().as_bytes());
        }
    }

    /// `geolocate models ARGUMENTS`, to be changed before it runs.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary("geolocate"));
        command.arg("models").args(arguments).arg("--models").arg(self.folder.path());
        command.env("HF_ENDPOINT", self.server.url(""));
        for variable in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "GEOLOCATED_MODELS", "RUST_LOG"] {
            command.env_remove(variable);
        }
        for variable in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(variable).env_remove(variable.to_uppercase());
        }
        command
    }

    /// Pulls, with arguments, and ends with this status.
    #[track_caller]
    pub fn pull(&self, arguments: &[&str], status: i32) -> Run {
        Run::of(&mut self.command(["pull", REPO].iter().chain(arguments)), status)
    }

    /// The folder of the pulled model.
    pub fn model(&self) -> PathBuf {
        self.folder.path().join("vision")
    }

    /// The names in the folder of models, sorted.
    pub fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

/// The address of a file without the server.
pub fn file(commit: &str, path: &str) -> String {
    format!("/{REPO}/resolve/{commit}/{path}")
}

/// How the tool ended.
pub struct Run {
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs a command, which must end with this status.
    #[track_caller]
    pub fn of(command: &mut Command, status: i32) -> Self {
        let Output { status: found, stdout, stderr } = command.output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found.code(), Some(status), "stdout: {stdout}\nstderr: {stderr}");
        assert!(!stderr.contains("panicked at"), "{stderr}");
        Self { stdout, stderr }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}
