//! A GeoTIFF, read strip by strip or tile by tile.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::{Context, bail};
use image::{Rgb, RgbImage};
use tiff::ColorType;
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use super::cache::Cache;
use super::crs::Crs;
use super::geo_tags::{Affine, GeoKeys};
use super::{MapRequest, Raster, Window};

/// A strip or tile may have so many bytes when it is decoded.
const MOST_CHUNK_BYTES: usize = 1 << 30;

/// What the samples of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Samples {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    YCbCr,
}

impl Samples {
    fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb | Self::YCbCr => 3,
            Self::Rgba => 4,
        }
    }
}

pub(super) struct GeoTiff {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    size: (u32, u32),
    chunk: (u32, u32),
    samples: Samples,
    nodata: Option<u8>,
    affine: Affine,
    crs: Crs,
    chunks: Cache<u32, Vec<u8>>,
}

impl GeoTiff {
    pub(super) fn open(request: &MapRequest) -> anyhow::Result<Self> {
        let path = request.map.clone();
        let shown = path.display().to_string();
        let file = File::open(&path).with_context(|| format!("{shown}: cannot read"))?;
        let mut limits = Limits::default();
        limits.decoding_buffer_size = MOST_CHUNK_BYTES;
        limits.intermediate_buffer_size = MOST_CHUNK_BYTES;
        limits.ifd_value_size = 64 << 20;
        let decoder = Decoder::new(BufReader::new(file)).with_context(|| format!("{shown}: expected a TIFF"))?;
        let mut decoder = decoder.with_limits(limits);
        let size = decoder.dimensions().with_context(|| shown.clone())?;
        let colour = decoder.colortype().with_context(|| shown.clone())?;
        let samples = match colour {
            ColorType::Gray(8) | ColorType::Multiband { bit_depth: 8, num_samples: 1 } => Samples::Grey,
            ColorType::GrayA(8) | ColorType::Multiband { bit_depth: 8, num_samples: 2 } => Samples::GreyAlpha,
            ColorType::RGB(8) | ColorType::Multiband { bit_depth: 8, num_samples: 3 } => Samples::Rgb,
            ColorType::RGBA(8) | ColorType::Multiband { bit_depth: 8, num_samples: 4 } => Samples::Rgba,
            ColorType::YCbCr(8) => Samples::YCbCr,
            other => bail!(
                "{shown}: expected grey or colour with 8 bits a sample, found {other:?}; gdal_translate -ot Byte -scale \
                 makes it so"
            ),
        };
        let planes: Option<u16> = decoder.find_tag_unsigned(Tag::PlanarConfiguration).with_context(|| shown.clone())?;
        if planes == Some(2) && samples.count() > 1 {
            bail!(
                "{shown}: expected the samples of a pixel side by side, found planes; gdal_translate -co INTERLEAVE=PIXEL"
            );
        }
        let chunk = decoder.chunk_dimensions();
        if chunk.0 == 0 || chunk.1 == 0 || size.0 == 0 || size.1 == 0 {
            bail!("{shown}: expected pixels, found none");
        }
        let doubles = |decoder: &mut Decoder<_>, tag| -> anyhow::Result<Option<Vec<f64>>> {
            let found = decoder.find_tag(tag).with_context(|| shown.clone())?;
            found.map(tiff::decoder::ifd::Value::into_f64_vec).transpose().with_context(|| shown.clone())
        };
        let transformation = doubles(&mut decoder, Tag::ModelTransformationTag)?;
        let scale = doubles(&mut decoder, Tag::ModelPixelScaleTag)?;
        let tiepoints = doubles(&mut decoder, Tag::ModelTiepointTag)?;
        let directory: Option<Vec<u16>> =
            decoder.find_tag_unsigned_vec(Tag::GeoKeyDirectoryTag).with_context(|| shown.clone())?;
        let keys = GeoKeys::read(directory.as_deref().unwrap_or_default());
        let nodata = decoder.find_tag(Tag::GdalNodata).ok().flatten().and_then(|value| value.into_string().ok());
        let nodata = nodata.and_then(|text| text.trim_end_matches('\0').trim().parse::<f64>().ok());
        let (affine, crs) = match request.bounds {
            Some(bounds) => {
                let size = (u64::from(size.0), u64::from(size.1));
                (Affine::of_bounds(bounds, size), Crs::parse(request.crs.as_deref().unwrap_or("EPSG:4326"))?)
            }
            None => {
                let tags =
                    Affine::of_tags(transformation.as_deref(), scale.as_deref(), tiepoints.as_deref(), keys.is_point);
                let affine = tags.with_context(|| shown.clone())?;
                let affine = affine.map_or_else(|| Affine::of_world_file(&path), |affine| Ok(Some(affine)))?;
                let affine = affine.with_context(|| {
                    format!(
                        "{shown}: expected GeoTIFF's tags, a world file or --bounds to say where it lies, found none"
                    )
                })?;
                (affine, crs(request, &keys, &shown)?)
            }
        };
        let nodata =
            nodata.filter(|value| (0.0..=255.0).contains(value) && value.fract() == 0.0).map(|value| value as u8);
        Ok(Self { path, decoder, size, chunk, samples, nodata, affine, crs, chunks: Cache::new() })
    }
}

