//! Where the vision tokens of a reference come from: its shard, the cache, or its thumbnail.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use index_shards::{Shard, ShardSet};
use quantized_models::{Comparator, DecodeLimits, ImageTokens, decode};
use thiserror::Error;
use tracing::warn;

use super::judge::stop;
use super::picture_blob::{PictureBlob, THUMBNAIL_CODEC, TOKENS_CODEC};
use super::token_cache::{TokenCache, TokenKey};
use crate::locate::Candidate;
use crate::locate::rerank::Stop;

/// A shard of which a comparator cannot see anything.
#[derive(Debug, Error)]
#[error(
    "{}: no pictures to compare: {found}; build it with --pictures thumbnails, or --pictures tokens --comparator",
    shard.display()
)]
pub struct NoPictures {
    /// The shard.
    pub shard: PathBuf,
    /// What it holds instead.
    pub found: String,
}

/// Sees that every shard has pictures, and gives a sentence for each whose tokens another comparator made.
///
/// # Errors
/// The first shard that has none.
pub fn check_pictures(shards: &ShardSet, producer: &str) -> Result<Vec<String>, NoPictures> {
    let mut notes = Vec::new();
    for shard in shards.shards().iter().filter(|shard| !shard.is_empty()) {
        let path = shard.path();
        match shard.description().blobs.as_ref() {
            Some(blobs) if blobs.codec == TOKENS_CODEC && blobs.producer != producer => notes.push(format!(
                "{}: its vision tokens are those of {}, not of {producer}: they are computed from its thumbnails",
                path.display(),
                blobs.producer
            )),
            Some(blobs) if blobs.codec == TOKENS_CODEC || blobs.codec == THUMBNAIL_CODEC => {}
            Some(blobs) => {
                let found = format!("found blobs of codec {}", blobs.codec);
                return Err(NoPictures { shard: path.to_owned(), found });
            }
            None => {
                let found = "it keeps none".to_owned();
                return Err(NoPictures { shard: path.to_owned(), found });
            }
        }
    }
    Ok(notes)
}

/// Finds or makes the tokens of references.
#[derive(Clone, Copy)]
pub(super) struct TokenSource<'a> {
    pub(super) shards: &'a ShardSet,
    pub(super) cache: Option<&'a TokenCache>,
    /// Whether it was said that the cache cannot be written.
    pub(super) cache_failed: &'a AtomicBool,
    /// How many candidates one question may show.
    pub(super) list_limit: usize,
}

impl TokenSource<'_> {
    /// The tokens of a reference. They are always those that come back from where tokens are stored, so that answers do
    /// not depend on whether they were.
    pub(super) fn tokens(&self, comparator: &Comparator, reference: &Candidate) -> Result<ImageTokens, Stop> {
        let shard =
            self.shards.shards().get(reference.shard).ok_or_else(|| Stop::Failed("no such shard".to_owned()))?;
        let failed = |problem: String| {
            Stop::Failed(format!("{}: reference {}: {problem}", shard.path().display(), reference.reference))
        };
        let producer = comparator.producer();
        let blob = PictureBlob::of_row(shard, reference.row, producer).map_err(|error| failed(error.to_string()))?;
        let blob = blob.unwrap_or_default();
        if !blob.tokens.is_empty() {
            match ImageTokens::from_bytes(producer, blob.tokens) {
                Ok(tokens) => return Ok(tokens),
                Err(error) => warn!(shard = %shard.path().display(), row = reference.row, %error, "computed anew"),
            }
        }
        if blob.thumbnail.is_empty() {
            return Err(failed("no picture".to_owned()));
        }
        self.of_thumbnail(comparator, shard, blob.thumbnail).map_err(|error| match error {
            Stop::Failed(problem) => failed(problem),
            other => other,
        })
    }

    fn of_thumbnail(&self, comparator: &Comparator, shard: &Shard, thumbnail: &[u8]) -> Result<ImageTokens, Stop> {
        let key = TokenKey::new(comparator.producer(), thumbnail);
        let kept = self.cache.and_then(|cache| cache.get(&key));
        if let Some(tokens) = kept.and_then(|bytes| ImageTokens::from_bytes(comparator.producer(), &bytes).ok()) {
            return Ok(tokens);
        }
        let picture = decode(thumbnail, &DecodeLimits::default()).map_err(|error| Stop::Failed(error.to_string()))?;
        let tokens = comparator.see(&picture).map_err(stop)?;
        if let Some(Err(error)) = self.cache.map(|cache| cache.put(&key, &tokens.to_bytes()))
            && !self.cache_failed.swap(true, Ordering::Relaxed)
        {
            warn!(shard = %shard.path().display(), %error, "vision tokens cannot be kept; they are computed each time");
        }
        Ok(tokens.as_stored())
    }
}
