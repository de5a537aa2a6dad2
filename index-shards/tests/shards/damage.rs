//! Damaged and crafted shards: refused with a reason, and never a panic.

mod bits;
mod details;
mod files;
mod headers;
mod sections;

use crate::common::{full, reseal, reseal_header, section, small};
use index_shards::{
    Dissimilar, Filter, PerPlace, SearchOptions, Shard, ShardSet, ShardSummary, VerifyError, Window, verify,
};
use std::fs::{self, File, OpenOptions};
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
