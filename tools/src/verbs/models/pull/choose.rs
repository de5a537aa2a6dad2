//! Which files of a repository are pulled.

use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::super::names::fits;
use super::hub::{ListedFile, Listing};
use crate::catalog::CatalogEntry;

/// Most names that an error lists.
const SHOWN: usize = 20;

/// The files to pull: those that fit a pattern; else those that the catalog names; else, of a repository with a
/// `model.toml`, all but hidden ones; else what a vision model needs.
///
/// # Errors
/// Something that is needed or asked for is not there.
pub(super) fn choose<'a>(
    listing: &'a Listing,
    patterns: &[String],
    catalog: Option<&CatalogEntry>,
) -> anyhow::Result<Vec<&'a ListedFile>> {
    let named = |path: &str| listing.files.iter().find(|file| file.path == path);
    let needed = |path: &str| named(path).with_context(|| format!("expected {path}, found only {}", names(listing)));
    let mut chosen: Vec<&ListedFile> = Vec::new();
    if !patterns.is_empty() {
        for pattern in patterns {
            let before = chosen.len();
            chosen.extend(listing.files.iter().filter(|file| fits(&file.path, pattern)));
            ensure!(chosen.len() > before, "--file {pattern}: fits none of {}", names(listing));
        }
    } else if let Some(entry) = catalog.filter(|entry| !entry.files.is_empty()) {
        chosen = entry.files.iter().map(|file| needed(&file.path)).collect::<Result<_, _>>()?;
    } else if named("model.toml").is_some() {
        chosen.extend(listing.files.iter().filter(|file| !file.path.split('/').any(|step| step.starts_with('.'))));
    } else {
        chosen.push(needed("config.json")?);
        chosen.extend(named("preprocessor_config.json"));
        chosen.extend(weights(listing)?);
        chosen.extend(listing.files.iter().filter(|file| is_paper(&file.path)));
    }
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    chosen.dedup_by(|a, b| a.path == b.path);
    Ok(chosen)
}

/// `model.safetensors`, or its index with the parts.
fn weights(listing: &Listing) -> anyhow::Result<Vec<&ListedFile>> {
    let fitting = |pattern: &str| {
        let files = listing.files.iter().filter(|file| !file.path.contains('/') && fits(&file.path, pattern));
        files.collect::<Vec<_>>()
    };
    for pattern in ["model.safetensors", "model.safetensors.index.json"] {
        let mut found = fitting(pattern);
        if found.is_empty() {
            continue;
        }
        if pattern.ends_with(".json") {
            let parts = fitting("model-*-of-*.safetensors");
            ensure!(!parts.is_empty(), "expected the parts that {pattern} names, found only {}", names(listing));
            found.extend(parts);
        }
        return Ok(found);
    }
    match &*fitting("*.safetensors") {
        [only] => Ok(vec![only]),
        [] if !fitting("pytorch_model*.bin").is_empty() => bail!(
            "expected *.safetensors, found pytorch_model.bin: a pickle, which can run code when it is read; look for a \
             revision with safetensors (--revision refs/pr/N), or take it all the same with --file"
        ),
        _ => bail!("expected model.safetensors, found {}: choose with --file", names(listing)),
    }
}

/// Licences and model cards go where the weights go.
fn is_paper(path: &str) -> bool {
    let name = path.to_ascii_uppercase();
    !path.contains('/') && ["LICENSE", "LICENCE", "NOTICE", "README.MD"].iter().any(|start| name.starts_with(start))
}

fn names(listing: &Listing) -> String {
    let names: Vec<&str> = listing.files.iter().take(SHOWN).map(|file| file.path.as_str()).collect();
    let more = if listing.files.len() > SHOWN { ", ..." } else { "" };
    if names.is_empty() { "nothing".to_owned() } else { format!("{}{more}", names.join(", ")) }
}

