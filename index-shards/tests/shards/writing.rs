//! What goes in comes out; what is refused; what is left behind.

use crate::common::{
    SECTIONS, description, deterministic, full, full_description, full_place, full_rows, push, row_at, small, write,
    write_with, writer,
};
use index_shards::{
    Footprint, LayoutChoice, MAX_SHARDS_REMOVED_FROM, MAX_SOURCES, Place, Row, Shard, ShardDescription, ShardWriter,
    WriteError, WriterOptions, verify,
};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn refused_field(result: Result<u32, WriteError>) -> &'static str {
    match result {
        Err(WriteError::Row { fault, .. }) => fault.field,
        other => panic!("expected a refused row, found {other:?}"),
    }
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn everything_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let described = ShardDescription {
        encoder_sha256: Some("0123456789abcdef".repeat(4)),
        attribution: "© someone \"quoted\"".into(),
        ..description("space", 2)
    };
    let mut writer = writer(&path, described.clone());
    push(&mut writer, "one.jpg", &full_place(), &[1.0, 0.0]).unwrap();
    push(&mut writer, "zwei/ß.jpg", &Place::at(-33.5, 151.25), &[0.6, -0.8]).unwrap();
    let summary = writer.finish().unwrap();

    let shard = Shard::open(&path).unwrap();
    assert_eq!(shard.description(), &described);
    assert_eq!((shard.len(), shard.is_empty(), shard.path()), (2, false, path.as_path()));
    assert_eq!((shard.digest(), shard.bytes()), (summary.digest.as_str(), summary.bytes));
    let first = shard.reference(row_at(&shard, 0)).unwrap();
    assert_eq!((first.name.as_str(), first.place), ("one.jpg", full_place()));
    let second = shard.reference(row_at(&shard, 1)).unwrap();
    assert_eq!((second.name.as_str(), second.place), ("zwei/ß.jpg", Place::at(-33.5, 151.25)));
    for (position, embedding) in [[1.0, 0.0], [0.6, -0.8]].iter().enumerate() {
        let stored = shard.vector(row_at(&shard, position as u32)).unwrap();
        assert!(stored.iter().zip(embedding).all(|(a, b)| (a - b).abs() < 0.01), "{stored:?}");
    }
    assert!(shard.reference(2).unwrap_err().to_string().contains("row 2, but it has 2 rows"));
    let names: Vec<_> = shard.sections().map(|section| section.name).collect();
    assert_eq!(names, SECTIONS);
    let region = shard.region().unwrap();
    assert_eq!((region.south_deg, region.west_deg, region.north_deg, region.east_deg), (-33.5, 13.4, 52.5, 151.25));
    assert_eq!(verify(&path).unwrap(), summary);
}

#[test]
fn the_same_input_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.shard", "b.shard"].map(|name| folder.path().join(name));
    assert_eq!(small(&a).digest, small(&b).digest);
    assert_eq!(fs::read(&a).unwrap(), fs::read(&b).unwrap());
}

#[test]
fn impossible_rows_are_refused_by_name_and_the_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut writer = writer(&path, description("space", 2));
    let here = Place::at(52.0, 13.0);
    let unit = [0.6, 0.8];
    assert_eq!(push(&mut writer, "good", &here, &unit).unwrap(), 0);

    for embedding in [&[1.0][..], &[0.6, 0.8, 0.0], &[], &[f32::NAN, 1.0], &[f32::INFINITY, 0.0], &[0.0, 0.0]] {
        assert_eq!(refused_field(push(&mut writer, "bad", &here, embedding)), "embedding");
    }
    assert_eq!(refused_field(push(&mut writer, "bad", &here, &[0.7, 0.8])), "embedding");
    assert_eq!(refused_field(push(&mut writer, "bad", &Place::at(91.0, 0.0), &unit)), "lat_deg");
    assert_eq!(refused_field(push(&mut writer, "bad", &Place::at(0.0, f64::NAN), &unit)), "lon_deg");
    let crossed = Footprint { north_deg: 0.0, west_deg: 0.0, south_deg: 1.0, east_deg: 1.0 };
    let place = Place { footprint: Some(crossed), ..here };
    assert_eq!(refused_field(push(&mut writer, "bad", &place, &unit)), "footprint.north_deg");
    for name in ["", "a\nb", "a\0b", &"n".repeat(1025)] {
        assert_eq!(refused_field(push(&mut writer, name, &here, &unit)), "name");
    }

    assert_eq!(push(&mut writer, &"n".repeat(1024), &here, &unit).unwrap(), 1);
    assert_eq!(push(&mut writer, "bad", &here, &unit).unwrap(), 2);
    assert_eq!(writer.finish().unwrap().rows, 3);
    assert_eq!(verify(&path).unwrap().rows, 3);
}

