//! Single frames against the track of their flight: figures, text, plots.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::metrics::{Ordered, Threshold, share};
use crate::report::quantiles;
use crate::sequence::{Flight, FollowedFrame, Following};
use crate::svg::{LineChart, Series, XAxis};

/// The first frames of a flight that each stand for themselves in the figures over time end here; then so many together.
const GROUPS: [(usize, usize); 8] = [(1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 30), (31, 40), (41, usize::MAX)];
/// From this frame of a flight on, the figures of `after_ten` count.
const AFTER: usize = 11;
/// Two positions further apart than the camera can have come, and this, are a jump, metres.
const JUMP_SLACK_M: f64 = 100.0;

/// One way to answer, held against the truth.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// How many of the frames got a position.
    pub positions: usize,
    /// Quantiles of the error of positions in metres; empty when there is none.
    pub error_m: Ordered<f64>,
    /// Share of all frames with a position within so many metres.
    pub within_m: Ordered<f64>,
}

impl Way {
    fn of(errors_m: &[Option<f64>], thresholds: &[Threshold]) -> Self {
        let published: Vec<f64> = errors_m.iter().flatten().copied().collect();
        let within = |threshold: &Threshold| share(errors_m, |error| error.is_some_and(|m| m <= threshold.metres));
        Self {
            positions: published.len(),
            error_m: quantiles(&published, &[("p50", 0.5), ("p95", 0.95)]),
            within_m: thresholds.iter().map(|threshold| (threshold.text.clone(), within(threshold))).collect(),
        }
    }
}

/// Frames of all flights that come at about the same time after the start.
#[derive(Debug, Clone, Serialize)]
pub struct SinceStart {
    /// The first of these frames, from 1.
    pub from_frame: usize,
    /// The last of them.
    pub to_frame: usize,
    /// How many there are.
    pub frames: usize,
    /// The fixes of single frames.
    pub single: Way,
    /// The positions of the track.
    pub track: Way,
}

/// Single frames against the track. Frames from outside are counted apart.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceFigures {
    /// How many flights.
    pub flights: usize,
    /// How many frames, those from outside not counted.
    pub frames: usize,
    /// The fixes of single frames.
    pub single: Way,
    /// The best candidates of single frames, whatever was published.
    pub best_candidate: Way,
    /// The positions of the track.
    pub track: Way,
    /// The same from the eleventh frame of each flight on.
    pub after_ten: SinceStart,
    /// Share of the track's positions within `radius_95_m` of the truth; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius_95_coverage: Option<f64>,
    /// Quantiles of that radius.
    pub radius_95_m: Ordered<f64>,
    /// Quantiles of the seconds from the start of a flight to the track's first position, over the flights that got one.
    pub time_to_first_fix_s: Ordered<f64>,
    /// How many flights got none.
    pub flights_without_fix: usize,
    /// Share of the track's positions that the camera cannot have reached from the one before: further than its fastest
    /// speed times the time, and 100 m.
    pub jump_rate: f64,
    /// How many frames from outside there were, and at how many of them the track had a position.
    pub outside: usize,
    /// See `outside`.
    pub outside_positions: usize,
    /// Share of those positions within so many metres of the truth: a track goes on beyond the map, and is right there as
    /// long as it is. Empty without such a position.
    pub outside_within_m: Ordered<f64>,
    /// Share of the frames whose search was limited to a window.
    pub window_share: f64,
    /// Quantiles of the milliseconds that the track took for a frame.
    pub ms: Ordered<f64>,
    /// The figures by the frame of the flight.
    pub by_frames_since_start: Vec<SinceStart>,
}

