//! Small shards, whose vectors are all read: both ends against a naive search, filters, sets, ways to be dissimilar.

use crate::common::{deterministic, push, row_at, write, writer};
use index_shards::{
    Dissimilar, Filter, Footprint, Hit, MEAN_EARTH_RADIUS_M, OpenError, PerPlace, Place, Retrieval, Row as Pushed,
    SearchError, SearchOptions, ShardSet, Window,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tempfile::TempDir;

type Row = (Place, Vec<f32>);

/// How far a score may be from the cosine of the vectors that were given: what whole numbers leave of them.
const SCORE_TOLERANCE: f64 = 6e-3;

/// Writes each part that has rows as a shard of its own.
fn set(parts: &[&[Row]]) -> (TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..parts.len()).map(|part| folder.path().join(format!("{part}.shard"))).collect();
    parts.iter().zip(&paths).for_each(|(rows, path)| drop(write(path, "space", rows)));
    let set = ShardSet::open(&paths).unwrap();
    (folder, set)
}

fn all(k: usize) -> SearchOptions {
    SearchOptions { k, ..SearchOptions::default() }
}

fn within(k: usize, window: Option<Window>) -> SearchOptions {
    SearchOptions { filter: Filter { window, ..Filter::default() }, ..all(k) }
}

fn circle(lat_deg: f64, lon_deg: f64, radius_m: f64) -> Option<Window> {
    Some(Window::Circle { lat_deg, lon_deg, radius_m })
}

/// Great-circle distance by the angle between unit vectors: another formula than the one under test.
fn distance_m((lat_deg, lon_deg): (f64, f64), place: &Place) -> f64 {
    let unit = |lat_deg: f64, lon_deg: f64| {
        let (lat, lon) = (lat_deg.to_radians(), lon_deg.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let ([a, b, c], [x, y, z]) = (unit(lat_deg, lon_deg), unit(place.lat_deg, place.lon_deg));
    let cross = [b * z - c * y, c * x - a * z, a * y - b * x].map(|part| part * part).iter().sum::<f64>().sqrt();
    MEAN_EARTH_RADIUS_M * cross.atan2(a * x + b * y + c * z)
}

/// Whether a place is in a circle; `None` when it is too near the edge for two formulas to agree.
fn is_inside(window: &Window, place: &Place) -> Option<bool> {
    let Window::Circle { lat_deg, lon_deg, radius_m } = *window else { return None };
    let beyond_m = distance_m((lat_deg, lon_deg), place) - radius_m;
    (beyond_m.abs() > 0.05).then_some(beyond_m < 0.0)
}

fn cosine(query: &[f32], vector: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(query, vector) / (dot(query, query) * dot(vector, vector)).sqrt()
}

/// The place of each hit among the rows that were given: part, position.
fn positions(shards: &ShardSet, hits: &[Hit]) -> Vec<(usize, usize)> {
    hits.iter().map(|hit| (hit.shard, shards.reference(hit).unwrap().position as usize)).collect()
}

/// Compares both ends with the cosines of all admitted rows: nothing that belongs in is missing, nothing else is there.
fn assert_exact(
    (shards, parts): (&ShardSet, &[&[Row]]),
    query: &[f32],
    (k, admitted): (usize, &dyn Fn(&Place) -> bool),
    found: &Retrieval,
) {
    let mut expected: Vec<((usize, usize), f64)> = Vec::new();
    for (part, rows) in parts.iter().enumerate() {
        for (position, (place, vector)) in rows.iter().enumerate() {
            if admitted(place) {
                expected.push(((part, position), cosine(query, vector)));
            }
        }
    }
    let ends = [(&found.similar, 1.0), (&found.dissimilar, -1.0)];
    for (hits, sign) in ends {
        assert_eq!(hits.len(), k.min(expected.len()));
        assert!(hits.is_sorted_by(|a, b| f64::from(a.score) * sign >= f64::from(b.score) * sign));
        let places = positions(shards, hits);
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), hits.len(), "a row came twice");
        let worst = hits.last().map_or(f64::NEG_INFINITY, |hit| f64::from(hit.score) * sign);
        for (place, hit) in places.iter().zip(hits) {
            let (_, truth) = expected.iter().find(|(known, _)| known == place).expect("an admitted row");
            assert!((f64::from(hit.score) - truth).abs() < SCORE_TOLERANCE, "{} for {truth}", hit.score);
        }
        let missed = |(place, truth): &&((usize, usize), f64)| {
            !places.contains(place) && truth * sign > worst + 2.0 * SCORE_TOLERANCE
        };
        assert_eq!(expected.iter().find(missed), None, "missed; the worst that was found has {worst}");
    }
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
    let window = (centre, 0.0_f64..7.4).prop_map(|((lat_deg, lon_deg), exponent)| Window::Circle {
        lat_deg,
        lon_deg,
        radius_m: 10_f64.powf(exponent),
    });
    prop::option::of(window)
}

