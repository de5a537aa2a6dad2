//! `geolocate models pull`.

mod asked;
mod choose;
mod fetch;
mod hub;
mod lock;
pub(crate) mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;

use self::asked::Asked;
use self::choose::{check_index, choose};
use self::fetch::{Fetch, Wanted};
use self::hub::{Hub, ListedFile, Listing, is_offline};
use self::lock::LockFile;
use self::record::{PulledFile, PulledRecord};
use super::ModelsFolder;
use super::held::shown_bytes;
use super::manifest_files::{self, Described};
use super::publish::{Staging, parent};
use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Pulls the files of a public model from a server that speaks Hugging Face's layout.
///
/// The files that a vision model needs (--file chooses others) come at one commit, each checked against its digest: that
/// of the catalog, of an earlier pull (models.lock), or of the server's list; where none is known, the first pull
/// records it. The folder appears whole or not at all; what was interrupted goes on where it was.
///
/// Environment: HF_ENDPOINT (https://huggingface.co), HF_TOKEN or HUGGING_FACE_HUB_TOKEN, HF_HUB_OFFLINE=1 (does not go
/// out, and takes what is there), HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate models pull siglip-base-patch16-224\n  \
    geolocate models pull google/siglip-base-patch16-224 --revision main --out siglip\n  \
    HF_ENDPOINT=http://mirror.local:8080 geolocate models pull org/repo --file '*.onnx' --file model.toml")]
pub(super) struct PullArgs {
    /// A name in the catalog (`models list`), or ORG/REPO
    #[arg(value_name = "NAME|ORG/REPO")]
    model: String,
    /// Branch, tag or commit [default: that of the catalog, or main]
    #[arg(long, value_name = "R")]
    revision: Option<String>,
    /// Pull the files that fit this pattern (* and ?) instead of the usual ones; may be given several times
    #[arg(long, value_name = "PATTERN")]
    file: Vec<String>,
    /// Put the model into this folder instead of the folder of models
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take what the server has now, though an earlier pull recorded another commit or other digests
    #[arg(long)]
    accept_new: bool,
    /// Seconds without a byte after which a connection counts as dead
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_s: u64,
}

/// What came of a pull.
#[derive(Debug, Serialize)]
struct Pulled {
    path: PathBuf,
    already_there: bool,
    repo: String,
    revision: String,
    commit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    licence: Option<String>,
    files: Vec<PulledFile>,
    /// Of all files.
    bytes: u64,
    /// Bytes that came over the network now.
    fetched_bytes: u64,
    /// Bytes that an interrupted pull had left.
    resumed_bytes: u64,
}

/// Runs the verb.
///
/// # Errors
/// There is no such model, the server does not give it, its files are not what they should be, or they cannot be
/// written.
pub(super) fn run(args: &PullArgs, models: &ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let asked = Asked::new(args, models)?;
    let found = if args.accept_new { asked.may_replace().map(|()| None)? } else { asked.is_there()? };
    let pulled = match found {
        Some(record) => Pulled::new(&asked, record, true),
        None => pull(args, &asked)?,
    };
    say(json, &pulled.text(&asked))?;
    if let Some(json) = json {
        json.write(&pulled)?;
    }
    Ok(Status::Done)
}

fn pull(args: &PullArgs, asked: &Asked) -> anyhow::Result<Pulled> {
    let (repo, target) = (&asked.repo, &asked.target);
    let offline = "HF_HUB_OFFLINE is set, and it is not there whole";
    ensure!(!is_offline(), "{}: {repo} at {}: {offline}", target.display(), asked.revision);
    let hub = Hub::from_environment(Duration::from_secs(args.timeout_s))?;
    let folder = parent(target);
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let lock = LockFile::read(folder)?;
    let listing = listing(&hub, asked, &lock, args.accept_new)?;
    let chosen = choose(&listing, &args.file, asked.catalog.as_ref()).with_context(|| repo.clone())?;
    let known = if args.accept_new { None } else { Some(&lock) };
    let wanted: Vec<Wanted<'_>> =
        chosen.iter().map(|file| Wanted::new(file, asked, &listing, known)).collect::<Result<_, _>>()?;
    let tag: String = listing.commit.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    let staging = Staging::open(target, &tag)?;
    let mut fetch = Fetch::new(&hub, repo, &listing.commit, staging.path(), &lock);
    fetch.check_space(&wanted)?;
    let mut record = PulledRecord::of(&hub.endpoint(), repo, &asked.revision, &listing.commit);
    record.licence = asked.catalog.as_ref().map(|entry| entry.licence.clone()).or_else(|| listing.licence.clone());
    record.patterns.clone_from(&args.file);
    record.file = fetch.all(&wanted)?;
    let (fetched_bytes, resumed_bytes) = (fetch.fetched_bytes, fetch.resumed_bytes);
    drop(fetch);
    finish(staging, folder, &chosen, &record)?;
    Ok(Pulled { fetched_bytes, resumed_bytes, ..Pulled::new(asked, record, false) })
}

