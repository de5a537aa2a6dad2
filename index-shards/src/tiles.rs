//! All dot products of some queries with many stored vectors: what a build spends its time in.

use crate::kernels::{Kernels, TILE};
use crate::query::Query;
use std::array;

/// Queries that are held against a few vectors at a time, before the next ones: so many stay in a CPU's nearest cache.
const AT_ONCE: usize = 4 * TILE;

/// Hands to `visit` the number of each query, and its [scores](Query::score) with vectors from a number on, a multiple of
/// [`TILE`]: at most so many, by ascending numbers. `vector` gives the scale and the bytes of one of `count`.
pub(crate) fn for_each_score<'a>(
    queries: &[Query],
    (count, vector): (usize, impl Fn(usize) -> (f32, &'a [u8])),
    mut visit: impl FnMut(usize, usize, &[f32]),
) {
    let kernels = Kernels::active();
    for (some, first_query) in queries.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
        for first in (0..count).step_by(TILE) {
            // The last tile is filled up with the last vector.
            let vectors: [_; TILE] = array::from_fn(|at| vector((first + at).min(count - 1)));
            let rows = vectors.map(|(_, bytes)| bytes);
            for (tile, of_tile) in some.chunks(TILE).zip((first_query..).step_by(TILE)) {
                let whole = |at| tile.get(at).or(tile.last()).map_or(&[][..], Query::whole);
                let dots = (kernels.dot_tile)(&array::from_fn(whole), &rows);
                for ((query, dots), at) in tile.iter().zip(dots).zip(of_tile..) {
                    let mut scores = [0.0; TILE];
                    for ((score, dot), (scale, _)) in scores.iter_mut().zip(dots).zip(vectors) {
                        *score = query.scaled(dot, scale);
                    }
                    visit(at, first, scores.get(..count - first).unwrap_or(&scores));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_visited_once_with_its_score() {
        let vectors: Vec<(f32, Vec<u8>)> = (0..11_u8).map(|at| (0.5 + f32::from(at), vec![at, 255 - at, 7])).collect();
        let queries: Vec<Query> = (0..AT_ONCE + 2).map(|at| Query::of_rotated(vec![1.0, at as f32, -0.5])).collect();
        for (queries_used, count) in [(AT_ONCE + 2, 11), (3, 4), (1, 1), (5, 0), (0, 3)] {
            let mut seen = vec![Vec::new(); queries_used];
            let vector = |at: usize| (vectors[at].0, &vectors[at].1[..]);
            for_each_score(&queries[..queries_used], (count, vector), |query, first, scores| {
                for (score, row) in scores.iter().zip(first..) {
                    let (scale, bytes) = &vectors[row];
                    assert_eq!(*score, queries[query].score(Kernels::active(), *scale, bytes));
                    seen[query].push(row);
                }
            });
            assert!(seen.iter().all(|rows| rows.iter().copied().eq(0..count)), "{seen:?}");
        }
    }
}
