//! Signed generations, made as a fleet's operator makes them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{geolocate, succeeded};

/// A pair of keys.
pub struct Keys {
    pub secret: PathBuf,
    pub public: PathBuf,
}

impl Keys {
    pub fn make(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        succeeded(&geolocate(["sign".as_ref(), "--make-key".as_ref(), path.as_os_str()]));
        Self { secret: path.with_extension("key"), public: path.with_extension("pub") }
    }

    /// The id that minisign shows.
    pub fn id(&self) -> String {
        let text = fs::read_to_string(&self.public).unwrap();
        text.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
    }
}

/// Makes and signs `gen-<counter>` in `folder` from a shard; `more` are arguments of `geolocate sign`.
pub fn make(folder: &Path, counter: u64, shard: &Path, keys: &Keys, more: &[&str]) -> PathBuf {
    let generation = folder.join(format!("gen-{counter}"));
    fs::create_dir_all(&generation).unwrap();
    fs::copy(shard, generation.join("reference.shard")).unwrap();
    sign(&generation, keys, more);
    generation
}

/// Signs what is in a folder.
pub fn sign(generation: &Path, keys: &Keys, more: &[&str]) {
    let mut arguments = vec!["sign".as_ref(), generation.as_os_str(), "--secret-key".as_ref(), keys.secret.as_os_str()];
    arguments.extend(more.iter().map(std::ffi::OsStr::new));
    succeeded(&geolocate(arguments));
}

/// Copies a generation to a device: under another name, and then in place, as an operator should.
pub fn bring(generation: &Path, index: &Path) -> PathBuf {
    fs::create_dir_all(index).unwrap();
    let name = generation.file_name().unwrap();
    let (part, to) = (index.join("part"), index.join(name));
    copy(generation, &part);
    fs::rename(&part, &to).unwrap();
    to
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// Settings of a device that serves from generations.
pub fn settings(folder: &Path, broker: &str, keys: &[&Keys], model: Option<&Path>, more: &str) -> PathBuf {
    let (state, index, path) = (folder.join("state"), folder.join("index"), folder.join("geolocated.toml"));
    let keys: Vec<String> = keys.iter().map(|keys| format!("{:?}", keys.public)).collect();
    let models = model.map(|model| format!("encoder = {model:?}\n")).unwrap_or_default();
    let text = format!(
        "[device]\nsite = \"field\"\nname = \"drone-7\"\nstate_dir = {state:?}\n[mqtt]\nurl = {broker:?}\n\
         [models]\n{models}[index]\ngenerations = {index:?}\nkeys = [{}]\nrescan_s = 0.2\n{more}",
        keys.join(", ")
    );
    fs::write(&path, text).unwrap();
    path
}
