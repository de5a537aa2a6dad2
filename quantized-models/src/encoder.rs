//! From a picture to its embedding.

use std::sync::Arc;

use image::RgbImage;

use crate::error::{EmbedError, LoadError};
use crate::golden::Goldens;
use crate::loading::{self, Subject};
use crate::manifest::{ByView, GraphSpec, Manifest, SpaceId, View};
use crate::onnxruntime::{OrtGraph, Packing, Sums};
use crate::options::{LoadOptions, OnProgress};
use crate::preprocess::Preprocess;
use crate::runtime::{Ends, Graph, RuntimeInfo, RuntimeKind};
use crate::tract::TractGraph;

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

/// A loaded model that turns pictures into embeddings. It can be shared between threads: as many calls run at the same
/// time as [`LoadOptions::sessions`] allows, further ones wait.
pub struct Encoder {
    name: String,
    space: SpaceId,
    dimensions: usize,
    sha256: String,
    towers: ByView<Tower>,
    least_cosine: f32,
}

/// What pictures of one view go through.
pub(crate) struct Tower {
    pub(crate) preprocess: Preprocess,
    pub(crate) graph: Arc<dyn Graph>,
}

impl Encoder {
    /// Loads the model of `manifest` and runs its golden pictures: the first, the others, the first again.
    ///
    /// Runtimes are tried in the order of the manifest, or only the one that `options` name. One whose library is not
    /// there, that lacks an operator, misses a golden vector or does not repeat its first answer exactly is refused,
    /// which is logged, and the next is tried.
    ///
    /// # Errors
    /// [`LoadError`]: another user may write the model, a file is not readable or has another digest, the ends of the
    /// graph are not those of the manifest, or no runtime is left. What `options` name themselves (runtime, library,
    /// provider) is not replaced by anything else.
    pub fn load(manifest: &Manifest, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::load_with(manifest, options, &mut |_| ())
    }

    /// The same, telling `progress` how far it has come.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load_with(
        manifest: &Manifest,
        options: &LoadOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        Loading { manifest, options, packing: Packing::Tried }.load(progress)
    }

    /// The same, and what makes later loads fast is there afterwards: packed weights under ONNX Runtime on the CPU,
    /// whatever the size of the graph, engines under TensorRT.
    ///
    /// # Errors
    /// As [`Encoder::load`]; also when weights cannot be packed.
    pub fn prepare(
        manifest: &Manifest,
        options: &LoadOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self, LoadError> {
        Loading { manifest, options, packing: Packing::Demanded }.load(progress)
    }

    /// The embedding of `image` as one of the index or as one whose place is asked for: preprocessed, run through the
    /// graph, scaled to unit length.
    ///
    /// # Errors
    /// [`EmbedError`]: the picture has no pixels, the runtime failed, or the vector has no direction (zero, infinite,
    /// not a number).
    pub fn embed(&self, image: &RgbImage, view: View) -> Result<Embedding, EmbedError> {
        let tower = self.towers.of(view);
        let input = tower.preprocess.apply(image)?;
        let vector = tower.graph.run(&input).map_err(|reason| EmbedError::Runtime {
            model: self.name.clone(),
            runtime: tower.graph.info().label(),
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

    /// SHA-256 of the graph file for references, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.sha256
    }

    /// What runs the graph.
    #[must_use]
    pub fn runtime(&self) -> &RuntimeInfo {
        self.towers.reference.graph.info()
    }

    /// Smallest cosine of a golden picture to its expected vector, as measured at load.
    #[must_use]
    pub fn golden_cosine(&self) -> f32 {
        self.least_cosine
    }

    pub(crate) fn tower(&self, view: View) -> &Tower {
        self.towers.of(view)
    }
}

/// The steps from a manifest to an encoder.
struct Loading<'a> {
    manifest: &'a Manifest,
    options: &'a LoadOptions,
    packing: Packing,
}

impl Loading<'_> {
    fn load(&self, progress: &mut OnProgress<'_>) -> Result<Encoder, LoadError> {
        let manifest = self.manifest;
        let subject = Subject {
            name: manifest.name(),
            path: manifest.path(),
            folder: manifest.folder(),
            files: manifest.files(),
            others: manifest.golden_files().flat_map(|(image, embedding)| [image, embedding]).collect(),
            runtimes: manifest.runtimes(),
        };
        let loading = loading::Loading { subject, options: self.options };
        loading.load(&mut |way, progress| self.load_on(way, progress), progress)
    }

    fn load_on(&self, way: (RuntimeKind, Sums), progress: &mut OnProgress<'_>) -> Result<Encoder, LoadError> {
        let manifest = self.manifest;
        let mut encoder = Encoder {
            name: manifest.name().to_owned(),
            space: manifest.space().clone(),
            dimensions: manifest.dimensions(),
            sha256: manifest.graph_sha256().to_owned(),
            towers: self.towers(way, progress)?,
            least_cosine: 1.0,
        };
        let cosines = Goldens::read(manifest)?.check(&encoder, progress)?;
        encoder.towers.reference.graph.checked();
        if let Some(query) = &encoder.towers.query {
            query.graph.checked();
        }
        encoder.least_cosine = cosines.iter().copied().fold(1.0, f32::min);
        let info = encoder.runtime();
        let (runtime, threads, weights) = (info.label(), info.threads, info.weights);
        tracing::info!(model = encoder.name, runtime, threads, ?weights, ?cosines, "encoder loaded");
        Ok(encoder)
    }

    /// A tower per view; one graph for both where only the preprocessing differs.
    fn towers(&self, way: (RuntimeKind, Sums), progress: &mut OnProgress<'_>) -> Result<ByView<Tower>, LoadError> {
        let graphs = self.manifest.graphs();
        let preprocess_of = |view| self.manifest.preprocess_of(view).clone();
        let preprocess = preprocess_of(View::Reference);
        let graph = self.graph(way, &graphs.reference, &preprocess, progress)?;
        let query = match &graphs.query {
            Some(spec) => {
                let preprocess = preprocess_of(View::Query);
                Some(Tower { graph: self.graph(way, spec, &preprocess, progress)?, preprocess })
            }
            None if !self.manifest.is_asymmetric() => None,
            None => {
                let preprocess = preprocess_of(View::Query);
                let graph = if (preprocess.width, preprocess.height) == self.size() {
                    Arc::clone(&graph)
                } else {
                    self.graph(way, &graphs.reference, &preprocess, progress)?
                };
                Some(Tower { graph, preprocess })
            }
        };
        Ok(ByView { reference: Tower { preprocess, graph }, query })
    }

    /// Width and height of the input for references.
    fn size(&self) -> (u32, u32) {
        let preprocess = self.manifest.preprocess();
        (preprocess.width, preprocess.height)
    }

    fn graph(
        &self,
        (kind, sums): (RuntimeKind, Sums),
        spec: &GraphSpec,
        preprocess: &Preprocess,
        progress: &mut OnProgress<'_>,
    ) -> Result<Arc<dyn Graph>, LoadError> {
        let ends = Ends {
            input: &spec.input,
            input_shape: [1, 3, preprocess.height as usize, preprocess.width as usize],
            output: &spec.output,
            dimensions: self.manifest.dimensions(),
        };
        let folder = self.manifest.folder();
        Ok(match kind {
            RuntimeKind::OnnxRuntime => {
                Arc::new(OrtGraph::load(spec, &ends, folder, self.options, (self.packing, sums), progress)?)
            }
            RuntimeKind::Tract => Arc::new(TractGraph::load(spec, &ends)?),
        })
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
