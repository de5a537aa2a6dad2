//! How fast the weight of a candidate should fall with its similarity.

use geolocated::locate::{FuseOptions, Plane, Posterior, Prediction};

/// The scales that are tried, see [`FuseOptions::sharpness`].
const SCALES: [f64; 10] = [4.0, 8.0, 12.0, 18.0, 24.0, 36.0, 48.0, 72.0, 96.0, 144.0];
/// Share of the frames that are taken to lie anywhere: where no candidate is, no scale is to blame.
const ANYWHERE: f64 = 0.05;
/// Square metres of anywhere.
const ANYWHERE_M2: f64 = 1e8;

/// A retrieval with the true place, latitude and longitude in WGS 84 degrees.
pub type Placed<'a> = (&'a Prediction, (f64, f64));

/// The scale under which the true places are likeliest, where a place is distributed normally around each candidate, by
/// its share, with the spread of its footprint. That of `options` where there is nothing to fit.
pub fn fit(retrieved: &[Placed<'_>], options: &FuseOptions) -> f64 {
    let likelihood = |sharpness: f64| {
        let options = FuseOptions { sharpness, ..*options };
        retrieved.iter().map(|placed| log_likelihood(placed, &options)).sum::<f64>()
    };
    let scored = SCALES.into_iter().map(|sharpness| (sharpness, likelihood(sharpness)));
    let best = scored.filter(|_| !retrieved.is_empty()).max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(options.sharpness, |(sharpness, _)| sharpness)
}

fn log_likelihood((prediction, (lat_deg, lon_deg)): &Placed<'_>, options: &FuseOptions) -> f64 {
    let posterior = Posterior::of_retrieval(&prediction.similar, &prediction.dissimilar, options);
    let plane = Plane::at(*lat_deg, *lon_deg);
    let density = |(found, p): (&geolocated::locate::Candidate, &f64)| {
        let (found_lat_deg, found_lon_deg) = found.puts_at();
        let (east_m, north_m) = plane.east_north_m(found_lat_deg, found_lon_deg);
        // Of what is equally likely anywhere in half of a footprint: its extent is 0.3 of its side.
        let reach_m = found.extent_m.map_or(options.same_place_m / 2.0, |extent_m| extent_m / 0.6);
        let variance_m2 = (reach_m * reach_m / 3.0).max(1.0);
        let distance_m2 = east_m * east_m + north_m * north_m;
        p * libm::exp(-distance_m2 / variance_m2 / 2.0) / (std::f64::consts::TAU * variance_m2)
    };
    let near: f64 = prediction.similar.iter().zip(&posterior.p).map(density).sum();
    libm::log((1.0 - ANYWHERE) * near + ANYWHERE / ANYWHERE_M2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use geolocated::locate::{Candidate, Outcome, StageTimes};

    /// Two candidates, the second of which is 0.1 of the range less similar.
    fn retrieved() -> Prediction {
        let candidate = |lat_deg, similarity| Candidate {
            lat_deg,
            lon_deg: 8.0,
            similarity,
            reference: String::new(),
            shard: 0,
            row: 0,
            extent_m: Some(24.0),
            prior_nats: 0.0,
            support: None,
            offset: None,
        };
        Prediction {
            outcome: Outcome::Ambiguous,
            similar: vec![candidate(50.0, 0.9), candidate(51.0, 0.8)],
            further: Vec::new(),
            dissimilar: vec![candidate(0.0, -0.1)],
            posterior: Posterior::default(),
            certainty: None,
            reranking: None,
            stages: StageTimes::default(),
        }
    }

    #[test]
    fn the_scale_follows_how_often_the_best_candidate_is_the_place() {
        let prediction = retrieved();
        let mixed = |first: usize, second: usize| -> Vec<Placed<'_>> {
            let places = std::iter::repeat_n((50.0, 8.0), first).chain(std::iter::repeat_n((51.0, 8.0), second));
            places.map(|place| (&prediction, place)).collect()
        };
        let options = FuseOptions::default();
        // exp(-0.1 * 12) = 0.30 is what the second one weighs beside the first at 12: 23 of 100.
        assert_eq!(fit(&mixed(77, 23), &options), 12.0);
        assert_eq!(fit(&mixed(992, 8), &options), 48.0);
        assert_eq!(fit(&mixed(50, 50), &options), 4.0);
        assert_eq!(fit(&[], &options), options.sharpness);
    }
}
