//! The tiles of a map joined into one picture.

use std::fs;
use std::path::Path;

use anyhow::Context;
use image::RgbImage;
use image::imageops::{FilterType, overlay, resize};
use quantized_models::{DecodeLimits, decode};

use super::plan::Ground;
use crate::world::geodesy::Globe;
use crate::world::view::area::{Area, TileId};

/// Most pixels along a side of the joined picture.
const MOST_PX: f64 = 1600.0;
/// Most pixels a metre: more than tiles have is of no use.
const MOST_PX_PER_M: f64 = 2.0;

/// Joins the tiles below `images`. Of tiles that overlap only as many are read as cover the ground.
///
/// # Errors
/// A tile cannot be read.
pub(super) fn joined(images: &Path, area: &Area, globe: &Globe) -> anyhow::Result<Ground> {
    let covered = area.covered();
    let side_m = covered.max.x - covered.min.x;
    let px_per_m = (MOST_PX / side_m).min(MOST_PX_PER_M);
    let pixels = |metres: f64| (metres * px_per_m).round();
    let side = pixels(side_m) as u32;
    let mut picture = RgbImage::new(side, side);
    for tile in covering(area) {
        let path = images.join(tile.file());
        let bytes = fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let image = decode(&bytes, &DecodeLimits::default()).with_context(|| format!("{}", path.display()))?;
        let middle = area.middle(tile);
        let west = pixels(middle.x - area.tile_m * 0.5 - covered.min.x);
        let north = pixels(covered.max.y - middle.y - area.tile_m * 0.5);
        // Up to the next pixel, so that no seam stays open.
        let tile_px = (pixels(area.tile_m) + 1.0) as u32;
        overlay(&mut picture, &resize(&image, tile_px, tile_px, FilterType::Triangle), west as i64, north as i64);
    }
    let [upper, lower] = [(covered.min.x, covered.max.y), (covered.max.x, covered.min.y)]
        .map(|(x, y)| globe.degrees(crate::world::geometry::point(x, y)));
    Ok(Ground { picture, north_deg: upper.lat, west_deg: upper.lon, south_deg: lower.lat, east_deg: lower.lon })
}

/// Tiles that cover the area together.
fn covering(area: &Area) -> impl Iterator<Item = TileId> + use<> {
    let step = ((area.tile_m / area.stride_m()).floor() as usize).max(1);
    let last = area.per_side() - 1;
    area.tiles().filter(move |tile| [tile.row, tile.column].iter().all(|at| at % step == 0 || *at == last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiles_that_are_read_cover_the_ground() {
        for (size_m, overlap) in [(160.0, 0.5), (200.0, 0.5), (400.0, 0.0), (500.0, 0.75), (80.0, 0.5)] {
            let area = Area { size_m, tile_m: 80.0, overlap };
            let columns: Vec<f64> =
                covering(&area).filter(|tile| tile.row == 0).map(|tile| area.middle(tile).x).collect();
            assert!(columns.windows(2).all(|pair| pair[1] - pair[0] <= 80.0 + 1e-9), "{size_m} {overlap}: {columns:?}");
            let (first, last) = (columns[0] - 40.0, columns[columns.len() - 1] + 40.0);
            assert!((first - area.covered().min.x).abs() < 1e-9 && (last - area.covered().max.x).abs() < 1e-9);
        }
    }
}
