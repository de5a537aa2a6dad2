//! One round of the outbox's thread: write and sync what is new, read what is wanted, see to the bounds.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tracing::{info, warn};

use super::folder::{LogFolder, RealFolder};
use super::log::{Log, LogLimits};
use super::queue::Disk;
use super::survey::{Depth, Place, Survey};
use super::{Done, Outbox, RecordId, Task};

/// How often the age of what waits is looked at.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// How long after a failure the disk is tried again: this, twice this, and so on.
const FIRST_RETRY_MS: u64 = 500;
const MOST_RETRY_MS: u64 = 10_000;
/// What `status` says is about this.
const SUBJECT: &str = "outbox";

/// Where the log of an outbox lies.
#[derive(Debug)]
pub(in crate::service) struct OutboxFolder(Source);

#[derive(Debug)]
enum Source {
    Path(PathBuf),
    #[cfg(test)]
    Folder(std::sync::Arc<dyn OpenFolder>),
}

/// A folder that can be claimed again and again.
#[cfg(test)]
pub(super) trait OpenFolder: std::fmt::Debug + Send + Sync {
    fn claim(&self) -> io::Result<Option<Box<dyn LogFolder>>>;
}

impl OutboxFolder {
    /// The folder `outbox` in `state_dir`, which is made when it is not there.
    pub(in crate::service) fn below(state_dir: &std::path::Path) -> Self {
        Self(Source::Path(state_dir.join("outbox")))
    }

    #[cfg(test)]
    pub(super) fn stand_in(folder: std::sync::Arc<dyn OpenFolder>) -> Self {
        Self(Source::Folder(folder))
    }

    fn name(&self) -> String {
        match &self.0 {
            Source::Path(path) => path.display().to_string(),
            #[cfg(test)]
            Source::Folder(_) => "outbox".to_owned(),
        }
    }

    fn claim(&self) -> io::Result<Box<dyn LogFolder>> {
        let claimed = match &self.0 {
            Source::Path(path) => RealFolder::claim(path)?.map(|folder| Box::new(folder) as Box<dyn LogFolder>),
            #[cfg(test)]
            Source::Folder(folder) => folder.claim()?,
        };
        claimed.ok_or_else(|| io::Error::other("another process writes to it"))
    }
}

/// What the thread knows of the disk.
#[derive(Debug)]
pub(super) struct Worker {
    folder: OutboxFolder,
    log: Option<Log>,
    /// Failures since the last success.
    failures: u32,
    retry_at_ms: u64,
}

impl Worker {
    pub(super) fn new(folder: OutboxFolder) -> Self {
        Self { folder, log: None, failures: 0, retry_at_ms: 0 }
    }

    #[cfg(test)]
    pub(super) fn is_closed(&self) -> bool {
        self.log.is_none()
    }

    /// After a failure, how long to leave the disk alone.
    pub(super) fn retry_in(&self, uptime_ms: u64) -> Option<Duration> {
        (self.failures > 0).then(|| Duration::from_millis(self.retry_at_ms.saturating_sub(uptime_ms)))
    }

