//! Shards joined into one.

use crate::common::{
    FullRow, description, full_description, full_rows, push, push_full, row_at, small, u64_at, writer,
};
use index_shards::{MergeError, MergeOptions, Place, Shard, ShardDescription, WriteError, merge, verify};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn parts(folder: &TempDir, parts: &[&[FullRow]]) -> Vec<PathBuf> {
    let path = |at: usize| folder.path().join(format!("{at}.shard"));
    for (at, rows) in parts.iter().enumerate() {
        let mut writer = writer(&path(at), full_description(136));
        for row in *rows {
            push_full(&mut writer, row);
        }
        writer.finish().unwrap();
    }
    (0..parts.len()).map(path).collect()
}

fn names(path: &Path) -> Vec<String> {
    let shard = Shard::open(path).unwrap();
    let mut references: Vec<_> = (0..shard.len() as u32).map(|row| shard.reference(row).unwrap()).collect();
    references.sort_by_key(|reference| reference.position);
    references.into_iter().map(|reference| reference.name).collect()
}

#[test]
fn partitions_merge_into_the_shard_that_one_build_writes() {
    let folder = tempfile::tempdir().unwrap();
    let rows = full_rows(300, 136);
    let whole = folder.path().join("whole.shard");
    let mut one = writer(&whole, full_description(136));
    for row in &rows {
        push_full(&mut one, row);
    }
    one.finish().unwrap();
    for cuts in [vec![0, 300], vec![0, 100, 300], vec![0, 7, 155, 291, 300]] {
        let cut: Vec<&[FullRow]> = cuts.windows(2).map(|ends| &rows[ends[0]..ends[1]]).collect();
        let inputs = parts(&folder, &cut);
        let out = folder.path().join("merged.shard");
        let summary = merge(&inputs, &out, &MergeOptions::default()).unwrap();
        assert_eq!((summary.shard.rows, summary.removed, summary.replaced), (300, 0, 0));
        assert!(fs::read(&out).unwrap() == fs::read(&whole).unwrap(), "cut at {cuts:?}");
        assert_eq!(verify(&out).unwrap(), summary.shard);
    }
    assert!(
        fs::read_dir(folder.path()).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.'))
    );
}

#[test]
fn removed_rows_go_and_later_rows_replace_earlier_ones_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let rows = full_rows(40, 136);
    let inputs = parts(&folder, &[&rows[..30], &rows[20..]]);
    let base = Shard::open(&inputs[0]).unwrap();
    let [first, third] = [0, 2].map(|position| row_at(&base, position));
    let delta = folder.path().join("delta.shard");
    let mut tombstones = writer(&delta, full_description(136));
    tombstones.remove(base.digest(), &[first, third, 1000]).unwrap();
    tombstones.remove(&"c".repeat(64), &[9]).unwrap();
    tombstones.finish().unwrap();
    let all = [inputs[0].clone(), delta, inputs[1].clone()];

    // The output may be one of the inputs.
    let summary = merge(&all, &inputs[0], &MergeOptions::default()).unwrap();
    assert_eq!((summary.shard.rows, summary.removed, summary.replaced), (38, 2, 10));
    verify(&inputs[0]).unwrap();
    let expected: Vec<&str> = [1].into_iter().chain(3..40).map(|at| rows[at].name.as_str()).collect();
    assert_eq!(names(&inputs[0]), expected);
    let merged = Shard::open(&inputs[0]).unwrap();
    assert_eq!(merged.tombstones().unwrap(), [("c".repeat(64), 1)]);
    let positions: Vec<u32> = (0..38).map(|row| merged.reference(row).unwrap().position).collect();
    assert!((0..38).all(|position| positions.contains(&position)));

    // Vectors, blobs and places are as they were, bit for bit.
    for position in 0..38 {
        let row = row_at(&merged, position);
        let found = merged.reference(row).unwrap();
        let (shard, at) = [&base, &Shard::open(&inputs[1]).unwrap()]
            .iter()
            .rev()
            .find_map(|shard| {
                let rows = 0..shard.len() as u32;
                rows.into_iter().find(|row| shard.reference(*row).unwrap().name == found.name).map(|row| {
                    let reference = shard.reference(row).unwrap();
                    assert_eq!((&reference.place, &reference.source), (&found.place, &found.source));
                    assert_eq!(shard.blob(row).unwrap(), merged.blob(merged_row(&merged, &found.name)).unwrap());
                    (shard.vector(row).unwrap(), row)
                })
            })
            .unwrap();
        assert_eq!(shard, merged.vector(row).unwrap(), "{} of row {at}", found.name);
    }
}

