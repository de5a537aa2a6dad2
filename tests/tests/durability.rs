//! Builds of whole processes that are killed, run out of disk, or get in each other's way: the output is the old one or
//! the new one, whole, and the next build gets there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// Helpers of tests may fail loudly.

mod support;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::matrix::{Matrix, Numbers};
use support::{succeeded, wait_for};
use tempfile::TempDir;

const ROWS: usize = 20_000;
const DIMENSIONS: usize = 144;
/// The names of a build's own files beside `a.shard`.
const BESIDE: [&str; 4] = [".a.shard.building", ".a.shard.finishing", ".a.shard.merging", ".a.shard.sorting"];
/// Where the spool is.
const SPOOL: &str = BESIDE[0];
const SIGKILL: i32 = 9;

/// What is built: a matrix, and the shard that a build makes of it that nothing happens to.
struct Scene {
    inputs: TempDir,
    matrix: Matrix,
    /// A smaller shard of the same space, which was there before.
    old: Vec<u8>,
    new: Vec<u8>,
    /// Bytes that a build had beside its output, at the most that was seen.
    most_beside: u64,
}

impl Scene {
    fn new() -> Self {
        let inputs = tempfile::tempdir().unwrap();
        let small = tempfile::tempdir().unwrap();
        let out = small.path().join("a.shard");
        succeeded(&command(&Matrix::write(small.path(), 50, DIMENSIONS, 2), &out).output().unwrap());
        let old = std::fs::read(&out).unwrap();
        let matrix = Matrix::write(inputs.path(), ROWS, DIMENSIONS, 1);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a.shard");
        let mut build = Build::start(&matrix, &out);
        let mut most_beside = 0;
        let output = build.watch(|beside| {
            most_beside = beside.bytes().max(most_beside);
            false
        });
        succeeded(&output);
        assert_eq!(names(folder.path()), ["a.shard"]);
        Self { inputs, matrix, old, new: std::fs::read(&out).unwrap(), most_beside }
    }

    /// Puts the older shard into a folder and gives its name.
    fn put_old(&self, folder: &Path) -> PathBuf {
        let out = folder.join("a.shard");
        std::fs::write(&out, &self.old).unwrap();
        out
    }

    fn assert_old_or_new(&self, out: &Path, when: &str) {
        let found = std::fs::read(out).unwrap();
        assert!(found == self.old || found == self.new, "{when}: {} bytes that are neither", found.len());
    }

    /// Builds to the end, with what is there: the new shard and nothing else.
    fn assert_gets_there(&self, out: &Path, when: &str) -> Output {
        let output = command(&self.matrix, out).output().unwrap();
        succeeded(&output);
        assert!(std::fs::read(out).unwrap() == self.new, "{when}: the shard differs from an undisturbed build's");
        assert_eq!(names(out.parent().unwrap()), ["a.shard"], "{when}");
        output
    }
}

fn command(matrix: &Matrix, out: &Path) -> Command {
    matrix.build("durable@000000000000", out)
}

/// A build that runs; killed when dropped.
struct Build {
    process: Option<Child>,
    folder: PathBuf,
}

impl Build {
    fn start(matrix: &Matrix, out: &Path) -> Self {
        Self::spawn(command(matrix, out), out)
    }

    fn spawn(mut command: Command, out: &Path) -> Self {
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { process: Some(process), folder: out.parent().unwrap().into() }
    }

