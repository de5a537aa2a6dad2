use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;
use quantized_models::RgbImage;

fn picture(width: u32, height: u32, light: impl Fn(u32, u32) -> u8) -> RgbImage {
    let mut image = RgbImage::new(width, height);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        pixel.0 = [light(x, y); 3];
    }
    image
}

/// Roofs and roads: blocks of several sizes with sharp edges, and a little noise.
fn town(width: u32, height: u32, noise: u32) -> RgbImage {
    picture(width, height, |x, y| {
        let block = |size: u32| (x / size).wrapping_mul(31).wrapping_add((y / size).wrapping_mul(17)) % 7;
        let grain = x.wrapping_mul(7919).wrapping_add(y.wrapping_mul(104_729)) % noise.max(1);
        (60 + block(width / 40 + 1) * 8 + block(width / 12 + 1) * 9 + grain) as u8
    })
}

/// The mean over a square of `2 * radius + 1` pixels.
fn blurred(image: &RgbImage, radius: i64) -> RgbImage {
    let (width, height) = image.dimensions();
    picture(width, height, |x, y| {
        let at = |dx: i64, dy: i64| {
            let clamped = |value: i64, side: u32| value.clamp(0, i64::from(side) - 1) as u32;
            u64::from(image.get_pixel(clamped(i64::from(x) + dx, width), clamped(i64::from(y) + dy, height)).0[0])
        };
        let square = (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)));
        let (sum, count) = square.fold((0, 0), |(sum, count), (dx, dy)| (sum + at(dx, dy), count + 1));
        (sum / count) as u8
    })
}

fn bad(image: &RgbImage) -> Option<BadFrame> {
    FrameFigures::of(image).and_then(|figures| figures.bad())
}

#[test]
fn a_picture_of_a_place_is_good() {
    for (width, height) in [(224, 224), (640, 480), (1024, 300), (97, 96)] {
        assert_eq!(bad(&town(width, height, 5)), None, "{width} x {height}");
    }
}

#[test]
fn every_kind_is_told_from_one_picture_but_frozen() {
    let town = town(240, 180, 5);
    let changed = |change: fn(f32) -> f32| picture(240, 180, |x, y| change(f32::from(town.get_pixel(x, y).0[0])) as u8);
    assert_eq!(bad(&changed(|light| light * 0.06)), Some(BadFrame::Dark));
    assert_eq!(bad(&changed(|light| 2.0 + light * 0.004)), Some(BadFrame::Covered));
    assert_eq!(bad(&changed(|light| (light * 4.2).min(255.0))), Some(BadFrame::OverExposed));
    assert_eq!(bad(&blurred(&blurred(&town, 8), 8)), Some(BadFrame::Blurred));
    assert_eq!(bad(&picture(240, 180, |x, _| 120 + (x % 2) as u8)), Some(BadFrame::Covered), "a lid in daylight");
}

#[test]
fn noise_on_a_blurred_picture_does_not_make_it_sharp() {
    let soft = blurred(&blurred(&town(240, 180, 1), 8), 8);
    let grain = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) % 9;
    let noisy = picture(240, 180, |x, y| soft.get_pixel(x, y).0[0].saturating_add(grain(x, y) as u8));
    assert_eq!(bad(&noisy), Some(BadFrame::Blurred));
}

#[test]
fn odd_and_tiny_pictures_are_judged_without_panic() {
    assert_eq!(FrameFigures::of(&RgbImage::new(0, 0)), None);
    assert_eq!(FrameFigures::of(&RgbImage::new(0, 7)), None);
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (2, 3), (95, 97), (4001, 33)] {
        assert_eq!(bad(&picture(width, height, |_, _| 0)), Some(BadFrame::Covered), "{width} x {height}");
        assert_eq!(bad(&picture(width, height, |_, _| 255)), Some(BadFrame::OverExposed), "{width} x {height}");
        assert_eq!(bad(&picture(width, height, |_, _| 128)), Some(BadFrame::Covered), "{width} x {height}");
    }
}

#[test]
fn the_same_pixels_have_the_same_fingerprint_and_one_other_level_has_another() {
    let print = |image: &RgbImage| FrameFigures::of(image).unwrap().fingerprint;
    let town = town(640, 480, 5);
    assert_eq!(print(&town), print(&town.clone()));
    let mut other = town.clone();
    other.get_pixel_mut(320, 241).0[1] ^= 1;
    assert_ne!(print(&town), print(&other));
    let turned = picture(480, 640, |x, y| town.get_pixel(y, x).0[0]);
    assert_ne!(print(&town), print(&turned));
}

proptest! {
    #![proptest_config(Config { rng_seed: RngSeed::Fixed(7), failure_persistence: None, cases: 96, ..Config::default() })]

    #[test]
    fn figures_are_finite_and_in_range(width in 1_u32..140, height in 1_u32..140, seed in any::<u32>(), step in 1_u32..400) {
        let image = picture(width, height, |x, y| (x.wrapping_mul(seed) ^ y.wrapping_mul(step)).wrapping_shr(3) as u8);
        let figures = FrameFigures::of(&image).unwrap();
        prop_assert!((0.0..=255.0).contains(&figures.bright));
        prop_assert!((0.0..=128.0).contains(&figures.deviation));
        prop_assert!((0.0..=1.0).contains(&figures.saturated));
        prop_assert!(figures.whole_detail.is_none_or(|detail| detail.is_finite() && detail >= 0.0));
        prop_assert!(figures.sharpest_detail.is_none_or(|detail| detail.is_finite() && detail >= 0.0));
        prop_assert_eq!(FrameFigures::of(&image), Some(figures));
    }
}
