//! The truth that a search is measured against: the rows nearest to and farthest from each query, by exact search.
//!
//! Rows stream through in chunks, each of which is multiplied with all queries at once in float32. What may belong to a
//! result is scored again in float64, in one order of summation, so that the truth is the same on every CPU.

use ndarray::{Array2, ArrayView2};

/// Rows that are multiplied with the queries at once.
const BLOCK_ROWS: usize = 1024;
/// Above the error of a float32 dot product of unit vectors, whatever order it is summed in.
const MARGIN: f64 = 1e-4;

/// The exact ends of one query.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueEnds {
    /// Rows with the highest scores, best first; among equals the lower row.
    pub near: Vec<u32>,
    /// Rows with the lowest scores, lowest first; among equals the lower row.
    pub far: Vec<u32>,
    /// Highest score (cosine); `None` without rows.
    pub nearest_score: Option<f64>,
    /// Lowest score (cosine); `None` without rows.
    pub farthest_score: Option<f64>,
}

/// An exact search for a number of queries over rows that come in chunks.
#[derive(Debug)]
pub struct TruthSearch {
    /// One query per row.
    queries: Array2<f32>,
    k: usize,
    near: Vec<Best>,
    far: Vec<Best>,
    next_row: u32,
}

/// The best rows so far of one end.
#[derive(Debug, Clone, Default)]
struct Best {
    /// Key (smaller is better) and row, best first.
    kept: Vec<(f64, u32)>,
}

/// Vectors that do not fit one another or the queries.
#[derive(Debug, thiserror::Error)]
#[error("expected vectors of {expected} dimensions, found {found} values that are no multiple of it")]
pub struct WidthError {
    /// Values of a vector.
    pub expected: usize,
    /// Values that were given.
    pub found: usize,
}

impl TruthSearch {
    /// A search for the `k` nearest and farthest rows of each query; queries stand one after the other.
    ///
    /// # Errors
    /// The values are no multiple of `dimensions`.
    pub fn new(queries: &[f32], dimensions: usize, k: usize) -> Result<Self, WidthError> {
        let queries = view(queries, dimensions)?.to_owned();
        let best = vec![Best::default(); queries.nrows()];
        Ok(Self { queries, k, near: best.clone(), far: best, next_row: 0 })
    }

    /// Takes the next rows, which stand one after the other. Their numbers go on from the rows before.
    ///
    /// # Errors
    /// The values are no multiple of the queries' dimensions.
    pub fn push(&mut self, rows: &[f32]) -> Result<(), WidthError> {
        let dimensions = self.queries.ncols();
        for block in rows.chunks(BLOCK_ROWS * dimensions.max(1)) {
            let scores = view(block, dimensions)?.dot(&self.queries.t());
            for (row, scores) in block.chunks_exact(dimensions).zip(scores.rows()) {
                self.offer(row, scores.as_slice().unwrap_or_default());
                self.next_row += 1;
            }
        }
        Ok(())
    }

    /// The ends of each query in the order of the queries; fewer than `k` rows where there are fewer.
    pub fn finish(self) -> Vec<TrueEnds> {
        let rows = |best: &Best| best.kept.iter().map(|&(_, row)| row).collect();
        let first = |best: &Best, sign: f64| best.kept.first().map(|&(key, _)| sign * key);
        let ends = self.near.iter().zip(&self.far).map(|(near, far)| TrueEnds {
            near: rows(near),
            far: rows(far),
            nearest_score: first(near, -1.0),
            farthest_score: first(far, 1.0),
        });
        ends.collect()
    }

    /// Offers a row to all queries, given its scores in float32.
    fn offer(&mut self, row: &[f32], scores: &[f32]) {
        let bests = self.near.iter_mut().zip(&mut self.far);
        for ((&score, query), (near, far)) in scores.iter().zip(self.queries.rows()).zip(bests) {
            let score = f64::from(score);
            if -score <= near.bar(self.k) || score <= far.bar(self.k) {
                let exact = row.iter().zip(query).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
                near.offer(-exact, self.next_row, self.k);
                far.offer(exact, self.next_row, self.k);
            }
        }
    }
}

impl Best {
    /// The highest float32 key that may still belong to the best `k`.
    fn bar(&self, k: usize) -> f64 {
        if self.kept.len() < k {
            f64::INFINITY
        } else {
            self.kept.last().map_or(f64::NEG_INFINITY, |last| last.0 + MARGIN)
        }
    }

    /// Keeps a row if its key is among the `k` smallest so far. Rows come in rising order.
    fn offer(&mut self, key: f64, row: u32, k: usize) {
        let at = self.kept.partition_point(|kept| kept.0 <= key);
        if at < k {
            self.kept.insert(at, (key, row));
            self.kept.truncate(k);
        }
    }
}

fn view(values: &[f32], dimensions: usize) -> Result<ArrayView2<'_, f32>, WidthError> {
    let wrong = || WidthError { expected: dimensions, found: values.len() };
    let count = values.len().checked_div(dimensions).ok_or_else(wrong)?;
    if count * dimensions != values.len() {
        return Err(wrong());
    }
    ArrayView2::from_shape((count, dimensions), values).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::queries::QueryKind;
    use crate::bench::vectors::VectorWorld;

    #[test]
    fn the_truth_is_that_of_a_plain_search_however_rows_are_cut_into_chunks() {
        let world = VectorWorld::new(5, 40, 3000);
        let rows = world.chunk(0..3000);
        let queries = world.queries(QueryKind::Revisit, 7, 1);
        for chunk in [1, 999, 3000] {
            let mut search = TruthSearch::new(&queries, 40, 5).unwrap();
            rows.chunks(chunk * 40).for_each(|rows| search.push(rows).unwrap());
            for (ends, query) in search.finish().into_iter().zip(queries.chunks_exact(40)) {
                let dot = |row: &[f32]| row.iter().zip(query).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
                let mut order: Vec<_> = rows.chunks_exact(40).map(dot).zip(0_u32..).collect();
                order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                let far: Vec<_> = order[..5].iter().map(|pair| pair.1).collect();
                order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                let near: Vec<_> = order[..5].iter().map(|pair| pair.1).collect();
                assert_eq!((ends.near, ends.far), (near, far));
                assert_eq!((ends.nearest_score, ends.farthest_score), (Some(order[0].0), Some(order[2999].0)));
            }
        }
    }

    #[test]
    fn equal_rows_come_in_their_order_and_few_rows_give_few() {
        let mut search = TruthSearch::new(&[1.0, 0.0], 2, 3).unwrap();
        search.push(&[0.0, 1.0, 1.0, 0.0]).unwrap();
        search.push(&[1.0, 0.0]).unwrap();
        let ends = search.finish().remove(0);
        assert_eq!((ends.near, ends.far), (vec![1, 2, 0], vec![0, 1, 2]));
        let mut search = TruthSearch::new(&[1.0, 0.0], 2, 2).unwrap();
        search.push(&[1.0, 0.0].repeat(5)).unwrap();
        assert_eq!(search.finish().remove(0).far, [0, 1]);
        assert_eq!(TruthSearch::new(&[1.0, 0.0], 2, 3).unwrap().finish()[0].nearest_score, None);
    }

    #[test]
    fn values_that_are_no_vectors_are_refused() {
        assert!(TruthSearch::new(&[1.0, 0.0, 1.0], 2, 3).is_err());
        assert!(TruthSearch::new(&[1.0], 0, 3).is_err());
        assert!(TruthSearch::new(&[1.0, 0.0], 2, 3).unwrap().push(&[1.0]).is_err());
    }
}
