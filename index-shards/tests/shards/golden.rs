//! The byte tables of the documentation, checked against bytes that are spelled out here.

use crate::common::{description, full_place};
use index_shards::{Place, Shard, ShardWriter, verify};
use sha2::{Digest, Sha256};

const DESCRIPTION: &str = r#"space = "golden"
encoder = "none"
position_of = "camera"
licence = "CC0-1.0"
attribution = ""
created_at_ms = 1700000000000
"#;

/// SHA-256 of the golden file's header with the digest's own field zero. It covers the digests of the sections.
const DIGEST: &str = "6e4776adac513e090b330e31d264d808ffb80b9a71659ee4107c1b30221a966b";

fn golden() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golden.shard");
    let mut writer = ShardWriter::create(&path, description("golden", 3)).unwrap();
    writer.push("a", &full_place(), &[1.0, 0.0, -0.0]).unwrap();
    writer.push("bé", &Place::at(-0.000_000_1, -180.0), &[0.6, -0.8, 0.0]).unwrap();
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn header_has_the_bytes_of_its_table() {
    let file = golden();
    assert_eq!(file.len(), 4352);
    let region = i32s(&[-1, 134_000_000, 525_000_000, -1_800_000_000]);
    let fixed = [
        b"GEOSHARD".as_slice(),
        &0_u32.to_le_bytes(),
        &4096_u32.to_le_bytes(),
        &file[16..48],
        &4352_u64.to_le_bytes(),
        &2_u64.to_le_bytes(),
        &3_u32.to_le_bytes(),
        &3_u32.to_le_bytes(),
        &(DESCRIPTION.len() as u32).to_le_bytes(),
        &region,
    ];
    let mut expected = joined(&fixed, 128);
    for (kind, offset, length) in [(1_u32, 4096_u64, 24_u64), (2, 4160, 96), (3, 4288, 28)] {
        let padded = (offset + length).next_multiple_of(64) as usize;
        let digest = Sha256::digest(&file[offset as usize..padded]);
        let (offset, length) = (offset.to_le_bytes(), length.to_le_bytes());
        expected.extend(joined(&[&kind.to_le_bytes(), &[0; 4], &offset, &length, &[0; 8], &digest], 64));
    }
    expected.extend(DESCRIPTION.as_bytes());
    expected.resize(4096, 0);
    assert_eq!(hex(&file[..4096]), hex(&expected));
}

#[test]
fn digest_is_that_of_the_header() {
    let mut file = golden();
    assert_eq!(hex(&file[16..48]), DIGEST);
    file[16..48].fill(0);
    assert_eq!(hex(&Sha256::digest(&file[..4096])), DIGEST);
}

#[test]
fn vectors_have_the_bytes_of_their_table() {
    let lanes: Vec<u8> = [1.0_f32, 0.0, -0.0, 0.6, -0.8, 0.0].iter().flat_map(|lane| lane.to_le_bytes()).collect();
    assert_eq!(hex(&golden()[4096..4160]), hex(&joined(&[&lanes], 64)));
}

#[test]
fn places_have_the_bytes_of_their_table() {
    let lats = i32s(&[525_000_000, -1]);
    let lons = i32s(&[134_000_000, -1_800_000_000]);
    let edges = i32s(&[526_000_000, 1_795_000_000, 524_000_000, -1_795_000_000]);
    let (alt_m, heading_deg) = ((-12.5_f32).to_le_bytes(), 360.0_f32.to_le_bytes());
    let first = [[15, 0, 0, 0].as_slice(), &alt_m, &heading_deg, &edges, &[0; 4], &(-1_i64).to_le_bytes()];
    let expected = joined(&[&lats, &lons, &joined(&first, 40), &[0; 40]], 96);
    assert_eq!(hex(&golden()[4160..4256]), hex(&expected));
}

#[test]
fn names_have_the_bytes_of_their_table() {
    let table: Vec<u8> = [0_u64, 1, 4].iter().flat_map(|offset| offset.to_le_bytes()).collect();
    assert_eq!(hex(&golden()[4288..4352]), hex(&joined(&[&table, "abé".as_bytes()], 64)));
}
