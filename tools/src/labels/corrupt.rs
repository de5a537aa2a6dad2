//! References with wrong positions on purpose, and what is found of them.

use serde::Serialize;

use super::Labels;
use crate::bench::random::Random;

/// Positions of which a share is wrong.
#[derive(Debug, Clone)]
pub struct Corrupted {
    /// By the order of the references.
    pub at: Vec<(f64, f64)>,
    /// Whether each of them is wrong.
    pub wrong: Vec<bool>,
}

impl Corrupted {
    /// Gives a share of the references, drawn by `seed`, the position of another one that lies more than four times the
    /// reach away.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a count that fits"
    )]
    pub fn new(labels: &Labels, share: f64, seed: u64) -> Self {
        let own: Vec<(f64, f64)> = labels.labels.iter().map(|label| (label.lat_deg, label.lon_deg)).collect();
        let wanted = (own.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
        let (mut at, mut wrong) = (own.clone(), vec![false; own.len()]);
        let mut random = Random::of(&[0x6c61_6265, seed]);
        let mut left = wanted;
        for _ in 0..own.len().saturating_mul(20) {
            if left == 0 {
                break;
            }
            let (index, from) = (random.below(own.len()), random.below(own.len()));
            let (Some(place), Some(other)) = (own.get(index), own.get(from)) else { continue };
            let apart_m = geolocated::locate::distance_m(place.0, place.1, other.0, other.1);
            let (Some(at), Some(wrong)) = (at.get_mut(index), wrong.get_mut(index)) else { continue };
            if !*wrong && apart_m > 4.0 * labels.reach_m {
                (*at, *wrong) = (*other, true);
                left -= 1;
            }
        }
        Self { at, wrong }
    }
}

/// How well wrong positions are found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Score from which references are suspect.
    pub from: f64,
    /// How many references are wrong.
    pub wrong: usize,
    /// How many are suspect.
    pub suspects: usize,
    /// Share of the suspects that are wrong; 1 where there are none.
    pub precision: f64,
    /// Share of the wrong ones that are suspect; 1 where there are none.
    pub recall: f64,
}

impl Found {
    /// What is found of `corrupted` with the score `from`.
    #[expect(clippy::cast_precision_loss, reason = "counts of references are far below 2^52")]
    pub fn of(labels: &Labels, corrupted: &Corrupted, from: f64) -> Self {
        let suspects = labels.suspects(&corrupted.at, from);
        let is_wrong = |suspect: &&super::judge::Suspect| {
            let index = labels.labels.iter().position(|label| suspect.is(label));
            index.and_then(|index| corrupted.wrong.get(index)).copied().unwrap_or_default()
        };
        let hits = suspects.iter().filter(is_wrong).count() as f64;
        let wrong = corrupted.wrong.iter().filter(|wrong| **wrong).count();
        let of = |count: usize| if count == 0 { 1.0 } else { hits / count as f64 };
        Self { from, wrong, suspects: suspects.len(), precision: of(suspects.len()), recall: of(wrong) }
    }
}
