//! Both ends against a naive search, windows, ties, sets.

use crate::common::{deterministic, write};
use index_shards::{Hit, MEAN_EARTH_RADIUS_M, OpenError, Place, SearchError, SearchOptions, ShardSet, Window};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::path::PathBuf;
use tempfile::TempDir;

type Row = (Place, Vec<f32>);

/// Writes each part that has rows as a shard of its own.
fn set(parts: &[&[Row]]) -> (TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..parts.len()).map(|part| folder.path().join(format!("{part}.shard"))).collect();
    parts.iter().zip(&paths).for_each(|(rows, path)| drop(write(path, "space", rows)));
    let set = ShardSet::open(&paths).unwrap();
    (folder, set)
}

fn all(k: usize) -> SearchOptions {
    SearchOptions { k, window: None }
}

/// Great-circle distance by the angle between unit vectors: another formula than the one under test.
fn distance_m(window: &Window, place: &Place) -> f64 {
    let unit = |lat_deg: f64, lon_deg: f64| {
        let (lat, lon) = (lat_deg.to_radians(), lon_deg.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let ([a, b, c], [x, y, z]) = (unit(window.lat_deg, window.lon_deg), unit(place.lat_deg, place.lon_deg));
    let cross = [b * z - c * y, c * x - a * z, a * y - b * x].map(|part| part * part).iter().sum::<f64>().sqrt();
    MEAN_EARTH_RADIUS_M * cross.atan2(a * x + b * y + c * z)
}

/// Every row in the window with its score, by sorting all of them: most similar first and least similar first.
fn naive(parts: &[&[Row]], query: &[f32], options: &SearchOptions) -> (Vec<Hit>, Vec<Hit>) {
    let mut hits = Vec::new();
    for (shard, rows) in parts.iter().enumerate() {
        for ((place, embedding), row) in rows.iter().zip(0..) {
            if options.window.is_none_or(|window| distance_m(&window, place) <= window.radius_m) {
                let score = query.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
                hits.push(Hit { shard, row, score });
            }
        }
    }
    let sorted = |order: fn(&Hit, &Hit) -> Ordering| {
        let mut hits = hits.clone();
        hits.sort_by(|a, b| order(a, b).then((a.shard, a.row).cmp(&(b.shard, b.row))));
        hits.truncate(options.k);
        hits
    };
    (sorted(|a, b| b.score.partial_cmp(&a.score).unwrap()), sorted(|a, b| a.score.partial_cmp(&b.score).unwrap()))
}

/// A unit vector whose products with its like are exact in f32: four components of 0.5, or one of 1.
fn exact_vector(dimensions: usize, (at, signs, dense): (usize, u8, bool)) -> Vec<f32> {
    let count = if dense && dimensions >= 4 { 4 } else { 1 };
    let size = if count == 4 { 0.5 } else { 1.0 };
    let mut vector = vec![0.0; dimensions];
    for i in 0..count {
        vector[(at + i) % dimensions] = if signs >> i & 1 == 1 { -size } else { size };
    }
    vector
}

/// Places in clumps, at the poles and the antimeridian too, so that windows hold some and not others.
fn any_place() -> impl Strategy<Value = Place> {
    let bases =
        prop::sample::select(vec![(0.0, 0.0), (89.99, 10.0), (-89.99, -100.0), (45.0, 179.99), (45.0, -179.99)]);
    (bases, 0_i32..100, 0_i32..100).prop_map(|((lat, lon), north, east)| {
        let stored = |deg: f64| (deg * 1e7).round() / 1e7;
        Place::at(stored(lat + f64::from(north) * 1e-4), stored(lon + f64::from(east) * 1e-4))
    })
}

fn any_window() -> impl Strategy<Value = Option<Window>> {
    let centre = prop_oneof![
        Just((0.0, 0.0)),
        Just((90.0, -77.0)),
        Just((-90.0, 180.0)),
        Just((45.0, 180.0)),
        Just((45.0, -180.0)),
        (-90.0_f64..=90.0, -180.0_f64..=180.0),
    ];
    let window = (centre, 0.0_f64..7.4).prop_map(|((lat_deg, lon_deg), exponent)| Window {
        lat_deg,
        lon_deg,
        radius_m: 10_f64.powf(exponent),
    });
    prop::option::of(window)
}

proptest! {
    #![proptest_config(deterministic(400))]

    #[test]
    fn both_ends_are_those_of_a_naive_search(
        dimensions in prop::sample::select(vec![1_usize, 2, 4, 15, 16, 17, 33, 64]),
        seeds in prop::collection::vec((any_place(), (0_usize..64, any::<u8>(), any::<bool>())), 1..200),
        cut in 0_usize..200,
        query in (0_usize..64, any::<u8>(), any::<bool>()),
        k in prop_oneof![1_usize..20, Just(250), Just(usize::MAX)],
        window in any_window(),
    ) {
        let rows: Vec<Row> =
            seeds.into_iter().map(|(place, seed)| (place, exact_vector(dimensions, seed))).collect();
        let on_the_edge = |window: Window| {
            rows.iter().any(|(place, _)| (distance_m(&window, place) - window.radius_m).abs() < 0.01)
        };
        prop_assume!(!window.is_some_and(on_the_edge));
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let parts: Vec<&[Row]> = [left, right].into_iter().filter(|part| !part.is_empty()).collect();
        let query = exact_vector(dimensions, query);
        let options = SearchOptions { k, window };

        let (_folder, shards) = set(&parts);
        let found = shards.search(&query, &options).unwrap();
        let (similar, dissimilar) = naive(&parts, &query, &options);
        prop_assert_eq!(found.similar, similar);
        prop_assert_eq!(found.dissimilar, dissimilar);
    }

    #[test]
    fn scores_of_any_vectors_are_cosines_in_order(
        raw in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 37), 1..60),
        query in prop::collection::vec(-100.0_f32..100.0, 37),
        k in 1_usize..70,
    ) {
        let length = |vector: &[f32]| vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        prop_assume!(raw.iter().chain([&query]).all(|vector| length(vector) > 1e-3));
        let unit = |vector: &Vec<f32>| vector.iter().map(|x| (f64::from(*x) / length(vector)) as f32).collect();
        let rows: Vec<Row> = raw.iter().map(|vector| (Place::at(0.0, 0.0), unit(vector))).collect();
        let cosine = |row: u32| {
            let (_, vector) = &rows[row as usize];
            let dot: f64 = query.iter().zip(vector).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            dot / length(&query)
        };
        let mut best: Vec<f64> = (0..rows.len() as u32).map(cosine).collect();
        best.sort_by(f64::total_cmp);

        let (_folder, shards) = set(&[&rows]);
        let found = shards.search(&query, &all(k)).unwrap();
        prop_assert_eq!((found.similar.len(), found.dissimilar.len()), (k.min(rows.len()), k.min(rows.len())));
        for (hit, expected) in found.similar.iter().zip(best.iter().rev()).chain(found.dissimilar.iter().zip(&best)) {
            prop_assert!((f64::from(hit.score) - expected).abs() < 1e-5);
            prop_assert!((f64::from(hit.score) - cosine(hit.row)).abs() < 1e-5);
        }
        prop_assert!(found.similar.is_sorted_by(|a, b| a.score >= b.score));
        prop_assert!(found.dissimilar.is_sorted_by(|a, b| a.score <= b.score));
    }
}

