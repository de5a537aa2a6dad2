//! What the tests share: small shards, and their bytes with digests made right again after a change.

use index_shards::{
    BlobDescription, Footprint, HEADER_BYTES, LayoutChoice, Place, PositionOf, Row, Shard, ShardDescription,
    ShardSummary, ShardWriter, WriteError, WriterOptions,
};
use proptest::test_runner::{Config, RngSeed};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The sections of a shard, in the order in which they stand in the file.
pub(crate) const SECTIONS: [&str; 12] = [
    "vectors",
    "codes",
    "second",
    "centroids",
    "slots",
    "columns",
    "zones",
    "details",
    "sources",
    "blobs",
    "removed",
    "decoder",
];

/// A proptest configuration that tries the same cases on every run.
pub(crate) fn deterministic(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

pub(crate) fn description(space: &str, dimensions: usize) -> ShardDescription {
    ShardDescription {
        space: space.into(),
        dimensions,
        encoder: "none".into(),
        encoder_sha256: None,
        position_of: PositionOf::Camera,
        licence: "CC0-1.0".into(),
        attribution: String::new(),
        created_at_ms: 1_700_000_000_000,
        blobs: None,
    }
}

/// A place of which everything is known.
pub(crate) fn full_place() -> Place {
    Place {
        lat_deg: 52.5,
        lon_deg: 13.4,
        alt_m: Some(-12.5),
        heading_deg: Some(360.0),
        captured_at_ms: Some(-1),
        footprint: Some(Footprint { north_deg: 52.6, west_deg: 179.5, south_deg: 52.4, east_deg: -179.5 }),
    }
}

/// A writer that builds on one thread and cannot be resumed.
pub(crate) fn writer(path: &Path, description: ShardDescription) -> ShardWriter {
    ShardWriter::create(path, description, WriterOptions::default()).unwrap()
}

/// Pushes a reference that has nothing but a name, a place and an embedding.
pub(crate) fn push(writer: &mut ShardWriter, name: &str, place: &Place, embedding: &[f32]) -> Result<u32, WriteError> {
    writer.push(&Row { name, place, source: None, embedding, blob: None })
}

/// Writes a shard of `(place, embedding)`; names are `0`, `1` and so on.
pub(crate) fn write(path: &Path, space: &str, rows: &[(Place, Vec<f32>)]) -> ShardSummary {
    write_with(path, space, rows, WriterOptions::default())
}

/// The same with options.
pub(crate) fn write_with(path: &Path, space: &str, rows: &[(Place, Vec<f32>)], options: WriterOptions) -> ShardSummary {
    let mut writer = ShardWriter::create(path, description(space, rows[0].1.len()), options).unwrap();
    for (position, (place, embedding)) in rows.iter().enumerate() {
        assert_eq!(push(&mut writer, &position.to_string(), place, embedding).unwrap() as usize, position);
    }
    writer.finish().unwrap()
}

/// A shard of three rows and four dimensions.
pub(crate) fn small(path: &Path) -> ShardSummary {
    write(
        path,
        "small",
        &[
            (full_place(), vec![1.0, 0.0, 0.0, 0.0]),
            (Place::at(-33.5, -180.0), vec![0.5, 0.5, -0.5, 0.5]),
            (Place { alt_m: Some(3.0), ..Place::at(90.0, 0.0) }, vec![0.0, 0.0, 0.6, 0.8]),
        ],
    )
}

/// Numbers that look random and are the same everywhere.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// From -1 to 1.
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1 << 23) as f32) - 1.0
    }

    /// A vector of unit length, more or less like `like`.
    pub(crate) fn unit_vector(&mut self, like: &[f32], spread: f32) -> Vec<f32> {
        let vector: Vec<f32> = like.iter().map(|component| component + spread * self.next()).collect();
        let length = vector.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt();
        vector.iter().map(|component| (f64::from(*component) / length) as f32).collect()
    }
}

/// What [`full`] puts into a shard, and what a search or a test may want to compare with.
pub(crate) struct FullRow {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) source: Option<&'static str>,
    pub(crate) embedding: Vec<f32>,
    pub(crate) blob: Option<Vec<u8>>,
}

