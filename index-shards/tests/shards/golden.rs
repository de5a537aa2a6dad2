//! The file of format 1 that is kept (`tests/golden/v1.shard`), and the byte tables of the documentation, checked
//! against bytes that are spelled out here.

use crate::common::{full, full_description, full_place, full_rows, row_at, section, u64_at, write_with, writer};
use index_shards::{
    BlobDescription, LayoutChoice, Place, Row, SearchOptions, Shard, ShardDescription, ShardSet, WriterOptions, verify,
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// SHA-256 of the kept file's header with the digest's own field zero. It covers the digests of the sections.
const DIGEST: &str = "3c0a3a0ea7c13c0f13fc9c161308b164e8584e29541d7a486c561359cff626c8";
/// The same for a shard of 2200 rows, which has a decoder too and is not kept.
const DIGEST_OF_LARGER: &str = "6fed163f346970dc429e703dd5a00a453c79e335332e78209751a003062d140b";

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.shard")
}

/// Writes the kept file. Only for a new format version: a file that was written once stays readable.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_kept_file() {
    full(&kept());
}

#[test]
fn the_kept_file_opens_verifies_and_answers() {
    let path = kept();
    assert_eq!(verify(&path).unwrap().digest, DIGEST);
    let shards = ShardSet::open(std::slice::from_ref(&path)).unwrap();
    let shard = &shards.shards()[0];
    assert_eq!((shard.digest(), shard.description()), (DIGEST, &full_description(136)));
    let query = &full_rows(70, 136)[33].embedding;
    let options = SearchOptions { k: 3, ..SearchOptions::default() };
    let found = shards.search(query, &options).unwrap();
    let shown = |hits: &[index_shards::Hit]| -> Vec<(String, u32)> {
        hits.iter().map(|hit| (shards.reference(hit).unwrap().name, hit.score.to_bits())).collect()
    };
    assert_eq!(shown(&found.similar), SIMILAR.map(|(name, bits)| (name.to_owned(), bits)));
    assert_eq!(shown(&found.dissimilar), DISSIMILAR.map(|(name, bits)| (name.to_owned(), bits)));
    let row = row_at(shard, 34);
    let reference = shard.reference(row).unwrap();
    assert_eq!((reference.name.as_str(), reference.source.as_deref()), ("flug/003/bild-3.jpg", Some("drone")));
    assert_eq!(shard.blob(row).unwrap(), None);
    assert_eq!(shard.tombstones().unwrap().len(), 2);
}

/// Names and scores, as bits, of the answer.
const SIMILAR: [(&str, u32); 3] =
    [("flug/003/bild-3.jpg", 0x3f7fff17), ("flug/003/bild-7.jpg", 0x3eb27d58), ("flug/003/bild-9.jpg", 0x3e9abe44)];
const DISSIMILAR: [(&str, u32); 3] =
    [("flug/006/bild-1.jpg", 0xbe35c4cb), ("flug/002/bild-0.jpg", 0xbe2dac54), ("flug/002/bild-2.jpg", 0xbe237a7d)];

#[test]
fn the_kept_file_is_written_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    assert_eq!(full(&path).digest, DIGEST);
    assert!(std::fs::read(&path).unwrap() == std::fs::read(kept()).unwrap());
}

#[test]
fn a_larger_shard_is_written_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let rows: Vec<_> = full_rows(2200, 130).into_iter().map(|row| (row.place, row.embedding)).collect();
    let options = WriterOptions { layout: LayoutChoice::Lists(9), threads: 2, ..WriterOptions::default() };
    assert_eq!(write_with(&path, "space", &rows, options).digest, DIGEST_OF_LARGER);
    let bytes = std::fs::read(&path).unwrap();
    assert!(!section(&bytes, "decoder").is_empty() && !section(&bytes, "second").is_empty());
}

const DESCRIPTION: &str = r#"space = "golden"
encoder = "none"
position_of = "camera"
licence = "CC0-1.0"
attribution = ""
created_at_ms = 1700000000000

[blobs]
codec = "text"
producer = "tests"
"#;

