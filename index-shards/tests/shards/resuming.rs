//! Builds that were dropped or killed and go on: the same bytes as without, and nothing told twice.

use crate::common::{description, full_description, full_rows, push_full};
use index_shards::{LayoutChoice, ShardDescription, ShardSummary, ShardWriter, WriterOptions, verify};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ROWS: usize = 40;
const DIMENSIONS: usize = 12;

fn options(plan: &str) -> WriterOptions {
    WriterOptions { layout: LayoutChoice::Lists(4), plan: Some(plan.into()), ..WriterOptions::default() }
}

fn begin(path: &Path, plan: &str) -> ShardWriter {
    ShardWriter::create(path, full_description(DIMENSIONS), options(plan)).unwrap()
}

/// Tells the writer the inputs from `from` to `to`; every seventh is skipped.
fn tell(writer: &mut ShardWriter, from: u64, to: u64) {
    let rows = full_rows(ROWS, DIMENSIONS);
    for at in from..to.min(ROWS as u64) {
        if at % 7 == 6 {
            writer.skip(&format!("input {at}")).unwrap();
        } else {
            assert_eq!(u64::from(push_full(writer, &rows[at as usize])), at);
        }
    }
}

fn finish(mut writer: ShardWriter) -> ShardSummary {
    writer.remove(&"a0".repeat(32), &[5]).unwrap();
    writer.finish().unwrap()
}

/// A folder, the shard in it, and the shard that a build writes that is never interrupted.
fn sample() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut writer = begin(&path, "plan");
    tell(&mut writer, 0, ROWS as u64);
    finish(writer);
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    (folder, path, bytes)
}

fn spool(path: &Path) -> PathBuf {
    path.with_file_name(".a.shard.building")
}

#[test]
fn a_build_that_was_dropped_goes_on_and_writes_the_same_bytes() {
    let (folder, path, expected) = sample();
    for stops in [vec![0], vec![1], vec![39], vec![40], vec![3, 4, 20, 20, 33]] {
        let mut done = 0;
        for stop in stops {
            let mut writer = begin(&path, "plan");
            assert_eq!(writer.resumed().inputs, done);
            let notes: Vec<String> = (0..done).filter(|at| at % 7 == 6).map(|at| format!("input {at}")).collect();
            assert_eq!(writer.resumed().notes, notes);
            tell(&mut writer, done, stop);
            done = stop;
        }
        assert!(spool(&path).exists() && !path.exists());
        let mut writer = begin(&path, "plan");
        tell(&mut writer, done, ROWS as u64);
        finish(writer);
        assert_eq!(fs::read(&path).unwrap(), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_spool_that_was_cut_anywhere_goes_on_and_writes_the_same_bytes() {
    let (_folder, path, expected) = sample();
    let mut writer = begin(&path, "plan");
    tell(&mut writer, 0, 9);
    drop(writer);
    let whole = fs::read(spool(&path)).unwrap();
    let mut last = 0;
    for length in (0..=whole.len()).step_by(7).chain([whole.len()]) {
        fs::write(spool(&path), &whole[..length]).unwrap();
        let mut writer = begin(&path, "plan");
        let inputs = writer.resumed().inputs;
        assert!(inputs >= last && inputs <= 9);
        last = inputs;
        tell(&mut writer, inputs, ROWS as u64);
        finish(writer);
        assert_eq!(fs::read(&path).unwrap(), expected, "cut to {length} bytes");
    }
    assert_eq!(last, 9);
}

#[test]
fn another_plan_description_or_none_begins_anew() {
    let (_folder, path, _) = sample();
    let leave = || {
        let mut writer = begin(&path, "plan");
        let inputs = writer.resumed().inputs;
        tell(&mut writer, inputs, 5);
    };
    let begun = |description: ShardDescription, plan: Option<&str>| {
        let options = WriterOptions { plan: plan.map(String::from), ..WriterOptions::default() };
        ShardWriter::create(&path, description, options).unwrap().resumed().inputs
    };
    let described = full_description(DIMENSIONS);
    for (description, plan, inputs) in [
        (described.clone(), Some("plan"), 5),
        (ShardDescription { created_at_ms: 1, ..described.clone() }, Some("plan"), 5),
        (described.clone(), Some("plan "), 0),
        (described.clone(), None, 0),
        (ShardDescription { licence: "other".into(), ..described.clone() }, Some("plan"), 0),
        (full_description(DIMENSIONS + 1), Some("plan"), 0),
        (description("full", DIMENSIONS), Some("plan"), 0),
    ] {
        leave();
        assert_eq!(begun(description.clone(), plan), inputs, "{description:?}, {plan:?}");
    }
}

/// Nobody knows which inputs a build without a plan had.
#[test]
fn a_build_without_a_plan_is_never_gone_on_with() {
    let (_folder, path, _) = sample();
    let mut writer = ShardWriter::create(&path, full_description(DIMENSIONS), WriterOptions::default()).unwrap();
    tell(&mut writer, 0, 5);
    let left = fs::read(spool(&path)).unwrap();
    drop(writer);
    for plan in [None, Some(String::new()), Some("plan".into())] {
        fs::write(spool(&path), &left).unwrap();
        let options = WriterOptions { plan: plan.clone(), ..WriterOptions::default() };
        let writer = ShardWriter::create(&path, full_description(DIMENSIONS), options).unwrap();
        assert_eq!(writer.resumed().inputs, 0, "{plan:?}");
    }
}

#[test]
fn a_resumed_build_keeps_the_time_that_it_began_with() {
    let (_folder, path, expected) = sample();
    let mut writer = begin(&path, "plan");
    tell(&mut writer, 0, 5);
    drop(writer);
    let later = ShardDescription { created_at_ms: 1_800_000_000_000, ..full_description(DIMENSIONS) };
    let mut writer = ShardWriter::create(&path, later, options("plan")).unwrap();
    tell(&mut writer, 5, ROWS as u64);
    finish(writer);
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn what_is_beside_the_output_and_is_no_spool_is_replaced() {
    let (folder, path, expected) = sample();
    fs::write(spool(&path), b"GEOSPOOL and then something else that is long enough").unwrap();
    fs::write(path.with_file_name(".a.shard.finishing"), b"half a shard").unwrap();
    fs::write(path.with_file_name(".a.shard.sorting"), b"something").unwrap();
    let mut writer = begin(&path, "plan");
    assert_eq!(writer.resumed().inputs, 0);
    tell(&mut writer, 0, ROWS as u64);
    finish(writer);
    assert_eq!(fs::read(&path).unwrap(), expected);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    verify(&path).unwrap();
}

#[test]
fn a_finish_that_is_refused_keeps_what_was_told() {
    let (_folder, path, _) = sample();
    fs::create_dir(path.with_file_name(".a.shard.finishing")).unwrap();
    let refused = ShardWriter::create(&path, full_description(DIMENSIONS), options("plan")).map(drop).unwrap_err();
    assert!(refused.to_string().contains("an earlier build left"), "{refused}");
    fs::remove_dir(path.with_file_name(".a.shard.finishing")).unwrap();

    let mut writer = begin(&path, "plan");
    tell(&mut writer, 0, ROWS as u64);
    fs::create_dir(&path).unwrap();
    let refused = writer.finish().unwrap_err();
    assert!(refused.to_string().contains("move"), "{refused}");
    fs::remove_dir(&path).unwrap();
    let writer = begin(&path, "plan");
    assert_eq!(writer.resumed().inputs, ROWS as u64);
    writer.finish().unwrap();
    verify(&path).unwrap();
}
