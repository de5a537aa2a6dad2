//! Pictures that must be decoded, and how.

use crate::support::{fixture, jpegs, shared};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder, codecs::webp::WebPEncoder};
use quantized_models::{DecodeError, DecodeLimits, RgbImage, decode, dimensions};

const RED: [u8; 3] = [220, 30, 40];
const GREEN: [u8; 3] = [30, 200, 60];
const BLUE: [u8; 3] = [40, 60, 210];
const WHITE: [u8; 3] = [235, 225, 215];

fn decoded(encoded: &[u8]) -> RgbImage {
    decode(encoded, &DecodeLimits::default()).unwrap()
}

/// The middles of the quadrants: top left, top right, bottom left, bottom right.
fn quadrants(image: &RgbImage) -> [[u8; 3]; 4] {
    let (width, height) = image.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| image.get_pixel(width * x / 4, height * y / 4).0)
}

fn assert_quadrants(name: &str, image: &RgbImage, expected: [[u8; 3]; 4], tolerance: u8) {
    let found = quadrants(image);
    let is_near = found.iter().flatten().zip(expected.iter().flatten()).all(|(a, b)| a.abs_diff(*b) <= tolerance);
    assert!(is_near, "{name}: expected {expected:?}, found {found:?}");
}

#[test]
fn every_kind_of_picture_gives_its_colours() {
    for (name, tolerance) in [
        ("quadrants.jpg", 3),
        ("quadrants_progressive.jpg", 3),
        ("quadrants_restart.jpg", 3),
        ("quadrants_cmyk.jpg", 6),
        ("quadrants_palette.png", 0),
        ("quadrants_lossy.webp", 6),
    ] {
        let image = decoded(&fixture(name));
        assert_eq!(image.dimensions(), (48, 32), "{name}");
        assert_quadrants(name, &image, [RED, GREEN, BLUE, WHITE], tolerance);
    }
}

#[test]
fn a_grey_jpeg_becomes_three_equal_channels() {
    let image = decoded(&fixture("quadrants_grey.jpg"));
    assert!(image.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]));
    // Luma of ITU-R BT.601, as JPEG and Pillow use it.
    let luma = [RED, GREEN, BLUE, WHITE].map(|[r, g, b]| {
        let value = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
        [value.round() as u8; 3]
    });
    assert_quadrants("grey", &image, luma, 3);
}

fn png(pixels: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(pixels, 2, 1, color).unwrap();
    bytes
}

#[test]
fn sixteen_bits_become_eight() {
    let values: Vec<u8> = [0_u16, 257, 32_896, 65_535, 514, 51_400].iter().flat_map(|v| v.to_ne_bytes()).collect();
    let image = decoded(&png(&values, ExtendedColorType::Rgb16));
    assert_eq!(image.as_raw(), &[0, 1, 128, 255, 2, 200]);
}

#[test]
fn transparency_is_dropped_and_the_stored_colours_stay() {
    let pixels = [10, 20, 30, 0, 40, 50, 60, 128];
    assert_eq!(decoded(&png(&pixels, ExtendedColorType::Rgba8)).as_raw(), &[10, 20, 30, 40, 50, 60]);
    let mut webp = Vec::new();
    let opaque = [10, 20, 30, 255, 40, 50, 60, 128];
    WebPEncoder::new_lossless(&mut webp).write_image(&opaque, 2, 1, ExtendedColorType::Rgba8).unwrap();
    assert_eq!(decoded(&webp).as_raw(), &[10, 20, 30, 40, 50, 60]);
}

#[test]
fn a_grey_png_with_alpha_becomes_rgb() {
    assert_eq!(decoded(&png(&[7, 255, 9, 0], ExtendedColorType::La8)).as_raw(), &[7, 7, 7, 9, 9, 9]);
}

