//! What a generator answers, and what the figures make of it.

use serde_json::json;

use super::{
    World, knows,
    server::{Reply, Server},
    within,
};

#[test]
fn the_figures_are_those_computed_by_hand() {
    let world = World::new();
    // Within 200 m; a copy of the coordinate in the prompt; far off.
    let server = Server::start(|request| {
        knows(
            request,
            ["{\"latitude\": 48.8575, \"longitude\": 2.2945}", "-33.86, 151.21", "Latitude: 52.5, Longitude: 13.4"],
        )
    });
    let run = world.evaluate("rag", &server, &["--data-set", "im2gps3k", "--by", "country", "--by", "cell"]).expect(0);
    let report = run.json();
    assert_eq!(report["distance"], "WGS 84 geodesic");
    assert_eq!((&report["queries"], &report["fixes"], &report["errors"]), (&3.into(), &3.into(), &0.into()));
    assert!((report["within_m"]["1000"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-12);
    let rag = &report["system"]["rag"];
    assert!((within(rag, "1000") - 2.0 / 3.0).abs() < 1e-12 && (within(rag, "2500000") - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!((&rag["answered"], &rag["no_answer"]), (&3.into(), &json!({})));
    assert!((rag["copied_similar"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12, "{rag}");
    assert!((within(&rag["most_similar"], "1000") - 2.0 / 3.0).abs() < 1e-12);
    assert!((within(&rag["best_of_prompt"], "1000") - 2.0 / 3.0).abs() < 1e-12, "no reference is near Lima");
    let [low, high] = [0, 1].map(|side| rag["intervals"]["1000"][side].as_f64().unwrap());
    assert!(low <= 2.0 / 3.0 && 2.0 / 3.0 <= high && low < high);
    assert_eq!(rag["tokens"], json!({"question": 300, "answer": 21, "written": 3, "cached": 0}));
    assert_eq!(
        (&report["by"]["country"]["FR"]["within_m"]["1000"], &report["by"]["country"]["PE"]["within_m"]["1000"]),
        (&1.0.into(), &0.0.into())
    );
    assert_eq!(report["by"]["cell"].as_object().unwrap().len(), 3);
    let published = &report["system"]["published"][0];
    assert_eq!((&published["share"], &published["source"]), (&0.171.into(), &"arXiv 2509.01341".into()));
    assert_eq!(report["system"]["gallery"]["parts"][0]["references"], 4);
    assert!(run.stderr.contains("published for im2gps3k within 1 km: 0.171"), "{}", run.stderr);
    // Each prompt holds both ends.
    for request in server.requests() {
        assert!(request.prompt().contains("look similar") && request.prompt().contains("look dissimilar"));
        assert_eq!((&request.body["temperature"], &request.body["model"]), (&0.1.into(), &"test-model".into()));
        assert_eq!((request.path.as_str(), request.authorization), ("/v1/chat/completions", None));
    }
    // Kept answers serve the next run.
    let again = world.evaluate("rag", &server, &[]).expect(0).json();
    assert_eq!(again["system"]["rag"]["tokens"]["cached"], 3);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn an_answer_that_names_no_place_is_none_and_never_zero_zero() {
    let world = World::new();
    let server = Server::start(|request| knows(request, ["I don't know.", "0.0, 0.0", "95.0, 10.5"]));
    let report = world.evaluate("rag", &server, &[]).expect(0).json();
    let reasons = json!({"unparsable": 1, "zero": 1, "impossible": 1});
    assert_eq!((&report["system"]["rag"]["no_answer"], &report["no_fix"]), (&reasons, &reasons));
    assert_eq!((&report["fixes"], &report["system"]["rag"]["answered"]), (&0.into(), &0.into()));
    assert_eq!(within(&report["system"]["rag"], "2500000"), 0.0);
}

#[test]
fn k_form_notation_and_order_reach_the_prompt_and_sources_the_search() {
    let world = World::new();
    let server = Server::start(|_| Reply::text("1.5, 2.5"));
    let prompts = |more: &[&str]| {
        let before = server.requests().len();
        world.evaluate("rag", &server, more).expect(0);
        server.requests()[before..]
            .iter()
            .map(|request| (request.query, request.prompt().to_owned()))
            .collect::<Vec<_>>()
    };
    let none = prompts(&["--prompt-similar", "0", "--prompt-dissimilar", "0"]);
    assert!(none.iter().all(|(_, prompt)| !prompt.contains("similar")), "{none:?}");
    let one = prompts(&[
        "--prompt-similar",
        "1",
        "--prompt-dissimilar",
        "0",
        "--prompt-form",
        "text",
        "--prompt-notation",
        "dms",
    ]);
    let paris = &one.iter().find(|(query, _)| *query == 0).unwrap().1;
    assert!(paris.contains("48°51'32.4\"N 2°17'42.0\"E") && !paris.contains("dissimilar"), "{paris}");
    let sourced = prompts(&["--source", "osv5m", "--prompt-order", "dissimilar_first"]);
    let paris = &sourced.iter().find(|(query, _)| *query == 0).unwrap().1;
    assert!(!paris.contains("48.85900") && paris.contains("-33.86000"), "{paris}");
    assert!(paris.find("dissimilar").unwrap() < paris.find("look similar").unwrap());
}

#[test]
fn the_querys_own_photo_is_no_neighbour() {
    let world = World::new();
    let path = world.folder.path().join("q.csv");
    let text = std::fs::read_to_string(&path).unwrap().replace("7654321", "1234567");
    std::fs::write(&path, text).unwrap();
    let server = Server::start(|_| Reply::text("1.5, 2.5"));
    let report = world.evaluate("rag", &server, &[]).expect(0).json();
    assert_eq!(report["system"]["rag"]["own_photos_left_out"], 1);
    let requests = server.requests();
    let similar = |query: usize| {
        let request = requests.iter().find(|request| request.query == query).unwrap();
        request.prompt().lines().nth(2).unwrap().to_owned()
    };
    assert!(!similar(0).contains("48.85900") && similar(1).contains("48.85900"));
}

#[test]
fn several_answers_have_a_spread_and_an_oracle_and_a_control_has_other_neighbours() {
    let world = World::new();
    let server = Server::start(|request| {
        // The second answer to Lima is right; in the control, with another's neighbours, nothing is known.
        let own = request.prompt().lines().nth(2).unwrap().starts_with(["[[48.8", "[[-33.8", "[[35.6"][request.query]);
        match (own, request.query, request.body["seed"].as_u64().unwrap()) {
            (false, ..) => Reply::text("no idea"),
            (_, 0, _) => Reply::text("48.8584, 2.2945"),
            (_, 1, _) => Reply::text("-33.8568, 151.2153"),
            (_, _, 1) => Reply::text("-12.0464, -77.0428"),
            _ => Reply::text("-13.0464, -77.0428"),
        }
    });
    let report = world.evaluate("rag", &server, &["--runs", "2", "--control-shuffled"]).expect(0).json();
    let rag = &report["system"]["rag"];
    assert!((within(rag, "1000") - 2.0 / 3.0).abs() < 1e-12 && within(&rag["best_of_answers"], "1000") == 1.0, "{rag}");
    assert_eq!(within(&rag["shuffled"], "2500000"), 0.0, "{rag}");
    assert_eq!(rag["range_of_runs"]["1000"], json!([2.0 / 3.0, 1.0]));
    assert!((rag["spread_km"]["p90"].as_f64().unwrap() - 0.8 * 111.195).abs() < 0.1, "{rag}");
    assert_eq!(server.requests().len(), 12);
}

#[test]
fn the_report_is_a_page_too() {
    let world = World::new();
    let server = Server::start(|request| knows(request, ["48.8575, 2.2945", "-33.86, 151.21", "52.5, 13.4"]));
    let pages = world.folder.path().join("pages");
    world.evaluate("rag", &server, &["--html", pages.to_str().unwrap()]).expect(0);
    let page = std::fs::read_to_string(pages.join("report.html")).unwrap();
    assert!(page.contains("rag (arXiv 2509.01341)") && page.contains("right, within 25000 m"), "{page}");
}
