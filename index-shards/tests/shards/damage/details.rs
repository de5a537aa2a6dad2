//! Crafted and damaged details.

use super::{Sample, refusal, use_everything};
use crate::common::{entry, section};
use index_shards::{SearchOptions, Shard, ShardSet, VerifyError};

/// Frames of details that are what they should not be, with the offsets and digests right.
#[test]
fn crafted_frames_are_refused_by_row() {
    let sample = Sample::small();
    let frame = |content: &[u8]| zstd::bulk::compress(content, 3).unwrap();
    let names = |names: [&str; 3]| {
        let lengths: Vec<u8> = names.iter().map(|name| name.len() as u8).collect();
        [&[0; 3][..], &lengths, &[0; 3], names.concat().as_bytes()].concat()
    };
    let bomb = vec![0; 300_000];
    let cases: &[(&str, Option<u64>, Vec<u8>)] = &[
        ("name", Some(1), frame(&names(["a", "b\n", "c"]))),
        ("name", Some(2), frame(&names(["a", "b", ""]))),
        ("name", Some(2), frame(&names(["a", "b", "a"]))),
        ("name", Some(0), frame(&[&[0; 3][..], &[1; 3], &[0; 3], &[0xff, b'a', b'b']].concat())),
        ("flags", Some(0), frame(&[&[8, 0, 0][..], &[1; 3], &[0; 3], b"abc"].concat())),
        ("alt_m", Some(0), frame(&[&[1, 0, 0][..], &[1; 3], &[0; 3], &f32::NAN.to_le_bytes(), b"abc"].concat())),
        ("heading_deg", Some(1), frame(&[&[0, 2, 0][..], &[1; 3], &[0; 3], &361_f32.to_le_bytes(), b"abc"].concat())),
        ("footprint.north_deg", Some(1), frame(&[&[0, 4, 0][..], &[1; 3], &[0; 3], &[0; 16], b"abc"].concat())),
        ("frame", Some(0), frame(&[0, 0])),
        ("names of a frame", Some(0), frame(&[&[0; 3][..], &[1; 3], &[0; 3], b"abcd"].concat())),
        ("frame", Some(0), frame(&bomb)),
        ("frame", Some(0), b"nothing like a frame".to_vec()),
    ];
    for (field, row, frame) in cases {
        // The sections behind the details are empty, so only these move.
        let path = sample.crafted(|bytes| {
            let start = section(bytes, "details").start;
            bytes.truncate(start);
            bytes.extend(0_u64.to_le_bytes().into_iter().chain((frame.len() as u64).to_le_bytes()));
            bytes.extend(frame);
            let length = bytes.len() - start;
            bytes.resize(bytes.len().next_multiple_of(64), 0);
            let end = bytes.len() as u64;
            bytes[entry("details") + 16..entry("details") + 24].copy_from_slice(&(length as u64).to_le_bytes());
            for name in ["sources", "blobs", "removed", "decoder"] {
                bytes[entry(name) + 8..entry(name) + 16].copy_from_slice(&end.to_le_bytes());
            }
            bytes[48..56].copy_from_slice(&end.to_le_bytes());
        });
        assert!(use_everything(&path), "{field}");
        let error = refusal(&path);
        let VerifyError::Value { section: "details", row: found_row, fault, .. } = &error else {
            panic!("{field}: expected an impossible value, found {error}");
        };
        assert_eq!((fault.field, *found_row), (*field, *row), "{error}");
    }
}

#[test]
fn a_damaged_row_is_an_error_that_names_it_and_the_others_are_served() {
    let sample = Sample::small();
    let columns = sample.start("columns");
    let path = sample.crafted(|bytes| {
        let vectors = section(bytes, "vectors").start;
        bytes[vectors..vectors + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes[columns..columns + 4].copy_from_slice(&i32::MAX.to_le_bytes());
        // The source of row 1: there are none.
        bytes[columns + 50] = 9;
    });
    let shard = Shard::open(&path).unwrap();
    let place = shard.reference(0).unwrap_err().to_string();
    assert!(place.contains("details, row 0: lat_deg") && place.contains("crafted.shard"), "{place}");
    let source = shard.reference(1).unwrap_err().to_string();
    assert!(source.contains("sources, row 1: source: expected at most 0, found 9"), "{source}");
    assert!(shard.reference(2).is_ok());
    let shards = ShardSet::open(&[path]).unwrap();
    let found = shards.search(&[1.0, 0.0, 0.0, 0.0], &SearchOptions::default()).unwrap();
    let mut rows: Vec<u32> = found.similar.iter().map(|hit| hit.row).collect();
    rows.sort_unstable();
    assert_eq!(rows, [1, 2]);
}
