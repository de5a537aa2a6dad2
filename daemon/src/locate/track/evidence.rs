//! How likely a frame is, from each place of the plane.

use super::matrix::Vector;
use super::observation::{Observation, Sighting};
use super::options::TrackOptions;
use super::plane::Plane;

/// Nats by which the best candidate may lead the last one.
const LARGEST_NATS: f64 = 60.0;
/// No frame is more likely than so many times as much from beyond the map, or from the map: calibrations know flights
/// like theirs.
const MOST_BEYOND: f64 = 20.0;
/// Sightings nearer than this to one another are of one reference, degrees (0.1 m).
const SAME_DEG: f64 = 1e-6;

/// A sighting with its share in the frame's evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clue {
    pub(super) sighting: Sighting,
    pub(super) share: f64,
}

/// A place of the plane that a frame may show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    pub(super) place: Vector,
    pub(super) deviation_m: f64,
    pub(super) extent_m: f64,
    /// How many times as likely the frame is from there as from a place drawn at random.
    pub(super) factor: f64,
}

/// The likelihood of a frame by place, relative to a place drawn at random.
///
/// By the frame alone, place i of the N of the index has probability exp(l_i) / Z, where l_i is its log weight, and those
/// that are no candidates share what is left at the level of the last candidate less `floor_nats`. With probability
/// `clutter` the frame says nothing at all. So no frame can rule a place out, and none can be sure of one.
/// Beyond the map it is as many times as likely as the calibration says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    pub(super) seen: Vec<Seen>,
    /// The likelihood from any other place.
    pub(super) unseen: f64,
    /// The likelihood from beyond the map, where a calibration says it.
    pub(super) beyond: Option<f64>,
    /// Number of places of the index, at least 1.
    pub(super) places: f64,
}

impl Evidence {
    /// What `observation` says after `before`, the one before it in time: where both have the same candidates, it says
    /// little that is new.
    pub(super) fn of(
        observation: &Observation,
        before: Option<&Observation>,
        plane: &Plane,
        options: &TrackOptions,
    ) -> Self {
        let clues = shares(observation, options.evidence);
        let places = (observation.places.max(clues.len()) as f64).max(1.0);
        let sound = observation.beyond.filter(|beyond| !beyond.is_nan());
        let beyond = sound.map(|beyond| beyond.clamp(1.0 / MOST_BEYOND, MOST_BEYOND));
        if clues.is_empty() {
            return Self { seen: Vec::new(), unseen: 1.0, beyond, places };
        }
        let alike = before.map_or(0.0, |before| overlap(&clues, &shares(before, options.evidence)));
        let counts = options.evidence * (1.0 - options.repeated * alike);
        let least = clues.iter().map(|clue| clue.sighting.log_weight).fold(f64::INFINITY, f64::min);
        let weight = |clue: &Clue| (counts * (clue.sighting.log_weight - least)).min(LARGEST_NATS).exp();
        let floor = (-counts * options.floor_nats).exp();
        let all = clues.iter().map(weight).sum::<f64>() + (places - clues.len() as f64) * floor;
        let gain = (1.0 - options.clutter) * places / all;
        let seen = |clue: &Clue| Seen {
            place: plane.project(clue.sighting.lat_deg, clue.sighting.lon_deg),
            deviation_m: clue.sighting.deviation_m,
            extent_m: clue.sighting.extent_m,
            factor: gain * weight(clue),
        };
        Self { seen: clues.iter().map(seen).collect(), unseen: gain * floor + options.clutter, beyond, places }
    }
}

/// The sound sightings of a frame with their shares in the weight of all.
fn shares(observation: &Observation, evidence: f64) -> Vec<Clue> {
    let mut clues: Vec<Clue> = observation.clues().collect();
    let best = clues.iter().map(|clue| clue.sighting.log_weight).fold(f64::NEG_INFINITY, f64::max);
    let mut all = 0.0;
    for clue in &mut clues {
        clue.share = (evidence * (clue.sighting.log_weight - best)).exp();
        all += clue.share;
    }
    for clue in &mut clues {
        clue.share /= all;
    }
    clues
}

/// How much of the evidence of two frames is for the same references, in [0, 1].
fn overlap(a: &[Clue], b: &[Clue]) -> f64 {
    let same = |a: &Sighting, b: &Sighting| {
        (a.lat_deg - b.lat_deg).abs() < SAME_DEG && (a.lon_deg - b.lon_deg).abs() < SAME_DEG
    };
    let common = |clue: &Clue| {
        b.iter().find(|other| same(&clue.sighting, &other.sighting)).map_or(0.0, |other| clue.share.min(other.share))
    };
    a.iter().map(common).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(weights: &[f64]) -> Observation {
        let sighting = |(row, log_weight): (usize, &f64)| Sighting {
            lat_deg: 50.0 + row as f64 * 0.01,
            lon_deg: 8.0,
            log_weight: *log_weight,
            deviation_m: 25.0,
            extent_m: 25.0,
        };
        let sightings = weights.iter().enumerate().map(sighting).collect();
        Observation {
            id: String::new(),
            time_ms: 0,
            sightings,
            places: 100,
            beyond: None,
            speed_m_s: None,
            heading_deg: None,
        }
    }

    fn evidence(observation: &Observation, before: Option<&Observation>) -> Evidence {
        Evidence::of(observation, before, &Plane::at(50.0, 8.0), &TrackOptions::default())
    }

    #[test]
    fn over_all_places_the_likelihood_is_one() {
        let evidence = evidence(&observation(&[0.0, -1.0, -3.0]), None);
        let clutter = TrackOptions::default().clutter;
        let seen: f64 = evidence.seen.iter().map(|seen| seen.factor + clutter).sum();
        assert!(((seen + 97.0 * evidence.unseen) / 100.0 - 1.0).abs() < 1e-9, "{evidence:?}");
        assert!(evidence.unseen >= clutter);
    }

    #[test]
    fn a_frame_that_says_nothing_changes_nothing_and_bad_numbers_are_passed_over() {
        let nothing = evidence(&observation(&[]), None);
        assert_eq!((nothing.seen.len(), nothing.unseen), (0, 1.0));
        let bad = evidence(&observation(&[f64::NAN, 0.0, f64::INFINITY, -1e300]), None);
        assert_eq!(bad.seen.len(), 2);
        assert!(bad.seen.iter().all(|seen| seen.factor.is_finite()), "{bad:?}");
    }

    #[test]
    fn the_same_candidates_again_say_less() {
        let first = observation(&[0.0, -4.0]);
        let (fresh, again) = (evidence(&first, None), evidence(&first, Some(&first)));
        let lead = |evidence: &Evidence| evidence.seen[0].factor / evidence.unseen;
        assert!(lead(&again) < lead(&fresh) / 5.0, "{fresh:?} {again:?}");
    }
}