#[test]
fn messages_name_file_row_field_expected_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("a.shard"), description("space", 2));
    let swapped = push(&mut writer, "tokyo.jpg", &Place::at(139.7, 35.6), &[1.0, 0.0]).unwrap_err().to_string();
    for part in ["a.shard", "tokyo.jpg", "lat_deg", "-90 to 90", "swapped", "139.7"] {
        assert!(swapped.contains(part), "{part} in {swapped}");
    }
    let narrow = push(&mut writer, "b.jpg", &Place::at(1.0, 2.0), &[1.0]).unwrap_err().to_string();
    assert!(narrow.contains("expected 2 components, found 1 components"), "{narrow}");
}

#[test]
fn a_name_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&folder.path().join("a.shard"), description("space", 1));
    push(&mut writer, "x", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    push(&mut writer, "twin.jpg", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    let message = push(&mut writer, "twin.jpg", &Place::at(1.0, 1.0), &[-1.0]).unwrap_err().to_string();
    assert!(message.contains("\"twin.jpg\"") && message.contains("position 1"), "{message}");
}

#[test]
fn a_shard_without_rows_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder.path().join("a.shard"), description("space", 2));
    assert!(matches!(writer.finish(), Err(WriteError::Empty { .. })));
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn a_dropped_writer_leaves_nothing_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let before = small(&path);
    let mut writer = writer(&path, description("space", 1));
    push(&mut writer, "x", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    assert_eq!(entries(folder.path()), 2);
    drop(writer);
    assert_eq!(entries(folder.path()), 1);
    assert_eq!(verify(&path).unwrap(), before);
}

#[test]
fn finishing_replaces_at_once_and_who_has_the_old_one_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    small(&path);
    let old = Shard::open(&path).unwrap();
    write(&path, "new", &[(Place::at(1.0, 2.0), vec![1.0])]);
    assert_eq!(Shard::open(&path).unwrap().description().space, "new");
    assert_eq!(old.reference(row_at(&old, 2)).unwrap().place.lat_deg, 90.0);
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn a_folder_that_vanished_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("a.shard");
    let mut writer = writer(&path, description("space", 1));
    push(&mut writer, "x", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    let message = writer.finish().unwrap_err().to_string();
    assert!(message.contains("a.shard") && message.contains("cannot create"), "{message}");
}

#[test]
fn outputs_that_cannot_be_are_refused_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let create = |path: &Path| ShardWriter::create(path, description("space", 1), WriterOptions::default()).map(drop);
    assert!(matches!(create(folder.path()), Err(WriteError::NotAFile { .. })));
    assert!(matches!(create(Path::new("/")), Err(WriteError::NotAFile { .. })));
    assert!(matches!(create(Path::new("")), Err(WriteError::NotAFile { .. })));
    assert!(matches!(create(&folder.path().join("none/a.shard")), Err(WriteError::Io { .. })));
    assert!(matches!(create(&folder.path().join("n".repeat(255))), Ok(())));
}

#[test]
fn a_description_that_does_not_fit_is_refused_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let create = |attribution: usize| {
        let described = ShardDescription { attribution: "x".repeat(attribution), ..description("space", 1) };
        ShardWriter::create(&path, described, WriterOptions::default()).map(drop)
    };
    assert!(matches!(create(2_900), Ok(())));
    let message = create(4_000).unwrap_err().to_string();
    assert!(message.contains("description") && message.contains("at most 3200 bytes"), "{message}");
    let wide = ShardWriter::create(&path, description("space", 0), WriterOptions::default()).map(drop).unwrap_err();
    assert!(wide.to_string().contains("dimensions: expected 1 to 65536, found 0"), "{wide}");
}

