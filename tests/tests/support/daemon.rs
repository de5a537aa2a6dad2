//! A running `geolocated`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use super::{binary, wait_for};

/// The least settings, and `more` after them.
pub fn settings(folder: &Path, broker: &str, shard: &Path, model: &Path, more: &str) -> PathBuf {
    let state = folder.join("state");
    let path = folder.join("geolocated.toml");
    let text = format!(
        "[device]\nsite = \"field\"\nname = \"drone-7\"\nstate_dir = {state:?}\n[mqtt]\nurl = {broker:?}\n\
         [index]\nshards = [{shard:?}]\n[models]\nencoder = {model:?}\n{more}"
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    process: Child,
    log: PathBuf,
}

impl Daemon {
    pub fn start(config: &Path) -> Self {
        Self::start_with(&[], config)
    }

    /// The same with more variables in its environment.
    pub fn start_with(variables: &[(&str, &str)], config: &Path) -> Self {
        let mut command = Command::new(binary("geolocated"));
        command.envs(variables.iter().copied());
        Self::start_by(command, config)
    }

    /// Starts it by a command that ends with the program's name, or runs it otherwise under its own process id.
    pub fn start_by(mut command: Command, config: &Path) -> Self {
        let log = config.with_extension("log");
        let process = command
            .args(["run", "--config"])
            .arg(config)
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .expect("geolocated starts");
        Self { process, log }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory that belongs to no file, in bytes.
    pub fn anonymous_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("the kernel tells RssAnon");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap() * 1024
    }

    /// Bytes that it has read by system calls since it began.
    pub fn read_bytes(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.process.id())).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("the kernel tells rchar");
        line.trim().parse().unwrap()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("geolocated to end", || self.process.try_wait().unwrap())
    }

    /// SIGTERM, and its end; with the seconds that it took.
    pub fn stop(&mut self) -> (ExitStatus, f64) {
        let start = Instant::now();
        self.signal("TERM");
        (self.wait(), start.elapsed().as_secs_f64())
    }

    /// Panics with the log when the daemon ended by itself.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("geolocated ended: {status}\n{}", self.log());
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
