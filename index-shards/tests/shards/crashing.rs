//! Builds on a disk that fails, tears and forgets at every call: the output is the old one or the new one, whole, and
//! the next build gets there.

use crate::common::{FullRow, full_description, full_rows, push_full};
use crate::faulty_disk::{FaultyDisk, Mishap};
use index_shards::{LayoutChoice, ShardWriter, WriteError, WriterOptions, verify};
use std::path::Path;
use std::sync::Arc;

const ROWS: usize = 12;
const DIMENSIONS: usize = 140;
const OUT: &str = "/folder/a.shard";

/// Builds the shard, from where a build before it stood if it has a plan.
fn build(disk: &FaultyDisk, rows: &[FullRow], plan: Option<&str>) -> Result<(), WriteError> {
    let options = WriterOptions {
        layout: LayoutChoice::Lists(2),
        threads: 1,
        plan: plan.map(String::from),
        disk: Arc::new(disk.clone()),
    };
    let mut writer = ShardWriter::create(Path::new(OUT), full_description(DIMENSIONS), options)?;
    let done = writer.resumed().inputs as usize;
    for (at, row) in rows.iter().enumerate().skip(done) {
        if at == 5 {
            writer.skip("no picture")?;
        } else {
            let FullRow { name, place, source, embedding, blob } = row;
            let row = index_shards::Row { name, place, source: *source, embedding, blob: blob.as_deref() };
            writer.push(&row)?;
        }
    }
    writer.remove(&"0a".repeat(32), &[7, 8])?;
    writer.finish().map(drop)
}

/// A disk with an older output on it.
fn disk_with_old() -> FaultyDisk {
    let disk = FaultyDisk::default();
    disk.put(Path::new(OUT), b"the old one");
    disk
}

/// The shard as it comes out of a build that nothing happens to, and the calls that it takes.
fn undisturbed(rows: &[FullRow], plan: Option<&str>) -> (Vec<u8>, u64) {
    let disk = disk_with_old();
    disk.plan(None);
    build(&disk, rows, plan).unwrap();
    assert_eq!(disk.files(), [Path::new(OUT)]);
    (disk.content(Path::new(OUT)).unwrap(), disk.calls())
}

fn assert_old_or_new(disk: &FaultyDisk, new: &[u8], when: &str) {
    let content = disk.content(Path::new(OUT)).unwrap();
    assert!(content == b"the old one" || content == new, "{when}: {} bytes", content.len());
}

#[test]
fn what_the_disk_holds_in_the_end_is_a_shard() {
    let (content, calls) = undisturbed(&full_rows(ROWS, DIMENSIONS), Some("plan"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    std::fs::write(&path, content).unwrap();
    assert_eq!(verify(&path).unwrap().rows, ROWS - 1);
    assert!(calls > 60, "{calls} calls");
}

#[test]
fn a_build_that_is_killed_at_any_call_leaves_old_or_new_and_goes_on() {
    let rows = full_rows(ROWS, DIMENSIONS);
    for plan in [None, Some("plan")] {
        let (new, calls) = undisturbed(&rows, plan);
        for at in 1..=calls {
            let disk = disk_with_old();
            disk.plan(Some((at, Mishap::Stop)));
            // The last calls remove what is not needed any more; the shard is there without them.
            build(&disk, &rows, plan).err();
            disk.restart();
            assert_old_or_new(&disk, &new, &format!("killed at call {at}"));
            disk.plan(None);
            build(&disk, &rows, plan).unwrap();
            assert_eq!(disk.content(Path::new(OUT)).unwrap(), new);
            assert_eq!(disk.files(), [Path::new(OUT)], "killed at call {at}");
        }
    }
}

#[test]
fn a_loss_of_power_at_any_call_leaves_old_or_new_and_the_build_goes_on() {
    let rows = full_rows(ROWS, DIMENSIONS);
    let (new, calls) = undisturbed(&rows, Some("plan"));
    for at in 1..=calls {
        for seed in 0..6 {
            let disk = disk_with_old();
            disk.plan(Some((at, Mishap::Stop)));
            build(&disk, &rows, Some("plan")).err();
            disk.lose_power(1000 * at + seed);
            assert_old_or_new(&disk, &new, &format!("power lost at call {at}, {seed}"));
            disk.plan(None);
            build(&disk, &rows, Some("plan")).unwrap();
            assert_eq!(disk.content(Path::new(OUT)).unwrap(), new, "power lost at call {at}, {seed}");
            assert_eq!(disk.files(), [Path::new(OUT)]);
        }
    }
}

/// After a build that says that it is done, a loss of power takes nothing away.
#[test]
fn what_is_done_stays_done() {
    let rows = full_rows(ROWS, DIMENSIONS);
    let (new, _) = undisturbed(&rows, None);
    for seed in 0..50 {
        let disk = disk_with_old();
        build(&disk, &rows, None).unwrap();
        disk.lose_power(seed);
        assert_eq!(disk.content(Path::new(OUT)).unwrap(), new);
    }
}

#[test]
fn a_call_that_fails_is_an_error_and_the_next_build_gets_there() {
    let rows = full_rows(ROWS, DIMENSIONS);
    for plan in [None, Some("plan")] {
        let (new, calls) = undisturbed(&rows, plan);
        for at in 1..=calls {
            let disk = disk_with_old();
            disk.plan(Some((at, Mishap::Error)));
            let outcome = build(&disk, &rows, plan);
            assert_old_or_new(&disk, &new, &format!("call {at} failed"));
            match outcome {
                // Only what was to be removed in the end, and is removed by the next build.
                Ok(()) => assert_eq!(disk.content(Path::new(OUT)).unwrap(), new, "call {at}"),
                Err(error) => {
                    assert!(matches!(error, WriteError::Io { .. }) && error.to_string().contains(OUT), "{error}");
                    assert!(plan.is_some() || disk.files().len() <= 2, "call {at}: {:?}", disk.files());
                }
            }
            disk.plan(None);
            build(&disk, &rows, plan).unwrap();
            assert_eq!(disk.content(Path::new(OUT)).unwrap(), new, "call {at}");
            assert_eq!(disk.files(), [Path::new(OUT)]);
        }
    }
}

/// After a failed write the writer refuses everything, so that nobody goes on with a hole in the middle.
#[test]
fn a_writer_whose_write_failed_refuses_everything() {
    let rows = full_rows(3, DIMENSIONS);
    let disk = FaultyDisk::default();
    let options = WriterOptions { disk: Arc::new(disk.clone()), ..WriterOptions::default() };
    let mut writer = ShardWriter::create(Path::new(OUT), full_description(DIMENSIONS), options).unwrap();
    push_full(&mut writer, &rows[0]);
    disk.plan(Some((1, Mishap::Error)));
    assert!(matches!(writer.skip("note"), Err(WriteError::Io { .. })));
    disk.plan(None);
    assert!(matches!(writer.skip("note"), Err(WriteError::Failed { .. })));
    assert!(matches!(writer.remove(&"0".repeat(64), &[1]), Err(WriteError::Failed { .. })));
    assert!(matches!(writer.finish(), Err(WriteError::Failed { .. })));
    assert_eq!(disk.files(), Vec::<std::path::PathBuf>::new());
}
