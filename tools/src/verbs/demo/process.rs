//! Other programs that the demo runs.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// How long the daemon may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Where programs lie that an ordinary user's PATH may leave out.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// A program by its name: beside this program, in PATH, or in a system folder.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&path)).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Runs a program and waits for its end. What it says goes to standard error.
///
/// # Errors
/// It cannot be run, or fails.
fn run_to_end(program: &Path, arguments: &[OsString]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    let status = command.args(arguments).stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("{} cannot be run", program.display()))?;
    ensure!(status.success(), "{} ended with {status}", program.display());
    Ok(())
}

/// Runs a verb of this program and waits for its end. What it says goes to standard error.
///
/// # Errors
/// It cannot be run, or fails.
pub(super) fn run_verb(arguments: &[OsString]) -> anyhow::Result<()> {
    run_to_end(&std::env::current_exe().context("the path of this program")?, arguments)
}

/// A running `geolocated`; killed when dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon; what it logs goes to `log`.
    ///
    /// # Errors
    /// It is not beside this program or in PATH, or cannot be run.
    pub(super) fn start(settings: &Path, log: &Path) -> anyhow::Result<Self> {
        let program = find("geolocated").context("geolocated: not beside geolocate and not in PATH")?;
        let file = File::create(log).with_context(|| format!("{}: cannot be written", log.display()))?;
        let mut command = Command::new(&program);
        command.args(["run", "--config"]).arg(settings).stdin(Stdio::null()).stderr(file);
        let process = command.spawn().with_context(|| format!("{} cannot be run", program.display()))?;
        Ok(Self { process, log: log.to_owned() })
    }

    /// Where it logs to, for messages about it.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    /// It fails, or does not stop in time.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("the daemon has no process")?;
        kill_process(pid, Signal::TERM).context("geolocated cannot be asked to stop")?;
        let end = Instant::now() + STOP_WITHIN;
        loop {
            match self.process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("geolocated ended with {status}; see {}", self.log.display()),
                None if Instant::now() > end => bail!("geolocated did not stop within {STOP_WITHIN:?}"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        kill(&mut self.process);
    }
}

/// Kills a process and waits for its end; one that has ended is left alone.
pub(super) fn kill(process: &mut Child) {
    if matches!(process.try_wait(), Ok(None)) {
        // Both fail only for a process that has just ended by itself.
        let _ = process.kill();
        let _ = process.wait();
    }
}
