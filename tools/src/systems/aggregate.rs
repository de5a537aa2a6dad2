//! One place of several answers to the same question.

use geolocated::locate::{distance_m, weighted_mean};

/// The mean of the largest group of places that hang together by steps of at most `radius_m` (single linkage); of several
/// of the same size, the one with the smallest spread, then the one that comes first. `None` of nothing.
pub fn cluster_vote(places: &[(f64, f64)], radius_m: f64) -> Option<(f64, f64)> {
    let mut group: Vec<usize> = (0..places.len()).collect();
    for (i, a) in places.iter().enumerate() {
        for (j, b) in places.iter().enumerate().skip(i + 1) {
            let (of_i, of_j) = (group.get(i).copied()?, group.get(j).copied()?);
            if of_i != of_j && distance_m(a.0, a.1, b.0, b.1) <= radius_m {
                let (low, high) = (of_i.min(of_j), of_i.max(of_j));
                group.iter_mut().filter(|found| **found == high).for_each(|found| *found = low);
            }
        }
    }
    let mut best: Option<(usize, f64, (f64, f64))> = None;
    for first in 0..places.len() {
        let members: Vec<(f64, f64)> =
            places.iter().zip(&group).filter(|(_, found)| **found == first).map(|(place, _)| *place).collect();
        let Some(mean) = weighted_mean(members.iter().map(|(lat, lon)| (*lat, *lon, 1.0))) else { continue };
        let spread_m =
            members.iter().map(|(lat, lon)| distance_m(mean.0, mean.1, *lat, *lon)).sum::<f64>() / members.len() as f64;
        let is_better =
            best.is_none_or(|(size, spread, _)| members.len() > size || (members.len() == size && spread_m < spread));
        if is_better {
            best = Some((members.len(), spread_m, mean));
        }
    }
    best.map(|(_, _, mean)| mean)
}

/// The place that retrieval speaks for most: each retrieved reference, given with its place and its weight, adds its
/// weight times exp(-distance / `scale_m`). The first of equals; `None` of nothing.
pub fn rescored_by_retrieval(
    places: &[(f64, f64)],
    retrieved: &[((f64, f64), f64)],
    scale_m: f64,
) -> Option<(f64, f64)> {
    let score = |place: &(f64, f64)| {
        let of = |((lat, lon), weight): &((f64, f64), f64)| {
            weight * libm::exp(-distance_m(place.0, place.1, *lat, *lon) / scale_m)
        };
        retrieved.iter().map(of).sum::<f64>()
    };
    let mut best: Option<(f64, (f64, f64))> = None;
    for place in places {
        let score = score(place);
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, *place));
        }
    }
    best.map(|(_, place)| place)
}

/// The mean of the distances between all pairs of places, metres; `None` of fewer than two.
pub fn spread_m(places: &[(f64, f64)]) -> Option<f64> {
    let (mut sum, mut pairs) = (0.0, 0_u32);
    for (i, a) in places.iter().enumerate() {
        for b in places.iter().skip(i + 1) {
            sum += distance_m(a.0, a.1, b.0, b.1);
            pairs += 1;
        }
    }
    (pairs > 0).then(|| sum / f64::from(pairs))
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
    fn the_largest_group_wins_and_of_equals_the_tightest() {
        assert_near(cluster_vote(&[SYDNEY, PARIS, NEAR_PARIS], 25_000.0), (48.8583, 2.3561), 50.0);
        assert_near(cluster_vote(&[SYDNEY, PARIS], 25_000.0), SYDNEY, 1.0);
        let loose = [(0.0, 0.0), (0.0, 0.2)];
        assert_near(cluster_vote(&[loose[0], loose[1], PARIS, NEAR_PARIS], 25_000.0), (48.8583, 2.3561), 50.0);
        let chain: Vec<(f64, f64)> = (0..5).map(|step| (0.0, f64::from(step) * 0.2)).collect();
        assert_near(cluster_vote(&[chain.as_slice(), &[PARIS, PARIS]].concat(), 25_000.0), (0.0, 0.4), 10.0);
        assert_eq!(cluster_vote(&[], 1.0), None);
    }

    #[test]
    fn retrieval_decides_between_answers_by_what_lies_near_them() {
        let retrieved = [(NEAR_PARIS, 0.4), (SYDNEY, 0.35), ((48.9, 2.3), 0.25)];
        assert_eq!(rescored_by_retrieval(&[SYDNEY, PARIS], &retrieved, 25_000.0), Some(PARIS));
        assert_eq!(rescored_by_retrieval(&[SYDNEY, PARIS], &[], 25_000.0), Some(SYDNEY), "nothing speaks for any");
        assert_eq!(rescored_by_retrieval(&[], &retrieved, 25_000.0), None);
    }

    #[test]
    fn the_spread_is_over_all_pairs() {
        assert_eq!((spread_m(&[]), spread_m(&[PARIS])), (None, None));
        let degree = spread_m(&[(0.0, 0.0), (1.0, 0.0), (0.0, 0.0)]).unwrap();
        assert!((degree - 111_195.1 * 2.0 / 3.0).abs() < 1.0);
    }
}
