//! Drones over real ground.

use super::{Set, dropped};

#[test]
fn dense_uav_letters_tell_longitude_from_latitude_whatever_its_description_says() {
    let set = Set::new();
    set.file(
        "Dense_GPS_ALL.txt",
        "/data/DenseUAV/test/query_drone/002256/H80.JPG E120.38711 N30.32411 93.1\n\
         /data/DenseUAV/test/gallery_satellite/002256/H80.tif E120.38711 N30.32411 93.1\n\
         /data/DenseUAV/test/query_drone/002256/H90.JPG 120.38711 30.32411 103.1\n",
    );
    set.pictures(&["test/query_drone/002256/H80.JPG", "test/gallery_satellite/002256/H80.jpg"]);
    let summary = set.import("denseuav", &["--satellite-extension", "jpg"]).expect(0).json();
    assert_eq!((&summary["written"], dropped(&summary, "bad_row")), (&2.into(), 1));
    let rows = set.rows();
    assert_eq!(
        (rows[0]["lat"].as_str(), rows[0]["lon"].as_str(), rows[0]["rel_alt_m"].as_str()),
        ("30.32411", "120.38711", "80")
    );
    assert_eq!(rows[0]["positive"], "test/gallery_satellite/002256/H80.jpg");
    assert_eq!(
        (rows[1]["role"].as_str(), rows[1]["file"].as_str()),
        ("reference", "test/gallery_satellite/002256/H80.jpg")
    );
}

#[test]
fn uav_visloc_height_is_above_the_sea_and_its_label_noise_is_told() {
    let set = Set::new();
    set.file(
        "01/01.csv",
        "num,filename,date,lat,lon,height,Omega,Kappa,Phi1,Phi2\n1,01_0001.JPG,2018-07-15T06:00:00,29.80,115.97,466.7,0.1,-178.6,1.0,2.0\n",
    );
    set.file("satellite_ coordinates_range.csv", "mapname,LT_lat_map,LT_lon_map,RB_lat_map,RB_lon_map,region\nsatellite01.tif,29.83,115.95,29.78,116.0,Changjiang\n");
    set.pictures(&["01/drone/01_0001.JPG"]);
    let summary = set.import("uav-visloc", &[]).expect(0).json();
    let notes = summary["notes"].to_string();
    assert!(
        notes.contains("24 to 48 m") && notes.contains("satellite01.tif --bounds 29.83,115.95,29.78,116.0"),
        "{notes}"
    );
    let row = &set.rows()[0];
    assert_eq!((row["file"].as_str(), row["alt_m"].as_str()), ("01/drone/01_0001.JPG", "466.7"));
    assert!(!row.contains_key("agl_m") && !row.contains_key("heading_deg"));
    assert_eq!((row["flight"].as_str(), row["time"].as_str()), ("01", "2018-07-15T06:00:00Z"));
}

#[test]
fn any_vis_loc_names_that_several_places_have_are_told_apart() {
    let set = Set::new();
    let entry = |name: &str, more: &str| {
        format!(
            "{{\"name\": \"{name}\", \"lat\": 36.68, \"lon\": 118.48, \"rel_alt\": 120.5, \"yaw\": -10.0, \"pitch\": -45.0, \
             \"width\": 5472, \"height\": 3648, \"cam_size\": 15.864, \"focal_len\": 8.8{more}}}"
        )
    };
    let entries = [
        entry("DJI_0001.JPG", ", \"place\": \"one\""),
        entry("two/DJI_0001.JPG", ""),
        entry("DJI_0001.JPG", ""),
        entry("DJI_0002.JPG", ""),
    ];
    set.file("metadata/QZ_Town.json", format!("{{\"root\": [{}]}}", entries.join(",")));
    set.pictures(&[
        "UAV_image/QZ_Town/one/DJI_0001.JPG",
        "UAV_image/QZ_Town/two/DJI_0001.JPG",
        "UAV_image/QZ_Town/one/DJI_0002.JPG",
    ]);
    let summary = set.import("anyvisloc", &[]).expect(0).json();
    assert_eq!((&summary["written"], dropped(&summary, "ambiguous_picture")), (&3.into(), 1), "{summary}");
    let rows = set.rows();
    let files: Vec<&str> = rows.iter().map(|row| row["file"].as_str()).collect();
    assert_eq!(
        files,
        [
            "UAV_image/QZ_Town/one/DJI_0001.JPG",
            "UAV_image/QZ_Town/two/DJI_0001.JPG",
            "UAV_image/QZ_Town/one/DJI_0002.JPG"
        ]
    );
    assert_eq!(
        (rows[0]["heading_deg"].as_str(), rows[0]["pitch_deg"].as_str(), rows[0]["flight"].as_str()),
        ("350", "-45.0", "one")
    );
    assert!((rows[0]["hfov_deg"].parse::<f64>().unwrap() - 73.74).abs() < 0.05);
    set.file("metadata/QZ_Town.json", "{\"root\": [");
    assert!(set.import("anyvisloc", &[]).expect(1).stderr.contains("QZ_Town.json: expected JSON"));
}