/// Two rows of three dimensions. The second one pushed stands first: it lies further along the curve from the west.
fn tables() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.shard");
    let described = ShardDescription {
        blobs: Some(BlobDescription { codec: "text".into(), producer: "tests".into() }),
        ..crate::common::description("golden", 3)
    };
    let mut writer = writer(&path, described);
    let row = Row { name: "a", place: &full_place(), source: Some("s"), embedding: &[1.0, 0.0, -0.0], blob: None };
    writer.push(&row).unwrap();
    writer.skip("nothing").unwrap();
    let west = Place::at(-0.000_000_1, -180.0);
    let row = Row { name: "bé", place: &west, source: None, embedding: &[0.6, -0.8, 0.0], blob: Some(b"blob") };
    writer.push(&row).unwrap();
    writer.remove(&"01".repeat(32), &[5, 2]).unwrap();
    let digest = writer.finish().unwrap().digest;
    assert_eq!(verify(&path).unwrap().digest, digest);
    assert_eq!(Shard::open(&path).unwrap().digest(), digest);
    std::fs::read(&path).unwrap()
}

/// The parts one after the other, filled with zeros to `length`.
fn joined(parts: &[&[u8]], length: usize) -> Vec<u8> {
    let mut bytes = parts.concat();
    assert!(bytes.len() <= length);
    bytes.resize(length, 0);
    bytes
}

fn i32s(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn i64s(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a section and its padding.
fn padded<'a>(file: &'a [u8], name: &str) -> &'a [u8] {
    let range = section(file, name);
    &file[range.start..range.end.next_multiple_of(64)]
}

#[test]
fn header_has_the_bytes_of_its_table() {
    let file = tables();
    let seed = Sha256::digest("geoshard rotation\ngolden");
    let region = i32s(&[-1, 134_000_000, 525_000_000, -1_800_000_000]);
    let fixed = [
        b"GEOSHARD".as_slice(),
        &1_u32.to_le_bytes(),
        &4096_u32.to_le_bytes(),
        &file[16..48],
        &(file.len() as u64).to_le_bytes(),
        &2_u64.to_le_bytes(),
        &3_u32.to_le_bytes(),
        &12_u32.to_le_bytes(),
        &(DESCRIPTION.len() as u32).to_le_bytes(),
        &region,
        &1_u32.to_le_bytes(),
        &seed[..8],
        &0_u32.to_le_bytes(),
        &64_u32.to_le_bytes(),
        &8_u32.to_le_bytes(),
    ];
    let mut expected = joined(&fixed, 128);
    let details = u64_at(&file, 128 + 64 * 7 + 16);
    let lengths = [16, 64 + FACTORS, 0, 36, 0, 44, 32, details, 13, 28, 44, 0];
    let mut offset = 4096;
    for (kind, length) in (1_u32..).zip(lengths) {
        let end = (offset + length).next_multiple_of(64);
        let digest = Sha256::digest(&file[offset as usize..end as usize]);
        let entry = [&kind.to_le_bytes(), &[0; 4], &offset.to_le_bytes()[..], &length.to_le_bytes(), &[0; 8], &digest];
        expected.extend(joined(&entry, 64));
        offset = end;
    }
    assert_eq!(offset, file.len() as u64);
    expected.extend(DESCRIPTION.as_bytes());
    expected.resize(4096, 0);
    assert_eq!(hex(&file[..4096]), hex(&expected));
}

/// Bytes of a block of codes beside its signs.
const FACTORS: u64 = 384;

#[test]
fn digest_is_that_of_the_header() {
    let mut file = std::fs::read(kept()).unwrap();
    assert_eq!(hex(&file[16..48]), DIGEST);
    file[16..48].fill(0);
    assert_eq!(hex(&Sha256::digest(&file[..4096])), DIGEST);
}

#[test]
fn vectors_have_the_bytes_of_their_table() {
    let file = tables();
    let vectors = padded(&file, "vectors");
    for record in vectors[..16].chunks(8) {
        let scale = f32::from_le_bytes(record[..4].try_into().unwrap());
        let squares: f32 = record[4..7].iter().map(|byte| f32::from(byte.cast_signed()).powi(2)).sum();
        assert!((scale * squares.sqrt() - 1.0).abs() < 1e-6 && record[7] == 0);
        assert!(record[4..7].iter().any(|byte| byte.cast_signed().unsigned_abs() == 127));
    }
    assert_eq!(hex(&vectors[16..]), hex(&[0; 48]));
}

