//! What an answer looks like that is to be trusted, and one that is not: a few numbers for each frame.

use super::modes::reach_m;
use super::{Candidate, FuseOptions, Posterior, Prediction, distance_m};

/// How many features there are.
pub const FEATURES: usize = 11;

/// The names of the features, in their order.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "cosine",
    "margin",
    "heaviest_share",
    "entropy_nats",
    "lead",
    "agreement",
    "spread_log",
    "probe",
    "support",
    "level",
    "fall",
];

/// The features of one answer; finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features(pub [f64; FEATURES]);

impl Features {
    /// The features of a prediction, in the order of [`FEATURE_NAMES`]; `None` where nothing was retrieved.
    ///
    /// - `cosine`: of the most similar reference;
    /// - `margin`: of it over the mean of the dissimilar end, 0 where that is empty;
    /// - `heaviest_share`: of the heaviest place in the weight of all;
    /// - `entropy_nats`: of the places' shares;
    /// - `lead`: of the most similar reference of the heaviest place over the most similar one elsewhere, as a share of
    ///   the margin, within -1 and 1; 1 where there is nothing elsewhere;
    /// - `agreement`: the share of the candidates, counted, that lie in the heaviest place;
    /// - `spread_log`: ln(1 + root mean square distance of the candidates, by their shares, from the heaviest place over
    ///   how far the ground of one of them reaches);
    /// - `probe`: 1 when the comparator told the leader from a dissimilar reference, -1 when it did not, 0 unasked;
    /// - `support`: similarity of the heaviest place, [`super::Support::similarity`] where several references show it;
    /// - `level`: mean cosine of the candidates;
    /// - `fall`: of the cosine from the best candidate to the last, as a share of the margin.
    pub fn of(prediction: &Prediction, options: &FuseOptions) -> Option<Self> {
        let Prediction { similar, further, dissimilar, posterior, reranking, .. } = prediction;
        let candidates: Vec<&Candidate> = similar.iter().chain(further).take(posterior.p.len()).collect();
        let mode = posterior.modes.first()?;
        let best = candidates.iter().map(|found| f64::from(found.similarity)).fold(f64::NEG_INFINITY, f64::max);
        let far: f64 = dissimilar.iter().map(|found| f64::from(found.similarity)).sum();
        let margin = if dissimilar.is_empty() { 0.0 } else { best - far / dissimilar.len() as f64 };
        let probe = match reranking.as_ref().and_then(|reranking| reranking.probe_passed) {
            Some(true) => 1.0,
            Some(false) => -1.0,
            None => 0.0,
        };
        let cosines = || candidates.iter().map(|found| f64::from(found.similarity));
        let last = cosines().fold(f64::INFINITY, f64::min);
        let of_place =
            mode.members.iter().filter_map(|at| candidates.get(*at)).map(|found| found.weighing_similarity());
        let values = [
            best,
            margin,
            mode.p,
            posterior.entropy_nats(),
            lead(&candidates, &mode.members, margin),
            mode.members.len() as f64 / candidates.len().max(1) as f64,
            spread_log(&candidates, posterior, options),
            probe,
            of_place.fold(f64::NEG_INFINITY, f64::max),
            cosines().sum::<f64>() / candidates.len().max(1) as f64,
            if margin > 0.0 { (best - last) / margin } else { 0.0 },
        ];
        values.iter().all(|value| value.is_finite()).then_some(Self(values))
    }
}

/// Lead of the heaviest place's best candidate over the best one elsewhere, as a share of the margin.
fn lead(candidates: &[&Candidate], members: &[usize], margin: f64) -> f64 {
    let best = |inside: bool| {
        let found = candidates.iter().enumerate().filter(|(at, _)| members.contains(at) == inside);
        found.map(|(_, candidate)| candidate.weighing_similarity()).reduce(f64::max)
    };
    match (best(true), best(false)) {
        (Some(here), Some(elsewhere)) if margin > 0.0 => ((here - elsewhere) / margin).clamp(-1.0, 1.0),
        (Some(_), None) => 1.0,
        _ => 0.0,
    }
}

/// How far the candidates lie from the heaviest place, in units of their own reach.
fn spread_log(candidates: &[&Candidate], posterior: &Posterior, options: &FuseOptions) -> f64 {
    let Some(mode) = posterior.modes.first() else { return 0.0 };
    let off_m2 = |found: &Candidate| {
        let (lat_deg, lon_deg) = found.puts_at();
        distance_m(mode.lat_deg, mode.lon_deg, lat_deg, lon_deg).powi(2)
    };
    let mean_m2: f64 = candidates.iter().zip(&posterior.p).map(|(found, p)| p * off_m2(found)).sum();
    let centre = mode.members.first().and_then(|at| candidates.get(*at));
    let reach_m = centre.map_or(options.same_place_m, |found| reach_m(found, options)).max(1.0);
    (mean_m2.sqrt() / reach_m).ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locate::{Outcome, StageTimes};

    fn candidate(lat_deg: f64, similarity: f32) -> Candidate {
        Candidate::at(lat_deg, similarity)
    }

    fn prediction(similar: Vec<Candidate>, dissimilar: Vec<Candidate>) -> Prediction {
        let posterior = Posterior::of_retrieval(&similar, &dissimilar, &FuseOptions::default());
        Prediction {
            outcome: Outcome::Ambiguous,
            similar,
            further: Vec::new(),
            dissimilar,
            posterior,
            certainty: None,
            reranking: None,
            stages: StageTimes::default(),
        }
    }

    #[test]
    fn one_place_far_ahead_and_many_places_alike_look_different() {
        let options = FuseOptions::default();
        let sure = prediction(vec![candidate(50.0, 0.9), candidate(50.0001, 0.85)], vec![candidate(0.0, 0.1)]);
        let Features(sure) = Features::of(&sure, &options).unwrap();
        assert!((sure[0] - 0.9).abs() < 1e-6 && (sure[1] - 0.8).abs() < 1e-6, "{sure:?}");
        assert!((sure[2] - 1.0).abs() < 1e-12 && sure[3].abs() < 1e-12 && sure[4] == 1.0 && sure[5] == 1.0);
        let lost = prediction((0..4).map(|at| candidate(f64::from(at), 0.5)).collect(), vec![candidate(60.0, 0.1)]);
        let Features(lost) = Features::of(&lost, &options).unwrap();
        assert!((lost[2] - 0.25).abs() < 1e-12 && (lost[3] - 4.0_f64.ln()).abs() < 1e-9, "{lost:?}");
        assert!(lost[4] == 0.0 && lost[5] == 0.25 && lost[6] > sure[6] + 5.0);
        assert!((lost[9] - 0.5).abs() < 1e-6 && lost[10] == 0.0 && (sure[10] - 0.05 / 0.8).abs() < 1e-6);
    }

    #[test]
    fn nothing_retrieved_has_no_features_and_missing_ends_have_finite_ones() {
        assert_eq!(Features::of(&prediction(vec![], vec![]), &FuseOptions::default()), None);
        let alone = Features::of(&prediction(vec![candidate(50.0, 0.5)], vec![]), &FuseOptions::default());
        assert!(alone.unwrap().0.iter().all(|value| value.is_finite()));
        let broken = prediction(vec![candidate(50.0, f32::NAN)], vec![candidate(0.0, 0.1)]);
        assert_eq!(Features::of(&broken, &FuseOptions::default()), None);
    }
}
