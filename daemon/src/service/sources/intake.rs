//! How a source hands over its pictures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quantized_models::ExifTags;
use tracing::warn;

use super::super::clock::now_ms;
use super::super::health::Health;
use super::super::link::Shared;
use super::super::{Counters, Inbox};
use crate::locate::{Frame, Hints};

/// Bytes of a frame's name.
const ID_BYTES: usize = 128;

/// The way of one source's pictures into the inbox.
#[derive(Debug)]
pub(in crate::service) struct Intake {
    pub(super) camera: String,
    /// A larger picture is not read; its beginning gets an answer that says so.
    pub(super) max_bytes: usize,
    pub(super) counters: Arc<Counters>,
    inbox: Arc<Inbox>,
    health: Arc<Health>,
    boot: u64,
    max_age_ms: i64,
    /// A clock below this is wrong for sure.
    clock_floor_ms: i64,
    frames: AtomicU64,
    /// What was wrong last, which need not be said again.
    said: Mutex<String>,
}

/// When a picture was taken, as far as its source knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Only the picture itself can tell.
    Unsaid,
    /// Just now.
    Now,
    /// At this time, Unix milliseconds; what is too old is dropped.
    At(i64),
}

impl Intake {
    pub(super) fn new(shared: &Shared, camera: &str) -> Self {
        Self {
            camera: camera.to_owned(),
            max_bytes: shared.settings.decode.max_bytes,
            counters: Arc::clone(&shared.counters),
            inbox: Arc::clone(&shared.inbox),
            health: Arc::clone(&shared.health),
            boot: shared.boot,
            max_age_ms: shared.settings.max_frame_age_ms,
            clock_floor_ms: shared.index_created_at_ms,
            frames: AtomicU64::new(0),
            said: Mutex::default(),
        }
    }

    /// Hands over a picture. `name` becomes its name if it can be one. EXIF tags say best when it was taken.
    pub(super) fn put(&self, name: Option<&str>, encoded: Vec<u8>, taken: Taken) {
        self.counters.frames_received.add_one();
        let number = self.frames.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let now = now_ms();
        let clock_is_right = now >= self.clock_floor_ms;
        let stale = matches!(taken, Taken::At(at) if clock_is_right && now.saturating_sub(at) > self.max_age_ms);
        if stale {
            return self.counters.frames_stale.add_one();
        }
        let by_clock = match taken {
            Taken::At(at) => Some(at),
            Taken::Now => Some(now),
            Taken::Unsaid => None,
        };
        let usable = name.filter(|name| (1..=ID_BYTES).contains(&name.len()) && !name.chars().any(char::is_control));
        let id = usable.map_or_else(|| format!("{}-{}-{number}", self.boot, self.camera), str::to_owned);
        let captured_at_ms = ExifTags::read(&encoded).captured_at_ms.or(by_clock.filter(|_| clock_is_right));
        let (camera, hints) = (self.camera.clone(), Hints::default());
        self.inbox.put(Frame { id, camera, captured_at_ms, hints, prior: None, encoded }, Instant::now());
    }

    /// Something is wrong with the source.
    pub(super) fn fail(&self, reason: &str) {
        let before =
            std::mem::replace(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner), reason.to_owned());
        if before != reason {
            warn!(source = self.camera, reason, "a source fails");
        }
        self.counters.source_failures.add_one();
        self.health.degrade(self.subject(), &format!("source {}: {reason}", self.camera));
    }

    /// The source works.
    pub(super) fn mend(&self) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.health.mend(&self.subject());
    }

    fn subject(&self) -> String {
        format!("source {}", self.camera)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::service::InboxLimits;
    use std::time::Duration;

    /// An intake with an inbox of its own.
    pub(in super::super) fn intake(max_bytes: usize) -> (Intake, Arc<Inbox>, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let inbox = Arc::new(Inbox::new(InboxLimits { cameras: 4, bytes: 1 << 20 }, Arc::clone(&counters)));
        let intake = Intake {
            camera: "nadir".to_owned(),
            max_bytes,
            counters: Arc::clone(&counters),
            inbox: Arc::clone(&inbox),
            health: Arc::new(Health::default()),
            boot: 3,
            max_age_ms: 1000,
            clock_floor_ms: 0,
            frames: AtomicU64::new(0),
            said: Mutex::default(),
        };
        (intake, inbox, counters)
    }

    /// The name and time of the frame that waits.
    pub(in super::super) fn waiting(inbox: &Inbox) -> Option<(String, Option<i64>)> {
        match inbox.take(Duration::ZERO) {
            crate::service::Taken::Frame(arrived) => Some((arrived.frame.id, arrived.frame.captured_at_ms)),
            _ => None,
        }
    }

    #[test]
    fn a_picture_keeps_a_usable_name_and_what_is_too_old_is_counted() {
        let (intake, inbox, counters) = intake(100);
        intake.put(Some("a.jpg"), vec![1], Taken::Unsaid);
        assert_eq!(waiting(&inbox), Some(("a.jpg".to_owned(), None)));
        intake.put(Some("a\nb"), vec![1], Taken::At(now_ms()));
        let (id, time) = waiting(&inbox).unwrap();
        assert!(id == "3-nadir-2" && time.is_some());
        intake.put(Some("old"), vec![1], Taken::At(now_ms() - 5000));
        assert_eq!(waiting(&inbox), None);
        assert_eq!((counters.frames_received.get(), counters.frames_stale.get()), (3, 1));
    }

    #[test]
    fn a_clock_of_1970_gives_no_times() {
        let (mut intake, inbox, counters) = intake(100);
        intake.clock_floor_ms = i64::MAX;
        intake.put(None, vec![1], Taken::At(5));
        assert_eq!(waiting(&inbox), Some(("3-nadir-1".to_owned(), None)));
        assert_eq!(counters.frames_stale.get(), 0);
    }
}
