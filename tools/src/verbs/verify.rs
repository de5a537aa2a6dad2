//! `geolocate verify`: is every byte of a shard as it was written?

use std::path::{Path, PathBuf};

use clap::Args;
use index_shards::VerifyError;
use serde::Serialize;

use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Reads shards completely and compares every byte with their digests.
///
/// Exit status: 0 all are good, 3 one is damaged, 1 one cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate verify reference.shard")]
pub struct VerifyArgs {
    /// Shards to verify
    #[arg(required = true, value_name = "FILE.shard")]
    shards: Vec<PathBuf>,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// What became of one shard.
#[derive(Debug, Serialize)]
struct Verdict {
    path: PathBuf,
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// The result cannot be written.
pub fn run(args: &VerifyArgs) -> anyhow::Result<Status> {
    let verdicts: Vec<Verdict> = args.shards.iter().map(|path| verdict(path)).collect();
    for verdict in &verdicts {
        match (&verdict.error, &verdict.digest) {
            (Some(error), _) => eprintln!("geolocate: {error}"),
            (None, digest) => {
                let (rows, digest) = (verdict.rows.unwrap_or_default(), digest.as_deref().unwrap_or_default());
                say(args.json.as_ref(), &format!("{}: good, {rows} rows, digest {digest}\n", verdict.path.display()))?;
            }
        }
    }
    if let Some(json) = &args.json {
        json.write(&verdicts)?;
    }
    Ok(if verdicts.iter().any(|verdict| verdict.damaged == Some(false)) {
        Status::Failed
    } else if verdicts.iter().all(|verdict| verdict.good) {
        Status::Done
    } else {
        Status::RequirementFailed
    })
}

fn verdict(path: &Path) -> Verdict {
    let empty = Verdict {
        path: path.to_owned(),
        good: false,
        damaged: None,
        error: None,
        rows: None,
        bytes: None,
        digest: None,
    };
    match index_shards::verify(path) {
        Ok(summary) => Verdict {
            good: true,
            rows: Some(summary.rows),
            bytes: Some(summary.bytes),
            digest: Some(summary.digest),
            ..empty
        },
        Err(error) => Verdict { damaged: Some(error.is_damage()), error: Some(message(path, &error)), ..empty },
    }
}

fn message(path: &Path, error: &VerifyError) -> String {
    let text = error.to_string();
    let path = path.display().to_string();
    if text.contains(&path) { text } else { format!("{path}: {text}") }
}
