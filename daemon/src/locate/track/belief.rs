//! All that is believed of one camera: hypotheses, and the weights of its being somewhere else and beyond the map.

use super::evidence::{Evidence, Seen};
use super::hypothesis::{Bell, Hypothesis};
use super::matrix::Vector;
use super::observation::Observation;
use super::options::{Motion, TrackOptions};
use super::plane::Plane;

/// Hypotheses with a smaller share of all weight are dropped.
const LEAST_SHARE: f64 = 1e-6;
/// Hypotheses whose means are nearer than this to one another, squared and in deviations, become one.
const SAME: f64 = 4.0;
/// The plane follows a track that is further from its origin, metres.
const PLANE_FITS_M: f64 = 20_000.0;
/// Within so many deviations of its centre all hypotheses are one mode.
const MODE_DEVIATIONS: f64 = 3.0;
/// A mode is at least this wide, metres, and as wide as so many times the extent of what was seen.
const LEAST_MODE_M: f64 = 10.0;
const MODE_OF_EXTENT: f64 = 3.0;
/// Modes whose weights differ by less than this are as good as one another.
const NEARLY: f64 = 0.99;
/// Relative and absolute deviation of a speed that comes with a frame.
const SPEED_SHARE: f64 = 0.1;
const SPEED_M_S: f64 = 0.5;

/// A sum of Gaussians, and beside it the weight `elsewhere` that is spread evenly over all places of the index, and the
/// weight `beyond` of the camera's being where there is no map. Weights, `elsewhere` and `beyond` sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Belief {
    plane: Plane,
    hypotheses: Vec<Hypothesis>,
    elsewhere: f64,
    beyond: f64,
    /// Extent of the newest sightings, metres.
    extent_m: f64,
}

/// The place around which most weight lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mode {
    pub(super) lat_deg: f64,
    pub(super) lon_deg: f64,
    /// Share of all weight that lies there.
    pub(super) share: f64,
    /// Variances along the axes of the ellipse, m², the larger one first.
    pub(super) variances_m2: (f64, f64),
    /// Covariance [east east, east north, north north], m².
    pub(super) covariance_m2: [f64; 3],
}

impl Belief {
    /// Nothing is known.
    pub(super) fn blank() -> Self {
        Self { plane: Plane::at(0.0, 0.0), hypotheses: Vec::new(), elsewhere: 1.0, beyond: 0.0, extent_m: 0.0 }
    }

    /// What is believed `dt_s` seconds later, once `observation` is there, which comes after `before`.
    pub(super) fn after(
        &self,
        dt_s: f64,
        observation: &Observation,
        before: Option<&Observation>,
        motion: &Motion,
        options: &TrackOptions,
    ) -> Self {
        let mut next = self.moved(dt_s, motion, options);
        next.take_hints(observation, motion);
        next.settle_plane(observation);
        let evidence = Evidence::of(observation, before, &next.plane, options);
        if evidence.beyond.is_some() {
            next.leave(dt_s, options);
        }
        if let Some(seen) = evidence.seen.first() {
            next.extent_m = seen.extent_m;
        }
        let speed_m_s = observation.speed_m_s.map_or(motion.speed_m_s, |speed| speed * 0.5_f64.sqrt() + SPEED_M_S);
        next.weigh(&evidence, speed_m_s, options);
        next
    }

    /// What is believed `dt_s` seconds later, as long as no frame comes. Each hypothesis goes on, or turns, or the camera
    /// is somewhere else.
    pub(super) fn moved(&self, dt_s: f64, motion: &Motion, options: &TrackOptions) -> Self {
        if dt_s <= 0.0 {
            return self.clone();
        }
        let jumped = -(-options.jumps_per_s * dt_s).exp_m1();
        let turned = -(-motion.turns_per_s * dt_s).exp_m1();
        let both = |one: &Hypothesis| {
            let weight = one.weight * (1.0 - jumped);
            let on = Hypothesis { weight: weight * (1.0 - turned), ..one.moved(dt_s, motion) };
            [on, Hypothesis { weight: weight * turned, ..one.turned(dt_s, motion.speed_m_s) }]
        };
        let hypotheses: Vec<Hypothesis> = self.hypotheses.iter().flat_map(both).collect();
        let elsewhere = self.elsewhere + (1.0 - self.elsewhere - self.beyond) * jumped;
        Self { hypotheses, elsewhere, ..self.clone() }
    }