#[test]
fn a_shard_is_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (shard, plain) = (folder.path().join("a.shard"), folder.path().join("plain"));
    small(&shard);
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&shard), mode(&plain));
}

#[test]
fn shards_and_writers_go_between_threads() {
    fn movable<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    movable::<ShardWriter>();
    shared::<index_shards::ShardSet>();
}

fn any_place() -> impl Strategy<Value = Place> {
    let footprint = (-89.0_f64..90.0, -180.0_f64..180.0, 0.001_f64..1.0, -180.0_f64..180.0).prop_map(
        |(north_deg, west_deg, height, east_deg)| Footprint {
            north_deg,
            west_deg,
            south_deg: north_deg - height,
            east_deg,
        },
    );
    let coordinates = (-90.0_f64..=90.0, -180.0_f64..=180.0);
    let details = (
        prop::option::of(-500.0_f32..9000.0),
        prop::option::of(0.0_f32..=360.0),
        prop::option::of(-62_135_596_800_000_i64..=253_402_300_799_999),
        prop::option::of(footprint),
    );
    (coordinates, details).prop_map(|((lat_deg, lon_deg), (alt_m, heading_deg, captured_at_ms, footprint))| Place {
        lat_deg,
        lon_deg,
        alt_m,
        heading_deg,
        captured_at_ms,
        footprint,
    })
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 0.6e-7
}

proptest! {
    #![proptest_config(deterministic(64))]

    #[test]
    fn any_places_and_names_come_back(rows in prop::collection::vec((any_place(), "\\PC{1,20}"), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.shard");
        let mut writer = writer(&path, description("space", 1));
        let name = |row: usize, name: &str| format!("{row} {name}");
        for (row, (place, text)) in rows.iter().enumerate() {
            push(&mut writer, &name(row, text), place, &[1.0]).unwrap();
        }
        writer.finish().unwrap();
        verify(&path).unwrap();
        let shard = Shard::open(&path).unwrap();
        let region = shard.region().unwrap();
        for (row, (place, text)) in rows.iter().enumerate() {
            let found = shard.reference(row_at(&shard, row as u32)).unwrap();
            prop_assert_eq!(&found.name, &name(row, text));
            prop_assert!(near(found.place.lat_deg, place.lat_deg) && near(found.place.lon_deg, place.lon_deg));
            prop_assert_eq!(found.place.alt_m, place.alt_m);
            prop_assert_eq!(found.place.heading_deg, place.heading_deg);
            prop_assert_eq!(found.place.captured_at_ms, place.captured_at_ms);
            match (found.place.footprint, place.footprint) {
                (None, None) => {}
                (Some(a), Some(b)) => prop_assert!(
                    near(a.north_deg, b.north_deg) && near(a.south_deg, b.south_deg)
                        && near(a.west_deg, b.west_deg) && near(a.east_deg, b.east_deg)
                ),
                (a, b) => prop_assert_eq!(a, b),
            }
            let (lat, lon) = (found.place.lat_deg, found.place.lon_deg);
            prop_assert!((region.south_deg..=region.north_deg).contains(&lat));
            let inside = if region.west_deg <= region.east_deg {
                (region.west_deg..=region.east_deg).contains(&lon)
            } else {
                lon >= region.west_deg || lon <= region.east_deg
            };
            prop_assert!(inside, "{} in {:?}", lon, region);
        }
    }
}

#[test]
fn every_section_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let summary = full(&path);
    assert_eq!(verify(&path).unwrap(), summary);
    let shard = Shard::open(&path).unwrap();
    assert_eq!((shard.len(), shard.description()), (70, &full_description(136)));
    let layout = shard.layout();
    assert_eq!((layout.lists, layout.centroids, layout.slots % 64), (3, 3, 0));
    assert_eq!((layout.first_layer_dimensions, layout.second_layer_dimensions), (64, 72));
    assert!(layout.reason.contains("chosen"), "{}", layout.reason);
    assert_eq!(shard.source_names().unwrap(), ["drone", "street"]);
    let removed = [("0123456789abcdef".repeat(4), 3), ("f".repeat(64), 1)];
    assert_eq!(shard.tombstones().unwrap(), removed);
    for (at, told) in (0..).zip(full_rows(70, 136)) {
        // One input was skipped at 30.
        let row = row_at(&shard, if at < 30 { at } else { at + 1 });
        let found = shard.reference(row).unwrap();
        assert_eq!((found.name, found.source.as_deref()), (told.name, told.source));
        assert_eq!(found.place.captured_at_ms, told.place.captured_at_ms);
        assert_eq!(found.place.footprint.is_some(), told.place.footprint.is_some());
        assert_eq!((found.place.alt_m, found.place.heading_deg), (told.place.alt_m, told.place.heading_deg));
        assert!(near(found.place.lat_deg, told.place.lat_deg) && near(found.place.lon_deg, told.place.lon_deg));
        assert_eq!(shard.blob(row).unwrap(), told.blob.as_deref());
        let stored = shard.vector(row).unwrap();
        let dot: f64 = stored.iter().zip(&told.embedding).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let length: f64 = stored.iter().map(|part| f64::from(*part).powi(2)).sum();
        assert!(dot > 0.9999 && (length - 1.0).abs() < 1e-4, "row {row}: {dot}, {length}");
    }
    shard.prefault().unwrap();
}

