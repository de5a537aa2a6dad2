//! From a picture to its embedding.

use crate::digest;
use crate::error::{EmbedError, LoadError};
use crate::golden;
use crate::manifest::{Manifest, SpaceId};
use crate::preprocess::Preprocess;
use crate::tract::TractGraph;
use image::RgbImage;

/// A picture as a vector of unit length.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// The numbers; their squares sum to 1.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The numbers, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.0
    }
}

/// A loaded model that turns pictures into embeddings. It can be shared between threads; one call runs on the calling
/// thread alone.
pub struct Encoder {
    name: String,
    space: SpaceId,
    dimensions: usize,
    sha256: String,
    preprocess: Preprocess,
    graph: TractGraph,
}

impl Encoder {
    /// Loads the graph of `manifest` and runs its golden pictures: the first, the others, the first again. A runtime
    /// that misses a golden vector, or does not repeat its first answer exactly, is refused.
    ///
    /// # Errors
    /// [`LoadError`]: a file is not readable or has another digest, the runtime cannot run the graph, its inputs and
    /// outputs are not those of the manifest, or a golden vector is not reproduced.
    pub fn load(manifest: &Manifest) -> Result<Self, LoadError> {
        let spec = manifest.graph();
        let file = digest::read(&spec.file).map_err(|source| LoadError::Read {
            model: manifest.name().to_owned(),
            path: spec.file.clone(),
            source,
        })?;
        if file.sha256 != spec.sha256 {
            let (path, expected) = (spec.file.clone(), spec.sha256.clone());
            return Err(LoadError::Digest { path, expected, found: file.sha256 });
        }
        let preprocess = manifest.preprocess().clone();
        let input_shape = [1, 3, preprocess.height as usize, preprocess.width as usize];
        let encoder = Self {
            name: manifest.name().to_owned(),
            space: manifest.space().clone(),
            dimensions: manifest.dimensions(),
            sha256: file.sha256,
            graph: TractGraph::load(&file.bytes, spec, input_shape, manifest.dimensions())?,
            preprocess,
        };
        let cosines = golden::check(&encoder, manifest)?;
        tracing::info!(model = encoder.name, runtime = encoder.runtime(), ?cosines, "encoder loaded");
        Ok(encoder)
    }

    /// The embedding of `image`: preprocessed, run through the graph, scaled to unit length.
    ///
    /// # Errors
    /// [`EmbedError`]: the picture has no pixels, the runtime failed, or the vector has no direction (zero, infinite,
    /// not a number).
    pub fn embed(&self, image: &RgbImage) -> Result<Embedding, EmbedError> {
        let input = self.preprocess.apply(image)?;
        let vector = self.graph.run(&input).map_err(|reason| EmbedError::Runtime {
            model: self.name.clone(),
            runtime: self.runtime(),
            reason,
        })?;
        if vector.len() != self.dimensions {
            let (model, expected, found) = (self.name.clone(), self.dimensions, vector.len());
            return Err(EmbedError::Width { model, expected, found });
        }
        let length = length(&vector);
        unit(vector, length).ok_or_else(|| EmbedError::NoDirection { model: self.name.clone(), length })
    }

    /// Name of the variant, from its manifest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The space of the embeddings.
    #[must_use]
    pub fn space(&self) -> &SpaceId {
        &self.space
    }

    /// Width of an embedding.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// SHA-256 of the graph file, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.sha256
    }

    /// Name and version of the runtime, e.g. `tract-onnx 0.23.9`.
    #[must_use]
    pub fn runtime(&self) -> &'static str {
        TractGraph::RUNTIME
    }
}

/// Euclidean length.
fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

/// `vector`, whose length is `length`, scaled to unit length; `None` when it has no direction.
fn unit(mut vector: Vec<f32>, length: f64) -> Option<Embedding> {
    if !(length.is_finite() && length > f64::from(f32::MIN_POSITIVE)) {
        return None;
    }
    for value in &mut vector {
        *value = (f64::from(*value) / length) as f32;
    }
    Some(Embedding(vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_scaled_to_unit_length() {
        let vector = vec![3.0, 0.0, -4.0];
        let length = length(&vector);
        assert_eq!(unit(vector, length), Some(Embedding(vec![0.6, 0.0, -0.8])));
    }

    #[test]
    fn vectors_without_direction_are_refused() {
        for vector in [vec![0.0, 0.0], vec![f32::NAN, 1.0], vec![f32::INFINITY, 1.0], vec![1e-39, 0.0], vec![]] {
            let length = length(&vector);
            assert_eq!(unit(vector.clone(), length), None, "{vector:?}");
        }
    }

    #[test]
    fn the_largest_finite_numbers_do_not_overflow() {
        let vector = vec![f32::MAX; 4];
        let length = length(&vector);
        assert_eq!(unit(vector, length), Some(Embedding(vec![0.5; 4])));
    }

    #[test]
    fn an_encoder_can_be_shared_between_threads() {
        fn is_shareable<T: Send + Sync>() {}
        is_shareable::<Encoder>();
    }
}