    /// Opens the log and takes over what is in it.
    pub(super) fn open(&mut self, outbox: &Outbox, uptime_ms: u64, unix_ms: i64) {
        let opened = self.folder.claim().and_then(|folder| {
            let survey = Survey::of(&*folder, Depth::Waiting)?;
            Ok((folder, survey))
        });
        let (folder, survey) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                outbox.lock().queue.disk = Disk::Failing;
                return self.failed(outbox, uptime_ms, &error);
            }
        };
        for damage in &survey.damage {
            warn!(damage, "outbox damaged");
        }
        if !survey.messages.is_empty() {
            info!(waiting = survey.messages.len(), "outbox opened");
        }
        let limits = LogLimits { segment_bytes: outbox.limits.segment_bytes, max_bytes: outbox.limits.max_bytes };
        let log = Log::resume(folder, &survey, limits);
        let trusted = unix_ms >= outbox.clock_floor_ms;
        let now = u64::try_from(unix_ms).unwrap_or(0);
        let mut state = outbox.lock();
        let before = state.queue.tally.dropped.iter().sum::<u64>();
        state.queue.recover(&survey, uptime_ms, |stamped_ms| match stamped_ms {
            0 => 0,
            _ if !trusted => 0,
            stamped_ms => now.saturating_sub(stamped_ms),
        });
        outbox.count_drops(&state, before);
        state.newest = survey.newest;
        state.last_boot = survey.last_boot;
        state.log_bytes = log.bytes();
        state.dropped_ever = log.dropped();
        drop(state);
        self.log = Some(log);
        self.worked(outbox);
    }

    /// One round; whether the disk failed.
    pub(super) fn step(&mut self, outbox: &Outbox, uptime_ms: u64, unix_ms: i64) -> bool {
        if self.log.is_none() {
            self.open(outbox, uptime_ms, unix_ms);
        }
        let mut failed = self.commit(outbox, uptime_ms);
        failed |= self.load(outbox, uptime_ms);
        self.serve(outbox, failed);
        outbox.appended.notify_one();
        failed
    }

    /// Writes what is new until nothing is.
    fn commit(&mut self, outbox: &Outbox, uptime_ms: u64) -> bool {
        let Some(log) = &mut self.log else { return true };
        let outcome = loop {
            let mut state = outbox.lock();
            let before = state.queue.tally.dropped.iter().sum::<u64>();
            state.queue.bound_age(uptime_ms);
            let condemned = log.condemn(state.queue.batch_bytes());
            let batch = if state.queue.dirty() { state.queue.take_batch(condemned) } else { None };
            outbox.count_drops(&state, before);
            drop(state);
            let Some(batch) = batch else { break Ok(()) };
            let written = log.write(&batch);
            let mut state = outbox.lock();
            state.log_bytes = log.bytes();
            state.written_bytes = log.written_bytes();
            state.dropped_ever = log.dropped();
            match written {
                Ok(written) => state.queue.committed(&batch, &written),
                Err(error) => {
                    let before = state.queue.tally.dropped.iter().sum::<u64>();
                    state.queue.not_committed(batch);
                    outbox.count_drops(&state, before);
                    break Err(error);
                }
            }
        };
        match outcome {
            Ok(()) => self.worked(outbox),
            Err(error) => {
                self.failed(outbox, uptime_ms, &error);
                return true;
            }
        }
        false
    }

    /// Brings into memory what is to be sent next.
    fn load(&mut self, outbox: &Outbox, uptime_ms: u64) -> bool {
        let Some(log) = &self.log else { return true };
        let wanted: Vec<(RecordId, Place)> = outbox.lock().queue.wanted();
        for (id, place) in wanted {
            let content = match log.read(place) {
                Ok(content) => content,
                Err(error) if super::survey::is_damage(&error) || error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    self.failed(outbox, uptime_ms, &error);
                    return true;
                }
            };
            if content.is_none() {
                warn!(?place, "outbox damaged: a message cannot be read back");
            }
            let mut state = outbox.lock();
            let before = state.queue.tally.dropped.iter().sum::<u64>();
            state.queue.loaded(id, content);
            outbox.count_drops(&state, before);
        }
        false
    }

    /// Does what somebody asked for.
    fn serve(&mut self, outbox: &Outbox, failed: bool) {
        let tasks = std::mem::take(&mut outbox.lock().tasks);
        for (ticket, task) in tasks {
            let done = match (task, &mut self.log) {
                (Task::Flush, Some(_)) if !failed => Done::Flushed,
                (Task::Resend(range), Some(log)) => resend(outbox, log, range),
                _ => Done::Failed(format!("{}: the disk takes nothing", self.folder.name())),
            };
            outbox.lock().done.push((ticket, done));
        }
    }

    fn worked(&mut self, outbox: &Outbox) {
        if self.failures > 0 {
            info!("the outbox is on disk again");
        }
        self.failures = 0;
        outbox.health.mend(SUBJECT);
    }

    fn failed(&mut self, outbox: &Outbox, uptime_ms: u64, error: &io::Error) {
        let delay = FIRST_RETRY_MS.saturating_mul(1 << self.failures.min(16)).min(MOST_RETRY_MS);
        self.failures = self.failures.saturating_add(1);
        self.retry_at_ms = uptime_ms.saturating_add(delay);
        let reason = format!("{}: fixes wait in memory: {error}", self.folder.name());
        if self.failures == 1 {
            warn!(reason, "degraded");
        }
        outbox.health.degrade(SUBJECT, &reason);
    }
}

/// Looks for messages in the log and queues them to be sent again.
fn resend(outbox: &Outbox, log: &mut Log, range: super::SeqRange) -> Done {
    let super::SeqRange { boot, from_seq, to_seq } = range;
    let mut waiting = outbox.lock().queue.waiting_seqs(boot);
    waiting.retain(|seq| (from_seq..=to_seq).contains(seq));
    let mut found = std::collections::BTreeMap::new();
    let mut after = None;
    while let Some(number) = log.next_segment(after, boot, from_seq, to_seq) {
        match log.find(number, boot, from_seq, to_seq) {
            Ok(messages) => found.extend(messages),
            Err(error) => return Done::Failed(error.to_string()),
        }
        after = Some(number);
    }
    found.retain(|seq, _| !waiting.contains(seq));
    let mut state = outbox.lock();
    if found.len() > super::queue::MOST_RESENDS.saturating_sub(state.queue.resends()) {
        return Done::TooMany;
    }
    let resending = found.into_iter().filter(|(seq, place)| state.queue.resend(boot, *seq, *place)).count();
    Done::Resent { resending: resending as u64, waiting: waiting.len() as u64 }
}