#[test]
fn shards_without_blobs_and_sources_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    small(&path);
    let shard = Shard::open(&path).unwrap();
    assert_eq!((shard.blob(0).unwrap(), shard.reference(0).unwrap().source), (None, None));
    assert!(shard.source_names().unwrap().is_empty() && shard.tombstones().unwrap().is_empty());
    assert!(shard.blob(3).is_err() && shard.vector(3).is_err() && shard.reference(u32::MAX).is_err());
    assert_eq!((shard.layout().lists, shard.layout().slots), (0, 64));
}

#[test]
fn impossible_sources_and_blobs_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(0.0, 0.0);
    let row = Row { name: "a", place: &place, source: None, embedding: &[1.0], blob: None };
    let mut without = writer(&folder.path().join("a.shard"), description("space", 1));
    assert_eq!(refused_field(without.push(&Row { blob: Some(b"x"), ..row })), "blob");
    for source in ["", "a\nb", &"s".repeat(257)] {
        assert_eq!(refused_field(without.push(&Row { source: Some(source), ..row })), "source");
    }
    let mut with = writer(&folder.path().join("b.shard"), full_description(1));
    assert_eq!(refused_field(with.push(&Row { blob: Some(&vec![0; (16 << 20) + 1]), ..row })), "blob");
    assert_eq!(with.push(&Row { blob: Some(&[]), ..row }).unwrap(), 0);
    assert!(with.remove("no digest", &[1]).unwrap_err().to_string().contains("64 hexadecimal digits"));
    with.finish().unwrap();
    assert_eq!(Shard::open(&folder.path().join("b.shard")).unwrap().blob(0).unwrap(), None);
}

#[test]
fn sources_are_so_many_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let place = Place::at(0.0, 0.0);
    let mut writer = writer(&path, description("space", 1));
    for at in 0..MAX_SOURCES {
        let (name, source) = (format!("n{at}"), format!("{at}"));
        writer.push(&Row { name: &name, place: &place, source: Some(&source), embedding: &[1.0], blob: None }).unwrap();
    }
    let row = Row { name: "again", place: &place, source: Some("7"), embedding: &[1.0], blob: None };
    writer.push(&row).unwrap();
    assert_eq!(refused_field(writer.push(&Row { name: "more", source: Some("more"), ..row })), "source");
    writer.finish().unwrap();
    verify(&path).unwrap();
    let shard = Shard::open(&path).unwrap();
    assert_eq!(shard.source_names().unwrap().len(), MAX_SOURCES);
    let last = shard.reference(row_at(&shard, MAX_SOURCES as u32)).unwrap();
    assert_eq!((last.name.as_str(), last.source.as_deref()), ("again", Some("7")));
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = full_rows(9_000, 20).into_iter().map(|row| (row.place, row.embedding)).collect();
    for layout in [LayoutChoice::Flat, LayoutChoice::Lists(7)] {
        let bytes = [1, 2, 3, 16].map(|threads| {
            let path = folder.path().join("a.shard");
            write_with(&path, "space", &rows, WriterOptions { layout, threads, ..WriterOptions::default() });
            verify(&path).unwrap();
            fs::read(&path).unwrap()
        });
        assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]), "{layout:?}");
    }
}

