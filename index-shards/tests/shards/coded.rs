//! Larger shards, whose rows are chosen by their codes: recall against all cosines, kernels, threads, filters.

use crate::common::{Numbers, write_with};
use index_shards::{
    Dissimilar, Filter, Hit, Kernel, LayoutChoice, MEAN_EARTH_RADIUS_M, PerPlace, Place, SearchOptions, ShardSet,
    Window, WriterOptions, force_kernel,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

type Row = (Place, Vec<f32>);

/// Enough rows that codes choose among them. Other CPUs are emulated where these tests run, and take their time.
const MANY_ROWS: usize = if cfg!(target_arch = "x86_64") { 20_000 } else { 9_000 };

/// Kernels are forced for the whole process.
static FORCED: Mutex<()> = Mutex::new(());

/// Tracks of eight pictures that are nearly alike, in clumps that are somewhat alike, most of it in a few directions.
struct World {
    numbers: Numbers,
    clumps: Vec<Vec<f32>>,
}

impl World {
    fn new(dimensions: usize) -> Self {
        let mut numbers = Numbers(5);
        let mean = numbers.unit_vector(&vec![0.0; dimensions], 1.0);
        let axes: Vec<Vec<f32>> = (0..24).map(|_| numbers.unit_vector(&vec![0.0; dimensions], 1.0)).collect();
        let clump = |numbers: &mut Numbers| {
            let mut clump = mean.clone();
            for (axis, rank) in axes.iter().zip(1..) {
                let size = 1.2 * numbers.next() / (rank as f32).sqrt();
                clump.iter_mut().zip(axis).for_each(|(part, of_axis)| *part += size * of_axis);
            }
            numbers.unit_vector(&clump, 0.0)
        };
        let clumps = (0..300).map(|_| clump(&mut numbers)).collect();
        Self { numbers, clumps }
    }

    fn track(&mut self, at: usize) -> Vec<f32> {
        let spread = 0.9 / (self.clumps[0].len() as f32).sqrt();
        let clump = self.clumps[at % self.clumps.len()].clone();
        self.numbers.unit_vector(&clump, spread)
    }

    fn rows(&mut self, count: usize) -> Vec<Row> {
        let mut rows = Vec::with_capacity(count);
        while rows.len() < count {
            let track = self.track(rows.len() / 8);
            let spread = 0.4 / (track.len() as f32).sqrt();
            let start = (self.numbers.next(), self.numbers.next());
            for step in 0..8.min(count - rows.len()) {
                let place = Place {
                    captured_at_ms: Some(rows.len() as i64),
                    ..Place::at(50.0 + f64::from(start.0), 8.0 + f64::from(start.1) + step as f64 * 1e-4)
                };
                rows.push((place, self.numbers.unit_vector(&track, spread)));
            }
        }
        rows
    }

    fn queries(&mut self, count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|at| self.track(at * 17)).collect()
    }
}

fn shard(rows: &[Row], layout: LayoutChoice) -> (TempDir, ShardSet) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("a.shard");
    write_with(&path, "space", rows, WriterOptions { layout, threads: 2, ..WriterOptions::default() });
    let set = ShardSet::open(&[path]).unwrap();
    (folder, set)
}

/// Positions of the `k` rows of the highest and of the lowest cosine.
fn truth(rows: &[Row], query: &[f32], k: usize) -> [BTreeSet<u32>; 2] {
    let score = |row: &Row| row.1.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let mut scores: Vec<(f32, u32)> = rows.iter().map(score).zip(0..).collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ends = [&scores[scores.len() - k..], &scores[..k]];
    ends.map(|end| end.iter().map(|(_, position)| *position).collect())
}

fn positions(set: &ShardSet, hits: &[Hit]) -> BTreeSet<u32> {
    hits.iter().map(|hit| set.reference(hit).unwrap().position).collect()
}

/// Recall at both ends over all queries.
fn recall(set: &ShardSet, rows: &[Row], queries: &[Vec<f32>], options: &SearchOptions) -> [f64; 2] {
    let mut found = [0, 0];
    for query in queries {
        let retrieval = set.search(query, options).unwrap();
        let truth = truth(rows, query, options.k);
        for (count, (hits, truth)) in found.iter_mut().zip([retrieval.similar, retrieval.dissimilar].iter().zip(&truth))
        {
            assert_eq!(hits.len(), options.k);
            *count += positions(set, hits).intersection(truth).count();
        }
    }
    found.map(|count| count as f64 / (queries.len() * options.k) as f64)
}