impl SequenceFigures {
    /// The figures of these flights.
    pub fn of(flights: &[Flight], following: &Following, thresholds: &[Threshold]) -> Self {
        let numbered = |flight: &Flight| flight.iter().cloned().enumerate().collect::<Vec<_>>();
        let all: Vec<(usize, FollowedFrame)> = flights.iter().flat_map(numbered).collect();
        let (outside, frames): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, frame)| frame.outside);
        let beyond_m: Vec<Option<f64>> =
            outside.iter().map(|(_, frame)| frame.track_m).filter(Option::is_some).collect();
        let errors = |of: fn(&FollowedFrame) -> Option<f64>| -> Vec<Option<f64>> {
            frames.iter().map(|(_, frame)| of(frame)).collect()
        };
        let positions: Vec<&FollowedFrame> =
            frames.iter().map(|(_, frame)| frame).filter(|frame| frame.track_m.is_some()).collect();
        let radius_m = |frame: &FollowedFrame| frame.estimate.position.map(|position| position.radius_95_m);
        let radii: Vec<f64> = positions.iter().filter_map(|frame| radius_m(frame)).collect();
        let covered =
            |frame: &&FollowedFrame| frame.track_m.zip(radius_m(frame)).is_some_and(|(m, radius)| m <= radius);
        let first_s = |flight: &Flight| flight.iter().find(|frame| frame.track_m.is_some()).map(|frame| frame.at_s);
        let firsts: Vec<f64> = flights.iter().filter_map(first_s).collect();
        let steps: Vec<(f64, f64)> = flights.iter().flatten().filter_map(|frame| frame.step).collect();
        let times: Vec<f64> = flights.iter().flatten().map(|frame| frame.ms).collect();
        Self {
            flights: flights.len(),
            frames: frames.len(),
            single: Way::of(&errors(|frame| frame.single_m), thresholds),
            best_candidate: Way::of(&errors(|frame| frame.best_m), thresholds),
            track: Way::of(&errors(|frame| frame.track_m), thresholds),
            after_ten: since_start(&frames, (AFTER, usize::MAX), thresholds),
            radius_95_coverage: (!positions.is_empty()).then(|| share(&positions, covered)),
            radius_95_m: quantiles(&radii, &[("p50", 0.5), ("p95", 0.95)]),
            time_to_first_fix_s: quantiles(&firsts, &[("p50", 0.5), ("p90", 0.9)]),
            flights_without_fix: flights.len() - firsts.len(),
            jump_rate: share(&steps, |(metres, s)| *metres > following.max_speed_m_s * s + JUMP_SLACK_M),
            outside: outside.len(),
            outside_positions: beyond_m.len(),
            outside_within_m: if beyond_m.is_empty() {
                Ordered::default()
            } else {
                Way::of(&beyond_m, thresholds).within_m
            },
            window_share: share(&frames, |(_, frame)| frame.limited),
            ms: quantiles(&times, &[("p50", 0.5), ("p95", 0.95)]),
            by_frames_since_start: GROUPS
                .iter()
                .map(|group| since_start(&frames, *group, thresholds))
                .filter(|group| group.frames > 0)
                .collect(),
        }
    }

    /// The figures for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "sequence: {} flights, {} frames", self.flights, self.frames);
        let ways = [("single fixes", &self.single), ("best candidates", &self.best_candidate), ("track", &self.track)];
        for (name, way) in ways {
            let _ = writeln!(text, "{name:<24}{}", way.text());
        }
        let _ = writeln!(text, "{:<24}{}", "track after ten frames", self.after_ten.track.text());
        let at = |figures: &Ordered<f64>, key: &str| figures.get(key).copied().unwrap_or(f64::NAN);
        let beyond: Vec<String> =
            self.outside_within_m.0.iter().map(|(metres, share)| format!(", {share:.3} within {metres} m")).collect();
        let _ = writeln!(
            text,
            "track: first position after {:.0} s (median), none in {} flights; jumps {:.4}; radius_95 median {:.0} m, \
             holds the truth {:.3}; at {} of {} frames from outside{}; {:.2} / {:.2} ms",
            at(&self.time_to_first_fix_s, "p50"),
            self.flights_without_fix,
            self.jump_rate,
            at(&self.radius_95_m, "p50"),
            self.radius_95_coverage.unwrap_or(f64::NAN),
            self.outside_positions,
            self.outside,
            beyond.concat(),
            at(&self.ms, "p50"),
            at(&self.ms, "p95"),
        );
        text
    }
}

