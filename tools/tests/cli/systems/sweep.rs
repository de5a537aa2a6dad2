//! Many settings from a file, and a sweep that was stopped.

use std::fs;

use serde_json::Value;

use super::{
    World,
    server::{Reply, Server},
};

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
