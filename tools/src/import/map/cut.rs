//! Cuts a map into squares on the ground that overlap.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Instant;

use anyhow::{Context, bail};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use geolocated::locate::distance_m;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use tempfile::NamedTempFile;

use super::super::summary::Summary;
use super::{MapRequest, Raster, TileFormat};

/// Quality of the tiles' JPEG, 1 to 100.
const QUALITY: u8 = 95;
/// A tile of fewer pixels shows too little to recognise.
const LEAST_PX: u32 = 32;
const COLUMNS: [&str; 9] = [
    "file",
    "lat",
    "lon",
    "top_left_lat",
    "top_left_lon",
    "bottom_right_lat",
    "bottom_right_lon",
    "role",
    "footprint_m",
];

/// Writes the tiles and their poses.
///
/// # Errors
/// The map cannot be read, no tile shows anything, or a file cannot be written.
pub(super) fn cut(request: &MapRequest, raster: &mut dyn Raster) -> anyhow::Result<Summary> {
    let start = Instant::now();
    let folder = request.out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or(std::path::Path::new("."));
    let file = NamedTempFile::new_in(folder).with_context(|| format!("{}: cannot write", request.out.display()))?;
    let mut rows = csv::Writer::from_writer(file);
    rows.write_record(COLUMNS)?;
    let (mut squares, mut written, mut notes) = (0, 0, Vec::new());
    for footprint_m in &request.footprints_m {
        let name = format!("f{footprint_m}");
        let images = request.images.join(&name);
        fs::create_dir_all(&images).with_context(|| format!("{}: cannot make", images.display()))?;
        let found = Squares::of(raster, *footprint_m, request.overlap)?;
        if found.0.is_empty() {
            notes.push(format!("the map is smaller than {footprint_m} m: there are no tiles of this size"));
        }
        squares += found.0.len() as u64;
        let mut smallest = u32::MAX;
        for square in &found.0 {
            let window = raster.window(square.x, square.y, square.width, square.height)?;
            if window.filled < request.least_filled {
                continue;
            }
            let side = square.width.max(square.height).min(request.most_px);
            smallest = smallest.min(side);
            let tile = resized(window.image, side)?;
            let extension = if request.format == TileFormat::Png { "png" } else { "jpg" };
            let file = format!("r{:04}_c{:04}.{extension}", square.row, square.column);
            write_tile(&images.join(&file), &tile, request.format)?;
            let places = square.places(raster)?;
            let [middle, upper, lower] = places.map(|(lat, lon)| [format!("{lat:.8}"), format!("{lon:.8}")]);
            let (file, metres) = (format!("{name}/{file}"), footprint_m.to_string());
            let texts = [&file, &middle[0], &middle[1], &upper[0], &upper[1], &lower[0], &lower[1]];
            rows.write_record(texts.into_iter().map(String::as_str).chain(["reference", &metres]))?;
            written += 1;
        }
        if smallest < LEAST_PX {
            notes.push(format!(
                "tiles of {footprint_m} m have {smallest} pixels a side: the map is too coarse for them"
            ));
        }
    }
    if written == 0 {
        let map = request.map.display();
        bail!("{map}: none of {squares} squares shows enough (--least-filled {})", request.least_filled);
    }
    let file = rows.into_inner().map_err(|error| error.into_error())?;
    file.as_file().sync_all().with_context(|| format!("{}: cannot write", request.out.display()))?;
    super::super::persist(file, &request.out)?;
    notes.extend(thanks(request, raster));
    Ok(Summary {
        data_set: "map",
        rows: squares,
        written,
        dropped: Default::default(),
        notes,
        check: None,
        extracted: None,
        table_bytes: 0,
        seconds: start.elapsed().as_secs_f64(),
        out: request.out.clone(),
    })
}

/// Whom to thank, as `build` takes it.
fn thanks(request: &MapRequest, raster: &dyn Raster) -> Option<String> {
    match request.attribution.clone().or_else(|| raster.attribution()) {
        Some(text) => Some(format!("imagery: {text} (geolocate build --attribution {text:?})")),
        None => {
            Some("the map names nobody to thank; geolocate build --attribution says whose imagery it is".to_owned())
        }
    }
}

/// A rectangle of the map that is a square on the ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Square {
    row: u32,
    column: u32,
    x: u64,
    y: u64,
    width: u32,
    height: u32,
}

impl Square {
    /// Middle, upper left and lower right corner in degrees.
    fn places(&self, raster: &dyn Raster) -> anyhow::Result<[(f64, f64); 3]> {
        let (x, y) = (self.x as f64, self.y as f64);
        let (width, height) = (f64::from(self.width), f64::from(self.height));
        Ok([
            raster.degrees(x + width / 2.0, y + height / 2.0)?,
            raster.degrees(x, y)?,
            raster.degrees(x + width, y + height)?,
        ])
    }
}

/// All squares of a size, row by row from the north.
struct Squares(Vec<Square>);