/// References of which everything is known, and some of which less is: tracks of ten, in clumps that are alike.
pub(crate) fn full_rows(count: usize, dimensions: usize) -> Vec<FullRow> {
    let mut numbers = Numbers(11);
    let clumps: Vec<Vec<f32>> = (0..7).map(|_| numbers.unit_vector(&vec![0.2; dimensions], 1.0)).collect();
    let row = |at: usize| {
        let (track, step) = (at / 10, at % 10);
        // Half-steps of an eighth of a degree are exact in binary, and every stored unit is the same on every machine.
        let lat_deg = -80.0 + track as f64 * 1.25 % 160.0 + step as f64 / 1024.0;
        let lon_deg = 179.5 - track as f64 * 7.5 % 359.0;
        let edges = Footprint {
            north_deg: lat_deg + 0.125,
            west_deg: lon_deg - 0.25,
            south_deg: lat_deg - 0.125,
            east_deg: lon_deg + 0.25,
        };
        let place = Place {
            alt_m: (!at.is_multiple_of(3)).then_some(100.0 + track as f32),
            heading_deg: (!at.is_multiple_of(4)).then_some((step * 36) as f32),
            captured_at_ms: (track % 5 != 0).then_some(1_500_000_000_000 + at as i64 * 1000),
            footprint: (track % 3 == 0).then_some(edges),
            ..Place::at(lat_deg, lon_deg)
        };
        FullRow {
            name: format!("flug/{track:03}/bild-{step}.jpg"),
            place,
            source: ["drone", "street"].get(track % 3).copied(),
            embedding: numbers.unit_vector(&clumps[track % clumps.len()], 0.3),
            blob: at.is_multiple_of(2).then(|| vec![at as u8; at % 40 + 1]),
        }
    };
    (0..count).map(row).collect()
}

/// A description of shards that [`push_full`] fills.
pub(crate) fn full_description(dimensions: usize) -> ShardDescription {
    let blobs = Some(BlobDescription { codec: "bytes".into(), producer: "tests".into() });
    ShardDescription { blobs, ..description("full", dimensions) }
}

/// Pushes a reference with everything that is known of it, and returns its position.
pub(crate) fn push_full(writer: &mut ShardWriter, row: &FullRow) -> u32 {
    let FullRow { name, place, source, embedding, blob } = row;
    writer.push(&Row { name, place, source: *source, embedding, blob: blob.as_deref() }).unwrap()
}

/// A shard with something in every section but the decoder, in lists: 70 rows of 136 dimensions, and tombstones.
pub(crate) fn full(path: &Path) -> ShardSummary {
    let options = WriterOptions { layout: LayoutChoice::Lists(3), ..WriterOptions::default() };
    let mut writer = ShardWriter::create(path, full_description(136), options).unwrap();
    for (row, at) in full_rows(70, 136).iter().zip(0..) {
        if at == 30 {
            writer.skip("no picture").unwrap();
        }
        push_full(&mut writer, row);
    }
    writer.remove(&"0123456789abcdef".repeat(4), &[3, 1, 4]).unwrap();
    writer.remove(&"f".repeat(64), &[u32::MAX]).unwrap();
    writer.finish().unwrap()
}

/// The row of the reference that was given to the writer at `position`.
pub(crate) fn row_at(shard: &Shard, position: u32) -> u32 {
    let rows = 0..shard.len() as u32;
    rows.into_iter().find(|row| shard.reference(*row).unwrap().position == position).unwrap()
}

/// The little-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Where a section's entry in the section table begins.
pub(crate) fn entry(name: &str) -> usize {
    128 + 64 * SECTIONS.iter().position(|section| *section == name).unwrap()
}

/// Offset and length of a section by the section table.
pub(crate) fn section(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let offset = u64_at(bytes, entry(name) + 8) as usize;
    offset..offset + u64_at(bytes, entry(name) + 16) as usize
}

/// Makes the header's digest right.
pub(crate) fn reseal_header(bytes: &mut [u8]) {
    bytes[16..48].fill(0);
    let digest = Sha256::digest(&bytes[..HEADER_BYTES]);
    bytes[16..48].copy_from_slice(&digest);
}

/// Makes every section's digest and the header's right, so that only the values can be found fault with.
pub(crate) fn reseal(bytes: &mut [u8]) {
    for name in SECTIONS {
        let range = section(bytes, name);
        let digest = Sha256::digest(&bytes[range.start..range.end.next_multiple_of(64)]);
        bytes[entry(name) + 32..entry(name) + 64].copy_from_slice(&digest);
    }
    reseal_header(bytes);
}
