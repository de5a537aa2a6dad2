//! A search of several shards as one.

use crate::dissimilar::{by_centroids, drawn};
use crate::ends::{Ends, Wanted};
use crate::error::{ReadError, SearchError};
use crate::fault::expect;
use crate::filter::{Filter, FilterTest};
use crate::query::Query;
use crate::search::{Dissimilar, Hit, PerPlace, Retrieval, SearchOptions, Work};
use crate::set::ShardSet;
use crate::shard_search::{Part, ShardSearch};
use crate::thin::thin;
use crate::window::Window;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many times `k` references a list is thinned out from.
const THINNED_FROM: usize = 64;

/// A search that has been checked.
pub(crate) struct SetSearch<'a> {
    set: &'a ShardSet,
    /// One per shard, under its rotation.
    queries: Vec<Query>,
    options: &'a SearchOptions,
    filter: FilterTest,
}

impl<'a> SetSearch<'a> {
    /// `query` has the set's width.
    pub(crate) fn new(set: &'a ShardSet, query: &[f32], options: &'a SearchOptions) -> Result<Self, SearchError> {
        expect(options.k > 0, "k", "at least 1", options.k)?;
        expect(options.threads > 0, "threads", "at least 1", options.threads)?;
        let metres = |field, radius_m: f64| {
            expect(radius_m.is_finite() && radius_m >= 0.0, field, "a finite number of metres, not negative", radius_m)
        };
        if let Some(PerPlace { most, radius_m }) = options.per_place {
            expect(most > 0, "per_place.most", "at least 1", most)?;
            metres("per_place.radius_m", radius_m)?;
        }
        if let Dissimilar::FarInWindow { radius_m } = options.dissimilar {
            metres("far_in_window.radius_m", radius_m)?;
        }
        let queries = set.shards().iter().map(|shard| Query::new(query, shard.rotation())).collect::<Result<_, _>>()?;
        Ok(Self { set, queries, options, filter: FilterTest::new(&options.filter)? })
    }

    pub(crate) fn run(&self) -> Result<Retrieval, SearchError> {
        let wanted = match self.options.per_place {
            Some(_) => self.options.k.saturating_mul(THINNED_FROM),
            None => self.options.k,
        };
        let both = self.wanted(wanted);
        let shares = self.shares(both, &self.filter)?;
        let (ends, mut work) = self.both_ends(both, &shares);
        let (similar, farthest) = (ends.similar.into_hits(), ends.dissimilar.into_hits());
        let dissimilar = match self.options.dissimilar {
            Dissimilar::Farthest | Dissimilar::None => farthest,
            Dissimilar::Random { seed } => drawn(&shares, wanted, seed),
            Dissimilar::Centroid => by_centroids(&shares, wanted, &farthest),
            Dissimilar::FarInWindow { .. } if self.options.filter.window.is_some() => farthest,
            Dissimilar::FarInWindow { radius_m } => {
                let (hits, more) = self.far_around(similar.first(), radius_m, wanted)?;
                work.add(more);
                hits
            }
        };
        let similar = self.thinned(similar)?;
        let mut dissimilar = self.thinned(dissimilar)?;
        dissimilar.sort_by(|a, b| a.score.total_cmp(&b.score).then((a.shard, a.row).cmp(&(b.shard, b.row))));
        Ok(Retrieval { similar, dissimilar, work })
    }

    /// How many of the most and of the least similar references the first pass is to find, where `k` are wanted.
    fn wanted(&self, k: usize) -> Wanted {
        let dissimilar = match self.options.dissimilar {
            Dissimilar::Farthest | Dissimilar::Centroid => k,
            Dissimilar::FarInWindow { .. } if self.options.filter.window.is_some() => k,
            // Nobody looks at them.
            Dissimilar::None | Dissimilar::Random { .. } | Dissimilar::FarInWindow { .. } => 0,
        };
        Wanted { similar: k, dissimilar }
    }

    /// Each shard's share of a search for so many.
    fn shares(&self, wanted: Wanted, filter: &FilterTest) -> Result<Vec<ShardSearch<'_>>, ReadError> {
        let shards = self.set.shards().iter().zip(&self.queries).enumerate();
        shards
            .map(|(position, (shard, query))| {
                let removed = self.set.removed(position)?;
                ShardSearch::new((shard, position), query, filter, removed, (wanted, self.options.effort))
            })
            .collect()
    }

    /// What all shares find, on as many threads as allowed. In which order parts are merged does not matter.
    fn both_ends(&self, wanted: Wanted, shares: &[ShardSearch<'_>]) -> (Ends, Work) {
        let parts: Vec<(&ShardSearch<'_>, Part)> =
            shares.iter().flat_map(|share| share.parts().into_iter().map(move |part| (share, part))).collect();
        let threads = self.options.threads.min(parts.len());
        let next = AtomicUsize::new(0);
        let work_off = || {
            let mut found = Vec::new();
            while let Some((share, part)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                found.push(share.run(part));
            }
            found
        };
        let found = if threads <= 1 {
            work_off()
        } else {
            thread::scope(|scope| {
                let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work_off)).collect();
                let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
                joined.flat_map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
            })
        };
        let (mut ends, mut work) = (Ends::new(wanted), Work::default());
        for (part, did) in found {
            ends.merge(part);
            work.add(did);
        }
        (ends, work)
    }

    /// The least similar references around the place of the best one.
    fn far_around(&self, best: Option<&Hit>, radius_m: f64, k: usize) -> Result<(Vec<Hit>, Work), SearchError> {
        let Some(best) = best else { return Ok((Vec::new(), Work::default())) };
        let place = self.set.reference(best)?.place;
        let window = Window::Circle { lat_deg: place.lat_deg, lon_deg: place.lon_deg, radius_m };
        let filter = FilterTest::new(&Filter { window: Some(window), ..self.options.filter.clone() })?;
        let wanted = Wanted { similar: 0, dissimilar: k };
        let shares = self.shares(wanted, &filter)?;
        let (ends, work) = self.both_ends(wanted, &shares);
        Ok((ends.dissimilar.into_hits(), work))
    }

    /// At most `k` hits, and of one place no more than is allowed.
    fn thinned(&self, mut hits: Vec<Hit>) -> Result<Vec<Hit>, ReadError> {
        match self.options.per_place {
            Some(limit) => thin(&hits, self.options.k, limit, |hit| Ok(self.set.reference(hit)?.place)),
            None => {
                hits.truncate(self.options.k);
                Ok(hits)
            }
        }
    }
}