/// The list of files at the commit of an earlier pull, or, when there was none or it does not count, at what was asked.
fn listing(hub: &Hub, asked: &Asked, lock: &LockFile, accept_new: bool) -> anyhow::Result<Listing> {
    let Asked { repo, revision, .. } = asked;
    let Some(locked) = lock.commit(repo, revision).filter(|_| !accept_new) else {
        return hub.listing(repo, revision);
    };
    match hub.listing(repo, locked) {
        Ok(listing) if listing.commit == locked => return Ok(listing),
        Ok(_) => {}
        Err(first) => match hub.listing(repo, revision) {
            Ok(listing) if listing.commit == locked => return Ok(listing),
            Ok(_) => {}
            // Whatever the reason is, it is the same for both.
            Err(_) => return Err(first),
        },
    }
    let path = lock.path().display();
    bail!(
        "{repo}: {revision} was commit {locked} when it was first pulled ({path}), and the server does not give that any \
         more; --accept-new takes what {revision} is now"
    )
}

/// Looks at what was pulled as a whole, records it, and gives it its name.
fn finish(staging: Staging, folder: &Path, chosen: &[&ListedFile], record: &PulledRecord) -> anyhow::Result<()> {
    let inner: Vec<&Path> = record.file.iter().map(|file| Path::new(&*file.path)).collect();
    staging.keep_only(&inner)?;
    check_documents(staging.path(), &inner)?;
    check_index(staging.path(), chosen)?;
    if inner.contains(&Path::new("model.toml")) {
        check_model(staging.path())?;
    }
    LockFile::record(folder, record)?;
    let path = staging.path().join(PulledRecord::FILE);
    let written = fs::write(&path, record.text()?).and_then(|()| fs::File::open(&path)?.sync_all());
    written.with_context(|| format!("{}: cannot be written", path.display()))?;
    staging.publish()
}

/// Documents in JSON must be such: the page on which a network asks to log in is not.
fn check_documents(folder: &Path, files: &[&Path]) -> anyhow::Result<()> {
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let path = folder.join(file);
        let bytes = fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let document: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
        if let Err(error) = document {
            fs::remove_file(&path).ok();
            bail!("{}: expected JSON, found something else ({error}): deleted", file.display());
        }
    }
    Ok(())
}

/// A repository that holds a ready model: its manifest must read, and its files be those that it names. One that is not
/// is deleted: another attempt should fetch it again.
fn check_model(folder: &Path) -> anyhow::Result<()> {
    for file in Described::read(folder)?.files {
        let path = folder.join(&file.path);
        manifest_files::check(&path, file.sha256.as_deref(), &mut |_| {}).map_err(|flaw| {
            fs::remove_file(&path).ok();
            flaw.into_error()
        })?;
    }
    Ok(())
}

impl Pulled {
    fn new(asked: &Asked, record: PulledRecord, already_there: bool) -> Self {
        Self {
            path: asked.target.clone(),
            already_there,
            bytes: record.file.iter().map(|file| file.bytes).sum(),
            repo: record.repo,
            revision: record.revision,
            commit: record.commit,
            licence: record.licence,
            files: record.file,
            fetched_bytes: 0,
            resumed_bytes: 0,
        }
    }

    fn text(&self, asked: &Asked) -> String {
        let (path, files, bytes) = (self.path.display(), self.files.len(), shown_bytes(self.bytes));
        let how = if self.already_there { "already there" } else { "pulled" };
        let licence = self.licence.as_deref().unwrap_or("(not stated)");
        let recorded = self.files.iter().filter(|file| file.digest_from == record::DigestFrom::FirstPull).count();
        let mut text = format!(
            "{path}: {how}, {files} files, {bytes}, {} at commit {}, licence {licence}\n",
            self.repo, self.commit
        );
        if recorded > 0 && !self.already_there {
            text += &format!("digests of {recorded} files were not known before and are recorded in models.lock\n");
        }
        if let Some(entry) = asked.catalog.as_ref().filter(|_| !self.path.join("model.toml").exists()) {
            text += &format!("to make an encoder of it: recipe {:?} in quantized-models/recipes\n", entry.recipe);
        }
        text
    }
}
