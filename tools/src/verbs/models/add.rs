//! `geolocate models add`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use geolocated::download::free_bytes;
use serde::Serialize;

use super::ModelsFolder;
use super::held::shown_bytes;
use super::manifest_files::{self, Described, Flaw, ModelFile, length};
use super::names::is_folder_name;
use super::publish::{Staging, parent};
use super::transfer_bar::TransferBar;
use crate::builtin;
use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Checks a model by its manifest and copies it into the folder of models.
///
/// Copied are the manifest, the files that it names, and licence and read-me files beside them; the digests are those of
/// the copies.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate models add ./my-encoder\n  \
    geolocate models add ./my-encoder/model_w8.toml --name my-encoder-w8 --link")]
pub(super) struct AddArgs {
    /// A model's folder or manifest, or mini, the built-in one
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// The name in the folder of models [default: that in the manifest]
    #[arg(long)]
    name: Option<String>,
    /// Make a link to the folder instead of a copy
    #[arg(long)]
    link: bool,
    /// Replace a model of this name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Serialize)]
struct Added {
    name: String,
    path: PathBuf,
    /// Of an encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    linked: bool,
    files: usize,
    bytes: u64,
}

/// Runs the verb.
///
/// # Errors
/// The model does not hold, there is one of this name, or it cannot be copied.
pub(super) fn run(args: &AddArgs, models: &ModelsFolder, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let manifest = Described::read(&builtin::resolve(&args.model)?)?;
    let name = args.name.clone().unwrap_or_else(|| manifest.name.clone());
    let expected = "expected letters, digits, dots, dashes and underscores (--name)";
    ensure!(is_folder_name(&name), "{}: {expected}, found the name {name:?}", manifest.path.display());
    let target = models.path().join(&name);
    let occupied = fs::symlink_metadata(&target).is_ok();
    ensure!(!occupied || args.replace, "{}: is there already; --replace replaces it", target.display());
    let mut files = manifest.files.clone();
    let folder = manifest.folder();
    files.iter().try_for_each(|file| manifest_files::stays_inside(folder, &file.path))?;
    fs::create_dir_all(models.path()).with_context(|| format!("{}: cannot be made", models.path().display()))?;
    if args.link {
        check(folder, &files)?;
        link(&manifest, &target, occupied)?;
    } else {
        files.extend(papers(folder, &files));
        copy(&manifest, folder, &files, &target)?;
    }
    let bytes = files.iter().map(|file| length(&target.join(&file.path))).sum();
    let (space, files) = (manifest.space.clone(), files.len());
    let added = Added { name, path: target, space, linked: args.link, files, bytes };
    let how = if args.link { "linked" } else { "copied" };
    let size = shown_bytes(bytes);
    let space = added.space.as_ref().map(|space| format!(", space {space}")).unwrap_or_default();
    say(json, &format!("{}: {how}, {files} files, {size}{space}\n", added.path.display()))?;
    if let Some(json) = json {
        json.write(&added)?;
    }
    Ok(Status::Done)
}

/// Licences and read-me files beside a manifest: they go where the weights go.
fn papers(folder: &Path, files: &[ModelFile]) -> Vec<ModelFile> {
    let is_paper = |name: &str| {
        let name = name.to_ascii_uppercase();
        ["LICENSE", "LICENCE", "README", "NOTICE", "ATTRIBUTION"].iter().any(|start| name.starts_with(start))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let papers = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = papers.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_paper(name));
    let new = names.filter(|name| !files.iter().any(|file| file.path == Path::new(name)));
    new.map(|name| ModelFile { path: name.into(), sha256: None }).collect()
}

fn check(folder: &Path, files: &[ModelFile]) -> anyhow::Result<()> {
    let total = files.iter().map(|file| length(&folder.join(&file.path))).sum();
    let bar = TransferBar::new("checking", total);
    for file in files {
        let path = folder.join(&file.path);
        manifest_files::check(&path, file.sha256.as_deref(), &mut |bytes| bar.add(bytes)).map_err(Flaw::into_error)?;
    }
    Ok(())
}

fn link(manifest: &Described, target: &Path, occupied: bool) -> anyhow::Result<()> {
    let is_usual = manifest.path.file_name().is_some_and(|name| name == "model.toml");
    let found = manifest.path.display();
    ensure!(is_usual, "{found}: a link needs a manifest that is named model.toml; add it without --link");
    if occupied {
        let is_link = fs::symlink_metadata(target).is_ok_and(|found| found.is_symlink());
        ensure!(is_link, "{}: is no link; remove it first", target.display());
        fs::remove_file(target).with_context(|| format!("{}: cannot be removed", target.display()))?;
    }
    let folder = manifest.folder();
    let folder = folder.canonicalize().with_context(|| format!("{}: cannot be read", folder.display()))?;
    symlink(&folder, target).with_context(|| format!("{}: cannot be made", target.display()))
}

fn copy(manifest: &Described, folder: &Path, files: &[ModelFile], target: &Path) -> anyhow::Result<()> {
    let total: u64 = files.iter().map(|file| length(&folder.join(&file.path))).sum();
    let free = free_bytes(parent(target)).with_context(|| format!("{}: cannot be asked", parent(target).display()))?;
    if total > free {
        bail!("{}: {total} bytes are needed, {free} are free on its disk", target.display());
    }
    let staging = Staging::open(target, "adding")?;
    staging.keep_only(&[])?;
    let bar = TransferBar::new("copying", total.saturating_mul(2));
    for file in files {
        let (from, to) = (folder.join(&file.path), staging.path().join(&file.path));
        copy_file(&from, &to)?;
        bar.add(length(&from));
        manifest_files::check(&to, file.sha256.as_deref(), &mut |bytes| bar.add(bytes))
            .map_err(|flaw| flaw.into_error().context(format!("{}: not as its manifest says", from.display())))?;
    }
    copy_file(&manifest.path, &staging.path().join("model.toml"))?;
    staging.publish()
}

/// Copies a file and brings it to the disk.
fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = || -> io::Result<()> {
        fs::create_dir_all(parent(to))?;
        // Not `fs::copy`: a model that nobody may write would give a copy that a next attempt could not replace.
        let mut target = File::create(to)?;
        io::copy(&mut File::open(from)?, &mut target)?;
        target.sync_all()
    };
    copied().with_context(|| format!("{}: cannot be copied to {}", from.display(), to.display()))
}
