//! Checks a signed generation as a device would.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use geolocated::generations::{Generation, GenerationError, GoldenList, KeyRing};
use geolocated::stamps::Stamps;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::Status;
use crate::output::{JsonTarget, say};

#[derive(Debug, Serialize)]
struct Verdict {
    folder: PathBuf,
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    golden: Option<usize>,
}

/// Signature, every byte of every file, shards that open, golden queries that can be read.
pub(super) fn run(folder: &Path, keys: &[String], json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let ring = ring(keys)?;
    let folder = folder.canonicalize().with_context(|| format!("{}: cannot be read", folder.display()))?;
    let verdict = match examine(&folder, &ring) {
        Ok((generation, golden)) => {
            let manifest = generation.manifest();
            let expired = Timestamp::now() > manifest.expires;
            let note = if expired { ", EXPIRED: devices do not activate it any more" } else { "" };
            let signer = generation.signer().map(|id| id.to_string());
            let text = format!(
                "{}: good: generation {}, {} files, signed by {}, expires {:.0}{note}\n",
                folder.display(),
                manifest.counter,
                manifest.files.len(),
                signer.as_deref().unwrap_or_default(),
                manifest.expires
            );
            say(json, &text)?;
            Verdict {
                folder,
                good: !expired,
                error: None,
                counter: Some(manifest.counter),
                signer,
                expires: Some(format!("{:.0}", manifest.expires)),
                expired: Some(expired),
                golden: Some(golden),
            }
        }
        Err(error) => {
            eprintln!("geolocate: {error}");
            let (counter, signer, expires, expired, golden) = (None, None, None, None, None);
            Verdict { folder, good: false, error: Some(error.to_string()), counter, signer, expires, expired, golden }
        }
    };
    if let Some(json) = json {
        json.write(&verdict)?;
    }
    Ok(if verdict.good { Status::Done } else { Status::RequirementFailed })
}

/// Keys that are given themselves or as files.
pub(crate) fn ring(keys: &[String]) -> anyhow::Result<KeyRing> {
    let read = |key: &String| match fs::read_to_string(key) {
        Ok(text) => text,
        // Whether it is a key itself is said by the ring.
        Err(_) => key.clone(),
    };
    Ok(KeyRing::new(&keys.iter().map(read).collect::<Vec<_>>(), &[])?)
}

fn examine(folder: &Path, ring: &KeyRing) -> Result<(Generation, usize), GenerationError> {
    let generation = Generation::open(folder, ring)?;
    generation.open_shards(&mut Stamps::none(), &mut |_| Ok(()))?;
    let golden = GoldenList::load(&generation)?.map_or(0, |list| list.queries.len());
    Ok((generation, golden))
}
