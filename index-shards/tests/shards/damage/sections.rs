//! Crafted sections, with all digests right: refused by row, and skipped or refused when used.

use super::{Craft, Sample, refusal, use_everything};
use crate::common::{SECTIONS, push, section, u64_at, writer};
use index_shards::{Place, Shard, VerifyError, verify};
use std::fs;

#[test]
fn crafted_sections_are_refused_by_row_and_skipped_or_refused_when_used() {
    let sample = Sample::full();
    let at = |name: &str| sample.start(name);
    let end = |name: &str| section(&sample.bytes, name).end;
    let (n, stride, block) = (70, 140, 64 * 8 + 384);
    let record = at("centroids") + 4 * 136;
    let next_record = record + 156;
    let rows_of_first_list = u32::from_le_bytes(sample.bytes[record + 4..record + 8].try_into().unwrap()) as usize;
    let (lons, times, positions) = (4 * n, 8 * n, 18 * n);
    let removed = at("removed");
    let cases: &[Craft<'_>] = &[
        ("vectors", "scale", Some(1), at("vectors") + stride, &f32::NAN.to_le_bytes()),
        ("vectors", "scale", Some(2), at("vectors") + 2 * stride, &f32::INFINITY.to_le_bytes()),
        ("vectors", "scale", Some(0), at("vectors"), &[0; 4]),
        ("vectors", "scale", Some(69), at("vectors") + 69 * stride, &[0; 140]),
        ("codes", "factors", None, at("codes") + 512, &0x7fc0_u16.to_le_bytes()),
        ("codes", "factors", None, at("codes") + 512 + 128, &0x7f80_u16.to_le_bytes()),
        ("codes", "factors", None, at("codes") + 512 + 256, &0xbf80_u16.to_le_bytes()),
        ("codes", "factors of a slot without a row", None, at("codes") + 512 + 126, &[1]),
        ("codes", "signs", None, at("codes") + 63, &[1]),
        ("second", "signs", None, at("second") + 23, &[1]),
        ("second", "signs of a slot without a row", None, end("second") - 24, &[1]),
        ("centroids", "mean", None, at("centroids"), &f32::NAN.to_le_bytes()),
        ("centroids", "mean", None, at("centroids") + 4, &3.0_f32.to_le_bytes()),
        ("centroids", "first block", None, record, &1_u32.to_le_bytes()),
        ("centroids", "first block", None, next_record, &0_u32.to_le_bytes()),
        ("centroids", "rows of all centroids", None, record + 4, &1_u32.to_le_bytes()),
        ("centroids", "medoid", None, record + 8, &70_u32.to_le_bytes()),
        ("centroids", "radius", None, record + 12, &f32::NAN.to_le_bytes()),
        ("centroids", "radius", None, record + 12, &(-1.0_f32).to_le_bytes()),
        ("centroids", "scale", None, record + 16, &f32::INFINITY.to_le_bytes()),
        ("slots", "row of a slot", None, at("slots"), &70_u32.to_le_bytes()),
        ("slots", "row of a slot", None, at("slots") + 4, &0_u32.to_le_bytes()),
        ("slots", "row of a slot without one", None, at("slots") + 4 * rows_of_first_list, &7_u32.to_le_bytes()),
        ("columns", "lat_deg", Some(0), at("columns"), &900_000_001_i32.to_le_bytes()),
        ("columns", "lat_deg", Some(2), at("columns") + 8, &i32::MIN.to_le_bytes()),
        ("columns", "lon_deg", Some(1), at("columns") + lons + 4, &i32::MAX.to_le_bytes()),
        ("columns", "region", None, at("columns") + lons, &1_799_999_999_i32.to_le_bytes()),
        ("columns", "captured_at_ms", Some(3), at("columns") + times + 24, &i64::MAX.to_le_bytes()),
        ("columns", "position", Some(69), at("columns") + positions + 276, &5_u32.to_le_bytes()),
        ("zones", "zone", None, at("zones"), &0_i32.to_le_bytes()),
        ("zones", "zone", None, at("zones") + 16, &0_i64.to_le_bytes()),
        ("details", "frame offsets", None, at("details"), &1_u64.to_le_bytes()),
        ("details", "frame offsets", None, at("details") + 8, &0_u64.to_le_bytes()),
        ("details", "frame offsets", None, at("details") + 8, &u64::MAX.to_le_bytes()),
        ("details", "frame", Some(0), at("details") + 16, b"no frame"),
        ("sources", "sources", None, at("sources"), &0_u32.to_le_bytes()),
        ("sources", "length", None, at("sources"), &65_534_u32.to_le_bytes()),
        ("sources", "source offsets", None, at("sources") + 4, &1_u32.to_le_bytes()),
        ("sources", "source offsets", None, at("sources") + 12, &10_u32.to_le_bytes()),
        ("sources", "source", None, at("sources") + 16, b"z"),
        ("sources", "source", None, at("sources") + 16, b"\xff"),
        ("sources", "source", None, at("sources") + 17, b"\n"),
        ("blobs", "blob offsets", Some(0), at("blobs"), &1_u64.to_le_bytes()),
        ("blobs", "blob offsets", Some(3), at("blobs") + 32, &u64::MAX.to_le_bytes()),
        ("blobs", "blob offsets", Some(1), at("blobs") + 16, &0_u64.to_le_bytes()),
        ("removed", "digest of a shard", None, removed, &[0xff; 32]),
        ("removed", "rows", None, removed + 32, &0_u32.to_le_bytes()),
        ("removed", "rows", None, removed + 32, &u32::MAX.to_le_bytes()),
        ("removed", "removed row", None, removed + 40, &0_u32.to_le_bytes()),
    ];
    for (name, field, row, at, value) in cases {
        let path = sample.crafted(|bytes| bytes[*at..*at + value.len()].copy_from_slice(value));
        assert!(use_everything(&path), "{field}");
        let error = refusal(&path);
        assert!(error.is_damage());
        let VerifyError::Value { section, row: found_row, fault, .. } = &error else {
            panic!("{value:?} at {at}: expected an impossible value, found {error}");
        };
        assert_eq!((*section, fault.field, *found_row), (*name, *field, *row), "{value:?} at {at}: {error}");
    }
    assert!(block * 3 == section(&sample.bytes, "codes").len());
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    let sample = Sample::full();
    let mut padded = 0;
    for name in SECTIONS {
        let end = section(&sample.bytes, name).end;
        if !end.is_multiple_of(64) {
            padded += 1;
            for at in [end, end.next_multiple_of(64) - 1] {
                let path = sample.crafted(|bytes| bytes[at] = 1);
                let error = refusal(&path).to_string();
                assert!(error.contains(&format!("section {name}: padding: expected zero bytes only")), "{error}");
                assert!(use_everything(&path));
            }
        }
    }
    assert!(padded >= 5);
}

#[test]
fn positions_of_skipped_inputs_are_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut writer = writer(&path, crate::common::description("space", 1));
    for at in 0..10 {
        writer.skip("nothing").unwrap();
        push(&mut writer, &at.to_string(), &Place::at(0.0, 0.0), &[1.0]).unwrap();
    }
    writer.finish().unwrap();
    verify(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(u64_at(&bytes, 56), 10);
    let shard = Shard::open(&path).unwrap();
    let positions: Vec<u32> = (0..10).map(|row| shard.reference(row).unwrap().position).collect();
    assert_eq!(positions, (0..10).map(|at| 2 * at + 1).collect::<Vec<_>>());
}
