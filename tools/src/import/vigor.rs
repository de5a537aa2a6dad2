//! VIGOR: street panoramas and satellite tiles of four cities. Both carry their place in their names, with commas in
//! those of the panoramas.
//!
//! A line of a label file has 13 fields: a panorama, the tile that covers it best, how far the tile's middle is north
//! and east of the panorama in pixels, and three tiles more, the semi-positives, each with the same two numbers. So a
//! panorama lies at x = 320 - the second, y = 320 + the first, from the upper left of a tile of 640 pixels. The original
//! labels were computed with a wrong ground resolution; the corrected ones (SliceMatch, CVPR 2023) come in
//! `splits__corrected`, with `__corrected` in their names, and are taken where they are there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use geolocated::locate::distance_m;

use super::sink::{Row, Sink};
use super::summary::Summary;
use super::{Request, stem};

/// Metres per pixel of a city's tiles.
const CITIES: [(&str, f64); 4] = [("Chicago", 0.111), ("NewYork", 0.113), ("SanFrancisco", 0.118), ("Seattle", 0.101)];
/// Half of a tile's side in pixels.
const HALF_PX: f64 = 320.0;
const FIELDS: usize = 13;
/// A label and a name may tell places that are so far apart, in metres: the labels are rounded to pixels, and the ground
/// resolution is the same for a whole city.
const AGREE_M: f64 = 3.0;
/// Metres of a degree of latitude on the sphere of the haversine formula.
const DEGREE_M: f64 = 111_195.08;
const MORE: [&str; 11] = [
    "role",
    "city",
    "positive",
    "semi_positives",
    "top_left_lat",
    "top_left_lon",
    "bottom_right_lat",
    "bottom_right_lon",
    "pixel_x",
    "pixel_y",
    "photo",
];

/// Which cities are for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AreaArg {
    /// All four, half of the panorama for either part
    Same,
    /// New York and Seattle for training, San Francisco and Chicago for tests
    Cross,
}

/// Which part of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PartArg {
    /// For training
    Train,
    /// For tests
    Test,
}

/// Imports a part of an area.
///
/// # Errors
/// A label file is missing or damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request, area: AreaArg, part: PartArg) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "vigor", &MORE)?;
    let splits = ["splits__corrected", "splits_corrected", "splits_new", "splits"]
        .into_iter()
        .map(|name| request.root.join(name))
        .find(|path| path.is_dir())
        .with_context(|| {
            format!("{}: expected a folder splits__corrected or splits, found none", request.root.display())
        })?;
    let cities = CITIES.into_iter().filter(|(city, _)| match (area, part) {
        (AreaArg::Same, _) => true,
        (AreaArg::Cross, PartArg::Train) => matches!(*city, "NewYork" | "Seattle"),
        (AreaArg::Cross, PartArg::Test) => matches!(*city, "SanFrancisco" | "Chicago"),
    });
    let labels = match (area, part) {
        (AreaArg::Cross, _) => "pano_label_balanced",
        (AreaArg::Same, PartArg::Train) => "same_area_balanced_train",
        (AreaArg::Same, PartArg::Test) => "same_area_balanced_test",
    };
    let (mut cities_found, mut disagree) = (0, 0_u64);
    for (city, metres_per_pixel) in cities {
        let folder = splits.join(city);
        if !folder.is_dir() {
            sink.note(format!("{}: there is no such folder, so {city} is left out", folder.display()));
            continue;
        }
        cities_found += 1;
        let City { corrected, disagree: of_city } = City::import(&mut sink, (city, metres_per_pixel), &folder, labels)?;
        disagree += of_city;
        if !corrected {
            sink.note(format!(
                "{city}: labels as first published, computed with a wrong ground resolution; corrected ones come in \
                 splits__corrected"
            ));
        }
    }
    if cities_found == 0 {
        bail!("{}: expected folders of cities, found none", splits.display());
    }
    if disagree > 0 {
        sink.note(format!("{disagree} labels tell a place more than {AGREE_M} m from the one in the panorama's name"));
    }
    sink.finish()
}

/// What came of one city.
struct City {
    corrected: bool,
    disagree: u64,
}

