//! What the demo says of each fix and of all together.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use geolocated::locate::{MessageStatus, StageMilliseconds};
use serde::Serialize;

use super::frame::{Answer, Flown, Shows};
use crate::bootstrap::{SEED, interval_of_share};
use crate::metrics::{Ordered, quantile, share};

/// Writes each answer to a file, one JSON object per line, and says it in a line for people.
#[derive(Debug)]
pub(super) struct Teller {
    file: File,
    right_within_m: f64,
}

impl Teller {
    /// Writes to `path`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn create(path: &Path, right_within_m: f64) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(Self { file, right_within_m })
    }

    /// Takes the newest answer of a frame; the line to print for it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn take(&mut self, number: usize, frame: &Flown) -> anyhow::Result<String> {
        let Some(answer) = frame.last() else { return Ok(String::new()) };
        let message = &answer.message;
        writeln!(self.file, "{}", serde_json::to_string(message)?)?;
        let said = match (answer.position(), frame.error_m(answer)) {
            (Some((lat, lon)), Some(error_m)) if frame.shows == Shows::Map => {
                let mark = if error_m <= self.right_within_m { "" } else { "  wrong" };
                format!("{lat:>11.6} {lon:>11.6}  error {error_m:>7.1} m{mark}")
            }
            (Some((lat, lon)), _) => format!("{lat:>11.6} {lon:>11.6}"),
            _ => spelled(message.status, message.reason.as_deref()),
        };
        let shows = match frame.shows {
            Shows::Map => String::new(),
            Shows::Edge => "  (edge of the map)".to_owned(),
            Shows::Elsewhere => "  (not on the map: should be no fix)".to_owned(),
            Shows::Bad(why) => format!("  (bad frame, {}: should be no fix)", why.replace('_', "-")),
        };
        let stage = if frame.answers.len() > 1 { format!(" {}", answer.stage()) } else { String::new() };
        Ok(format!("{:>4}  {:<22} {said}{shows}  {:.1} ms{stage}\n", number + 1, frame.id, answer.after_ms))
    }
}

/// A status without a position in words.
pub(super) fn spelled(status: MessageStatus, reason: Option<&str>) -> String {
    let status = match status {
        MessageStatus::Fix => "fix",
        MessageStatus::Ambiguous => "ambiguous",
        MessageStatus::NoFix => "no fix",
        MessageStatus::Error => "error",
    };
    reason.map_or_else(|| status.to_owned(), |reason| format!("{status}: {reason}"))
}

/// What came out of the demo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct DemoReport {
    /// Version of this form.
    schema: u32,
    /// Frames that were published.
    pub(super) frames: usize,
    /// Frames without an answer: a newer one took their place while they waited.
    pub(super) replaced: usize,
    /// References in the shard.
    references: usize,
    /// Frames of mapped ground, over which the figures are.
    pub(super) queries: usize,
    /// By the newest answer to each frame.
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// The same figures by stage, where there is more than one, over the frames that have an answer of each.
    #[serde(skip_serializing_if = "Ordered::is_empty")]
    pub(super) stages: Ordered<Figures>,
    /// How many those are.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) looked_at: usize,
    /// Frames of other ground.
    #[serde(skip_serializing_if = "Refusals::is_empty")]
    pub(super) outside: Refusals,
    /// Bad frames.
    #[serde(skip_serializing_if = "Refusals::is_empty")]
    pub(super) bad: Refusals,
    /// Frames of the edge of the map, which count nowhere.
    pub(super) border: usize,
    /// Wall-clock milliseconds of each stage over all answers.
    pub(super) ms: Ordered<Quantiles>,
    /// Wall-clock seconds of each step of the demo.
    pub(super) seconds: Ordered<f64>,
}