impl Way {
    fn text(&self) -> String {
        let within: Vec<String> = self.within_m.0.iter().map(|(m, share)| format!("{m} m {share:.3}")).collect();
        let at = |key: &str| self.error_m.get(key).copied().unwrap_or(f64::NAN);
        let errors =
            format!("{} positions, error {:.1} / {:.1} m (median / 95 %)", self.positions, at("p50"), at("p95"));
        format!("{errors}; within {}", within.join(", "))
    }
}

/// The figures of the frames from one number of the flight to another, from 1.
fn since_start(frames: &[(usize, FollowedFrame)], (from, to): (usize, usize), thresholds: &[Threshold]) -> SinceStart {
    let within: Vec<&(usize, FollowedFrame)> =
        frames.iter().filter(|(number, _)| (from..=to).contains(&(number + 1))).collect();
    let errors = |of: fn(&FollowedFrame) -> Option<f64>| -> Vec<Option<f64>> {
        within.iter().map(|(_, frame)| of(frame)).collect()
    };
    let last = within.iter().map(|(number, _)| number + 1).max().unwrap_or(from);
    SinceStart {
        from_frame: from,
        to_frame: to.min(last),
        frames: within.len(),
        single: Way::of(&errors(|frame| frame.single_m), thresholds),
        track: Way::of(&errors(|frame| frame.track_m), thresholds),
    }
}

/// Writes `sequence-error.svg` and `sequence-within.svg`: error and share of frames with a position near the truth, by the
/// frame of the flight.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn write_pages(folder: &Path, figures: &SequenceFigures) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    for (name, chart) in [("sequence-error.svg", error_chart(figures)), ("sequence-within.svg", within_chart(figures))]
    {
        let path = folder.join(name);
        fs::write(&path, chart.to_svg()).with_context(|| format!("{}: cannot write", path.display()))?;
    }
    Ok(())
}

/// The middle of a group on a logarithmic axis.
fn middle(group: &SinceStart) -> f64 {
    (group.from_frame as f64 * group.to_frame as f64).sqrt()
}

fn error_chart(figures: &SequenceFigures) -> LineChart {
    let line = |name: &str, dashed: bool, of: fn(&SinceStart) -> &Way, key: &str| Series {
        name: name.to_owned(),
        points: figures
            .by_frames_since_start
            .iter()
            .filter_map(|group| Some((middle(group), *of(group).error_m.get(key)?)))
            .collect(),
        dashed,
    };
    LineChart {
        title: "Error of what was published".to_owned(),
        x_label: "frame of the flight".to_owned(),
        y_label: "metres".to_owned(),
        x_axis: XAxis::Logarithmic,
        series: vec![
            line("single, median", false, |group| &group.single, "p50"),
            line("track, median", false, |group| &group.track, "p50"),
            line("single, 95 %", true, |group| &group.single, "p95"),
            line("track, 95 %", true, |group| &group.track, "p95"),
        ],
    }
}

fn within_chart(figures: &SequenceFigures) -> LineChart {
    let names: Vec<&String> = figures.track.within_m.0.iter().map(|(name, _)| name).collect();
    let line = |way: &str, metres: &str, dashed: bool, of: fn(&SinceStart) -> &Way| Series {
        name: format!("{way}, {metres} m"),
        points: figures
            .by_frames_since_start
            .iter()
            .filter_map(|group| Some((middle(group), *of(group).within_m.get(metres)?)))
            .collect(),
        dashed,
    };
    let both = |metres: &&String| {
        [line("single", metres, true, |group| &group.single), line("track", metres, false, |group| &group.track)]
    };
    LineChart {
        title: "Frames with a position near the truth".to_owned(),
        x_label: "frame of the flight".to_owned(),
        y_label: "share of frames".to_owned(),
        x_axis: XAxis::Logarithmic,
        series: names.iter().flat_map(both).collect(),
    }
}
