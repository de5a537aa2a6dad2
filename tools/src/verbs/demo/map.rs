//! Where everything lies on the map of the page and of the picture: metres to the right and down.

use super::frame::Flown;
use super::outcome::Outcome;
use super::plan::Ground;

/// Metres of a degree of latitude on the sphere that distances are measured on.
const METRES_PER_DEGREE: f64 = 6_371_008.8 * std::f64::consts::PI / 180.0;
/// Share of the longer side that stays free around everything.
const MARGIN: f64 = 0.03;
/// Least side: a map of a single point is of no use.
const LEAST_M: f64 = 50.0;

/// The part of the globe that is shown, small enough to be flat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MapFrame {
    north_deg: f64,
    west_deg: f64,
    metres_per_lon: f64,
    /// From west to east.
    pub(super) width_m: f64,
    /// From north to south.
    pub(super) height_m: f64,
}

impl MapFrame {
    /// What shows the ground, all frames and all fixes.
    pub(super) fn around(frames: &[Flown], ground: Option<&Ground>) -> Self {
        let of_ground = ground.into_iter();
        let corners = of_ground.flat_map(|at| [(at.north_deg, at.west_deg), (at.south_deg, at.east_deg)]);
        let truths = frames.iter().map(|frame| (frame.lat_deg, frame.lon_deg));
        let fixes = frames.iter().filter_map(|frame| frame.last()?.position());
        let places: Vec<(f64, f64)> = corners.chain(truths).chain(fixes).collect();
        let span = |pick: fn(&(f64, f64)) -> f64| {
            let values = places.iter().map(pick);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        let ((south, north), (west, east)) = (span(|at| at.0), span(|at| at.1));
        if places.is_empty() {
            let (width_m, height_m) = (LEAST_M, LEAST_M);
            return Self { north_deg: 0.0, west_deg: 0.0, metres_per_lon: METRES_PER_DEGREE, width_m, height_m };
        }
        let metres_per_lon = METRES_PER_DEGREE * ((south + north) * 0.5).to_radians().cos().max(1e-6);
        let (width_m, height_m) = ((east - west) * metres_per_lon, (north - south) * METRES_PER_DEGREE);
        let margin_m = width_m.max(height_m) * MARGIN + LEAST_M * 0.5;
        Self {
            north_deg: north + margin_m / METRES_PER_DEGREE,
            west_deg: west - margin_m / metres_per_lon,
            metres_per_lon,
            width_m: width_m + margin_m * 2.0,
            height_m: height_m + margin_m * 2.0,
        }
    }

    /// Metres to the right and down of a position in degrees.
    pub(super) fn at(&self, lat_deg: f64, lon_deg: f64) -> [f64; 2] {
        [(lon_deg - self.west_deg) * self.metres_per_lon, (self.north_deg - lat_deg) * METRES_PER_DEGREE]
    }

    /// Half the size of a mark, in metres.
    pub(super) fn mark_m(&self) -> f64 {
        self.width_m.max(self.height_m) / 165.0
    }

    /// A round length of about a fifth of the width, for a scale.
    pub(super) fn scale_m(&self) -> f64 {
        let about = self.width_m / 5.0;
        let power = 10.0_f64.powf(about.log10().floor());
        [5.0, 2.0, 1.0].into_iter().map(|step| step * power).find(|length| *length <= about).unwrap_or(power)
    }
}

/// A frame on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    /// Number of the frame, from 0.
    pub(super) number: usize,
    /// How it is judged.
    pub(super) outcome: Outcome,
    /// Where it was taken.
    pub(super) truth: [f64; 2],
    /// Where the fix is; absent where there is none.
    pub(super) fix: Option<[f64; 2]>,
}

impl Mark {
    /// All frames.
    pub(super) fn all(frames: &[Flown], map: &MapFrame, right_within_m: f64) -> Vec<Self> {
        let mark = |(number, frame): (usize, &Flown)| Self {
            number,
            outcome: frame.outcome(right_within_m),
            truth: map.at(frame.lat_deg, frame.lon_deg),
            fix: frame.last().and_then(|answer| answer.position()).map(|(lat, lon)| map.at(lat, lon)),
        };
        frames.iter().enumerate().map(mark).collect()
    }

    /// Where its mark is drawn: at the fix, else at the truth.
    pub(super) fn at(&self) -> [f64; 2] {
        self.fix.unwrap_or(self.truth)
    }
}

/// The true ways: of each flight its places in order.
pub(super) fn tracks(frames: &[Flown], map: &MapFrame) -> Vec<Vec<[f64; 2]>> {
    let mut tracks: Vec<(&str, Vec<[f64; 2]>)> = Vec::new();
    for frame in frames {
        let at = map.at(frame.lat_deg, frame.lon_deg);
        match tracks.last_mut() {
            Some((flight, track)) if *flight == frame.flight => track.push(at),
            _ => tracks.push((&frame.flight, vec![at])),
        }
    }
    tracks.into_iter().map(|(_, track)| track).collect()
}

#[cfg(test)]
mod tests {
    use super::super::frame::Shows;
    use super::super::frame::tests::flown;
    use super::*;

    #[test]
    fn everything_lies_inside_and_distances_are_metres() {
        let frames = [flown("a", Shows::Map, "fix 50.01"), flown("b", Shows::Map, "")];
        let map = MapFrame::around(&frames, None);
        for mark in Mark::all(&frames, &map, 80.0) {
            let [x, y] = mark.at();
            assert!((0.0..=map.width_m).contains(&x) && (0.0..=map.height_m).contains(&y), "{mark:?} {map:?}");
        }
        let [_, south] = map.at(50.0, 8.0);
        let [_, north] = map.at(50.01, 8.0);
        assert!((south - north - 1111.95).abs() < 0.1, "{south} {north}");
        assert_eq!(tracks(&frames, &map).len(), 1);
    }

    #[test]
    fn the_scale_is_a_round_length_that_fits() {
        for (width_m, expected) in [(1400.0, 200.0), (90.0, 10.0), (5000.0, 1000.0), (260.0, 50.0)] {
            let map = MapFrame { north_deg: 0.0, west_deg: 0.0, metres_per_lon: 1.0, width_m, height_m: 1.0 };
            assert!((map.scale_m() - expected).abs() < 1e-9, "{width_m}: {}", map.scale_m());
        }
    }

    #[test]
    fn nothing_to_show_is_a_map_all_the_same() {
        let map = MapFrame::around(&[], None);
        assert!(map.width_m > 0.0 && map.at(0.0, 0.0)[0].is_finite());
    }
}