#[test]
fn tombstones_alone_are_a_shard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut writer = writer(&path, full_description(200));
    let digest = "ab".repeat(32);
    writer.remove(&digest, &[7, 3, 7]).unwrap();
    writer.remove(&digest, &[]).unwrap();
    writer.remove(&digest, &[4]).unwrap();
    let summary = writer.finish().unwrap();
    assert_eq!(verify(&path).unwrap(), summary);
    let shard = Shard::open(&path).unwrap();
    assert_eq!((shard.len(), shard.is_empty(), shard.region(), summary.rows), (0, true, None, 0));
    assert_eq!(shard.tombstones().unwrap(), [(digest, 3)]);
    assert!(shard.reference(0).is_err() && shard.blob(0).is_err() && shard.vector(0).is_err());
    shard.prefault().unwrap();
}

#[test]
fn tombstones_are_for_so_many_shards_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut writer = writer(&path, description("space", 1));
    for at in 0..MAX_SHARDS_REMOVED_FROM {
        writer.remove(&format!("{at:064x}"), &[1]).unwrap();
    }
    assert!(writer.remove(&"f".repeat(64), &[1]).unwrap_err().to_string().contains("at most 4096 shards"));
    writer.remove(&"0".repeat(64), &[2]).unwrap();
    writer.finish().unwrap();
    verify(&path).unwrap();
    assert_eq!(Shard::open(&path).unwrap().tombstones().unwrap().len(), MAX_SHARDS_REMOVED_FROM);
}

#[test]
fn rows_stand_along_tracks_and_windows_on_the_ground_are_few_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    // Ten tracks of fifty steps of 100 m, pushed step by step in turn, so that pushing order tells nothing.
    let mut writer = writer(&path, description("space", 1));
    for step in 0..50 {
        for track in 0..10 {
            let place = Place::at(50.0 + f64::from(step) * 0.0009, 10.0 + f64::from(track) * 0.5);
            push(&mut writer, &format!("{track}/{step}"), &place, &[1.0]).unwrap();
        }
    }
    writer.finish().unwrap();
    let shard = Shard::open(&path).unwrap();
    let lon = |row| (shard.reference(row).unwrap().place.lon_deg * 2.0).round();
    let changes = (1..500).filter(|row| lon(*row) != lon(row - 1)).count();
    assert!(changes < 40, "{changes} changes from one place to another in 500 rows");
}

#[test]
fn a_shard_that_is_being_written_is_not_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let first = writer(&path, description("space", 1));
    let busy = ShardWriter::create(&path, description("space", 1), WriterOptions::default()).map(drop).unwrap_err();
    assert!(matches!(busy, WriteError::Busy { .. }) && busy.to_string().contains("being written"), "{busy}");
    drop(first);
    drop(writer(&path, description("space", 1)));
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn a_name_that_comes_twice_late_is_found_at_the_end() {
    // Only the first 458,752 names are watched in memory.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut writer = writer(&path, description("space", 1));
    let place = Place::at(0.0, 0.0);
    for at in 0..458_752 {
        push(&mut writer, &at.to_string(), &place, &[1.0]).unwrap();
    }
    for name in ["late", "x", "late"] {
        push(&mut writer, name, &place, &[1.0]).unwrap();
    }
    let error = writer.finish().unwrap_err();
    assert!(
        matches!(&error, WriteError::NameTwice { name, first: 458_752, again: 458_754, .. } if name == "late"),
        "{error}"
    );
    assert_eq!(entries(folder.path()), 0);
}
