//! A reference that may show the place of the frame.

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
    /// Row in that shard, counted in the order given to `build`.
    pub row: u32,
    /// Half of the shorter side of the ground that the reference shows, in metres, where its footprint is known: two
    /// references whose centres are nearer than the sum of theirs overlap.
    pub extent_m: Option<f64>,
}
