//! A shard that is made up: opening, searching, reading and verifying it gives errors or answers, never a crash.
//!
//! The input is taken as a shard, and what could be told at once is made right: lengths and digests. So the sections'
//! contents are believed, and the code behind the digests is reached.

#![no_main]

use index_shards::{
    Dissimilar, Filter, HEADER_BYTES, PerPlace, SearchOptions, ShardSet, Window, verify,
};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;

/// Sections of the format.
const SECTIONS: usize = 12;
/// Where their table begins, and bytes of an entry.
const TABLE: (usize, usize) = (128, 64);
/// Largest file that is tried.
const MOST_BYTES: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    if let Some(bytes) = sealed(data) {
        let path = path();
        fs::write(&path, bytes).expect("a temporary file");
        use_everything(&path);
        fs::remove_file(&path).ok();
    }
});

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("fuzz-{}.shard", std::process::id()))
}

/// The input with lengths and digests as they should be; `None` when it is too short or too long for that.
fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    if data.len() < HEADER_BYTES {
        return None;
    }
    let mut bytes = data.to_vec();
    let number = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let mut begins = HEADER_BYTES as u64;
    let mut ranges = Vec::new();
    for entry in (0..SECTIONS).map(|at| TABLE.0 + TABLE.1 * at) {
        let length = number(&bytes, entry + 16);
        let end = begins.checked_add(length)?.checked_next_multiple_of(64).filter(|end| *end <= MOST_BYTES)?;
        bytes[entry + 8..entry + 16].copy_from_slice(&begins.to_le_bytes());
        ranges.push((entry, begins as usize, end as usize));
        begins = end;
    }
    bytes.resize(begins as usize, 0);
    bytes[48..56].copy_from_slice(&begins.to_le_bytes());
    for (entry, begins, end) in ranges {
        let digest = Sha256::digest(&bytes[begins..end]);
        bytes[entry + 32..entry + 64].copy_from_slice(&digest);
    }
    bytes[16..48].fill(0);
    let digest = Sha256::digest(&bytes[..HEADER_BYTES]);
    bytes[16..48].copy_from_slice(&digest);
    Some(bytes)
}

fn use_everything(path: &PathBuf) {
    verify(path).ok();
    let Ok(shards) = ShardSet::open(std::slice::from_ref(path)) else { return };
    let query: Vec<f32> = (0..shards.dimensions()).map(|at| if at % 3 == 0 { 0.5 } else { -0.25 }).collect();
    let all = SearchOptions { k: 3, ..SearchOptions::default() };
    let circle = Window::Circle { lat_deg: -79.0, lon_deg: 179.0, radius_m: 1e6 };
    let filter = Filter {
        window: Some(circle),
        captured_ms: Some(0..=2_000_000_000_000),
        sources: Some(vec!["drone".into()]),
    };
    for options in [
        all.clone(),
        SearchOptions { filter: Filter { sources: None, captured_ms: None, ..filter.clone() }, ..all.clone() },
        SearchOptions { filter, dissimilar: Dissimilar::Centroid, ..all.clone() },
        SearchOptions { dissimilar: Dissimilar::Random { seed: 7 }, ..all.clone() },
        SearchOptions { per_place: Some(PerPlace { most: 1, radius_m: 50.0 }), ..all.clone() },
        SearchOptions { dissimilar: Dissimilar::FarInWindow { radius_m: 1e5 }, ..all },
    ] {
        if let Ok(found) = shards.search(&query, &options) {
            assert!(found.similar.iter().chain(&found.dissimilar).all(|hit| hit.score.is_finite()));
        }
    }
    let shard = &shards.shards()[0];
    for row in (0..shard.len().min(300) as u32).chain([u32::MAX]) {
        shard.reference(row).ok();
        shard.blob(row).ok();
        shard.vector(row).ok();
    }
    shard.source_names().ok();
    shard.tombstones().ok();
    shard.prefault().ok();
}
