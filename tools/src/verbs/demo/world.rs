//! A demo on a world of our own: it is drawn, mapped, and flown over.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::flight::Pace;
use super::frame::{Flown, Shows};
use super::ground;
use super::plan::{Plan, arguments};
use super::process::run_verb;
use crate::dataset::all_cores;
use crate::world::GENERATOR;
use crate::world::data::folder::{IMAGES, Occupied, OutFolder};
use crate::world::data::{draw, table};
use crate::world::geodesy::Globe;
use crate::world::render::Renderer;
use crate::world::settings::{FlightSetting, LAST_SEED, Setting, SettingName, TRAINING_SEEDS};
use crate::world::town::World;
use crate::world::view::area::Area;
use crate::world::view::flight::{Frame, Role};
use crate::world::view::shot::Shot;

/// A test seed on which no setting is judged, chosen by where its flights go and in which seasons, before there was a
/// model to locate them.
const SEED: u64 = 1596;
/// Side of the mapped square: less than that of a setting, to be done within a minute.
const SIZE_M: f64 = 1360.0;
/// Flights that stay over the map.
const STAYING: usize = 2;
/// Frames of a flight.
const FRAMES: usize = 28;
/// Frames a second.
const RATE_HZ: f64 = 4.0;
/// Share of bad frames: more than in a setting, so that a short flight has some.
const BAD: f64 = 0.07;

/// Which world, and what flies over it.
#[derive(Debug, Args)]
pub(super) struct WorldArgs {
    /// Seed of the world, 1000 or more: the built-in encoder was trained on smaller ones
    #[arg(long, value_name = "S", default_value_t = SEED, conflicts_with = "photos",
        value_parser = clap::value_parser!(u64).range(TRAINING_SEEDS..=LAST_SEED))]
    seed: u64,
    /// How unlike the map season, light, weather, heading and height are: those of this setting
    #[arg(long, value_name = "SETTING", value_enum, default_value = "hard", conflicts_with = "photos")]
    setting: SettingName,
    /// Side of the mapped square, in metres
    #[arg(long, value_name = "M", default_value_t = SIZE_M, conflicts_with = "photos", value_parser = size_m)]
    size_m: f64,
    /// Frames of each of the three flights
    #[arg(long, value_name = "N", default_value_t = FRAMES, conflicts_with = "photos", value_parser = frames)]
    frames: usize,
    /// Frames that are published a second; they are taken two seconds apart
    #[arg(long, value_name = "HZ", default_value_t = RATE_HZ, conflicts_with = "photos", value_parser = rate_hz)]
    rate_hz: f64,
}

fn size_m(text: &str) -> Result<f64, String> {
    within(text, 160.0, 10_000.0)
}

fn rate_hz(text: &str) -> Result<f64, String> {
    within(text, 0.1, 1000.0)
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (low..=high).contains(value));
    value.ok_or_else(|| format!("found {text:?}, expected a number within {low} and {high}"))
}

fn frames(text: &str) -> Result<usize, String> {
    let value = text.parse::<usize>().ok().filter(|value| (2..=10_000).contains(value));
    value.ok_or_else(|| format!("found {text:?}, expected 2 to 10000 frames"))
}

impl WorldArgs {
    /// Draws the map into `map` and the frames into `flights` below `out`.
    ///
    /// # Errors
    /// The setting has no flights, or a folder cannot be written.
    pub(super) fn plan(&self, right_within_m: Option<f64>, out: &Path) -> anyhow::Result<Plan> {
        let setting = Setting::named(self.setting)?;
        let flown = self.flights(&setting)?;
        let area = Area { size_m: self.size_m, ..setting.area() };
        let (map, flights) = (out.join("map"), out.join("flights"));
        run_verb(&self.tiles(&setting, &map))?;
        let drawn = self.draw(&flown, &flights)?;
        let (side, references) = (area.covered().max.x * 2.0, area.per_side() * area.per_side());
        let seconds = drawn.len() as f64 / self.rate_hz;
        let poses = map.join("poses.csv");
        let (km2, seed) = (side * side / 1e6, self.seed);
        let name = format!("{:?}", self.setting).to_lowercase();
        let every = format!("every {:.2} s, {:.0} s in all", 1.0 / self.rate_hz, seconds);
        Ok(Plan {
            title: format!(
                "World {seed}: {references} map tiles of {km2:.2} km², and {} frames of 3 flights in setting {name}",
                drawn.len()
            ),
            frames: drawn,
            pace: Pace::Every(Duration::from_secs_f64(1.0 / self.rate_hz)),
            pictures: map.join(IMAGES),
            build: {
                let mut build: Vec<OsString> = vec!["build".into()];
                build.extend(arguments([("--images", map.join(IMAGES).as_path()), ("--poses", poses.as_path())]));
                build
            },
            references,
            right_within_m: right_within_m.or(setting.thresholds_m.first().copied()).unwrap_or(area.tile_m),
            ground: Some(ground::joined(&map.join(IMAGES), &area, &Globe::of_seed(self.seed))?),
            facts: vec![
                ("world", format!("seed {seed}, generator {GENERATOR}; the encoder was trained on seeds below 1000")),
                ("map", format!("{side:.0} m square, {references} tiles of {:.0} m, summer", setting.tile_m)),
                (
                    "flights",
                    format!("3: two stay over the map, one leaves it; light, season and camera of setting {name}"),
                ),
                ("frames", format!("{} pixels square, published {every}; no position is sent", setting.px)),
            ],
        })
    }

