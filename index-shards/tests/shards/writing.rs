//! What goes in comes out; what is refused; what is left behind.

use crate::common::{description, deterministic, full_place, small, write};
use index_shards::{Footprint, Place, Shard, ShardDescription, ShardWriter, WriteError, verify};
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
    let mut writer = ShardWriter::create(&path, described.clone()).unwrap();
    writer.push("one.jpg", &full_place(), &[1.0, 0.0]).unwrap();
    writer.push("zwei/ß.jpg", &Place::at(-33.5, 151.25), &[0.6, -0.8]).unwrap();
    let summary = writer.finish().unwrap();

    let shard = Shard::open(&path).unwrap();
    assert_eq!(shard.description(), &described);
    assert_eq!((shard.len(), shard.is_empty(), shard.path()), (2, false, path.as_path()));
    assert_eq!((shard.digest(), shard.bytes()), (summary.digest.as_str(), summary.bytes));
    let first = shard.reference(0).unwrap();
    assert_eq!((first.row, first.name, first.place), (0, "one.jpg", full_place()));
    let second = shard.reference(1).unwrap();
    assert_eq!((second.row, second.name, second.place), (1, "zwei/ß.jpg", Place::at(-33.5, 151.25)));
    assert!(shard.reference(2).unwrap_err().to_string().contains("row 2, but it has 2 rows"));
    let names: Vec<_> = shard.sections().map(|section| section.name).collect();
    assert_eq!(names, ["vectors", "places", "names"]);
    let region = shard.region();
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
    let mut writer = ShardWriter::create(&path, description("space", 2)).unwrap();
    let here = Place::at(52.0, 13.0);
    let unit = [0.6, 0.8];
    assert_eq!(writer.push("good", &here, &unit).unwrap(), 0);

    for embedding in [&[1.0][..], &[0.6, 0.8, 0.0], &[], &[f32::NAN, 1.0], &[f32::INFINITY, 0.0], &[0.0, 0.0]] {
        assert_eq!(refused_field(writer.push("bad", &here, embedding)), "embedding");
    }
    assert_eq!(refused_field(writer.push("bad", &here, &[0.7, 0.8])), "embedding");
    assert_eq!(refused_field(writer.push("bad", &Place::at(91.0, 0.0), &unit)), "lat_deg");
    assert_eq!(refused_field(writer.push("bad", &Place::at(0.0, f64::NAN), &unit)), "lon_deg");
    let crossed = Footprint { north_deg: 0.0, west_deg: 0.0, south_deg: 1.0, east_deg: 1.0 };
    let place = Place { footprint: Some(crossed), ..here };
    assert_eq!(refused_field(writer.push("bad", &place, &unit)), "footprint.north_deg");
    for name in ["", "a\nb", "a\0b", &"n".repeat(1025)] {
        assert_eq!(refused_field(writer.push(name, &here, &unit)), "name");
    }

    assert_eq!(writer.push(&"n".repeat(1024), &here, &unit).unwrap(), 1);
    assert_eq!(writer.push("bad", &here, &unit).unwrap(), 2);
    assert_eq!(writer.finish().unwrap().rows, 3);
    assert_eq!(verify(&path).unwrap().rows, 3);
}

#[test]
fn messages_name_file_row_field_expected_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ShardWriter::create(&folder.path().join("a.shard"), description("space", 2)).unwrap();
    let swapped = writer.push("tokyo.jpg", &Place::at(139.7, 35.6), &[1.0, 0.0]).unwrap_err().to_string();
    for part in ["a.shard", "tokyo.jpg", "lat_deg", "-90 to 90", "swapped", "139.7"] {
        assert!(swapped.contains(part), "{part} in {swapped}");
    }
    let narrow = writer.push("b.jpg", &Place::at(1.0, 2.0), &[1.0]).unwrap_err().to_string();
    assert!(narrow.contains("expected 2 components, found 1 components"), "{narrow}");
}

#[test]
fn a_name_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ShardWriter::create(&folder.path().join("a.shard"), description("space", 1)).unwrap();
    writer.push("x", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    writer.push("twin.jpg", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    let message = writer.push("twin.jpg", &Place::at(1.0, 1.0), &[-1.0]).unwrap_err().to_string();
    assert!(message.contains("\"twin.jpg\"") && message.contains("row 1"), "{message}");
}

#[test]
fn a_shard_without_rows_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writer = ShardWriter::create(&folder.path().join("a.shard"), description("space", 2)).unwrap();
    assert!(matches!(writer.finish(), Err(WriteError::Empty { .. })));
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn a_dropped_writer_leaves_nothing_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let before = small(&path);
    let mut writer = ShardWriter::create(&path, description("space", 1)).unwrap();
    writer.push("x", &Place::at(0.0, 0.0), &[1.0]).unwrap();
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
    assert_eq!(old.reference(2).unwrap().place.lat_deg, 90.0);
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn a_folder_that_vanished_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("a.shard");
    let mut writer = ShardWriter::create(&path, description("space", 1)).unwrap();
    writer.push("x", &Place::at(0.0, 0.0), &[1.0]).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    let message = writer.finish().unwrap_err().to_string();
    assert!(message.contains("a.shard") && message.contains("cannot move"), "{message}");
}

#[test]
fn outputs_that_cannot_be_are_refused_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let create = |path: &Path| ShardWriter::create(path, description("space", 1)).map(drop);
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
        ShardWriter::create(&path, described).map(drop)
    };
    assert!(matches!(create(3_000), Ok(())));
    let message = create(4_000).unwrap_err().to_string();
    assert!(message.contains("description") && message.contains("at most 3776 bytes"), "{message}");
    let wide = ShardWriter::create(&path, description("space", 0)).map(drop).unwrap_err();
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
        let mut writer = ShardWriter::create(&path, description("space", 1)).unwrap();
        let name = |row: usize, name: &str| format!("{row} {name}");
        for (row, (place, text)) in rows.iter().enumerate() {
            writer.push(&name(row, text), place, &[1.0]).unwrap();
        }
        writer.finish().unwrap();
        verify(&path).unwrap();
        let shard = Shard::open(&path).unwrap();
        let region = shard.region();
        for (row, (place, text)) in rows.iter().enumerate() {
            let found = shard.reference(row as u32).unwrap();
            prop_assert_eq!(found.name, name(row, text));
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
