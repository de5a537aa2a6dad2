//! One archive that installs on a device without a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::generation::{Keys, make};
use support::matrix::Matrix;
use support::{geolocate, succeeded};

struct Scene {
    home: tempfile::TempDir,
    keys: Keys,
    generation: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let keys = Keys::make(home.path(), "fleet");
        let shard = home.path().join("a.shard");
        let matrix = Matrix::write(home.path(), 200, 64, 1);
        succeeded(&matrix.build("bundle@000000000000", &shard).output().unwrap());
        let generation = make(home.path(), 3, &shard, &keys, &["--golden", "4"]);
        // Programs are large; what is in them does not matter here.
        let programs = home.path().join("programs");
        fs::create_dir(&programs).unwrap();
        for name in ["geolocated", "geolocate", "libonnxruntime.so.1.31.1"] {
            fs::write(programs.join(name), format!("#!/bin/sh\necho {name}\n")).unwrap();
        }
        Self { home, keys, generation }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn bundle(&self, out: &Path) -> Output {
        let arguments = [("--programs", &self.at("programs")), ("--generation", &self.generation)];
        let mut command = Command::new(support::binary("geolocate"));
        command.arg("bundle").arg("--key").arg(&self.keys.public).arg("--out").arg(out);
        for (flag, path) in arguments {
            command.arg(flag).arg(path);
        }
        command.output().unwrap()
    }

    fn verify(&self, archive: &Path, keys: &Keys) -> Output {
        let [verify, key] = ["--verify", "--key"].map(AsRef::as_ref);
        geolocate(["bundle".as_ref(), verify, archive.as_os_str(), key, keys.public.as_os_str()])
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_any_damage_is_found() {
    let scene = Scene::new();
    let (first, second) = (scene.at("first.tar.zst"), scene.at("second.tar.zst"));
    succeeded(&scene.bundle(&first));
    // Other times, and another order in which a file system may give names.
    let programs = scene.at("programs");
    for name in ["geolocate", "geolocated"] {
        let text = fs::read(programs.join(name)).unwrap();
        fs::remove_file(programs.join(name)).unwrap();
        fs::write(programs.join(name), text).unwrap();
    }
    succeeded(&scene.bundle(&second));
    let bytes = fs::read(&first).unwrap();
    assert!(bytes == fs::read(&second).unwrap(), "the bytes differ");
    let said = succeeded(&scene.verify(&first, &scene.keys));
    assert!(said.contains("good") && said.contains("generation 3 signed"), "{said}");
    let refused = scene.verify(&first, &Keys::make(scene.home.path(), "stranger"));
    assert_eq!(refused.status.code(), Some(3));
    for at in (0..bytes.len()).step_by(bytes.len() / 24) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(&second, damaged).unwrap();
        let output = scene.verify(&second, &scene.keys);
        assert_eq!(output.status.code(), Some(3), "byte {at}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(&second, &bytes[..bytes.len() - 100]).unwrap();
    assert_eq!(scene.verify(&second, &scene.keys).status.code(), Some(3));
}

#[test]
fn a_generation_that_does_not_hold_gets_into_no_bundle() {
    let scene = Scene::new();
    fs::write(scene.generation.join("golden.json"), "{}").unwrap();
    let output = scene.bundle(&scene.at("a.tar.zst"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("golden.json: expected"), "{output:?}");
    assert!(!scene.at("a.tar.zst").exists());
}

#[test]
fn it_installs_without_a_network() {
    let unpacks = Command::new("zstd").arg("--version").output().is_ok();
    if !unpacks {
        eprintln!("skipped: it_installs_without_a_network: no zstd to unpack with");
        return;
    }
    let scene = Scene::new();
    let (archive, root) = (scene.at("a.tar.zst"), scene.at("root"));
    succeeded(&scene.bundle(&archive));
    let script = format!(
        "cd {0:?} && zstd -dc {archive:?} | tar -x && sh geolocated/install.sh --root {root:?} && \
         sh geolocated/install.sh --root {root:?}",
        scene.home.path()
    );
    let said = succeeded(&Command::new("sh").args(["-c", &script]).output().unwrap());
    assert!(said.contains("gen-3 is there already"), "{said}");
    for (path, part) in [
        ("usr/bin/geolocated", "echo geolocated"),
        ("usr/lib/geolocated/libonnxruntime.so.1.31.1", "echo"),
        ("usr/lib/systemd/system/geolocated.service", "ExecStart=/usr/bin/geolocated run"),
        ("etc/geolocated/geolocated.toml", "[index]"),
        ("var/lib/geolocated/index/gen-3/manifest.json", "\"counter\": 3"),
    ] {
        let text = fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.contains(part), "{path}");
    }
    // A device would take what was installed.
    let installed = root.join("var/lib/geolocated/index/gen-3");
    let [check, key] = ["--check", "--key"].map(AsRef::as_ref);
    succeeded(&geolocate(["sign".as_ref(), installed.as_os_str(), check, key, scene.keys.public.as_os_str()]));
    // What was damaged on the way is not installed.
    fs::write(scene.at("geolocated/bin/geolocate"), "other").unwrap();
    let script = format!("sh {:?} --root {:?}", scene.at("geolocated/install.sh"), scene.at("other-root"));
    assert!(!Command::new("sh").args(["-c", &script]).output().unwrap().status.success());
    assert!(!scene.at("other-root").exists());
}
