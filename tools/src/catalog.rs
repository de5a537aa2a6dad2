//! Public models that are known by name: where their files lie, under which licence, what they give.
//!
//! One file each in `quantized-models/catalog/`, embedded here. Digests stand there only where somebody compared them;
//! for all other files the first pull records them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::verbs::models::names::{is_digest, is_folder_name, is_inner_path, is_repository};

/// The files of the catalog: name and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalog.rs"));

/// A public model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogEntry {
    /// Its name here, that of its file.
    pub name: String,
    /// `encoder`, `comparator` or `generator`.
    pub kind: String,
    /// `ORG/NAME` on a server that speaks Hugging Face's layout.
    pub repo: String,
    /// Branch, tag or commit; `main` where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Licence of the weights, as an SPDX expression where there is one.
    pub licence: String,
    /// Width of its vectors.
    pub dimensions: usize,
    /// Side of the square picture that it takes, in pixels.
    pub input_px: u32,
    /// The recipe that makes an encoder of the pulled files.
    pub recipe: String,
    /// The files that are pulled; where none are named, those that a vision model needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<CatalogFile>,
}

/// A file of a public model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// Its path in the repository.
    pub path: String,
    /// Its SHA-256, 64 lower-case hexadecimal digits, where it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its length, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What is wrong with a file of the catalog.
#[derive(Debug, Error)]
#[error("catalog/{file}: {reason}")]
pub struct CatalogError {
    file: String,
    reason: String,
}

/// All public models, by name.
///
/// # Errors
/// A file of the catalog does not read; a test sees that each does.
pub fn catalog() -> Result<Vec<CatalogEntry>, CatalogError> {
    FILES.iter().map(|(file, text)| entry(file, text)).collect()
}

/// The public model of this name.
///
/// # Errors
/// As [`catalog`].
pub fn find(name: &str) -> Result<Option<CatalogEntry>, CatalogError> {
    Ok(catalog()?.into_iter().find(|entry| entry.name == name))
}

fn entry(file: &str, text: &str) -> Result<CatalogEntry, CatalogError> {
    let refused = |reason: String| CatalogError { file: file.to_owned(), reason };
    let entry: CatalogEntry = toml::from_str(text).map_err(|error| refused(error.message().to_owned()))?;
    let checks = [
        ("name", is_folder_name(&entry.name) && file == format!("{}.toml", entry.name), "the name of its file"),
        ("kind", matches!(&*entry.kind, "encoder" | "comparator" | "generator"), "encoder, comparator or generator"),
        ("repo", is_repository(&entry.repo), "ORG/NAME"),
        ("files.path", entry.files.iter().all(|file| is_inner_path(&file.path)), "paths inside the repository"),
        (
            "files.sha256",
            entry.files.iter().filter_map(|file| file.sha256.as_deref()).all(is_digest),
            "64 lower-case hexadecimal digits",
        ),
    ];
    match checks.into_iter().find(|(_, holds, _)| !holds) {
        Some((key, _, expected)) => Err(refused(format!("{key}: expected {expected}"))),
        None => Ok(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_catalog_reads_and_has_a_name_of_its_own() {
        let entries = catalog().unwrap();
        assert!(entries.len() >= 2);
        let names: std::collections::BTreeSet<&str> = entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names.len(), entries.len());
        assert_eq!(find("siglip-base-patch16-224").unwrap().unwrap().repo, "google/siglip-base-patch16-224");
        assert_eq!(find("no-such-model").unwrap(), None);
    }

    #[test]
    fn an_entry_that_would_lead_elsewhere_is_refused_by_key() {
        let good = "name = \"a\"\nkind = \"encoder\"\nrepo = \"o/a\"\nlicence = \"MIT\"\ndimensions = 8\n\
                    input_px = 8\nrecipe = \"r\"\n[[files]]\npath = \"a.json\"\n";
        entry("a.toml", good).unwrap();
        for (from, to, key) in [
            ("name = \"a\"", "name = \"../a\"", "name"),
            ("o/a", "o/../a", "repo"),
            ("a.json", "../a.json", "files.path"),
            ("encoder", "engine", "kind"),
            ("path = \"a.json\"", "path = \"a.json\"\nsha256 = \"12\"", "files.sha256"),
            ("recipe", "receipt", "unknown field"),
        ] {
            let error = entry("a.toml", &good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
