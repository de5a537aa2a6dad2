//! Photos of Flickr and of Mapillary.

use super::{Set, dropped, picture};
use std::io::Write;

const HEADER: &str = "IMG_ID,AUTHOR,LAT,LON,S3_Label,S16_Label,S365_Label,Prob_indoor,Prob_natural,Prob_urban\n";

#[test]
fn im2gps_pictures_carry_a_place_and_a_number_before_the_name_of_the_table() {
    let set = Set::new();
    set.file(
        "im2gps_places365.csv",
        format!(
            "{HEADER}231521295_7a9a_87_12345678@N00.jpg,12345678@N00,41.8904,12.4920,2,1,1,0,0,1\n\
             99_ab_1_5@N01.jpg,5@N01,48.85,2.35,2,1,1,0,0,1\n"
        ),
    );
    set.pictures(&["images/Rome_00024_231521295_7a9a_87_12345678@N00.jpg", "images/99_ab_1_5@N01.jpg"]);
    let summary = set.import("im2gps", &[]).expect(0).json();
    assert_eq!((&summary["written"], &summary["rows"]), (&2.into(), &2.into()));
    let rows = set.rows();
    assert_eq!(rows[0]["file"], "images/Rome_00024_231521295_7a9a_87_12345678@N00.jpg");
    assert_eq!((rows[0]["photo"].as_str(), rows[0]["user"].as_str()), ("231521295", "12345678@N00"));
    assert_eq!((rows[1]["lat"].as_str(), rows[1]["lon"].as_str()), ("48.85", "2.35"));
}

#[test]
fn im2gps3k_a_header_with_lat_and_lon_the_wrong_way_round_is_seen_by_its_rows() {
    let set = Set::new();
    set.file(
        "im2gps3k_places365.csv",
        "IMG_ID,AUTHOR,LAT,LON\n1_a_1_5@N00.jpg,5@N00,139.70,35.66\n2_a_1_5@N00.jpg,5@N00,2.35,48.85\n",
    );
    set.pictures(&["1_a_1_5@N00.jpg", "2_a_1_5@N00.jpg"]);
    let summary = set.import("im2gps3k", &[]).expect(0).json();
    assert!(summary["notes"][0].as_str().unwrap().contains("wrong way round"), "{summary}");
    let rows = set.rows();
    assert_eq!((rows[0]["lat"].as_str(), rows[0]["lon"].as_str()), ("35.66", "139.70"));
    assert_eq!(
        (rows[1]["lat"].as_str(), rows[1]["lon"].as_str()),
        ("48.85", "2.35"),
        "those that could be either, too"
    );
}

#[test]
fn im2gps3k_check_finds_swapped_impossible_missing_and_double_rows() {
    let set = Set::new();
    set.file(
        "im2gps3k_places365.csv",
        "IMG_ID,LAT,LON\na.jpg,35.66,139.70\nb.jpg,139.70,35.66\nc.jpg,95,95\nd.jpg,0,0\ne.jpg,50,8\na.jpg,35.66,139.70\n\
         f.jpg,50\ng.jpg,x,8\n",
    );
    set.pictures(&["a.jpg", "b.jpg", "c.jpg", "d.jpg", "g.jpg", "h.jpg"]);
    let run = set.import("im2gps3k", &["--check"]).expect(3);
    let summary = run.json();
    for (reason, rows) in [
        ("swapped_coordinates", 1),
        ("impossible_coordinates", 1),
        ("no_position", 1),
        ("no_picture", 1),
        ("bad_row", 2),
    ] {
        assert_eq!(dropped(&summary, reason), rows, "{reason}: {summary}");
    }
    assert_eq!((&summary["written"], &summary["rows"]), (&2.into(), &8.into()));
    let check = &summary["check"];
    assert_eq!(check["duplicate_rows"], 1);
    assert_eq!(check["duplicates"][0], "a.jpg");
    assert_eq!(check["rows_at_commonest_place"], 2);
    assert_eq!(check["pictures_without_row"], 5, "b, c, d and g, whose rows are bad, and h");
    assert!(run.stderr.contains("swapped") && run.stderr.contains("no such picture"), "{}", run.stderr);
}

#[test]
fn rows_without_any_picture_are_an_error_that_says_what_to_do() {
    let set = Set::new();
    set.file("im2gps3k_places365.csv", "IMG_ID,LAT,LON\na.jpg,35.66,139.70\n");
    let error = set.import("im2gps3k", &[]).expect(1).stderr;
    assert!(
        error.contains("--extract") && error.contains("--no-pictures") && error.contains("no_picture x 1"),
        "{error}"
    );
    assert_eq!(set.import("im2gps3k", &["--no-pictures"]).expect(0).json()["written"], 1);
}

