//! Embeds the catalog, every `quantized-models/catalog/*.toml` by name, and the models that come with the program.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What a model consists of; its model card and other papers are not needed to run it.
const MODEL_FILES: [&str; 7] = ["toml", "onnx", "data", "f32", "jpg", "png", "json"];

fn main() -> Result<(), Box<dyn Error>> {
    let models = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../quantized-models");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("catalog.rs"), catalog(&models.join("catalog"))?)?;
    for name in ["siglip-mini", "vlm-mini"] {
        fs::write(out.join(format!("{name}.rs")), model(&models, &format!("mini/{name}"))?)?;
    }
    Ok(())
}

fn catalog(folder: &Path) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut code = String::from("&[\n");
    for file in files_below(folder, &["toml"])? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        writeln!(code, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    code.push(']');
    Ok(code)
}

/// The files of a model's folder. Where there is none, the list is empty, and the program says so when it is asked for
/// the model.
fn model(models: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    let folder = models.join(name);
    // Of a path that is not there cargo would think that it changes all the time.
    let watched = folder.ancestors().find(|path| path.is_dir()).unwrap_or(models);
    println!("cargo::rerun-if-changed={}", watched.display());
    let mut code = String::from("&[\n");
    if folder.join("model.toml").is_file() {
        let folder = folder.canonicalize()?;
        for file in files_below(&folder, &MODEL_FILES)? {
            println!("cargo::rerun-if-changed={}", file.display());
            let inner = file.strip_prefix(&folder)?.to_string_lossy().into_owned();
            writeln!(code, "    ({inner:?}, include_bytes!({:?}).as_slice()),", file.display().to_string())?;
        }
    }
    code.push(']');
    Ok(code)
}

/// All files with one of these extensions, at any depth, sorted.
fn files_below(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.canonicalize()?]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if extensions.contains(&&*extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
