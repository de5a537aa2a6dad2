//! AnyVisLoc: drone pictures in `UAV_image/REGION/PLACE`, poses in `metadata/REGION.json`, maps in `Reference_map/REGION`.
//!
//! A region's JSON is an array of objects, or an object whose `root` is one, with `lat`, `lon`, `rel_alt`, `yaw`, `pitch`,
//! and the camera's `width`, `height` (pixels), `cam_size` (the sensor's diagonal) and `focal_len` (both millimetres). The
//! picture's name stands under `name`, `image_name`, `img_name` or `path`. Maps are cut by `geolocate import map`.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::json_lines::text;
use super::sink::{Row, Sink};
use super::summary::Summary;
use super::{Request, last_part};
use crate::pictures::names_below;

const MORE: [&str; 7] = ["rel_alt_m", "heading_deg", "pitch_deg", "hfov_deg", "region", "flight", "role"];
/// A region's JSON may have so many bytes: all 18,000 pictures come to a few megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// Imports all regions.
///
/// # Errors
/// There is no region, a file is damaged, no picture is found, or a file cannot be written.
pub(crate) fn import(request: &Request) -> anyhow::Result<Summary> {
    let mut sink = Sink::places(request, "anyvisloc", &MORE)?;
    let metadata = request.folder("metadata")?;
    let entries = fs::read_dir(&metadata).with_context(|| format!("{}: cannot read", metadata.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    if paths.is_empty() {
        bail!("{}: expected a JSON file for each region, found none", metadata.display());
    }
    for path in paths {
        region(request, &mut sink, &path)?;
    }
    sink.finish()
}

fn region(request: &Request, sink: &mut Sink, path: &Path) -> anyhow::Result<()> {
    let region = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let file = File::open(path).with_context(|| format!("{}: cannot read", path.display()))?;
    let length = file.metadata()?.len();
    if length > MOST_BYTES {
        bail!("{}: expected at most {MOST_BYTES} bytes, found {length}", path.display());
    }
    let value: Value = serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{}: expected JSON; is the download whole?", path.display()))?;
    sink.add_bytes(length);
    let Some(entries) = value.as_array().or_else(|| value.get("root")?.as_array()) else {
        bail!("{}: expected an array, or an object whose root is one", path.display());
    };
    let folder = request.root.join("UAV_image").join(region);
    let pictures = if folder.is_dir() { names_below(&folder)? } else { Vec::new() };
    for (number, entry) in (1_u64..).zip(entries) {
        let named = text(entry, &["path", "image_path", "name", "image_name", "img_name", "file_name"]);
        let (named, place) = (named.replace('\\', "/"), text(entry, &["place", "scene", "flight"]));
        // Names are the same in several places of a region: the longest common end decides, and the place, if it is told.
        let ends = |picture: &&String| {
            last_part(picture) == last_part(&named)
                && (place.is_empty() || picture.starts_with(&format!("{place}/")))
                && (!named.contains('/') || named.ends_with(picture.as_str()) || picture.ends_with(named.as_str()))
        };
        let found: Vec<&String> = pictures.iter().filter(ends).collect();
        let row = format!("{}, entry {number}, {named}", path.display());
        let file = match found.as_slice() {
            [] => format!("UAV_image/{region}/{named}"),
            [one] => format!("UAV_image/{region}/{one}"),
            _ => {
                sink.drop_row(&row, "ambiguous_picture", "expected one picture of this name, found several")?;
                continue;
            }
        };
        let number_of = |keys: &[&str]| text(entry, keys).parse::<f64>().ok();
        let heading = number_of(&["yaw"]).map(|deg| format!("{}", deg.rem_euclid(360.0))).unwrap_or_default();
        let hfov = hfov_deg(entry).map(|deg| format!("{deg:.3}")).unwrap_or_default();
        let (rel_alt, pitch) = (text(entry, &["rel_alt"]), text(entry, &["pitch"]));
        let flight = found.first().and_then(|picture| picture.rsplit_once('/')).map_or(region, |(place, _)| place);
        let more = [rel_alt.as_str(), &heading, &pitch, &hfov, region, flight, "query"];
        let (lat, lon) = (text(entry, &["lat"]), text(entry, &["lon"]));
        sink.row(&Row { file: &file, lat: &lat, lon: &lon, more: &more, ..Row::default() })?;
    }
    Ok(())
}

/// The angle that a picture is wide, by the sensor's diagonal, the focal length, and the sides in pixels.
fn hfov_deg(entry: &Value) -> Option<f64> {
    let number = |key: &str| text(entry, &[key]).parse::<f64>().ok().filter(|value| *value > 0.0);
    let (width, height, diagonal, focal) =
        (number("width")?, number("height")?, number("cam_size")?, number("focal_len")?);
    let sensor_width = diagonal * width / width.hypot(height);
    Some(2.0 * (sensor_width / 2.0 / focal).atan().to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_of_view_follows_from_the_sensor() {
        // A sensor of 13.2 x 8.8 mm with 8.8 mm of focal length sees 73.7 degrees across.
        let entry = serde_json::json!({"width": 5472, "height": 3648, "cam_size": 15.864, "focal_len": 8.8});
        assert!((hfov_deg(&entry).unwrap() - 73.74).abs() < 0.05);
        assert_eq!(hfov_deg(&serde_json::json!({"width": 1})), None);
    }
}