#[test]
fn centroids_have_the_bytes_of_their_table() {
    let file = tables();
    let (vectors, centroids) = (padded(&file, "vectors"), padded(&file, "centroids"));
    let component = |row: usize, at: usize| {
        let record = &vectors[8 * row..];
        f32::from_le_bytes(record[..4].try_into().unwrap()) * f32::from(record[4 + at].cast_signed())
    };
    for at in 0..3 {
        let mean = f32::from_le_bytes(centroids[4 * at..4 * at + 4].try_into().unwrap());
        assert!((mean - (component(0, at) + component(1, at)) / 2.0).abs() < 1e-6);
    }
    // One centroid, of no list, for both rows.
    assert_eq!(hex(&centroids[12..20]), hex(&i32s(&[0, 2])));
    assert!(centroids[20] <= 1 && hex(&centroids[21..24]) == hex(&[0; 3]));
    assert_eq!(hex(&centroids[36..]), hex(&[0; 28]));
}

#[test]
fn columns_and_zones_have_the_bytes_of_their_tables() {
    let file = tables();
    let lats = i32s(&[-1, 525_000_000]);
    let lons = i32s(&[-1_800_000_000, 134_000_000]);
    let times = i64s(&[i64::MIN, -1]);
    let expected = joined(&[&lats, &lons, &times, &[0, 0, 1, 0], &i32s(&[2, 0])], 64);
    assert_eq!(hex(padded(&file, "columns")), hex(&expected));
    let expected = joined(&[&i32s(&[-1, -1_800_000_000, 525_000_000, 134_000_000]), &i64s(&[-1, -1])], 64);
    assert_eq!(hex(padded(&file, "zones")), hex(&expected));
}

#[test]
fn details_have_the_bytes_of_their_table() {
    let file = tables();
    let details = &file[section(&file, "details")];
    assert_eq!(u64_at(details, 0), 0);
    assert_eq!(u64_at(details, 8) as usize, details.len() - 16);
    let frame = zstd::bulk::decompress(&details[16..], 1000).unwrap();
    let edges = [
        526_000_000 - 525_000_000,
        1_795_000_000 - 134_000_000,
        524_000_000 - 525_000_000,
        -1_795_000_000_i32 - 134_000_000,
    ];
    let (alt_m, heading_deg) = ((-12.5_f32).to_le_bytes(), 360.0_f32.to_le_bytes());
    // Planes: with one number in a column they are just its bytes; the two lengths of names have theirs interleaved.
    let expected = [&[0, 7][..], &[3, 1, 0, 0], &alt_m, &heading_deg, &i32s(&edges), "béa".as_bytes()];
    assert_eq!(hex(&frame), hex(&expected.concat()));
}

#[test]
fn sources_blobs_and_tombstones_have_the_bytes_of_their_tables() {
    let file = tables();
    assert_eq!(hex(padded(&file, "sources")), hex(&joined(&[&i32s(&[1, 0, 1]), b"s"], 64)));
    assert_eq!(hex(padded(&file, "blobs")), hex(&joined(&[&i64s(&[0, 4, 4]), b"blob"], 64)));
    assert_eq!(hex(padded(&file, "removed")), hex(&joined(&[&[1; 32], &i32s(&[2, 2, 5])], 64)));
}

#[test]
fn slots_have_the_bytes_of_their_table() {
    let file = std::fs::read(kept()).unwrap();
    let slots: Vec<u32> =
        file[section(&file, "slots")].as_chunks().0.iter().map(|slot| u32::from_le_bytes(*slot)).collect();
    let mut rows: Vec<u32> = slots.iter().copied().filter(|row| *row != u32::MAX).collect();
    assert!(slots.chunks(64).all(|block| block.is_sorted()));
    rows.sort_unstable();
    assert_eq!(rows, (0..70).collect::<Vec<_>>());
}

#[test]
fn every_row_of_the_kept_file_is_what_was_pushed() {
    let shard = Shard::open(&kept()).unwrap();
    for (at, told) in (0..).zip(full_rows(70, 136)) {
        let row = row_at(&shard, if at < 30 { at } else { at + 1 });
        assert_eq!(shard.reference(row).unwrap().name, told.name);
        assert_eq!(shard.blob(row).unwrap(), told.blob.as_deref());
    }
}
