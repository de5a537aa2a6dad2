//! Which of the retrieved references shows the place of the frame, by the eyes of a comparator?
//!
//! The second stage of the pipeline: [`Reranker::rerank`] takes a frame and its retrieved [`Prediction`] to a second one.
//! It brings together what [`crate::locate::rerank`] wants to know and a [`Comparator`], which can tell; the vision
//! tokens of references come from their shards, from a cache on the disk, or are computed from thumbnails. The daemon,
//! `geolocate locate` and `geolocate evaluate` call the very same function.

mod judge;
mod picture_blob;
mod token_cache;
mod tokens;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use quantized_models::{Comparator, Stopper};
use sha2::{Digest, Sha256};

use self::judge::{ComparatorJudge, Frame};
use self::tokens::TokenSource;
use crate::locate::rerank::{Costs, PosteriorOptions, PriorCandidate, Ranking, RerankOptions, Strategy, rerank};
use crate::locate::{Candidate, Pipeline, Prediction, reranked};

pub use picture_blob::{PictureBlob, THUMBNAIL_CODEC, TOKENS_CODEC};
pub use token_cache::{TokenCache, TokenKey};
pub use tokens::{NoPictures, check_pictures};

/// How many candidates the retrieval finds for a reranking.
pub const POOL: usize = 64;

/// Which question of a comparator's manifest a strategy asks; `None` of [`Strategy::Off`].
pub fn question(strategy: Strategy) -> Option<&'static str> {
    match strategy {
        Strategy::PointwiseYesNo => Some("yes_no"),
        Strategy::PointwiseScore => Some("score"),
        Strategy::Listwise => Some("list"),
        Strategy::Adaptive | Strategy::Knockout | Strategy::RoundRobin | Strategy::Bubble => Some("pair"),
        Strategy::Off => None,
    }
}

/// Where vision tokens that were computed on the device are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCacheOptions {
    /// The folder; it is made where it is missing.
    pub folder: PathBuf,
    /// Bytes that all of them may take; 0 keeps none.
    pub max_bytes: u64,
}

/// A loaded comparator with what it needs to look at references. Shared between threads by reference.
pub struct Reranker {
    comparator: Comparator,
    cache: Option<TokenCache>,
    cache_failed: AtomicBool,
    list_limit: usize,
    costs: Costs,
}

/// The second answer for a frame, and how it came about.
#[derive(Debug, Clone)]
pub struct Reranked {
    /// The answer.
    pub prediction: Prediction,
    /// All that was asked and said, and the order that follows, over [`Prediction::similar`] and then
    /// [`Prediction::further`] of the retrieved answer.
    pub ranking: Ranking,
}

impl Reranker {
    /// A reranker of `comparator`, which can compare `list_limit` candidates in one question. Without a cache, what is
    /// not in a shard is computed each time.
    pub fn new(comparator: Comparator, list_limit: usize, cache: Option<TokenCache>) -> Self {
        let costs = costs(comparator.times().pair_ms);
        Self { comparator, cache, cache_failed: AtomicBool::new(false), list_limit, costs }
    }

    /// `options` for this comparator: what its answers cost, and how far off they are, if that is more.
    fn fitted(&self, options: &RerankOptions) -> RerankOptions {
        let perception_noise_nats =
            options.posterior.perception_noise_nats.max(self.comparator.perception_noise_nats());
        let posterior = PosteriorOptions { perception_noise_nats, ..options.posterior };
        RerankOptions { costs: self.costs, posterior, ..options.clone() }
    }

    /// The comparator.
    pub fn comparator(&self) -> &Comparator {
        &self.comparator
    }

