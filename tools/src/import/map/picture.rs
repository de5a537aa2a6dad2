//! A usual picture with a world file or with bounds, decoded at once.

use std::path::PathBuf;

use anyhow::{Context, bail};
use image::RgbImage;
use image::imageops::crop_imm;
use quantized_models::{DecodeLimits, decode};

use super::crs::Crs;
use super::geo_tags::Affine;
use super::geotiff::shows;
use super::{MapRequest, Raster, Window};
use crate::pictures;

pub(super) struct Picture {
    path: PathBuf,
    image: RgbImage,
    affine: Affine,
    crs: Crs,
}

impl Picture {
    pub(super) fn open(request: &MapRequest) -> anyhow::Result<Self> {
        let path = request.map.clone();
        // A map may be larger than a frame: 400 megapixels are 1.2 GB.
        let max_side = DecodeLimits::default().max_side.max(65_500);
        let limits = DecodeLimits { max_bytes: 512 << 20, max_pixels: 400_000_000, max_side };
        let image = decode(&pictures::read(&path, limits.max_bytes)?, &limits)
            .with_context(|| format!("{}: cannot decode", path.display()))?;
        let size = (u64::from(image.width()), u64::from(image.height()));
        let (affine, crs) = match (request.bounds, Affine::of_world_file(&path)?) {
            (Some(bounds), _) => (Affine::of_bounds(bounds, size), request.crs.as_deref().unwrap_or("EPSG:4326")),
            (None, Some(affine)) => {
                let crs = request.crs.as_deref();
                (
                    affine,
                    crs.with_context(|| {
                        format!("{}: a world file names no coordinate system; give --crs", path.display())
                    })?,
                )
            }
            (None, None) => bail!("{}: expected a world file beside it, or --bounds, found neither", path.display()),
        };
        Ok(Self { crs: Crs::parse(crs)?, path, image, affine })
    }
}

impl Raster for Picture {
    fn size(&self) -> (u64, u64) {
        (u64::from(self.image.width()), u64::from(self.image.height()))
    }

    fn degrees(&self, x: f64, y: f64) -> anyhow::Result<(f64, f64)> {
        let (x, y) = self.affine.at(x, y);
        self.crs.degrees(x, y).with_context(|| self.path.display().to_string())
    }

    fn window(&mut self, left: u64, top: u64, width: u32, height: u32) -> anyhow::Result<Window> {
        let image = crop_imm(&self.image, u32::try_from(left)?, u32::try_from(top)?, width, height).to_image();
        let filled = image.pixels().filter(|pixel| shows(pixel.0, false, None)).count();
        Ok(Window { filled: filled as f64 / (f64::from(width) * f64::from(height)), image })
    }
}
