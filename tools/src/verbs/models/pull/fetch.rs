//! Fetches the files of one commit into an unfinished folder.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use geolocated::download::{Download, DownloadError, free_bytes};

use super::super::manifest_files::{length, sha256_of};
use super::super::publish::parent;
use super::super::transfer_bar::TransferBar;
use super::asked::Asked;
use super::hub::{Hub, ListedFile, Listing};
use super::lock::LockFile;
use super::record::{DigestFrom, PulledFile};

/// Longest file whose length nobody knows before.
const MAX_UNKNOWN_BYTES: u64 = 64 << 30;

/// A file, and what it should be.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    file: &'a ListedFile,
    bytes: Option<u64>,
    /// Digest, and who says so.
    sha256: Option<String>,
    digest_from: DigestFrom,
}

impl<'a> Wanted<'a> {
    /// What is known of a file: by the catalog, an earlier pull, the server's list, in this order; they must agree.
    pub(super) fn new(
        file: &'a ListedFile,
        asked: &Asked,
        listing: &Listing,
        lock: Option<&LockFile>,
    ) -> anyhow::Result<Self> {
        let mut entries = asked.catalog.iter().flat_map(|entry| &entry.files);
        let catalog = entries.find(|entry| entry.path == file.path);
        let locked = lock.and_then(|lock| lock.sha256(&asked.repo, &listing.commit, &file.path));
        let known = [
            (catalog.and_then(|entry| entry.sha256.clone()), DigestFrom::Catalog, "the catalog"),
            (locked.map(str::to_owned), DigestFrom::Lock, "the first pull (models.lock; --accept-new forgets it)"),
            (file.sha256.clone(), DigestFrom::Listing, "the server's list"),
        ];
        let mut known = known.into_iter().filter_map(|(sha256, from, who)| sha256.map(|sha256| (sha256, from, who)));
        let Some((sha256, digest_from, first)) = known.next() else {
            return Ok(Self { file, bytes: file.bytes, sha256: None, digest_from: DigestFrom::FirstPull });
        };
        for (other, _, second) in known {
            let (repo, path) = (&asked.repo, &file.path);
            ensure!(other == sha256, "{repo}: {path}: sha256 {sha256} by {first}, but {other} by {second}");
        }
        let bytes = catalog.and_then(|entry| entry.bytes).or(file.bytes);
        Ok(Self { file, bytes, sha256: Some(sha256), digest_from })
    }
}

/// The files of one commit on their way into a folder.
pub(super) struct Fetch<'a> {
    hub: &'a Hub,
    repo: &'a str,
    commit: &'a str,
    folder: &'a Path,
    lock: &'a LockFile,
    bar: TransferBar,
    /// Bytes of the files before the one that comes.
    done_bytes: u64,
    pub(super) fetched_bytes: u64,
    pub(super) resumed_bytes: u64,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(hub: &'a Hub, repo: &'a str, commit: &'a str, folder: &'a Path, lock: &'a LockFile) -> Self {
        let bar = TransferBar::new(repo, 0);
        Self { hub, repo, commit, folder, lock, bar, done_bytes: 0, fetched_bytes: 0, resumed_bytes: 0 }
    }

    /// Refuses to begin what would not fit on the disk.
    pub(super) fn check_space(&self, wanted: &[Wanted<'_>]) -> anyhow::Result<()> {
        let there = |path: &Path| length(path).max(length(&path.with_added_extension("part")));
        let missing = |wanted: &Wanted<'_>| {
            wanted.bytes.unwrap_or_default().saturating_sub(there(&self.folder.join(&wanted.file.path)))
        };
        let needed = wanted.iter().map(missing).fold(0_u64, u64::saturating_add);
        let free = free_bytes(self.folder).with_context(|| format!("{}: cannot be asked", self.folder.display()))?;
        let (repo, folder) = (self.repo, parent(self.folder).display());
        ensure!(needed <= free, "{repo}: {needed} bytes are needed in {folder}, {free} are free on its disk");
        let total = wanted.iter().filter_map(|wanted| wanted.bytes).fold(0_u64, u64::saturating_add);
        self.bar.set(total);
        self.bar.set(0);
        Ok(())
    }

    /// Fetches all files, small ones first: what is wrong with a repository then shows early.
    pub(super) fn all(&mut self, wanted: &[Wanted<'_>]) -> anyhow::Result<Vec<PulledFile>> {
        let mut order: Vec<&Wanted<'_>> = wanted.iter().collect();
        order.sort_by_key(|wanted| wanted.bytes.unwrap_or(u64::MAX));
        let mut files = order.into_iter().map(|wanted| self.one(wanted)).collect::<Result<Vec<_>, _>>()?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn one(&mut self, wanted: &Wanted<'_>) -> anyhow::Result<PulledFile> {
        let path = &wanted.file.path;
        let to = self.folder.join(path);
        self.bar.say(format!("{} {path}", self.repo));
        fs::create_dir_all(parent(&to)).with_context(|| format!("{}: cannot be made", parent(&to).display()))?;
        let (sha256, bytes) = match self.complete(wanted, &to)? {
            Some(sha256) => {
                self.resumed_bytes += length(&to);
                (sha256, length(&to))
            }
            None => self.download(wanted, &to)?,
        };
        self.done_bytes += bytes;
        self.bar.set(self.done_bytes);
        Ok(PulledFile { path: path.clone(), bytes, sha256, digest_from: wanted.digest_from })
    }

    /// The digest of a file that an interrupted pull had fetched completely.
    fn complete(&self, wanted: &Wanted<'_>, to: &Path) -> anyhow::Result<Option<String>> {
        if !to.is_file() || wanted.bytes.is_some_and(|bytes| bytes != length(to)) {
            return Ok(None);
        }
        let found = sha256_of(to, &mut |_| {}).with_context(|| format!("{}: cannot be read", to.display()))?;
        Ok(Some(found).filter(|found| wanted.sha256.as_ref().is_none_or(|sha256| sha256 == found)))
    }

    fn download(&mut self, wanted: &Wanted<'_>, to: &Path) -> anyhow::Result<(String, u64)> {
        let url = self.hub.file_url(self.repo, self.commit, &wanted.file.path)?;
        let max_bytes = wanted.bytes.unwrap_or(MAX_UNKNOWN_BYTES);
        let download = Download { url: &url, to, bytes: wanted.bytes, sha256: wanted.sha256.as_deref(), max_bytes };
        let (bar, before) = (&self.bar, self.done_bytes);
        let fetched = self.hub.downloader.fetch(&download, &mut |progress| {
            match progress.waiting {
                Some(left) => bar.say(format!("trying again in {} s", left.as_secs() + 1)),
                None => bar.say(format!("{} {}", self.repo, wanted.file.path)),
            }
            bar.set(before + progress.bytes);
            ControlFlow::Continue(())
        });
        match fetched {
            Ok(done) => {
                self.resumed_bytes += done.resumed_bytes;
                self.fetched_bytes += done.bytes - done.resumed_bytes;
                Ok((done.sha256, done.bytes))
            }
            Err(error @ DownloadError::Digest { .. }) if wanted.digest_from == DigestFrom::Lock => {
                let lock = self.lock.path().display();
                bail!("{error}; {lock} has what was first pulled, and --accept-new takes what the server has now")
            }
            Err(error) => Err(self.hub.explained(error, self.repo)),
        }
    }
}
