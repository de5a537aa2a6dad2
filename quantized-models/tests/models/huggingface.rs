//! What Hugging Face's image processors make of pictures, recorded by the recipes, against ours.

use crate::support::{fixture, shared};
use quantized_models::{
    Channels, DecodeLimits, Encoder, Filter, LoadOptions, Manifest, Margin, Preprocess, Resize, RgbImage, RuntimeKind,
    View, decode,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    picture: String,
    /// By backend of the processor, `pil` or `torchvision`.
    embedding: BTreeMap<String, Vec<f32>>,
    /// The picture at 32 x 32, by way of resizing.
    pixels: BTreeMap<String, String>,
}

/// The recorded cases of a fixture folder, with the pictures decoded.
fn cases(folder: &str, root: &Path) -> Vec<(Case, RgbImage)> {
    let reference: Reference = serde_json::from_slice(&fixture(&format!("{folder}/reference.json"))).unwrap();
    assert!(reference.cases.len() >= 7, "{folder}");
    let load = |case: Case| {
        let bytes = std::fs::read(root.join(&case.picture)).unwrap();
        let image = decode(&bytes, &DecodeLimits::default()).unwrap();
        (case, image)
    };
    reference.cases.into_iter().map(load).collect()
}

fn narrow() -> Encoder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/narrow/narrow-siglip-fp32");
    let options =
        LoadOptions { runtime: Some(RuntimeKind::Tract), trust_writable_folders: true, ..LoadOptions::default() };
    Encoder::load(&Manifest::load(&folder).unwrap(), &options).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn embeddings_agree(cases: &[(Case, RgbImage)]) {
    let encoder = narrow();
    for (case, image) in cases {
        let found = encoder.embed(image, View::Reference).unwrap();
        for (backend, expected) in &case.embedding {
            let cosine = cosine(found.as_slice(), expected);
            assert!(cosine >= 0.9999, "{}, {backend}: cosine {cosine}", case.picture);
        }
    }
}

fn pixels_agree(folder: &str, cases: &[(Case, RgbImage)]) {
    for (case, image) in cases {
        for (way, name) in &case.pixels {
            let (resize, filter) = match way.as_str() {
                "stretch_bicubic" => (Resize::Stretch, Filter::Bicubic),
                "stretch_bilinear" => (Resize::Stretch, Filter::Bilinear),
                "crop_bicubic" => (Resize::Crop, Filter::Bicubic),
                other => panic!("{other}"),
            };
            let expected = decode(&fixture(&format!("{folder}/{name}")), &DecodeLimits::default()).unwrap();
            let (mean, most) = difference(&plain(resize, filter).apply(image).unwrap(), &expected);
            // Before they cut, the processors bring the longer side to whole pixels; here it stays a fraction. Single
            // pixels of noise differ where one pass of two overshoots and is clipped.
            let bound = if resize == Resize::Stretch { 0.5 } else { 1.5 };
            assert!(mean < bound, "{}, {way}: {mean} levels in the mean, {most} at most", case.picture);
        }
    }
}

/// 32 x 32 pixels, left at 0..=255.
fn plain(resize: Resize, filter: Filter) -> Preprocess {
    Preprocess {
        width: 32,
        height: 32,
        resize,
        shortest_side: None,
        margin: Margin::Floor,
        filter,
        channels: Channels::Rgb,
        rescale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
    }
}

/// The mean and the largest difference in levels.
fn difference(planes: &[f32], expected: &RgbImage) -> (f32, f32) {
    let expected = (0..3).flat_map(|plane| expected.pixels().map(move |pixel| f32::from(pixel.0[plane])));
    let apart: Vec<f32> = planes.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).collect();
    (apart.iter().sum::<f32>() / apart.len() as f32, apart.iter().copied().fold(0.0, f32::max))
}

#[test]
fn pictures_become_what_the_processors_make_of_them() {
    let cases = cases("huggingface", Path::new(env!("CARGO_MANIFEST_DIR")));
    embeddings_agree(&cases);
    pixels_agree("huggingface", &cases);
}

#[test]
fn frames_become_what_the_processors_make_of_them() {
    let Some(imagery) = shared("frames_become_what_the_processors_make_of_them", "imagery") else { return };
    let cases = cases("huggingface_shared", &PathBuf::from(&imagery));
    embeddings_agree(&cases);
    pixels_agree("huggingface_shared", &cases);
}
