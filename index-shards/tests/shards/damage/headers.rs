//! Crafted headers, with their digest right: refused by field.

use super::{Sample, header_refusal, refusal};
use crate::common::{SECTIONS, entry};
use index_shards::{HeaderError, OpenError, Shard};

#[test]
fn another_version_is_named_and_is_no_damage() {
    let sample = Sample::small();
    for version in [0, 99] {
        let path = sample.crafted_header(|bytes| bytes[8] = version);
        let message = header_refusal(&path);
        assert!(message.contains(&format!("format version {version}: this program reads version 1")), "{message}");
        assert!(!refusal(&path).is_damage());
    }
    let damaged = sample.store(&{
        let mut bytes = sample.bytes.clone();
        bytes[8] = 99;
        bytes
    });
    assert!(matches!(
        Shard::open(&damaged),
        Err(OpenError::Header { fault: HeaderError::Digest { version: 99, .. }, .. })
    ));
}

#[test]
fn crafted_headers_are_refused_by_field() {
    let sample = Sample::small();
    let [vectors, codes, second, centroids, slots, zones, sources, blobs, removed, decoder] =
        ["vectors", "codes", "second", "centroids", "slots", "zones", "sources", "blobs", "removed", "decoder"]
            .map(entry);
    let description = entry("decoder") + 64;
    let cases: &[(&str, usize, &[u8])] = &[
        ("header length", 12, &8192_u32.to_le_bytes()),
        ("file length", 48, &u64::MAX.to_le_bytes()),
        ("file length", 48, &(sample.bytes.len() as u64 + 64).to_le_bytes()),
        ("rows", 56, &u64::MAX.to_le_bytes()),
        ("rows", 56, &(1_u64 << 32).to_le_bytes()),
        ("rows", 56, &(u64::from(u32::MAX) - 62).to_le_bytes()),
        ("region", 56, &0_u64.to_le_bytes()),
        ("slots", 56, &(u64::from(u32::MAX) - 63).to_le_bytes()),
        ("section length", 56, &4_u64.to_le_bytes()),
        ("dimensions", 64, &u32::MAX.to_le_bytes()),
        ("dimensions", 64, &0_u32.to_le_bytes()),
        ("first layer", 64, &9_u32.to_le_bytes()),
        ("sections", 68, &3_u32.to_le_bytes()),
        ("sections", 68, &u32::MAX.to_le_bytes()),
        ("description", 72, &u32::MAX.to_le_bytes()),
        ("description", 72, &3201_u32.to_le_bytes()),
        ("description", 72, &3200_u32.to_le_bytes()),
        ("description", 72, &10_u32.to_le_bytes()),
        ("region", 76, &i32::MIN.to_le_bytes()),
        ("region", 84, &i32::MAX.to_le_bytes()),
        ("centroids", 92, &4_u32.to_le_bytes()),
        ("section length", 92, &0_u32.to_le_bytes()),
        ("layout", 104, &2_u32.to_le_bytes()),
        ("section length", 104, &1_u32.to_le_bytes()),
        ("slots", 108, &128_u32.to_le_bytes()),
        ("slots", 108, &63_u32.to_le_bytes()),
        ("slots", 108, &0_u32.to_le_bytes()),
        ("first layer", 112, &16_u32.to_le_bytes()),
        ("reserved", 116, &[1]),
        ("reserved", 127, &[1]),
        ("section kind", vectors, &2_u32.to_le_bytes()),
        ("section kind", decoder, &13_u32.to_le_bytes()),
        ("section reserved", vectors + 4, &[1]),
        ("section reserved", vectors + 24, &[1]),
        ("section offset", vectors + 8, &0_u64.to_le_bytes()),
        ("section offset", vectors + 8, &u64::MAX.to_le_bytes()),
        ("section length", vectors + 16, &u64::MAX.to_le_bytes()),
        ("section offset", codes + 8, &4097_u64.to_le_bytes()),
        ("section length", codes + 16, &447_u64.to_le_bytes()),
        ("section length", second + 16, &1_u64.to_le_bytes()),
        ("section length", centroids + 16, &0_u64.to_le_bytes()),
        ("section length", slots + 16, &256_u64.to_le_bytes()),
        ("section length", zones + 16, &64_u64.to_le_bytes()),
        ("section length", sources + 16, &u64::MAX.to_le_bytes()),
        ("section length", blobs + 16, &8_u64.to_le_bytes()),
        ("section offset", removed + 16, &1000_u64.to_le_bytes()),
        ("section offset", removed + 16, &u64::MAX.to_le_bytes()),
        ("section length", decoder + 16, &u64::MAX.to_le_bytes()),
        ("description", description, b"\xff"),
        ("description", description, b"spice"),
        ("header padding", 4095, &[1]),
    ];
    for (field, at, value) in cases {
        let path = sample.crafted_header(|bytes| bytes[*at..*at + value.len()].copy_from_slice(value));
        let message = header_refusal(&path);
        let named = format!("impossible header: {field}");
        assert!(message.contains(&named), "{value:?} at {at}: expected {named}, found {message}");
        assert!(refusal(&path).is_damage());
    }
}

#[test]
fn crafted_headers_of_lists_are_refused_by_field() {
    let sample = Sample::full();
    let slots = u32::from_le_bytes(sample.bytes[108..112].try_into().unwrap());
    let cases: &[(&str, usize, &[u8])] = &[
        ("centroids", 92, &0_u32.to_le_bytes()),
        ("centroids", 92, &71_u32.to_le_bytes()),
        ("slots", 108, &(slots + 128).to_le_bytes()),
        ("slots", 108, &64_u32.to_le_bytes()),
        ("slots", 108, &u32::MAX.to_le_bytes()),
        ("section length", entry("blobs") + 16, &0_u64.to_le_bytes()),
    ];
    for (field, at, value) in cases {
        let path = sample.crafted_header(|bytes| bytes[*at..*at + value.len()].copy_from_slice(value));
        let message = header_refusal(&path);
        assert!(message.contains(&format!("impossible header: {field}")), "{value:?} at {at}: {message}");
    }
}

/// A vast shard by its header, with all fields in agreement, in a file that is as short as before.
#[test]
fn a_header_that_agrees_with_itself_still_has_to_agree_with_the_file() {
    let sample = Sample::small();
    let (rows, dimensions) = (u64::from(u32::MAX) - 63, 65_536_u64);
    let blocks = rows / 64;
    let second_bytes = 1024 * 8;
    let lengths = [
        rows * (4 + dimensions),
        blocks * (1024 * 8 + 384),
        rows * second_bytes,
        4 * dimensions + 20 + dimensions,
        0,
        rows * 22,
        rows.div_ceil(1024) * 32,
        (rows.div_ceil(256) + 1) * 8,
        0,
        0,
        0,
        0,
    ];
    let path = sample.crafted_header(|bytes| {
        bytes[64..68].copy_from_slice(&65_536_u32.to_le_bytes());
        bytes[108..112].copy_from_slice(&(rows as u32).to_le_bytes());
        bytes[112..116].copy_from_slice(&1024_u32.to_le_bytes());
        let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(56, rows);
        let mut offset = 4096;
        for (name, length) in SECTIONS.iter().zip(lengths) {
            put(entry(name) + 8, offset);
            put(entry(name) + 16, length);
            offset = (offset + length).next_multiple_of(64);
        }
        put(48, offset);
    });
    let message = header_refusal(&path);
    assert!(message.contains("it was cut"), "{message}");
}
