//! The vision encoder: from a picture to its tokens.

use std::sync::Arc;

use image::RgbImage;

use super::error::CompareError;
use super::manifest::{ComparatorManifest, Holds, PatchTable, VisionInput, VisionSpec};
use super::stopper::Stopper;
use super::tokens::ImageTokens;
use crate::digest;
use crate::network::{Axes, End, Failure, Input, Kind, Network, NetworkEnds, Numbers};
use crate::preprocess::Preprocess;

/// A loaded vision encoder.
pub(super) struct Vision {
    pub(super) network: Box<dyn Network>,
    spec: VisionSpec,
    preprocess: Preprocess,
    patch: Option<PatchTable>,
    shape: [usize; 2],
    producer: Arc<str>,
    model: String,
}

/// What one input is given.
enum Given {
    F32(Vec<f32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
}

impl Given {
    fn numbers(&self) -> Numbers<'_> {
        match self {
            Self::F32(numbers) => Numbers::F32(numbers),
            Self::I64(numbers) => Numbers::I64(numbers),
            Self::Bool(numbers) => Numbers::Bool(numbers),
        }
    }
}

impl Vision {
    pub(super) fn new(network: Box<dyn Network>, manifest: &ComparatorManifest) -> Self {
        Self {
            network,
            spec: manifest.vision().clone(),
            preprocess: manifest.preprocess().clone(),
            patch: manifest.image().patch,
            shape: manifest.tokens_shape(),
            producer: producer(manifest).into(),
            model: manifest.name().to_owned(),
        }
    }

    /// What the graph must take and give.
    pub(super) fn ends(manifest: &ComparatorManifest) -> NetworkEnds {
        let input = |input: &VisionInput| {
            let kinds: &'static [Kind] = match input.holds {
                Holds::Pixels | Holds::Patches => &[Kind::F32],
                Holds::Grid => &[Kind::I64],
                Holds::PixelMask => &[Kind::Bool, Kind::I64],
            };
            End::new(&input.name, kinds, input.shape.iter().copied().map(Some).collect())
        };
        let (spec, [tokens, width]) = (manifest.vision(), manifest.tokens_shape());
        let output = End { name: spec.output.clone(), kinds: &[Kind::F32], axes: Axes::Product(tokens * width) };
        NetworkEnds { inputs: spec.inputs.iter().map(input).collect(), outputs: vec![output] }
    }

    /// Which tokens it makes.
    pub(super) fn producer(&self) -> &Arc<str> {
        &self.producer
    }

    /// Tokens of a picture, and numbers of each.
    pub(super) fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The tokens of `image`.
    pub(super) fn see(&self, image: &RgbImage, stopper: &Stopper) -> Result<ImageTokens, CompareError> {
        let planes = self.preprocess.apply(image).map_err(CompareError::Picture)?;
        let given: Vec<Given> = self.spec.inputs.iter().map(|input| self.given(input, &planes)).collect();
        let inputs = self.spec.inputs.iter().zip(&given);
        let inputs: Vec<Input<'_>> = inputs
            .map(|(input, given)| Input { name: &input.name, shape: input.shape.clone(), numbers: given.numbers() })
            .collect();
        let outputs = self.network.run(&inputs, stopper).map_err(|failure| match failure {
            Failure::Stopped => CompareError::Stopped { model: self.model.clone() },
            Failure::Runtime(reason) => self.failed(reason),
        })?;
        let Some(output) = outputs.first() else { return Err(self.failed("it gave nothing".to_owned())) };
        let found = output.shape();
        let [tokens, width] = self.shape;
        let is_shape = found.ends_with(&self.shape) && found.iter().product::<usize>() == tokens * width;
        if !is_shape {
            return Err(CompareError::TokensShape { model: self.model.clone(), expected: self.shape, found });
        }
        let numbers = output.floats().map_err(|reason| self.failed(reason))?;
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(&found) => Err(CompareError::NotFinite { model: self.model.clone(), what: "image tokens", found }),
            None => Ok(ImageTokens::new(Arc::clone(&self.producer), width, numbers.to_vec())),
        }
    }

    fn given(&self, input: &VisionInput, planes: &[f32]) -> Given {
        let (width, height) = (self.preprocess.width as usize, self.preprocess.height as usize);
        match (input.holds, self.patch) {
            (Holds::Patches, Some(patch)) => Given::F32(patches(planes, [height, width], patch)),
            (Holds::Pixels | Holds::Patches, _) => Given::F32(planes.to_vec()),
            (Holds::Grid, patch) => {
                let side = patch.map_or(1, |patch| patch.size.max(1));
                let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
                Given::I64(vec![1, whole(height / side), whole(width / side)])
            }
            (Holds::PixelMask, _) => match self.network.kind_of(&input.name) {
                Some(Kind::I64) => Given::I64(vec![1; width * height]),
                _ => Given::Bool(vec![true; width * height]),
            },
        }
    }

    fn failed(&self, reason: String) -> CompareError {
        let (model, runtime) = (self.model.clone(), self.network.info().label());
        CompareError::Runtime { model, runtime, graph: "vision_encoder", reason }
    }
}

