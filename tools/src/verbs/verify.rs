//! `geolocate verify`: is every byte of a shard as it was written?

use std::path::{Path, PathBuf};

use clap::Args;
use index_shards::{ShardSet, VerifyError};
use serde::Serialize;

use crate::cli::Status;
use crate::dataset::all_cores;
use crate::labels::Labels;
use crate::labels::judge::{SUSPECT_FROM, Suspect};
use crate::output::{JsonTarget, say};

/// Reads shards completely and compares every byte with their digests.
///
/// Exit status: 0 all are good, 3 one is damaged, 1 one cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate verify reference.shard\n  geolocate verify --labels reference.shard")]
pub struct VerifyArgs {
    /// Shards to verify
    #[arg(required = true, value_name = "FILE.shard")]
    shards: Vec<PathBuf>,
    /// Also list references whose position is doubtful: the references that look most like them agree on another place.
    /// The shards are looked at as one index; takes a search for each reference
    #[arg(long)]
    labels: bool,
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
    /// With `--labels`: references whose position is doubtful, the most doubtful first.
    #[serde(skip_serializing_if = "Option::is_none")]
    suspects: Option<Vec<Suspect>>,
}

/// Runs the verb.
///
/// # Errors
/// The result cannot be written.
pub fn run(args: &VerifyArgs) -> anyhow::Result<Status> {
    let mut verdicts: Vec<Verdict> = args.shards.iter().map(|path| verdict(path)).collect();
    for verdict in &verdicts {
        match (&verdict.error, &verdict.digest) {
            (Some(error), _) => eprintln!("geolocate: {error}"),
            (None, digest) => {
                let (rows, digest) = (verdict.rows.unwrap_or_default(), digest.as_deref().unwrap_or_default());
                say(args.json.as_ref(), &format!("{}: good, {rows} rows, digest {digest}\n", verdict.path.display()))?;
            }
        }
    }
    if args.labels && verdicts.iter().all(|verdict| verdict.good) {
        add_suspects(args, &mut verdicts)?;
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

/// Looks for doubtful positions in all shards together, and says them.
fn add_suspects(args: &VerifyArgs, verdicts: &mut [Verdict]) -> anyhow::Result<()> {
    let labels = Labels::read(&ShardSet::open(&args.shards)?, all_cores())?;
    let suspects = labels.suspects(&[], SUSPECT_FROM);
    let count = suspects.len();
    say(args.json.as_ref(), &format!("{count} of {} references have a doubtful position\n", labels.labels.len()))?;
    for suspect in &suspects {
        let Suspect { reference, lat, lon, score, looks_like_lat, looks_like_lon, distance_m, .. } = suspect;
        let line = format!(
            "  {reference} at {lat:.6},{lon:.6} looks like {looks_like_lat:.6},{looks_like_lon:.6}, {distance_m:.0} m away (score {score:.2})\n"
        );
        say(args.json.as_ref(), &line)?;
    }
    for (number, verdict) in verdicts.iter_mut().enumerate() {
        verdict.suspects = Some(suspects.iter().filter(|suspect| suspect.shard == number).cloned().collect());
    }
    Ok(())
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
        suspects: None,
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
