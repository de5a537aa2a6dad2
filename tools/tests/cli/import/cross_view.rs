//! Street against satellite, drone against satellite.

use super::{Set, dropped};

/// A tile 71 m wide, and a panorama 10 m north and 5 m east of its middle: 90.1 and 45.0 pixels of Chicago's 0.111 m.
const TILE: &str = "satellite_41.88_-87.63.png";
const OTHERS: [&str; 3] =
    ["satellite_41.88_-87.6304.png", "satellite_41.8803_-87.63.png", "satellite_41.8803_-87.6304.png"];
const PANORAMA: &str = "q-vJ9_Bp,41.88008993,-87.62993961,.jpg";

fn vigor(splits: &str, suffix: &str) -> Set {
    let set = Set::new();
    let [second, third, fourth] = OTHERS;
    set.file(&format!("{splits}/Chicago/satellite_list.txt"), [TILE, second, third, fourth, ""].join("\n"));
    let line =
        format!("{PANORAMA} {TILE} -90.1 -45.0 {second} -90.1 -344.0 {third} 210.0 -45.0 {fourth} 210.0 -344.0\n");
    let broken = format!("{PANORAMA} {TILE} -90.1 -45.0\n");
    for name in ["same_area_balanced_test", "pano_label_balanced"] {
        set.file(&format!("{splits}/Chicago/{name}{suffix}.txt"), [line.as_str(), broken.as_str()].concat());
    }
    let tiles = [TILE, second, third, fourth].map(|tile| format!("Chicago/satellite/{tile}"));
    set.pictures(&tiles.each_ref().map(String::as_str)).pictures(&[&format!("Chicago/panorama/{PANORAMA}")]);
    set
}

#[test]
fn vigor_names_with_commas_labels_of_thirteen_fields_and_semi_positives() {
    let set = vigor("splits__corrected", "__corrected");
    let summary = set.import("vigor", &["--area", "cross", "--part", "test"]).expect(0).json();
    assert_eq!((&summary["written"], dropped(&summary, "bad_row")), (&5.into(), 1), "{summary}");
    let notes = summary["notes"].to_string();
    assert!(notes.contains("SanFrancisco is left out") && !notes.contains("wrong ground resolution"), "{notes}");
    assert!(!notes.contains("labels tell a place"), "the label and the name agree: {notes}");
    let rows = set.rows();
    let query = rows.iter().find(|row| row["role"] == "query").unwrap();
    assert_eq!(query["file"], format!("Chicago/panorama/{PANORAMA}"));
    assert_eq!(query["positive"], format!("Chicago/satellite/{TILE}"));
    assert_eq!(query["semi_positives"].split(';').count(), 3);
    // 320 - (-45), 320 + (-90.1): north of the middle is above it, east of it is to its right.
    assert_eq!((query["pixel_x"].as_str(), query["pixel_y"].as_str()), ("365.0", "229.9"));
    let tile = rows.iter().find(|row| row["file"].ends_with(TILE)).unwrap();
    let number = |key: &str| tile[key].parse::<f64>().unwrap();
    let side_m = (number("top_left_lat") - number("bottom_right_lat")) * 111_195.08;
    assert!((side_m - 640.0 * 0.111).abs() < 0.01, "{side_m} m of 640 pixels of 0.111 m");
}

#[test]
fn vigor_labels_of_the_wrong_ground_resolution_are_told() {
    let set = vigor("splits", "");
    let notes = set.import("vigor", &[]).expect(0).json()["notes"].to_string();
    assert!(notes.contains("wrong ground resolution") && notes.contains("Seattle is left out"), "{notes}");
    // A label that tells another place than the name.
    let path = "splits/Chicago/same_area_balanced_test.txt";
    let text = std::fs::read_to_string(set.root().join(path)).unwrap().replace("-90.1 -45.0", "90.1 45.0");
    set.file(path, text);
    assert!(set.import("vigor", &[]).expect(0).json()["notes"].to_string().contains("1 labels tell a place"));
}