/// Figures over the frames of mapped ground; fixes, ambiguous, no_fix, errors and unanswered make up all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) fixes: usize,
    pub(super) ambiguous: usize,
    pub(super) no_fix: usize,
    pub(super) errors: usize,
    pub(super) unanswered: usize,
    pub(super) right_within_m: f64,
    pub(super) right_fixes: usize,
    pub(super) right_first_candidates: usize,
    /// Share of frames whose first candidate is right.
    pub(super) recall_at_1: f64,
    /// Its 95 % bootstrap interval.
    pub(super) recall_at_1_interval: [f64; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_m: Option<Quantiles>,
}

/// What became of frames that should get no fix.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Refusals {
    pub(super) frames: usize,
    pub(super) fixes: usize,
    pub(super) ambiguous: usize,
    pub(super) no_fix: usize,
    pub(super) errors: usize,
    pub(super) unanswered: usize,
}

/// The median and a high quantile of some values: 0.9 of errors, 0.95 of times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Quantiles {
    fn of(values: &[f64], high: f64) -> Option<Self> {
        Some(Self { median: quantile(values, 0.5)?, high: quantile(values, high)? })
    }
}

impl DemoReport {
    /// Sums up what was flown.
    pub(super) fn new(frames: &[Flown], right_within_m: f64, references: usize, seconds: Ordered<f64>) -> Self {
        let queries: Vec<&Flown> = frames.iter().filter(|frame| frame.shows == Shows::Map).collect();
        let mut names: Vec<String> = Vec::new();
        for stage in frames.iter().flat_map(|frame| &frame.answers).map(Answer::stage) {
            if !names.contains(&stage) {
                names.push(stage);
            }
        }
        // A frame that came while the comparator was at work has one answer: it says nothing of what the other gained.
        let has_all = |frame: &&Flown| names.iter().all(|name| frame.of_stage(name).is_some());
        let looked_at: Vec<&Flown> = queries.iter().copied().filter(has_all).collect();
        let of_stage =
            |name: &String| (name.clone(), Figures::of(&looked_at, right_within_m, |frame| frame.of_stage(name)));
        Self {
            schema: 1,
            frames: frames.len(),
            replaced: frames.iter().filter(|frame| frame.answers.is_empty()).count(),
            references,
            queries: queries.len(),
            figures: Figures::of(&queries, right_within_m, Flown::last),
            stages: if names.len() > 1 { names.iter().map(of_stage).collect() } else { Ordered(Vec::new()) },
            looked_at: if names.len() > 1 { looked_at.len() } else { 0 },
            outside: Refusals::of(frames, |shows| shows == Shows::Elsewhere),
            bad: Refusals::of(frames, |shows| matches!(shows, Shows::Bad(_))),
            border: frames.iter().filter(|frame| frame.shows == Shows::Edge).count(),
            ms: milliseconds(frames),
            seconds,
        }
    }

