//! What the demo says of each fix and of all together.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use geolocated::locate::{MessageStatus, StageMilliseconds, distance_m};
use serde::Serialize;

use super::flight::Answer;
use crate::metrics::{Ordered, quantile};
use crate::poses::Pose;

/// Gathers the answers and writes each to a file, one JSON object per line.
#[derive(Debug)]
pub(super) struct Summary {
    file: File,
    right_within_m: f64,
    errors_m: Vec<f64>,
    first_right: usize,
    statuses: Vec<MessageStatus>,
    times: Vec<StageMilliseconds>,
    round_trips_ms: Vec<f64>,
}

impl Summary {
    /// An empty summary that writes to `path`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path, right_within_m: f64) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
        let (errors_m, times, round_trips_ms) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { file, right_within_m, errors_m, first_right: 0, statuses: Vec::new(), times, round_trips_ms })
    }

    /// Takes an answer in; the line to print for it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn take(&mut self, truth: &Pose, answer: &Answer) -> anyhow::Result<String> {
        let message = &answer.message;
        writeln!(self.file, "{}", serde_json::to_string(message)?)?;
        let off_m = |lat: f64, lon: f64| distance_m(truth.place.lat_deg, truth.place.lon_deg, lat, lon);
        self.statuses.push(message.status);
        self.times.push(message.ms);
        self.round_trips_ms.push(answer.round_trip_ms);
        if message.candidates.first().is_some_and(|first| off_m(first.lat, first.lon) <= self.right_within_m) {
            self.first_right += 1;
        }
        let said = match (message.lat, message.lon) {
            (Some(lat), Some(lon)) => {
                let error_m = off_m(lat, lon);
                self.errors_m.push(error_m);
                format!("{lat:>12.7} {lon:>12.7}  error {error_m:>8.1} m")
            }
            _ => format!("{:?} {}", message.status, message.reason.as_deref().unwrap_or_default()),
        };
        Ok(format!("{:<28} {said}  {:>6.1} ms\n", truth.file, answer.round_trip_ms))
    }

    /// All together.
    pub(super) fn report(&self) -> DemoReport {
        let count = |status| self.statuses.iter().filter(|found| **found == status).count();
        let stage = |pick: fn(&StageMilliseconds) -> Option<f64>| self.times.iter().filter_map(pick).collect();
        let stages: [(&str, Vec<f64>); 7] = [
            ("wait", stage(|ms| ms.wait)),
            ("decode", stage(|ms| ms.decode)),
            ("embed", stage(|ms| ms.embed)),
            ("search", stage(|ms| ms.search)),
            ("fuse", stage(|ms| ms.fuse)),
            ("total", stage(|ms| ms.total)),
            ("publish_to_fix", self.round_trips_ms.clone()),
        ];
        DemoReport {
            frames: self.statuses.len(),
            fixes: count(MessageStatus::Fix),
            ambiguous: count(MessageStatus::Ambiguous),
            no_fix: count(MessageStatus::NoFix),
            errors: count(MessageStatus::Error),
            right_within_m: self.right_within_m,
            right_fixes: self.errors_m.iter().filter(|error_m| **error_m <= self.right_within_m).count(),
            right_first_candidates: self.first_right,
            error_m: Quantiles::of(&self.errors_m, 0.9),
            ms: stages
                .iter()
                .filter_map(|(name, values)| Some(((*name).to_owned(), Quantiles::of(values, 0.95)?)))
                .collect(),
        }
    }
}

/// What came out of the demo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DemoReport {
    frames: usize,
    fixes: usize,
    ambiguous: usize,
    no_fix: usize,
    errors: usize,
    right_within_m: f64,
    right_fixes: usize,
    right_first_candidates: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_m: Option<Quantiles>,
    ms: Ordered<Quantiles>,
}

/// The median and a high quantile of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Quantiles {
    median: f64,
    high: f64,
}

impl Quantiles {
    fn of(values: &[f64], high: f64) -> Option<Self> {
        Some(Self { median: quantile(values, 0.5)?, high: quantile(values, high)? })
    }
}

impl DemoReport {
    /// Whether the daemon answered a frame with an error.
    pub(super) fn any_error(&self) -> bool {
        self.errors > 0
    }
}

impl fmt::Display for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, fixes, ambiguous, no_fix, errors, right_within_m, .. } = self;
        writeln!(f, "{frames} frames: {fixes} fixes, {ambiguous} ambiguous, {no_fix} without a fix, {errors} errors")?;
        let (right, first) = (self.right_fixes, self.right_first_candidates);
        writeln!(f, "within {right_within_m} m of the truth: {right} fixes, {first} first candidates of {frames}")?;
        if let Some(Quantiles { median, high }) = self.error_m {
            writeln!(f, "error of fixes: median {median:.1} m, 90 % within {high:.1} m")?;
        }
        let stage =
            |(name, Quantiles { median, high }): &(String, Quantiles)| format!("{name} {median:.2} / {high:.2}");
        let stages: Vec<String> = self.ms.0.iter().map(stage).collect();
        writeln!(f, "milliseconds, median / 95 %: {}", stages.join(", "))
    }
}