    /// The camera leaves the map, or comes back to anywhere on it.
    fn leave(&mut self, dt_s: f64, options: &TrackOptions) {
        let left = -(-options.leaves_per_s * dt_s).exp_m1();
        let back = -(-options.returns_per_s * dt_s).exp_m1();
        for one in &mut self.hypotheses {
            one.weight *= 1.0 - left;
        }
        self.elsewhere = self.elsewhere * (1.0 - left) + self.beyond * back;
        self.beyond = self.beyond * (1.0 - back) + (1.0 - self.beyond) * left;
    }

    /// A velocity where the camera looks where it goes, else a speed.
    fn take_hints(&mut self, observation: &Observation, motion: &Motion) {
        let Some(speed) = observation.speed_m_s else { return };
        let deviation = SPEED_SHARE * speed + SPEED_M_S;
        let course =
            observation.heading_deg.zip(motion.looks_deg).map(|(heading, looks)| (heading - looks).to_radians());
        for hypothesis in &mut self.hypotheses {
            *hypothesis = match course {
                Some(course) => {
                    hypothesis.at_velocity(Vector::new(course.sin(), course.cos()) * speed, 2.0 * deviation)
                }
                None => hypothesis.at_speed(speed, deviation),
            };
        }
    }

    /// Puts the plane where the track is: at the first sighting of a track that has no hypothesis, and after a track that
    /// has gone far.
    fn settle_plane(&mut self, observation: &Observation) {
        let heaviest = self.hypotheses.iter().max_by(|a, b| a.weight.total_cmp(&b.weight));
        let to = match heaviest {
            None => observation.clues().next().map(|clue| (clue.sighting.lat_deg, clue.sighting.lon_deg)),
            Some(one) if one.position.length() > PLANE_FITS_M => Some(self.plane.unproject(one.position)),
            Some(_) => None,
        };
        let Some((lat_deg, lon_deg)) = to else { return };
        let plane = Plane::at(lat_deg, lon_deg);
        for one in &mut self.hypotheses {
            let (lat_deg, lon_deg) = self.plane.unproject(one.position);
            *one = one.carried(plane.project(lat_deg, lon_deg), self.plane.turn_to(&plane, one.position));
        }
        self.plane = plane;
    }

    /// Every hypothesis with every sighting and with none, and new hypotheses from elsewhere.
    fn weigh(&mut self, evidence: &Evidence, speed_m_s: f64, options: &TrackOptions) {
        let mut children: Vec<(f64, Hypothesis, Option<Seen>)> = Vec::new();
        for parent in &self.hypotheses {
            children.push((parent.weight * evidence.unseen, *parent, None));
            let mut bell: Option<((f64, f64), Bell)> = None;
            for seen in &evidence.seen {
                // References of an index are mostly of one size.
                let size = (seen.deviation_m, seen.extent_m);
                let (_, of_size) = match bell {
                    Some(known) if known.0 == size => known,
                    _ => *bell.insert((size, parent.bell(seen.deviation_m, seen.extent_m))),
                };
                let agreement = of_size.at(seen.place);
                if agreement > 0.0 {
                    children.push((parent.weight * seen.factor * agreement, *parent, Some(*seen)));
                }
            }
        }
        for seen in &evidence.seen {
            let weight = self.elsewhere * seen.factor / evidence.places;
            children.push((weight, Hypothesis::born(weight, seen.place, seen.deviation_m, speed_m_s), None));
        }
        let elsewhere = self.elsewhere * evidence.unseen;
        children.retain(|(weight, _, _)| weight.is_finite() && *weight > 0.0);
        let beyond = self.beyond * evidence.beyond.unwrap_or(1.0);
        let all = elsewhere + beyond + children.iter().map(|(weight, _, _)| weight).sum::<f64>();
        children.retain(|(weight, _, _)| *weight > LEAST_SHARE * all);
        children.sort_by(|(a, _, _), (b, _, _)| b.total_cmp(a));
        children.truncate(options.hypotheses.saturating_mul(6));
        let grown = children.into_iter().map(|(weight, parent, seen)| {
            let child = seen.map_or(parent, |seen| parent.at_place(seen.place, seen.deviation_m));
            Hypothesis { weight, ..child }
        });
        self.hypotheses = merge(grown.filter(Hypothesis::is_finite).collect(), options.hypotheses);
        self.elsewhere = elsewhere;
        self.beyond = beyond;
        self.normalise();
    }

