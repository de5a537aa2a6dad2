//! The files that a manifest names, with their digests.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use quantized_models::Manifest;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// A file of a model, relative to the folder of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFile {
    /// Inside the model's folder.
    pub path: PathBuf,
    /// What its SHA-256 should be, where the manifest says so.
    pub sha256: Option<String>,
}

/// All files that a manifest names: graphs with their weights, golden pictures and vectors; each once. The manifest has
/// been read and checked before.
///
/// # Errors
/// The manifest cannot be read again.
pub fn files(manifest: &Manifest) -> anyhow::Result<Vec<ModelFile>> {
    let mut files = Vec::new();
    collect(&Value::Table(table(manifest)?), &mut files);
    files.sort();
    files.dedup_by(|next, before| next.path == before.path && (next.sha256.is_none() || next.sha256 == before.sha256));
    Ok(files)
}

/// Tables with `file` and its `sha256`, and those of goldens with `image` and `embedding`, however deep.
fn collect(value: &Value, files: &mut Vec<ModelFile>) {
    match value {
        Value::Table(table) => {
            let text = |key: &str| table.get(key).and_then(Value::as_str);
            let sha256 = text("sha256").map(str::to_lowercase);
            files.extend(text("file").map(|file| ModelFile { path: file.into(), sha256 }));
            if let (Some(image), Some(embedding)) = (text("image"), text("embedding")) {
                files.extend([image, embedding].map(|file| ModelFile { path: file.into(), sha256: None }));
            }
            table.values().for_each(|value| collect(value, files));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, files)),
        _ => {}
    }
}

/// The runtimes that a manifest prefers, first the best; none where it leaves that to the program.
///
/// # Errors
/// The manifest cannot be read again.
pub fn runtimes(manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let order = table(manifest)?.get("runtime").and_then(|runtime| runtime.get("order")?.as_array()).cloned();
    let names = order.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
    Ok(names.collect())
}

fn table(manifest: &Manifest) -> anyhow::Result<Table> {
    let path = manifest.path();
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    text.parse().with_context(|| format!("{}: not TOML", path.display()))
}

/// The folder of a manifest.
pub fn folder(manifest: &Manifest) -> &Path {
    let folder = manifest.path().parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Flaw {
    /// It is not what it should be, in words that name it.
    Damaged(String),
    /// It cannot be read.
    Unreadable(anyhow::Error),
}

impl Flaw {
    /// The same as an error.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Self::Damaged(text) => anyhow::Error::msg(text),
            Self::Unreadable(error) => error,
        }
    }
}

/// Compares a file with its digest; only sees whether it is there, where none is known. `on_bytes` is told how many
/// bytes were read.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path, sha256: Option<&str>, on_bytes: &mut dyn FnMut(u64)) -> Result<(), Flaw> {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Flaw::Damaged(format!("{}: missing", path.display())),
        _ => Flaw::Unreadable(anyhow::Error::new(error).context(format!("{}: cannot be read", path.display()))),
    };
    if !fs::metadata(path).map_err(missing)?.is_file() {
        return Err(Flaw::Damaged(format!("{}: expected a file, found something else", path.display())));
    }
    let Some(expected) = sha256 else { return Ok(()) };
    let found = sha256_of(path, on_bytes).map_err(missing)?;
    if found == expected {
        return Ok(());
    }
    Err(Flaw::Damaged(format!("{}: expected sha256 {expected}, found {found}", path.display())))
}

/// SHA-256 of a file, 64 lower-case hexadecimal digits.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of(path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; BUFFER_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                on_bytes(read as u64);
            }
        }
    }
}

/// Length of a file, 0 where it is not there.
pub fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Refuses a manifest that names a file which leads out of its folder by a symbolic link.
///
/// # Errors
/// The file, and where it leads.
pub fn stays_inside(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let inside = folder.canonicalize().with_context(|| format!("{}: cannot be read", folder.display()))?;
    let path = folder.join(file);
    let leads_to = path.canonicalize().with_context(|| format!("{}: cannot be read", path.display()))?;
    if leads_to.starts_with(&inside) {
        return Ok(());
    }
    bail!("{}: expected a file in the model's folder, found a link to {}", path.display(), leads_to.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_their_data_and_goldens_are_found_however_deep() {
        let text = "[graph]\nfile = \"a.onnx\"\nsha256 = \"AB\"\n[[graph.data]]\nfile = \"a.data\"\nsha256 = \"cd\"\n\
                    [graph.query]\nfile = \"q.onnx\"\nsha256 = \"ef\"\n\
                    [[golden]]\nimage = \"g/a.jpg\"\nembedding = \"g/a.f32\"\nmin_cosine = 0.9\n";
        let mut files = Vec::new();
        collect(&Value::Table(text.parse().unwrap()), &mut files);
        files.sort();
        let found: Vec<(&str, Option<&str>)> =
            files.iter().map(|file| (file.path.to_str().unwrap(), file.sha256.as_deref())).collect();
        let expected = [
            ("a.data", Some("cd")),
            ("a.onnx", Some("ab")),
            ("g/a.f32", None),
            ("g/a.jpg", None),
            ("q.onnx", Some("ef")),
        ];
        assert_eq!(found, expected);
    }
}
