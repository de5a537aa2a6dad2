//! Decoding PNG and WebP, through `image` with limits.

use crate::decode::{DecodeLimits, Format};
use crate::error::DecodeError;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, Limits, RgbImage};
use std::io::Cursor;

/// Bytes a pixel may take inside the decoder: 16-bit RGBA.
const BYTES_PER_PIXEL: u64 = 8;
/// What a decoder may allocate beside the pixels (profiles, text, tables).
const OVERHEAD_BYTES: u64 = 4 << 20;

/// Decodes `encoded`, which starts with PNG's signature.
pub(crate) fn decode_png(encoded: &[u8], limits: &DecodeLimits) -> Result<RgbImage, DecodeError> {
    let (width, height) = png_dimensions(encoded)?;
    limits.check_size(width, height)?;
    check_png_end(encoded)?;
    let decoder = PngDecoder::with_limits(Cursor::new(encoded), image_limits(limits))
        .map_err(|error| refused(Format::Png, &error))?;
    if decoder.is_apng().map_err(|error| refused(Format::Png, &error))? {
        return Err(animated(Format::Png));
    }
    pixels(decoder, Format::Png, limits)
}

/// Decodes `encoded`, which starts with WebP's signature.
pub(crate) fn decode_webp(encoded: &[u8], limits: &DecodeLimits) -> Result<RgbImage, DecodeError> {
    check_riff_length(encoded)?;
    let decoder = webp(encoded)?;
    if decoder.has_animation() {
        return Err(animated(Format::WebP));
    }
    pixels(decoder, Format::WebP, limits)
}

/// Width and height in pixels from a PNG's first chunk: length, `IHDR`, width, height (big-endian), and more.
pub(crate) fn png_dimensions(encoded: &[u8]) -> Result<(u32, u32), DecodeError> {
    let header = encoded.get(12..).and_then(|chunk| chunk.first_chunk::<12>());
    let Some(&[b'I', b'H', b'D', b'R', w3, w2, w1, w0, h3, h2, h1, h0]) = header else {
        return Err(cut(Format::Png, "an IHDR chunk first".to_owned(), encoded));
    };
    Ok((u32::from_be_bytes([w3, w2, w1, w0]), u32::from_be_bytes([h3, h2, h1, h0])))
}

/// Width and height in pixels from a WebP's header.
pub(crate) fn webp_dimensions(encoded: &[u8]) -> Result<(u32, u32), DecodeError> {
    webp(encoded).map(|decoder| decoder.dimensions())
}

fn webp(encoded: &[u8]) -> Result<WebPDecoder<Cursor<&[u8]>>, DecodeError> {
    WebPDecoder::new(Cursor::new(encoded)).map_err(|error| refused(Format::WebP, &error))
}

fn pixels(mut decoder: impl ImageDecoder, format: Format, limits: &DecodeLimits) -> Result<RgbImage, DecodeError> {
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    decoder.set_limits(image_limits(limits)).map_err(|error| refused(format, &error))?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| refused(format, &error))?;
    Ok(image.into_rgb8())
}

/// Only memory: the size in pixels is checked by [`DecodeLimits::check_size`], whose message states it.
fn image_limits(limits: &DecodeLimits) -> Limits {
    let mut image_limits = Limits::no_limits();
    image_limits.max_alloc = Some(limits.max_pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(OVERHEAD_BYTES));
    image_limits
}

/// A PNG ends with an IEND chunk, which the decoder does not wait for.
fn check_png_end(encoded: &[u8]) -> Result<(), DecodeError> {
    const SIGNATURE: usize = 8;
    const LENGTH_TYPE_CRC: usize = 12;
    let mut rest = encoded.get(SIGNATURE..).unwrap_or_default();
    while let Some(&[l3, l2, l1, l0, ref kind @ ..]) = rest.first_chunk::<8>() {
        let length = usize::try_from(u32::from_be_bytes([l3, l2, l1, l0])).unwrap_or(usize::MAX);
        let Some((_, after)) = rest.split_at_checked(length.saturating_add(LENGTH_TYPE_CRC)) else { break };
        if kind == b"IEND" {
            return Ok(());
        }
        rest = after;
    }
    Err(cut(Format::Png, "an IEND chunk".to_owned(), encoded))
}

/// A WebP file states its length in its first bytes; a shorter one was cut.
fn check_riff_length(encoded: &[u8]) -> Result<(), DecodeError> {
    let stated = encoded.get(4..8).and_then(|length| length.first_chunk::<4>());
    let whole = stated.map_or(u64::MAX, |&length| u64::from(u32::from_le_bytes(length)) + 8);
    if (encoded.len() as u64) < whole {
        return Err(cut(Format::WebP, format!("{whole} bytes, which its RIFF header states"), encoded));
    }
    Ok(())
}

fn cut(format: Format, expected: String, encoded: &[u8]) -> DecodeError {
    DecodeError::Cut { format: format.name(), expected, found_bytes: encoded.len() }
}

fn animated(format: Format) -> DecodeError {
    DecodeError::Unsupported { format: format.name(), expected: "a single picture", found: "an animation" }
}

fn refused(format: Format, error: &ImageError) -> DecodeError {
    DecodeError::Damaged { format: format.name(), reason: error.to_string() }
}