#[test]
fn yfcc4k_longitude_stands_before_latitude_in_both_forms_of_its_lines() {
    // 2014: photo, owner, nickname, taken, uploaded, device, title, description, tags, machine tags, lon, lat, accuracy, ...
    let old = "6185218911\t39019111@N00\tnick\t2012-02-16 09:56:37.0\t1331840483\tCanon\tan \"odd title\tx\ta,b\t\t-81.804885\t\
               24.550558\t12\tpage\turl\n";
    // Later: row, photo, hash, owner, ...
    let new = "0\t25935894\t4e2f7a26\t5@N01\tnick\t2012-02-16 09:56:37.0\t1331840483\tCanon\ttitle\tx\ta,b\t\t2.294\t48.858\t16\t\
               page\turl\n";
    for (lines, file, lat, lon, user) in [
        (old, "images/6185218911.jpg", "24.550558", "-81.804885", "39019111@N00"),
        (new, "images/25935894.jpg", "48.858", "2.294", "5@N01"),
    ] {
        let set = Set::new();
        set.file("info.txt", lines).pictures(&[file]);
        set.import("yfcc4k", &[]).expect(0);
        let row = &set.rows()[0];
        assert_eq!((row["file"].as_str(), row["lat"].as_str(), row["lon"].as_str()), (file, lat, lon));
        assert_eq!((row["user"].as_str(), row["time"].as_str()), (user, "2012-02-16T09:56:37Z"));
    }
    let set = Set::new();
    set.file("info.txt", "not a line\tof\tYFCC100M\n");
    assert!(set.import("yfcc4k", &["--no-pictures"]).expect(1).stderr.contains("bad_row x 1"));
}

#[test]
fn yfcc26k_has_a_table_of_its_own() {
    let set = Set::new();
    set.file("yfcc_25600_places365.csv", format!("{HEADER}aa/bb/123.jpg,7@N00,10.5,-3.25,2,1,1,0,0,1\n"));
    set.pictures(&["aa/bb/123.jpg"]);
    set.import("yfcc26k", &[]).expect(0);
    assert_eq!((set.rows()[0]["photo"].as_str(), set.rows()[0]["user"].as_str()), ("123", "7@N00"));
}

#[test]
fn mp16_placeholders_of_deleted_photos_are_left_out() {
    let set = Set::new();
    set.file("metadata/MP16_Pro_filtered.csv", "IMG_ID,AUTHOR,LAT,LON,country_code\n4f/a0/1.jpg,7@N00,10.5,-3.25,gh\n4f/a0/2.jpg,7@N00,10.5,-3.25,gh\n4f/a0/3.jpg,7@N00,10.5,-3.25,gh\n");
    set.file("images/4f_a0_1.jpg", [1; 5120]).file("images/4f_a0_2.jpg", [1; 5121]).file("images/4f_a0_3.jpg", []);
    let summary = set.import("mp16", &[]).expect(0).json();
    assert_eq!(
        (dropped(&summary, "placeholder"), dropped(&summary, "empty_picture"), &summary["written"]),
        (1, 1, &1.into())
    );
    let row = &set.rows()[0];
    assert_eq!(
        (row["file"].as_str(), row["photo"].as_str(), row["country"].as_str()),
        ("images/4f_a0_2.jpg", "2", "gh")
    );
}

#[test]
fn mp16_a_gallery_is_kept_free_of_the_photos_and_users_of_the_queries() {
    let set = Set::new();
    set.file(
        "mp16_urls.csv",
        "IMG_ID,AUTHOR,LAT,LON\na/b/1.jpg,7@N00,10,3\na/b/2.jpg,8@N00,10,3\na/b/3.jpg,9@N00,10,3\n",
    );
    set.pictures(&["images/a_b_1.jpg", "images/a_b_2.jpg", "images/a/b/3.jpg"]);
    set.file("queries.csv", "file,lat,lon,photo,user\nq.jpg,1,1,1,\nr.jpg,1,1,,8@N00\n");
    let queries = set.root().join("queries.csv");
    let summary = set.import("mp16", &["--without", queries.to_str().unwrap()]).expect(0).json();
    assert_eq!(
        (dropped(&summary, "same_photo"), dropped(&summary, "same_user"), &summary["written"]),
        (1, 1, &1.into())
    );
    assert_eq!(set.rows()[0]["file"], "images/a/b/3.jpg", "the nested layout is found, too");
    // What was asked to be left out is no fault.
    assert_eq!(set.import("mp16", &["--check", "--without", queries.to_str().unwrap()]).expect(0).status, 0);
}