fn line() -> Vec<Row> {
    let angles = [0.0_f32, 1.0, 2.0, 3.0];
    angles.iter().map(|a| (Place::at(f64::from(*a), 0.0), vec![a.cos(), a.sin()])).collect()
}

fn rows(hits: &[Hit]) -> Vec<u32> {
    hits.iter().map(|hit| hit.row).collect()
}

#[test]
fn more_wanted_than_there_are_gives_all_at_both_ends() {
    let (_folder, shards) = set(&[&line()]);
    let found = shards.search(&[1.0, 0.0], &all(100)).unwrap();
    assert_eq!((rows(&found.similar), rows(&found.dissimilar)), (vec![0, 1, 2, 3], vec![3, 2, 1, 0]));
}

#[test]
fn a_single_reference_is_both_ends() {
    let (_folder, shards) = set(&[&line()[2..3]]);
    let found = shards.search(&[1.0, 0.0], &all(16)).unwrap();
    assert_eq!((rows(&found.similar), rows(&found.dissimilar)), (vec![0], vec![0]));
}

#[test]
fn an_empty_window_gives_empty_lists() {
    let (_folder, shards) = set(&[&line()]);
    let window = Some(Window { lat_deg: -50.0, lon_deg: 0.0, radius_m: 1000.0 });
    let found = shards.search(&[1.0, 0.0], &SearchOptions { k: 3, window }).unwrap();
    assert_eq!(found, index_shards::Retrieval::default());
}

