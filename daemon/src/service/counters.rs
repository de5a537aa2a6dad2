//! What was counted since the start. Every drop is counted somewhere here.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::locate::BadFrame;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters since the start of the daemon, shared between threads.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter,)* }

        /// The counters at one moment.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct CountersNow { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// All counters as they are now.
            pub fn now(&self) -> CountersNow { CountersNow { $($name: self.$name.get(),)* } }
        }
    };
}

counters! {
    /// Frames that arrived, whatever became of them.
    frames_received,
    /// Frames that the pipeline answered.
    frames_answered,
    /// Of those, frames answered with an error.
    frames_failed,
    /// Of those answered, frames that got no fix because the picture was bad; what was bad about it, the next five count.
    frames_bad,
    /// Bad frames: too dark.
    frames_dark,
    /// Bad frames: the lens is covered, or shows nothing.
    frames_covered,
    /// Bad frames: too bright.
    frames_over_exposed,
    /// Bad frames: blurred.
    frames_blurred,
    /// Bad frames: the camera's last picture once more.
    frames_frozen,
    /// Frames replaced by a newer one of the same camera before their turn came.
    frames_replaced,
    /// Frames dropped because the waiting frames would have taken too many bytes.
    frames_over_memory,
    /// Frames dropped because too many cameras were known.
    frames_over_cameras,
    /// Frames dropped because they were too old.
    frames_stale,
    /// Frames ignored because they were retained by the broker.
    frames_retained,
    /// Frames still waiting when the daemon stopped.
    frames_at_stop,
    /// Files of watched folders that were never read, because a newer one was there.
    source_passed_over,
    /// Bytes of commands' output that belonged to no whole picture.
    source_garbage_bytes,
    /// Times that a source failed.
    source_failures,
    /// Times that a command ended and was started again.
    source_restarts,
    /// Frames that the comparator was asked about, whatever came of it.
    frames_reranked,
    /// Of those, frames whose best candidate is another one than before.
    reranks_changed,
    /// Frames that were not reranked because the comparator was at work, warming up or off.
    reranks_skipped,
    /// Frames that the comparator came back from when their retrieved answer had been published in its stead.
    reranks_late,
    /// Frames that the generator was asked about, whatever came of it.
    generator_asked,
    /// Frames that it was not asked about because it was at work, warming up or off.
    generator_skipped,
    /// Metadata fields or messages that were refused.
    metadata_refused,
    /// Messages on topics or of forms that mean nothing here.
    messages_unknown,
    /// Commands that were answered, well or not.
    commands_answered,
    /// Commands ignored because they were retained by the broker.
    commands_retained,
    /// Second and further answers for a frame.
    fixes_revised,
    /// Fixes acknowledged by the broker.
    fixes_delivered,
    /// Of those, fixes that nobody was subscribed to.
    fixes_unheard,
    /// Fixes that the broker refused; each refusal counts.
    fixes_refused,
    /// Fixes set aside because the broker takes no message of their size.
    fixes_oversize,
    /// Fixes that a bound of the outbox dropped.
    fixes_dropped,
    /// Connections to the broker.
    connections,
}

impl Counters {
    /// Frames that were bad in this way.
    pub fn bad(&self, kind: BadFrame) -> &Counter {
        match kind {
            BadFrame::Dark => &self.frames_dark,
            BadFrame::Covered => &self.frames_covered,
            BadFrame::OverExposed => &self.frames_over_exposed,
            BadFrame::Blurred => &self.frames_blurred,
            BadFrame::Frozen => &self.frames_frozen,
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
