//! `geolocate import`: every data set in its public layout, with the traps that each is known for.

mod archives;
mod cross_view;
mod drones;
mod maps;
mod photos;
mod reranked;
mod scale;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Run, command, finish};

/// A data set that a test writes.
pub(crate) struct Set {
    folder: TempDir,
}

impl Set {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("set")).unwrap();
        Self { folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("set")
    }

    /// Writes a file below the root.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Files that are large enough for pictures.
    pub(crate) fn pictures(&self, names: &[&str]) -> &Self {
        for name in names {
            self.file(name, picture(name));
        }
        self
    }

    /// The poses CSV that an import writes.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("poses.csv")
    }

    pub(crate) fn import(&self, name: &str, more: &[&str]) -> Run {
        let mut import = command("import");
        import.arg(name).arg("--root").arg(self.root()).arg("--out").arg(self.out()).args(["--json", "-"]).args(more);
        finish(&mut import)
    }

    /// The rows of the poses CSV by the names of their columns.
    pub(crate) fn rows(&self) -> Vec<std::collections::BTreeMap<String, String>> {
        read(&self.out())
    }
}

/// The rows of a CSV by the names of its columns.
pub(crate) fn read(path: &Path) -> Vec<std::collections::BTreeMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

/// Bytes that no placeholder has.
pub(crate) fn picture(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(6000).collect()
}

/// How many rows were left out for a reason.
pub(crate) fn dropped(summary: &Value, reason: &str) -> u64 {
    summary["dropped"][reason]["rows"].as_u64().unwrap_or_default()
}

#[test]
fn what_is_written_is_read_by_build_as_a_poses_csv() {
    let set = Set::new();
    set.file("t.csv", "file,lat,lon,country\n\"a, b.jpg\",50.25,8.5,DE\nc.jpg,50.5,8.75,DE\n")
        .pictures(&["a, b.jpg", "c.jpg"]);
    let labels = set.root().join("t.csv");
    set.import("table", &["--labels", labels.to_str().unwrap(), "--columns", "also=country"]).expect(0);
    let vectors = set.folder.path().join("v.npy");
    crate::common::npy(&vectors, &[vec![1.0, 0.0], vec![0.0, 1.0]]);
    let shard = set.folder.path().join("a.shard");
    let built = crate::common::run(
        "build",
        &[&"--vectors", &vectors, &"--poses", &set.out(), &"--space", &"plane", &"--out", &shard],
    );
    assert!(built.expect(0).stdout.contains("in: 2"));
    assert_eq!(set.rows()[0]["country"], "DE");
}

#[test]
fn a_root_that_is_not_there_or_holds_nothing_is_an_error_that_names_it() {
    let set = Set::new();
    for (name, more) in [
        ("im2gps3k", vec![]),
        ("yfcc4k", vec![]),
        ("mp16", vec![]),
        ("emp16", vec![]),
        ("osv5m", vec![]),
        ("vigor", vec![]),
        ("university1652", vec![]),
        ("denseuav", vec![]),
        ("gtauav", vec![]),
        ("uav-visloc", vec![]),
        ("anyvisloc", vec![]),
        ("mr40k", vec!["--labels", "/no/such.csv"]),
    ] {
        let error = set.import(name, &more).expect(1).stderr;
        let says = error.contains("expected") || error.contains("/no/such.csv");
        assert!(says && error.lines().count() == 1, "{name}: {error}");
        assert!(!set.out().exists(), "{name}");
    }
    let missing = set.root().join("none");
    let mut import = command("import");
    import.arg("im2gps").arg("--root").arg(&missing).arg("--out").arg(set.out());
    assert!(finish(&mut import).expect(1).stderr.contains(missing.to_str().unwrap()));
}