    /// Shows the candidates of `retrieved`, the answer of `pipeline` for the frame with these encoded bytes, to the
    /// comparator, as `options` say. Never fails: when the comparator does, or has no time, the retrieved answer stands
    /// and the ranking says why. With a budget of milliseconds the comparator's run is ended when they are over, which
    /// ends its runs on other threads too; where the runtime cannot do that, it comes back later. The clock is read for
    /// the budget and for the times of the stages alone.
    pub fn rerank(
        &self,
        pipeline: &Pipeline,
        encoded: &[u8],
        retrieved: &Prediction,
        options: &RerankOptions,
    ) -> Reranked {
        let start = Instant::now();
        let candidates: Vec<Candidate> = retrieved.similar.iter().chain(&retrieved.further).cloned().collect();
        let prior = PriorCandidate::of(&candidates, &retrieved.dissimilar, pipeline.fuse_options());
        let source = TokenSource {
            shards: pipeline.shards(),
            cache: self.cache.as_ref(),
            cache_failed: &self.cache_failed,
            list_limit: self.list_limit,
        };
        let frame = Frame { encoded, limits: pipeline.limits() };
        let shown: Vec<&Candidate> = candidates.iter().collect();
        let mut judge = ComparatorJudge::new(&self.comparator, source, frame, &shown, &retrieved.dissimilar);
        let options = &self.fitted(options);
        let budget = options.budget_ms.map(Duration::from_millis).filter(|_| self.comparator.can_stop());
        let ranking = before(budget, &self.comparator.stopper(), || {
            let elapsed = || start.elapsed();
            rerank(&prior, retrieved.dissimilar.len(), &mut judge, &elapsed, options, digest(encoded))
        });
        let name = self.comparator.name();
        let mut prediction = reranked(retrieved, &ranking, options.strategy, name, pipeline.fuse_options());
        pipeline.certify_reranked(&mut prediction, retrieved);
        let rerank_ms = start.elapsed().as_secs_f64() * 1e3;
        prediction.stages.rerank_ms = Some(rerank_ms);
        prediction.stages.total_ms = prediction.stages.total_ms.map(|total_ms| total_ms + rerank_ms);
        Reranked { prediction, ranking }
    }
}

/// The usual costs, at the speed of a comparator that takes so many milliseconds for a comparison on a pivot. They are
/// scaled by a power of two: then pairs are chosen alike on every machine, whatever was measured.
fn costs(pivoted_ms: f64) -> Costs {
    let usual = Costs::default();
    let octaves = (pivoted_ms / usual.pivoted_ms).log2().round();
    let scale = if octaves.is_finite() { octaves.clamp(-20.0, 20.0).exp2() } else { 1.0 };
    Costs {
        pair_ms: usual.pair_ms * scale,
        pivoted_ms: usual.pivoted_ms * scale,
        single_ms: usual.single_ms * scale,
        list_item_ms: usual.list_item_ms * scale,
    }
}

/// Does `work`; stops the comparator when it takes longer than `budget`.
fn before<T>(budget: Option<Duration>, stopper: &Stopper, work: impl FnOnce() -> T) -> T {
    /// Lets the comparator go on, whatever became of the work.
    struct Clear<'a>(&'a Stopper);
    impl Drop for Clear<'_> {
        fn drop(&mut self) {
            self.0.clear();
        }
    }
    let Some(budget) = budget else { return work() };
    let _clear = Clear(stopper);
    thread::scope(|scope| {
        let (finished, is_finished) = channel::<()>();
        scope.spawn(move || {
            if is_finished.recv_timeout(budget) == Err(RecvTimeoutError::Timeout) {
                stopper.stop();
            }
        });
        let done = work();
        drop(finished);
        done
    })
}

/// What stands for a frame, so that candidates are presented in the same order whenever it comes.
fn digest(encoded: &[u8]) -> u64 {
    let digest = Sha256::digest(encoded);
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_follow_the_speed_and_keep_their_ratio_to_the_bit() {
        let usual = Costs::default();
        assert_eq!(costs(usual.pivoted_ms * 1.1), usual);
        for (pivoted_ms, scale) in [(3.0, 0.03125), (700.0, 8.0), (0.0, 1.0), (f64::NAN, 1.0)] {
            let scaled = costs(pivoted_ms);
            assert_eq!(scaled.pair_ms, usual.pair_ms * scale, "{pivoted_ms}");
            assert_eq!(scaled.pair_ms / scaled.pivoted_ms, usual.pair_ms / usual.pivoted_ms);
        }
    }

    #[test]
    fn a_frame_has_the_same_digest_whenever_it_comes() {
        assert_eq!(digest(b"abc"), u64::from_le_bytes([0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]));
    }
}
