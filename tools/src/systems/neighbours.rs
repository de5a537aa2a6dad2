//! What retrieval finds for a query, and the picture that goes with the question.

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use geolocated::locate::{Candidate, Pipeline, Prediction};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};
use quantized_models::{DecodeLimits, decode};

use crate::evaluated_hints::EvaluatedHints;
use crate::evaluation::Query;
use crate::ordered::ordered_map;
use crate::pictures;
use crate::progress::Progress;

/// Quality of a picture that is made smaller, 1 to 100.
const QUALITY: u8 = 90;

/// Places at both ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Neighbours {
    pub(super) similar: Vec<(f64, f64)>,
    pub(super) dissimilar: Vec<(f64, f64)>,
    /// Cosines of the similar ones.
    pub(super) cosines: Vec<f64>,
    /// References left out since they are the query's own photo.
    pub(super) own_photo: usize,
}

impl Neighbours {
    /// References with the query's own photo, by the number in their names, are left out: they are no neighbours but the
    /// answer.
    pub(super) fn of(query: &Query<'_>, prediction: &Prediction) -> Self {
        let photo = query.pose.columns.get("photo").map(String::as_str).filter(|photo| photo.len() >= 5);
        let is_own = |found: &&Candidate| {
            photo.is_some_and(|photo| {
                found.reference.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|part| part == photo)
            })
        };
        let others: Vec<&Candidate> = prediction.similar.iter().filter(|found| !is_own(found)).collect();
        Self {
            own_photo: prediction.similar.len() - others.len(),
            similar: others.iter().map(|found| (found.lat_deg, found.lon_deg)).collect(),
            cosines: others.iter().map(|found| f64::from(found.similarity)).collect(),
            dissimilar: prediction.dissimilar.iter().map(|found| (found.lat_deg, found.lon_deg)).collect(),
        }
    }
}

/// Retrieves for all queries; the inner error says why a query could not be worked on.
pub(super) fn retrieve(
    pipeline: &Pipeline,
    (queries, images): (&[Query<'_>], Option<&Path>),
    hints: &EvaluatedHints,
    threads: usize,
) -> Vec<Result<Prediction, String>> {
    let progress = Progress::new("retrieving", queries.len());
    let mut found = Vec::with_capacity(queries.len());
    let work = |query: &Query<'_>| match (&query.vector, images) {
        (Some(vector), _) => Ok(hints.locate_vector(pipeline, query.pose, vector).prediction),
        (None, Some(images)) => {
            let encoded = pictures::read_below(images, &query.pose.file, pipeline.limits())
                .map_err(|error| format!("{}: {error}", error.reason()))?;
            Ok(hints.locate(pipeline, query.pose, &hints.frame(query.pose, encoded)).prediction)
        }
        (None, None) => Err("missing_picture: there is no folder of pictures".to_owned()),
    };
    let never_fails = ordered_map(queries, threads, work, |result| {
        found.push(result);
        progress.step();
        Ok::<(), std::convert::Infallible>(())
    });
    match never_fails {
        Ok(()) => found,
        Err(never) => match never {},
    }
}

/// The query's picture with sides of at most `most_px` pixels; as it is where it is not larger.
pub(super) fn picture(images: &Path, name: &str, limits: &DecodeLimits, most_px: u32) -> Result<Vec<u8>, String> {
    let encoded = pictures::read_below(images, name, limits).map_err(|error| error.to_string())?;
    let image = decode(&encoded, limits).map_err(|error| error.to_string())?;
    let longer = image.width().max(image.height());
    if longer <= most_px.max(1) {
        return Ok(encoded);
    }
    smaller(&image, most_px).map_err(|error| format!("{name}: {error:#}"))
}

fn smaller(image: &RgbImage, most_px: u32) -> anyhow::Result<Vec<u8>> {
    let (width, height) = image.dimensions();
    let longer = u64::from(width.max(height));
    let side = |pixels: u32| u32::try_from((u64::from(pixels) * u64::from(most_px) / longer).max(1)).unwrap_or(most_px);
    let source = ImageRef::new(width, height, image.as_raw(), PixelType::U8x3)?;
    let mut target = Image::new(side(width), side(height), PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut target, &options)?;
    let mut jpeg = Vec::new();
    let (width, height) = (target.width(), target.height());
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
        target.buffer(),
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(jpeg)
}
