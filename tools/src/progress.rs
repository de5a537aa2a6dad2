//! Progress on a terminal; nothing when standard error is piped.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts to a total. Ends and vanishes when it is dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar from 0 to `total`, titled `what`.
    pub fn new(what: &'static str, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:32} {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// One more is done.
    pub fn step(&self) {
        self.0.inc(1);
    }

    /// Writes a line to standard error without disturbing the bar.
    pub fn note(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
