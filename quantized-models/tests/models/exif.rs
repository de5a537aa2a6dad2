//! EXIF tags of real cameras, and of files that lie.

use crate::support::shared;
use quantized_models::{ExifPosition, ExifTags};

/// A column of a CSV line as a number; empty is absent. Only the last columns of the file are quoted.
fn number(fields: &[&str], column: usize) -> Option<f64> {
    Some(fields[column]).filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

#[test]
fn positions_of_originals_are_the_expected_ones() {
    const NAME: &str = "positions_of_originals_are_the_expected_ones";
    let Some(folder) = shared(NAME, "imagery/originals") else { return };
    let expected = std::fs::read_to_string(folder.join("expected.csv")).unwrap();
    let mut compared = 0;
    for line in expected.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let file = fields[0];
        let tags = ExifTags::read(&std::fs::read(folder.join(file)).unwrap());
        let truth = number(&fields, 1).zip(number(&fields, 2));
        assert_eq!(tags.position.is_some(), truth.is_some(), "{file}: {tags:?}");
        if let (Some(found), Some((lat_deg, lon_deg))) = (tags.position, truth) {
            assert!((found.lat_deg - lat_deg).abs() < 1e-6, "{file}: expected {lat_deg}, found {found:?}");
            assert!((found.lon_deg - lon_deg).abs() < 1e-6, "{file}: expected {lon_deg}, found {found:?}");
            if let Some(alt_m) = number(&fields, 3) {
                assert!((f64::from(found.alt_m.unwrap()) - alt_m).abs() < 0.01, "{file}: {found:?}");
            }
            compared += 1;
        }
        println!("{file}: {tags:?}");
    }
    assert_eq!(compared, 10, "files with a position");
}

/// The TIFF types that the tests write.
enum Entry {
    Byte(u8),
    Short(u16),
    Ascii(&'static [u8]),
    Rational(Vec<(u32, u32)>),
}

impl Entry {
    /// TIFF type, count and big-endian data.
    fn encode(&self) -> (u16, u32, Vec<u8>) {
        match self {
            Self::Byte(value) => (1, 1, vec![*value]),
            Self::Ascii(text) => (2, text.len() as u32, text.to_vec()),
            Self::Short(value) => (3, 1, value.to_be_bytes().to_vec()),
            Self::Rational(values) => {
                let data = values.iter().flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()].concat());
                (5, values.len() as u32, data.collect())
            }
        }
    }
}

/// One image file directory at offset `at`, with the data of its entries behind it.
fn directory(at: usize, entries: &[(u16, Entry)]) -> Vec<u8> {
    let mut data_at = at + 2 + 12 * entries.len() + 4;
    let (mut head, mut data) = ((entries.len() as u16).to_be_bytes().to_vec(), Vec::new());
    for (tag, entry) in entries {
        let (kind, count, mut bytes) = entry.encode();
        head.extend([tag.to_be_bytes(), kind.to_be_bytes()].concat());
        head.extend(count.to_be_bytes());
        if bytes.len() <= 4 {
            bytes.resize(4, 0);
            head.extend(bytes);
        } else {
            head.extend((data_at as u32).to_be_bytes());
            data_at += bytes.len();
            data.extend(bytes);
        }
    }
    head.extend([0; 4]);
    [head, data].concat()
}

/// Pointers to the EXIF and GPS directories are longs; the tests write them as shorts, which TIFF readers take too.
const EXIF_POINTER: u16 = 0x8769;
const GPS_POINTER: u16 = 0x8825;

/// A JPEG start with the given EXIF and GPS directories.
fn jpeg(exif: &[(u16, Entry)], gps: &[(u16, Entry)]) -> Vec<u8> {
    let main_length = directory(8, &[(EXIF_POINTER, Entry::Short(0)), (GPS_POINTER, Entry::Short(0))]).len();
    let exif_at = 8 + main_length;
    let exif_bytes = directory(exif_at, exif);
    let gps_at = exif_at + exif_bytes.len();
    let pointers = [(EXIF_POINTER, Entry::Short(exif_at as u16)), (GPS_POINTER, Entry::Short(gps_at as u16))];
    let tiff = [b"MM\0\x2A\0\0\0\x08".to_vec(), directory(8, &pointers), exif_bytes, directory(gps_at, gps)].concat();
    let length = (tiff.len() + 8) as u16;
    [b"\xFF\xD8\xFF\xE1", length.to_be_bytes().as_slice(), b"Exif\0\0", &tiff, b"\xFF\xDA\0\x02"].concat()
}

fn degrees(whole: u32, minutes: u32) -> Entry {
    Entry::Rational(vec![(whole, 1), (minutes, 1), (0, 1)])
}

fn gps(lat: Entry, lat_ref: &'static [u8], lon: Entry, lon_ref: &'static [u8]) -> Vec<(u16, Entry)> {
    vec![(1, Entry::Ascii(lat_ref)), (2, lat), (3, Entry::Ascii(lon_ref)), (4, lon)]
}

fn position(entries: &[(u16, Entry)]) -> Option<ExifPosition> {
    ExifTags::read(&jpeg(&[], entries)).position
}

#[test]
fn hemispheres_and_depth_give_signs() {
    let mut entries = gps(degrees(33, 30), b"S\0", degrees(70, 45), b"W\0");
    entries.extend([(5, Entry::Byte(1)), (6, Entry::Rational(vec![(125, 10)]))]);
    let expected = ExifPosition { lat_deg: -33.5, lon_deg: -70.75, alt_m: Some(-12.5) };
    assert_eq!(position(&entries), Some(expected));
}

