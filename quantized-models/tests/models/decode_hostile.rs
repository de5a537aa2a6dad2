//! Pictures that must be refused, and fast.

use crate::support::{fixture, jpegs, shared};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use quantized_models::{DecodeError, DecodeLimits, ExifTags, RgbImage, decode, dimensions};
use std::time::{Duration, Instant};

fn attempt(encoded: &[u8]) -> Result<RgbImage, DecodeError> {
    decode(encoded, &DecodeLimits::default())
}

/// The message, and that it came quickly.
fn refusal(encoded: &[u8]) -> String {
    let started = Instant::now();
    let error = attempt(encoded).expect_err("must be refused");
    assert!(started.elapsed() < Duration::from_millis(500), "took {:?}: {error}", started.elapsed());
    error.to_string()
}

#[test]
fn nothing_is_not_a_picture() {
    assert_eq!(refusal(b""), "the picture is empty: expected a JPEG, PNG or WebP picture, found 0 bytes");
    assert!(matches!(dimensions(b""), Err(DecodeError::Empty)));
}

#[test]
fn text_is_not_a_picture_and_the_message_shows_its_start() {
    let expected = "not a JPEG, PNG or WebP picture (starts with 7b 22 6c 61 74 22 3a 34 36 7d)";
    assert_eq!(refusal(br#"{"lat":46}"#), expected);
    assert_eq!(dimensions(br#"{"lat":46}"#).unwrap_err().to_string(), expected);
}

#[test]
fn a_sound_file_in_a_riff_container_is_not_a_picture() {
    assert!(refusal(b"RIFF\x24\0\0\0WAVEfmt ").starts_with("not a JPEG, PNG or WebP picture (starts with 52 49 46 46"));
}

#[test]
fn a_video_is_not_a_picture() {
    const NAME: &str = "a_video_is_not_a_picture";
    let Some(path) = shared(NAME, "imagery/originals/gpmf-parser__max-heromode.mp4") else { return };
    assert!(refusal(&std::fs::read(path).unwrap()).starts_with("not a JPEG, PNG or WebP picture"));
}

#[test]
fn signatures_alone_are_cut() {
    assert_eq!(
        refusal(&[0xFF, 0xD8]),
        "the JPEG picture is cut: expected a frame header (SOF), found the end after 2 bytes"
    );
    assert!(refusal(b"\x89PNG\r\n\x1a\n").starts_with("the PNG picture is cut: expected an IHDR chunk"));
    assert!(refusal(b"RIFF\x04\0\0\0WEBP").starts_with("the WebP picture is damaged"));
}

#[test]
fn a_picture_cut_anywhere_is_refused() {
    for name in ["quadrants.jpg", "quadrants_progressive.jpg", "quadrants_restart.jpg", "quadrants_grey.jpg"]
        .into_iter()
        .chain(["quadrants_cmyk.jpg", "quadrants_palette.png", "quadrants_lossy.webp", "orientation_6.webp"])
    {
        let whole = fixture(name);
        assert!(attempt(&whole).is_ok(), "{name}");
        for length in 0..whole.len() {
            assert!(attempt(&whole[..length]).is_err(), "{name} cut to {length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_real_frame_cut_anywhere_is_refused() {
    const NAME: &str = "a_real_frame_cut_anywhere_is_refused";
    for folder in ["imagery/originals", "imagery/caliterra/images"] {
        let Some(path) = shared(NAME, folder) else { return };
        for picture in jpegs(&path).iter().take(12) {
            let whole = std::fs::read(picture).unwrap();
            // Some cameras append a preview after the picture's end: cuts behind the end marker harm nothing.
            let end = whole.windows(2).rposition(|pair| pair == [0xFF, 0xD9]).unwrap();
            let fractions = [1, 10, 25, 50, 75, 90, 95, 99].map(|percent| end * percent / 100);
            for length in fractions.into_iter().chain([2, 20, 700]) {
                if let Ok(image) = attempt(&whole[..length]) {
                    let is_whole = length > 700 && image == attempt(&whole).unwrap();
                    assert!(is_whole, "{} cut to {length} bytes", picture.display());
                }
            }
        }
    }
}

/// Puts another size into the frame header.
fn with_size(jpeg: &[u8], frame_marker: u8, width: u16, height: u16) -> Vec<u8> {
    let mut patched = jpeg.to_vec();
    let at = patched.windows(2).position(|pair| pair == [0xFF, frame_marker]).unwrap();
    patched[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    patched[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    patched
}

#[test]
fn a_bomb_beyond_the_limits_is_refused_from_its_header() {
    let bomb = with_size(&fixture("quadrants.jpg"), 0xC0, 65_500, 65_500);
    assert_eq!(refusal(&bomb), "the picture is 65500 x 65500 pixels; the limit is 16384 pixels a side");
    assert_eq!(dimensions(&bomb).unwrap(), (65_500, 65_500));
}

#[test]
fn a_bomb_beyond_the_limits_of_a_whole_world_is_still_hollow() {
    let bomb = with_size(&fixture("quadrants.jpg"), 0xC0, 65_500, 65_500);
    let limits = DecodeLimits { max_bytes: 1 << 20, max_pixels: u64::MAX, max_side: u32::MAX };
    let started = Instant::now();
    assert!(matches!(decode(&bomb, &limits), Err(DecodeError::HeaderOnly { .. })));
    assert!(started.elapsed() < Duration::from_millis(100));
}

#[test]
fn a_header_without_the_data_for_its_size_is_refused_before_memory_is_taken() {
    for (name, marker) in [("quadrants.jpg", 0xC0), ("quadrants_progressive.jpg", 0xC2)] {
        let error = refusal(&with_size(&fixture(name), marker, 8000, 8000));
        assert!(error.starts_with("the JPEG header says 8000 x 8000 pixels, which take at least "), "{name}: {error}");
    }
}

#[test]
fn a_second_frame_header_with_another_size_is_refused() {
    let whole = fixture("quadrants.jpg");
    let at = whole.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let length = 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
    let second = with_size(&whole[at..at + length], 0xC0, 16_000, 16_000);
    let twice = [&whole[..at + length], &second, &whole[at + length..]].concat();
    assert!(refusal(&twice).starts_with("the JPEG picture is damaged"));
}

#[test]
fn sizes_of_zero_are_refused() {
    for (width, height) in [(0, 32), (48, 0), (0, 0)] {
        let error = refusal(&with_size(&fixture("quadrants.jpg"), 0xC0, width, height));
        assert_eq!(error, format!("the JPEG picture is damaged: its frame header says {width} x {height} pixels"));
    }
}

/// CRC-32 of PNG chunks (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

fn png_with_size(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut patched = png.to_vec();
    patched[16..20].copy_from_slice(&width.to_be_bytes());
    patched[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&patched[12..29]);
    patched[29..33].copy_from_slice(&crc.to_be_bytes());
    patched
}

#[test]
fn a_huge_png_header_is_refused_from_its_header() {
    let png = fixture("quadrants_palette.png");
    assert!(attempt(&png_with_size(&png, 48, 32)).is_ok(), "the checksum of the test is right");
    let error = refusal(&png_with_size(&png, 2_000_000_000, 2_000_000_000));
    assert_eq!(error, "the picture is 2000000000 x 2000000000 pixels; the limit is 16384 pixels a side");
    let error = refusal(&png_with_size(&png, 16_384, 16_384));
    assert_eq!(error, "the picture is 16384 x 16384 pixels; the limit is 67108864 pixels in all");
}

#[test]
fn a_png_without_pixels_is_refused() {
    assert!(
        refusal(&png_with_size(&fixture("quadrants_palette.png"), 0, 32)).starts_with("the PNG picture is damaged")
    );
}

#[test]
fn a_png_with_a_wrong_checksum_is_refused() {
    let mut png = fixture("quadrants_palette.png");
    png[29] ^= 1;
    assert!(refusal(&png).starts_with("the PNG picture is damaged"));
}

#[test]
fn animations_are_refused_by_name() {
    for (name, format) in [("animated.png", "PNG"), ("animated.webp", "WebP")] {
        let expected = format!("{format} picture not supported: expected a single picture, found an animation");
        assert_eq!(refusal(&fixture(name)), expected);
    }
}

const SEEDS: [&str; 7] = [
    "quadrants.jpg",
    "quadrants_progressive.jpg",
    "quadrants_restart.jpg",
    "quadrants_cmyk.jpg",
    "quadrants_palette.png",
    "quadrants_lossy.webp",
    "orientation_6.png",
];

fn signature() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![
        Just(b"\xFF\xD8".as_slice()),
        Just(b"\x89PNG\r\n\x1a\n".as_slice()),
        Just(b"RIFF\xFF\0\0\0WEBP".as_slice()),
        Just(b"".as_slice()),
    ]
}

/// Small limits, so that a mutated header cannot make a test slow; the checks are the same.
const SMALL: DecodeLimits = DecodeLimits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_side: 4096 };

/// Whatever happens, it is an answer.
fn answers(encoded: &[u8]) {
    if let Ok(image) = decode(encoded, &SMALL) {
        assert!(u64::from(image.width()) * u64::from(image.height()) <= SMALL.max_pixels);
    }
    let _ = dimensions(encoded);
    assert!((1..=8).contains(&ExifTags::read(encoded).orientation));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_are_answered(start in signature(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        answers(&[start, &bytes].concat());
    }

    #[test]
    fn mutated_pictures_are_answered(
        seed in prop::sample::select(&SEEDS),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut encoded = fixture(seed);
        for (at, value) in changes {
            let at = at.index(encoded.len());
            encoded[at] = value;
        }
        answers(&encoded);
    }
}
