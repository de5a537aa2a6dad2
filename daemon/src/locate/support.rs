//! What references that show one place say together.
//!
//! Tiles of a map overlap, and a frame lies between their middles: it resembles each of them a little less than it would
//! resemble a picture of its own ground. So the references of one place are held against the frame together, as points of
//! a plane through the origin: the part of the frame's embedding in that plane is longer than the part along any of them.
//! With a ridge (A. Hoerl, R. Kennard, "Ridge Regression", 1970), `w = (G + r I)^-1 s` for the cosines `s` of frame and
//! references and `G` of the references among themselves, the similarity of the place is `sqrt((1 + r) w . s)`. A
//! reference that is alone keeps its cosine. The shares of `w` say where between the references the frame lies.

use index_shards::{ReadError, ShardSet};

use super::centring::centred;
use super::fuse::same_place;
use super::geodesy::weighted_mean;
use super::{Candidate, FuseOptions};

/// So many references of a place count, those most like the frame. More of them explain what is not there: where tiles
/// overlap by two thirds, nine fit any picture.
const MOST: usize = 3;
/// What a reference explains is drawn back by this, as if each had noise of so much of its length squared.
const RIDGE: f64 = 0.1;
/// Similar references are looked for among the first so many candidates.
pub(super) const LOOKED_AT: usize = 64;

/// What the references of one place say of a frame together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Support {
    /// Similarity of the place, on the scale of cosines; above the best of its references, and seldom above 1.
    pub similarity: f64,
    /// Where between the references the frame lies: latitude in WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude in WGS 84 degrees.
    pub lon_deg: f64,
}

/// Gives each of the first 64 `candidates`, which stand from the most similar to the least, what it says together with
/// those that show its place. `mean` is that of the index where cosines are about it.
///
/// # Errors
/// A shard was cut.
pub(super) fn add_support(
    candidates: &mut [Candidate],
    shards: &ShardSet,
    mean: Option<&[f32]>,
    options: &FuseOptions,
) -> Result<(), ReadError> {
    let count = candidates.len().min(LOOKED_AT);
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    let mut found: Vec<Option<Support>> = Vec::with_capacity(count);
    for at in 0..count {
        let members = place_of(at, candidates, options.same_place_m);
        if members.len() < 2 {
            found.push(None);
            continue;
        }
        for member in &members {
            if let (Some(slot), Some(candidate)) = (vectors.get_mut(*member), candidates.get(*member))
                && slot.is_none()
            {
                *slot = vector(candidate, shards, mean)?;
            }
        }
        found.push(support(&members, candidates, &vectors));
    }
    candidates.iter_mut().zip(found).for_each(|(candidate, support)| candidate.support = support);
    Ok(())
}

/// The candidate itself and those most like the frame that show its place.
fn place_of(at: usize, candidates: &[Candidate], same_place_m: f64) -> Vec<usize> {
    let Some(centre) = candidates.get(at) else { return Vec::new() };
    let others = candidates.iter().take(LOOKED_AT).enumerate();
    let near = others.filter(|(other, one)| *other != at && same_place(centre, one, same_place_m));
    std::iter::once(at).chain(near.map(|(other, _)| other).take(MOST - 1)).collect()
}

/// The embedding of a reference at unit length, about `mean` where there is one; `None` where nothing is left of it.
fn vector(candidate: &Candidate, shards: &ShardSet, mean: Option<&[f32]>) -> Result<Option<Vec<f32>>, ReadError> {
    let missing = || ReadError::NoSuchShard { found: candidate.shard, shards: shards.shards().len() };
    let vector = shards.shards().get(candidate.shard).ok_or_else(missing)?.vector(candidate.row)?;
    Ok(match mean {
        Some(mean) => centred(&vector, mean),
        None => Some(vector),
    })
}

fn support(members: &[usize], candidates: &[Candidate], vectors: &[Option<Vec<f32>>]) -> Option<Support> {
    let rows: Vec<(&Candidate, &Vec<f32>)> =
        members.iter().filter_map(|at| Some((candidates.get(*at)?, vectors.get(*at)?.as_ref()?))).collect();
    if rows.len() < 2 {
        return None;
    }
    // What is missing of three explains nothing.
    let (mut matrix, mut cosines) = ([[0.0; MOST]; MOST], [0.0; MOST]);
    for (row, (line, cosine)) in matrix.iter_mut().zip(&mut cosines).enumerate() {
        for (column, cell) in line.iter_mut().enumerate() {
            *cell = match (rows.get(row), rows.get(column)) {
                (Some((_, a)), Some((_, b))) if row != column => dot(a, b),
                _ if row == column => 1.0 + RIDGE,
                _ => 0.0,
            };
        }
        *cosine = rows.get(row).map_or(0.0, |(candidate, _)| f64::from(candidate.similarity));
    }
    let weights = solve(matrix, cosines);
    let explained = (1.0 + RIDGE) * weights.iter().zip(&cosines).map(|(weight, cosine)| weight * cosine).sum::<f64>();
    let best = cosines.iter().take(rows.len()).copied().fold(f64::NEG_INFINITY, f64::max);
    if !(best > 0.0 && explained.is_finite() && explained > 0.0) {
        return None;
    }
    let placed = rows.iter().zip(weights).map(|((one, _), weight)| (one.lat_deg, one.lon_deg, weight));
    let (lat_deg, lon_deg) = weighted_mean(placed)?;
    Some(Support { similarity: explained.sqrt().max(best), lat_deg, lon_deg })
}

