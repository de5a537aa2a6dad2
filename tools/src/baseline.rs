//! What is trivial: features without a network, to hold every accuracy against.

use anyhow::Context;
use clap::ValueEnum;
use index_shards::{
    Dissimilar, Place, PositionOf, Row, SearchOptions, ShardDescription, ShardSet, ShardWriter, WriterOptions,
};
use quantized_models::RgbImage;
use serde::Serialize;

use crate::bootstrap::{SEED, SplitMix64};

/// A way to find references that knows nothing of pictures' content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Joint RGB histogram, 8 x 8 x 8 bins.
    Colour,
    /// Grey thumbnail of 16 x 16 pixels.
    Pixel,
    /// References in random order.
    Random,
}

/// Bins per colour channel.
const BINS: u8 = 8;
/// Side of the thumbnail in pixels.
const SIDE: u32 = 16;

impl Baseline {
    /// The word under which it is reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::Colour => "colour",
            Self::Pixel => "pixel",
            Self::Random => "random",
        }
    }

    /// The unit vector that stands for a picture; `None` for [`Baseline::Random`], which looks at none.
    pub fn feature(self, picture: &RgbImage) -> Option<Vec<f32>> {
        match self {
            Self::Colour => Some(colour_histogram(picture)),
            Self::Pixel => Some(thumbnail(picture)),
            Self::Random => None,
        }
    }
}

/// The square roots of the shares of 8 x 8 x 8 colours: 512 values, unit L2. The cosine of two of them is the
/// Bhattacharyya coefficient of the histograms.
fn colour_histogram(picture: &RgbImage) -> Vec<f32> {
    let mut counts = vec![0_u32; usize::from(BINS).pow(3)];
    let bin = |value: u8| usize::from(value / (255 / BINS + 1));
    for pixel in picture.pixels() {
        let [red, green, blue] = pixel.0;
        let position = (bin(red) * usize::from(BINS) + bin(green)) * usize::from(BINS) + bin(blue);
        if let Some(count) = counts.get_mut(position) {
            *count = count.saturating_add(1);
        }
    }
    unit(counts.into_iter().map(|count| f64::from(count).sqrt()))
}

/// Grey levels of a 16 x 16 thumbnail less their mean, and one constant of one grey level, so that an even picture has a
/// direction too: 257 values, unit L2.
fn thumbnail(picture: &RgbImage) -> Vec<f32> {
    let grey = image::imageops::grayscale(picture);
    let small = image::imageops::resize(&grey, SIDE, SIDE, image::imageops::FilterType::Triangle);
    let values: Vec<f64> = small.pixels().map(|pixel| f64::from(pixel.0[0])).collect();
    let mean = values.iter().sum::<f64>() / f64::from(SIDE * SIDE);
    unit(values.into_iter().map(|value| value - mean).chain([1.0]))
}

#[expect(clippy::cast_possible_truncation, reason = "vectors are float32")]
fn unit(values: impl Iterator<Item = f64>) -> Vec<f32> {
    let values: Vec<f64> = values.collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.into_iter().map(|value| (value / length) as f32).collect()
}

/// Finds for each query the positions of its first `k` references by their features, through a shard of their own.
/// A query without a feature finds nothing.
///
/// # Errors
/// The temporary shard cannot be written or read.
pub fn retrieve(
    references: &[(Place, Vec<f32>)],
    queries: &[Option<Vec<f32>>],
    k: usize,
) -> anyhow::Result<Vec<Vec<Place>>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let path = folder.path().join("baseline.shard");
    let description = ShardDescription {
        space: "baseline".to_owned(),
        dimensions: references.first().map_or(0, |(_, feature)| feature.len()),
        encoder: "baseline".to_owned(),
        encoder_sha256: None,
        position_of: PositionOf::Camera,
        licence: String::new(),
        attribution: String::new(),
        created_at_ms: 0,
        blobs: None,
    };
    let mut writer = ShardWriter::create(&path, description, WriterOptions::default())?;
    for (row, (place, feature)) in references.iter().enumerate() {
        writer.push(&Row { name: &row.to_string(), place, source: None, embedding: feature, blob: None })?;
    }
    writer.finish()?;
    let shards = ShardSet::open(&[path])?;
    let options = SearchOptions { k, dissimilar: Dissimilar::None, ..SearchOptions::default() };
    let find = |query: &Option<Vec<f32>>| {
        let Some(query) = query else { return Ok(Vec::new()) };
        let hits = shards.search(query, &options)?.similar;
        Ok(shards.references(&hits)?.into_iter().map(|reference| reference.place).collect())
    };
    queries.iter().map(find).collect()
}

