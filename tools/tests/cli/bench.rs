//! `geolocate bench`.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{at_angle, npy, plane_shard, run};

const SMALL: [&str; 8] = ["--rows", "9000", "--dimensions", "64", "--queries", "5", "--rounds", "1"];

fn bench(what: &str, arguments: &[&str]) -> crate::common::Run {
    let all: Vec<&str> = [what].iter().chain(arguments).copied().collect();
    run("bench", &all.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>).collect::<Vec<_>>())
}

fn small(more: &[&str]) -> Value {
    bench("search", &[&SMALL[..], more].concat()).expect(0).json()
}

#[test]
fn vectors_that_are_made_are_measured_by_kind_of_query() {
    let report = small(&["--json", "-"]);
    assert_eq!((&report["rows"], &report["dimensions"], &report["k"]), (&9000.into(), &64.into(), &16.into()));
    let kinds: Vec<_> = report["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["revisit", "new_track", "shifted", "foreign"]);
    for end in ["near", "far"] {
        assert!(report["recall"][end].as_f64().unwrap() > 0.9, "{end}: {report}");
    }
    for time in ["p50", "p99", "mean"] {
        for ends in ["both", "near"] {
            assert!(report["ms"][ends][time].as_f64().unwrap() > 0.0);
            assert!(report["kinds"][0]["ms"][ends][time].as_f64().unwrap() > 0.0);
        }
    }
    for figure in ["open_ms", "build_seconds"] {
        assert!(report[figure].as_f64().unwrap() > 0.0, "{figure}");
    }
    assert!(report["cold"]["first_query"]["ms"].as_f64().unwrap() > 0.0);
    let sections = report["file"]["sections"].as_array().unwrap();
    let bytes: u64 = sections.iter().map(|section| section["bytes"].as_u64().unwrap()).sum();
    assert!(bytes <= report["file"]["bytes"].as_u64().unwrap() && bytes > 9000 * 64);
}

#[test]
fn kernels_find_the_same() {
    let found = |kernel: &str| {
        let report = small(&["--no-cold", "--json", "-", "--kernel", kernel]);
        assert!(kernel == "auto" || report["kernel"] == kernel);
        (report["recall"].clone(), report["work"].clone())
    };
    assert_eq!(found("auto"), found("portable"));
    assert!(bench("search", &[&SMALL[..], &["--kernel", "best"]].concat()).expect(2).stderr.contains("avx2"));
}

#[test]
fn a_folder_of_vectors_gives_the_same_figures_as_making_them() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("vectors");
    let at = |name: &str| dir.join(name).display().to_string();
    let made = ["--rows", "9000", "--dimensions", "64", "--queries", "5", "--out", &at("")];
    bench("vectors", &made).expect(0);
    let queries = format!("shifted={}", at("queries_shifted.npy"));
    let (base, shard) = (at("base.npy"), at("kept.shard"));
    let common = ["--query-vectors", &queries, "--rounds", "1", "--no-cold", "--json", "-"];
    let read = bench("search", &[&["--vectors", &base, "--keep", &shard], &common[..]].concat()).expect(0).json();
    let given = bench("search", &[&["--index", &shard, "--truth-dir", &at("")], &common[..]].concat()).expect(0).json();
    let whole = small(&["--json", "-"]);
    let of_whole = whole["kinds"].as_array().unwrap().iter().find(|kind| kind["kind"] == "shifted").unwrap();
    let told = ["--vectors", &base, "--truth-dir", &at("")];
    let told = bench("search", &[&told[..], &common[..]].concat()).expect(0).json();
    for report in [&read, &given, &told] {
        assert_eq!(report["truth"], "given_vectors");
        assert_eq!(report["recall"], of_whole["recall"]);
        assert_eq!(report["work"], of_whole["work"]);
    }
    assert!(fs::metadata(at("tuning/truth_far_foreign.npy")).unwrap().len() > 128);
}