    /// Whether the daemon answered a frame with an error.
    pub(super) fn any_error(&self) -> bool {
        self.figures.errors + self.outside.errors + self.bad.errors > 0
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Counts a status among some answers.
fn count<'a>(answers: impl Iterator<Item = Option<&'a Answer>>, status: MessageStatus) -> usize {
    answers.flatten().filter(|answer| answer.message.status == status).count()
}

impl Figures {
    fn of(queries: &[&Flown], right_within_m: f64, pick: impl Fn(&Flown) -> Option<&Answer>) -> Self {
        let errors_m: Vec<f64> =
            queries.iter().filter_map(|frame| pick(frame).and_then(|answer| frame.error_m(answer))).collect();
        let is_first_right = |frame: &&Flown| {
            let first = pick(frame).and_then(|answer| answer.message.candidates.first());
            first.is_some_and(|first| frame.off_m(first.lat, first.lon) <= right_within_m)
        };
        let hits: Vec<bool> = queries.iter().map(is_first_right).collect();
        let count = |status| count(queries.iter().map(|frame| pick(frame)), status);
        Self {
            fixes: count(MessageStatus::Fix),
            ambiguous: count(MessageStatus::Ambiguous),
            no_fix: count(MessageStatus::NoFix),
            errors: count(MessageStatus::Error),
            unanswered: queries.iter().filter(|frame| pick(frame).is_none()).count(),
            right_within_m,
            right_fixes: errors_m.iter().filter(|error_m| **error_m <= right_within_m).count(),
            right_first_candidates: hits.iter().filter(|hit| **hit).count(),
            recall_at_1: share(&hits, |hit| *hit),
            recall_at_1_interval: interval_of_share(&hits, SEED),
            error_m: Quantiles::of(&errors_m, 0.9),
        }
    }
}

impl Refusals {
    fn of(frames: &[Flown], wanted: impl Fn(Shows) -> bool) -> Self {
        let chosen: Vec<&Flown> = frames.iter().filter(|frame| wanted(frame.shows)).collect();
        let count = |status| count(chosen.iter().map(|frame| frame.last()), status);
        Self {
            frames: chosen.len(),
            fixes: count(MessageStatus::Fix),
            ambiguous: count(MessageStatus::Ambiguous),
            no_fix: count(MessageStatus::NoFix),
            errors: count(MessageStatus::Error),
            unanswered: chosen.iter().filter(|frame| frame.answers.is_empty()).count(),
        }
    }