/// `k` different rows below `rows` in random order, the same for the same `query`; all rows when there are fewer.
pub fn random_rows(query: usize, rows: usize, k: usize) -> Vec<usize> {
    let mut random = SplitMix64::new(SEED ^ (query as u64).wrapping_mul(0x9e37_79b9));
    let mut drawn = Vec::new();
    while drawn.len() < k.min(rows) {
        let row = random.below(rows);
        if !drawn.contains(&row) {
            drawn.push(row);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    fn plain(colour: [u8; 3]) -> RgbImage {
        RgbImage::from_pixel(40, 30, Rgb(colour))
    }

    #[test]
    fn features_have_unit_length_for_any_picture() {
        let gradient = RgbImage::from_fn(50, 20, |x, y| Rgb([(x * 5) as u8, (y * 12) as u8, 128]));
        for picture in [plain([0; 3]), plain([255; 3]), gradient, RgbImage::from_pixel(1, 1, Rgb([9, 9, 9]))] {
            for (baseline, width) in [(Baseline::Colour, 512), (Baseline::Pixel, 257)] {
                let feature = baseline.feature(&picture).unwrap();
                assert_eq!(feature.len(), width);
                assert!((cosine(&feature, &feature) - 1.0).abs() < 1e-5, "{baseline:?}");
            }
        }
        assert!(Baseline::Random.feature(&plain([1; 3])).is_none());
    }

    #[test]
    fn the_histogram_sees_colour_and_not_place() {
        let half =
            |left: [u8; 3], right: [u8; 3]| RgbImage::from_fn(40, 30, |x, _| Rgb(if x < 20 { left } else { right }));
        let (a, b) = (half([255, 0, 0], [0, 0, 255]), half([0, 0, 255], [255, 0, 0]));
        assert!((cosine(&colour_histogram(&a), &colour_histogram(&b)) - 1.0).abs() < 1e-6);
        assert_eq!(cosine(&colour_histogram(&plain([255, 0, 0])), &colour_histogram(&plain([0, 0, 255]))), 0.0);
        let mixed = cosine(&colour_histogram(&a), &colour_histogram(&plain([255, 0, 0])));
        assert!((mixed - 0.5_f32.sqrt()).abs() < 1e-6, "half of the pixels in common: {mixed}");
    }

    #[test]
    fn the_thumbnail_sees_place_and_not_brightness() {
        let half = |left: u8, right: u8| RgbImage::from_fn(64, 64, |x, _| Rgb([if x < 32 { left } else { right }; 3]));
        let near = |a: &RgbImage, b: &RgbImage| cosine(&thumbnail(a), &thumbnail(b));
        assert!(near(&half(0, 100), &half(50, 150)) > 0.999);
        assert!(near(&half(0, 100), &half(100, 0)) < -0.99);
    }

    #[test]
    fn the_nearest_reference_comes_first_and_a_missing_query_finds_nothing() {
        let references = [[0, 0, 255], [255, 0, 0], [0, 255, 0]]
            .iter()
            .enumerate()
            .map(|(row, colour)| (Place::at(row as f64, 8.0), colour_histogram(&plain(*colour))))
            .collect::<Vec<_>>();
        let found = retrieve(&references, &[Some(colour_histogram(&plain([250, 5, 5]))), None], 2).unwrap();
        assert_eq!((found[0].len(), found[0][0].lat_deg, found[1].len()), (2, 1.0, 0));
    }

    #[test]
    fn random_rows_are_different_rows_and_the_same_every_time() {
        let rows = random_rows(3, 1000, 16);
        assert_eq!(rows, random_rows(3, 1000, 16));
        assert_ne!(rows, random_rows(4, 1000, 16));
        let distinct: std::collections::BTreeSet<_> = rows.iter().collect();
        assert_eq!(distinct.len(), 16);
        let mut all = random_rows(0, 5, 16);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
        assert!(random_rows(0, 0, 16).is_empty());
    }
}
