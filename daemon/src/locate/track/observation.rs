//! What one frame says to the track of its camera.

use super::evidence::Clue;
use crate::locate::fuse::log_weights;
use crate::locate::{Frame, FuseOptions, Hints, Outcome, Pipeline, Prediction};

/// No sighting is more exact than this, metres.
const LEAST_DEVIATION_M: f64 = 1.0;

/// A place that a frame may show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Latitude in WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude in WGS 84 degrees.
    pub lon_deg: f64,
    /// Logarithm of its weight among the candidates of the frame, in nats; only differences count.
    pub log_weight: f64,
    /// How far the camera may be from there along each axis, one standard deviation in metres, positive.
    pub deviation_m: f64,
    /// How far the ground that it shows reaches from there, metres, positive.
    pub extent_m: f64,
}

/// All that one frame says to the track of its camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Name of the frame; a later observation of the same name and time revises this one.
    pub id: String,
    /// When it was taken, Unix milliseconds; by arrival where nobody said so.
    pub time_ms: i64,
    /// Its candidates. None where the frame says nothing, as of one that could not be read.
    pub sightings: Vec<Sighting>,
    /// Number of places among which these candidates were chosen: the references of the index.
    pub places: usize,
    /// How many times as likely the frame is from ground beyond the map as from mapped ground, not negative; absent where
    /// no calibration says it.
    pub beyond: Option<f64>,
    /// Speed over ground in metres per second, where it is known.
    pub speed_m_s: Option<f64>,
    /// Heading of the camera in degrees clockwise from true north, where it is known.
    pub heading_deg: Option<f64>,
}

impl Observation {
    /// What a frame says that could not be worked on: that time goes by.
    pub fn silent(id: &str, time_ms: i64) -> Self {
        let (id, sightings) = (id.to_owned(), Vec::new());
        Self { id, time_ms, sightings, places: 0, beyond: None, speed_m_s: None, heading_deg: None }
    }

    /// What `prediction` says of `frame`, taken at `time_ms`: its first `most` candidates with the weights with which
    /// they are fused. Of a frame without a fix for which its candidates are not to blame (it could not be read) nothing
    /// is said but that time goes by.
    pub fn of(frame: &Frame, time_ms: i64, prediction: &Prediction, scale: &Scale<'_>) -> Self {
        let Hints { speed_mps, heading_deg, .. } = frame.hints;
        let finite = |value: Option<f32>| value.map(f64::from).filter(|value| value.is_finite());
        let silent = matches!(prediction.outcome, Outcome::Error(_));
        Self {
            id: frame.id.clone(),
            time_ms,
            sightings: if silent { Vec::new() } else { sightings(prediction, scale) },
            places: scale.places,
            beyond: if silent { None } else { beyond(prediction, scale) },
            speed_m_s: finite(speed_mps).filter(|speed| *speed >= 0.0),
            heading_deg: finite(heading_deg),
        }
    }

    pub(super) fn clues(&self) -> impl Iterator<Item = Clue> + '_ {
        let sound = |sighting: &&Sighting| {
            (-90.0..=90.0).contains(&sighting.lat_deg)
                && sighting.lon_deg.is_finite()
                && sighting.log_weight.is_finite()
                && sighting.deviation_m > 0.0
                && sighting.deviation_m.is_finite()
                && sighting.extent_m > 0.0
                && sighting.extent_m.is_finite()
        };
        self.sightings.iter().filter(sound).map(|sighting| Clue { sighting: *sighting, share: 0.0 })
    }
}

/// How candidates become sightings.
#[derive(Debug, Clone, Copy)]
pub struct Scale<'a> {
    /// How candidates are fused.
    pub fuse: &'a FuseOptions,
    /// How many references the index holds.
    pub places: usize,
    /// How many candidates are looked at.
    pub most: usize,
    /// Share of frames of mapped ground among those that the calibration was fitted on, where there is one that tells
    /// them apart.
    pub mapped_share: Option<f64>,
}

impl<'a> Scale<'a> {
    /// What `pipeline` answers with, of whose candidates the first `most` are looked at.
    pub fn of(pipeline: &'a Pipeline, most: usize) -> Self {
        let mapped_share = pipeline.calibrated().and_then(|calibrated| calibrated.mapped_share);
        Self { fuse: pipeline.fuse_options(), places: pipeline.shards().len(), most, mapped_share }
    }
}

/// The calibration's odds that the ground of a frame is not mapped, less what its own frames had for odds before anything
/// was seen: by Bayes' rule, how likely the frame is from there by how likely it is from the map.
fn beyond(prediction: &Prediction, scale: &Scale<'_>) -> Option<f64> {
    let (mapped, share) = prediction.certainty?.mapped.zip(scale.mapped_share)?;
    let odds = |p: f64| (1.0 - p) / p;
    Some(odds(mapped) / odds(share)).filter(|beyond| !beyond.is_nan())
}

/// Candidates with their weights, and as far from the camera as their extent says, or as a calibration found such to be.
/// Those of a reranking that counts weigh as that says; further ones, of which it says
/// nothing, weigh as the retrieval does, and not more than the least of those.
fn sightings(prediction: &Prediction, scale: &Scale<'_>) -> Vec<Sighting> {
    let Prediction { similar, further, dissimilar, .. } = prediction;
    let all: Vec<_> = similar.iter().chain(further).take(scale.most).cloned().collect();
    let mut weights = log_weights(&all, dissimilar, scale.fuse.sharpness);
    let p = prediction.reranking.as_ref().map_or(&[] as &[f64], |reranking| reranking.p.as_slice());
    let ranked: Vec<f64> = p.iter().take(weights.len()).map(|p| p.max(f64::MIN_POSITIVE).ln()).collect();
    if let Some(least) = ranked.iter().copied().reduce(f64::min) {
        let best_of_rest = weights.iter().skip(ranked.len()).copied().fold(f64::NEG_INFINITY, f64::max);
        let lower = if best_of_rest.is_finite() { (best_of_rest - least).max(0.0) } else { 0.0 };
        for weight in weights.iter_mut().skip(ranked.len()) {
            *weight -= lower;
        }
        for (weight, ranked) in weights.iter_mut().zip(ranked) {
            *weight = ranked;
        }
    }
    let spread = prediction.certainty.map_or(1.0, |certainty| certainty.spread);
    let sighting = |(candidate, log_weight): (&crate::locate::Candidate, f64)| {
        let (lat_deg, lon_deg) = candidate.puts_at();
        let extent_m = candidate.extent_m.unwrap_or(scale.fuse.same_place_m / 2.0).max(LEAST_DEVIATION_M);
        let deviation_m = (extent_m * spread).max(LEAST_DEVIATION_M);
        Sighting { lat_deg, lon_deg, log_weight, deviation_m, extent_m }
    };
    all.iter().zip(weights).map(sighting).collect()
}
