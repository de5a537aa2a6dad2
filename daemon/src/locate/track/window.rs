//! Where to search next: around where the track says that the camera is, and everywhere when that fails.

use std::collections::VecDeque;

use super::history::Track;
use crate::locate::{Candidate, Prior};

/// How far the search reaches beyond the deviation of the track, in deviations.
const DEVIATIONS: f64 = 4.0;
/// How many best similarities tell what is usual for a camera.
const REMEMBERED: usize = 32;
/// So many are needed before a search is limited.
const LEAST_KNOWN: usize = 8;
/// After so many widenings the search is global.
const WIDENINGS: u32 = 3;

/// Whether and how a track limits the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowOptions {
    /// Whether it does.
    pub window: bool,
    /// The smallest radius of a window, metres: several references must lie in it.
    pub window_min_m: f64,
    /// By how much the best similarity may fall below its usual value before the window is widened.
    pub window_drop: f64,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self { window: false, window_min_m: 300.0, window_drop: 0.1 }
    }
}

/// The window of one camera.
///
/// A search in it fails when the best similarity is notably below what is usual for this camera, or when the track does
/// not hold any more. Each failure doubles the radius, the third makes the search global until a place holds again; each
/// success brings it back.
#[derive(Debug, Clone, Default)]
pub struct Window {
    failures: u32,
    usual: VecDeque<f32>,
}

impl Window {
    /// Where to search for the frame that was taken at `time_ms`; `None` for everywhere.
    pub fn next(&self, track: &Track, time_ms: i64, options: &WindowOptions) -> Option<Prior> {
        if !options.window || self.failures >= WIDENINGS || self.usual.len() < LEAST_KNOWN {
            return None;
        }
        let mode = track.predicted(time_ms)?;
        let (large, _) = mode.variances_m2;
        let widened = f64::from(2_u32.saturating_pow(self.failures));
        let radius_m = (DEVIATIONS * large.sqrt()).max(options.window_min_m) * widened;
        Prior::new(mode.lat_deg, mode.lon_deg, radius_m).ok()
    }

    /// Notes what was found: `limited` tells whether the search was limited by this window, `holds` whether the track
    /// holds after it.
    pub fn found(&mut self, similar: &[Candidate], limited: bool, holds: bool, options: &WindowOptions) {
        let best = similar.first().map(|best| best.similarity);
        let usual = self.usual_similarity();
        let is_low = match (best, usual) {
            (Some(best), Some(usual)) => f64::from(best) < f64::from(usual) - options.window_drop,
            (best, _) => best.is_none(),
        };
        if limited && (is_low || !holds) {
            self.failures = self.failures.saturating_add(1);
        } else if holds && !is_low {
            self.failures = 0;
        }
        // A search in a window can only find less: what is usual is learned from global ones, and from those that hold.
        if let Some(best) = best.filter(|best| best.is_finite() && (!limited || !is_low)) {
            self.usual.push_back(best);
            if self.usual.len() > REMEMBERED {
                self.usual.pop_front();
            }
        }
    }

    /// The median of the newest best similarities.
    fn usual_similarity(&self) -> Option<f32> {
        let mut sorted: Vec<f32> = self.usual.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}
