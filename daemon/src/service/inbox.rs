//! Frames that wait for the pipeline: the newest of each camera.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Counters;
use crate::locate::Frame;

/// Bounds of the [`Inbox`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// Cameras that may be known at a time, at least 1.
    pub cameras: usize,
    /// Bytes that all waiting frames may take together.
    pub bytes: usize,
}

/// A camera that has not been heard of for this long makes room for another one.
const CAMERA_FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// A frame and when it arrived.
#[derive(Debug)]
pub struct Arrived {
    /// The frame.
    pub frame: Frame,
    /// When it arrived, on the monotonic clock.
    pub at: Instant,
}

/// At most one waiting frame per camera; a newer one replaces the older. Frames are taken in the order in which their
/// cameras began to wait. When the bytes are used up the frame that has waited longest is dropped; frames of a camera
/// beyond the bound are dropped. Every drop is counted.
#[derive(Debug)]
pub struct Inbox {
    limits: InboxLimits,
    counters: Arc<Counters>,
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Arrived>,
    cameras: HashMap<String, Instant>,
    bytes: usize,
    closed: bool,
}

/// What [`Inbox::take`] found.
#[derive(Debug)]
pub enum Taken {
    /// The frame whose camera has waited longest.
    Frame(Box<Arrived>),
    /// Nothing came within the time.
    Nothing,
    /// The inbox is closed.
    Closed,
}

impl Inbox {
    /// An empty inbox.
    pub fn new(limits: InboxLimits, counters: Arc<Counters>) -> Self {
        Self { limits, counters, waiting: Mutex::default(), ready: Condvar::new() }
    }

    /// Puts a frame that arrived at `now` to its camera's place.
    pub fn put(&self, frame: Frame, now: Instant) {
        let mut waiting = self.lock();
        if waiting.closed {
            self.counters.frames_at_stop.add_one();
            return;
        }
        if !waiting.admit(&frame.camera, now, self.limits.cameras) {
            self.counters.frames_over_cameras.add_one();
            return;
        }
        waiting.bytes = waiting.bytes.saturating_add(frame.encoded.len());
        let same = waiting.frames.iter_mut().find(|waiting| waiting.frame.camera == frame.camera);
        let arrived = Arrived { frame, at: now };
        match same {
            Some(place) => {
                let older = std::mem::replace(place, arrived);
                waiting.bytes = waiting.bytes.saturating_sub(older.frame.encoded.len());
                self.counters.frames_replaced.add_one();
            }
            None => waiting.frames.push_back(arrived),
        }
        while waiting.bytes > self.limits.bytes && waiting.drop_oldest() {
            self.counters.frames_over_memory.add_one();
        }
        self.ready.notify_one();
    }

    /// Takes the frame whose camera has waited longest; waits up to `patience` for one.
    pub fn take(&self, patience: Duration) -> Taken {
        let waiting = self.lock();
        let idle = |waiting: &mut Waiting| waiting.frames.is_empty() && !waiting.closed;
        let (mut waiting, _) =
            self.ready.wait_timeout_while(waiting, patience, idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return Taken::Closed;
        }
        match waiting.frames.pop_front() {
            Some(arrived) => {
                waiting.bytes = waiting.bytes.saturating_sub(arrived.frame.encoded.len());
                Taken::Frame(Box::new(arrived))
            }
            None => Taken::Nothing,
        }
    }

    /// Whether it gives no more frames away.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes no more frames and gives none away; those that waited are counted as dropped.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.counters.frames_at_stop.add(waiting.frames.len() as u64);
        waiting.frames.clear();
        waiting.bytes = 0;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether frames of `camera` are taken: it is known, or there is room, or another has been silent for long.
    fn admit(&mut self, camera: &str, now: Instant, most: usize) -> bool {
        if let Some(seen) = self.cameras.get_mut(camera) {
            *seen = now;
            return true;
        }
        if self.cameras.len() >= most {
            self.cameras.retain(|_, seen| now.saturating_duration_since(*seen) < CAMERA_FORGOTTEN_AFTER);
        }
        let room = self.cameras.len() < most;
        if room {
            self.cameras.insert(camera.to_owned(), now);
        }
        room
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.frames.pop_front();
        if let Some(arrived) = &oldest {
            self.bytes = self.bytes.saturating_sub(arrived.frame.encoded.len());
        }
        oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::Hints;

    const NO_PATIENCE: Duration = Duration::ZERO;

    fn frame(camera: &str, id: &str, bytes: usize) -> Frame {
        let (id, camera) = (id.to_owned(), camera.to_owned());
        Frame { id, camera, captured_at_ms: None, hints: Hints::default(), prior: None, encoded: vec![0; bytes] }
    }

    fn inbox(cameras: usize, bytes: usize) -> (Inbox, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (Inbox::new(InboxLimits { cameras, bytes }, Arc::clone(&counters)), counters)
    }

    fn take_id(inbox: &Inbox) -> Option<String> {
        match inbox.take(NO_PATIENCE) {
            Taken::Frame(arrived) => Some(arrived.frame.id),
            Taken::Nothing | Taken::Closed => None,
        }
    }

    #[test]
    fn the_newest_frame_of_a_camera_replaces_the_older_and_keeps_its_turn() {
        let (inbox, counters) = inbox(4, 1000);
        let now = Instant::now();
        for (camera, id) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("a", "a3")] {
            inbox.put(frame(camera, id, 10), now);
        }
        assert_eq!(take_id(&inbox).as_deref(), Some("a3"));
        assert_eq!(take_id(&inbox).as_deref(), Some("b1"));
        assert_eq!(take_id(&inbox), None);
        assert_eq!(counters.frames_replaced.get(), 2);
    }

    #[test]
    fn thousands_of_camera_names_are_dropped_and_counted() {
        let (inbox, counters) = inbox(2, 1000);
        let now = Instant::now();
        for n in 0..5000 {
            inbox.put(frame(&format!("cam{n}"), "x", 1), now);
        }
        assert_eq!(counters.frames_over_cameras.get(), 4998);
        inbox.put(frame("late", "late", 1), now + CAMERA_FORGOTTEN_AFTER);
        assert_eq!(counters.frames_over_cameras.get(), 4998);
    }

    #[test]
    fn frames_beyond_the_bytes_are_dropped_longest_waiting_first() {
        let (inbox, counters) = inbox(8, 100);
        let now = Instant::now();
        for camera in ["a", "b", "c"] {
            inbox.put(frame(camera, camera, 40), now);
        }
        assert_eq!(take_id(&inbox).as_deref(), Some("b"));
        inbox.put(frame("huge", "huge", 1000), now);
        assert_eq!(take_id(&inbox), None);
        assert_eq!(counters.frames_over_memory.get(), 3);
        inbox.put(frame("a", "again", 100), now);
        assert_eq!(take_id(&inbox).as_deref(), Some("again"));
    }

    #[test]
    fn a_closed_inbox_counts_what_it_does_not_give_away() {
        let (inbox, counters) = inbox(8, 100);
        inbox.put(frame("a", "a", 1), Instant::now());
        inbox.close();
        inbox.put(frame("b", "b", 1), Instant::now());
        assert!(matches!(inbox.take(Duration::from_secs(60)), Taken::Closed));
        assert_eq!(counters.frames_at_stop.get(), 2);
    }
}
