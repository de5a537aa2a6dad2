//! From pixels to the numbers that a model takes: resize, scale, normalise.
//!
//! Resizing is a convolution over 8-bit pixels whose support grows with the reduction (antialiased), as in Pillow;
//! the reference embeddings of published models come from Pillow.

use crate::error::EmbedError;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use serde::Deserialize;

/// How a picture of any shape becomes `width` x `height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Exactly to the target; the aspect is not kept.
    Stretch,
    /// The shortest side is brought to a length, or just so far that the picture covers the target, with the aspect
    /// kept; then the centre is cut out.
    Crop,
}

/// The kernel that pixels are resampled with, antialiased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle, support 1.
    Bilinear,
    /// Cubic with a = -0.5 (Catmull-Rom), support 2; Pillow's bicubic.
    Bicubic,
    /// Lanczos, support 3.
    Lanczos,
}

/// How half of a margin that is no whole number of pixels becomes one, in [`Resize::Crop`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// To the nearest, half to even: torchvision's `CenterCrop`.
    #[default]
    Round,
    /// Down: Hugging Face's processors.
    Floor,
}

/// The order of the colour planes that the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// The preprocessing that a model was trained with.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Width of the model's input in pixels, at least 1.
    pub width: u32,
    /// Height of the model's input in pixels, at least 1.
    pub height: u32,
    /// How the aspect is treated.
    pub resize: Resize,
    /// For [`Resize::Crop`]: what the shortest side becomes before the crop, in pixels, at least both sides of the
    /// target; `None` just covers it.
    pub shortest_side: Option<u32>,
    /// For [`Resize::Crop`]: how the margins become whole pixels.
    pub margin: Margin,
    /// The resampling kernel.
    pub filter: Filter,
    /// Order of the planes.
    pub channels: Channels,
    /// What a level, 0..=255, is multiplied by before mean and deviation. Finite and above zero.
    pub rescale: f32,
    /// Subtracted from each plane after rescaling, in the order of the planes. Finite.
    pub mean: [f32; 3],
    /// Each plane is divided by this, in the order of the planes. Finite and above zero.
    pub std: [f32; 3],
}

/// A rectangle of the source, in fractional pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SourceBox {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Preprocess {
    /// The usual factor: levels become 0..=1.
    pub const RESCALE: f32 = 1.0 / 255.0;

    /// The model's input for `image`: `3 * height * width` numbers, plane after plane, row after row (NCHW with N = 1),
    /// each `(level * rescale - mean) / std`.
    ///
    /// # Errors
    /// [`EmbedError::NoPixels`] for a picture without pixels.
    pub fn apply(&self, image: &RgbImage) -> Result<Vec<f32>, EmbedError> {
        let resized = self.resize(image)?;
        let mut input = Vec::with_capacity(resized.len());
        let planes = match self.channels {
            Channels::Rgb => [0, 1, 2],
            Channels::Bgr => [2, 1, 0],
        };
        for ((plane, mean), std) in planes.into_iter().zip(self.mean).zip(self.std) {
            let values = resized.iter().skip(plane).step_by(3);
            input.extend(values.map(|&level| (f32::from(level) * self.rescale - mean) / std));
        }
        Ok(input)
    }

    /// `image` as `width` x `height` interleaved RGB bytes.
    fn resize(&self, image: &RgbImage) -> Result<Vec<u8>, EmbedError> {
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            return Err(EmbedError::NoPixels { width, height });
        }
        let failed = |reason: String| EmbedError::Resize { width, height, reason };
        let source =
            ImageRef::new(width, height, image.as_raw(), PixelType::U8x3).map_err(|error| failed(error.to_string()))?;
        let mut target = Image::new(self.width, self.height, PixelType::U8x3);
        let from = self.source_box(width, height);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(self.kernel())).crop(
            from.left,
            from.top,
            from.width,
            from.height,
        );
        Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(error.to_string()))?;
        Ok(target.into_vec())
    }

    fn kernel(&self) -> FilterType {
        match self.filter {
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos => FilterType::Lanczos3,
        }
    }

    /// The part of a `width` x `height` source that fills the target. For [`Resize::Crop`] the side that would stick
    /// out is first rounded down to whole target pixels and the margin to a whole pixel (torchvision's `Resize` and
    /// `CenterCrop`), so that sampling points are those of resizing everything and cutting afterwards, at the cost of
    /// the target alone, however extreme the aspect.
    fn source_box(&self, width: u32, height: u32) -> SourceBox {
        let whole = SourceBox { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
        if self.resize == Resize::Stretch {
            return whole;
        }
        let scale = match self.shortest_side {
            Some(side) => f64::from(side) / whole.width.min(whole.height),
            None => (f64::from(self.width) / whole.width).max(f64::from(self.height) / whole.height),
        };
        let (left, box_width) = self.centre(whole.width, f64::from(self.width), scale);
        let (top, box_height) = self.centre(whole.height, f64::from(self.height), scale);
        SourceBox { left, top, width: box_width, height: box_height }
    }

    /// Start and length, in source pixels, of the centre that becomes `target` pixels when `side` is scaled by `scale`.
    fn centre(&self, side: f64, target: f64, scale: f64) -> (f64, f64) {
        // The tolerance keeps a product such as 223.99999999999997 from losing a pixel.
        let scaled = (side * scale + 1e-6).floor().max(target);
        let half = (scaled - target) / 2.0;
        let margin = match self.margin {
            Margin::Round => half.round_ties_even(),
            Margin::Floor => half.floor(),
        };
        let per_pixel = side / scaled;
        (margin * per_pixel, target * per_pixel)
    }
}
