//! What a track is told of its camera, and what it may take.

use serde::{Deserialize, Serialize};

/// How a camera is carried, and so how it moves and what it looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraKind {
    /// Looks down from a drone or an aircraft; its heading says nothing about the course.
    #[default]
    Nadir,
    /// Looks ahead from a vehicle: it moves where it looks.
    Forward,
    /// Carried by a person.
    Handheld,
}

impl CameraKind {
    /// The fastest that such a camera usually moves, metres per second.
    pub fn usual_max_speed_m_s(self) -> f64 {
        match self {
            Self::Nadir => 25.0,
            Self::Forward => 40.0,
            Self::Handheld => 3.0,
        }
    }
}

/// How a camera moves: its velocity wanders (an Ornstein-Uhlenbeck process, R. Singer, "Estimating Optimal Tracking
/// Filter Performance for Manned Maneuvering Targets", 1970, with velocity in the place of acceleration), and now and
/// then is another one at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// Standard deviation of the velocity along each axis, metres per second, positive.
    pub speed_m_s: f64,
    /// How long a velocity lasts, seconds, positive.
    pub persistence_s: f64,
    /// How often the velocity becomes another one at once, as at the end of a lane, per second, not negative.
    pub turns_per_s: f64,
    /// Degrees clockwise from the course to the heading of the camera, where it looks along the way it goes; `None` where
    /// a heading says nothing about the course.
    pub looks_deg: Option<f64>,
}

impl Motion {
    /// The motion of a camera of this kind that moves at most so fast, which is taken as 2.5 standard deviations.
    pub fn of(kind: CameraKind, max_speed_m_s: f64) -> Self {
        let (persistence_s, turns_per_s) = match kind {
            CameraKind::Nadir => (60.0, 0.03),
            CameraKind::Forward => (20.0, 0.03),
            CameraKind::Handheld => (5.0, 0.05),
        };
        let looks_deg = (kind == CameraKind::Forward).then_some(0.0);
        Self { speed_m_s: max_speed_m_s / 2.5, persistence_s, turns_per_s, looks_deg }
    }
}

impl Default for Motion {
    fn default() -> Self {
        let kind = CameraKind::default();
        Self::of(kind, kind.usual_max_speed_m_s())
    }
}

/// What tracks take and when they speak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackOptions {
    /// How many hypotheses a track holds at most, in 2..=256.
    pub hypotheses: usize,
    /// How many of its newest frames a track can still take a revision or a late frame before, in 1..=256.
    pub history: usize,
    /// How many candidates of a frame are looked at, in 1..=1024: more than are fused, since where the place of a frame
    /// stands far down in its list, the frames around it tell it from the others.
    pub candidates: usize,
    /// What one nat of a candidate's log weight counts, positive.
    pub evidence: f64,
    /// Share of its evidence that a frame loses when its candidates are those of the frame before, in [0, 1]: frames
    /// that look alike say one thing, not two.
    pub repeated: f64,
    /// By how many nats a place that is no candidate is less likely than the last candidate, not negative.
    pub floor_nats: f64,
    /// How often the candidates of a frame say nothing about its place, in (0, 1).
    pub clutter: f64,
    /// How often the camera is somewhere else at once (carried, restarted), per second, positive.
    pub jumps_per_s: f64,
    /// How often the camera leaves the map, per second, not negative; counts only where a calibration says how likely
    /// frames show mapped ground.
    pub leaves_per_s: f64,
    /// How often it comes back, per second, positive.
    pub returns_per_s: f64,
    /// Share of all weight that one place must hold for a position to be published, in [0.951, 1).
    pub hold_share: f64,
    /// A position is not published whose `radius_95_m` is larger, metres.
    pub max_radius_m: f64,
    /// A gap between frames that is longer than this begins a track anew, seconds.
    pub forget_after_s: f64,
}

impl Default for TrackOptions {
    fn default() -> Self {
        Self {
            hypotheses: 96,
            history: 16,
            candidates: 64,
            evidence: 1.0,
            repeated: 0.9,
            floor_nats: 2.0,
            clutter: 0.1,
            jumps_per_s: 0.002,
            leaves_per_s: 0.02,
            returns_per_s: 0.02,
            hold_share: 0.96,
            max_radius_m: 250.0,
            forget_after_s: 120.0,
        }
    }
}