#[test]
fn vigor_is_evaluated_with_its_semi_positives() {
    let set = vigor("splits__corrected", "__corrected");
    set.import("vigor", &[]).expect(0);
    let rows = set.rows();
    let path = |name: &str| set.root().join(name);
    // Found first: a semi-positive, then the positive.
    let angle = |row: &std::collections::BTreeMap<String, String>| match row["role"].as_str() {
        "query" => 9.0,
        _ if row["file"].ends_with(TILE) => 20.0,
        _ if row["file"].ends_with(OTHERS[0]) => 10.0,
        _ => 90.0,
    };
    let vectors: Vec<Vec<f32>> = rows.iter().map(|row| crate::common::at_angle(angle(row))).collect();
    crate::common::npy(&path("v.npy"), &vectors);
    let build: [&dyn AsRef<std::ffi::OsStr>; 10] = [
        &"--vectors",
        &path("v.npy"),
        &"--poses",
        &set.out(),
        &"--role",
        &"reference",
        &"--space",
        &"plane",
        &"--out",
        &path("a.shard"),
    ];
    crate::common::run("build", &build).expect(0);
    let evaluate: [&dyn AsRef<std::ffi::OsStr>; 8] =
        [&"--index", &path("a.shard"), &"--query-vectors", &path("v.npy"), &"--poses", &set.out(), &"--json", &"-"];
    let report = crate::common::run("evaluate", &evaluate).expect(0).json();
    assert_eq!((&report["top1"], &report["hit_rate"], &report["queries"]), (&0.0.into(), &1.0.into(), &1.into()));
}

fn university() -> Set {
    let set = Set::new();
    set.pictures(&[
        "test/gallery_satellite/0001/0001.jpg",
        "test/gallery_satellite/0002/0002.jpg",
        "test/query_drone/0001/image-01.jpeg",
        "test/query_drone/0001/image-02.jpeg",
        "test/query_drone/0009/image-01.jpeg",
    ]);
    set
}

#[test]
fn university1652_has_no_places_and_is_refused_as_such() {
    let set = university();
    let summary = set.import("university1652", &[]).expect(0).json();
    assert_eq!((&summary["written"], dropped(&summary, "no_reference")), (&4.into(), 1));
    let rows = set.rows();
    assert!(!rows[0].contains_key("lat"));
    let query = rows.iter().find(|row| row["role"] == "query").unwrap();
    assert_eq!(query["positive"], "test/gallery_satellite/0001/0001.jpg");
    let vectors = set.root().join("v.npy");
    crate::common::npy(&vectors, &vec![vec![1.0, 0.0]; 4]);
    let shard = set.root().join("a.shard");
    let build: [&dyn AsRef<std::ffi::OsStr>; 8] =
        [&"--vectors", &vectors, &"--poses", &set.out(), &"--space", &"plane", &"--out", &shard];
    assert!(crate::common::run("build", &build).expect(1).stderr.contains("\"lat\" is missing"));
}

#[test]
fn university1652_with_a_table_of_its_buildings_is_a_set_of_places() {
    let set = university();
    set.file("places.csv", "class,lat,lon\n0001,51.5,-0.1\n0002,51.6,-0.2\n0009,51.7,-0.3\n");
    let labels = set.root().join("places.csv");
    set.import("university1652", &["--labels", labels.to_str().unwrap()]).expect(0);
    assert_eq!(set.rows()[0]["lat"], "51.5");
}

#[test]
fn gta_uav_is_refused_as_places_and_kept_for_retrieval() {
    let set = Set::new();
    let entry = r#"{"drone_img_dir":"drone/images","drone_img_name":"500_0001_0000024847.png","drone_loc_x_y":[3633.4,7140.5],
        "sate_img_dir":"satellite","pair_pos_sate_img_list":["5_10_20.png","4_5_10.png"],
        "pair_pos_sate_weight_list":[0.41,0.57],"pair_pos_semipos_sate_img_list":["4_5_10.png","5_10_20.png","6_20_41.png"],
        "drone_metadata":{"height":501.8,"cam_roll":-85.3,"cam_pitch":2.0,"cam_yaw":-41.0}}"#;
    let lonely =
        r#"{"drone_img_dir":"drone/images","drone_img_name":"x.png","drone_loc_x_y":[1,2],"sate_img_dir":"satellite"}"#;
    set.file("same-area-drone2sate-test.json", format!("[{entry},{lonely}]"));
    set.pictures(&[
        "drone/images/500_0001_0000024847.png",
        "satellite/4_5_10.png",
        "satellite/5_10_20.png",
        "satellite/6_20_41.png",
    ]);
    let summary = set.import("gtauav", &[]).expect(0).json();
    assert!(summary["notes"].to_string().contains("not WGS 84"));
    assert_eq!((&summary["written"], dropped(&summary, "no_reference")), (&4.into(), 1));
    let rows = set.rows();
    assert!(!rows[0].contains_key("lat"));
    let query = rows.iter().find(|row| row["role"] == "query").unwrap();
    assert_eq!(
        (query["positive"].as_str(), query["semi_positives"].as_str()),
        ("satellite/4_5_10.png", "satellite/5_10_20.png;satellite/6_20_41.png")
    );
    assert_eq!((query["agl_m"].as_str(), query["heading_deg"].as_str()), ("501.8", "319"));
    set.file("same-area-drone2sate-test.json", format!("[{entry},{}", &entry[..99]));
    assert!(set.import("gtauav", &[]).expect(1).stderr.contains("whole"));
}
