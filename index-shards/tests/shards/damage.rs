//! Every flipped bit, every cut, crafted headers and sections: refused with a reason, and never a panic.

use crate::common::{reseal, reseal_header, section, small, write};
use index_shards::{
    HEADER_BYTES, HeaderError, OpenError, Place, SearchOptions, Shard, ShardSet, VerifyError, Window, verify,
};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A small shard in a folder of its own, and its bytes.
struct Sample {
    folder: TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.shard");
        small(&path);
        let bytes = fs::read(&path).unwrap();
        Self { folder, path, bytes }
    }

    fn writable(&self) -> File {
        OpenOptions::new().write(true).open(&self.path).unwrap()
    }

    /// The shard after `change`, with all digests right again.
    fn crafted(&self, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        reseal(&mut bytes);
        self.store(&bytes)
    }

    /// The shard after `change` to its header, with the header's digest right again.
    fn crafted_header(&self, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        reseal_header(&mut bytes);
        self.store(&bytes)
    }

    fn store(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("crafted.shard");
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Does with a shard whatever can be done with it; whether it could be opened.
fn use_everything(path: &Path) -> bool {
    let Ok(shards) = ShardSet::open(&[path.to_path_buf()]) else {
        return false;
    };
    let query = vec![0.5; shards.dimensions()];
    for window in [None, Some(Window { lat_deg: 52.5, lon_deg: 13.4, radius_m: 1e6 })] {
        let found = shards.search(&query, &SearchOptions { k: 2, window }).unwrap();
        assert!(found.similar.iter().chain(&found.dissimilar).all(|hit| hit.score.is_finite()));
    }
    for row in (0..shards.len() as u32).chain([u32::MAX]) {
        if let Ok(reference) = shards.shards()[0].reference(row) {
            assert!(!reference.name.is_empty() && reference.place.lat_deg.abs() <= 90.0);
        }
    }
    true
}

fn refusal(path: &Path) -> VerifyError {
    verify(path).unwrap_err()
}

fn header_refusal(path: &Path) -> String {
    let opened = Shard::open(path).unwrap_err().to_string();
    assert_eq!(opened, refusal(path).to_string());
    opened
}

#[test]
fn every_flipped_bit_is_refused_and_none_panics() {
    let sample = Sample::new();
    let file = sample.writable();
    for (&byte, at) in sample.bytes.iter().zip(0_u64..) {
        for bit in 0..8 {
            file.write_all_at(&[byte ^ (1 << bit)], at).unwrap();
            let error = refusal(&sample.path);
            assert!(error.is_damage(), "bit {bit} of byte {at}: {error}");
            let opened = use_everything(&sample.path);
            assert_eq!(opened, at >= HEADER_BYTES as u64, "bit {bit} of byte {at}");
        }
        file.write_all_at(&[byte], at).unwrap();
    }
    verify(&sample.path).unwrap();
}

#[test]
fn every_cut_is_refused_and_none_panics() {
    let sample = Sample::new();
    let file = sample.writable();
    for length in (0..sample.bytes.len() as u64).rev() {
        file.set_len(length).unwrap();
        assert!(refusal(&sample.path).is_damage(), "{length} bytes");
        assert!(!use_everything(&sample.path), "{length} bytes");
    }
}

#[test]
fn a_cut_file_says_so_with_both_lengths() {
    let sample = Sample::new();
    let whole = sample.bytes.len();
    let behind_the_header = sample.store(&sample.bytes[..4200]);
    let message = header_refusal(&behind_the_header);
    let expected = format!("4200 bytes long, but its header says {whole}: it was cut or not completely copied");
    assert!(message.ends_with(&expected), "{message}");
    let in_the_header = sample.store(&sample.bytes[..1000]);
    let message = header_refusal(&in_the_header);
    assert!(message.contains("1000 bytes long") && message.contains("4096") && message.contains("cut"), "{message}");
}

#[test]
fn bytes_that_were_appended_are_refused() {
    let sample = Sample::new();
    for more in [&[0][..], &[7], &[0; 64]] {
        let path = sample.store(&[&sample.bytes, more].concat());
        assert!(header_refusal(&path).contains("something was appended"));
        assert!(refusal(&path).is_damage());
    }
}

#[test]
fn a_file_cut_after_it_was_opened_is_an_error() {
    let sample = Sample::new();
    let shards = ShardSet::open(std::slice::from_ref(&sample.path)).unwrap();
    sample.writable().set_len(4096).unwrap();
    let options = SearchOptions { k: 1, window: None };
    let message = shards.search(&[1.0, 0.0, 0.0, 0.0], &options).unwrap_err().to_string();
    assert!(message.contains("4096 bytes long") && message.contains("cut in place"), "{message}");
    assert!(shards.shards()[0].reference(0).is_err());
}

#[test]
fn what_is_not_a_shard_is_told_from_what_cannot_be_read() {
    let sample = Sample::new();
    let empty = header_refusal(&sample.store(b""));
    assert!(empty.contains("not a shard"), "{empty}");
    let picture = sample.store(b"\xff\xd8\xff\xe0\0\x10JFIF and so on");
    let message = header_refusal(&picture);
    assert!(message.contains("not a shard") && message.contains("GEOSHARD"), "{message}");
    assert!(message.contains("\\xff\\xd8"), "{message}");
    assert!(refusal(&picture).is_damage());

    assert!(matches!(Shard::open(sample.folder.path()), Err(OpenError::NotAFile { .. })));
    assert!(!refusal(sample.folder.path()).is_damage());
    let missing = sample.folder.path().join("none.shard");
    assert!(matches!(Shard::open(&missing), Err(OpenError::Io { .. })));
    assert!(!refusal(&missing).is_damage());
    assert!(refusal(&missing).to_string().contains("none.shard"));
}

#[test]
fn another_version_is_named_and_is_no_damage() {
    let sample = Sample::new();
    let path = sample.crafted_header(|bytes| bytes[8] = 99);
    let message = header_refusal(&path);
    assert!(message.contains("format version 99: this program reads version 0"), "{message}");
    assert!(!refusal(&path).is_damage());
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
    let sample = Sample::new();
    let (vectors, places, names) = (128, 192, 256);
    let cases: &[(&str, usize, &[u8])] = &[
        ("header length", 12, &8192_u32.to_le_bytes()),
        ("file length", 48, &u64::MAX.to_le_bytes()),
        ("file length", 48, &(sample.bytes.len() as u64 + 64).to_le_bytes()),
        ("rows", 56, &0_u64.to_le_bytes()),
        ("rows", 56, &u64::MAX.to_le_bytes()),
        ("rows", 56, &(1_u64 << 32).to_le_bytes()),
        ("section length", 56, &u64::from(u32::MAX).to_le_bytes()),
        ("section length", 56, &4_u64.to_le_bytes()),
        ("section length", 64, &u32::MAX.to_le_bytes()),
        ("section length", 64, &0_u32.to_le_bytes()),
        ("sections", 68, &2_u32.to_le_bytes()),
        ("sections", 68, &u32::MAX.to_le_bytes()),
        ("description", 72, &u32::MAX.to_le_bytes()),
        ("description", 72, &3777_u32.to_le_bytes()),
        ("description", 72, &3776_u32.to_le_bytes()),
        ("description", 72, &10_u32.to_le_bytes()),
        ("region", 76, &i32::MIN.to_le_bytes()),
        ("region", 84, &i32::MAX.to_le_bytes()),
        ("reserved", 92, &[1]),
        ("reserved", 127, &[1]),
        ("section kind", vectors, &2_u32.to_le_bytes()),
        ("section reserved", vectors + 4, &[1]),
        ("section reserved", vectors + 24, &[1]),
        ("section offset", vectors + 8, &0_u64.to_le_bytes()),
        ("section offset", vectors + 8, &u64::MAX.to_le_bytes()),
        ("section length", vectors + 16, &u64::MAX.to_le_bytes()),
        ("section offset", places + 8, &4097_u64.to_le_bytes()),
        ("section length", places + 16, &143_u64.to_le_bytes()),
        ("section offset", names + 8, &u64::MAX.to_le_bytes()),
        ("section length", names + 16, &u64::MAX.to_le_bytes()),
        ("section length", names + 16, &34_u64.to_le_bytes()),
        ("file length", names + 16, &1000_u64.to_le_bytes()),
        ("description", 320, b"\xff"),
        ("description", 320, b"spice"),
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

/// A vast shard by its header, with all fields in agreement, in a file that is as short as before.
#[test]
fn a_header_that_agrees_with_itself_still_has_to_agree_with_the_file() {
    let sample = Sample::new();
    let (rows, dimensions) = (u64::from(u32::MAX), 65_536_u64);
    let path = sample.crafted_header(|bytes| {
        let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(56, rows);
        put(128 + 16, rows * dimensions * 4);
        let places = 4096 + rows * dimensions * 4;
        put(192 + 8, places);
        put(192 + 16, rows * 48);
        let names = (places + rows * 48).next_multiple_of(64);
        put(256 + 8, names);
        put(256 + 16, (rows + 1) * 8 + rows);
        put(48, (names + (rows + 1) * 8 + rows).next_multiple_of(64));
        bytes[64..68].copy_from_slice(&65_536_u32.to_le_bytes());
    });
    let message = header_refusal(&path);
    assert!(message.contains("it was cut"), "{message}");
}

#[test]
fn crafted_sections_are_refused_by_row_and_skipped_or_refused_when_used() {
    let sample = Sample::new();
    let [vectors, places, names] = [0, 1, 2].map(|index| section(&sample.bytes, index).start);
    let details = places + 24;
    let text = names + 32;
    let cases: &[(&str, Option<u64>, usize, &[u8])] = &[
        ("embedding", Some(1), vectors + 16, &f32::NAN.to_le_bytes()),
        ("embedding", Some(2), vectors + 44, &f32::INFINITY.to_le_bytes()),
        ("embedding", Some(0), vectors, &0.5_f32.to_le_bytes()),
        ("lat_deg", Some(0), places, &900_000_001_i32.to_le_bytes()),
        ("lat_deg", Some(2), places + 8, &i32::MIN.to_le_bytes()),
        ("lon_deg", Some(1), places + 16, &i32::MAX.to_le_bytes()),
        ("region", None, places + 12, &0_i32.to_le_bytes()),
        ("flags", Some(0), details, &31_u32.to_le_bytes()),
        ("footprint", Some(0), details, &7_u32.to_le_bytes()),
        ("alt_m", Some(0), details + 4, &f32::NAN.to_le_bytes()),
        ("heading_deg", Some(0), details + 8, &360.1_f32.to_le_bytes()),
        ("footprint.north_deg", Some(0), details + 12, &i32::MAX.to_le_bytes()),
        ("reserved", Some(0), details + 28, &[1]),
        ("captured_at_ms", Some(0), details + 32, &i64::MAX.to_le_bytes()),
        ("alt_m", Some(1), details + 44, &1.0_f32.to_le_bytes()),
        ("captured_at_ms", Some(2), details + 112, &[1]),
        ("name offsets", None, names, &1_u64.to_le_bytes()),
        ("name", Some(0), names + 8, &0_u64.to_le_bytes()),
        ("name offsets", None, names + 16, &0_u64.to_le_bytes()),
        ("name", Some(1), names + 16, &u64::MAX.to_le_bytes()),
        ("name offsets", None, names + 24, &4_u64.to_le_bytes()),
        ("name", Some(1), text + 1, b"\xff"),
        ("name", Some(1), text + 1, b"\n"),
        ("name", Some(2), text + 2, b"0"),
        ("padding", None, text + 3, &[1]),
        ("padding", None, vectors + 63, &[1]),
    ];
    for (field, row, at, value) in cases {
        let path = sample.crafted(|bytes| bytes[*at..*at + value.len()].copy_from_slice(value));
        assert!(use_everything(&path), "{field}");
        let error = refusal(&path);
        assert!(error.is_damage());
        let VerifyError::Value { row: found_row, fault, .. } = &error else {
            panic!("{value:?} at {at}: expected an impossible value, found {error}");
        };
        assert_eq!((fault.field, *found_row), (*field, *row), "{value:?} at {at}: {error}");
    }
}

#[test]
fn a_damaged_row_is_an_error_that_names_it_and_the_others_are_served() {
    let sample = Sample::new();
    let [vectors, places, names] = [0, 1, 2].map(|index| section(&sample.bytes, index).start);
    let path = sample.crafted(|bytes| {
        bytes[vectors..vectors + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes[places..places + 4].copy_from_slice(&i32::MAX.to_le_bytes());
        bytes[names + 33] = 0xff;
    });
    let shard = Shard::open(&path).unwrap();
    let place = shard.reference(0).unwrap_err().to_string();
    assert!(place.contains("places, row 0: lat_deg") && place.contains("crafted.shard"), "{place}");
    let name = shard.reference(1).unwrap_err().to_string();
    assert!(name.contains("names, row 1: name: expected UTF-8"), "{name}");
    assert_eq!(shard.reference(2).unwrap().name, "2");
    let shards = ShardSet::open(&[path]).unwrap();
    let found = shards.search(&[1.0, 0.0, 0.0, 0.0], &SearchOptions { k: 3, window: None }).unwrap();
    assert_eq!(found.similar.iter().map(|hit| hit.row).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn damage_in_a_section_names_section_and_both_digests() {
    let sample = Sample::new();
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
    let rows: Vec<_> = (0..40_000).map(|_| (Place::at(1.0, 2.0), vec![0.25; 16])).collect();
    let summary = write(&path, "space", &rows);
    assert!(summary.bytes > 1 << 22);
    assert_eq!(verify(&path).unwrap(), summary);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"x", summary.bytes - 70).unwrap();
    assert!(refusal(&path).is_damage());
}
