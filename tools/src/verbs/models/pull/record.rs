//! What was pulled: the file `pulled.toml` in a model's folder.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::super::names::{is_digest, is_inner_path};

const FORMAT: u32 = 1;

/// Where the files of a folder come from, and what they were when they were pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PulledRecord {
    pub(crate) format: u32,
    /// The server.
    pub(crate) endpoint: String,
    /// `ORG/NAME`.
    pub(crate) repo: String,
    /// What was asked for: a branch, a tag or a commit.
    pub(crate) revision: String,
    /// What it was at that time.
    pub(crate) commit: String,
    /// As the catalog or the server states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) licence: Option<String>,
    /// The patterns of files that were asked for; none for the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) patterns: Vec<String>,
    /// The files, by path.
    pub(crate) file: Vec<PulledFile>,
}

/// One pulled file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PulledFile {
    /// Inside the folder, as in the repository.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// 64 lower-case hexadecimal digits.
    pub(crate) sha256: String,
    /// Who said beforehand that this is its digest.
    pub(crate) digest_from: DigestFrom,
}

/// Who said which digest a file should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DigestFrom {
    /// The catalog.
    Catalog,
    /// The lock file: an earlier pull.
    Lock,
    /// The server's list of files.
    Listing,
    /// Nobody: it was recorded when the file came for the first time.
    FirstPull,
}

impl std::fmt::Display for DigestFrom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Catalog => "digest from the catalog",
            Self::Lock => "digest from an earlier pull",
            Self::Listing => "digest from the server's list",
            Self::FirstPull => "recorded at the first pull",
        })
    }
}

impl PulledRecord {
    /// The name of the file.
    pub(crate) const FILE: &'static str = "pulled.toml";

    /// What was pulled into a folder; `None` where nothing was.
    ///
    /// # Errors
    /// The file is there and does not read.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
        };
        let record: Self = match toml::from_str(&text) {
            Ok(record) => record,
            Err(error) => bail!("{}: {}", path.display(), error.message()),
        };
        let (found, shown) = (record.format, path.display());
        ensure!(found == FORMAT, "{shown}: format: expected {FORMAT}, found {found}");
        let bad = record.file.iter().find(|file| !is_inner_path(&file.path) || !is_digest(&file.sha256));
        match bad {
            Some(file) => bail!("{shown}: file: expected paths inside the folder and digests, found {file:?}"),
            None => Ok(Some(record)),
        }
    }

    /// The record as a file holds it.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        Ok(format!(
            "# What was pulled into this folder. Written by `geolocate models pull`.\n{}",
            toml::to_string(self)?
        ))
    }

    /// A record of nothing yet.
    pub(crate) fn of(endpoint: &str, repo: &str, revision: &str, commit: &str) -> Self {
        Self {
            format: FORMAT,
            endpoint: endpoint.to_owned(),
            repo: repo.to_owned(),
            revision: revision.to_owned(),
            commit: commit.to_owned(),
            licence: None,
            patterns: Vec::new(),
            file: Vec::new(),
        }
    }
}
