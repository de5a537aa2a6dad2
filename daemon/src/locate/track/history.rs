//! The track of one camera: what was believed after each of its newest frames, so that it can be believed anew.

use std::collections::VecDeque;

use super::belief::{Belief, Mode};
use super::estimate::TrackEstimate;
use super::observation::Observation;
use super::options::{Motion, TrackOptions};

/// So many frames in a row that are older than all that is remembered begin a track anew: the clock was set back.
const OLD_FRAMES_IN_A_ROW: usize = 5;

/// A frame with what is believed after it.
#[derive(Debug, Clone)]
struct Step {
    observation: Observation,
    belief: Belief,
    estimate: TrackEstimate,
}

/// The track of one camera.
///
/// Frames are taken in by their capture time: one that comes late, or a revision of one that is there (the same name and
/// time), is put where it belongs and everything after it is believed anew, as long as it is not older than all that is remembered
/// ([`TrackOptions::history`] frames). The same frames give the same track in whatever order they come within those.
#[derive(Debug, Clone)]
pub struct Track {
    motion: Motion,
    options: TrackOptions,
    /// What was believed before the first step, and when.
    base: Option<Step>,
    steps: VecDeque<Step>,
    old_in_a_row: usize,
}

impl Track {
    /// A track of which nothing is known.
    pub fn new(motion: Motion, options: TrackOptions) -> Self {
        Self { motion, options, base: None, steps: VecDeque::new(), old_in_a_row: 0 }
    }

    /// Takes in a frame, or its revision, and says where the camera was when it was taken. `None` for a frame that is
    /// older than all that is remembered: it changes nothing.
    pub fn observe(&mut self, observation: Observation) -> Option<TrackEstimate> {
        let same =
            |step: &Step| step.observation.id == observation.id && step.observation.time_ms == observation.time_ms;
        let at = match self.steps.iter().position(same) {
            Some(at) => at,
            None => self.insert(&observation)?,
        };
        let estimate = self.put(at, observation);
        while self.steps.len() > self.options.history.max(1) {
            self.base = self.steps.pop_front();
        }
        estimate
    }

    /// Takes in what is said anew of a frame that is there, by its name, and says where the camera was when it was taken;
    /// the time of the revision does not count. `None` for a frame that is not remembered.
    pub fn revise(&mut self, observation: Observation) -> Option<TrackEstimate> {
        let at = self.steps.iter().rposition(|step| step.observation.id == observation.id)?;
        let time_ms = self.steps.get(at)?.observation.time_ms;
        self.put(at, Observation { time_ms, ..observation })
    }

    fn put(&mut self, at: usize, observation: Observation) -> Option<TrackEstimate> {
        self.steps.get_mut(at)?.observation = observation;
        self.believe_from(at);
        self.steps.get(at).map(|step| step.estimate)
    }

    /// What the track said after its newest frame.
    pub fn latest(&self) -> TrackEstimate {
        self.newest().map_or(TrackEstimate::BLANK, |step| step.estimate)
    }

    /// Time of the newest frame, Unix milliseconds.
    pub fn newest_ms(&self) -> Option<i64> {
        self.newest().map(|step| step.observation.time_ms)
    }

    /// Where the camera will be at `time_ms`, if one place holds now and still does then.
    pub(super) fn predicted(&self, time_ms: i64) -> Option<Mode> {
        let step = self.newest()?;
        step.estimate.position?;
        let dt_s = seconds(step.observation.time_ms, time_ms);
        if dt_s > self.options.forget_after_s {
            return None;
        }
        step.belief.moved(dt_s, &self.motion, &self.options).mode()
    }

    fn newest(&self) -> Option<&Step> {
        self.steps.back().or(self.base.as_ref())
    }

    /// Makes room for a frame where it belongs; `None` when that is before all that is remembered.
    fn insert(&mut self, observation: &Observation) -> Option<usize> {
        let time_ms = observation.time_ms;
        let base = self.base.as_ref().map(|base| &base.observation);
        if base.is_some_and(|base| base.id == observation.id && base.time_ms == time_ms) {
            return None;
        }
        if base.is_some_and(|base| time_ms < base.time_ms) {
            self.old_in_a_row += 1;
            if self.old_in_a_row < OLD_FRAMES_IN_A_ROW {
                return None;
            }
            *self = Self::new(self.motion, self.options);
        }
        self.old_in_a_row = 0;
        // Frames of one time stand in the order of their names, so that the order of arrival does not matter.
        let before = |step: &Step| (step.observation.time_ms, &step.observation.id) < (time_ms, &observation.id);
        let at = self.steps.partition_point(before);
        let (belief, estimate) = (Belief::blank(), TrackEstimate::BLANK);
        self.steps.insert(at, Step { observation: observation.clone(), belief, estimate });
        Some(at)
    }

    /// Believes anew what the frames from `at` on say.
    fn believe_from(&mut self, at: usize) {
        for index in at..self.steps.len() {
            let before = index.checked_sub(1).and_then(|index| self.steps.get(index)).or(self.base.as_ref());
            let Some(step) = self.steps.get(index) else { return };
            let (belief, estimate) = self.step(before, &step.observation);
            if let Some(step) = self.steps.get_mut(index) {
                step.belief = belief;
                step.estimate = estimate;
            }
        }
    }

    fn step(&self, before: Option<&Step>, observation: &Observation) -> (Belief, TrackEstimate) {
        let (motion, options) = (&self.motion, &self.options);
        let said = before.map_or(TrackEstimate::BLANK, |step| step.estimate);
        let dt_s = before.map_or(0.0, |step| seconds(step.observation.time_ms, observation.time_ms));
        let remembered = before.filter(|_| dt_s <= options.forget_after_s);
        let blank = Belief::blank();
        let from = remembered.map_or(&blank, |step| &step.belief);
        let since = remembered.map(|step| &step.observation);
        let belief = from.after(dt_s, observation, since, motion, options);
        let estimate = TrackEstimate::of(belief.mode(), said, options);
        (belief, estimate)
    }

    /// Number of hypotheses of the newest belief.
    #[cfg(test)]
    pub(super) fn hypotheses(&self) -> usize {
        self.newest().map_or(0, |step| step.belief.len())
    }
}

/// Seconds from one time to a later one, not below 0.
fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms).max(0) as f64 / 1e3
}
