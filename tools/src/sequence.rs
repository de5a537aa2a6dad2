//! Frames of flights, one after the other, through the track that the daemon keeps of a camera.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, bail};
use geolocated::locate::distance_m;
use geolocated::locate::track::{Motion, Observation, TrackEstimate, TrackOptions, Tracks, WindowOptions};

use crate::evaluation::{Answered, Query, Stages, observe_within};

/// The column that tells flights apart.
const FLIGHT: &str = "flight";

/// How the frames of a flight are put together.
#[derive(Debug, Clone, Copy)]
pub struct Following {
    /// What the track takes and when it speaks.
    pub options: TrackOptions,
    /// Whether and how it limits the search.
    pub window: WindowOptions,
    /// How the camera moves.
    pub motion: Motion,
    /// The fastest that it moves, metres per second.
    pub max_speed_m_s: f64,
}

/// One frame of a flight with what was said of it by itself and by the track, held against the truth.
#[derive(Debug, Clone)]
pub struct FollowedFrame {
    /// Seconds since the first frame of the flight.
    pub at_s: f64,
    /// Whether there should be no answer: nothing of the map is to be seen.
    pub outside: bool,
    /// Metres between the truth and the frame's own fix, where it has one.
    pub single_m: Option<f64>,
    /// Metres between the truth and the frame's best candidate, where it has one.
    pub best_m: Option<f64>,
    /// What the track said.
    pub estimate: TrackEstimate,
    /// Metres between the truth and the track's position, where it has one.
    pub track_m: Option<f64>,
    /// Metres between the track's position and the one before in this flight, and the seconds between them.
    pub step: Option<(f64, f64)>,
    /// Whether the search was limited to a window.
    pub limited: bool,
    /// Milliseconds that the track took.
    pub ms: f64,
}

/// The frames of one flight in the order of their times.
pub type Flight = Vec<FollowedFrame>;

/// Takes the answers through one track for each flight, in the order of their times; all are one flight where there is no
/// column that tells them apart. The truth has no part in it.
///
/// # Errors
/// A frame has no time.
pub fn follow(
    stages: &Stages<'_>,
    queries: &[Query<'_>],
    answers: &[Answered],
    following: &Following,
) -> anyhow::Result<Vec<Flight>> {
    let mut flights: BTreeMap<String, Vec<(i64, &Query<'_>, &Answered)>> = BTreeMap::new();
    for (query, answer) in queries.iter().zip(answers) {
        let Some(time_ms) = query.pose.place.captured_at_ms else {
            bail!("--sequence: {} (line {}): expected a time in column time, found none", answer.file, query.pose.line);
        };
        let flight = answer.columns.get(FLIGHT).cloned().unwrap_or_default();
        flights.entry(flight).or_default().push((time_ms, query, answer));
    }
    let fly = |(name, mut frames): (String, Vec<(i64, &Query<'_>, &Answered)>)| {
        frames.sort_by(|a, b| (a.0, &a.2.file).cmp(&(b.0, &b.2.file)));
        fly(stages, &name, &frames, following)
    };
    flights.into_iter().map(fly).collect()
}

fn fly(
    stages: &Stages<'_>,
    name: &str,
    frames: &[(i64, &Query<'_>, &Answered)],
    following: &Following,
) -> anyhow::Result<Flight> {
    let mut tracks = Tracks::new(following.options, 1);
    let mut flight = Flight::with_capacity(frames.len());
    let mut before: Option<(f64, f64, i64)> = None;
    let start_ms = frames.first().map_or(0, |frame| frame.0);
    for (time_ms, query, answer) in frames {
        let started = Instant::now();
        let prior = tracks.window(name, *time_ms, &following.window);
        let mut ms = started.elapsed().as_secs_f64() * 1e3;
        let within = prior.and_then(|prior| observe_within(stages, query, prior));
        let within = within.filter(|(observation, _)| !observation.sightings.is_empty());
        let limited = within.is_some();
        let (observation, similar) = match within {
            Some(within) => within,
            None => (unlimited(query, answer)?, answer.nearest.iter().cloned().collect()),
        };
        let started = Instant::now();
        let estimate = tracks.observe(name, following.motion, observation).context("frames come in order")?;
        tracks.found(name, &similar, limited, &following.window);
        ms += started.elapsed().as_secs_f64() * 1e3;
        let truth = &query.pose.place;
        let at = estimate.position.map(|at| (at.lat_deg, at.lon_deg, *time_ms));
        let step = before.zip(at).map(|(a, b)| (distance_m(a.0, a.1, b.0, b.1), seconds(a.2, b.2)));
        before = at.or(before);
        flight.push(FollowedFrame {
            at_s: seconds(start_ms, *time_ms),
            outside: answer.outside,
            single_m: answer.judged.fix_m,
            best_m: answer.judged.reference_m.first().copied(),
            estimate,
            track_m: at.map(|at| distance_m(truth.lat_deg, truth.lon_deg, at.0, at.1)),
            step,
            limited,
            ms,
        });
    }
    Ok(flight)
}

/// What the answer that was published says to the track; of a frame that could not be worked on, that time goes by.
fn unlimited(query: &Query<'_>, answer: &Answered) -> anyhow::Result<Observation> {
    if let Some(observation) = &answer.observation {
        return Ok(observation.clone());
    }
    let time_ms = query.pose.place.captured_at_ms.context("frames have times")?;
    Ok(Observation::silent(&answer.file, time_ms))
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1e3
}
