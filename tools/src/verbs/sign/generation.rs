//! From a folder to a signed generation.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use geolocated::calibration::{Calibration, digests};
use geolocated::generations::{
    FileRole, GOLDEN_NAME, GenerationManifest, KeyId, MANIFEST_NAME, ManifestFile, SIGNATURE_NAME, counter_of_name,
};
use geolocated::whole_file;
use index_shards::ShardSet;
use jiff::{SignedDuration, Timestamp};
use quantized_models::{Manifest, sha256_of_reader};
use serde::Serialize;

use super::{SignArgs, golden, keys};
use crate::cli::Status;
use crate::output::say;

#[derive(Debug, Serialize)]
struct Signed {
    folder: PathBuf,
    counter: u64,
    expires: String,
    files: usize,
    bytes: u64,
    references: usize,
    golden: usize,
}

/// Verifies what is in a folder, describes it and signs that.
pub(super) fn run(folder: &Path, args: &SignArgs) -> anyhow::Result<Status> {
    let secret = args.secret_key.as_deref().context("expected --secret-key")?;
    let secret = keys::read_secret(secret, args.password_file.as_deref())?;
    let counter = counter(folder, args.counter)?;
    let found = files(folder)?;
    let shards = shards(folder, &found)?;
    let golden = golden::write(folder, &shards, args)?;
    let references = shards.len();
    let files = describe(folder, &files(folder)?)?;
    // Whole seconds are enough, and easier to read.
    let created = Timestamp::from_second(now().as_second())?;
    let expires = created.checked_add(SignedDuration::from_hours(24 * i64::from(args.expires_days)))?;
    let mut manifest = GenerationManifest::new(counter, created, expires, files);
    manifest.revokes =
        args.revoke.iter().map(|id| Ok(id.parse::<KeyId>()?.to_string())).collect::<anyhow::Result<_>>()?;
    manifest.check().map_err(|message| anyhow::anyhow!("{}: {message}", folder.display()))?;
    write(folder, &manifest, &secret)?;
    let bytes = manifest.bytes().unwrap_or_default();
    let signed = Signed {
        folder: folder.to_owned(),
        counter,
        expires: format!("{expires:.0}"),
        files: manifest.files.len(),
        bytes,
        references,
        golden,
    };
    let text = format!(
        "{}: signed generation {counter}: {} files, {bytes} bytes, {references} references, {golden} golden queries, \
         to be activated until {expires:.0}\n",
        folder.display(),
        signed.files
    );
    say(args.json.as_ref(), &text)?;
    if let Some(json) = &args.json {
        json.write(&signed)?;
    }
    Ok(Status::Done)
}

/// Now, or `SOURCE_DATE_EPOCH`.
fn now() -> Timestamp {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    given.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(Timestamp::now)
}

fn counter(folder: &Path, given: Option<u64>) -> anyhow::Result<u64> {
    let folder = folder.canonicalize().with_context(|| format!("{}: cannot be read", folder.display()))?;
    match (counter_of_name(&folder), given) {
        (Some(named), Some(given)) if named != given => {
            bail!("{}: expected --counter {named} as in the folder's name, found {given}", folder.display())
        }
        (Some(counter), _) if counter > 0 => Ok(counter),
        _ => bail!("{}: expected a folder named gen-N, N from 1", folder.display()),
    }
}

/// What to do with a file, by where it lies.
fn role(path: &str) -> Option<FileRole> {
    let top = path.split('/').next().unwrap_or_default();
    match top {
        "model" if top != path => Some(FileRole::Model),
        "golden" if top != path => Some(FileRole::Golden),
        "calibration" if top != path => Some(FileRole::Calibration),
        _ if path == GOLDEN_NAME => Some(FileRole::Golden),
        _ if path == "calibration.toml" || path == "calibration.json" => Some(FileRole::Calibration),
        _ if path.ends_with(".shard") => Some(FileRole::Shard),
        _ => None,
    }
}

/// All files below a folder but manifest and signature, with their roles, by path.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, FileRole)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).with_context(|| format!("{}: cannot be read", at.display()))? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            ensure!(kind.is_file(), "{}: expected a file, found a link or something else", path.display());
            let below = path.strip_prefix(folder).unwrap_or(&path);
            let below = below.to_str().with_context(|| format!("{}: expected a name in UTF-8", path.display()))?;
            if [MANIFEST_NAME, SIGNATURE_NAME].contains(&below) {
                continue;
            }
            let role = role(below).with_context(|| {
                let expected = "expected *.shard, or a file below model/, golden/ or calibration/";
                format!("{}: {expected}", path.display())
            })?;
            files.push((below.to_owned(), role));
        }
    }
    files.sort();
    Ok(files)
}

/// The shards, of which every byte is verified, and what must be of them: the encoder's manifest of their space, the
/// calibration of their digests.
fn shards(folder: &Path, files: &[(String, FileRole)]) -> anyhow::Result<ShardSet> {
    let of = |role| files.iter().filter(move |file| file.1 == role).map(|(path, _)| folder.join(path));
    let paths: Vec<PathBuf> = of(FileRole::Shard).collect();
    ensure!(!paths.is_empty(), "{}: expected at least one *.shard, found none", folder.display());
    for path in &paths {
        index_shards::verify(path)?;
    }
    let shards = ShardSet::open(&paths)?;
    if let Some(model) = of(FileRole::Model).find(|path| path.ends_with("model.toml")) {
        let manifest = Manifest::load(&model)?;
        let (found, expected) = (manifest.space().as_str(), shards.space());
        ensure!(found == expected, "{}: expected a model of space {expected}, found {found}", model.display());
    }
    if let Some(path) = of(FileRole::Calibration).find(|path| path.ends_with("calibration.toml")) {
        let (found, expected) = (Calibration::load(&path)?, digests(&shards));
        let is_of_it = found.space == shards.space() && found.shards == expected;
        ensure!(
            is_of_it,
            "{}: expected a calibration of these shards ({}, {}), found one of {}, {}: calibrate again",
            path.display(),
            shards.space(),
            expected.join(" "),
            found.space,
            found.shards.join(" ")
        );
    }
    Ok(shards)
}

fn describe(folder: &Path, files: &[(String, FileRole)]) -> anyhow::Result<Vec<ManifestFile>> {
    let one = |(path, role): &(String, FileRole)| {
        let at = folder.join(path);
        let cannot = || format!("{}: cannot be read", at.display());
        let mut length = 0;
        let sha256 = sha256_of_reader(File::open(&at).with_context(cannot)?, |bytes| length += bytes);
        Ok(ManifestFile { path: path.clone(), role: *role, length, sha256: sha256.with_context(cannot)? })
    };
    files.iter().map(one).collect()
}

/// The manifest, and then its signature: what is not signed does not count.
fn write(folder: &Path, manifest: &GenerationManifest, secret: &minisign::SecretKey) -> anyhow::Result<()> {
    let body = serde_json::to_string_pretty(manifest)? + "\n";
    let comment = format!("generation {}", manifest.counter);
    let signature = minisign::sign(None, secret, body.as_bytes(), Some(&comment), Some("geolocated generation"))?;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        whole_file::replace(&path, text.as_bytes())
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        // Devices read it as another user.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&path, mode).with_context(|| format!("{}: cannot be made readable", path.display()))
    };
    put(MANIFEST_NAME, &body)?;
    put(SIGNATURE_NAME, &signature.into_string())
}
