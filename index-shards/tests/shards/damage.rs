//! Every flipped bit, every cut, crafted headers and sections: refused with a reason, and never a panic.

use crate::common::{
    Numbers, SECTIONS, entry, full, full_description, full_rows, push, push_full, reseal, reseal_header, section,
    small, u64_at, write, writer,
};
use index_shards::{
    Dissimilar, Filter, HEADER_BYTES, HeaderError, OpenError, PerPlace, Place, SearchOptions, Shard, ShardSet,
    ShardSummary, VerifyError, Window, verify,
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
    /// Of three rows and four dimensions: few bytes.
    fn small() -> Self {
        Self::new(small)
    }

    /// With something in nearly every section.
    fn full() -> Self {
        Self::new(full)
    }

    fn new(write: fn(&Path) -> ShardSummary) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.shard");
        write(&path);
        let bytes = fs::read(&path).unwrap();
        Self { folder, path, bytes }
    }

    fn writable(&self) -> File {
        OpenOptions::new().write(true).open(&self.path).unwrap()
    }

    /// Where a section begins.
    fn start(&self, name: &str) -> usize {
        section(&self.bytes, name).start
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

/// A crafted value: section and field that are refused, row if there is one, where it stands, and what is put there.
type Craft<'a> = (&'a str, &'a str, Option<u64>, usize, &'a [u8]);

/// What a shard can be asked in a search, in few ones that cover all.
fn searches() -> Vec<SearchOptions> {
    let all = SearchOptions { k: 2, ..SearchOptions::default() };
    let circle = Window::Circle { lat_deg: 52.5, lon_deg: 13.4, radius_m: 1e6 };
    let of_box = Window::Box { south_deg: -80.0, west_deg: 170.0, north_deg: 0.0, east_deg: -120.0 };
    let windowed = |window| Filter { window: Some(window), ..Filter::default() };
    vec![
        all.clone(),
        SearchOptions { filter: windowed(circle), ..all.clone() },
        SearchOptions {
            filter: windowed(of_box),
            per_place: Some(PerPlace { most: 1, radius_m: 50.0 }),
            ..all.clone()
        },
        SearchOptions {
            filter: Filter {
                captured_ms: Some(0..=2_000_000_000_000),
                sources: Some(vec!["drone".into()]),
                ..Filter::default()
            },
            dissimilar: Dissimilar::Centroid,
            ..all.clone()
        },
        SearchOptions { dissimilar: Dissimilar::Random { seed: 7 }, ..all.clone() },
        SearchOptions { dissimilar: Dissimilar::FarInWindow { radius_m: 1e5 }, ..all },
    ]
}

/// Does with a shard whatever can be done with it; whether it could be opened. A shard opened is always harmless, but
/// may answer with errors.
fn use_everything(path: &Path) -> bool {
    let Ok(shards) = ShardSet::open(&[path.to_path_buf()]) else {
        return false;
    };
    let query: Vec<f32> = (0..shards.dimensions()).map(|at| if at % 3 == 0 { 0.5 } else { -0.25 }).collect();
    for options in searches() {
        if let Ok(found) = shards.search(&query, &options) {
            let good = |hit: &index_shards::Hit| hit.score.is_finite() && (hit.row as usize) < shards.len();
            assert!(found.similar.iter().chain(&found.dissimilar).all(good), "{found:?} by {options:?}");
        }
    }
    let shard = &shards.shards()[0];
    for row in (0..shards.len() as u32).step_by(9).chain([shards.len() as u32 - 1, u32::MAX]) {
        if let Ok(reference) = shard.reference(row) {
            assert!(!reference.name.is_empty() && reference.place.lat_deg.abs() <= 90.0);
        }
        shard.blob(row).ok();
        shard.vector(row).ok();
    }
    shard.source_names().ok();
    shard.tombstones().ok();
    shard.layout();
    shard.prefault().ok();
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
fn every_cut_is_refused_and_none_panics() {
    let sample = Sample::small();
    let file = sample.writable();
    for length in (0..sample.bytes.len() as u64).rev() {
        file.set_len(length).unwrap();
        assert!(refusal(&sample.path).is_damage(), "{length} bytes");
        assert!(!use_everything(&sample.path), "{length} bytes");
    }
}

#[test]
fn a_cut_file_says_so_with_both_lengths() {
    let sample = Sample::small();
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
    let sample = Sample::small();
    for more in [&[0][..], &[7], &[0; 64]] {
        let path = sample.store(&[&sample.bytes, more].concat());
        assert!(header_refusal(&path).contains("something was appended"));
        assert!(refusal(&path).is_damage());
    }
}

#[test]
fn a_file_cut_after_it_was_opened_is_an_error() {
    let sample = Sample::small();
    let shards = ShardSet::open(std::slice::from_ref(&sample.path)).unwrap();
    sample.writable().set_len(4096).unwrap();
    let message = shards.search(&[1.0, 0.0, 0.0, 0.0], &SearchOptions::default()).unwrap_err().to_string();
    assert!(message.contains("4096 bytes long") && message.contains("cut in place"), "{message}");
    let shard = &shards.shards()[0];
    assert!(shard.reference(0).is_err() && shard.blob(0).is_err() && shard.vector(0).is_err());
}

#[test]
fn what_is_not_a_shard_is_told_from_what_cannot_be_read() {
    let sample = Sample::small();
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

/// Names that come twice are found whatever else is in the shard, also by a writer that did not see it: here the second
/// of them is crafted.
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