    /// Watches the build to its end, and kills it as soon as `kills` says so of what it has beside the output.
    fn watch(&mut self, mut kills: impl FnMut(&Beside) -> bool) -> Output {
        let mut process = self.process.take().unwrap();
        while process.try_wait().unwrap().is_none() {
            if kills(&Beside::of(&self.folder)) {
                process.kill().unwrap();
                break;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        process.wait_with_output().unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// The files of a build that are beside its output, and their bytes.
struct Beside(BTreeMap<&'static str, u64>);

impl Beside {
    fn of(folder: &Path) -> Self {
        let bytes = |name: &&'static str| Some((*name, std::fs::metadata(folder.join(name)).ok()?.len()));
        Self(BESIDE.iter().filter_map(bytes).collect())
    }

    fn bytes(&self) -> u64 {
        self.0.values().sum()
    }

    fn spool_bytes(&self) -> Option<u64> {
        self.0.get(SPOOL).copied()
    }
}

/// All names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Kills come when a build has so and so many bytes beside its output, which is the same on slow and on fast machines.
#[test]
fn a_build_that_is_killed_again_and_again_goes_on_and_writes_the_same_bytes() {
    let scene = Scene::new();
    let mut killed_with = BTreeMap::new();
    for seed in 0..4 {
        let mut numbers = Numbers(seed);
        let mut moments: Vec<u64> = (0..6).map(|_| numbers.below(scene.most_beside)).collect();
        moments.sort_unstable();
        let folder = tempfile::tempdir().unwrap();
        let out = scene.put_old(folder.path());
        for moment in &moments {
            let when = format!("seed {seed}, killed at {moment} of {} bytes", scene.most_beside);
            let output = Build::start(&scene.matrix, &out).watch(|beside| beside.bytes() >= *moment);
            if output.status.signal() == Some(SIGKILL) {
                for name in Beside::of(folder.path()).0.into_keys() {
                    *killed_with.entry(name).or_insert(0) += 1;
                }
            } else {
                succeeded(&output);
            }
            scene.assert_old_or_new(&out, &when);
            let known = |name: &String| name == "a.shard" || BESIDE.contains(&name.as_str());
            assert!(names(folder.path()).iter().all(known), "{when}: {:?}", names(folder.path()));
        }
        scene.assert_gets_there(&out, &format!("seed {seed}, moments {moments:?}"));
    }
    eprintln!("killed while there was: {killed_with:?}");
    for name in [SPOOL, ".a.shard.finishing"] {
        assert!(killed_with.get(name).is_some_and(|times| *times >= 3), "{name}: {killed_with:?}");
    }
}

#[test]
fn a_killed_build_does_not_begin_anew() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.shard");
    let output = Build::start(&scene.matrix, &out).watch(|beside| beside.bytes() >= scene.most_beside / 4);
    assert_eq!(output.status.signal(), Some(SIGKILL));
    let kept = Beside::of(folder.path()).spool_bytes().unwrap();
    let report = scene.inputs.path().join("report.json");
    let mut again = command(&scene.matrix, &out);
    again.arg("--json").arg(&report);
    let mut least = kept;
    let output = Build::spawn(again, &out).watch(|beside| {
        least = least.min(beside.spool_bytes().unwrap_or(least));
        false
    });
    succeeded(&output);
    // An entry that was torn is cut off; nothing else is.
    assert!(least + 1000 >= kept, "the spool fell from {kept} bytes to {least}");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let taken_over = report["taken_over"].as_u64().unwrap();
    assert!((1..ROWS as u64).contains(&taken_over), "{report}");
    let said = error_of(&output);
    assert!(said.contains(&format!("{taken_over} of {ROWS} rows are taken over")), "{said}");
    assert!(std::fs::read(&out).unwrap() == scene.new);
}

#[test]
fn a_second_builder_of_the_same_output_is_refused_by_name_and_the_first_goes_on() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let out = scene.put_old(folder.path());
    let mut first = Build::start(&scene.matrix, &out);
    wait_for("the first builder's spool", || Beside::of(folder.path()).spool_bytes().filter(|bytes| *bytes > 1000));
    first.signal("STOP");
    let refused = command(&scene.matrix, &out).output().unwrap();
    let other = folder.path().join("b.shard");
    succeeded(&command(&scene.matrix, &other).output().unwrap());
    first.signal("CONT");
    assert_eq!(refused.status.code(), Some(1));
    let said = error_of(&refused);
    assert!(said.contains(&*out.to_string_lossy()) && said.contains("being written by another process"), "{said}");
    succeeded(&first.watch(|_| false));
    for shard in [&out, &other] {
        assert!(std::fs::read(shard).unwrap() == scene.new, "{}", shard.display());
    }
    assert_eq!(names(folder.path()), ["a.shard", "b.shard"]);
}

/// A small file system of its own; gone when dropped.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None`, after a line that names the test, where this user may not mount one.
    fn mount(test: &str, bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        let refusal = match mounted {
            Ok(output) if output.status.success() => return Some(Self { folder }),
            Ok(output) => error_of(&output).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("skipped: {test}: no small file system can be mounted: {refusal}");
        None
    }

    fn resize(&self, bytes: u64) {
        let options = format!("remount,size={bytes}");
        let resized = Command::new("mount").args(["-o", &options]).arg(self.folder.path()).output().unwrap();
        assert!(resized.status.success(), "{}", error_of(&resized));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.folder.path()).status().ok();
    }
}

#[test]
fn a_full_disk_is_said_with_the_files_name_and_the_old_shard_stays() {
    let scene = Scene::new();
    let mut full_with = BTreeMap::new();
    for eighths in 1..8 {
        let test = "a_full_disk_is_said_with_the_files_name_and_the_old_shard_stays";
        let room = scene.old.len() as u64 + scene.most_beside * eighths / 8;
        let Some(disk) = SmallDisk::mount(test, room) else { return };
        let out = scene.put_old(disk.folder.path());
        let when = format!("{room} bytes of room");
        let output = command(&scene.matrix, &out).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{when}: {}", error_of(&output));
        let said = error_of(&output);
        assert!(said.contains(&*out.to_string_lossy()), "{when}: {said}");
        assert!(said.contains("No space left on device"), "{when}: {said}");
        let action = said.rsplit(": cannot ").next().and_then(|rest| rest.split(": No space").next());
        *full_with.entry(action.unwrap_or_default().to_owned()).or_insert(0) += 1;
        assert!(std::fs::read(&out).unwrap() == scene.old, "{when}: the old shard is not as it was");
        assert_eq!(names(disk.folder.path()), [SPOOL, "a.shard"], "{when}: what was told is kept, nothing else");
        disk.resize(4 * scene.most_beside);
        scene.assert_gets_there(&out, &when);
    }
    eprintln!("full when it could not: {full_with:?}");
    assert!(full_with.len() >= 2, "{full_with:?}");
}

#[test]
fn other_inputs_do_not_go_on_with_a_killed_build() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.shard");
    let killed = Build::start(&scene.matrix, &out).watch(|beside| beside.bytes() >= scene.most_beside / 4);
    assert_eq!(killed.status.signal(), Some(SIGKILL));
    let text = std::fs::read_to_string(&scene.matrix.poses).unwrap();
    let poses = scene.inputs.path().join("other.csv");
    std::fs::write(&poses, text.replacen("row-000000.jpg", "another.jpg", 1)).unwrap();
    let other = Matrix { vectors: scene.matrix.vectors.clone(), poses };
    succeeded(&command(&other, &out).output().unwrap());
    let undisturbed = folder.path().join("b.shard");
    succeeded(&command(&other, &undisturbed).output().unwrap());
    assert!(std::fs::read(&out).unwrap() == std::fs::read(&undisturbed).unwrap());
    assert!(std::fs::read(&out).unwrap() != scene.new);
    assert_eq!(names(folder.path()), ["a.shard", "b.shard"]);
}