proptest! {
    #![proptest_config(deterministic(300))]

    #[test]
    fn both_ends_are_those_of_a_naive_search(
        dimensions in prop::sample::select(vec![1_usize, 2, 3, 4, 15, 16, 17, 33, 64, 130, 200]),
        seeds in prop::collection::vec((any_place(), any::<u64>()), 1..200),
        cut in 0_usize..200,
        query in any::<u64>(),
        k in prop_oneof![1_usize..20, Just(250), Just(usize::MAX)],
        window in any_window(),
        threads in 1_usize..4,
    ) {
        let vector = |seed| crate::common::Numbers(seed).unit_vector(&vec![0.1; dimensions], 1.0);
        let rows: Vec<Row> = seeds.into_iter().map(|(place, seed)| (place, vector(seed))).collect();
        let on_the_edge = |window: Window| rows.iter().any(|(place, _)| is_inside(&window, place).is_none());
        prop_assume!(!window.is_some_and(on_the_edge));
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let parts: Vec<&[Row]> = [left, right].into_iter().filter(|part| !part.is_empty()).collect();
        let query = vector(query);

        let (_folder, shards) = set(&parts);
        let found = shards.search(&query, &SearchOptions { threads, ..within(k, window) }).unwrap();
        let admitted = |place: &Place| window.is_none_or(|window| is_inside(&window, place) == Some(true));
        assert_exact((&shards, &parts), &query, (k, &admitted), &found);
    }
}

fn line() -> Vec<Row> {
    let angles = [0.0_f32, 1.0, 2.0, 3.0];
    angles.iter().map(|a| (Place::at(f64::from(*a), 0.0), vec![a.cos(), a.sin()])).collect()
}

/// Positions of the hits in the only shard.
fn rows(shards: &ShardSet, hits: &[Hit]) -> Vec<usize> {
    positions(shards, hits).into_iter().map(|(_, position)| position).collect()
}

#[test]
fn more_wanted_than_there_are_gives_all_at_both_ends() {
    let (_folder, shards) = set(&[&line()]);
    let found = shards.search(&[1.0, 0.0], &all(100)).unwrap();
    assert_eq!(rows(&shards, &found.similar), [0, 1, 2, 3]);
    assert_eq!(rows(&shards, &found.dissimilar), [3, 2, 1, 0]);
}

#[test]
fn a_single_reference_is_both_ends() {
    let (_folder, shards) = set(&[&line()[2..3]]);
    let found = shards.search(&[1.0, 0.0], &all(16)).unwrap();
    assert_eq!((found.similar.len(), found.similar), (1, found.dissimilar));
}

#[test]
fn references_that_are_alike_all_come() {
    let twins: Vec<Row> = (0..15).map(|_| (Place::at(1.0, 2.0), vec![0.6, 0.8])).collect();
    let (_folder, shards) = set(&[&twins]);
    let found = shards.search(&[0.0, 1.0], &all(16)).unwrap();
    assert_eq!(rows(&shards, &found.similar), (0..15).collect::<Vec<_>>());
    assert_eq!(found.similar, found.dissimilar);
}

#[test]
fn an_empty_window_gives_empty_lists() {
    let (_folder, shards) = set(&[&line()]);
    let found = shards.search(&[1.0, 0.0], &within(3, circle(-50.0, 0.0, 1000.0))).unwrap();
    assert_eq!(found, Retrieval::default());
    let none = Filter { sources: Some(Vec::new()), ..Filter::default() };
    assert_eq!(shards.search(&[1.0, 0.0], &SearchOptions { filter: none, ..all(3) }).unwrap(), Retrieval::default());
}