#[test]
fn codes_find_nearly_all_neighbours_at_both_ends() {
    // 64 dimensions have one layer; 192 have two, and a decoder for so many rows; 600 have none for so few.
    for (dimensions, count) in [(64, MANY_ROWS), (192, MANY_ROWS), (600, 9_000)] {
        let mut world = World::new(dimensions);
        let (rows, queries) = (world.rows(count), world.queries(30));
        for layout in [LayoutChoice::Flat, LayoutChoice::Lists(60)] {
            let (_folder, set) = shard(&rows, layout);
            let decoder = set.shards()[0].sections().find(|section| section.name == "decoder").unwrap();
            assert_eq!(decoder.length > 0, dimensions == 192);
            let found = recall(&set, &rows, &queries, &SearchOptions::default());
            assert!(found.iter().all(|recall| *recall > 0.96), "{dimensions} dimensions, {layout:?}: {found:?}");
            let work = set.search(&queries[0], &SearchOptions::default()).unwrap().work;
            assert!(work.exact_rows > 0 && work.exact_rows < 10_000, "{work:?}");
            assert_eq!(work.lists > 0, layout != LayoutChoice::Flat);
        }
    }
}

#[test]
fn the_similar_end_alone_is_the_same_and_takes_less() {
    let mut world = World::new(192);
    let (rows, queries) = (world.rows(9_000), world.queries(8));
    for layout in [LayoutChoice::Flat, LayoutChoice::Lists(60)] {
        let (_folder, set) = shard(&rows, layout);
        for query in &queries {
            let both = set.search(query, &SearchOptions::default()).unwrap();
            for dissimilar in [Dissimilar::None, Dissimilar::Random { seed: 1 }] {
                let alone = set.search(query, &SearchOptions { dissimilar, ..SearchOptions::default() }).unwrap();
                let drawn = if dissimilar == Dissimilar::None { 0 } else { 16 };
                assert_eq!((&alone.similar, alone.dissimilar.len()), (&both.similar, drawn), "{layout:?}");
                assert!(alone.work.second_rows < both.work.second_rows, "{:?} of {:?}", alone.work, both.work);
                assert!(alone.work.exact_rows < both.work.exact_rows, "{:?} of {:?}", alone.work, both.work);
            }
        }
    }
}

#[test]
fn kernels_and_threads_change_nothing() {
    let mut world = World::new(192);
    let (rows, queries) = (world.rows(9_000), world.queries(4));
    let _one_at_a_time = FORCED.lock().unwrap();
    let mut files = Vec::new();
    let mut answers = Vec::new();
    for kernel in Kernel::available() {
        force_kernel(kernel).unwrap();
        for layout in [LayoutChoice::Flat, LayoutChoice::Lists(40)] {
            let (folder, set) = shard(&rows, layout);
            files.push((layout, std::fs::read(folder.path().join("a.shard")).unwrap()));
            for threads in [1, 3] {
                let options = SearchOptions { threads, ..SearchOptions::default() };
                let found: Vec<_> = queries.iter().map(|query| set.search(query, &options).unwrap()).collect();
                answers.push((layout, found));
            }
        }
    }
    force_kernel(Kernel::Auto).unwrap();
    for layout in [LayoutChoice::Flat, LayoutChoice::Lists(40)] {
        let mut of_layout = files.iter().filter(|(other, _)| *other == layout);
        let first = of_layout.next().unwrap();
        assert!(of_layout.all(|other| other.1 == first.1), "the bytes of a shard depend on the kernel: {layout:?}");
        let mut of_layout = answers.iter().filter(|(other, _)| *other == layout);
        let first = of_layout.next().unwrap();
        assert!(of_layout.all(|other| other == first), "answers depend on kernel or threads: {layout:?}");
    }
}

