//! Embeddings about the mean of where they come from.
//!
//! Photos of a drone and tiles of a map differ as kinds of pictures before they differ as places; that difference lies
//! in the mean of each kind. With the mean `c` of a camera's embeddings and the mean `m` of the index's, a reference `r`
//! is as similar to a frame `q` as `q - c` to `r - m`, by the cosine. The index stays as it is: it is searched for
//! `q - c`, which orders references by the dot product with `r - m` but for their lengths, and what is found is scored
//! exactly.

use index_shards::{Hit, ReadError, ShardSet};

/// References from which the index's mean is taken, at most; they are spread evenly.
const SAMPLE: usize = 2048;
/// How many frames the index's mean counts as in a camera's.
const PRIOR_FRAMES: f32 = 32.0;
/// After so many frames older ones fade.
const MEMORY_FRAMES: f32 = 512.0;

/// Mean of the embeddings of one camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraMean {
    mean: Vec<f32>,
    frames: f32,
}

impl CameraMean {
    /// That of a camera of which nothing is known yet: the mean of the index.
    pub fn starting_at(index_mean: &[f32]) -> Self {
        Self { mean: index_mean.to_vec(), frames: PRIOR_FRAMES }
    }

    /// The mean, as wide as an embedding.
    pub fn as_slice(&self) -> &[f32] {
        &self.mean
    }

    /// Takes a frame's embedding in. One of another width is of another model, and of no use.
    pub fn add(&mut self, embedding: &[f32]) {
        if embedding.len() != self.mean.len() || embedding.iter().any(|value| !value.is_finite()) {
            return;
        }
        self.frames = (self.frames + 1.0).min(MEMORY_FRAMES);
        for (mean, value) in self.mean.iter_mut().zip(embedding) {
            *mean += (value - *mean) / self.frames;
        }
    }
}

/// Mean of the vectors of an index, from at most 2048 of them; `None` of an empty one.
///
/// # Errors
/// A shard was cut.
pub(super) fn index_mean(shards: &ShardSet) -> Result<Option<Vec<f32>>, ReadError> {
    let all: usize = shards.shards().iter().map(index_shards::Shard::len).sum();
    let step = all.div_ceil(SAMPLE).max(1);
    let (mut mean, mut count) = (vec![0.0_f32; shards.dimensions()], 0_usize);
    for shard in shards.shards() {
        for row in (0..shard.len()).step_by(step) {
            let vector = shard.vector(u32::try_from(row).unwrap_or(u32::MAX))?;
            mean.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += value);
            count += 1;
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f32);
    Ok((count > 0).then_some(mean))
}

/// `embedding` less `mean`, at unit length; `None` where nothing is left.
pub(super) fn centred(embedding: &[f32], mean: &[f32]) -> Option<Vec<f32>> {
    if embedding.len() != mean.len() {
        return None;
    }
    let less: Vec<f32> = embedding.iter().zip(mean).map(|(value, mean)| value - mean).collect();
    let length = dot(&less, &less).sqrt();
    (length.is_finite() && length > 1e-6).then(|| less.iter().map(|value| value / length).collect())
}

/// Gives each hit of a search for the centred `query` the cosine with its reference less the index's `mean`, and sorts
/// them, the most similar first.
///
/// # Errors
/// A shard was cut.
pub(super) fn rescore(shards: &ShardSet, query: &[f32], mean: &[f32], hits: &mut [Hit]) -> Result<(), ReadError> {
    let (of_query, of_mean) = (dot(query, mean), dot(mean, mean));
    for hit in hits.iter_mut() {
        let missing = || ReadError::NoSuchShard { found: hit.shard, shards: shards.shards().len() };
        let vector = shards.shards().get(hit.shard).ok_or_else(missing)?.vector(hit.row)?;
        let length = (1.0 - 2.0 * dot(&vector, mean) + of_mean).max(0.0).sqrt();
        hit.score = if length > 1e-6 { ((hit.score - of_query) / length).clamp(-1.0, 1.0) } else { 0.0 };
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(())
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_begins_at_the_index_and_moves_to_its_own_frames() {
        let mut camera = CameraMean::starting_at(&[1.0, 0.0]);
        (0..5000).for_each(|_| camera.add(&[0.0, 1.0]));
        assert!(camera.as_slice()[0] < 0.01 && camera.as_slice()[1] > 0.99, "{camera:?}");
        let before = camera.clone();
        camera.add(&[1.0]);
        camera.add(&[f32::NAN, 0.0]);
        assert_eq!(camera, before);
    }

    #[test]
    fn what_is_centred_has_unit_length_or_is_nothing() {
        let centred_one = centred(&[0.6, 0.8], &[0.6, 0.0]).unwrap();
        assert!((centred_one[1] - 1.0).abs() < 1e-6 && centred_one[0].abs() < 1e-6);
        assert_eq!(centred(&[0.6, 0.8], &[0.6, 0.8]), None);
        assert_eq!(centred(&[0.6, 0.8], &[0.6]), None);
        assert_eq!(centred(&[f32::NAN, 0.8], &[0.6, 0.0]), None);
    }
}