impl Squares {
    /// In a map of degrees or of Web Mercator a pixel is not the same on the ground everywhere, and in degrees it is not
    /// square, so a square's sides in pixels are those of its row.
    fn of(raster: &dyn Raster, footprint_m: f64, overlap: f64) -> anyhow::Result<Self> {
        let (columns, rows) = raster.size();
        let (mut squares, mut top, mut row) = (Vec::new(), 0_u64, 0);
        loop {
            let (_, metres_down) = metres_per_pixel(raster, columns as f64 / 2.0, top as f64 + 0.5)?;
            let height = side_px(footprint_m, metres_down)?;
            if u64::from(height) > rows {
                break;
            }
            let y = top.min(rows - u64::from(height));
            let middle = y as f64 + f64::from(height) / 2.0;
            let (metres_across, _) = metres_per_pixel(raster, columns as f64 / 2.0, middle)?;
            let width = side_px(footprint_m, metres_across)?;
            if u64::from(width) > columns {
                break;
            }
            let (step_across, step_down) = (step_px(width, overlap), step_px(height, overlap));
            let last = columns - u64::from(width);
            let lefts = (0..last).step_by(usize::try_from(step_across)?).chain([last]);
            squares.extend((0..).zip(lefts).map(|(column, x)| Square { row, column, x, y, width, height }));
            if y + u64::from(height) >= rows {
                break;
            }
            top = y + step_down;
            row += 1;
        }
        Ok(Self(squares))
    }
}

/// Ground metres of a pixel across and down at a point of the map.
fn metres_per_pixel(raster: &dyn Raster, x: f64, y: f64) -> anyhow::Result<(f64, f64)> {
    let (columns, rows) = raster.size();
    let span = 8.0_f64.min(columns as f64 / 2.0).min(rows as f64 / 2.0);
    let (x, y) = (x.clamp(span, columns as f64 - span), y.clamp(span, rows as f64 - span));
    let between = |a: (f64, f64), b: (f64, f64)| distance_m(a.0, a.1, b.0, b.1) / (2.0 * span);
    let across = between(raster.degrees(x - span, y)?, raster.degrees(x + span, y)?);
    let down = between(raster.degrees(x, y - span)?, raster.degrees(x, y + span)?);
    if !(across > 0.0 && down > 0.0) {
        bail!("expected pixels of some size on the ground, found {across} x {down} m at {x} {y}");
    }
    Ok((across, down))
}

fn side_px(footprint_m: f64, metres_per_pixel: f64) -> anyhow::Result<u32> {
    let pixels = (footprint_m / metres_per_pixel).round().max(1.0);
    if pixels > 20_000.0 {
        bail!("{footprint_m} m are {pixels} pixels of this map, expected at most 20000; --zoom or a coarser map helps");
    }
    Ok(pixels as u32)
}

fn step_px(side: u32, overlap: f64) -> u64 {
    ((f64::from(side) * (1.0 - overlap)).round() as u64).max(1)
}

/// The same picture with sides of so many pixels.
fn resized(image: RgbImage, side: u32) -> anyhow::Result<RgbImage> {
    if image.dimensions() == (side, side) {
        return Ok(image);
    }
    let (width, height) = image.dimensions();
    let source = ImageRef::new(width, height, image.as_raw(), PixelType::U8x3)?;
    let mut target = Image::new(side, side, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut target, &options)?;
    RgbImage::from_raw(side, side, target.into_vec()).context("a resized picture has all its pixels")
}

fn write_tile(path: &std::path::Path, image: &RgbImage, format: TileFormat) -> anyhow::Result<()> {
    let failed = || format!("{}: cannot write", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    let ((width, height), colour) = (image.dimensions(), ExtendedColorType::Rgb8);
    let written = match format {
        TileFormat::Jpg => {
            JpegEncoder::new_with_quality(&mut file, QUALITY).encode(image.as_raw(), width, height, colour)
        }
        TileFormat::Png => PngEncoder::new(&mut file).write_image(image.as_raw(), width, height, colour),
    };
    written.with_context(failed)?;
    file.flush().with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::*;

    /// A map in degrees whose pixels are square in degrees, as satellite maps are.
    struct Degrees {
        lat: f64,
        size: (u64, u64),
        degrees_per_pixel: f64,
    }

    impl Raster for Degrees {
        fn size(&self) -> (u64, u64) {
            self.size
        }

        fn degrees(&self, x: f64, y: f64) -> anyhow::Result<(f64, f64)> {
            Ok((self.lat - y * self.degrees_per_pixel, 10.0 + x * self.degrees_per_pixel))
        }

        fn window(&mut self, _: u64, _: u64, width: u32, height: u32) -> anyhow::Result<Window> {
            Ok(Window { image: RgbImage::new(width, height), filled: 1.0 })
        }
    }

    #[test]
    fn squares_are_square_on_the_ground_and_reach_the_edges() {
        let map = Degrees { lat: 60.0, size: (1000, 700), degrees_per_pixel: 1e-5 };
        let Squares(squares) = Squares::of(&map, 100.0, 0.5).unwrap();
        for square in &squares {
            let [_, upper, lower] = square.places(&map).unwrap();
            let east = distance_m(upper.0, upper.1, upper.0, lower.1);
            let south = distance_m(upper.0, upper.1, lower.0, upper.1);
            assert!((east - 100.0).abs() < 1.0 && (south - 100.0).abs() < 1.0, "{east} x {south} m");
            assert!(square.x + u64::from(square.width) <= 1000 && square.y + u64::from(square.height) <= 700);
        }
        let first = squares[0];
        assert_eq!((first.height, first.width), (90, 180), "at 60 degrees a pixel is half as wide as it is high");
        assert!(
            squares.iter().any(|s| s.x + u64::from(s.width) == 1000)
                && squares.iter().any(|s| s.y + u64::from(s.height) == 700)
        );
        let neighbour = squares[1].x - first.x;
        assert_eq!(neighbour, 90, "neighbours share half of a side");
        assert_eq!(Squares::of(&map, 5000.0, 0.5).unwrap().0.len(), 0);
        assert!(Squares::of(&map, 1e6, 0.5).is_err());
    }
}
