//! A small picture of a picture, to be kept beside its vector and shown to people.

use crate::error::ThumbnailError;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};

/// Longer side of a thumbnail, pixels.
pub const THUMBNAIL_SIDE: u32 = 160;
/// Quality of a thumbnail's JPEG, 1 to 100.
const QUALITY: u8 = 80;

/// `image` as a JPEG of quality 80 whose longer side has [`THUMBNAIL_SIDE`] pixels, or fewer where the picture has
/// fewer: it is never enlarged. The aspect is kept to a pixel, but no side is shorter than one. Upright, as
/// [`decode`](crate::decode()) gives pictures; the JPEG carries no metadata. 4 to 10 KB for most photos.
///
/// # Errors
/// A picture without pixels.
pub fn thumbnail(image: &RgbImage) -> Result<Vec<u8>, ThumbnailError> {
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return Err(ThumbnailError::NoPixels { width, height });
    }
    let failed = |reason: String| ThumbnailError::Failed { width, height, reason };
    let source =
        ImageRef::new(width, height, image.as_raw(), PixelType::U8x3).map_err(|error| failed(error.to_string()))?;
    let (small_width, small_height) = small(width, height);
    let mut target = Image::new(small_width, small_height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(error.to_string()))?;
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(target.buffer(), small_width, small_height, ExtendedColorType::Rgb8)
        .map_err(|error| failed(error.to_string()))?;
    Ok(jpeg)
}

/// Width and height of the thumbnail of a picture with sides of at least 1.
fn small(width: u32, height: u32) -> (u32, u32) {
    let longer = width.max(height);
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(THUMBNAIL_SIDE) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(rounded).unwrap_or(THUMBNAIL_SIDE).clamp(1, THUMBNAIL_SIDE)
    };
    if longer <= THUMBNAIL_SIDE { (width, height) } else { (scaled(width), scaled(height)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, decode};
    use image::Rgb;

    fn shown(image: &RgbImage) -> RgbImage {
        decode(&thumbnail(image).unwrap(), &DecodeLimits::default()).unwrap()
    }

    #[test]
    fn the_longer_side_has_160_pixels_and_nothing_is_enlarged() {
        let cases = [
            ((4000, 3000), (160, 120)),
            ((3000, 4000), (120, 160)),
            ((161, 161), (160, 160)),
            ((160, 20), (160, 20)),
            ((7, 5), (7, 5)),
            ((9000, 1), (160, 1)),
            ((1, 9000), (1, 160)),
        ];
        for ((width, height), expected) in cases {
            assert_eq!(small(width, height), expected);
        }
        assert_eq!(shown(&RgbImage::new(640, 480)).dimensions(), (160, 120));
        assert_eq!(shown(&RgbImage::new(3, 2)).dimensions(), (3, 2));
    }

    #[test]
    fn colours_stay_where_they_are() {
        let picture = RgbImage::from_fn(800, 400, |x, _| Rgb(if x < 400 { [250, 20, 20] } else { [20, 20, 250] }));
        let small = shown(&picture);
        for (x, expected) in [(10, [250, 20, 20]), (150, [20, 20, 250])] {
            let found = small.get_pixel(x, 40).0;
            let near = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 12);
            assert!(near, "{found:?} should be about {expected:?}");
        }
    }

    #[test]
    fn the_same_picture_has_the_same_bytes_and_none_has_none() {
        let picture = RgbImage::from_fn(333, 222, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x ^ y) as u8]));
        assert_eq!(thumbnail(&picture).unwrap(), thumbnail(&picture).unwrap());
        let error = thumbnail(&RgbImage::new(0, 5)).unwrap_err().to_string();
        assert!(error.contains("0 x 5"), "{error}");
    }
}