#[test]
fn a_window_holds_what_a_shard_of_its_rows_would() {
    let mut world = World::new(192);
    let (rows, queries) = (world.rows(9_000), world.queries(5));
    let filters = [
        Filter {
            window: Some(Window::Circle { lat_deg: 50.2, lon_deg: 8.1, radius_m: 30_000.0 }),
            ..Filter::default()
        },
        Filter {
            window: Some(Window::Box { south_deg: 49.5, west_deg: 7.7, north_deg: 50.5, east_deg: 8.4 }),
            captured_ms: Some(2000..=9000),
            ..Filter::default()
        },
    ];
    let inside: [fn(&Place) -> bool; 2] = [
        |place| {
            let half_sin = |deg: f64| (deg.to_radians() / 2.0).sin().powi(2);
            let cos = |deg: f64| deg.to_radians().cos();
            let haversine =
                half_sin(place.lat_deg - 50.2) + cos(50.2) * cos(place.lat_deg) * half_sin(place.lon_deg - 8.1);
            2.0 * MEAN_EARTH_RADIUS_M * haversine.sqrt().asin() < 30_000.0
        },
        |place| {
            (49.5..=50.5).contains(&place.lat_deg)
                && (7.7..=8.4).contains(&place.lon_deg)
                && (2000..=9000).contains(&place.captured_at_ms.unwrap())
        },
    ];
    for layout in [LayoutChoice::Flat, LayoutChoice::Lists(50)] {
        let (_folder, set) = shard(&rows, layout);
        for (filter, inside) in filters.iter().zip(inside) {
            let (_other, alone) = {
                let of_window: Vec<Row> = rows.iter().filter(|(place, _)| inside(place)).cloned().collect();
                assert!((400..8000).contains(&of_window.len()), "{}", of_window.len());
                shard(&of_window, LayoutChoice::Flat)
            };
            for query in &queries {
                let options = SearchOptions { filter: filter.clone(), ..SearchOptions::default() };
                let found = set.search(query, &options).unwrap();
                let expected = alone.search(query, &SearchOptions::default()).unwrap();
                let scores = |hits: &[Hit]| hits.iter().map(|hit| hit.score).collect::<Vec<_>>();
                assert_eq!(scores(&found.similar), scores(&expected.similar));
                assert_eq!(scores(&found.dissimilar), scores(&expected.dissimilar));
            }
        }
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "too many rows for an emulated CPU")]
fn filters_that_admit_very_many_rows_are_scanned_by_their_codes() {
    let mut world = World::new(16);
    let rows = world.rows(230_000);
    let queries = world.queries(10);
    let (_folder, set) = shard(&rows, LayoutChoice::Flat);
    // All but the first rows: too many to read all of their vectors.
    let filter = Filter { captured_ms: Some(10_000..=i64::MAX), ..Filter::default() };
    let options = SearchOptions { filter, ..SearchOptions::default() };
    let mut found = 0;
    for query in &queries {
        let retrieval = set.search(query, &options).unwrap();
        assert!(retrieval.work.scanned_rows > 200_000 && retrieval.work.exact_rows < 100_000, "{:?}", retrieval.work);
        let of_all: Vec<Row> = rows[10_000..].to_vec();
        let truth = truth(&of_all, query, 16);
        for (hits, truth) in [(&retrieval.similar, &truth[0]), (&retrieval.dissimilar, &truth[1])] {
            let positions = positions(&set, hits);
            assert!(positions.iter().all(|position| *position >= 10_000));
            found += positions.iter().filter(|position| truth.contains(&(**position - 10_000))).count();
        }
    }
    assert!(found > 300, "{found} of 320");
}

#[test]
fn duplicates_of_one_place_do_not_crowd_out_the_list() {
    let mut world = World::new(64);
    let mut rows = world.rows(9_000);
    let (place, vector) = rows[100].clone();
    rows.extend((0..200).map(|_| (place, vector.clone())));
    let (_folder, set) = shard(&rows, LayoutChoice::Flat);
    let limit = PerPlace { most: 2, radius_m: 10.0 };
    let options = SearchOptions { per_place: Some(limit), ..SearchOptions::default() };
    let found = set.search(&vector, &options).unwrap();
    assert_eq!(found.similar.len(), 16);
    let at_place = found.similar.iter().filter(|hit| set.reference(hit).unwrap().place.lat_deg == place.lat_deg);
    assert!(at_place.count() <= 4, "two of the place, and its neighbours along the track");
    assert_eq!(set.search(&vector, &SearchOptions::default()).unwrap().similar[15].score, found.similar[0].score);
}