#[test]
fn a_window_crosses_the_antimeridian() {
    let places = [(10.0, 179.999), (10.0, -179.999), (10.0, 179.9), (10.0, -179.9), (10.0, 0.0)];
    let rows_there: Vec<Row> = places.iter().map(|(lat, lon)| (Place::at(*lat, *lon), vec![1.0])).collect();
    let (_folder, shards) = set(&[&rows_there]);
    let found = |window| {
        let mut found = rows(&shards, &shards.search(&[1.0], &within(9, window)).unwrap().similar);
        found.sort_unstable();
        found
    };
    for lon_deg in [180.0, -180.0, 179.9995] {
        assert_eq!(found(circle(10.0, lon_deg, 500.0)), [0, 1], "centre {lon_deg}");
    }
    let sides = |west_deg, east_deg| Some(Window::Box { south_deg: 9.0, west_deg, north_deg: 11.0, east_deg });
    assert_eq!(found(sides(179.95, -179.95)), [0, 1]);
    assert_eq!(found(sides(-179.95, 179.95)), [2, 3, 4]);
}

#[test]
fn time_and_source_choose_and_go_together_with_a_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shard");
    let mut building = writer(&path, crate::common::description("space", 2));
    for (at, source) in [Some("drone"), Some("street"), None, Some("drone")].into_iter().enumerate() {
        let place = Place { captured_at_ms: (at != 1).then_some(at as i64 * 1000), ..Place::at(at as f64, 0.0) };
        let embedding = [(at as f32).cos(), (at as f32).sin()];
        let row = Pushed { name: &at.to_string(), place: &place, source, embedding: &embedding, blob: None };
        building.push(&row).unwrap();
    }
    building.finish().unwrap();
    let shards = ShardSet::open(&[path]).unwrap();
    let found = |filter: Filter| {
        rows(&shards, &shards.search(&[1.0, 0.0], &SearchOptions { filter, ..all(9) }).unwrap().similar)
    };
    let sources = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(found(Filter { sources: sources(&["drone"]), ..Filter::default() }), [0, 3]);
    assert_eq!(found(Filter { sources: sources(&["street", "drone"]), ..Filter::default() }), [0, 1, 3]);
    assert_eq!(found(Filter { sources: sources(&["plane"]), ..Filter::default() }), [0; 0]);
    assert_eq!(found(Filter { captured_ms: Some(0..=2000), ..Filter::default() }), [0, 2]);
    let window = circle(3.0, 0.0, 1000.0);
    let filter = Filter { window, captured_ms: Some(1..=9000), sources: sources(&["drone"]) };
    assert_eq!(found(filter), [3]);
}

#[test]
fn dissimilar_ones_can_be_drawn_typical_or_near() {
    let mut moved = line();
    moved[3].0.alt_m = Some(1.0);
    let (_folder, shards) = set(&[&line(), &moved]);
    let search = |dissimilar, k| {
        let options = SearchOptions { dissimilar, ..all(k) };
        positions(&shards, &shards.search(&[1.0, 0.0], &options).unwrap().dissimilar)
    };
    assert_eq!(search(Dissimilar::Farthest, 2), [(0, 3), (1, 3)]);
    // 222 km around the place of the best reference, which is that of row 0.
    assert_eq!(search(Dissimilar::FarInWindow { radius_m: 230_000.0 }, 3), [(0, 2), (1, 2), (0, 1)]);
    assert_eq!(search(Dissimilar::None, 3), []);
    let typical = search(Dissimilar::Centroid, 8);
    assert_eq!(typical.iter().collect::<BTreeSet<_>>().len(), 8, "filled up with the others, none twice");
    let drawn = |seed| search(Dissimilar::Random { seed }, 3);
    assert_eq!(drawn(1), drawn(1));
    assert!((0..20).any(|seed| drawn(seed) != drawn(1)));
    let ever: BTreeSet<_> = (0..60).flat_map(drawn).collect();
    assert_eq!(ever.len(), 8, "each is drawn at some time");
    assert_eq!(search(Dissimilar::Random { seed: 1 }, 100).len(), 8);
}

#[test]
fn a_place_has_no_more_than_its_share() {
    let footprint = Footprint { north_deg: 1.5, west_deg: -0.5, south_deg: -0.5, east_deg: 0.5 };
    let mut rows_there = line();
    rows_there[0].0.footprint = Some(footprint);
    let (_folder, shards) = set(&[&rows_there]);
    let search = |most, radius_m| {
        let options = SearchOptions { per_place: Some(PerPlace { most, radius_m }), ..all(4) };
        let found = shards.search(&[1.0, 0.0], &options).unwrap();
        (rows(&shards, &found.similar), rows(&shards, &found.dissimilar))
    };
    // Row 1 lies in the footprint of row 0; a degree of latitude is 111 km.
    assert_eq!(search(1, 0.0), (vec![0, 2, 3], vec![3, 2, 1]));
    assert_eq!(search(2, 0.0), (vec![0, 1, 2, 3], vec![3, 2, 1, 0]));
    assert_eq!(search(1, 120_000.0), (vec![0, 2], vec![3, 1]));
}

