//! VIGOR, imported, built and reranked: the figures of its labels by retrieval and by every strategy.

use std::ffi::OsStr;
use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::Value;

use super::Set;
use crate::common::{command, finish, npy, run};

/// Tiles of the gallery: one in a hundred are three, rounded up.
const TILES: usize = 240;

/// Far from each other, so that none of them show one place.
fn tile(number: usize) -> String {
    format!("satellite_{:.4}_{:.4}.png", 41.0 + (number / 16) as f64 * 0.02, -88.0 + (number % 16) as f64 * 0.03)
}

fn panorama(number: usize, positive: usize) -> String {
    let (lat, lon) = (41.0 + (positive / 16) as f64 * 0.02, -88.0 + (positive % 16) as f64 * 0.03);
    format!("pano{number},{lat:.6},{lon:.6},.jpg")
}

/// A panorama: the tile that covers it, three more that do so less well, and the tiles in the order of their similarity.
struct Query {
    positive: usize,
    semi: [usize; 3],
    found: [usize; 12],
}

/// Ranks of the positives: 2 behind a semi-positive, 1, 2 behind a stranger, 3, 5, 8, and none.
fn queries() -> Vec<Query> {
    let found = |from: usize| std::array::from_fn(|at| from + at);
    let query = |from: usize, rank: usize, semi: [usize; 3]| Query {
        positive: from + rank - 1,
        semi: semi.map(|at| from + at),
        found: found(from),
    };
    vec![
        query(0, 2, [0, 5, 6]),
        query(20, 1, [1, 2, 3]),
        query(40, 2, [5, 6, 7]),
        query(60, 3, [5, 6, 7]),
        query(80, 5, [8, 9, 10]),
        query(100, 8, [9, 10, 11]),
        query(120, 100, [9, 10, 11]),
    ]
}

fn vigor() -> Set {
    let set = Set::new();
    let folder = "splits__corrected/Chicago";
    let tiles: Vec<String> = (0..TILES).map(tile).collect();
    set.file(&format!("{folder}/satellite_list.txt"), tiles.join("\n"));
    let line = |(number, query): (usize, &Query)| {
        let of_tiles: Vec<String> =
            std::iter::once(query.positive).chain(query.semi).map(|at| format!("{} 0.0 0.0", tile(at))).collect();
        format!("{} {}\n", panorama(number, query.positive), of_tiles.join(" "))
    };
    let lines: Vec<String> = queries().iter().enumerate().map(line).collect();
    set.file(&format!("{folder}/same_area_balanced_test__corrected.txt"), lines.concat());
    let draw = |name: &str, seed: usize| {
        let path = set.root().join("Chicago").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let [red, green] = [seed as u8, (seed * 7) as u8];
        RgbImage::from_fn(32, 32, |x, y| Rgb([red ^ (x * 8) as u8, green ^ (y * 8) as u8, (x * y) as u8]))
            .save(path)
            .unwrap();
    };
    (0..TILES).for_each(|number| draw(&format!("satellite/{}", tile(number)), number));
    for (number, query) in queries().iter().enumerate() {
        draw(&format!("panorama/{}", panorama(number, query.positive)), 100 + number);
    }
    set
}

/// A row of the matrix for each row of the poses: a tile is one direction, a panorama its twelve tiles, weaker and weaker.
fn vectors(set: &Set, path: &Path) {
    let (queries, tiles): (Vec<Query>, Vec<String>) = (queries(), (0..TILES).map(tile).collect());
    let vector = |row: &std::collections::BTreeMap<String, String>| {
        let mut vector = vec![0.0_f32; TILES];
        let name = row["file"].rsplit('/').next().unwrap();
        match tiles.iter().position(|tile| tile == name) {
            Some(at) => vector[at] = 1.0,
            None => {
                let is_it = |(number, query): &(usize, &Query)| panorama(*number, query.positive) == name;
                let (_, query) = queries.iter().enumerate().find(is_it).unwrap();
                (1_u8..).zip(query.found.iter().rev()).for_each(|(weight, at)| vector[*at] = f32::from(weight));
            }
        }
        vector
    };
    npy(path, &set.rows().iter().map(vector).collect::<Vec<_>>());
}