/// `jpeg` with an EXIF segment that holds only an orientation.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif =
        b"\xFF\xE1\x00\x22Exif\0\0MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn every_orientation_is_turned_upright() {
    let stored = fixture("quadrants.jpg");
    for (orientation, expected) in [
        (0, [RED, GREEN, BLUE, WHITE]),
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (9, [RED, GREEN, BLUE, WHITE]),
    ] {
        let encoded = with_orientation(&stored, orientation);
        let image = decoded(&encoded);
        let size = if (5..=8).contains(&orientation) { (32, 48) } else { (48, 32) };
        assert_eq!(image.dimensions(), size, "orientation {orientation}");
        assert_eq!(dimensions(&encoded).unwrap(), (48, 32), "the header is not turned");
        assert_quadrants(&format!("orientation {orientation}"), &image, expected, 3);
    }
}

#[test]
fn png_and_webp_are_turned_upright_too() {
    for name in ["orientation_6.png", "orientation_6.webp"] {
        let image = decoded(&fixture(name));
        assert_eq!(image.dimensions(), (32, 48), "{name}");
        assert_quadrants(name, &image, [BLUE, RED, WHITE, GREEN], 0);
    }
}

/// `jpeg` without its Huffman tables, as motion JPEG has it.
fn without_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut kept = jpeg[..2].to_vec();
    let mut rest = &jpeg[2..];
    loop {
        let length = 2 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (segment, after) = rest.split_at(length);
        if segment[1] == 0xDA {
            return [kept.as_slice(), rest].concat();
        }
        if segment[1] != 0xC4 {
            kept.extend_from_slice(segment);
        }
        rest = after;
    }
}

#[test]
fn a_motion_jpeg_frame_without_huffman_tables_is_decoded_with_the_standard_ones() {
    let whole = fixture("quadrants.jpg");
    let bare = without_huffman_tables(&whole);
    assert!(bare.len() + 400 < whole.len(), "the tables are gone");
    assert_eq!(decoded(&bare), decoded(&whole));
}

#[test]
fn a_progressive_picture_without_huffman_tables_is_refused() {
    let error = decode(&without_huffman_tables(&fixture("quadrants_progressive.jpg")), &DecodeLimits::default());
    assert!(matches!(error, Err(DecodeError::Damaged { format: "JPEG", .. })), "{error:?}");
}

#[test]
fn a_byte_limit_is_inclusive() {
    let encoded = fixture("quadrants.jpg");
    let limit = |max_bytes| DecodeLimits { max_bytes, ..DecodeLimits::default() };
    assert!(decode(&encoded, &limit(encoded.len())).is_ok());
    let error = decode(&encoded, &limit(encoded.len() - 1)).unwrap_err();
    assert_eq!(error.to_string(), "the picture has 715 bytes; the limit is 714 bytes");
}

#[test]
fn limits_on_pixels_and_sides_are_inclusive_and_name_both_sizes() {
    for name in ["quadrants.jpg", "quadrants_palette.png", "quadrants_lossy.webp"] {
        let encoded = fixture(name);
        let limits = |max_pixels, max_side| DecodeLimits { max_pixels, max_side, ..DecodeLimits::default() };
        assert!(decode(&encoded, &limits(48 * 32, 48)).is_ok(), "{name}");
        let error = decode(&encoded, &limits(48 * 32 - 1, 48)).unwrap_err();
        assert_eq!(error.to_string(), "the picture is 48 x 32 pixels; the limit is 1535 pixels in all", "{name}");
        let error = decode(&encoded, &limits(48 * 32, 47)).unwrap_err();
        assert_eq!(error.to_string(), "the picture is 48 x 32 pixels; the limit is 47 pixels a side", "{name}");
    }
}

#[test]
fn every_original_and_every_frame_decodes() {
    const NAME: &str = "every_original_and_every_frame_decodes";
    let folders = ["originals", "caliterra/images", "gopro_stream/images", "bad_frames/images", "arezzo_walk/images"];
    for folder in folders {
        let Some(path) = shared(NAME, &format!("imagery/{folder}")) else { return };
        for picture in jpegs(&path) {
            let encoded = std::fs::read(&picture).unwrap();
            let stored = dimensions(&encoded).unwrap();
            let image = decode(&encoded, &DecodeLimits::default());
            let image = image.unwrap_or_else(|error| panic!("{}: {error}", picture.display()));
            let (width, height) = image.dimensions();
            assert!(stored == (width, height) || stored == (height, width), "{}", picture.display());
        }
    }
}
