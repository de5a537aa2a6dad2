//! Every flipped bit: refused, and none panics.

use super::{Sample, refusal, use_everything};
use crate::common::{Numbers, SECTIONS, full_description, full_rows, push_full, section, write, writer};
use index_shards::{HEADER_BYTES, Place, SearchOptions, ShardSet, VerifyError, verify};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

#[test]
fn every_flipped_bit_is_refused_and_none_panics() {
    let sample = Sample::small();
    let file = sample.writable();
    for (&byte, at) in sample.bytes.iter().zip(0_u64..) {
        for bit in 0..8 {
            file.write_all_at(&[byte ^ (1 << bit)], at).unwrap();
            let error = refusal(&sample.path);
            assert!(error.is_damage(), "bit {bit} of byte {at}: {error}");
            // A flipped bit of the header is all alike: its digest differs.
            if at >= HEADER_BYTES as u64 || at % 16 == 0 {
                let opened = use_everything(&sample.path);
                assert_eq!(opened, at >= HEADER_BYTES as u64, "bit {bit} of byte {at}");
            }
        }
        file.write_all_at(&[byte], at).unwrap();
    }
    verify(&sample.path).unwrap();
}

#[test]
fn flipped_bits_of_every_section_are_refused_and_none_panics() {
    let sample = Sample::full();
    let file = sample.writable();
    for name in SECTIONS {
        let range = section(&sample.bytes, name);
        let padded = range.end.next_multiple_of(64);
        // Every byte of the first and the last 200, and every 13th between, one bit each in turn.
        let thin = |at: &usize| at - range.start < 200 || padded - at < 200 || at.is_multiple_of(13);
        for at in (range.start..padded).filter(thin) {
            let byte = sample.bytes[at];
            file.write_all_at(&[byte ^ (1 << (at % 8))], at as u64).unwrap();
            let error = refusal(&sample.path);
            assert!(error.is_damage() && error.to_string().contains(name), "byte {at} of {name}: {error}");
            assert!(use_everything(&sample.path));
            file.write_all_at(&[byte], at as u64).unwrap();
        }
    }
    verify(&sample.path).unwrap();
}

/// A shard with a decoder, which needs many rows: bits of all of it, thinly.
#[test]
fn flipped_bits_of_a_decoder_are_refused_and_none_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let dimensions = 130;
    let mut writer = writer(&path, full_description(dimensions));
    for row in full_rows(2200, dimensions) {
        push_full(&mut writer, &row);
    }
    let summary = writer.finish().unwrap();
    assert_eq!(verify(&path).unwrap(), summary);
    let bytes = fs::read(&path).unwrap();
    let range = section(&bytes, "decoder");
    assert!(!range.is_empty());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for at in (range.start..range.end).step_by(997).chain(range.end - 40..range.end) {
        file.write_all_at(&[bytes[at] ^ 0x55], at as u64).unwrap();
        let error = refusal(&path);
        assert!(error.is_damage() && error.to_string().contains("decoder"), "{error}");
        let shards = ShardSet::open(std::slice::from_ref(&path)).unwrap();
        shards.search(&vec![0.5; dimensions], &SearchOptions::default()).unwrap();
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
    }
}

/// With the digests right again, so that the content itself is believed: refused, or harmless.
#[test]
fn crafted_bytes_in_every_section_are_refused_or_harmless() {
    let sample = Sample::full();
    let mut numbers = Numbers(3);
    let mut accepted = 0;
    for name in SECTIONS {
        let range = section(&sample.bytes, name);
        for try_number in (0..120).filter(|_| !range.is_empty()) {
            let path = sample.crafted(|bytes| {
                for _ in 0..1 + try_number % 4 {
                    let share = f64::from(numbers.next()).abs();
                    let at = range.start + ((range.len() as f64 - 1.0).max(0.0) * share) as usize;
                    let value = [0, 0xff, 0x80, 0x7f, bytes[at] ^ 1][try_number % 5];
                    let to = (at + [1, 2, 4, 8][try_number % 4]).min(range.end.max(at + 1));
                    bytes[at..to].fill(value);
                }
            });
            assert!(use_everything(&path), "{name}");
            match verify(&path) {
                Ok(_) => accepted += 1,
                Err(error) => assert!(error.is_damage(), "{error}"),
            }
        }
    }
    // Signs, components of vectors and blobs may be anything.
    assert!(accepted > 0);
}

#[test]
fn damage_in_a_section_names_section_and_both_digests() {
    let sample = Sample::small();
    let mut bytes = sample.bytes.clone();
    bytes[4100] ^= 1;
    let error = refusal(&sample.store(&bytes));
    assert!(matches!(&error, VerifyError::Digest { section: "vectors", .. }), "{error}");
    assert!(error.to_string().contains("crafted.shard"));
}

#[test]
fn verify_reads_shards_larger_than_its_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut numbers = Numbers(1);
    let rows: Vec<_> = (0..40_000).map(|_| (Place::at(1.0, 2.0), numbers.unit_vector(&[0.0; 64], 1.0))).collect();
    let summary = write(&path, "space", &rows);
    assert!(summary.bytes > 1 << 22);
    assert_eq!(verify(&path).unwrap(), summary);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"x", summary.bytes - 70).unwrap();
    assert!(refusal(&path).is_damage());
}
