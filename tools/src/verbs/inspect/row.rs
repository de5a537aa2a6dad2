//! One reference of a shard.

use std::fs;
use std::path::Path;

use anyhow::Context;
use geolocated::locate::timestamp;
use index_shards::{Footprint, Reference, Shard};
use serde::Serialize;

/// What a shard says about one reference.
#[derive(Debug, Serialize)]
pub(super) struct RowPart {
    /// In the order given to `build`.
    position: u32,
    /// Where it stands in the shard, by place.
    row: u32,
    name: String,
    /// WGS 84 degrees.
    lat: f64,
    lon: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    alt_m: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heading_deg: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    footprint: Option<FootprintPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_bytes: Option<usize>,
}

/// The ground that a reference shows, degrees.
#[derive(Debug, Serialize)]
struct FootprintPart {
    north: f64,
    west: f64,
    south: f64,
    east: f64,
}

impl RowPart {
    /// The reference at a position in the order given to `build`.
    ///
    /// # Errors
    /// There is none, or the shard is damaged there.
    pub(super) fn find(shard: &Shard, position: u32) -> anyhow::Result<Self> {
        let row = shard.row_at(position)?.with_context(|| {
            let (path, rows) = (shard.path().display(), shard.len());
            format!("{path}: --row {position}: none of its {rows} references has this position")
        })?;
        let Reference { name, place, source, .. } = shard.reference(row)?;
        let footprint = place.footprint.map(|Footprint { north_deg, west_deg, south_deg, east_deg }| FootprintPart {
            north: north_deg,
            west: west_deg,
            south: south_deg,
            east: east_deg,
        });
        Ok(Self {
            position,
            row,
            name,
            lat: place.lat_deg,
            lon: place.lon_deg,
            alt_m: place.alt_m,
            heading_deg: place.heading_deg,
            captured_at: place.captured_at_ms.and_then(timestamp),
            footprint,
            source,
            blob_bytes: shard.blob(row)?.map(<[u8]>::len),
        })
    }

    /// Writes its blob to a file.
    ///
    /// # Errors
    /// It has none, or the file cannot be written.
    pub(super) fn write_blob(&self, shard: &Shard, file: &Path) -> anyhow::Result<()> {
        let none = || format!("{}: --row {}: {} has no blob", shard.path().display(), self.position, self.name);
        let blob = shard.blob(self.row)?.with_context(none)?;
        fs::write(file, blob).with_context(|| format!("{}: cannot be written", file.display()))
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "(not stated)".to_owned());
        super::lines([
            ("name", self.name.clone()),
            ("position", format!("{} as given to build, {} by place", self.position, self.row)),
            ("place", format!("{:.7} north, {:.7} east", self.lat, self.lon)),
            ("altitude", or_none(self.alt_m.map(|alt_m| format!("{alt_m} m")))),
            ("heading", or_none(self.heading_deg.map(|heading_deg| format!("{heading_deg} degrees")))),
            ("captured", or_none(self.captured_at.clone())),
            (
                "footprint",
                or_none(self.footprint.as_ref().map(|FootprintPart { north, west, south, east }| {
                    format!("{south:.7} to {north:.7} north, {west:.7} to {east:.7} east")
                })),
            ),
            ("source", or_none(self.source.clone())),
            ("blob", self.blob_bytes.map_or("none".to_owned(), |bytes| format!("{bytes} bytes"))),
        ])
    }
}
