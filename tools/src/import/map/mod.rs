//! Georeferenced maps, cut into overlapping tiles with footprints: GeoTIFF, pictures with a world file or with bounds,
//! MBTiles, and folders of XYZ tiles.

mod cache;
mod crs;
mod cut;
mod geo_tags;
mod geotiff;
mod mbtiles;
mod mosaic;
mod picture;
mod xyz;

use std::path::{Path, PathBuf};

use anyhow::bail;
use image::RgbImage;

use super::summary::Summary;

pub(crate) use self::geo_tags::Bounds;

/// What is to be cut, and how.
#[derive(Debug, Clone)]
pub(crate) struct MapRequest {
    /// A GeoTIFF, an MBTiles file, a picture, or a folder of tiles, perhaps with `{z}/{x}/{y}` at its end.
    pub(crate) map: PathBuf,
    /// The poses CSV to write.
    pub(crate) out: PathBuf,
    /// Folder for the tiles.
    pub(crate) images: PathBuf,
    /// Sides of the squares on the ground, metres.
    pub(crate) footprints_m: Vec<f64>,
    /// Share of a side that neighbours have in common, in [0, 1).
    pub(crate) overlap: f64,
    /// Longest side of a tile in pixels; larger ones are made smaller.
    pub(crate) most_px: u32,
    /// Share of a tile's pixels that must show something.
    pub(crate) least_filled: f64,
    /// Coordinate system of the map, where it does not say or says wrongly.
    pub(crate) crs: Option<String>,
    /// Corners of the map in degrees, where it does not say.
    pub(crate) bounds: Option<Bounds>,
    /// Zoom level of tiles [the highest].
    pub(crate) zoom: Option<u8>,
    /// Whether rows of a folder of tiles count from the south.
    pub(crate) tms: bool,
    /// How tiles are written.
    pub(crate) format: TileFormat,
    /// Whom to thank for the imagery, where the map does not say.
    pub(crate) attribution: Option<String>,
}

/// How tiles are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TileFormat {
    /// JPEG of quality 95
    Jpg,
    /// PNG, without loss, some five times as large
    Png,
}

/// A part of a map.
pub(super) struct Window {
    /// Its pixels, north up as the map is.
    pub(super) image: RgbImage,
    /// Share of the pixels that show something.
    pub(super) filled: f64,
}

/// A map as one large picture, which is read in parts.
pub(super) trait Raster {
    /// Columns and rows.
    fn size(&self) -> (u64, u64);
    /// Latitude and longitude, WGS 84 degrees, of a point in pixels from the upper left corner.
    fn degrees(&self, x: f64, y: f64) -> anyhow::Result<(f64, f64)>;
    /// A rectangle that lies inside.
    fn window(&mut self, x: u64, y: u64, width: u32, height: u32) -> anyhow::Result<Window>;
    /// Whom the map itself says to thank.
    fn attribution(&self) -> Option<String> {
        None
    }
}

/// Cuts a map.
///
/// # Errors
/// The map cannot be read or does not say where it lies, no tile shows anything, or a file cannot be written.
pub(crate) fn import(request: &MapRequest) -> anyhow::Result<Summary> {
    let mut raster = open(request)?;
    cut::cut(request, raster.as_mut())
}

fn open(request: &MapRequest) -> anyhow::Result<Box<dyn Raster>> {
    let path = &request.map;
    let text = path.to_string_lossy();
    if let Some((folder, _)) = text.split_once("/{z}") {
        return Ok(Box::new(mosaic::Mosaic::open(
            xyz::XyzFolder::open(Path::new(folder), request.tms)?,
            request.zoom,
        )?));
    }
    if path.is_dir() {
        return Ok(Box::new(mosaic::Mosaic::open(xyz::XyzFolder::open(path, request.tms)?, request.zoom)?));
    }
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "tif" | "tiff" => Ok(Box::new(geotiff::GeoTiff::open(request)?)),
        "mbtiles" => Ok(Box::new(mosaic::Mosaic::open(mbtiles::MbTiles::open(path)?, request.zoom)?)),
        "jpg" | "jpeg" | "png" | "webp" => Ok(Box::new(picture::Picture::open(request)?)),
        _ => bail!(
            "{}: expected .tif, .mbtiles, a picture with a world file or --bounds, or a folder of tiles z/x/y",
            path.display()
        ),
    }
}
