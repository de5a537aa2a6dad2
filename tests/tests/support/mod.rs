//! Real processes for the system tests: a broker, the daemon, the tool, and a client that watches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, dead_code, unreachable_pub)]
// Helpers of tests may fail loudly; each test binary uses some of them.

pub mod broker;
pub mod certificates;
pub mod client;
pub mod daemon;
pub mod fleet;
pub mod generation;
pub mod matrix;
pub mod schema;
pub mod shared;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; generous, because machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A binary of the workspace, beside the test binary's folder.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `make test`, which builds it", path.display());
    path
}

/// Runs `geolocate` to its end.
pub fn geolocate<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(binary("geolocate")).args(arguments).output().expect("geolocate runs")
}

/// The output of a command that must have succeeded.
pub fn succeeded(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A port of this machine that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a scraper of the daemon's figures gets.
pub fn scrape(port: u16) -> String {
    use std::io::{Read, Write};
    let mut stream = wait_for("metrics to be served", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Waits until `condition` gives something.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