    fn is_empty(&self) -> bool {
        self.frames == 0
    }
}

fn milliseconds(frames: &[Flown]) -> Ordered<Quantiles> {
    let answers = || frames.iter().flat_map(|frame| &frame.answers);
    let stage =
        |pick: fn(&StageMilliseconds) -> Option<f64>| answers().filter_map(|answer| pick(&answer.message.ms)).collect();
    let stages: [(&str, Vec<f64>); 7] = [
        ("wait", stage(|ms| ms.wait)),
        ("decode", stage(|ms| ms.decode)),
        ("embed", stage(|ms| ms.embed)),
        ("search", stage(|ms| ms.search)),
        ("fuse", stage(|ms| ms.fuse)),
        ("total", stage(|ms| ms.total)),
        ("publish_to_fix", answers().map(|answer| answer.after_ms).collect()),
    ];
    stages.iter().filter_map(|(name, values)| Some(((*name).to_owned(), Quantiles::of(values, 0.95)?))).collect()
}

impl fmt::Display for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, queries, replaced, border, .. } = self;
        let newer = if *replaced > 0 {
            format!(", {replaced} replaced by a newer one while they waited")
        } else {
            String::new()
        };
        writeln!(f, "{frames} frames{newer}")?;
        writeln!(f, "\nof the mapped ground: {queries} frames")?;
        write!(f, "{}", self.figures)?;
        if !self.stages.is_empty() {
            let fixes = |(name, figures): &(String, Figures)| {
                format!("{name} {} right of {} fixes", figures.right_fixes, figures.fixes)
            };
            let stages: Vec<String> = self.stages.0.iter().map(fixes).collect();
            writeln!(f, "  the comparator looked at {} of them: {}", self.looked_at, stages.join(", "))?;
        }
        for (name, refusals) in [("other ground", &self.outside), ("bad frames", &self.bad)] {
            if !refusals.is_empty() {
                writeln!(f, "{name}: {refusals}")?;
            }
        }
        if *border > 0 {
            writeln!(f, "edge of the map: {border} frames, not judged")?;
        }
        let stage =
            |(name, Quantiles { median, high }): &(String, Quantiles)| format!("{name} {median:.2} / {high:.2}");
        let stages: Vec<String> = self.ms.0.iter().map(stage).collect();
        writeln!(f, "\nmilliseconds, median / 95 %: {}", stages.join(", "))?;
        let steps: Vec<String> = self.seconds.0.iter().map(|(name, seconds)| format!("{name} {seconds:.1}")).collect();
        writeln!(f, "seconds: {}", steps.join(", "))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fixes, ambiguous, no_fix, errors, unanswered, right_within_m, .. } = self;
        let unanswered = if *unanswered > 0 { format!(", {unanswered} unanswered") } else { String::new() };
        writeln!(f, "  {fixes} fixes, {ambiguous} ambiguous, {no_fix} without a fix, {errors} errors{unanswered}")?;
        let (recall, [low, high]) = (self.recall_at_1, self.recall_at_1_interval);
        writeln!(f, "  Recall@1 within {right_within_m} m: {recall:.2} (95 %: {low:.2} to {high:.2})")?;
        writeln!(f, "  right: {} fixes, {} first candidates", self.right_fixes, self.right_first_candidates)?;
        match self.error_m {
            Some(Quantiles { median, high }) => {
                writeln!(f, "  error of fixes: median {median:.1} m, 90 % within {high:.1} m")
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frames, fixes, ambiguous, no_fix, errors, unanswered } = self;
        write!(f, "{frames} frames, which should get no fix: {no_fix} got none, {ambiguous} ambiguous")?;
        write!(f, ", {fixes} got one all the same")?;
        for (count, name) in [(errors, "errors"), (unanswered, "unanswered")] {
            if *count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::flown;
    use super::*;

    fn frames() -> Vec<Flown> {
        let (map, other) = (Shows::Map, Shows::Elsewhere);
        [
            (map, "fix 50.0001"),
            (map, "fix 50.1"),
            (map, "ambiguous"),
            (map, ""),
            (other, "fix 50.0"),
            (other, "no_fix"),
            (Shows::Bad("dark"), "fix 50.0"),
            (Shows::Edge, "fix 50.0"),
        ]
        .iter()
        .map(|(shows, answer)| flown("f.jpg", *shows, answer))
        .collect()
    }

    #[test]
    fn every_frame_counts_in_one_place() {
        let report = DemoReport::new(&frames(), 80.0, 9, Ordered::default());
        let Figures { fixes, ambiguous, no_fix, errors, unanswered, .. } = report.figures;
        assert_eq!((report.frames, report.queries, report.replaced, report.border), (8, 4, 1, 1));
        assert_eq!((fixes, ambiguous, no_fix, errors, unanswered), (2, 1, 0, 0, 1));
        assert_eq!((report.figures.right_fixes, report.figures.right_first_candidates), (1, 1));
        assert_eq!(report.figures.recall_at_1, 0.25, "over all frames of mapped ground");
        assert_eq!((report.outside.frames, report.outside.fixes, report.outside.no_fix), (2, 1, 1));
        assert_eq!((report.bad.frames, report.bad.fixes), (1, 1));
        assert!(report.stages.is_empty());
        let text = report.to_string();
        for part in
            ["8 frames, 1 replaced", "Recall@1 within 80 m: 0.25", "2 frames, which should get no fix", "embed 2.00"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn nothing_at_all_is_no_figure() {
        let report = DemoReport::new(&[], 80.0, 9, Ordered::default());
        assert_eq!((report.figures.recall_at_1, report.figures.error_m), (0.0, None));
        let json = serde_json::to_value(&report).unwrap();
        assert!(json.get("error_m").is_none() && json.get("outside").is_none(), "{json}");
    }

    #[test]
    fn each_line_says_what_came_and_what_should_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fixes.ndjson");
        let mut teller = Teller::create(&path, 80.0).unwrap();
        let lines: Vec<String> =
            frames().iter().enumerate().map(|(number, frame)| teller.take(number, frame).unwrap()).collect();
        assert!(lines[0].contains("error    11.1 m  5.0 ms"), "{lines:?}");
        assert!(lines[1].contains("wrong") && lines[2].contains("ambiguous") && lines[3].is_empty(), "{lines:?}");
        assert!(lines[4].contains("not on the map") && lines[6].contains("dark"), "{lines:?}");
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 7);
    }
}
