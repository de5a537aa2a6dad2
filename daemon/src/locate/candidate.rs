//! A reference that may show the place of the frame.

use super::{CameraOffset, Support};

/// One reference that retrieval found, with the ground position that it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Latitude in WGS 84 degrees.
    pub lat_deg: f64,
    /// Longitude in WGS 84 degrees.
    pub lon_deg: f64,
    /// Cosine of the embeddings of frame and reference, in [-1, 1].
    pub similarity: f32,
    /// Name of the reference in its shard.
    pub reference: String,
    /// Position of the shard in the index.
    pub shard: usize,
    /// Its row in that shard: where it stands there, by place.
    pub row: u32,
    /// 0.3 of the shorter side of the ground that the reference shows, in metres, where its footprint is known. Two
    /// references whose centres are nearer than the sum of theirs share nearly half of their ground or more; tiles cut
    /// with half of their side in common lie clearly within it.
    pub extent_m: Option<f64>,
    /// What a prior adds to the logarithm of its weight, at most 0; 0 without a prior that weighs.
    pub prior_nats: f64,
    /// What it says together with others that show its place; absent where there are none, or where each weighs alone.
    pub support: Option<Support>,
    /// How far the camera is from the ground that the reference shows; absent where the frame does not say it, or where it
    /// is not asked.
    pub offset: Option<CameraOffset>,
}

impl Candidate {
    /// By what it weighs: the similarity of its place where several references show that, else its own.
    pub fn weighing_similarity(&self) -> f64 {
        self.support.map_or(f64::from(self.similarity), |support| support.similarity)
    }

    /// Where it puts the frame, latitude and longitude in WGS 84 degrees: between the references of its place where there
    /// are several, else where it lies itself; and from there as far off as the camera is.
    pub fn puts_at(&self) -> (f64, f64) {
        let (lat_deg, lon_deg) =
            self.support.map_or((self.lat_deg, self.lon_deg), |support| (support.lat_deg, support.lon_deg));
        self.offset.map_or((lat_deg, lon_deg), |offset| offset.camera_of(lat_deg, lon_deg))
    }
}

#[cfg(test)]
impl Candidate {
    /// One for tests, at 8 degrees east.
    pub(crate) fn at(lat_deg: f64, similarity: f32) -> Self {
        Self {
            lat_deg,
            lon_deg: 8.0,
            similarity,
            reference: String::new(),
            shard: 0,
            row: 0,
            extent_m: None,
            prior_nats: 0.0,
            support: None,
            offset: None,
        }
    }
}