fn sevenths(figures: &Value, name: &str) -> f64 {
    (figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {figures}")) * 7.0 * 1e6).round() / 1e6
}

#[test]
fn vigor_is_reranked_with_its_labels() {
    let set = vigor();
    let summary = set.import("vigor", &["--area", "same", "--part", "test"]).expect(0).json();
    assert_eq!(summary["written"], TILES + 7, "{summary}");
    let path = |name: &str| set.root().join(name);
    vectors(&set, &path("v.npy"));
    let build: [&dyn AsRef<OsStr>; 14] = [
        &"--vectors",
        &path("v.npy"),
        &"--poses",
        &set.out(),
        &"--role",
        &"reference",
        &"--space",
        &"tiles",
        &"--images",
        &set.root(),
        &"--pictures",
        &"thumbnails",
        &"--out",
        &path("a.shard"),
    ];
    run("build", &build).expect(0);
    let comparator = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../quantized-models/tests/fixtures/narrow-comparator/narrow-smolvlm-fp32-plain");
    let evaluate = |more: &[&str]| {
        let mut evaluate = command("evaluate");
        evaluate.env("XDG_CACHE_HOME", path("cache")).args(["--system", "rerank", "--role", "query", "--json", "-"]);
        evaluate.arg("--index").arg(path("a.shard")).arg("--query-vectors").arg(path("v.npy"));
        evaluate.arg("--poses").arg(set.out()).arg("--images").arg(set.root()).args(more);
        finish(&mut evaluate)
    };
    // Retrieval alone.
    let alone = evaluate(&[]).expect(0).json();
    let expected = [("top1", 1.0), ("top5", 5.0), ("top10", 6.0), ("top_1_percent", 4.0), ("hit_rate", 2.0)];
    for (name, count) in expected {
        assert_eq!(sevenths(&alone, name), count, "{name}");
    }
    assert_eq!((&alone["system"]["name"], &alone["queries"]), (&"rerank".into(), &7.into()));
    // A comparator of random weights changes the order of the first four, and of no others.
    let comparator = comparator.canonicalize().unwrap();
    let strategies = "round_robin,pointwise_yes_no,pointwise_score";
    let options = path("options.toml");
    std::fs::write(&options, "gate_nats = 1e9\nprobes = 0\ndoubt = 1e-9\ntop = 4\n").unwrap();
    let more = ["--comparator", comparator.to_str().unwrap(), "--rerank", strategies, "--rerank-options"];
    let more: Vec<&str> = more.into_iter().chain([options.to_str().unwrap()]).collect();
    let reranked = evaluate(&more).expect(0).json();
    for (name, count) in expected {
        assert_eq!(sevenths(&reranked["labels_by_retrieval"], name), count, "{name} by retrieval");
    }
    let by_strategy = reranked["strategies"].as_object().unwrap();
    assert_eq!(by_strategy.len(), 3, "{by_strategy:?}");
    let all = std::iter::once(&reranked).chain(by_strategy.values().map(|figures| &figures["labels"]));
    for figures in all {
        assert_eq!((sevenths(figures, "top5"), sevenths(figures, "top10")), (5.0, 6.0), "{figures}");
        let [top1, top_1_percent, hit_rate] = ["top1", "top_1_percent", "hit_rate"].map(|name| sevenths(figures, name));
        assert!(top1 <= top_1_percent && top1 <= hit_rate && top_1_percent <= 4.0 && hit_rate <= 4.0, "{figures}");
    }
    assert_eq!(by_strategy["round_robin"]["queries"], 7, "{by_strategy:?}");
    // Without labels there is nothing to hold the answers against.
    let text = std::fs::read_to_string(set.out()).unwrap();
    std::fs::write(set.out(), text.replace("positive,semi_positives", "other,others")).unwrap();
    assert!(evaluate(&[]).expect(1).stderr.contains("--system rerank: expected labelled poses (column positive)"));
}
