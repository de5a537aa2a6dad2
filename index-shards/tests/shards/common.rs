//! What the tests share: small shards, and their bytes with digests made right again after a change.

use index_shards::{Footprint, HEADER_BYTES, Place, PositionOf, ShardDescription, ShardSummary, ShardWriter};
use proptest::test_runner::{Config, RngSeed};
use sha2::{Digest, Sha256};
use std::path::Path;

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

/// Writes a shard of `(place, embedding)`; names are `0`, `1` and so on.
pub(crate) fn write(path: &Path, space: &str, rows: &[(Place, Vec<f32>)]) -> ShardSummary {
    let mut writer = ShardWriter::create(path, description(space, rows[0].1.len())).unwrap();
    for (row, (place, embedding)) in rows.iter().enumerate() {
        assert_eq!(writer.push(&row.to_string(), place, embedding).unwrap() as usize, row);
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

/// The little-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Offset and length of section `index` by the section table.
pub(crate) fn section(bytes: &[u8], index: usize) -> std::ops::Range<usize> {
    let entry = 128 + 64 * index;
    let offset = u64_at(bytes, entry + 8) as usize;
    offset..offset + u64_at(bytes, entry + 16) as usize
}

/// Makes the header's digest right.
pub(crate) fn reseal_header(bytes: &mut [u8]) {
    bytes[16..48].fill(0);
    let digest = Sha256::digest(&bytes[..HEADER_BYTES]);
    bytes[16..48].copy_from_slice(&digest);
}

/// Makes every section's digest and the header's right, so that only the values can be found fault with.
pub(crate) fn reseal(bytes: &mut [u8]) {
    for index in 0..3 {
        let range = section(bytes, index);
        let digest = Sha256::digest(&bytes[range.start..range.end.next_multiple_of(64)]);
        bytes[128 + 64 * index + 32..128 + 64 * index + 64].copy_from_slice(&digest);
    }
    reseal_header(bytes);
}