#[test]
fn positions_that_cannot_be_are_absent() {
    let zero_denominator = Entry::Rational(vec![(33, 1), (30, 1), (0, 0)]);
    for (why, entries) in [
        ("a zero denominator", gps(zero_denominator, b"N\0", degrees(10, 0), b"E\0")),
        ("two rationals", gps(Entry::Rational(vec![(33, 1), (30, 1)]), b"N\0", degrees(10, 0), b"E\0")),
        ("latitude 91", gps(degrees(91, 0), b"N\0", degrees(10, 0), b"E\0")),
        ("longitude 181", gps(degrees(10, 0), b"N\0", degrees(181, 0), b"E\0")),
        ("zero, zero", gps(degrees(0, 0), b"N\0", degrees(0, 0), b"E\0")),
        ("an unknown hemisphere", gps(degrees(10, 0), b"X\0", degrees(10, 0), b"E\0")),
        ("an empty hemisphere", gps(degrees(10, 0), b"\0", degrees(10, 0), b"E\0")),
        ("no hemispheres", vec![(2, degrees(10, 0)), (4, degrees(10, 0))]),
    ] {
        assert_eq!(position(&entries), None, "{why}");
    }
    assert!(position(&gps(degrees(0, 0), b"N\0", degrees(10, 0), b"E\0")).is_some(), "the equator is a place");
}

#[test]
fn an_altitude_without_a_denominator_leaves_the_position() {
    let mut entries = gps(degrees(33, 30), b"N\0", degrees(70, 45), b"E\0");
    entries.push((6, Entry::Rational(vec![(100, 0)])));
    assert_eq!(position(&entries), Some(ExifPosition { lat_deg: 33.5, lon_deg: 70.75, alt_m: None }));
}

#[test]
fn only_directions_from_true_north_are_headings() {
    let heading = |reference: Option<&'static [u8]>, direction: (u32, u32)| {
        let mut entries: Vec<_> = reference.map(|text| (16, Entry::Ascii(text))).into_iter().collect();
        entries.push((17, Entry::Rational(vec![direction])));
        ExifTags::read(&jpeg(&[], &entries)).heading_deg
    };
    assert_eq!(heading(Some(b"T\0"), (905, 10)), Some(90.5));
    assert_eq!(heading(None, (905, 10)), Some(90.5));
    assert_eq!(heading(Some(b"T\0"), (360, 1)), Some(0.0));
    assert_eq!(heading(Some(b"M\0"), (905, 10)), None, "magnetic");
    assert_eq!(heading(Some(b"T\0"), (361, 1)), None, "not on the compass");
    assert_eq!(heading(Some(b"T\0"), (1, 0)), None, "no number");
}

fn captured_at_ms(exif: &[(u16, Entry)], gps: &[(u16, Entry)]) -> Option<i64> {
    ExifTags::read(&jpeg(exif, gps)).captured_at_ms
}

fn gps_time(date: &'static [u8], seconds: (u32, u32)) -> Vec<(u16, Entry)> {
    vec![(7, Entry::Rational(vec![(13, 1), (27, 1), seconds])), (29, Entry::Ascii(date))]
}

#[test]
fn gps_time_is_utc() {
    assert_eq!(captured_at_ms(&[], &gps_time(b"2025:10:01\0", (155, 10))), Some(1_759_325_235_500));
}

#[test]
fn gps_times_that_cannot_be_are_absent() {
    for date in [b"0000:00:00\0".as_slice(), b"2025:13:01\0", b"2025:02:30\0", b"1970:01:01\0", b"\0", b"2025-10-01\0"]
    {
        assert_eq!(captured_at_ms(&[], &gps_time(date, (15, 1))), None, "{date:?}");
    }
    assert_eq!(captured_at_ms(&[], &gps_time(b"2025:10:01\0", (15, 0))), None);
    assert_eq!(captured_at_ms(&[], &gps_time(b"2025:10:01\0", (u32::MAX, 1))), None);
}

const ORIGINAL: u16 = 0x9003;
const OFFSET: u16 = 0x9010;
const OFFSET_ORIGINAL: u16 = 0x9011;
const SUBSECOND: u16 = 0x9291;

#[test]
fn local_time_counts_only_with_its_offset() {
    let time = || (ORIGINAL, Entry::Ascii(b"2025:10:01 15:27:15\0"));
    assert_eq!(captured_at_ms(&[time()], &[]), None);
    let plus_two = |tag| (tag, Entry::Ascii(b"+02:00\0"));
    assert_eq!(captured_at_ms(&[time(), plus_two(OFFSET)], &[]), Some(1_759_325_235_000));
    let with_fraction = [time(), plus_two(OFFSET_ORIGINAL), (SUBSECOND, Entry::Ascii(b"25\0"))];
    assert_eq!(captured_at_ms(&with_fraction, &[]), Some(1_759_325_235_250));
    assert_eq!(captured_at_ms(&[time(), (OFFSET, Entry::Ascii(b"   :  \0"))], &[]), None, "unknown offset");
}

#[test]
fn a_file_without_exif_has_no_tags() {
    let expected = ExifTags { orientation: 1, captured_at_ms: None, heading_deg: None, position: None };
    for bytes in [b"".as_slice(), b"\xFF\xD8", b"not a picture", &crate::support::fixture("quadrants.jpg")] {
        assert_eq!(ExifTags::read(bytes), expected);
    }
}
