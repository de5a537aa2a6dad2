//! `[track]`: how the frames of a camera are put together over time.

use serde::Deserialize;

use super::SettingsError;
use super::validation::Validation;
use crate::locate::track::{TrackOptions, WindowOptions};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TrackSection {
    enabled: bool,
    cameras: usize,
    hypotheses: usize,
    history: usize,
    candidates: usize,
    evidence: f64,
    repeated: f64,
    floor_nats: f64,
    clutter: f64,
    jumps_per_s: f64,
    leaves_per_s: f64,
    returns_per_s: f64,
    hold_share: f64,
    max_radius_m: f64,
    forget_after_s: f64,
    window: bool,
    window_min_m: f64,
    window_drop: f64,
}

impl Default for TrackSection {
    fn default() -> Self {
        let (usual, window) = (TrackOptions::default(), WindowOptions::default());
        Self {
            enabled: true,
            cameras: 64,
            hypotheses: usual.hypotheses,
            history: usual.history,
            candidates: usual.candidates,
            evidence: usual.evidence,
            repeated: usual.repeated,
            floor_nats: usual.floor_nats,
            clutter: usual.clutter,
            jumps_per_s: usual.jumps_per_s,
            leaves_per_s: usual.leaves_per_s,
            returns_per_s: usual.returns_per_s,
            hold_share: usual.hold_share,
            max_radius_m: usual.max_radius_m,
            forget_after_s: usual.forget_after_s,
            window: window.window,
            window_min_m: window.window_min_m,
            window_drop: window.window_drop,
        }
    }
}

/// How the frames of a camera are put together over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackSettings {
    /// What a track takes and when it speaks.
    pub options: TrackOptions,
    /// Whether and how it limits the search.
    pub window: WindowOptions,
    /// How many cameras may have a track at a time.
    pub cameras: usize,
}

impl Validation<'_> {
    pub(super) fn track(&self, track: &TrackSection) -> Result<Option<TrackSettings>, SettingsError> {
        let whole = |key: &str, value, least, most| self.within(&format!("track.{key}"), value, least, most);
        let number = |key: &str, value, least, most| self.within(&format!("track.{key}"), value, least, most);
        let options = TrackOptions {
            hypotheses: whole("hypotheses", track.hypotheses, 2, 256)?,
            history: whole("history", track.history, 1, 256)?,
            candidates: whole("candidates", track.candidates, 1, 1024)?,
            evidence: number("evidence", track.evidence, 1e-3, 1e3)?,
            repeated: number("repeated", track.repeated, 0.0, 1.0)?,
            floor_nats: number("floor_nats", track.floor_nats, 0.0, 1e3)?,
            clutter: number("clutter", track.clutter, 1e-6, 0.999)?,
            jumps_per_s: number("jumps_per_s", track.jumps_per_s, 1e-9, 10.0)?,
            leaves_per_s: number("leaves_per_s", track.leaves_per_s, 0.0, 10.0)?,
            returns_per_s: number("returns_per_s", track.returns_per_s, 1e-9, 10.0)?,
            hold_share: number("hold_share", track.hold_share, 0.951, 0.9999)?,
            max_radius_m: number("max_radius_m", track.max_radius_m, 1.0, 1e6)?,
            forget_after_s: number("forget_after_s", track.forget_after_s, 1.0, 86_400.0)?,
        };
        let window = WindowOptions {
            window: track.window,
            window_min_m: number("window_min_m", track.window_min_m, 1.0, 1e6)?,
            window_drop: number("window_drop", track.window_drop, 0.0, 2.0)?,
        };
        let cameras = whole("cameras", track.cameras, 1, 10_000)?;
        Ok(track.enabled.then_some(TrackSettings { options, window, cameras }))
    }
}