#[test]
fn a_window_crosses_the_antimeridian() {
    let places = [(10.0, 179.999), (10.0, -179.999), (10.0, 179.9), (10.0, -179.9), (10.0, 0.0)];
    let rows_there: Vec<Row> = places.iter().map(|(lat, lon)| (Place::at(*lat, *lon), vec![1.0])).collect();
    let (_folder, shards) = set(&[&rows_there]);
    for lon_deg in [180.0, -180.0, 179.9995] {
        let window = Some(Window { lat_deg: 10.0, lon_deg, radius_m: 500.0 });
        let found = shards.search(&[1.0], &SearchOptions { k: 9, window }).unwrap();
        assert_eq!(rows(&found.similar), [0, 1], "centre {lon_deg}");
    }
}

#[test]
fn a_query_of_any_length_gives_cosines() {
    let (_folder, shards) = set(&[&line()]);
    let found = shards.search(&[1e-30, 0.0], &all(1)).unwrap();
    assert_eq!(found.similar[0].score, 1.0);
    assert_eq!(shards.search(&[f32::MAX, f32::MAX], &all(4)).unwrap().similar.len(), 4);
}

#[test]
fn impossible_searches_are_refused_with_both_numbers() {
    let (_folder, shards) = set(&[&line()]);
    let message = |query: &[f32], options| shards.search(query, &options).unwrap_err().to_string();
    assert_eq!(message(&[1.0], all(1)), "query of 1 dimensions, but the shards have 2");
    assert_eq!(message(&[0.0, f32::NAN], all(1)), "query: expected finite components, found NaN at position 1");
    assert!(message(&[f32::INFINITY, 0.0], all(1)).contains("inf"));
    assert!(message(&[0.0, -0.0], all(1)).contains("zero"));
    assert_eq!(message(&[1.0, 0.0], all(0)), "k: expected at least 1, found 0");
    let window = Some(Window { lat_deg: 99.0, lon_deg: 0.0, radius_m: 1.0 });
    assert!(message(&[1.0, 0.0], SearchOptions { k: 1, window }).contains("window.lat_deg"));
    assert!(matches!(shards.search(&[], &all(1)), Err(SearchError::Dimensions { expected: 2, found: 0 })));
}

#[test]
fn sets_of_other_spaces_or_widths_name_both_files_and_both_values() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.shard", "b.shard", "c.shard"].map(|name| folder.path().join(name));
    write(&paths[0], "siglip@1", &[(Place::at(0.0, 0.0), vec![1.0, 0.0])]);
    write(&paths[1], "siglip@2", &[(Place::at(0.0, 0.0), vec![1.0, 0.0])]);
    write(&paths[2], "siglip@1", &[(Place::at(0.0, 0.0), vec![1.0, 0.0, 0.0])]);
    let message = |set: &[PathBuf]| ShardSet::open(set).unwrap_err().to_string();
    let space = message(&paths[..2]);
    for part in ["a.shard", "b.shard", "siglip@1", "siglip@2"] {
        assert!(space.contains(part), "{part} in {space}");
    }
    let width = message(&[paths[0].clone(), paths[2].clone()]);
    for part in ["a.shard", "c.shard", "3 dimensions", "has 2"] {
        assert!(width.contains(part), "{part} in {width}");
    }
    assert!(matches!(ShardSet::open(&[]), Err(OpenError::NoShards)));
    assert!(matches!(ShardSet::open(&[folder.path().join("none")]), Err(OpenError::Io { .. })));
}

#[test]
fn the_digest_of_a_set_stands_for_its_shards_in_order() {
    let (_folder, both) = set(&[&line()[..2], &line()[2..]]);
    let paths: Vec<PathBuf> = both.shards().iter().map(|shard| shard.path().to_path_buf()).collect();
    let one = ShardSet::open(&paths[..1]).unwrap();
    let turned = ShardSet::open(&[paths[1].clone(), paths[0].clone()]).unwrap();
    assert_eq!(one.digest(), one.shards()[0].digest());
    assert_eq!(both.digest(), ShardSet::open(&paths).unwrap().digest());
    assert!(both.digest() != turned.digest() && both.digest() != one.digest());
    assert_eq!((both.len(), both.dimensions(), both.space(), both.is_empty()), (4, 2, "space", false));
    let hit = Hit { shard: 1, row: 1, score: 0.0 };
    assert_eq!(both.reference(&hit).unwrap().place.lat_deg, 3.0);
    assert!(both.reference(&Hit { shard: 2, ..hit }).unwrap_err().to_string().contains("set has 2 shards"));
}
