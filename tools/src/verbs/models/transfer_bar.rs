//! Progress in bytes on a terminal; nothing when standard error is piped.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over the bytes of one or several files. Ends and vanishes when it is dropped.
#[derive(Debug)]
pub(super) struct TransferBar(ProgressBar);

impl TransferBar {
    /// A bar from 0 to `total_bytes`, which may grow.
    pub(super) fn new(what: impl Into<String>, total_bytes: u64) -> Self {
        let bar = ProgressBar::new(total_bytes).with_message(what.into());
        let template = "{msg} {bar:32} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// What is being done.
    pub(super) fn say(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// So many bytes are done.
    pub(super) fn set(&self, bytes: u64) {
        if self.0.length().is_some_and(|length| length < bytes) {
            self.0.set_length(bytes);
        }
        self.0.set_position(bytes);
    }

    /// So many more bytes are done.
    pub(super) fn add(&self, bytes: u64) {
        self.set(self.0.position() + bytes);
    }
}

impl Drop for TransferBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
