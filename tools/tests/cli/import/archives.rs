//! Archives that come whole, half, or with bad intent.

use std::fs;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::{Set, picture};

fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // set_path refuses what an attacker would write.
        let field = &mut header.as_gnu_mut().unwrap().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated))
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const MP16: &str = "IMG_ID,AUTHOR,LAT,LON\n4f/a0/1.jpg,7@N00,10.5,-3.25\n4f/a0/2.jpg,7@N00,10.5,-3.25\n";

#[test]
fn mp16_one_tar_in_parts_is_unpacked_and_joined_with_the_table() {
    let set = Set::new();
    let (one, two) = (picture("one"), picture("two"));
    let whole = tar(&[("./images/4f_a0_1.jpg", &one), ("./images/4f_a0_2.jpg", &two), ("./images/notes.txt", b"x")]);
    set.file("metadata/MP16_Pro_filtered.csv", MP16);
    for (number, part) in whole.chunks(5000).enumerate() {
        set.file(&format!("mp-16-images{number:02}"), part);
    }
    let summary = set.import("mp16", &["--extract"]).expect(0).json();
    assert_eq!(
        (&summary["written"], &summary["extracted"]["pictures"], &summary["extracted"]["archives"]),
        (&2.into(), &2.into(), &1.into())
    );
    assert_eq!(
        fs::read(set.root().join("images/4f_a0_2.jpg")).unwrap(),
        two,
        "an entry that goes over the edge of a part"
    );
    assert!(!set.root().join("images/notes.txt").exists(), "only pictures");
    let again = set.import("mp16", &["--extract"]).expect(0).json();
    assert_eq!((&again["extracted"]["pictures"], &again["extracted"]["there_already"]), (&0.into(), &2.into()));
}

#[test]
fn half_downloaded_archives_are_refused_by_name() {
    let set = Set::new();
    let one = picture("one");
    let whole = tar(&[("images/4f_a0_1.jpg", &one)]);
    set.file("mp16_urls.csv", MP16);
    let parts: Vec<&[u8]> = whole.chunks(3000).collect();
    let write = |skip: usize, short: usize, end: usize| {
        for (number, part) in parts.iter().enumerate() {
            let path = set.root().join(format!("mp-16-images{number:02}"));
            drop(fs::remove_file(&path));
            let cut = if number == short { &part[..part.len() / 2] } else { part };
            if number != skip && number < end {
                fs::write(path, cut).unwrap();
            }
        }
        set.import("mp16", &["--extract"]).expect(1).stderr
    };
    let all = parts.len();
    assert!(write(1, usize::MAX, all).contains("found 2 after 0"));
    assert!(write(usize::MAX, 1, all).contains("mp-16-images01: expected 3000 bytes"));
    assert!(write(usize::MAX, usize::MAX, all - 1).contains("end mark of a tar"));

    let set = Set::new();
    set.file("train.csv", "id,latitude,longitude\n1,50,8\n");
    let whole = zip(&[("00/1.jpg", &one)]);
    set.file("images/train/00.zip", &whole[..whole.len() - 30]);
    let error = set.import("osv5m", &["--extract"]).expect(1).stderr;
    assert!(error.contains("00.zip") && error.contains("whole"), "{error}");
    set.file("images/train/00.zip", &whole);
    assert_eq!(set.import("osv5m", &["--extract"]).expect(0).json()["written"], 1);
    assert_eq!(set.rows()[0]["file"], "images/train/00/1.jpg");
    let gz = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let set = Set::new();
    set.file("im2gps3k_places365.csv", "IMG_ID,LAT,LON\na.jpg,50,8\n");
    let whole = gz(&tar(&[("a.jpg", &one)]));
    set.file("im2gps3k_rgb_images.tar.gz", &whole[..whole.len() - 20]);
    assert!(set.import("im2gps3k", &["--extract"]).expect(1).stderr.contains("im2gps3k_rgb_images.tar.gz"));
    set.file("im2gps3k_rgb_images.tar.gz", whole);
    set.import("im2gps3k", &["--extract"]).expect(0);
}

#[test]
fn names_that_lead_out_of_an_archives_folder_are_refused() {
    for (name, write) in [("a.tar", tar as fn(&[(&str, &[u8])]) -> Vec<u8>), ("a.zip", zip)] {
        let set = Set::new();
        let good = picture("good");
        set.file("im2gps3k_places365.csv", "IMG_ID,LAT,LON\ngood.jpg,50,8\n");
        set.file(
            &format!("in/{name}"),
            write(&[
                ("../evil.jpg", &good),
                ("/tmp/evil.jpg", &good),
                ("x/../../evil.jpg", &good),
                ("good.jpg", &good),
            ]),
        );
        let run = set.import("im2gps3k", &["--extract", "--check"]).expect(3);
        let summary = run.json();
        assert_eq!(summary["extracted"]["refused"]["unsafe_name"]["rows"], 3, "{name}: {summary}");
        assert!(!set.root().join("evil.jpg").exists() && !set.root().join("in/evil.jpg").exists());
        assert!(run.stderr.contains("unsafe_name: 3"), "{}", run.stderr);
    }
}

#[test]
fn links_and_bombs_in_archives_are_refused() {
    let set = Set::new();
    let good = picture("good");
    set.file("im2gps3k_places365.csv", "IMG_ID,LAT,LON\ngood.jpg,50,8\n");
    let zeros = vec![0; 8 << 20];
    set.file("a.zip", zip(&[("bomb.jpg", &zeros), ("good.jpg", &good)]));
    let mut links = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    links.append_link(&mut header, "link.jpg", "/etc/passwd").unwrap();
    // Says that it has 300 GB, and has nothing.
    let mut huge = tar::Header::new_gnu();
    huge.set_path("huge.jpg").unwrap();
    huge.set_size(300 << 30);
    huge.set_cksum();
    set.file("b.tar", links.into_inner().unwrap());
    let summary = set.import("im2gps3k", &["--extract"]).expect(0).json();
    assert_eq!(summary["extracted"]["refused"]["bomb"]["rows"], 1, "{summary}");
    assert_eq!(summary["extracted"]["refused"]["no_file"]["rows"], 1);
    assert!(!set.root().join("bomb.jpg").exists() && fs::symlink_metadata(set.root().join("link.jpg")).is_err());
    set.file("b.tar", [huge.as_bytes().as_slice(), &[0; 1024]].concat());
    let error = set.import("im2gps3k", &["--extract"]).expect(1).stderr;
    assert!(error.contains("b.tar"), "{error}");
}

#[test]
fn extracting_without_an_archive_is_an_error() {
    let set = Set::new();
    set.file("im2gps3k_places365.csv", "IMG_ID,LAT,LON\ngood.jpg,50,8\n");
    assert!(set.import("im2gps3k", &["--extract"]).expect(1).stderr.contains("expected archives"));
}