    /// The flights that stay, then one that leaves the map.
    fn flights(&self, setting: &Setting) -> anyhow::Result<Vec<Frame>> {
        let found = setting.flights.as_ref();
        let found =
            found.with_context(|| format!("--setting {:?}: has no flights; expected easy or hard", self.setting))?;
        let area = Area { size_m: self.size_m, ..setting.area() };
        let planned = |leaving: f64, flights: usize| {
            let flights =
                FlightSetting { leaving, flights, frames: self.frames, bad: found.bad.max(BAD), ..found.clone() };
            flights.plan(self.seed, area, setting.px, setting.map_season)
        };
        let (staying, leaving) = (planned(0.0, STAYING), planned(1.0, STAYING + 1));
        Ok((0..STAYING).flat_map(|number| staying.flight(number)).chain(leaving.flight(STAYING)).collect())
    }

    /// The arguments that draw the map.
    fn tiles(&self, setting: &Setting, map: &Path) -> Vec<OsString> {
        let season = format!("{:?}", setting.map_season).to_lowercase();
        let options = [
            ("--seed", self.seed.to_string()),
            ("--size-m", self.size_m.to_string()),
            ("--tile-m", setting.tile_m.to_string()),
            ("--overlap", setting.overlap.to_string()),
            ("--px", setting.px.to_string()),
            ("--map-season", season),
        ];
        let mut words: Vec<OsString> = vec!["world".into(), "tiles".into()];
        words.extend(options.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]));
        words.extend(arguments([("--out", map)]));
        words.push("--force".into());
        words
    }

    /// Draws the frames, and writes their poses as `geolocate evaluate` reads them.
    fn draw(&self, frames: &[Frame], path: &Path) -> anyhow::Result<Vec<Flown>> {
        let lines = format!("generator = {GENERATOR}\nwhat = \"demo\"\nseed = {}\n", self.seed);
        let folder = OutFolder::open(path, &lines, Occupied::Force)?;
        folder.make_images()?;
        let world = World::new(self.seed);
        let shots = frames.iter().map(|frame| (frame.file(), &frame.shot));
        let draw = |(_, shot): &(String, &Shot), renderer: &mut Renderer| shot.jpeg(renderer);
        draw::all(
            shots,
            all_cores(),
            |_| world,
            draw,
            |(file, _), jpeg| {
                folder.write(&format!("{IMAGES}/{file}"), &jpeg?)?;
                anyhow::Ok(())
            },
        )?;
        let globe = Globe::of_seed(self.seed);
        let rows: Vec<_> = frames.iter().map(|frame| table::frame_row(&globe, frame, self.seed)).collect();
        folder.write("poses.csv", &table::csv(&table::FRAME_COLUMNS, &rows)?)?;
        folder.finish()?;
        Ok(frames.iter().map(|frame| flown(&path.join(IMAGES), frame, &globe)).collect())
    }
}

/// A frame with what the drone says of it: what it measures beside a position.
fn flown(images: &Path, frame: &Frame, globe: &Globe) -> Flown {
    let (at, pose) = (globe.degrees(frame.pose.at), frame.pose);
    let conditions = &frame.shot.conditions;
    let season = format!("{:?}", conditions.season).to_lowercase();
    let snow = if conditions.snow > 0.05 { ", snow" } else { "" };
    Flown {
        id: frame.file(),
        picture: images.join(frame.file()),
        flight: (frame.flight + 1).to_string(),
        lat_deg: at.lat,
        lon_deg: at.lon,
        shows: match (conditions.bad, frame.role) {
            (Some(bad), _) => Shows::Bad(bad.name()),
            (None, Role::Query) => Shows::Map,
            (None, Role::Border) => Shows::Edge,
            (None, Role::Outside) => Shows::Elsewhere,
        },
        said: vec![
            ("heading_deg", format!("{:.1}", pose.heading_deg)),
            ("pitch_deg", format!("{:.1}", pose.pitch_deg)),
            ("rel_alt_m", format!("{:.1}", pose.height_m)),
            ("agl_m", format!("{:.1}", pose.height_m)),
            ("hfov_deg", format!("{:.1}", pose.hfov_deg)),
        ],
        about: format!("{season}{snow}, {:.0} m up, heading {:.0}°", pose.height_m, pose.heading_deg),
        answers: Vec::new(),
    }
}
