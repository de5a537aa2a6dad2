//! Packing on a disk that fails, tears and forgets at every call: what is found is whole, what was there before serves
//! on, and the next attempt gets there.

use super::*;
use crate::faulty_disk::{FaultyDisk, Mishap};

const FOLDER: &str = "/state/packed";

impl PackDisk for FaultyDisk {
    fn workplace(&self, folder: &Path, prefix: &str) -> io::Result<PathBuf> {
        self.make_folder(folder)?;
        let names = FaultyDisk::names(self, folder)?;
        let free = (1..).map(|number| format!("{prefix}{number}")).find(|name| !names.contains(name)).unwrap();
        let workplace = folder.join(free);
        self.make_folder(&workplace)?;
        Ok(workplace)
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => Ok(Some(file?.length()?)),
        }
    }

    fn text(&self, path: &Path) -> io::Result<String> {
        String::from_utf8(read(self, path)?).map_err(io::Error::other)
    }

    fn digest(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String> {
        digest::sha256_of_reader(read(self, path)?.as_slice(), on_bytes)
    }

    fn known_digest(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<String> {
        self.digest(path, on_bytes)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.create(path)?.write_at(content, 0)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.open(path)?.sync()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        FaultyDisk::sync_folder(self, folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FaultyDisk::rename(self, from, to)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        FaultyDisk::remove_folder(self, folder)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<(String, Duration)>> {
        let age = Duration::from_secs(60);
        Ok(FaultyDisk::names(self, folder)?.into_iter().map(|name| (name, age)).collect())
    }
}

fn read(disk: &FaultyDisk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let mut content = vec![0; usize::try_from(file.length()?).unwrap()];
    let mut filled = 0;
    while filled < content.len() {
        filled += file.read_at(&mut content[filled..], filled as u64)?;
    }
    Ok(content)
}

fn files() -> GraphFiles {
    let graph = FileSpec { path: "/models/graph.onnx".into(), sha256: "a".repeat(64) };
    GraphFiles { graph, data: Vec::new() }
}

fn key(library: &str) -> Key {
    Key::new(&files(), library.to_owned(), "a CPU".to_owned())
}

fn cache(disk: &FaultyDisk) -> Cache<'_> {
    Cache { folders: vec![FOLDER.into()], disk, trust_writable_folders: true }
}

/// What a library saves; several pages of it.
fn weights(library: &str) -> Vec<u8> {
    library.bytes().cycle().take(3000).collect()
}

/// Packs as a process does: not at all where it is found.
fn load(disk: &FaultyDisk, library: &str) -> Result<PathBuf, LoadError> {
    let (cache, key) = (cache(disk), key(library));
    if let Some(found) = cache.find(&key, &mut |_| ()) {
        return Ok(found);
    }
    cache.make(&files(), &key, &mut |_| (), |workplace| {
        let save = |name: &str, content: &[u8]| PackDisk::write(disk, &workplace.join(name), content);
        save(GRAPH, library.as_bytes())
            .and_then(|()| save(WEIGHTS, &weights(library)))
            .map_err(|error| error.to_string())
    })
}

/// Panics unless what a process finds is what the library saved.
fn assert_whole(disk: &FaultyDisk, found: &Path, library: &str, when: &str) {
    assert_eq!(disk.content(found).as_deref(), Some(library.as_bytes()), "{when}");
    assert_eq!(disk.content(&found.with_file_name(WEIGHTS)), Some(weights(library)), "{when}");
}

/// A disk on which an older library has packed.
fn disk_with_old() -> FaultyDisk {
    let disk = FaultyDisk::default();
    ["/state", FOLDER].into_iter().for_each(|folder| disk.put_folder(Path::new(folder)));
    load(&disk, "old").unwrap();
    disk
}

/// What must hold whatever happened.
fn assert_goes_on(disk: &FaultyDisk, when: &str) {
    disk.plan(None);
    let old = cache(disk).find(&key("old"), &mut |_| ()).unwrap_or_else(|| panic!("{when}: the older one is gone"));
    assert_whole(disk, &old, "old", when);
    if let Some(new) = cache(disk).find(&key("new"), &mut |_| ()) {
        assert_whole(disk, &new, "new", when);
    }
    let made = load(disk, "new").unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_whole(disk, &made, "new", when);
    assert!(cache(disk).find(&key("new"), &mut |_| ()).is_some(), "{when}");
}

#[test]
fn packed_weights_are_whole_or_not_there_whatever_fails_or_loses_power_at_any_call() {
    let disk = disk_with_old();
    disk.plan(None);
    load(&disk, "new").unwrap();
    let calls = disk.calls();
    assert!(calls > 25, "{calls}");
    for mishap in [Mishap::Error, Mishap::Stop] {
        for at in 1..=calls {
            let disk = disk_with_old();
            disk.plan(Some((at, mishap)));
            let made = load(&disk, "new");
            disk.restart();
            let when = format!("{mishap:?} at call {at}");
            if let Ok(path) = &made {
                assert_whole(&disk, path, "new", &when);
            }
            assert_goes_on(&disk, &when);
            for seed in 0..8 {
                let disk = disk_with_old();
                disk.plan(Some((at, mishap)));
                let made = load(&disk, "new");
                disk.lose_power(1000 * at + seed);
                let when = format!("{mishap:?} at call {at}, then a loss of power, {seed}");
                let found = cache(&disk).find(&key("new"), &mut |_| ());
                assert!(made.is_err() || found.is_some(), "{when}: what was packed is gone");
                assert_goes_on(&disk, &when);
            }
        }
    }
}

#[test]
fn damaged_packed_weights_are_replaced_and_a_loss_of_power_leaves_none_or_whole_ones() {
    let damaged = || {
        let disk = disk_with_old();
        let path = load(&disk, "new").unwrap();
        disk.damage(&path.with_file_name(WEIGHTS), |bytes| bytes[1000] ^= 1);
        disk
    };
    let disk = damaged();
    disk.plan(None);
    load(&disk, "new").unwrap();
    for at in 1..=disk.calls() {
        for seed in 0..8 {
            let disk = damaged();
            disk.plan(Some((at, Mishap::Stop)));
            load(&disk, "new").ok();
            disk.lose_power(1000 * at + seed);
            assert_goes_on(&disk, &format!("power lost at call {at}, {seed}"));
        }
    }
}
