//! Whether a runtime computes what the model's author computed.

use std::io;
use std::path::Path;

use image::RgbImage;

use crate::decode::{DecodeLimits, decode};
use crate::encoder::{Embedding, Encoder};
use crate::error::LoadError;
use crate::manifest::{GoldenSpec, Manifest, View};
use crate::options::{OnProgress, Progress, Step};

/// A golden picture with the vector that the model must give for it.
struct Golden<'a> {
    spec: &'a GoldenSpec,
    image: RgbImage,
    expected: Vec<f32>,
}

/// All golden pictures of a model.
pub(crate) struct Goldens<'a> {
    all: Vec<Golden<'a>>,
}

impl<'a> Goldens<'a> {
    /// Reads pictures and vectors, and sees that no two of a view are alike.
    pub(crate) fn read(manifest: &'a Manifest) -> Result<Self, LoadError> {
        let all = manifest.goldens().iter().map(|spec| read(spec, manifest)).collect::<Result<Vec<_>, _>>()?;
        check_unlike(&all)?;
        Ok(Self { all })
    }

    /// Of each view, runs every golden picture in order, then the first again. Returns the cosine of each to its
    /// expected vector.
    pub(crate) fn check(&self, encoder: &Encoder, progress: &mut OnProgress<'_>) -> Result<Vec<f32>, LoadError> {
        let mut cosines = Vec::with_capacity(self.all.len());
        for view in [View::Reference, View::Query] {
            let mut first = None;
            for golden in self.all.iter().filter(|golden| golden.spec.view == view) {
                progress(Progress { step: Step::Checking, done: cosines.len() as u64, total: self.all.len() as u64 });
                let embedding = embed(encoder, golden)?;
                let found = cosine(embedding.as_slice(), &golden.expected);
                let expected = golden.spec.min_cosine;
                let is_reproduced = found >= expected;
                if !is_reproduced {
                    let (path, runtime) = (golden.spec.embedding.clone(), encoder.runtime().label());
                    return Err(LoadError::GoldenMissed { path, runtime, expected, found });
                }
                cosines.push(found);
                first.get_or_insert((golden, embedding));
            }
            if let Some((golden, embedding)) = first {
                check_repeats(encoder, golden, &embedding)?;
            }
        }
        Ok(cosines)
    }
}

/// The same picture after other pictures gives the same vector, bit for bit.
fn check_repeats(encoder: &Encoder, golden: &Golden<'_>, before: &Embedding) -> Result<(), LoadError> {
    let again = embed(encoder, golden)?;
    if again == *before {
        return Ok(());
    }
    let cosine = cosine(again.as_slice(), before.as_slice());
    Err(LoadError::NotRepeatable { path: golden.spec.image.clone(), runtime: encoder.runtime().label(), cosine })
}

fn embed(encoder: &Encoder, golden: &Golden<'_>) -> Result<Embedding, LoadError> {
    let path = || golden.spec.image.clone();
    encoder.embed(&golden.image, golden.spec.view).map_err(|source| LoadError::GoldenEmbed { path: path(), source })
}

/// No two expected vectors may be so alike that one answer would pass for both.
fn check_unlike(goldens: &[Golden<'_>]) -> Result<(), LoadError> {
    for (at, first) in goldens.iter().enumerate() {
        for second in goldens.iter().skip(at + 1).filter(|second| second.spec.view == first.spec.view) {
            let cosine = cosine(&first.expected, &second.expected);
            let limit = first.spec.min_cosine.min(second.spec.min_cosine);
            let is_unlike = cosine < limit;
            if !is_unlike {
                let (first, second) = (first.spec.embedding.clone(), second.spec.embedding.clone());
                return Err(LoadError::GoldensAlike { first, second, limit, cosine });
            }
        }
    }
    Ok(())
}

fn read<'a>(spec: &'a GoldenSpec, manifest: &Manifest) -> Result<Golden<'a>, LoadError> {
    let bytes = |path: &Path| {
        let failed = |source: io::Error| {
            let (model, path) = (manifest.name().to_owned(), path.to_path_buf());
            LoadError::Read { model, path, source }
        };
        std::fs::read(path).map_err(failed)
    };
    let image = decode(&bytes(&spec.image)?, &DecodeLimits::default())
        .map_err(|source| LoadError::GoldenPicture { path: spec.image.clone(), source })?;
    let expected = vector(&bytes(&spec.embedding)?, manifest.dimensions())
        .map_err(|(expected, found)| LoadError::GoldenVector { path: spec.embedding.clone(), expected, found })?;
    Ok(Golden { spec, image, expected })
}

/// Little-endian float32 numbers, or what was expected and what was found.
fn vector(bytes: &[u8], dimensions: usize) -> Result<Vec<f32>, (String, String)> {
    if bytes.len() != dimensions * size_of::<f32>() {
        let expected = format!("{dimensions} float32 numbers ({} bytes)", dimensions * size_of::<f32>());
        return Err((expected, format!("{} bytes", bytes.len())));
    }
    let (chunks, _) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
    match vector.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(("finite numbers".to_owned(), value.to_string())),
        None => Ok(vector),
    }
}

/// Cosine of the angle between two vectors; not a number when one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}
