//! Resizing against Pillow, and shapes that no camera makes.

use crate::support::fixture;
use quantized_models::{Channels, DecodeLimits, EmbedError, Filter, Margin, Preprocess, Resize, RgbImage, decode};

fn picture(name: &str) -> RgbImage {
    decode(&fixture(name), &DecodeLimits::default()).unwrap()
}

/// Leaves the values at 0..=255, so that tests can compare pixels.
fn plain(width: u32, height: u32, resize: Resize, filter: Filter) -> Preprocess {
    let std = [1.0 / 255.0; 3];
    Preprocess {
        width,
        height,
        resize,
        shortest_side: None,
        margin: Margin::Round,
        filter,
        channels: Channels::Rgb,
        rescale: Preprocess::RESCALE,
        mean: [0.0; 3],
        std,
    }
}

/// The largest difference between `input` (planes) and the pixels of `expected`.
fn difference(input: &[f32], expected: &RgbImage) -> f32 {
    let pixels = (expected.width() * expected.height()) as usize;
    assert_eq!(input.len(), 3 * pixels);
    let planes = (0..3).flat_map(|plane| expected.pixels().map(move |pixel| f32::from(pixel.0[plane])));
    input.iter().zip(planes).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max)
}

#[test]
fn stretched_noise_is_what_pillow_makes_of_it() {
    let noise = picture("noise.png");
    for (filter, expected) in [
        (Filter::Bilinear, "noise_stretch_bilinear.png"),
        (Filter::Bicubic, "noise_stretch_bicubic.png"),
        (Filter::Lanczos, "noise_stretch_lanczos.png"),
    ] {
        let input = plain(7, 5, Resize::Stretch, filter).apply(&noise).unwrap();
        let difference = difference(&input, &picture(expected));
        assert!(difference < 1.01, "{filter:?}: {difference} levels");
    }
}

#[test]
fn cropped_noise_is_what_torchvision_makes_of_it() {
    let input = plain(6, 6, Resize::Crop, Filter::Bilinear).apply(&picture("noise.png")).unwrap();
    let difference = difference(&input, &picture("noise_crop_bilinear.png"));
    assert!(difference < 1.01, "{difference} levels");
}

#[test]
fn values_are_scaled_then_normalised_plane_after_plane() {
    let image = RgbImage::from_raw(2, 1, vec![0, 51, 102, 255, 204, 153]).unwrap();
    let mut preprocess = plain(2, 1, Resize::Stretch, Filter::Bilinear);
    preprocess.mean = [0.5, 0.25, 0.125];
    preprocess.std = [0.5, 0.25, 2.0];
    let near = |found: &[f32], expected: [f32; 6]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
    let rgb = preprocess.apply(&image).unwrap();
    assert!(near(&rgb, [-1.0, 1.0, -0.2, 2.2, 0.1375, 0.2375]), "{rgb:?}");
    preprocess.channels = Channels::Bgr;
    let bgr = preprocess.apply(&image).unwrap();
    assert!(near(&bgr, [-0.2, 0.2, -0.2, 2.2, -0.0625, 0.4375]), "{bgr:?}");
}

#[test]
fn a_picture_without_pixels_is_refused() {
    let preprocess = plain(4, 4, Resize::Crop, Filter::Bilinear);
    for (width, height) in [(0, 0), (0, 5), (5, 0)] {
        let error = preprocess.apply(&RgbImage::new(width, height)).unwrap_err();
        assert!(matches!(error, EmbedError::NoPixels { .. }), "{error}");
    }
}

#[test]
fn extreme_shapes_keep_their_colour() {
    for (width, height) in [(1, 1), (1, 16_384), (16_384, 1), (3, 5000), (224, 225)] {
        let image = RgbImage::from_pixel(width, height, image::Rgb([10, 20, 30]));
        for resize in [Resize::Stretch, Resize::Crop] {
            for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
                for (target_width, target_height) in [(224, 224), (1, 1), (320, 64)] {
                    let input = plain(target_width, target_height, resize, filter).apply(&image).unwrap();
                    let expected = RgbImage::from_pixel(target_width, target_height, image::Rgb([10, 20, 30]));
                    let difference = difference(&input, &expected);
                    assert!(difference < 0.01, "{width} x {height} to {target_width} x {target_height}: {difference}");
                }
            }
        }
    }
}

/// A picture whose red level is its column.
fn columns(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| image::Rgb([x as u8, 0, 0]))
}

#[test]
fn half_margins_are_rounded_as_the_manifest_says() {
    // 3 columns are too many: 1.5 on each side.
    for (margin, first) in [(Margin::Round, 2.0), (Margin::Floor, 1.0)] {
        let preprocess = Preprocess { margin, ..plain(4, 4, Resize::Crop, Filter::Bilinear) };
        let input = preprocess.apply(&columns(7, 4)).unwrap();
        assert!((input[0] - first).abs() < 0.01, "{margin:?}: {}", input[0]);
    }
}

#[test]
fn the_shortest_side_may_be_longer_than_the_crop() {
    // 8 x 8 stays as it is, and 4 x 4 are cut out of its middle.
    let preprocess = Preprocess { shortest_side: Some(8), ..plain(4, 4, Resize::Crop, Filter::Bicubic) };
    let input = preprocess.apply(&columns(8, 8)).unwrap();
    let row: Vec<f32> = input[..4].iter().map(|level| level.round()).collect();
    assert_eq!(row, [2.0, 3.0, 4.0, 5.0]);
}
