//! Checks a bundle without unpacking it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use geolocated::generations::{GenerationManifest, MANIFEST_NAME, SIGNATURE_NAME};
use quantized_models::sha256_of_reader;
use serde::Serialize;
use tar::{Archive, EntryType};

use super::BundleArgs;
use super::contents::{SUMS, TOP};
use crate::cli::Status;
use crate::output::say;
use crate::verbs::sign::ring;

/// Longest texts that are kept: lists of digests, manifests, signatures.
const MOST_TEXT_BYTES: u64 = 16 << 20;

#[derive(Debug, Serialize)]
struct Verdict {
    archive: PathBuf,
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    files: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

/// What was read of an archive.
#[derive(Debug, Default)]
struct Found {
    /// Length and digest by path below the top folder.
    files: BTreeMap<String, (u64, String)>,
    texts: BTreeMap<String, Vec<u8>>,
}

pub(super) fn run(archive: &Path, args: &BundleArgs) -> anyhow::Result<Status> {
    let file = File::open(archive).with_context(|| format!("{}: cannot be read", archive.display()))?;
    let examined = read(file).and_then(|found| Ok((found.files.len(), check(&found, &args.key)?)));
    let verdict = match examined {
        Ok((files, generation)) => {
            let signed = generation.map(|counter| format!(", generation {counter} signed")).unwrap_or_default();
            say(args.json.as_ref(), &format!("{}: good, {files} files{signed}\n", archive.display()))?;
            Verdict { archive: archive.to_owned(), good: true, error: None, files, generation }
        }
        Err(error) => {
            let error = format!("{}: {}", archive.display(), crate::cli::one_line(&error));
            eprintln!("geolocate: {error}");
            Verdict { archive: archive.to_owned(), good: false, error: Some(error), files: 0, generation: None }
        }
    };
    if let Some(json) = &args.json {
        json.write(&verdict)?;
    }
    Ok(if verdict.good { Status::Done } else { Status::RequirementFailed })
}

fn read(file: File) -> anyhow::Result<Found> {
    let mut archive = Archive::new(zstd::Decoder::new(BufReader::new(file)).context("expected a tar.zst")?);
    let mut found = Found::default();
    for entry in archive.entries().context("expected a tar.zst")? {
        let mut entry = entry.context("damaged")?;
        let path = entry.path().context("damaged")?.into_owned();
        let below = path.strip_prefix(TOP).ok().filter(|below| {
            below.components().all(|part| matches!(part, Component::Normal(_))) && below.components().count() > 0
        });
        let Some(below) = below.and_then(Path::to_str) else {
            bail!("expected plain paths below {TOP}/, found {}", path.display())
        };
        if entry.header().entry_type() != EntryType::Regular {
            bail!("{below}: expected a file, found something else");
        }
        let below = below.to_owned();
        let length = entry.size();
        let name = below.rsplit('/').next().unwrap_or_default();
        let sha256 = if [SUMS, MANIFEST_NAME, SIGNATURE_NAME].contains(&name) && length <= MOST_TEXT_BYTES {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).with_context(|| format!("{below}: damaged"))?;
            let sha256 = sha256_of_reader(text.as_slice(), |_| {})?;
            found.texts.insert(below.clone(), text);
            sha256
        } else {
            sha256_of_reader(&mut entry, |_| {}).with_context(|| format!("{below}: damaged"))?
        };
        if found.files.insert(below.clone(), (length, sha256)).is_some() {
            bail!("{below}: expected once, found twice");
        }
    }
    Ok(found)
}

/// The digests, and the signature of the generation; its number.
fn check(found: &Found, keys: &[String]) -> anyhow::Result<Option<u64>> {
    let sums = found.texts.get(SUMS).with_context(|| format!("expected {SUMS}, found none"))?;
    let mut listed = BTreeMap::new();
    for line in String::from_utf8_lossy(sums).lines() {
        let (sha256, path) = line.split_once("  ").with_context(|| format!("{SUMS}: damaged: {line:?}"))?;
        listed.insert(path.to_owned(), sha256.to_owned());
    }
    for (path, (_, sha256)) in found.files.iter().filter(|(path, _)| path.as_str() != SUMS) {
        match listed.remove(path) {
            Some(expected) if expected == *sha256 => {}
            Some(expected) => bail!("{path}: expected sha256 {expected}, found {sha256}"),
            None => bail!("{path}: is not in {SUMS}"),
        }
    }
    if let Some((path, _)) = listed.first_key_value() {
        bail!("{path}: expected by {SUMS}, found none");
    }
    let manifests = found.texts.keys().filter(|path| path.starts_with("index/") && path.ends_with(MANIFEST_NAME));
    let mut counter = None;
    for path in manifests {
        counter = Some(generation(found, path, keys)?);
    }
    Ok(counter)
}

fn generation(found: &Found, path: &str, keys: &[String]) -> anyhow::Result<u64> {
    let folder = path.strip_suffix(MANIFEST_NAME).unwrap_or_default();
    let signature_path = format!("{folder}{SIGNATURE_NAME}");
    let text = |path: &str| found.texts.get(path).with_context(|| format!("expected {path}, found none"));
    let (body, signature) = (text(path)?, text(&signature_path)?);
    if keys.is_empty() {
        bail!("{path}: expected --key, to check who signed it");
    }
    ring(keys)?.verify(Path::new(&signature_path), body, &String::from_utf8_lossy(signature))?;
    let manifest = GenerationManifest::parse(Path::new(path), body)?;
    for file in &manifest.files {
        let at = format!("{folder}{}", file.path);
        let expected = (file.length, file.sha256.clone());
        match found.files.get(&at) {
            Some(found) if *found == expected => {}
            Some((length, sha256)) => {
                bail!("{at}: expected {} bytes of sha256 {}, found {length} of {sha256}", file.length, file.sha256)
            }
            None => bail!("{at}: expected by the generation's manifest, found none"),
        }
    }
    Ok(manifest.counter)
}