/// The coordinate system that is asked for, or the one of the tags.
fn crs(request: &MapRequest, keys: &GeoKeys, shown: &str) -> anyhow::Result<Crs> {
    match (&request.crs, keys.epsg) {
        (Some(text), _) => Crs::parse(text),
        (None, Some(code)) => Crs::epsg(code).with_context(|| shown.to_owned()),
        (None, None) => bail!(
            "{shown}: expected the number of a coordinate system in GeoTIFF's tags, found {}; give --crs",
            if keys.is_user_defined { "one of its own making" } else { "none" }
        ),
    }
}

impl Raster for GeoTiff {
    fn size(&self) -> (u64, u64) {
        (u64::from(self.size.0), u64::from(self.size.1))
    }

    fn degrees(&self, x: f64, y: f64) -> anyhow::Result<(f64, f64)> {
        let (x, y) = self.affine.at(x, y);
        self.crs.degrees(x, y).with_context(|| self.path.display().to_string())
    }

    fn window(&mut self, left: u64, top: u64, width: u32, height: u32) -> anyhow::Result<Window> {
        let (left, top) = (u32::try_from(left)?, u32::try_from(top)?);
        let mut image = RgbImage::new(width, height);
        let mut filled = 0_u64;
        let (chunk_width, chunk_height) = self.chunk;
        let across = match self.decoder.get_chunk_type() {
            ChunkType::Strip => 1,
            ChunkType::Tile => self.size.0.div_ceil(chunk_width),
        };
        let has_alpha = matches!(self.samples, Samples::Rgba | Samples::GreyAlpha);
        let (samples, nodata) = (self.samples, self.nodata);
        for row in top / chunk_height..=(top + height - 1) / chunk_height {
            for column in left / chunk_width..=(left + width - 1) / chunk_width {
                let number = row * across + column;
                let (decoder, path) = (&mut self.decoder, &self.path);
                let (data_width, data_height) = decoder.chunk_data_dimensions(number);
                let chunk = self.chunks.get(number, || match decoder.read_chunk(number) {
                    Ok(DecodingResult::U8(bytes)) => anyhow::Ok((bytes.len(), bytes)),
                    Ok(_) => bail!("{}: expected 8 bits a sample in part {number}", path.display()),
                    Err(error) => bail!("{}, part {number}: {error}; is the file whole?", path.display()),
                })?;
                let (x0, y0) = (column * chunk_width, row * chunk_height);
                for y in y0.max(top)..(y0 + data_height).min(top + height) {
                    let start = (y - y0) as usize * data_width as usize * samples.count();
                    let line = chunk.get(start..).unwrap_or_default();
                    let skip = (left.max(x0) - x0) as usize;
                    let pixels = line.chunks_exact(samples.count()).take(data_width as usize).skip(skip);
                    for (x, pixel) in (x0.max(left)..(x0 + data_width).min(left + width)).zip(pixels) {
                        let (rgb, opaque) = colour(samples, pixel);
                        image.put_pixel(x - left, y - top, Rgb(rgb));
                        filled += u64::from(opaque && shows(rgb, has_alpha, nodata));
                    }
                }
            }
        }
        Ok(Window { image, filled: filled as f64 / (f64::from(width) * f64::from(height)) })
    }
}

/// Whether a pixel shows something: one that is transparent does not, nor does one of the value for nothing, nor, where
/// a map has neither, pure black or white, which stand around most orthophotos.
pub(super) fn shows(rgb: [u8; 3], has_alpha: bool, nodata: Option<u8>) -> bool {
    match (has_alpha, nodata) {
        (_, Some(nothing)) => rgb != [nothing; 3],
        (true, None) => true,
        (false, None) => rgb != [0; 3] && rgb != [255; 3],
    }
}

/// Red, green and blue of a pixel, and whether it is opaque.
fn colour(samples: Samples, pixel: &[u8]) -> ([u8; 3], bool) {
    match (samples, pixel) {
        (Samples::Grey, &[grey]) => ([grey; 3], true),
        (Samples::GreyAlpha, &[grey, alpha]) => ([grey; 3], alpha >= 128),
        (Samples::Rgb, &[red, green, blue]) => ([red, green, blue], true),
        (Samples::Rgba, &[red, green, blue, alpha]) => ([red, green, blue], alpha >= 128),
        (Samples::YCbCr, &[y, cb, cr]) => (from_ycbcr(y, cb, cr), true),
        _ => ([0; 3], false),
    }
}

/// ITU-R BT.601 at full range, as JPEG has it.
fn from_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let red = y + 1.402 * cr;
    let green = y - 0.344_136 * cb - 0.714_136 * cr;
    let blue = y + 1.772 * cb;
    [red, green, blue].map(|value| value.round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_jpeg_become_those_of_the_screen() {
        for (ycbcr, rgb) in [([76, 85, 255], [254, 0, 0]), ([150, 44, 21], [0, 255, 1]), ([128, 128, 128], [128; 3])] {
            let found = from_ycbcr(ycbcr[0], ycbcr[1], ycbcr[2]);
            assert!(found.iter().zip(rgb).all(|(a, b): (&u8, u8)| a.abs_diff(b) <= 1), "{ycbcr:?}: {found:?}");
        }
    }

    #[test]
    fn nothing_is_what_the_map_says_or_else_black_and_white() {
        assert!(!shows([0; 3], false, None) && !shows([255; 3], false, None) && shows([255, 255, 254], false, None));
        assert!(shows([0; 3], true, None), "an opaque black pixel is a shadow");
        assert!(!shows([9; 3], false, Some(9)) && shows([0; 3], false, Some(9)));
    }
}
