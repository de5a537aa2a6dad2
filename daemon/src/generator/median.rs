//! The middle of several places.

use crate::locate::{distance_m, weighted_mean};

/// Steps of the iteration for the median; it moves by less than a metre long before.
const STEPS: usize = 200;
/// The median is found when a step moves it by less than this, metres.
const STILL_M: f64 = 0.1;

/// The place whose distances to all others have the least sum, by Weiszfeld's iteration (E. Weiszfeld, 1937) with
/// great-circle distances. One wild answer among three or more hardly moves it. `None` of nothing, and of places that
/// cancel out on the sphere.
pub fn geometric_median(places: &[(f64, f64)]) -> Option<(f64, f64)> {
    let mut at = weighted_mean(places.iter().map(|(lat, lon)| (*lat, *lon, 1.0)))?;
    for _ in 0..STEPS {
        // A place that coincides with the median would weigh without bound.
        let weighted = places.iter().map(|(lat, lon)| (*lat, *lon, 1.0 / distance_m(at.0, at.1, *lat, *lon).max(1.0)));
        let next = weighted_mean(weighted)?;
        let moved_m = distance_m(at.0, at.1, next.0, next.1);
        at = next;
        if moved_m < STILL_M {
            break;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: (f64, f64) = (48.8566, 2.3522);
    const NEAR_PARIS: (f64, f64) = (48.86, 2.36);
    const SYDNEY: (f64, f64) = (-33.8688, 151.2093);

    #[track_caller]
    fn assert_near(found: Option<(f64, f64)>, place: (f64, f64), metres: f64) {
        let found = found.expect("a place");
        let off = distance_m(found.0, found.1, place.0, place.1);
        assert!(off < metres, "{found:?} is {off} m from {place:?}");
    }

    #[test]
    fn one_wild_answer_hardly_moves_the_median() {
        assert_near(geometric_median(&[PARIS, NEAR_PARIS, SYDNEY, (48.855, 2.35)]), PARIS, 1500.0);
        assert_near(geometric_median(&[PARIS]), PARIS, 1.0);
        assert_near(geometric_median(&[(10.0, 179.9), (10.0, -179.9), (10.0, 179.9)]), (10.0, 179.9), 10.0);
        assert_eq!(geometric_median(&[]), None);
        assert_eq!(
            geometric_median(&[(0.0, 0.0), (0.0, 180.0)]),
            None,
            "nothing speaks for any place between antipodes"
        );
    }

    #[test]
    fn the_median_of_three_corners_is_where_the_sum_of_distances_is_least() {
        let corners = [(0.0, 0.0), (0.0, 0.01), (0.01, 0.0)];
        let found = geometric_median(&corners).unwrap();
        let sum = |at: (f64, f64)| corners.iter().map(|c| distance_m(at.0, at.1, c.0, c.1)).sum::<f64>();
        for (lat, lon) in [(1e-4, 0.0), (-1e-4, 0.0), (0.0, 1e-4), (0.0, -1e-4)] {
            assert!(sum(found) <= sum((found.0 + lat, found.1 + lon)), "{found:?}");
        }
    }
}
