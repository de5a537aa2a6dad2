//! Files that are cut, longer than they should be, or no shards.

use super::{Sample, header_refusal, refusal, use_everything};
use index_shards::{OpenError, SearchOptions, Shard, ShardSet};

#[test]
fn every_cut_is_refused_and_none_panics() {
    let sample = Sample::small();
    let file = sample.writable();
    for length in (0..sample.bytes.len() as u64).rev() {
        file.set_len(length).unwrap();
        assert!(refusal(&sample.path).is_damage(), "{length} bytes");
        assert!(!use_everything(&sample.path), "{length} bytes");
    }
}

#[test]
fn a_cut_file_says_so_with_both_lengths() {
    let sample = Sample::small();
    let whole = sample.bytes.len();
    let behind_the_header = sample.store(&sample.bytes[..4200]);
    let message = header_refusal(&behind_the_header);
    let expected = format!("4200 bytes long, but its header says {whole}: it was cut or not completely copied");
    assert!(message.ends_with(&expected), "{message}");
    let in_the_header = sample.store(&sample.bytes[..1000]);
    let message = header_refusal(&in_the_header);
    assert!(message.contains("1000 bytes long") && message.contains("4096") && message.contains("cut"), "{message}");
}

#[test]
fn bytes_that_were_appended_are_refused() {
    let sample = Sample::small();
    for more in [&[0][..], &[7], &[0; 64]] {
        let path = sample.store(&[&sample.bytes, more].concat());
        assert!(header_refusal(&path).contains("something was appended"));
        assert!(refusal(&path).is_damage());
    }
}

#[test]
fn a_file_cut_after_it_was_opened_is_an_error() {
    let sample = Sample::small();
    let shards = ShardSet::open(std::slice::from_ref(&sample.path)).unwrap();
    sample.writable().set_len(4096).unwrap();
    let message = shards.search(&[1.0, 0.0, 0.0, 0.0], &SearchOptions::default()).unwrap_err().to_string();
    assert!(message.contains("4096 bytes long") && message.contains("cut in place"), "{message}");
    let shard = &shards.shards()[0];
    assert!(shard.reference(0).is_err() && shard.blob(0).is_err() && shard.vector(0).is_err());
}

#[test]
fn what_is_not_a_shard_is_told_from_what_cannot_be_read() {
    let sample = Sample::small();
    let empty = header_refusal(&sample.store(b""));
    assert!(empty.contains("not a shard"), "{empty}");
    let picture = sample.store(b"\xff\xd8\xff\xe0\0\x10JFIF and so on");
    let message = header_refusal(&picture);
    assert!(message.contains("not a shard") && message.contains("GEOSHARD"), "{message}");
    assert!(message.contains("\\xff\\xd8"), "{message}");
    assert!(refusal(&picture).is_damage());

    assert!(matches!(Shard::open(sample.folder.path()), Err(OpenError::NotAFile { .. })));
    assert!(!refusal(sample.folder.path()).is_damage());
    let missing = sample.folder.path().join("none.shard");
    assert!(matches!(Shard::open(&missing), Err(OpenError::Io { .. })));
    assert!(!refusal(&missing).is_damage());
    assert!(refusal(&missing).to_string().contains("none.shard"));
}
