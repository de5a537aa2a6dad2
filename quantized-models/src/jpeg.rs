//! Decoding JPEG, strictly.
//!
//! zune-jpeg in strict mode refuses most damage, but not everything that a lossy link or a hostile sender makes:
//! it accepts a file whose last rows are cut, and it pays for a declared size before it looks at the content. So the
//! markers are read first: the size against the limits, then the end marker, then whether the bytes can hold the
//! declared picture at all.

use crate::decode::DecodeLimits;
use crate::error::DecodeError;
use crate::jpeg_layout::{self, JpegLayout};
use image::RgbImage;
use std::borrow::Cow;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Most scans of a progressive picture. Encoders write about ten; each scan visits every block.
const MAX_SCANS: usize = 32;

/// The application segment by which zune-jpeg knows a frame of motion JPEG and supplies the standard Huffman tables
/// (ITU-T T.81, K.3.3), which such frames leave out.
const MOTION_JPEG: &[u8] = b"\xFF\xE0\x00\x07AVI1\0";

/// Width and height in pixels from the frame header. `encoded` starts with FF D8.
pub(crate) fn dimensions(encoded: &[u8]) -> Result<(u32, u32), DecodeError> {
    let frame = jpeg_layout::frame_header(encoded)?;
    Ok((frame.width, frame.height))
}

/// Decodes `encoded`, which starts with FF D8, to RGB, not turned.
pub(crate) fn decode(encoded: &[u8], limits: &DecodeLimits) -> Result<RgbImage, DecodeError> {
    let frame = jpeg_layout::frame_header(encoded)?;
    limits.check_size(frame.width, frame.height)?;
    let layout = jpeg_layout::layout(encoded, frame);
    check_whole(encoded, &layout)?;
    let (width, height) = (frame.width, frame.height);
    let source = with_huffman_tables(encoded, &layout);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(source.as_ref()), options(limits));
    decoder.decode_headers().map_err(|error| damaged(error.to_string()))?;
    let found = decoder.info().map(|info| (u32::from(info.width), u32::from(info.height)));
    if found != Some((width, height)) {
        return Err(damaged(format!("it has two frame headers: {width} x {height} pixels, then {found:?}")));
    }
    let pixels = decoder.decode().map_err(|error| damaged(error.to_string()))?;
    let length = pixels.len();
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| damaged(format!("expected {width} x {height} pixels of 3 bytes, decoded {length} bytes")))
}

fn options(limits: &DecodeLimits) -> DecoderOptions {
    let side = usize::try_from(limits.max_side).unwrap_or(usize::MAX);
    DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(side)
        .set_max_height(side)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB)
}

/// Refuses a file that ends early, and a header without the data for its size.
fn check_whole(encoded: &[u8], layout: &JpegLayout) -> Result<(), DecodeError> {
    if !layout.is_complete {
        let expected = if layout.has_scan { "an end marker (EOI)" } else { "a scan (SOS)" };
        return Err(DecodeError::Cut { format: "JPEG", expected: expected.to_owned(), found_bytes: encoded.len() });
    }
    let needed_bytes = layout.frame.least_bytes();
    if (encoded.len() as u64) < needed_bytes {
        return Err(DecodeError::HeaderOnly {
            width: layout.frame.width,
            height: layout.frame.height,
            needed_bytes,
            found_bytes: encoded.len(),
        });
    }
    Ok(())
}

/// `encoded` itself, or, for a sequential picture that brings no Huffman tables, marked as motion JPEG.
fn with_huffman_tables<'a>(encoded: &'a [u8], layout: &JpegLayout) -> Cow<'a, [u8]> {
    match encoded.split_first_chunk::<2>() {
        Some((start, rest)) if !layout.has_huffman_tables && !layout.frame.progressive => {
            Cow::Owned([start.as_slice(), MOTION_JPEG, rest].concat())
        }
        _ => Cow::Borrowed(encoded),
    }
}

fn damaged(reason: String) -> DecodeError {
    DecodeError::Damaged { format: "JPEG", reason }
}