fn merged_row(shard: &Shard, name: &str) -> u32 {
    (0..shard.len() as u32).find(|row| shard.reference(*row).unwrap().name == name).unwrap()
}

#[test]
fn shards_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let make = |name: &str, description: ShardDescription| {
        let mut writer = writer(&path(name), description.clone());
        let mut embedding = vec![0.0; description.dimensions];
        embedding[0] = 1.0;
        push(&mut writer, name, &Place::at(1.0, 2.0), &embedding).unwrap();
        writer.finish().unwrap();
    };
    let described = description("a", 3);
    make("first", described.clone());
    make("space", description("b", 3));
    make("dimensions", description("a", 4));
    make(
        "position_of",
        ShardDescription { position_of: index_shards::PositionOf::FootprintCentre, ..described.clone() },
    );
    make("blobs", ShardDescription { blobs: full_description(3).blobs, ..described });
    let out = path("out");
    for other in ["space", "dimensions", "position_of", "blobs"] {
        let error = merge(&[path("first"), path(other)], &out, &MergeOptions::default()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("first") && message.contains(&format!("{other}: expected")), "{message}");
    }
    // Another seed of the rotation, with the header's digest right.
    let mut bytes = fs::read(path("first")).unwrap();
    bytes[96] ^= 1;
    crate::common::reseal_header(&mut bytes);
    fs::write(path("rotation"), &bytes).unwrap();
    let error = merge(&[path("first"), path("rotation")], &out, &MergeOptions::default()).unwrap_err().to_string();
    assert!(error.contains("rotation: expected 0x"), "{error}");
    assert!(u64_at(&bytes, 96) != 0 && !out.exists());
}

#[test]
fn damaged_missing_and_no_inputs_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let summary = small(&path);
    let out = folder.path().join("out.shard");
    assert!(matches!(merge(&[], &out, &MergeOptions::default()), Err(MergeError::NoInputs)));
    let missing = [path.clone(), folder.path().join("none.shard")];
    assert!(merge(&missing, &out, &MergeOptions::default()).unwrap_err().to_string().contains("none.shard"));
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 70;
    bytes[at] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let damaged = merge(std::slice::from_ref(&path), &out, &MergeOptions::default()).unwrap_err();
    assert!(matches!(damaged, MergeError::Verify(_)), "{damaged}");
    bytes[at] ^= 4;
    fs::write(&path, &bytes).unwrap();

    // All rows removed: nothing would be left.
    let tombs = folder.path().join("tombs.shard");
    let mut writer = writer(&tombs, description("small", 4));
    writer.remove(&summary.digest, &[0, 1, 2]).unwrap();
    writer.finish().unwrap();
    let empty = merge(&[path, tombs], &out, &MergeOptions::default()).unwrap_err();
    assert!(matches!(empty, MergeError::Write(WriteError::Empty { .. })), "{empty}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn licences_and_times_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, licence, attribution, created_at_ms) in
        [("a", "CC0-1.0", "", 5), ("b", "CC-BY-4.0", "Ann", 9), ("c", "CC0-1.0", "Bob", 7)]
    {
        let described = ShardDescription {
            licence: licence.into(),
            attribution: attribution.into(),
            created_at_ms,
            ..description("s", 1)
        };
        let mut writer = writer(&path(name), described);
        push(&mut writer, name, &Place::at(0.0, 0.0), &[1.0]).unwrap();
        writer.finish().unwrap();
    }
    let inputs = ["a", "b", "c"].map(path);
    merge(&inputs, &path("out"), &MergeOptions::default()).unwrap();
    let merged = Shard::open(&path("out")).unwrap();
    let found = merged.description();
    assert_eq!((found.licence.as_str(), found.attribution.as_str()), ("CC0-1.0; CC-BY-4.0", "Ann; Bob"));
    assert_eq!(found.created_at_ms, 9);
    let options = MergeOptions { created_at_ms: Some(3), ..MergeOptions::default() };
    merge(&inputs, &path("out"), &options).unwrap();
    assert_eq!(Shard::open(&path("out")).unwrap().description().created_at_ms, 3);
}