impl City {
    fn import(
        sink: &mut Sink,
        (city, metres_per_pixel): (&str, f64),
        folder: &Path,
        labels: &str,
    ) -> anyhow::Result<Self> {
        let tiles = Self::tiles(sink, (city, metres_per_pixel), folder)?;
        let corrected = folder.join(format!("{labels}__corrected.txt"));
        let (path, is_corrected) =
            if corrected.is_file() { (corrected, true) } else { (folder.join(format!("{labels}.txt")), false) };
        let mut found = Self { corrected: is_corrected, disagree: 0 };
        lines(&path, |number, line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let name = fields.first().copied().unwrap_or_default();
            let label = match Label::read(&fields) {
                Ok(label) => label,
                Err(message) => return sink.drop_line(&path, number, &message),
            };
            if let Some(unknown) = label.tiles.iter().find(|tile| !tiles.contains(**tile)) {
                return sink.drop_line(
                    &path,
                    number,
                    &format!("expected a tile of satellite_list.txt, found {unknown}"),
                );
            }
            let Some((lat, lon)) = place(name) else {
                return sink.drop_line(
                    &path,
                    number,
                    &format!("expected NAME,LATITUDE,LONGITUDE,.jpg, found {name:?}"),
                );
            };
            let (x, y) = label.pixel();
            found.disagree += u64::from(label.place(metres_per_pixel).is_some_and(|told| {
                let degrees = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
                distance_m(degrees(lat), degrees(lon), told.0, told.1) > AGREE_M
            }));
            let file = format!("{city}/panorama/{name}");
            let names: Vec<String> = label.tiles.iter().map(|tile| format!("{city}/satellite/{tile}")).collect();
            let (positive, semi) =
                names.split_first().map(|(first, rest)| (first.as_str(), rest.join(";"))).unwrap_or_default();
            let photo = name.split(',').next().unwrap_or_default();
            let (x, y) = (format!("{x:.1}"), format!("{y:.1}"));
            let more = ["query", city, positive, &semi, "", "", "", "", &x, &y, photo];
            sink.row(&Row { line: number, file: &file, lat, lon, photo, user: "", more: &more })
        })?;
        Ok(found)
    }

    /// Writes the tiles of a city and returns their names: 90,000 for all cities.
    fn tiles(sink: &mut Sink, (city, metres_per_pixel): (&str, f64), folder: &Path) -> anyhow::Result<HashSet<String>> {
        let (path, mut tiles) = (folder.join("satellite_list.txt"), HashSet::new());
        lines(&path, |number, line| {
            let name = line.trim();
            let Some((lat, lon)) = place(name) else {
                let message = format!("expected satellite_LATITUDE_LONGITUDE.png, found {name:?}");
                return sink.drop_line(&path, number, &message);
            };
            let (file, corners) = (format!("{city}/satellite/{name}"), corners(lat, lon, metres_per_pixel));
            let [top, left, bottom, right] = corners.each_ref().map(String::as_str);
            let more = ["reference", city, "", "", top, left, bottom, right, "", "", ""];
            tiles.insert(name.to_owned());
            sink.row(&Row { line: number, file: &file, lat, lon, more: &more, ..Row::default() })
        })?;
        Ok(tiles)
    }
}

/// Hands over the lines of a file that are not empty.
fn lines(path: &Path, mut each: impl FnMut(u64, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("{}: cannot read", path.display()))?;
    let mut reader = BufReader::new(super::line_guard::LineGuard::new(file));
    let (mut number, mut line) = (0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).with_context(|| format!("{}, after line {number}", path.display()))? == 0 {
            return Ok(());
        }
        number += 1;
        if !line.trim().is_empty() {
            each(number, &line)?;
        }
    }
}

