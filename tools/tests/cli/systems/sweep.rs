//! Many settings from a file, and a sweep that was stopped.

use std::fs;

use serde_json::Value;

use super::{
    World,
    server::{Reply, Server},
};
use crate::common::{at_angle, npy};

#[test]
fn a_sweep_runs_every_setting_once_and_goes_on_where_it_was_stopped() {
    let world = World::new();
    let file = world.folder.path().join("sweep.toml");
    fs::write(&file, "[sweep]\nsimilar = [0, 1, 4]\ndissimilar = [0, 4]\n").unwrap();
    let server = Server::start(|_| Reply::text("48.8584, 2.2945"));
    let sweep = file.to_str().unwrap();
    world.evaluate("rag", &server, &["--sweep", sweep]).expect(0);
    let done = world.folder.path().join("sweep.toml.done");
    let lines =
        |text: String| -> Vec<Value> { text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() };
    let first = lines(fs::read_to_string(&done).unwrap());
    assert_eq!(first.len(), 6);
    assert_eq!(
        (&first[1]["figures"]["prompt"]["similar"], &first[1]["figures"]["prompt"]["dissimilar"]),
        (&0.into(), &4.into())
    );
    assert!(first.iter().all(|line| line["figures"]["intervals"]["1000"].is_array()));
    let asked = server.requests().len();
    // Killed while the third line was written.
    let text = fs::read_to_string(&done).unwrap();
    let third = text.lines().take(2).map(|line| line.len() + 1).sum::<usize>();
    fs::write(&done, &text[..third + 40]).unwrap();
    let run = world.evaluate("rag", &server, &["--sweep", sweep]).expect(0);
    assert!(
        run.stderr.contains("setting 2 of 6 was done before") && !run.stderr.contains("setting 3 of 6 was done"),
        "{}",
        run.stderr
    );
    let again = lines(fs::read_to_string(&done).unwrap());
    let keys: std::collections::BTreeSet<&str> = again.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!((again.len(), keys.len()), (6, 6), "the torn line is done again");
    assert_eq!(server.requests().len(), asked, "kept answers serve the rest");
    // Another model is another sweep.
    fs::write(&file, "[sweep]\nsimilar = [1]\ncolour = [2]\n").unwrap();
    let error = world.evaluate("rag", &server, &["--sweep", sweep]).expect(1).stderr;
    assert!(error.contains("sweep.toml") && error.contains("colour"), "{error}");
    fs::write(&file, "[sweep]\nsimilar = [33]\n").unwrap();
    assert!(world.evaluate("rag", &server, &["--sweep", sweep]).expect(1).stderr.contains("at most 32"));
}

#[test]
fn retrieval_is_varied_as_the_prompt_is() {
    let world = World::new();
    let path = |name: &str| world.folder.path().join(name);
    // An encoder that takes every query for its mirror image: the first is in New York, not in Paris.
    npy(&path("mirrored.npy"), &[178.0, 122.0, 80.0].map(at_angle));
    let sweep = "vary = \"one\"\n[sweep]\nsimilar = [0, 2]\nsource = [[\"emp16\"], []]\n\
        dissimilar_by = [\"farthest\", \"random\", \"centroid\", \"far_in_window\"]\n\
        [[sweep.encoder]]\nname = \"mirrored\"\nquery_vectors = \"mirrored.npy\"\nindex = [\"r.shard\"]\n";
    let file = path("sweep.toml");
    fs::write(&file, sweep).unwrap();
    let server = Server::start(|_| Reply::text("48.8584, 2.2945"));
    let pages = path("pages");
    let more = ["--sweep", file.to_str().unwrap(), "--html", pages.to_str().unwrap()];
    let report = world.evaluate("rag", &server, &more).expect(0).json();
    let rows = report["system"]["sweep"].as_array().unwrap();
    let named: Vec<&str> = rows.iter().map(|row| row["retrieval"].as_str().unwrap()).collect();
    let usual = "as on the command line";
    let ways = ["farthest", "random", "centroid", "far_in_window"].map(|way| format!("dissimilar by {way}"));
    let mut expected = vec![usual, usual, usual, "mirrored", "source emp16", "all sources"];
    expected.extend(ways.iter().map(String::as_str));
    assert_eq!(named, expected);
    assert!(rows.iter().all(|row| row["answered"] == 3 && row["within_m"]["1000"] == 1.0 / 3.0), "{rows:?}");
    let prompts: Vec<String> = server.requests().iter().map(|request| request.prompt().to_owned()).collect();
    let begins = |place: &str| prompts.iter().filter(|prompt| prompt.contains(&format!("[[{place}"))).count();
    assert!(begins("40.70000, -74.00000") > 0, "the mirrored query's neighbours reach the prompt");
    let only_emp16 = |prompt: &&String| !prompt.contains("-33.86000") && prompt.contains("48.85900");
    assert!(prompts.iter().filter(only_emp16).count() >= 3, "{prompts:?}");
    let page = fs::read_to_string(pages.join("report.html")).unwrap();
    assert!(page.contains("<td>mirrored</td>") && page.contains("similar coordinates in the prompt"), "{page}");
    // What is done is not done again, and stands in the table all the same.
    let asked = server.requests().len();
    let run = world.evaluate("rag", &server, &more).expect(0);
    assert!(run.stderr.contains("setting 10 of 10 was done before"), "{}", run.stderr);
    assert_eq!(run.json()["system"]["sweep"], report["system"]["sweep"]);
    assert_eq!(server.requests().len(), asked);
    for (old, new, said) in [
        ("index = [\"r.shard\"]", "index = [\"none.shard\"]", "none.shard"),
        ("index = [\"r.shard\"]", "index = []", "sweep.encoder[0]: index: expected at least one shard"),
        ("query_vectors = \"mirrored.npy\"\n", "", "sweep.encoder[0]: expected one of model and query_vectors"),
        ("mirrored.npy", "r.shard", "r.shard"),
        ("\"random\"", "\"anyhow\"", "anyhow"),
    ] {
        fs::write(&file, sweep.replace(old, new)).unwrap();
        let error = world.evaluate("rag", &server, &more[..2]).expect(1).stderr;
        assert!(error.contains("sweep.toml") && error.contains(said), "{new}: {error}");
    }
    assert_eq!(server.requests().len(), asked, "nothing is asked before the file is seen to be right");
}
