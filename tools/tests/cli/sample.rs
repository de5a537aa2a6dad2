//! `geolocate sample`: pictures spread over the ground, chosen the same way every time.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;
use tiff::encoder::{TiffEncoder, colortype};
use tiff::tags::Tag;

use crate::common::{Run, command, finish, npy};

struct Photos(TempDir);

impl Photos {
    /// 300 photos in Paris, 30 in Sydney, 3 in Lima, and a row without a place.
    fn new() -> Self {
        let photos = Self(TempDir::new().unwrap());
        let mut text = "file,lat,lon,city\n".to_owned();
        for (city, count, lat, lon) in
            [("paris", 300, 48.85, 2.35), ("sydney", 30, -33.87, 151.2), ("lima", 3, -12.05, -77.04)]
        {
            for number in 0..count {
                let (lat, lon) = (lat + f64::from(number) * 1e-5, lon);
                text += &format!("{city}/{number}.png,{lat:.5},{lon},{city}\n");
            }
        }
        text += "nowhere.png,,,none\n";
        fs::write(photos.path("poses.csv"), text).unwrap();
        photos
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sample(&self, more: &[&str]) -> Run {
        let mut sample = command("sample");
        sample
            .arg("--poses")
            .arg(self.path("poses.csv"))
            .arg("--out")
            .arg(self.path("chosen.csv"))
            .args(["--json", "-"]);
        finish(sample.args(more))
    }

    /// How many were chosen in each city.
    fn cities(&self) -> BTreeMap<String, usize> {
        let mut cities = BTreeMap::new();
        for row in crate::import::read(&self.path("chosen.csv")) {
            *cities.entry(row["city"].clone()).or_default() += 1;
        }
        cities
    }
}

fn counts(paris: usize, sydney: usize, lima: usize) -> BTreeMap<String, usize> {
    let all = [("paris", paris), ("sydney", sydney), ("lima", lima)];
    all.into_iter().filter(|(_, count)| *count > 0).map(|(city, count)| (city.to_owned(), count)).collect()
}

#[test]
fn every_cell_gives_the_same_unless_it_has_fewer() {
    let photos = Photos::new();
    let summary = photos.sample(&["--count", "23"]).expect(0).json();
    assert_eq!(photos.cities(), counts(10, 10, 3));
    assert_eq!(
        (&summary["chosen"], &summary["rows"], &summary["bad_rows"], &summary["cells"]),
        (&23.into(), &333.into(), &1.into(), &3.into())
    );
    photos.sample(&["--count", "23", "--balance", "random"]).expect(0);
    assert_eq!(photos.cities(), counts(21, 2, 0));
    photos.sample(&["--count", "40", "--balance", "density"]).expect(0);
    assert_eq!(photos.cities(), counts(28, 9, 3));
    photos.sample(&["--count", "1000"]).expect(0);
    assert_eq!(photos.cities(), counts(300, 30, 3));
}

#[test]
fn the_same_seed_chooses_the_same_and_another_one_others() {
    let photos = Photos::new();
    let chosen = |seed: &str| {
        photos.sample(&["--count", "20", "--seed", seed]).expect(0);
        fs::read_to_string(photos.path("chosen.csv")).unwrap()
    };
    assert_eq!(chosen("7"), chosen("7"));
    assert_ne!(chosen("7"), chosen("8"));
}

#[test]
fn sparse_takes_the_cells_with_the_fewest() {
    let photos = Photos::new();
    photos.sample(&["--count", "20", "--sparse"]).expect(0);
    assert_eq!(photos.cities(), counts(0, 0, 3));
}

/// People per degree: many around Sydney, few around Lima, none elsewhere.
fn population(path: &std::path::Path) {
    let mut people = vec![0.0_f32; 360 * 180];
    for lat in 0..180 {
        for lon in 0..360 {
            let (north, east) = (89 - lat, lon - 180);
            people[(lat * 360 + lon) as usize] = match (north, east) {
                (-40..=-28, 145..=158) => 900.0,
                (-18..=-6, -83..=-70) => 100.0,
                _ => -200.0,
            };
        }
    }
    let mut tiff = TiffEncoder::new(fs::File::create(path).unwrap()).unwrap();
    let mut map = tiff.new_image::<colortype::Gray32Float>(360, 180).unwrap();
    map.encoder().write_tag(Tag::ModelPixelScaleTag, &[1.0, 1.0, 0.0][..]).unwrap();
    map.encoder().write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, -180.0, 90.0, 0.0][..]).unwrap();
    map.write_data(&people).unwrap();
}

