//! Judges whose answers are known.

use std::cell::Cell;
use std::time::Duration;

use super::{Judge, Stop};

/// Milliseconds that each answer takes.
pub(super) const ANSWER_MS: f64 = 100.0;

/// Answers by the difference of merits, times a gain, plus a position bias, until it breaks.
pub(super) struct ByMerit<'a> {
    pub(super) merits: &'a [f64],
    pub(super) gain: f64,
    pub(super) bias: f64,
    /// Whatever it is asked as the call of this number, counted from 0, it gives this instead of an answer.
    pub(super) breaks: Option<(usize, Broken)>,
    pub(super) clock: &'a Cell<f64>,
    pub(super) calls: usize,
}

/// How a judge breaks.
#[derive(Debug, Clone)]
pub(super) enum Broken {
    NotANumber,
    Stops(Stop),
}

impl<'a> ByMerit<'a> {
    /// Always right, and sure of it.
    pub(super) fn perfect(merits: &'a [f64], clock: &'a Cell<f64>) -> Self {
        Self { merits, gain: 20.0, bias: 0.0, breaks: None, clock, calls: 0 }
    }

    pub(super) fn elapsed(clock: &Cell<f64>) -> Duration {
        Duration::from_secs_f64(clock.get() / 1e3)
    }

    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    fn answer(&mut self, margin: f64) -> Result<f32, Stop> {
        self.clock.set(self.clock.get() + ANSWER_MS);
        self.calls += 1;
        match &self.breaks {
            Some((call, broken)) if *call + 1 == self.calls => match broken {
                Broken::NotANumber => Ok(f32::NAN),
                Broken::Stops(stop) => Err(stop.clone()),
            },
            _ => Ok(margin as f32),
        }
    }
}

impl Judge for ByMerit<'_> {
    fn pair(&mut self, first: usize, second: usize) -> Result<f32, Stop> {
        assert_ne!(first, second, "a candidate is never compared with itself");
        self.answer(self.gain * (self.merits[first] - self.merits[second]) + self.bias)
    }

    fn yes_no(&mut self, candidate: usize) -> Result<f32, Stop> {
        self.answer(self.gain * self.merits[candidate])
    }

    fn score(&mut self, candidate: usize) -> Result<f32, Stop> {
        self.answer(self.merits[candidate])
    }

    fn list(&mut self, candidates: &[usize]) -> Result<Vec<f32>, Stop> {
        let first = self.answer(self.gain * self.merits[candidates[0]])?;
        #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
        let rest = candidates[1..].iter().map(|&candidate| (self.gain * self.merits[candidate]) as f32);
        Ok([first].into_iter().chain(rest).collect())
    }

    fn list_limit(&self) -> usize {
        4
    }

    fn probe(&mut self, leader: usize, _dissimilar: usize, leader_first: bool) -> Result<f32, Stop> {
        let bias = if leader_first { self.bias } else { -self.bias };
        self.answer(self.gain * (self.merits[leader] + 1.0) + bias)
    }
}
