//! The poses CSV of tiles, flights and street-level views.

use super::super::geodesy::Globe;
use super::super::geometry::Point;
use super::super::render::camera::Pose;
use super::super::view::area::{Area, TileId};
use super::super::view::flight::{Frame, INTERVAL_S};
use super::super::view::street::StreetView;

/// Columns of tiles.
pub const TILE_COLUMNS: [&str; 8] =
    ["file", "lat", "lon", "top_left_lat", "top_left_lon", "bottom_right_lat", "bottom_right_lon", "role"];

/// Columns of frames.
pub const FRAME_COLUMNS: [&str; 18] = [
    "file",
    "lat",
    "lon",
    "rel_alt_m",
    "agl_m",
    "heading_deg",
    "pitch_deg",
    "roll_deg",
    "hfov_deg",
    "time",
    "role",
    "flight",
    "bad",
    "view_lat",
    "view_lon",
    "season",
    "kind",
    "world_seed",
];

/// Columns of street-level views.
pub const STREET_COLUMNS: [&str; 13] = [
    "file",
    "lat",
    "lon",
    "agl_m",
    "heading_deg",
    "pitch_deg",
    "hfov_deg",
    "role",
    "positive",
    "semi_positives",
    "season",
    "world_seed",
    "kind",
];

/// Eight decimals of a degree are a millimetre.
fn degrees(globe: &Globe, at: Point) -> [String; 2] {
    let at = globe.degrees(at);
    [format!("{:.8}", at.lat), format!("{:.8}", at.lon)]
}

/// The row of a tile.
pub fn tile_row(globe: &Globe, area: &Area, tile: TileId) -> [String; 8] {
    let [lat, lon] = degrees(globe, area.middle(tile));
    let [upper, lower] = area.corners(tile, globe).map(|at| [format!("{:.8}", at.lat), format!("{:.8}", at.lon)]);
    let ([top, left], [bottom, right]) = (upper, lower);
    [tile.file(), lat, lon, top, left, bottom, right, "reference".to_owned()]
}

fn metres(value: f64) -> String {
    format!("{value:.2}")
}

fn season(shot: &super::super::view::shot::Shot) -> String {
    format!("{:?}", shot.conditions.season).to_lowercase()
}

/// The time of a frame: flights start at 10:00 UTC, one per day of the season.
fn time(frame: &Frame) -> String {
    use super::super::palette::Season;
    let month = match frame.shot.conditions.season {
        Season::Spring => 4,
        Season::Summer => 7,
        Season::Autumn => 10,
        Season::Winter => 1,
    };
    let seconds = (frame.number as f64 * INTERVAL_S) as u64;
    let (hour, minute, second) = (10 + seconds / 3600 % 12, seconds / 60 % 60, seconds % 60);
    format!("2026-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", frame.flight % 28 + 1)
}

/// The row of a frame.
pub fn frame_row(globe: &Globe, frame: &Frame, seed: u64) -> [String; 18] {
    let Pose { at, height_m, heading_deg, pitch_deg, roll_deg, hfov_deg } = frame.pose;
    let ([lat, lon], [view_lat, view_lon]) = (degrees(globe, at), degrees(globe, frame.view));
    let kind = if pitch_deg < -70.0 { "nadir" } else { "oblique" };
    [
        frame.file(),
        lat,
        lon,
        metres(height_m),
        metres(height_m),
        metres(heading_deg),
        metres(pitch_deg),
        metres(roll_deg),
        metres(hfov_deg),
        time(frame),
        frame.role.name().to_owned(),
        format!("{:03}", frame.flight),
        frame.shot.conditions.bad.map_or("", |bad| bad.name()).to_owned(),
        view_lat,
        view_lon,
        season(&frame.shot),
        kind.to_owned(),
        seed.to_string(),
    ]
}

/// The row of a street-level view.
pub fn street_row(globe: &Globe, view: &StreetView, seed: u64) -> [String; 13] {
    let [lat, lon] = degrees(globe, view.pose.at);
    let mut tiles = view.tiles.iter().map(TileId::file);
    let positive = tiles.next().unwrap_or_default();
    let semi_positives = tiles.collect::<Vec<_>>().join(";");
    let kind = if view.pose.hfov_deg >= 360.0 { "panorama" } else { "street" };
    [
        view.file(),
        lat,
        lon,
        metres(view.pose.height_m),
        metres(view.pose.heading_deg),
        metres(view.pose.pitch_deg),
        metres(view.pose.hfov_deg),
        "query".to_owned(),
        positive,
        semi_positives,
        season(&view.shot),
        seed.to_string(),
        kind.to_owned(),
    ]
}

/// Rows as the bytes of a CSV file.
///
/// # Errors
/// Never in practice: memory takes all that is written.
pub fn csv<'a, R>(columns: &[&str], rows: impl IntoIterator<Item = &'a R>) -> Result<Vec<u8>, csv::Error>
where
    R: AsRef<[String]> + 'a,
{
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(row.as_ref())?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
