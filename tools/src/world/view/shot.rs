//! One picture to be made: which way it is seen, and under what conditions.

use super::super::geometry::Point;
use super::super::render::camera::{Camera, Pose};
use super::super::render::{Renderer, expose};
use super::area::map_camera;
use super::conditions::Conditions;

/// Farthest that drones and narrow street cameras see, in metres.
const RANGE_M: f64 = 420.0;
/// Farthest that panoramas see, whose pixels are twice as coarse, in metres.
const PANORAMA_RANGE_M: f64 = 300.0;
/// Slices of which a panorama is made.
const SLICES: usize = 8;

/// Which way a picture is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sight {
    /// A square of the map, north up.
    Map {
        /// Its middle.
        middle: Point,
        /// Its side, in metres.
        side_m: f64,
    },
    /// A pinhole camera.
    Camera(Pose),
    /// All around, in vertical slices of square pixels; the middle of the picture looks along the heading.
    Panorama(Pose),
}

/// A picture to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// How it is seen.
    pub sight: Sight,
    /// In what light, with what lens.
    pub conditions: Conditions,
    /// Pixels per row.
    pub columns: usize,
    /// Rows of pixels.
    pub rows: usize,
}

impl Shot {
    /// Red, green and blue of all pixels, row after row.
    pub fn pixels(&self, renderer: &mut Renderer) -> Vec<u8> {
        match self.sight {
            Sight::Map { middle, side_m } => renderer.draw(&map_camera(middle, side_m, self.columns), &self.conditions),
            Sight::Camera(pose) => {
                renderer.draw(&Camera::new(&pose, self.columns, self.rows, RANGE_M), &self.conditions)
            }
            Sight::Panorama(pose) => self.panorama(renderer, &pose),
        }
    }

    /// Slices side by side, each a pinhole camera that is turned a little further.
    fn panorama(&self, renderer: &mut Renderer, pose: &Pose) -> Vec<u8> {
        let width = self.columns / SLICES;
        let turn = 360.0 / SLICES as f64;
        let mut lines: Vec<Vec<u8>> = vec![Vec::with_capacity(self.columns * 3); self.rows];
        for slice in 0..SLICES {
            let heading_deg = pose.heading_deg + (slice as f64 + 0.5) * turn - 180.0;
            let camera =
                Camera::new(&Pose { heading_deg, hfov_deg: turn, ..*pose }, width, self.rows, PANORAMA_RANGE_M);
            let part = renderer.light(&camera, &self.conditions);
            for (line, part) in lines.iter_mut().zip(part.chunks_exact(width * 3)) {
                line.extend_from_slice(part);
            }
        }
        // There is one lens: blur, vignette and noise know no slices.
        expose(lines.concat(), width * SLICES, &self.conditions)
    }

    /// The picture as a JPEG.
    ///
    /// # Errors
    /// The encoder refuses the size.
    pub fn jpeg(&self, renderer: &mut Renderer) -> image::ImageResult<Vec<u8>> {
        encode(&self.pixels(renderer), self.columns, self.rows, self.conditions.jpeg_quality)
    }
}

/// Encodes pixels as a JPEG. The encoder computes in whole numbers but for one division per coefficient, which is exact
/// to the bit on every CPU.
///
/// # Errors
/// The encoder refuses the size.
pub fn encode(pixels: &[u8], columns: usize, rows: usize, quality: u8) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(pixels.len() / 4);
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    image::ImageEncoder::write_image(encoder, pixels, side(columns), side(rows), image::ExtendedColorType::Rgb8)?;
    Ok(bytes)
}