/// Name of the model and 12 hexadecimal digits of all that decides what its tokens are: the graph, and how pictures are
/// prepared for it.
fn producer(manifest: &ComparatorManifest) -> String {
    let digests: Vec<&str> = manifest.vision().files.all().map(|file| file.sha256.as_str()).collect();
    let text = format!(
        "{}\n{:?}\n{:?}\n{:?}",
        digests.join(" "),
        manifest.preprocess(),
        manifest.tokens_shape(),
        manifest.image().patch
    );
    let digest = digest::sha256_hex(text.as_bytes());
    format!("{}@{}", manifest.name(), digest.get(..12).unwrap_or(&digest))
}

/// Planes (C, H, W) as patches in the order of Qwen2-VL: blocks of `merge` x `merge` patches, in each of them its
/// patches, in each of those planes, frames, rows, columns.
fn patches(planes: &[f32], [height, width]: [usize; 2], patch: PatchTable) -> Vec<f32> {
    let PatchTable { size, merge, frames } = patch;
    let side = (size * merge).max(1);
    let mut numbers = Vec::with_capacity(planes.len() * frames);
    let steps = |most: usize, step: usize| (0..most).step_by(step.max(1));
    for block_top in steps(height, side) {
        for block_left in steps(width, side) {
            for top in steps(side, size).map(|top| block_top + top) {
                for left in steps(side, size).map(|left| block_left + left) {
                    for plane in planes.chunks_exact((height * width).max(1)) {
                        for _ in 0..frames {
                            for row in plane.chunks_exact(width.max(1)).skip(top).take(size) {
                                numbers.extend(row.iter().skip(left).take(size));
                            }
                        }
                    }
                }
            }
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_stand_in_the_order_of_qwen2_vl() {
        // One plane of 4 x 4 pixels; patches of 1 pixel, merged 2 x 2, each frame twice.
        let plane: Vec<f32> = (0..16_u8).map(f32::from).collect();
        let found = patches(&plane, [4, 4], PatchTable { size: 1, merge: 2, frames: 2 });
        let order = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
        let expected: Vec<f32> = order.iter().flat_map(|&at| [f32::from(at as u8); 2]).collect();
        assert_eq!(found, expected);
        // Two planes, patches of 2 pixels: both planes of a patch stand together.
        let planes: Vec<f32> = (0..32_u8).map(f32::from).collect();
        let found = patches(&planes, [4, 4], PatchTable { size: 2, merge: 1, frames: 1 });
        assert_eq!(found.get(..10), Some([0.0, 1.0, 4.0, 5.0, 16.0, 17.0, 20.0, 21.0, 2.0, 3.0].as_slice()));
        assert_eq!(found.len(), 32);
    }
}
