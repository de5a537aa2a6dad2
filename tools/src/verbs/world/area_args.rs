//! Which world, which part of it, cut into which tiles.

use anyhow::Context;
use clap::Args;

use crate::world::palette::Season;
use crate::world::settings::{LAST_SEED, Setting, SettingName};
use crate::world::view::area::Area;

/// Side of a square without a setting, in metres.
const SIZE_M: f64 = 1000.0;
/// Side of a tile without a setting, in metres.
const TILE_M: f64 = 80.0;
/// Overlap without a setting.
const OVERLAP: f64 = 0.5;
/// Pixels without a setting.
const PX: usize = 224;

/// A number within bounds, for arguments.
pub(super) fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (low..=high).contains(&value) => Ok(value),
        _ => Err(format!("found {text:?}, expected a number within {low} and {high}")),
    }
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1.0)
}

pub(super) fn pixels(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(value) if (16..=4096).contains(&value) => Ok(value),
        _ => Err(format!("found {text:?}, expected 16 to 4096 pixels")),
    }
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(value) if value <= LAST_SEED => Ok(value),
        _ => Err(format!("found {text:?}, expected a whole number of 0 to {LAST_SEED}")),
    }
}

/// The mapped area.
#[derive(Debug, Args)]
pub(super) struct AreaArgs {
    /// Seed of the world [default: the first of the setting]
    #[arg(long, value_name = "S", value_parser = seed, required_unless_present = "setting")]
    seed: Option<u64>,
    /// A setting on which models are judged: area, tiles and views are those of the setting
    #[arg(long, value_name = "SETTING",
        conflicts_with_all = ["size_m", "area_km2", "tile_m", "overlap", "px", "map_season"])]
    pub(super) setting: Option<SettingName>,
    /// Side of the mapped square, in metres [default: 1000]
    #[arg(long, value_name = "M", value_parser = |text: &str| within(text, 10.0, 100_000.0))]
    size_m: Option<f64>,
    /// Area of the mapped square, in square kilometres, instead of its side
    #[arg(long, value_name = "A", conflicts_with = "size_m",
        value_parser = |text: &str| within(text, 0.0001, 10_000.0))]
    area_km2: Option<f64>,
    /// Side of a tile, in metres [default: 80]
    #[arg(long, value_name = "M", value_parser = |text: &str| within(text, 10.0, 1000.0))]
    tile_m: Option<f64>,
    /// Share of a tile's side that it has in common with its neighbour [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = |text: &str| within(text, 0.0, 0.9))]
    overlap: Option<f64>,
    /// Pixels along a side of a picture [default: 224]
    #[arg(long, value_name = "N", value_parser = pixels)]
    px: Option<usize>,
    /// Season in which the map is made [default: summer]
    #[arg(long, value_name = "SEASON", value_enum)]
    map_season: Option<Season>,
}

/// The mapped area with all that follows from the arguments.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) seed: u64,
    pub(super) area: Area,
    pub(super) px: usize,
    pub(super) season: Season,
    pub(super) setting: Option<(SettingName, Setting)>,
}

impl AreaArgs {
    /// The area that the arguments describe.
    ///
    /// # Errors
    /// Neither a seed nor a setting with one, or a tile that is larger than the square.
    pub(super) fn mapped(&self) -> anyhow::Result<Mapped> {
        if let Some(name) = self.setting {
            let setting = Setting::named(name)?;
            let seed = self.seed.or_else(|| setting.seeds.first().copied()).context("the setting has no seed")?;
            return Ok(Mapped {
                seed,
                area: setting.area(),
                px: setting.px,
                season: setting.map_season,
                setting: Some((name, setting)),
            });
        }
        let size_m = self.area_km2.map_or(self.size_m.unwrap_or(SIZE_M), |area| area.sqrt() * 1000.0);
        let tile_m = self.tile_m.unwrap_or(TILE_M);
        anyhow::ensure!(
            tile_m <= size_m,
            "--tile-m: expected at most the side of the square, {size_m} m, found {tile_m}"
        );
        Ok(Mapped {
            seed: self.seed.context("expected --seed or --setting")?,
            area: Area { size_m, tile_m, overlap: self.overlap.unwrap_or(OVERLAP) },
            px: self.px.unwrap_or(PX),
            season: self.map_season.unwrap_or(Season::Summer),
            setting: None,
        })
    }
}

impl Mapped {
    /// Lines of the manifest.
    pub(super) fn describe(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("seed", self.seed.to_string())];
        if let Some((name, _)) = &self.setting {
            lines.push(("setting", format!("\"{name:?}\"").to_lowercase()));
        }
        lines.extend([
            ("size_m", format!("{:?}", self.area.size_m)),
            ("tile_m", format!("{:?}", self.area.tile_m)),
            ("overlap", format!("{:?}", self.area.overlap)),
            ("px", self.px.to_string()),
            ("map_season", format!("\"{:?}\"", self.season).to_lowercase()),
        ]);
        lines
    }
}