/// Sees that every part that an index of weights names is among the files that were pulled.
///
/// # Errors
/// The part that is missing.
pub(super) fn check_index(folder: &Path, chosen: &[&ListedFile]) -> anyhow::Result<()> {
    for file in chosen.iter().filter(|file| file.path.ends_with(".safetensors.index.json")) {
        let path = folder.join(&file.path);
        let text = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let index: serde_json::Value =
            serde_json::from_slice(&text).with_context(|| format!("{}: not JSON", path.display()))?;
        let map = index.get("weight_map").and_then(serde_json::Value::as_object);
        let map =
            map.with_context(|| format!("{}: weight_map: expected names of files, found none", path.display()))?;
        let beside = |part: &str| match file.path.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{part}"),
            None => part.to_owned(),
        };
        for part in map.values() {
            let name = part.as_str().map(beside).unwrap_or_default();
            let is_there = chosen.iter().any(|file| file.path == name);
            ensure!(is_there, "{}: weight_map: names {part}, which is not among the pulled files", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        let file = |path: &&str| ListedFile { path: (*path).to_owned(), bytes: None, sha256: None };
        Listing { commit: String::new(), files: paths.iter().map(file).collect(), licence: None }
    }

    fn chosen(paths: &[&str], patterns: &[&str]) -> Result<Vec<String>, String> {
        let listing = listing(paths);
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        let chosen = choose(&listing, &patterns, None).map_err(|error| error.to_string())?;
        Ok(chosen.iter().map(|file| file.path.clone()).collect())
    }

    #[test]
    fn a_vision_model_needs_its_configuration_and_its_weights() {
        let usual = [
            ".gitattributes",
            "README.md",
            "config.json",
            "model.safetensors",
            "onnx/model.onnx",
            "preprocessor_config.json",
            "pytorch_model.bin",
            "tokenizer.json",
        ];
        let expected = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"];
        assert_eq!(chosen(&usual, &[]).unwrap(), expected);
        let parts = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "other.safetensors",
        ];
        assert_eq!(chosen(&parts, &[]).unwrap(), &parts[..4]);
        assert_eq!(chosen(&["config.json", "open_clip.safetensors"], &[]).unwrap().len(), 2);
    }

    #[test]
    fn patterns_and_ready_models_are_taken_as_they_are() {
        assert_eq!(chosen(&["a.onnx", "b.onnx", "c"], &["*.onnx", "a*"]).unwrap(), ["a.onnx", "b.onnx"]);
        let ready = [".gitattributes", "golden/a.jpg", "model.onnx", "model.toml"];
        assert_eq!(chosen(&ready, &[]).unwrap(), &ready[1..]);
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        for (paths, patterns, part) in [
            (&["model.safetensors"][..], &[][..], "expected config.json, found only model.safetensors"),
            (&["config.json", "pytorch_model.bin"], &[], "a pickle"),
            (&["config.json", "a.safetensors", "b.safetensors"], &[], "choose with --file"),
            (&["config.json", "model.safetensors.index.json"], &[], "expected the parts"),
            (&["a"], &["b*"], "--file b*: fits none of a"),
            (&[], &[], "found only nothing"),
        ] {
            let error = chosen(paths, patterns).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_parts_that_an_index_names_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let files = listing(&["model-1-of-1.safetensors", "model.safetensors.index.json"]);
        let chosen: Vec<&ListedFile> = files.files.iter().collect();
        let check = |text: &str| {
            std::fs::write(folder.path().join("model.safetensors.index.json"), text).unwrap();
            check_index(folder.path(), &chosen).map_err(|error| error.to_string())
        };
        check("{\"weight_map\": {\"a\": \"model-1-of-1.safetensors\"}}").unwrap();
        assert!(check("{\"weight_map\": {\"a\": \"../x.safetensors\"}}").unwrap_err().contains("../x.safetensors"));
        assert!(check("{}").unwrap_err().contains("weight_map"));
    }
}
