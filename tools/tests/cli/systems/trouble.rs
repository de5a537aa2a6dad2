//! Servers that time out, answer garbage, or refuse.

use std::time::Duration;

use super::{
    World, knows,
    server::{Reply, Server},
};

const GOOD: [&str; 3] = ["48.8584, 2.2945", "-33.8568, 151.2153", "-12.0464, -77.0428"];

#[test]
fn what_fails_in_passing_is_asked_again() {
    let world = World::new();
    let server = Server::start(|request| match request.number {
        0 => Reply::Status(503, "{\"error\": {\"message\": \"loading the model\"}}"),
        1 => Reply::Close,
        2 => Reply::Cut,
        3 => Reply::Status(429, "slow down"),
        _ => knows(request, GOOD),
    });
    let report = world.evaluate("rag", &server, &["--concurrency", "1", "--attempts", "5"]).expect(0).json();
    assert_eq!((&report["fixes"], &report["errors"]), (&3.into(), &0.into()));
    assert_eq!(server.requests().len(), 7);
}

#[test]
fn a_server_that_times_out_costs_its_query_alone() {
    let world = World::new();
    let server = Server::start(|request| match request.query {
        1 => Reply::Silence(Duration::from_secs(3)),
        _ => knows(request, GOOD),
    });
    let run = world.evaluate("rag", &server, &["--timeout-s", "1", "--attempts", "2"]).expect(0);
    let report = run.json();
    assert_eq!((&report["fixes"], &report["errors"], &report["queries"]), (&2.into(), &1.into(), &3.into()));
    assert_eq!(report["system"]["rag"]["no_answer"]["given_up"], 1);
    assert!(run.stderr.contains("no answer in time (given up after 2 attempts)"), "{}", run.stderr);
    // The answers that were written are kept; only the other one is asked again.
    let before = server.requests().len();
    world.evaluate("rag", &server, &["--timeout-s", "1", "--attempts", "1"]).expect(0);
    assert!(server.requests()[before..].iter().all(|request| request.query == 1));
}

#[test]
fn garbage_is_no_answer_and_is_shown() {
    let world = World::new();
    let server = Server::start(|request| match request.query {
        0 => Reply::Raw("<html>It works!</html>"),
        1 => Reply::Raw("{\"choices\": []}"),
        _ => Reply::Status(400, "{\"error\": {\"message\": \"the prompt is too long\"}}"),
    });
    let run = world.evaluate("rag", &server, &[]).expect(0);
    let report = run.json();
    assert_eq!(report["errors"], 3);
    let reasons = &report["system"]["rag"]["no_answer"];
    assert_eq!((&reasons["garbage"], &reasons["declined"]), (&2.into(), &1.into()));
    for part in ["<html>It works!", "expected at least one choice", "(400): the prompt is too long"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
}

#[test]
fn a_server_that_refuses_all_ends_the_run() {
    let world = World::new();
    let server = Server::start(|_| Reply::Status(401, "{\"error\": {\"message\": \"no key\"}}"));
    let error = world.evaluate("rag", &server, &["--concurrency", "1"]).expect(1).stderr;
    assert!(error.contains("the server answers 401: no key"), "{error}");
    assert!(server.requests().len() <= 8, "it is not asked for all queries");
}

#[test]
fn a_port_where_nobody_listens_is_an_error_of_each_query() {
    let world = World::new();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut evaluate = crate::common::command("evaluate");
    evaluate.args(["--system", "rag", "--generator-model", "m", "--attempts", "1", "--json", "-", "--generator"]);
    evaluate.arg(format!("http://127.0.0.1:{port}/v1"));
    for (flag, name) in [
        ("--index", "r.shard"),
        ("--query-vectors", "q.npy"),
        ("--poses", "q.csv"),
        ("--images", ""),
        ("--answers", "answers"),
    ] {
        evaluate.arg(flag).arg(world.folder.path().join(name));
    }
    assert_eq!(crate::common::finish(&mut evaluate).expect(0).json()["errors"], 3);
}

#[test]
fn what_is_needed_is_asked_for_before_anything_runs() {
    let world = World::new();
    let server = Server::start(|_| Reply::text("1.5, 2.5"));
    let path = |name: &str| world.folder.path().join(name);
    let mut without = crate::common::command("evaluate");
    without.args(["--system", "rag", "--index"]).arg(path("r.shard")).arg("--query-vectors").arg(path("q.npy"));
    assert!(crate::common::finish(without.arg("--poses").arg(path("q.csv"))).expect(2).stderr.contains("--generator"));
    for (more, part) in [
        (["--temperature", "3"], "0 to 2"),
        (["--thresholds-km", "0"], "above 0"),
        (["--prompt-form", "xml"], "json"),
        (["--generator", "ftp://127.0.0.1/"], "cannot be used multiple times"),
    ] {
        assert!(world.evaluate("rag", &server, &more).expect(2).stderr.contains(part), "{more:?}");
    }
    assert!(server.requests().is_empty());
}