#[test]
fn people_decide_where_a_map_of_them_is_given() {
    let photos = Photos::new();
    population(&photos.path("people.tif"));
    let people = photos.path("people.tif");
    let people = people.to_str().unwrap();
    photos.sample(&["--count", "8", "--balance", "population", "--population", people]).expect(0);
    assert_eq!(photos.cities(), counts(0, 6, 2), "the square roots are 30 and 10; nobody lives in Paris");
    photos.sample(&["--count", "8", "--sparse", "--population", people]).expect(0);
    assert_eq!(photos.cities(), counts(8, 0, 0));
    assert!(photos.sample(&["--balance", "population"]).expect(2).stderr.contains("--population"));
    fs::write(photos.path("people.tif"), b"II*\0").unwrap();
    assert!(
        photos.sample(&["--balance", "population", "--population", people]).expect(1).stderr.contains("people.tif")
    );
}

#[test]
fn near_duplicates_are_left_out_by_their_vectors() {
    let photos = Photos::new();
    // All of Paris are one picture, those of Sydney two, Lima's all differ.
    let vector = |row: usize| {
        let mut vector = vec![0.0; 8];
        let kind = match row {
            0..300 => 0,
            300..330 => 1 + row % 2,
            330..333 => 3 + row - 330,
            _ => 7,
        };
        vector[kind] = 1.0;
        vector
    };
    npy(&photos.path("v.npy"), &(0..334).map(vector).collect::<Vec<_>>());
    let vectors = photos.path("v.npy");
    let summary = photos.sample(&["--count", "30", "--vectors", vectors.to_str().unwrap()]).expect(0).json();
    assert_eq!(photos.cities(), counts(1, 2, 3), "{summary}");
    assert!(summary["left_out"]["near_duplicate"].as_u64().unwrap() > 10);
    npy(&photos.path("v.npy"), &[vector(0)]);
    assert!(photos.sample(&["--vectors", vectors.to_str().unwrap()]).expect(1).stderr.contains("v.npy"));
}

#[test]
fn bad_pictures_are_left_out_and_made_up_for() {
    let photos = Photos::new();
    for (city, count) in [("paris", 40), ("lima", 3)] {
        fs::create_dir(photos.path(city)).unwrap();
        for number in 0..count {
            let dark = number % 2 == 1;
            let shade = |x: u32| if dark { 3 } else { (x * 4 + number) as u8 };
            RgbImage::from_fn(64, 64, |x, y| Rgb([shade(x), shade(y), 90 * u8::from(!dark)]))
                .save(photos.path(&format!("{city}/{number}.png")))
                .unwrap();
        }
    }
    let folder = photos.path("");
    let more = ["--count", "6", "--images", folder.to_str().unwrap(), "--least-px", "64"];
    let summary = photos.sample(&more).expect(0).json();
    let chosen = photos.cities();
    assert!(!chosen.contains_key("sydney") && chosen["lima"] == 2, "{chosen:?}, {summary}");
    assert!(
        summary["left_out"]["missing_picture"].as_u64().unwrap() > 0
            && summary["left_out"].as_object().unwrap().len() > 1
    );
    let large = photos.sample(&["--count", "6", "--images", folder.to_str().unwrap(), "--least-px", "65"]).expect(1);
    assert!(large.stderr.contains("nothing can be chosen"), "{}", large.stderr);
}

#[test]
fn records_for_fine_tuning_and_a_map_are_written() {
    let photos = Photos::new();
    let (records, map) = (photos.path("sft.json"), photos.path("map.svg"));
    photos.sample(&["--count", "9", "--sharegpt", records.to_str().unwrap(), "--map", map.to_str().unwrap()]).expect(0);
    let records: Value = serde_json::from_str(&fs::read_to_string(records).unwrap()).unwrap();
    let records = records.as_array().unwrap();
    assert_eq!(records.len(), 9);
    let first = &records[0];
    assert!(first["images"][0].as_str().unwrap().starts_with("paris/"));
    let [question, answer] = [0, 1].map(|at| first["conversations"][at]["value"].as_str().unwrap());
    assert!(question.starts_with("<image>\n") && question.contains("latitude"));
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert!((answer["latitude"].as_f64().unwrap() - 48.85).abs() < 0.01);
    assert_eq!(fs::read_to_string(map).unwrap().matches("<circle").count(), 9);
}