/// The two texts of a name that tell its place: `satellite_41.8_-87.6.png`, `ID,41.8,-87.6,.jpg`. Numbers of panoramas may
/// hold `_` and `-`.
fn place(name: &str) -> Option<(&str, &str)> {
    let (lat, lon) = if let Some(rest) = name.strip_prefix("satellite_") {
        stem(rest).split_once('_')?
    } else {
        let mut parts = name.rsplit(',');
        let (_extension, lon, lat, _id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (lat, lon)
    };
    (lat.parse::<f64>().is_ok() && lon.parse::<f64>().is_ok()).then_some((lat, lon))
}

/// Top, left, bottom and right of a tile, degrees with eight decimals; empty where the middle is no number.
fn corners(lat: &str, lon: &str, metres_per_pixel: f64) -> [String; 4] {
    let (Ok(lat), Ok(lon)) = (lat.parse::<f64>(), lon.parse::<f64>()) else { return [const { String::new() }; 4] };
    let north = HALF_PX * metres_per_pixel / DEGREE_M;
    let east = north / lat.to_radians().cos().max(1e-6);
    [lat + north, lon - east, lat - north, lon + east].map(|degrees| format!("{degrees:.8}"))
}

/// A line of a label file.
struct Label<'a> {
    tiles: [&'a str; 4],
    /// How far the middle of the best tile is north and east of the panorama, pixels.
    north_px: f64,
    east_px: f64,
}

impl<'a> Label<'a> {
    fn read(fields: &[&'a str]) -> Result<Self, String> {
        let &[_, best, north, east, second, _, _, third, _, _, fourth, _, _] = fields else {
            return Err(format!("expected {FIELDS} fields, found {}", fields.len()));
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
        let (Some(north_px), Some(east_px)) = (number(north), number(east)) else {
            return Err(format!("expected two numbers of pixels after {best}, found {north:?} and {east:?}"));
        };
        Ok(Self { tiles: [best, second, third, fourth], north_px, east_px })
    }

    /// Where the panorama lies in the best tile, pixels from its upper left.
    fn pixel(&self) -> (f64, f64) {
        (HALF_PX - self.east_px, HALF_PX + self.north_px)
    }

    /// The panorama's place by the label, degrees.
    fn place(&self, metres_per_pixel: f64) -> Option<(f64, f64)> {
        let (lat, lon) = self.tiles.first().and_then(|tile| place(tile))?;
        let (lat, lon): (f64, f64) = (lat.parse().ok()?, lon.parse().ok()?);
        let degrees = |pixels: f64| pixels * metres_per_pixel / DEGREE_M;
        Some((lat - degrees(self.north_px), lon - degrees(self.east_px) / lat.to_radians().cos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines of the corrected labels of Chicago, as published.
    const LINES: [&str; 2] = [
        "L-1poX8YZAmBZVLMqBu-4w,41.877949,-87.689396,.jpg satellite_41.877971796211014_-87.68943505304125.png 23.0 -29.0 \
         satellite_41.877971796211014_-87.68899446364951.png 20.0 300.0 satellite_41.877643723758375_-87.68943505304125.png \
         -304.0 -32.0 satellite_41.877643723758375_-87.68899446364951.png -307.0 297.0",
        "SQ3Gdt7v6_MNusm1fprEAw,41.854104,-87.631759,.jpg satellite_41.854022507168466_-87.63171784272214.png -82.0 30.0 \
         satellite_41.8543505796211_-87.63171784272214.png 246.0 33.0 satellite_41.854022507168466_-87.63215843211388.png \
         -79.0 -299.0 satellite_41.8543505796211_-87.63215843211388.png 248.0 -296.0",
    ];

    #[test]
    fn the_signs_of_a_label_are_those_that_the_names_confirm() {
        for line in LINES {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let label = Label::read(&fields).unwrap();
            let (lat, lon) =
                place(fields[0]).map(|(lat, lon)| (lat.parse::<f64>().unwrap(), lon.parse::<f64>().unwrap())).unwrap();
            let told = label.place(0.111).unwrap();
            assert!(distance_m(lat, lon, told.0, told.1) < 0.2, "{told:?} instead of {lat} {lon}");
            // A panorama that is north of the tile's middle lies in its upper half, one that is east of it in the right one.
            let (tile_lat, tile_lon) = place(label.tiles[0]).unwrap();
            let (x, y) = label.pixel();
            assert_eq!(lat > tile_lat.parse().unwrap(), y < 320.0);
            assert_eq!(lon > tile_lon.parse().unwrap(), x > 320.0);
        }
    }

    #[test]
    fn names_with_commas_tell_their_place_and_others_do_not() {
        assert_eq!(place("SQ3_-,41.5,-87.25,.jpg"), Some(("41.5", "-87.25")));
        assert_eq!(place("satellite_41.5_-87.25.png"), Some(("41.5", "-87.25")));
        for bad in ["a.jpg", "a,41.5,.jpg", "a,x,y,.jpg", "satellite_41.5.png", ""] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_line_needs_all_thirteen_fields() {
        let fields: Vec<&str> = LINES[0].split_whitespace().collect();
        assert!(Label::read(&fields[..12]).err().unwrap().contains("expected 13 fields, found 12"));
    }
}