#[test]
fn a_shard_is_measured_against_the_vectors_that_it_holds() {
    let folder = TempDir::new().unwrap();
    let shard = plane_shard(&folder, "a", &[170.0, 10.0, 90.0, 40.0]).display().to_string();
    let queries = folder.path().join("q.npy");
    npy(&queries, &[at_angle(12.0), at_angle(171.0)]);
    let queries = queries.display().to_string();
    let arguments = ["--index", &shard, "--query-vectors", &queries, "-k", "2", "--no-cold", "--json", "-"];
    let report = bench("search", &arguments).expect(0).json();
    assert_eq!((&report["truth"], &report["recall"]["near"]), (&"stored_vectors".into(), &1.0.into()));
    assert_eq!(report["recall"]["far"], 1.0);
    let missing = ["--index", &shard, "--query-vectors", &queries, "--truth-dir", "/no/such/folder"];
    assert!(bench("search", &missing).expect(1).stderr.contains("truth_near_queries.npy"));
}

#[test]
fn the_scaling_table_has_a_row_for_each_size() {
    let small = ["--dimensions", "32", "--queries", "2", "--rounds", "1", "--no-cold"];
    let run = bench("search", &[&["--scaling", "100,400"], &small[..]].concat()).expect(0);
    let rows: Vec<_> = run.stdout.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 3, "{}", run.stdout);
    assert!(rows[1].starts_with("| 100 |") && rows[2].starts_with("| 400 |"));
}

#[test]
fn queries_that_do_not_fit_are_refused_by_both_widths() {
    let folder = TempDir::new().unwrap();
    let (vectors, queries) = (folder.path().join("v.npy"), folder.path().join("q.npy"));
    npy(&vectors, &[vec![1.0, 0.0, 0.0]]);
    npy(&queries, &[at_angle(12.0)]);
    let (vectors, queries) = (vectors.display().to_string(), queries.display().to_string());
    let run = bench("search", &["--vectors", &vectors, "--query-vectors", &queries]).expect(1);
    assert!(run.stderr.contains("3 dimensions") && run.stderr.contains("found 2"), "{}", run.stderr);
    let shard = plane_shard(&folder, "a", &[170.0]).display().to_string();
    npy(&folder.path().join("w.npy"), &[vec![1.0, 0.0, 0.0]]);
    let wide = folder.path().join("w.npy").display().to_string();
    let run = bench("search", &["--index", &shard, "--query-vectors", &wide]).expect(1);
    assert!(run.stderr.contains("2 dimensions") && run.stderr.contains("found 3"), "{}", run.stderr);
}

#[test]
fn schedules_are_simulated_and_drawn() {
    let folder = TempDir::new().unwrap();
    let plots = folder.path().join("plots");
    let run = bench("rerank", &["--frames", "20", "--svg", plots.to_str().unwrap(), "--json", "-"]).expect(0);
    let report = run.json();
    let goals: Vec<f64> =
        report["target"].as_array().unwrap().iter().map(|row| row["share"].as_f64().unwrap()).collect();
    assert_eq!(goals, [0.25, 0.25, 0.25, 0.12, 0.12, 0.12]);
    for row in report["target"].as_array().unwrap() {
        let [full, adaptive] = ["round_robin", "adaptive"].map(|part| row[part]["ms"].as_f64().unwrap());
        assert!(adaptive > 0.0 && adaptive <= full * row["share"].as_f64().unwrap(), "{row}");
    }
    assert_eq!(report["curves"].as_array().unwrap().len(), 16, "eight strategies, two numbers of candidates");
    assert!(report["scheduling"]["p50_ms"].as_f64().unwrap() > 0.0);
    let drawn: Vec<_> = fs::read_dir(&plots).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(drawn.len(), 4);
    for path in drawn {
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains(">adaptive<") && svg.contains(">retrieval alone<"), "{svg}");
    }
    bench("rerank", &["--retrieval-skill", "2"]).expect(2);
}