    fn normalise(&mut self) {
        let all = self.elsewhere + self.beyond + self.hypotheses.iter().map(|one| one.weight).sum::<f64>();
        if !(all > 0.0 && all.is_finite()) {
            *self = Self { plane: self.plane, ..Self::blank() };
            return;
        }
        self.elsewhere /= all;
        self.beyond /= all;
        for one in &mut self.hypotheses {
            one.weight /= all;
        }
    }

    /// The place around which most weight lies; `None` as long as there is no hypothesis.
    pub(super) fn mode(&self) -> Option<Mode> {
        let reach = |centre: &Hypothesis| {
            let deviation_m = centre.pp.eigenvalues().0.sqrt();
            (MODE_DEVIATIONS * deviation_m).max(MODE_OF_EXTENT * self.extent_m).max(LEAST_MODE_M)
        };
        let held =
            |centre: &Hypothesis, reach_m: f64, one: &Hypothesis| (one.position - centre.position).length() <= reach_m;
        let around = |centre: &Hypothesis| -> f64 {
            let reach_m = reach(centre);
            self.hypotheses.iter().filter(|one| held(centre, reach_m, one)).map(|one| one.weight).sum()
        };
        let weights: Vec<(f64, &Hypothesis)> = self.hypotheses.iter().map(|centre| (around(centre), centre)).collect();
        let most = weights.iter().map(|(weight, _)| *weight).fold(0.0, f64::max);
        // Of those around which nearly the same weight lies, the one that takes the least ground for it.
        let good = weights.into_iter().filter(|(weight, _)| *weight >= NEARLY * most).map(|(_, centre)| centre);
        let centre = good.min_by(|a, b| reach(a).total_cmp(&reach(b)))?;
        let reach_m = reach(centre);
        let whole = Hypothesis::merged(self.hypotheses.iter().filter(|one| held(centre, reach_m, one)))?;
        let (lat_deg, lon_deg) = self.plane.unproject(whole.position);
        // Along the axes of the place itself, not of the plane's origin.
        let pp = whole.pp;
        let turn = self.plane.turn_to(&Plane::at(lat_deg, lon_deg), whole.position);
        let here = (turn * pp * turn.transposed()).covariance(0.0);
        Some(Mode {
            lat_deg,
            lon_deg,
            share: whole.weight.min(1.0),
            variances_m2: pp.eigenvalues(),
            covariance_m2: [here.ee, here.en, here.nn],
        })
    }

    /// Number of hypotheses.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.hypotheses.len()
    }
}

/// At most `most` hypotheses: each of the heaviest with all lighter ones that say nearly the same; what is left over then
/// is dropped, which is the lightest.
fn merge(sorted: Vec<Hypothesis>, most: usize) -> Vec<Hypothesis> {
    let mut merged = Vec::with_capacity(most);
    let mut rest = sorted;
    while let Some(centre) = rest.first().copied() {
        if merged.len() >= most {
            break;
        }
        let distance = centre.distance();
        let (same, others): (Vec<Hypothesis>, Vec<Hypothesis>) =
            rest.into_iter().partition(|one| distance(one) <= SAME);
        // The centre is always among them, unless its numbers are beyond arithmetic.
        merged.extend(Hypothesis::merged(same.iter()));
        if same.is_empty() {
            break;
        }
        rest = others;
    }
    merged
}
