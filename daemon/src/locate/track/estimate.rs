//! What a track publishes.

use serde::{Deserialize, Serialize};

use super::belief::Mode;
use super::options::TrackOptions;

/// What a track knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackState {
    /// No place has held yet.
    Acquiring,
    /// One place holds.
    Tracking,
    /// One place held, and does no more.
    Lost,
}

impl TrackState {
    /// The word that stands in messages and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acquiring => "acquiring",
            Self::Tracking => "tracking",
            Self::Lost => "lost",
        }
    }
}

/// Where a track is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackPosition {
    /// Latitude in WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude in WGS 84 degrees.
    pub lon_deg: f64,
    /// Radius of the circle around it in which 95 % of all weight lies, metres.
    pub radius_95_m: f64,
    /// Covariance of the place that holds: [east east, east north, north north], m².
    pub covariance_m2: [f64; 3],
    /// Share of all weight that the place holds.
    pub share: f64,
}

/// What a track says at the time of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackEstimate {
    /// What it knows.
    pub state: TrackState,
    /// Where it is; only while it is [`TrackState::Tracking`].
    pub position: Option<TrackPosition>,
}

impl TrackEstimate {
    /// A track of which nothing is known yet.
    pub const BLANK: Self = Self { state: TrackState::Acquiring, position: None };

    /// What follows from the heaviest place, after what was said `before`.
    pub(super) fn of(mode: Option<Mode>, before: Self, options: &TrackOptions) -> Self {
        let position = mode.and_then(|mode| held(&mode, options));
        let state = match (&position, before.state) {
            (Some(_), _) => TrackState::Tracking,
            (None, TrackState::Acquiring) => TrackState::Acquiring,
            (None, TrackState::Tracking | TrackState::Lost) => TrackState::Lost,
        };
        Self { state, position }
    }
}

/// The position of a place that holds enough of the weight within a small enough radius.
fn held(mode: &Mode, options: &TrackOptions) -> Option<TrackPosition> {
    if mode.share < options.hold_share {
        return None;
    }
    let radius_95_m = radius_m(mode.variances_m2, 0.95 / mode.share)?;
    let all_finite = [mode.lat_deg, mode.lon_deg, radius_95_m].into_iter().all(f64::is_finite);
    (all_finite && radius_95_m <= options.max_radius_m).then_some(TrackPosition {
        lat_deg: mode.lat_deg,
        lon_deg: mode.lon_deg,
        radius_95_m,
        covariance_m2: mode.covariance_m2,
        share: mode.share,
    })
}

/// Radius of the circle that holds `quantile` of a Gaussian with these variances, the larger one first; `None` where no
/// circle does. Exact where both are the same (a chi-square distribution of two degrees), a little too large elsewhere:
/// the squared quantile of one degree lies at least 2.1 below that of two from 0.95 on, and between the two ends it is
/// interpolated by the ratio of the variances.
fn radius_m((large, small): (f64, f64), quantile: f64) -> Option<f64> {
    if !(quantile > 0.0 && quantile < 1.0 && large > 0.0) {
        return None;
    }
    let of_two = -2.0 * (1.0 - quantile).ln();
    let of_one = (of_two - 2.1).max(0.0);
    Some((large * (of_one + (of_two - of_one) * small / large)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_radius_is_that_of_a_chi_square_and_not_too_small_between() {
        assert!((radius_m((1.0, 1.0), 0.95).unwrap() - 2.4477).abs() < 1e-3);
        // Exact values, by numerical integration: 1.960 for a line, 2.037 for axes of one to two.
        let line = radius_m((1.0, 0.0), 0.95).unwrap();
        assert!((1.960..2.0).contains(&line), "{line}");
        let between = radius_m((1.0, 0.25), 0.95).unwrap();
        assert!((2.037..2.2).contains(&between), "{between}");
        assert_eq!((radius_m((1.0, 1.0), 1.0), radius_m((0.0, 0.0), 0.95)), (None, None));
    }

    #[test]
    fn weight_that_lies_elsewhere_makes_the_radius_larger_until_there_is_none() {
        let mode = |share| Mode {
            lat_deg: 1.0,
            lon_deg: 2.0,
            share,
            variances_m2: (9.0, 9.0),
            covariance_m2: [9.0, 0.0, 9.0],
        };
        let options = TrackOptions { hold_share: 0.951, ..TrackOptions::default() };
        let radius = |share| held(&mode(share), &options).map(|position| position.radius_95_m);
        assert!(radius(0.96).unwrap() > radius(1.0).unwrap() && radius(0.95).is_none());
        let small = TrackOptions { max_radius_m: 5.0, ..options };
        assert!(held(&mode(1.0), &small).is_none());
    }
}
