//! The shards: there, whole, of one space with the encoder, stamped.

use std::path::Path;

use geolocated::assemble::{AssembleError, check};
use geolocated::service::Settings;
use geolocated::stamps::{FileIdentity, Stamps};
use index_shards::{Shard, ShardSet, verify};

use super::finding::Finding;
use super::generations;

const COPY_AGAIN: &str = "copy it again, or build it again; `geolocate verify` checks a copy";

pub(super) fn findings(settings: &Settings, full: bool) -> Vec<Finding> {
    let stamps = Stamps::load(&settings.state_dir);
    if let Some(generations) = &settings.generations {
        return generations::findings(settings, generations, full);
    }
    let mut findings: Vec<Finding> = settings.shards.iter().map(|path| shard(path, &stamps, full)).collect();
    findings.extend(space(settings));
    if let Some(problem) = stamps.problem() {
        let mend = "none is needed: the next start verifies everything and writes them anew";
        findings.push(Finding::warning("stamps", problem, mend));
    }
    findings
}

/// One shard: its header and length, all of it, or what its stamp says.
fn shard(path: &Path, stamps: &Stamps, full: bool) -> Finding {
    let shown = path.display();
    let opened = match Shard::open(path) {
        Ok(shard) => shard,
        Err(error) => return Finding::wrong("shard", error, COPY_AGAIN),
    };
    let about = format!("{shown}: {} references, {} bytes", opened.len(), opened.bytes());
    if full {
        return match verify(path) {
            Ok(summary) => Finding::good("shard", format!("{about}, every byte as written, {}", summary.digest)),
            Err(error) => Finding::wrong("shard", error, COPY_AGAIN),
        };
    }
    let identity = FileIdentity::of(path).ok();
    let stamped = identity.and_then(|identity| stamps.digest(path, &identity).map(|digest| digest == opened.digest()));
    match stamped {
        Some(true) => Finding::good("shard", format!("{about}, verified before and not touched since")),
        Some(false) => Finding::wrong("shard", format!("{about}: has another digest than its stamp"), COPY_AGAIN),
        None => Finding::good("shard", format!("{about}, not verified yet: the next start reads all of it first")),
    }
}

/// Shards and encoder must speak of the same vectors. What does not open is said elsewhere.
fn space(settings: &Settings) -> Option<Finding> {
    let mend = "build the shards with this encoder, or set models.encoder to the one that they were built with";
    match check(settings.encoder.as_deref()?, None, &settings.shards) {
        Ok(()) => {
            let shards = ShardSet::open(&settings.shards).ok()?;
            Some(Finding::good("space", format!("{} ({} dimensions)", shards.space(), shards.dimensions())))
        }
        Err(AssembleError::Space(error)) => Some(Finding::wrong("space", error, mend)),
        Err(AssembleError::Index(error)) if settings.shards.iter().all(|path| Shard::open(path).is_ok()) => {
            Some(Finding::wrong("space", error, "take shards of one space, each once"))
        }
        Err(_) => None,
    }
}
