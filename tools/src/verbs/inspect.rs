//! `geolocate inspect`: what a shard says about itself.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use geolocated::locate::timestamp;
use index_shards::{PositionOf, Region, Shard};
use serde::Serialize;

use crate::cli::Status;
use crate::output::{JsonTarget, say};

/// Shows what a shard says about itself: rows, space, encoder, region, licence, sections.
///
/// Only the header is read and checked; `geolocate verify` checks every byte.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  geolocate inspect reference.shard --json -")]
pub struct InspectArgs {
    /// Shard to look at
    #[arg(value_name = "FILE.shard")]
    shard: PathBuf,
    /// Write the same as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// All that `inspect` tells of one shard.
#[derive(Debug, Serialize)]
struct Inspection {
    path: PathBuf,
    bytes: u64,
    digest: String,
    rows: usize,
    dimensions: usize,
    bytes_per_row: f64,
    space: String,
    encoder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder_sha256: Option<String>,
    position_of: PositionOf,
    region: RegionPart,
    licence: String,
    attribution: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    sections: Vec<SectionPart>,
}

/// Degrees; a region across the antimeridian has `west` > `east`.
#[derive(Debug, Serialize)]
struct RegionPart {
    south: f64,
    west: f64,
    north: f64,
    east: f64,
}

#[derive(Debug, Serialize)]
struct SectionPart {
    name: String,
    offset: u64,
    length: u64,
    digest: String,
}

/// Runs the verb.
///
/// # Errors
/// The shard cannot be opened, or the result cannot be written.
pub fn run(args: &InspectArgs) -> anyhow::Result<Status> {
    let inspection = inspect(&args.shard, &Shard::open(&args.shard)?);
    if args.json != Some(JsonTarget::Stdout) {
        say(args.json.as_ref(), &text(&inspection))?;
    }
    if let Some(json) = &args.json {
        json.write(&inspection)?;
    }
    Ok(Status::Done)
}

#[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
fn inspect(path: &Path, shard: &Shard) -> Inspection {
    let description = shard.description();
    let Region { south_deg, west_deg, north_deg, east_deg } = shard.region();
    Inspection {
        path: path.to_owned(),
        bytes: shard.bytes(),
        digest: shard.digest().to_owned(),
        rows: shard.len(),
        dimensions: description.dimensions,
        bytes_per_row: shard.bytes() as f64 / shard.len().max(1) as f64,
        space: description.space.clone(),
        encoder: description.encoder.clone(),
        encoder_sha256: description.encoder_sha256.clone(),
        position_of: description.position_of,
        region: RegionPart { south: south_deg, west: west_deg, north: north_deg, east: east_deg },
        licence: description.licence.clone(),
        attribution: description.attribution.clone(),
        created_at: timestamp(description.created_at_ms),
        sections: shard
            .sections()
            .map(|section| SectionPart {
                name: section.name.to_string(),
                offset: section.offset,
                length: section.length,
                digest: section.digest.to_string(),
            })
            .collect(),
    }
}

fn text(shard: &Inspection) -> String {
    let RegionPart { south, west, north, east } = shard.region;
    let region = format!("{south:.7} to {north:.7} north, {west:.7} to {east:.7} east");
    let position_of = match shard.position_of {
        PositionOf::Camera => "camera",
        PositionOf::FootprintCentre => "footprint centre",
    };
    let or_none = |text: &str| if text.is_empty() { "(not stated)".to_owned() } else { text.to_owned() };
    let lines = [
        ("file", shard.path.display().to_string()),
        ("rows", shard.rows.to_string()),
        ("size", format!("{} bytes, {:.1} a row", shard.bytes, shard.bytes_per_row)),
        ("space", format!("{} ({} dimensions)", shard.space, shard.dimensions)),
        ("encoder", shard.encoder.clone()),
        ("its digest", or_none(shard.encoder_sha256.as_deref().unwrap_or_default())),
        ("positions of", position_of.to_owned()),
        ("region", region),
        ("licence", or_none(&shard.licence)),
        ("attribution", or_none(&shard.attribution)),
        ("created", or_none(shard.created_at.as_deref().unwrap_or_default())),
        ("digest", shard.digest.clone()),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<13} {value}");
    }
    let _ = writeln!(text, "{:<13} {:>12} {:>12}  sha-256", "section", "offset", "length");
    for section in &shard.sections {
        let _ =
            writeln!(text, "{:<13} {:>12} {:>12}  {}", section.name, section.offset, section.length, section.digest);
    }
    text
}
