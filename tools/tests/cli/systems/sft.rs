//! A fine-tuned model: several answers, one place.

use super::{
    World,
    server::{Reply, Server},
    within,
};

#[test]
fn the_table_has_base_tuned_oracle_and_each_way_to_one_place() {
    let world = World::new();
    let server = Server::start(|request| {
        if request.body["model"] == "base" {
            return Reply::text("52.5, 13.4");
        }
        // Two of three answers are right; the first is wrong for Lima.
        let number = request.body["seed"].as_u64().unwrap();
        Reply::text(match (request.query, number) {
            (0, 0 | 1) => "48.8584, 2.2945",
            (1, 0 | 1) => "-33.8568, 151.2153",
            (2, 1 | 2) => "-12.0464, -77.0428",
            _ => "60.5, 60.5",
        })
    });
    let report = world
        .evaluate(
            "sft",
            &server,
            &["--runs", "3", "--base-model", "base", "--temperature", "0.7", "--data-set", "im2gps3k"],
        )
        .expect(0)
        .json();
    let sft = &report["system"]["sft"];
    let row = |name: &str| sft["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone();
    assert_eq!(within(&row("base"), "1000"), 0.0);
    assert!((within(&row("sft"), "1000") - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(within(&row("best_of_answers"), "1000"), 1.0);
    assert_eq!((within(&row("geometric_median"), "25000"), within(&row("cluster_vote"), "1000")), (1.0, 1.0), "{sft}");
    // Retrieval has references in Paris and Sydney, and none near Lima.
    assert!(within(&row("rescored_by_retrieval"), "1000") >= 2.0 / 3.0 - 1e-12);
    assert_eq!(report["fixes"], 3);
    assert!(
        server.requests().iter().all(|request| !request.prompt().contains("similar")),
        "nothing is retrieved for it"
    );
    assert_eq!(report["system"]["published"].as_array().unwrap().len(), 5);
}
