//! From encoded bytes to pixels, under limits that the header must meet before anything is decoded.

use crate::error::DecodeError;
use crate::exif::ExifTags;
use crate::{jpeg, png_webp};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};
use std::panic::catch_unwind;

/// What a picture may cost before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest payload in bytes.
    pub max_bytes: usize,
    /// Most pixels, width times height. A pixel takes 3 bytes decoded, and 6 more while a progressive JPEG is decoded.
    pub max_pixels: u64,
    /// Longest side in pixels.
    pub max_side: u32,
}

impl Default for DecodeLimits {
    /// 32 MiB, 64 Mi pixels (8192 x 8192; cameras of 61 megapixels pass), 16384 pixels a side.
    fn default() -> Self {
        Self { max_bytes: 32 << 20, max_pixels: 64 << 20, max_side: 16_384 }
    }
}

impl DecodeLimits {
    /// Refuses a payload that is empty or too long.
    fn check_bytes(&self, encoded: &[u8]) -> Result<(), DecodeError> {
        match encoded.len() {
            0 => Err(DecodeError::Empty),
            found if found > self.max_bytes => Err(DecodeError::TooManyBytes { found, limit: self.max_bytes }),
            _ => Ok(()),
        }
    }

    /// Refuses a size, as the header states it, beyond the limits.
    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        if width.max(height) > self.max_side {
            return Err(DecodeError::SideTooLong { width, height, max_side: self.max_side });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(DecodeError::TooManyPixels { width, height, max_pixels: self.max_pixels });
        }
        Ok(())
    }
}

/// The formats that are decoded, told apart by their first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
    WebP,
}

impl Format {
    fn sniff(encoded: &[u8]) -> Result<Self, DecodeError> {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
        if encoded.is_empty() {
            return Err(DecodeError::Empty);
        }
        if encoded.starts_with(&[0xFF, 0xD8]) {
            return Ok(Self::Jpeg);
        }
        if encoded.starts_with(PNG) {
            return Ok(Self::Png);
        }
        if encoded.starts_with(b"RIFF") && encoded.get(8..12) == Some(b"WEBP".as_slice()) {
            return Ok(Self::WebP);
        }
        let start: Vec<String> = encoded.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        Err(DecodeError::NotAPicture { start: start.join(" ") })
    }

    /// The format's name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        }
    }
}

/// Decodes a JPEG, PNG or WebP picture to 8-bit RGB and turns it upright by its EXIF orientation.
///
/// Grey, palette, 16-bit, CMYK and YCCK pictures become 8-bit RGB. Transparency is dropped: the stored colours stay, as
/// in Pillow's `convert("RGB")`. Colour profiles are not applied. A JPEG must carry its end marker; a baseline JPEG
/// without Huffman tables (a frame of motion JPEG) is decoded with the standard tables.
///
/// # Errors
/// [`DecodeError`]: empty, over a limit (by the header, before decoding), cut, damaged, animated, or not a picture.
/// A picture that was cut and then closed with an end marker cannot be told from a whole one by its markers; whatever
/// the decoder accepts of it is returned.
pub fn decode(encoded: &[u8], limits: &DecodeLimits) -> Result<RgbImage, DecodeError> {
    limits.check_bytes(encoded)?;
    let format = Format::sniff(encoded)?;
    let image = contained(format, || match format {
        Format::Jpeg => jpeg::decode(encoded, limits),
        Format::Png => png_webp::decode_png(encoded, limits),
        Format::WebP => png_webp::decode_webp(encoded, limits),
    })?;
    let orientation = ExifTags::read(encoded).orientation;
    Ok(upright(image, orientation))
}

/// Width and height in pixels as the header states them, before any EXIF orientation is applied.
///
/// # Errors
/// [`DecodeError`] when the payload is empty, no picture, or has no readable header.
pub fn dimensions(encoded: &[u8]) -> Result<(u32, u32), DecodeError> {
    let format = Format::sniff(encoded)?;
    contained(format, || match format {
        Format::Jpeg => jpeg::dimensions(encoded),
        Format::Png => png_webp::png_dimensions(encoded),
        Format::WebP => png_webp::webp_dimensions(encoded),
    })
}

/// Runs `work` and turns a panic inside a decoder into an error: a hostile picture must not end the process.
fn contained<T>(
    format: Format,
    work: impl FnOnce() -> Result<T, DecodeError> + std::panic::UnwindSafe,
) -> Result<T, DecodeError> {
    catch_unwind(work).unwrap_or_else(|_| {
        Err(DecodeError::Damaged { format: format.name(), reason: "the decoder panicked on its content".to_owned() })
    })
}

/// Applies an EXIF orientation, 1..=8.
fn upright(image: RgbImage, orientation: u8) -> RgbImage {
    match Orientation::from_exif(orientation) {
        None | Some(Orientation::NoTransforms) => image,
        Some(turn) => {
            let mut image = DynamicImage::ImageRgb8(image);
            image.apply_orientation(turn);
            image.into_rgb8()
        }
    }
}