#[test]
fn removed_references_are_not_found_and_deltas_are() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["base.shard", "delta.shard"].map(|name| folder.path().join(name));
    write(&paths[0], "space", &line());
    let base = ShardSet::open(&paths[..1]).unwrap();
    let removed = [0, 3].map(|position| row_at(&base.shards()[0], position));
    let mut delta = writer(&paths[1], crate::common::description("space", 2));
    delta.remove(base.digest().as_str(), &removed).unwrap();
    push(&mut delta, "new", &Place::at(7.0, 7.0), &[-1.0, 0.0]).unwrap();
    delta.finish().unwrap();

    let both = ShardSet::open(&paths).unwrap();
    assert_eq!((base.len(), both.len()), (4, 3));
    let twice = ShardSet::open(&[paths[0].clone(), paths[1].clone(), paths[0].clone()]).unwrap_err();
    assert!(twice.to_string().contains("the same shard"), "{twice}");
    let found = |set: &ShardSet, options| positions(set, &set.search(&[1.0, 0.0], &options).unwrap().similar);
    assert_eq!(found(&both, all(9)), [(0, 1), (0, 2), (1, 0)]);
    assert_eq!(found(&base, all(9)).len(), 4);
    let drawn = SearchOptions { dissimilar: Dissimilar::Random { seed: 3 }, ..all(9) };
    assert_eq!(both.search(&[1.0, 0.0], &drawn).unwrap().dissimilar.len(), 3);
}

#[test]
fn a_query_of_any_length_gives_cosines() {
    let (_folder, shards) = set(&[&line()]);
    let found = shards.search(&[1e-30, 0.0], &all(1)).unwrap();
    assert!((found.similar[0].score - 1.0).abs() < 1e-4);
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
    assert!(message(&[1.0, 0.0], within(1, circle(99.0, 0.0, 1.0))).contains("window.lat_deg"));
    assert_eq!(message(&[1.0, 0.0], SearchOptions { threads: 0, ..all(1) }), "threads: expected at least 1, found 0");
    let per_place = Some(PerPlace { most: 0, radius_m: 1.0 });
    assert!(message(&[1.0, 0.0], SearchOptions { per_place, ..all(1) }).contains("per_place.most"));
    let dissimilar = Dissimilar::FarInWindow { radius_m: f64::NAN };
    assert!(message(&[1.0, 0.0], SearchOptions { dissimilar, ..all(1) }).contains("far_in_window.radius_m"));
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let filter = Filter { captured_ms: Some(2..=1), ..Filter::default() };
    assert!(message(&[1.0, 0.0], SearchOptions { filter, ..all(1) }).contains("captured_ms"));
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
fn references_of_many_hits_are_those_of_each() {
    let many: Vec<Row> = (0..700).map(|at| (Place::at(f64::from(at) / 10.0, 0.0), vec![0.6, 0.8])).collect();
    let (_folder, shards) = set(&[&line(), &many]);
    let hit = |(shard, row)| Hit { shard, row, score: 0.0 };
    let hits: Vec<Hit> = [(1, 699), (0, 2), (1, 0), (1, 255), (0, 0), (1, 256), (1, 0)].map(hit).to_vec();
    let each: Vec<_> = hits.iter().map(|hit| shards.reference(hit).unwrap()).collect();
    assert_eq!(shards.references(&hits).unwrap(), each);
    assert_eq!(shards.references(&[]).unwrap(), []);
    let missing = |shard, row| shards.references(&[hit((0, 1)), hit((shard, row))]).unwrap_err().to_string();
    assert!(missing(1, 700).contains("row 700, but it has 700 rows") && missing(2, 0).contains("set has 2 shards"));
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
    let hit = Hit { shard: 1, row: row_at(&both.shards()[1], 1), score: 0.0 };
    assert_eq!(both.reference(&hit).unwrap().place.lat_deg, 3.0);
    assert!(both.reference(&Hit { shard: 2, ..hit }).unwrap_err().to_string().contains("set has 2 shards"));
}
