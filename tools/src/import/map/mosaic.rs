//! Tiles of Web Mercator put together: one large picture of a zoom level.

use anyhow::{Context, bail};
use image::{Rgb, RgbImage};
use quantized_models::{DecodeLimits, decode};

use super::cache::Cache;
use super::crs::{Crs, WEB_MERCATOR};
use super::{Raster, Window};

/// Half of the equator on the sphere of Web Mercator, metres.
const HALF_EQUATOR_M: f64 = 6_378_137.0 * std::f64::consts::PI;

/// Where tiles come from. Rows count from the north.
pub(super) trait TileSource {
    /// What messages call it.
    fn name(&self) -> String;
    /// Zoom levels that are there.
    fn zooms(&self) -> anyhow::Result<Vec<u8>>;
    /// Columns and rows of a zoom level: first and last of each.
    fn range(&self, zoom: u8) -> anyhow::Result<Option<[u32; 4]>>;
    /// The encoded picture of a tile.
    fn tile(&self, zoom: u8, column: u32, row: u32) -> anyhow::Result<Option<Vec<u8>>>;
    /// Whom the tiles say to thank.
    fn attribution(&self) -> Option<String>;
}

pub(super) struct Mosaic<T> {
    source: T,
    zoom: u8,
    /// First column and row, last column and row.
    range: [u32; 4],
    side: u32,
    crs: Crs,
    tiles: Cache<(u32, u32), Option<RgbImage>>,
}

impl<T: TileSource> Mosaic<T> {
    pub(super) fn open(source: T, zoom: Option<u8>) -> anyhow::Result<Self> {
        let zooms = source.zooms()?;
        let name = source.name();
        let zoom = match zoom {
            Some(zoom) if zooms.contains(&zoom) => zoom,
            Some(zoom) => bail!("{name}: expected zoom level {zoom}, found {zooms:?}"),
            None => *zooms.iter().max().with_context(|| format!("{name}: expected tiles, found none"))?,
        };
        if zoom > 30 {
            bail!("{name}: expected a zoom level of at most 30, found {zoom}");
        }
        let range =
            source.range(zoom)?.with_context(|| format!("{name}: expected tiles of zoom level {zoom}, found none"))?;
        let [first_column, first_row, last_column, last_row] = range;
        if u64::from(last_column) >= 1 << zoom || u64::from(last_row) >= 1 << zoom {
            bail!("{name}: expected columns and rows below {}, found {last_column} and {last_row}", 1_u64 << zoom);
        }
        let mut mosaic = Self { source, zoom, range, side: 0, crs: Crs::epsg(WEB_MERCATOR)?, tiles: Cache::new() };
        'search: for row in first_row..=last_row {
            for column in first_column..=last_column {
                if let Some(tile) = mosaic.decoded(column, row)? {
                    mosaic.side = tile.width();
                    break 'search;
                }
            }
        }
        if mosaic.side == 0 {
            bail!("{name}: expected a tile that can be read, found none");
        }
        Ok(mosaic)
    }

    fn decoded(&mut self, column: u32, row: u32) -> anyhow::Result<Option<&RgbImage>> {
        let (source, zoom) = (&self.source, self.zoom);
        let tile = self.tiles.get((row, column), || {
            let Some(encoded) = source.tile(zoom, column, row)? else { return anyhow::Ok((1, None)) };
            let image = decode(&encoded, &DecodeLimits::default())
                .with_context(|| format!("{}: tile {zoom}/{column}/{row}", source.name()))?;
            Ok((image.as_raw().len(), Some(image)))
        })?;
        Ok(tile.as_ref())
    }
}

impl<T: TileSource> Raster for Mosaic<T> {
    fn size(&self) -> (u64, u64) {
        let [first_column, first_row, last_column, last_row] = self.range;
        let side = u64::from(self.side);
        (u64::from(last_column - first_column + 1) * side, u64::from(last_row - first_row + 1) * side)
    }

    fn degrees(&self, x: f64, y: f64) -> anyhow::Result<(f64, f64)> {
        let [column, row, ..] = self.range;
        let metres_per_tile = 2.0 * HALF_EQUATOR_M / f64::from(2_u32).powi(i32::from(self.zoom));
        let side = f64::from(self.side);
        let (east, south) = (f64::from(column) + x / side, f64::from(row) + y / side);
        self.crs.degrees(east * metres_per_tile - HALF_EQUATOR_M, HALF_EQUATOR_M - south * metres_per_tile)
    }

    fn window(&mut self, left: u64, top: u64, width: u32, height: u32) -> anyhow::Result<Window> {
        let side = u64::from(self.side);
        let [first_column, first_row, ..] = self.range;
        let mut image = RgbImage::new(width, height);
        let mut filled = 0_u64;
        for row in top / side..=(top + u64::from(height) - 1) / side {
            for column in left / side..=(left + u64::from(width) - 1) / side {
                let number = (first_column + u32::try_from(column)?, first_row + u32::try_from(row)?);
                let (name, expected) = (self.source.name(), self.side);
                let Some(tile) = self.decoded(number.0, number.1)? else { continue };
                if tile.dimensions() != (expected, expected) {
                    let (width, height) = tile.dimensions();
                    bail!("{name}: expected tiles of {expected} x {expected} pixels, found {width} x {height}");
                }
                let (x0, y0) = (column * side, row * side);
                for y in y0.max(top)..(y0 + side).min(top + u64::from(height)) {
                    for x in x0.max(left)..(x0 + side).min(left + u64::from(width)) {
                        let Rgb(rgb) = *tile.get_pixel((x - x0) as u32, (y - y0) as u32);
                        image.put_pixel((x - left) as u32, (y - top) as u32, Rgb(rgb));
                        filled += u64::from(super::geotiff::shows(rgb, false, None));
                    }
                }
            }
        }
        Ok(Window { image, filled: filled as f64 / (f64::from(width) * f64::from(height)) })
    }

    fn attribution(&self) -> Option<String> {
        self.source.attribution()
    }
}
