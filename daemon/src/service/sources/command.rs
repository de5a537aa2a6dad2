//! A command whose output is MJPEG: started, read, and started again when it ends or falls silent.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::watch::Receiver;
use tokio::time::sleep;
use tracing::info;

use super::super::backoff::Backoff;
use super::super::link::spread;
use super::super::settings::CommandSettings;
use super::Intake;
use super::intake::Taken;
use super::mjpeg::Splitter;

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a command may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_millis(800);
const READ_BYTES: usize = 64 << 10;

/// Runs the command again and again until the daemon stops.
pub(super) async fn run(settings: CommandSettings, intake: Intake, mut stopped: Receiver<bool>) {
    let intake = Arc::new(intake);
    let mut backoff = Backoff::new();
    loop {
        let ended = once(&settings, &intake, &mut backoff, &mut stopped).await;
        if *stopped.borrow() {
            return;
        }
        let delay = backoff.next(spread());
        let again_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        intake.fail(&format!("{}: {ended}; started again in {again_ms} ms", settings.program()));
        intake.counters.source_restarts.add_one();
        tokio::select! {
            () = sleep(delay) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// From a start of the command to its end, or the daemon's; how it ended, in words.
async fn once(
    settings: &CommandSettings,
    intake: &Arc<Intake>,
    backoff: &mut Backoff,
    stopped: &mut Receiver<bool>,
) -> String {
    let mut running = match Running::start(settings, intake) {
        Ok(running) => running,
        Err(problem) => return format!("cannot be started: {problem}"),
    };
    info!(source = intake.camera, program = settings.program(), "command started");
    let (mut frames, mut since) = (0, Instant::now());
    loop {
        let newest = running.frames.load(Ordering::Relaxed);
        if newest != frames {
            if frames == 0 {
                backoff.reset();
                intake.mend();
            }
            (frames, since) = (newest, Instant::now());
        }
        match running.child.try_wait() {
            Ok(Some(status)) => return format!("{} after {frames} pictures", ended(status)),
            Ok(None) => {}
            Err(problem) => return format!("cannot be watched: {problem}"),
        }
        if running.reader.is_finished() {
            // Whatever ends closes its output first.
            let how = running.status_within(GRACE).await.map_or("closed its output".to_owned(), ended);
            return format!("{how} after {} pictures", running.frames.load(Ordering::Relaxed));
        }
        if since.elapsed() > settings.silent {
            return format!("gave no picture for {} s", settings.silent.as_secs());
        }
        let stop = tokio::select! {
            () = sleep(LOOK) => false,
            stopped = stopped.wait_for(|stopped| *stopped) => stopped.is_ok(),
        };
        if stop {
            running.end().await;
            return "stopped".to_owned();
        }
    }
}

fn ended(status: ExitStatus) -> String {
    format!("ended ({status})")
}

/// A running command, and the thread that reads it. Dropped, the command and all that it started are killed.
struct Running {
    child: Child,
    reader: JoinHandle<()>,
    /// Pictures that came.
    frames: Arc<AtomicU64>,
}

impl Running {
    fn start(settings: &CommandSettings, intake: &Arc<Intake>) -> io::Result<Self> {
        let mut command = Command::new(settings.program());
        command.args(settings.arguments()).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let frames = Arc::new(AtomicU64::new(0));
        let started = child.stdout.take().ok_or_else(|| io::Error::other("it has no output")).and_then(|output| {
            let (intake, frames) = (Arc::clone(intake), Arc::clone(&frames));
            thread::Builder::new().name("source".to_owned()).spawn(move || read(output, &intake, &frames))
        });
        match started {
            Ok(reader) => Ok(Self { child, reader, frames }),
            Err(problem) => {
                child.kill().ok();
                child.wait().ok();
                Err(problem)
            }
        }
    }

    /// Asks the command to end, and gives it a moment.
    async fn end(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::TERM).ok();
        self.status_within(GRACE).await;
    }

    /// How it ended, if it does within `patience`.
    async fn status_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let asked = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(None) if asked.elapsed() < patience => sleep(Duration::from_millis(20)).await,
                status => return status.ok().flatten(),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Also after its end: what it started may still live, in its group.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// Hands over every picture of the output until its end.
fn read(mut output: ChildStdout, intake: &Intake, frames: &AtomicU64) {
    let mut splitter = Splitter::new(intake.max_bytes);
    let mut buffer = vec![0; READ_BYTES];
    let mut passed_over = 0;
    loop {
        let bytes = match output.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        splitter.push(bytes);
        while let Some(picture) = splitter.next() {
            intake.put(None, picture, Taken::Now);
            frames.fetch_add(1, Ordering::Relaxed);
        }
        intake.counters.source_garbage_bytes.add(splitter.passed_over.saturating_sub(passed_over));
        passed_over = splitter.passed_over;
    }
}

#[cfg(test)]
mod tests {
    use super::super::intake::tests::{intake, waiting};
    use super::*;
    use tokio::sync::watch;

    fn shell(script: &str, silent_s: f64) -> CommandSettings {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        CommandSettings { command, silent: Duration::from_secs_f64(silent_s) }
    }

    /// Two small pictures with garbage around them, as `printf` writes it.
    const PICTURES: &str = r"printf 'x\377\330\377\331yy\377\330\377\332\000\002a\377\331'";

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn pictures_come_from_the_output_and_an_end_is_said_in_words() {
        block_on(async {
            let (intake, inbox, counters) = intake(1000);
            let (_stop, mut stopped) = watch::channel(false);
            let script = format!("{PICTURES}; sleep 0.3; exit 3");
            let ended = once(&shell(&script, 9.0), &Arc::new(intake), &mut Backoff::new(), &mut stopped).await;
            assert_eq!(ended, "ended (exit status: 3) after 2 pictures");
            let (id, time) = waiting(&inbox).unwrap();
            assert!(id == "3-nadir-2" && time.is_some(), "{id}");
            assert_eq!((counters.frames_received.get(), counters.frames_replaced.get()), (2, 1));
            assert_eq!(counters.source_garbage_bytes.get(), 3);
        });
    }

    #[test]
    fn a_command_that_falls_silent_or_is_not_there_is_named() {
        block_on(async {
            let (intake, ..) = intake(1000);
            let intake = Arc::new(intake);
            let (_stop, mut stopped) = watch::channel(false);
            let began = Instant::now();
            let mut ended =
                async |settings: &CommandSettings| once(settings, &intake, &mut Backoff::new(), &mut stopped).await;
            assert_eq!(ended(&shell("sleep 60", 0.2)).await, "gave no picture for 0 s");
            let absent = CommandSettings { command: vec!["/absent/camera".to_owned()], silent: GRACE };
            assert!(ended(&absent).await.contains("cannot be started: No such file"));
            assert!(began.elapsed() < Duration::from_secs(20), "the sleeper was killed");
        });
    }

    #[test]
    fn stopping_ends_the_command_and_what_it_started() {
        block_on(async {
            let (intake, ..) = intake(1000);
            let folder = tempfile::tempdir().unwrap();
            let pid_file = folder.path().join("pid");
            let script = format!("sleep 61 & echo $! > {}; trap '' TERM; sleep 62", pid_file.display());
            let (stop, stopped) = watch::channel(false);
            let work = tokio::spawn(run(shell(&script, 60.0), intake, stopped));
            let pid = loop {
                match std::fs::read_to_string(&pid_file).unwrap_or_default().trim().parse::<u32>() {
                    Ok(pid) => break pid,
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            };
            stop.send_replace(true);
            work.await.unwrap();
            let gone = || {
                !std::path::Path::new(&format!("/proc/{pid}")).exists()
                    || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
            };
            for _ in 0..200 {
                if gone() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
            panic!("{pid} lives on");
        });
    }
}
