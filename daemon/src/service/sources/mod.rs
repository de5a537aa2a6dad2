//! Where frames come from besides MQTT: watched folders and commands that write MJPEG.
//!
//! Each source has a camera's name of its own, reads one picture at a time of bounded size, and puts it into the
//! [`Inbox`](super::Inbox), where the newest wins. A source that fails says so in `status` and tries again, for ever.

mod command;
mod folder;
mod intake;
mod mjpeg;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub(super) use self::intake::Intake;
use super::link::Shared;
use super::settings::SourceInput;

/// How long sources may take to end when the daemon stops.
const STOP: Duration = Duration::from_millis(1500);

/// The running sources. Dropped, they are cut off.
pub(super) struct Sources {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Sources {
    /// Starts all sources of the settings. Needs the runtime.
    pub(super) fn start(shared: &Shared) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for source in &shared.settings.sources {
            let intake = Intake::new(shared, &source.camera);
            let stopped = stopped.clone();
            match source.input.clone() {
                SourceInput::Folder(settings) => {
                    let seen = shared.settings.state_dir.join("sources").join(format!("{}.seen", source.camera));
                    tasks.spawn(folder::run(settings, seen, intake, stopped));
                }
                SourceInput::Command(settings) => drop(tasks.spawn(command::run(settings, intake, stopped))),
            }
        }
        Self { stop, tasks }
    }

    /// No more frames; commands are ended.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        timeout(STOP, async { while self.tasks.join_next().await.is_some() {} }).await.ok();
    }
}