/// Solves a positive definite system by elimination.
fn solve(mut matrix: [[f64; MOST]; MOST], mut right: [f64; MOST]) -> [f64; MOST] {
    for at in 0..MOST {
        let (Some(pivot), Some(value)) = (matrix.get(at).copied(), right.get(at).copied()) else { continue };
        let diagonal = pivot.get(at).copied().unwrap_or(1.0).max(1e-9);
        for (other, (line, cell)) in matrix.iter_mut().zip(&mut right).enumerate() {
            let factor = if other == at { 0.0 } else { line.get(at).copied().unwrap_or_default() / diagonal };
            line.iter_mut().zip(&pivot).for_each(|(cell, above)| *cell -= factor * above);
            *cell -= factor * value;
        }
    }
    let diagonal = |at: usize| matrix.get(at).and_then(|line| line.get(at)).copied().unwrap_or(1.0).max(1e-9);
    std::array::from_fn(|at| right.get(at).copied().unwrap_or_default() / diagonal(at))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(lat_deg: f64, similarity: f32) -> Candidate {
        Candidate { extent_m: Some(24.0), ..Candidate::at(lat_deg, similarity) }
    }

    fn of(candidates: &[Candidate], vectors: &[[f32; 3]]) -> Option<Support> {
        let vectors: Vec<Option<Vec<f32>>> = vectors.iter().map(|vector| Some(vector.to_vec())).collect();
        support(&(0..candidates.len()).collect::<Vec<_>>(), candidates, &vectors)
    }

    #[test]
    fn a_frame_between_two_references_is_more_like_their_place_than_like_either() {
        // References at a right angle, the frame in the middle: 0.707 with each, all of it in their plane.
        let half = 0.5_f32.sqrt();
        let two = [candidate(50.0, half), candidate(50.000_36, half)];
        let found = of(&two, &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).unwrap();
        assert!((found.similarity - 1.0).abs() < 1e-6, "{found:?}");
        assert!((found.lat_deg - 50.000_18).abs() < 1e-8 && (found.lon_deg - 8.0).abs() < 1e-9, "{found:?}");
        // Nearer to the first one.
        let two = [candidate(50.0, 0.8), candidate(50.000_36, 0.6)];
        let found = of(&two, &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).unwrap();
        assert!((found.lat_deg - (50.0 + 0.000_36 * 3.0 / 7.0)).abs() < 1e-8, "{found:?}");
    }

    #[test]
    fn the_same_reference_twice_says_hardly_more_than_once() {
        let two = [candidate(50.0, 0.8), candidate(50.0, 0.8)];
        let found = of(&two, &[[1.0, 0.0, 0.0]; 2]).unwrap();
        assert!((0.8..0.83).contains(&found.similarity), "{found:?}");
    }

    #[test]
    fn a_reference_that_pulls_the_other_way_has_no_say_in_the_position() {
        // The second one resembles the first more than it resembles the frame.
        let two = [candidate(50.0, 0.9), candidate(50.000_36, 0.6)];
        let found = of(&two, &[[1.0, 0.0, 0.0], [0.9, 0.4359, 0.0]]).unwrap();
        assert!((found.lat_deg - 50.0).abs() < 1e-9 && found.similarity >= 0.9, "{found:?}");
    }

    #[test]
    fn what_resembles_nothing_and_numbers_that_are_none_have_no_support() {
        let vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        for similarity in [-0.5, 0.0, f32::NAN] {
            assert_eq!(of(&[candidate(50.0, similarity), candidate(50.0, similarity)], &vectors), None);
        }
        assert_eq!(of(&[candidate(50.0, 0.5)], &vectors[..1]), None);
    }

    #[test]
    fn a_place_is_the_candidate_and_the_two_nearest_in_similarity_that_share_its_ground() {
        let candidates = [50.0, 50.1, 50.0001, 50.0002, 50.0003].map(|lat_deg| candidate(lat_deg, 0.5));
        assert_eq!(place_of(0, &candidates, 50.0), [0, 2, 3]);
        assert_eq!(place_of(1, &candidates, 50.0), [1]);
        assert_eq!(place_of(4, &candidates, 50.0), [4, 0, 2]);
    }
}
