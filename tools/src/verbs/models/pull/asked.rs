//! What is to be pulled, and whether it is there.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};

use super::super::ModelsFolder;
use super::super::manifest_files::check;
use super::super::names::{is_folder_name, is_repository, is_revision};
use super::super::transfer_bar::TransferBar;
use super::PullArgs;
use super::record::PulledRecord;
use crate::catalog::{CatalogEntry, catalog, find};

/// What is to be pulled, and where to.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) repo: String,
    pub(super) revision: String,
    /// The model's folder.
    pub(super) target: PathBuf,
    pub(super) catalog: Option<CatalogEntry>,
    patterns: Vec<String>,
}

impl Asked {
    /// Reads the arguments: a name in the catalog, or a repository.
    pub(super) fn new(args: &PullArgs, models: &ModelsFolder) -> anyhow::Result<Self> {
        let named = find(&args.model)?;
        let entry = match &named {
            Some(entry) => Some(entry.clone()),
            None => catalog()?.into_iter().find(|entry| entry.repo == args.model),
        };
        let repo = match &named {
            Some(entry) => entry.repo.clone(),
            None if is_repository(&args.model) => args.model.clone(),
            None => {
                let known: Vec<String> = catalog()?.into_iter().map(|entry| entry.name).collect();
                bail!("{:?}: expected ORG/REPO or one of {}", args.model, known.join(", "));
            }
        };
        let usual = entry.as_ref().and_then(|entry| entry.revision.clone()).unwrap_or_else(|| "main".to_owned());
        let revision = args.revision.clone().unwrap_or(usual);
        ensure!(is_revision(&revision), "--revision: expected a branch, a tag or a commit, found {revision:?}");
        let name = named.as_ref().map_or_else(|| repo.rsplit('/').next().unwrap_or_default(), |entry| &*entry.name);
        let target = args.out.clone().unwrap_or_else(|| models.path().join(name));
        let last = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ensure!(is_folder_name(last), "{}: expected the name of a folder of plain letters", target.display());
        Ok(Self { repo, revision, target, catalog: entry, patterns: args.file.clone() })
    }

    /// What was pulled, if it is there, whole, and what is asked for. Said on standard error, if it is there but damaged.
    ///
    /// # Errors
    /// Something else is there.
    pub(super) fn is_there(&self) -> anyhow::Result<Option<PulledRecord>> {
        let target = self.target.display();
        if self.target.symlink_metadata().is_err() {
            return Ok(None);
        }
        let elsewhere = "put it elsewhere with --out, or remove that first";
        let Some(record) = PulledRecord::read(&self.target)? else {
            bail!("{target}: there is something else than a pulled model; {elsewhere}");
        };
        ensure!(record.repo == self.repo, "{target}: there is {}, not {}; {elsewhere}", record.repo, self.repo);
        let same_revision = self.revision == record.revision || self.revision == record.commit;
        if !same_revision || record.patterns != self.patterns {
            return Ok(None);
        }
        let bar = TransferBar::new("verifying", record.file.iter().map(|file| file.bytes).sum());
        for file in &record.file {
            let path = self.target.join(&file.path);
            match check(&path, Some(&file.sha256), &mut |bytes| bar.add(bytes)) {
                Ok(()) => {}
                Err(flaw) => {
                    drop(bar);
                    eprintln!("geolocate: pulling it again: {:#}", flaw.into_error());
                    return Ok(None);
                }
            }
        }
        Ok(Some(record))
    }

    /// Sees that a folder that is to be replaced was pulled before: nothing else is ever removed.
    ///
    /// # Errors
    /// Something else is there.
    pub(super) fn may_replace(&self) -> anyhow::Result<()> {
        if self.target.symlink_metadata().is_err() {
            return Ok(());
        }
        let record = PulledRecord::read(&self.target)?;
        record
            .map(drop)
            .with_context(|| format!("{}: there is something else than a pulled model", self.target.display()))
    }
}
