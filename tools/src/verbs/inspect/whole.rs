//! A shard as a whole.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use geolocated::locate::timestamp;
use index_shards::{BlobDescription, FORMAT_VERSION, LayoutInfo, PositionOf, ReadError, Region, SectionInfo, Shard};
use serde::Serialize;

use crate::section_purpose::purpose;

/// Most names of sources that are shown.
const SHOWN_SOURCES: usize = 20;

/// All that `inspect` tells of one shard.
#[derive(Debug, Serialize)]
pub(super) struct Inspection {
    path: PathBuf,
    format: u32,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<RegionPart>,
    licence: String,
    attribution: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    layout: LayoutPart,
    sources: SourcesPart,
    #[serde(skip_serializing_if = "Option::is_none")]
    blobs: Option<BlobDescription>,
    removes: Vec<RemovesPart>,
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

/// How codes are laid out.
#[derive(Debug, Serialize)]
struct LayoutPart {
    kind: &'static str,
    lists: usize,
    centroids: usize,
    slots: usize,
    first_layer_dimensions: usize,
    second_layer_dimensions: usize,
    reason: String,
}

/// What references come from; at most 20 of the names.
#[derive(Debug, Serialize)]
struct SourcesPart {
    count: usize,
    names: Vec<String>,
}

/// How many rows of which shard are hidden.
#[derive(Debug, Serialize)]
struct RemovesPart {
    digest: String,
    rows: usize,
}

#[derive(Debug, Serialize)]
struct SectionPart {
    name: &'static str,
    purpose: &'static str,
    offset: u64,
    length: u64,
    bytes_per_row: f64,
    digest: String,
}

impl Inspection {
    /// Looks at a shard: its header, the names of its sources and its tombstones.
    ///
    /// # Errors
    /// It is damaged there or was cut.
    pub(super) fn new(path: &Path, shard: &Shard) -> Result<Self, ReadError> {
        let description = shard.description();
        let sources = shard.source_names()?;
        let removes = shard.tombstones()?.into_iter().map(|(digest, rows)| RemovesPart { digest, rows });
        // A time of 0 is that of a build that did not look at the clock.
        let created_at_ms = Some(description.created_at_ms).filter(|time_ms| *time_ms != 0);
        Ok(Self {
            path: path.to_owned(),
            format: FORMAT_VERSION,
            bytes: shard.bytes(),
            digest: shard.digest().to_owned(),
            rows: shard.len(),
            dimensions: description.dimensions,
            bytes_per_row: per_row(shard.bytes(), shard),
            space: description.space.clone(),
            encoder: description.encoder.clone(),
            encoder_sha256: description.encoder_sha256.clone(),
            position_of: description.position_of,
            region: shard.region().map(RegionPart::from),
            licence: description.licence.clone(),
            attribution: description.attribution.clone(),
            created_at: created_at_ms.and_then(timestamp),
            layout: LayoutPart::from(shard.layout()),
            sources: SourcesPart {
                count: sources.len(),
                names: sources.into_iter().take(SHOWN_SOURCES).map(str::to_owned).collect(),
            },
            blobs: description.blobs.clone(),
            removes: removes.collect(),
            sections: shard.sections().map(|section| SectionPart::new(section, shard)).collect(),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let or_none = |text: &str| if text.is_empty() { "(not stated)".to_owned() } else { text.to_owned() };
        let mut text = super::lines([
            ("file", self.path.display().to_string()),
            ("format", self.format.to_string()),
            ("rows", self.rows.to_string()),
            ("size", format!("{} bytes, {:.1} a row", self.bytes, self.bytes_per_row)),
            ("space", format!("{} ({} dimensions)", self.space, self.dimensions)),
            ("encoder", self.encoder.clone()),
            ("its digest", or_none(self.encoder_sha256.as_deref().unwrap_or_default())),
            ("positions of", self.position_of().to_owned()),
            ("region", self.region.as_ref().map_or("(no references)".to_owned(), RegionPart::text)),
            ("licence", or_none(&self.licence)),
            ("attribution", or_none(&self.attribution)),
            ("created", or_none(self.created_at.as_deref().unwrap_or_default())),
            ("layout", self.layout.text()),
            ("sources", or_none(&self.sources.text())),
            ("blobs", self.blobs.as_ref().map_or("none".to_owned(), |it| format!("{} by {}", it.codec, it.producer))),
            ("digest", self.digest.clone()),
        ]);
        for RemovesPart { digest, rows } in &self.removes {
            let _ = writeln!(text, "{:<13} {rows} rows of the shard {digest}", "removes");
        }
        let _ = writeln!(
            text,
            "{:<10} {:>12} {:>12} {:>8}  {:<64}  for",
            "section", "offset", "length", "a row", "sha-256"
        );
        for section in &self.sections {
            let SectionPart { name, purpose, offset, length, bytes_per_row, digest } = section;
            let _ = writeln!(text, "{name:<10} {offset:>12} {length:>12} {bytes_per_row:>8.2}  {digest}  {purpose}");
        }
        text
    }

    fn position_of(&self) -> &'static str {
        match self.position_of {
            PositionOf::Camera => "camera",
            PositionOf::FootprintCentre => "footprint centre",
        }
    }
}

impl From<Region> for RegionPart {
    fn from(region: Region) -> Self {
        Self { south: region.south_deg, west: region.west_deg, north: region.north_deg, east: region.east_deg }
    }
}

impl RegionPart {
    fn text(&self) -> String {
        let Self { south, west, north, east } = self;
        format!("{south:.7} to {north:.7} north, {west:.7} to {east:.7} east")
    }
}

impl From<LayoutInfo> for LayoutPart {
    fn from(layout: LayoutInfo) -> Self {
        Self {
            kind: if layout.lists > 0 { "lists" } else { "flat" },
            lists: layout.lists,
            centroids: layout.centroids,
            slots: layout.slots,
            first_layer_dimensions: layout.first_layer_dimensions,
            second_layer_dimensions: layout.second_layer_dimensions,
            reason: layout.reason,
        }
    }
}

impl LayoutPart {
    fn text(&self) -> String {
        let kind = if self.lists > 0 { format!("{} lists", self.lists) } else { "flat".to_owned() };
        let (first, second) = (self.first_layer_dimensions, self.second_layer_dimensions);
        format!("{kind}: {}; codes of {first} + {second} dimensions", self.reason)
    }
}

impl SourcesPart {
    fn text(&self) -> String {
        let more = if self.count > self.names.len() { ", ..." } else { "" };
        if self.count == 0 { String::new() } else { format!("{}: {}{more}", self.count, self.names.join(", ")) }
    }
}

impl SectionPart {
    fn new(section: SectionInfo, shard: &Shard) -> Self {
        Self {
            name: section.name,
            purpose: purpose(section.name),
            offset: section.offset,
            length: section.length,
            bytes_per_row: per_row(section.length, shard),
            digest: section.digest,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
fn per_row(bytes: u64, shard: &Shard) -> f64 {
    bytes as f64 / shard.len().max(1) as f64
}
