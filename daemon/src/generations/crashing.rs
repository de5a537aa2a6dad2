//! A generation is fetched, placed and activated on a disk that fails, tears and forgets at every call: what was active
//! before serves on, or the new one is active, and either is whole.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{FileRole, Generation, GenerationManifest, GenerationState, MANIFEST_NAME, ManifestFile};
use crate::faulty_disk::{FaultyDisk, Mishap};

const STATE: &str = "/state/generations/state.json";
const OWN: &str = "/state/generations";

/// Files of a generation: one beside the manifest, one in a folder, one two folders deep.
fn files(counter: u64) -> Vec<(String, Vec<u8>)> {
    let content = |seed: u8| vec![seed ^ counter as u8; 1500];
    vec![
        ("reference.shard".to_owned(), content(1)),
        ("model/model.toml".to_owned(), content(2)),
        ("calibration/of/camera.toml".to_owned(), content(3)),
        (MANIFEST_NAME.to_owned(), content(4)),
    ]
}

fn generation(counter: u64, folder: &Path) -> Generation {
    let file = |(path, content): (String, Vec<u8>)| {
        let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let role = if path.ends_with(".shard") { FileRole::Shard } else { FileRole::Calibration };
        ManifestFile { path, role, length: content.len() as u64, sha256 }
    };
    let named = files(counter).into_iter().filter(|(path, _)| path != MANIFEST_NAME).map(file).collect();
    let [created, expires] = ["2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z"].map(|time| time.parse().unwrap());
    Generation::stand_in(folder, GenerationManifest::new(counter, created, expires, named))
}

fn own(counter: u64) -> PathBuf {
    Path::new(OWN).join(format!("gen-{counter}"))
}

/// A device that serves generation 7.
fn device() -> FaultyDisk {
    let disk = FaultyDisk::default();
    disk.put_folder(Path::new("/state"));
    files(7).into_iter().for_each(|(path, content)| disk.put(&own(7).join(path), &content));
    let state = GenerationState::default().activated(&generation(7, &own(7)));
    disk.put(Path::new(STATE), &serde_json::to_vec(&state).unwrap());
    disk
}

fn state(disk: &FaultyDisk) -> GenerationState {
    serde_json::from_slice(&disk.content(Path::new(STATE)).unwrap()).unwrap()
}

/// Fetches generation 8, gives it its name and activates it, or goes on with that.
fn update(disk: &FaultyDisk) -> io::Result<()> {
    if disk.names(Path::new(OWN))?.contains(&"gen-8".to_owned()) {
        assert!(is_whole(disk, 8), "what has its name is whole");
    } else {
        let folder = Path::new(OWN).join(".fetching-8");
        for (path, content) in files(8) {
            let path = folder.join(path);
            disk.make_folder(path.parent().unwrap())?;
            let file = disk.create(&path)?;
            file.write_at(&content, 0)?;
            file.sync()?;
        }
        generation(8, &folder).place(disk, &own(8))?;
    }
    let next = GenerationState::default().activated(&generation(7, &own(7))).activated(&generation(8, &own(8)));
    next.store(disk, Path::new(STATE))
}

fn is_whole(disk: &FaultyDisk, counter: u64) -> bool {
    files(counter).into_iter().all(|(path, content)| disk.content(&own(counter).join(path)) == Some(content))
}

fn assert_serves(disk: &FaultyDisk, when: &str) -> u64 {
    let active = state(disk).active.unwrap_or_else(|| panic!("{when}: nothing is active"));
    assert!(active.counter == 7 || active.counter == 8, "{when}");
    assert_eq!(active.folder, own(active.counter), "{when}");
    assert!(is_whole(disk, active.counter), "{when}: generation {} is not whole", active.counter);
    assert!(is_whole(disk, 7), "{when}: there is nothing to go back to");
    active.counter
}

#[test]
fn the_active_generation_is_whole_whatever_fails_or_loses_power_at_any_call() {
    let disk = device();
    disk.plan(None);
    update(&disk).unwrap();
    assert_eq!(assert_serves(&disk, "undisturbed"), 8);
    let calls = disk.calls();
    assert!(calls > 25, "{calls}");
    for mishap in [Mishap::Error, Mishap::Stop] {
        for at in 1..=calls {
            for seed in 0..9 {
                let disk = device();
                disk.plan(Some((at, mishap)));
                let done = update(&disk);
                // The first is a kill.
                if seed == 0 {
                    disk.restart();
                } else {
                    disk.lose_power(1000 * at + seed);
                }
                let when = format!("{mishap:?} at call {at}, {seed}");
                let active = assert_serves(&disk, &when);
                assert!(done.is_err() || active == 8, "{when}: what was activated is not active");
                disk.plan(None);
                update(&disk).unwrap_or_else(|error| panic!("{when}: {error}"));
                disk.lose_power(seed);
                assert_eq!(assert_serves(&disk, &when), 8, "{when}");
            }
        }
    }
}