#[test]
fn emp16_lines_of_json_in_several_compressed_parts_are_one_file() {
    let set = Set::new();
    let part = |text: &str| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let lines = [
        part("{\"photo_id\": 12, \"latitude\": 50.25, \"longitude\": 8.5, \"user_nsid\": \"5@N00\"}\n"),
        part("{\"photo_id\": \"13\", \"latitude\": \"95\", \"longitude\": 95.5}\n{broken\n\n"),
    ]
    .concat();
    set.file("emp16.jsonl.bz2", &lines).pictures(&["images/12.jpg"]);
    let summary = set.import("emp16", &[]).expect(0).json();
    assert_eq!((dropped(&summary, "impossible_coordinates"), dropped(&summary, "bad_row")), (1, 1), "{summary}");
    let row = &set.rows()[0];
    assert_eq!((row["file"].as_str(), row["lat"].as_str(), row["user"].as_str()), ("images/12.jpg", "50.25", "5@N00"));
    set.file("emp16.jsonl.bz2", &lines[..lines.len() - 7]);
    let error = set.import("emp16", &[]).expect(1).stderr;
    assert!(error.contains("emp16.jsonl.bz2") && error.contains("whole"), "{error}");
    set.file("emp16.jsonl.bz2", part("{\"where\": \"x.jpg\", \"y\": 1, \"x\": 2}\n")).pictures(&["x.jpg"]);
    set.import("emp16", &["--columns", "file=where,lat=y,lon=x"]).expect(0);
    assert_eq!((set.rows()[0]["lat"].as_str(), set.rows()[0]["lon"].as_str()), ("1", "2"));
}

#[test]
fn osv5m_rows_find_the_zip_folder_of_their_picture_and_keep_their_sequence() {
    let set = Set::new();
    set.file(
        "train.csv",
        "id,latitude,longitude,thumb_original_url,country,sequence,captured_at,region,sub-region,city,creator_username,creator_id\n\
         3859149887465501,-43.80,-176.61,,NZ,seq-b,1500000000000,Chatham Islands,,\"Waitangi, main\",roadroid,111\n\
         123,10.5,3.25,,NG,seq-a,not a time,,,,,\n\
         77,10.5,3.25,,NG,seq-a,,,,,,\n",
    );
    set.pictures(&["images/train/01/3859149887465501.jpg", "images/train/00/123.jpg"]);
    let summary = set.import("osv5m", &[]).expect(0).json();
    assert_eq!((&summary["written"], dropped(&summary, "no_picture")), (&2.into(), 1));
    let rows = set.rows();
    assert_eq!(rows[0]["file"], "images/train/00/123.jpg");
    assert_eq!((rows[0]["time"].as_str(), rows[0]["role"].as_str()), ("", "reference"));
    assert_eq!((rows[1]["flight"].as_str(), rows[1]["time"].as_str()), ("seq-b", "2017-07-14T02:40:00Z"));
    assert_eq!((rows[1]["city"].as_str(), rows[1]["user"].as_str()), ("Waitangi, main", "111"));
    assert_eq!(rows.iter().filter(|row| row["flight"].starts_with("seq-")).count(), 2);
}

#[test]
fn mr40k_columns_are_named_by_the_user() {
    let set = Set::new();
    set.file("MR40k.csv", "image_name,Y,X,land\np/1.jpg,64.1,-21.9,IS\np/2.jpg,64.2,-21.8,IS\n")
        .pictures(&["images/p/1.jpg"]);
    let labels = set.root().join("MR40k.csv");
    let labels = labels.to_str().unwrap();
    let columns = "file=image_name,lat=Y,lon=X,also=land";
    let summary = set.import("mr40k", &["--labels", labels, "--columns", columns]).expect(0).json();
    assert_eq!((&summary["data_set"], dropped(&summary, "no_picture")), (&"mr40k".into(), 1));
    assert_eq!((set.rows()[0]["file"].as_str(), set.rows()[0]["land"].as_str()), ("images/p/1.jpg", "IS"));
    let error = set.import("mr40k", &["--labels", labels, "--columns", "file=name"]).expect(1).stderr;
    assert!(error.contains("expected a column name, found image_name,Y,X,land"), "{error}");
    assert!(set.import("mr40k", &["--labels", labels, "--columns", "height=Y"]).expect(2).stderr.contains("height=Y"));
}

#[test]
fn names_that_lead_out_of_the_root_are_left_out() {
    let set = Set::new();
    set.file("t.csv", "file,lat,lon\n../../etc/passwd,1,1\n/etc/passwd,1,1\na.jpg,1,1\n").pictures(&["a.jpg"]);
    let labels = set.root().join("t.csv");
    let list = set.root().join("dropped.csv");
    let more = ["--labels", labels.to_str().unwrap(), "--dropped", list.to_str().unwrap()];
    let summary = set.import("table", &more).expect(0).json();
    assert_eq!((dropped(&summary, "outside_folder"), &summary["written"]), (2, &1.into()));
    let list = super::read(&list);
    assert_eq!((list.len(), list[1]["reason"].as_str()), (2, "outside_folder"));
    assert_eq!(picture("a").len(), 6000);
}
