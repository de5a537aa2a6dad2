//! A map of people per pixel: a GeoTIFF in degrees with one band of numbers, as GHSL, WorldPop and GPW have.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

/// Parts of the map that are kept, decoded.
const MOST_CHUNKS: usize = 64;

pub(super) struct Population {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    size: (u32, u32),
    /// Degrees: west edge, north edge, width and height of a pixel.
    west: f64,
    north: f64,
    pixel: (f64, f64),
    nodata: Option<f64>,
    chunks: BTreeMap<u32, Vec<f64>>,
}

impl Population {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("{shown}: cannot read"))?;
        let decoder = Decoder::new(BufReader::new(file)).with_context(|| format!("{shown}: expected a TIFF"))?;
        let mut decoder = decoder.with_limits(Limits::default());
        let size = decoder.dimensions().with_context(|| shown.clone())?;
        let samples: Option<u16> = decoder.find_tag_unsigned(Tag::SamplesPerPixel).with_context(|| shown.clone())?;
        if samples.is_some_and(|samples| samples != 1) {
            bail!("{shown}: expected one band of people per pixel, found {samples:?}");
        }
        let scale = decoder
            .get_tag_f64_vec(Tag::ModelPixelScaleTag)
            .with_context(|| format!("{shown}: expected GeoTIFF's tags"))?;
        let tie = decoder
            .get_tag_f64_vec(Tag::ModelTiepointTag)
            .with_context(|| format!("{shown}: expected GeoTIFF's tags"))?;
        let (&[width, height, ..], &[column, row, _, lon, lat, ..]) = (scale.as_slice(), tie.as_slice()) else {
            bail!("{shown}: expected a pixel scale and a tie point");
        };
        let (west, north) = (lon - column * width, lat + row * height);
        let east = west + width * f64::from(size.0);
        if !(width > 0.0 && height > 0.0 && west >= -181.0 && east <= 181.0 && north.abs() <= 91.0) {
            bail!(
                "{shown}: expected a map in degrees (gdalwarp -t_srs EPSG:4326), found edges {west} and {north}, {width} wide pixels"
            );
        }
        let nodata = decoder.find_tag(Tag::GdalNodata).ok().flatten().and_then(|value| value.into_string().ok());
        let nodata = nodata.and_then(|text| text.trim_end_matches('\0').trim().parse().ok());
        let pixel = (width, height);
        Ok(Self { path: path.to_owned(), decoder, size, west, north, pixel, nodata, chunks: BTreeMap::new() })
    }

    /// People of the pixel at a place in degrees; 0 beyond the map, and where it knows nothing.
    pub(super) fn at(&mut self, lat: f64, lon: f64) -> anyhow::Result<f64> {
        let (column, row) = ((lon - self.west) / self.pixel.0, (self.north - lat) / self.pixel.1);
        if !(column >= 0.0 && row >= 0.0 && column < f64::from(self.size.0) && row < f64::from(self.size.1)) {
            return Ok(0.0);
        }
        let (column, row) = (column as u32, row as u32);
        let (width, height) = self.decoder.chunk_dimensions();
        let across = match self.decoder.get_chunk_type() {
            ChunkType::Strip => 1,
            ChunkType::Tile => self.size.0.div_ceil(width.max(1)),
        };
        let number = row / height.max(1) * across + column / width.max(1);
        if !self.chunks.contains_key(&number) {
            if self.chunks.len() >= MOST_CHUNKS {
                self.chunks.clear();
            }
            let chunk = self.decoder.read_chunk(number);
            let chunk = chunk.with_context(|| format!("{}, part {number}; is the file whole?", self.path.display()))?;
            self.chunks.insert(number, numbers(chunk).with_context(|| self.path.display().to_string())?);
        }
        let data_width = self.decoder.chunk_data_dimensions(number).0;
        let at = (row % height.max(1)) as usize * data_width as usize + (column % width.max(1)) as usize;
        let value = self.chunks.get(&number).and_then(|chunk| chunk.get(at)).copied().unwrap_or_default();
        Ok(if value.is_finite() && value > 0.0 && Some(value) != self.nodata { value } else { 0.0 })
    }
}

fn numbers(chunk: DecodingResult) -> anyhow::Result<Vec<f64>> {
    Ok(match chunk {
        DecodingResult::U8(values) => values.into_iter().map(f64::from).collect(),
        DecodingResult::U16(values) => values.into_iter().map(f64::from).collect(),
        DecodingResult::U32(values) => values.into_iter().map(f64::from).collect(),
        DecodingResult::I16(values) => values.into_iter().map(f64::from).collect(),
        DecodingResult::I32(values) => values.into_iter().map(f64::from).collect(),
        DecodingResult::F32(values) => values.into_iter().map(f64::from).collect(),
        DecodingResult::F64(values) => values,
        _ => bail!("expected whole numbers or floating point, found another kind of sample"),
    })
}
