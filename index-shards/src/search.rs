//! What is asked of shards and what comes back.

use crate::ends::Ends;
use crate::fault::{Fault, expect};
use crate::sections::places::Places;
use crate::sections::vectors::{Vectors, norm};
use crate::window::{Window, WindowTest};

/// What is asked of a search beside the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchOptions {
    /// How many references are wanted at each end; at least 1.
    pub k: usize,
    /// Only references within this circle; `None` for all.
    pub window: Option<Window>,
}

/// A reference that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Position of its shard in the set.
    pub shard: usize,
    /// Its row in that shard.
    pub row: u32,
    /// Cosine between query and reference, -1 to 1, up to the stored vector's deviation from unit length (1e-3).
    pub score: f32,
}

/// Both ends of the ranking. Each list has `k` hits, or as many as there are rows in the window. A row can be in both.
/// Rows whose stored vector is damaged so that its score is not a finite number are in neither.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retrieval {
    /// The most similar references, by descending score; ties by shard, then row.
    pub similar: Vec<Hit>,
    /// The least similar references, by ascending score; ties by shard, then row.
    pub dissimilar: Vec<Hit>,
}

/// A search that has been checked and made ready for any number of shards.
#[derive(Debug)]
pub(crate) struct Scan {
    query: Vec<f32>,
    window: Option<WindowTest>,
    k: usize,
}

impl Scan {
    /// `query` has the shards' width; it is brought to unit length here.
    pub(crate) fn new(query: &[f32], options: &SearchOptions) -> Result<Self, Fault> {
        expect(options.k > 0, "k", "at least 1", options.k)?;
        if let Some((at, component)) = query.iter().enumerate().find(|(_, component)| !component.is_finite()) {
            return Err(Fault::new("query", "finite components", format_args!("{component} at position {at}")));
        }
        let norm = norm(query.iter().copied());
        expect(norm > 0.0, "query", "a vector of some length", "all components zero")?;
        #[expect(clippy::cast_possible_truncation, reason = "the component of a unit vector, rounded to f32")]
        let query = query.iter().map(|component| (f64::from(*component) / norm) as f32).collect();
        Ok(Self { query, window: options.window.as_ref().map(WindowTest::new).transpose()?, k: options.k })
    }

    /// Empty lists of the right size.
    pub(crate) fn ends(&self) -> Ends {
        Ends::new(self.k)
    }

    /// Offers every row of a shard that lies within the window to `ends`. `shard` is its position in the set. Vectors
    /// of rows outside of the window are not read.
    pub(crate) fn run(&self, shard: usize, rows: u32, vectors: Vectors<'_>, places: Places<'_>, ends: &mut Ends) {
        let Some(window) = &self.window else {
            let scores = vectors.dots(&self.query, 0..rows);
            return scores.zip(0..rows).for_each(|(score, row)| ends.offer(shard, row, score));
        };
        let near = (0..rows).zip(places.coordinates()).filter(|(_, (lat, lon))| window.contains(*lat, *lon));
        for (row, _) in near {
            vectors.dots(&self.query, row..row + 1).for_each(|score| ends.offer(shard, row, score));
        }
    }
}
