//! The settings on which models are judged, as they stand in `settings.toml`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::palette::Season;
use super::view::area::Area;
use super::view::flight::FlightPlan;
use super::view::street::StreetPlan;
use super::view::weather::Unlike;

/// The file, a part of the program.
const FILE: &str = include_str!("settings.toml");

/// Largest seed of a world.
pub const LAST_SEED: u64 = u32::MAX as u64;
/// Seeds below this one are for training.
pub const TRAINING_SEEDS: u64 = 1000;

/// Names of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum SettingName {
    /// The map's season and nearly its light, north up
    Easy,
    /// Another season and light, any heading, heights of 0.7 to 1.3
    Hard,
    /// Street-level panoramas against tiles
    CrossView,
}

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    easy: Setting,
    hard: Setting,
    cross_view: Setting,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The worlds, one area of each.
    pub seeds: Vec<u64>,
    /// Side of the mapped square, in metres.
    pub size_m: f64,
    /// Side of a tile, in metres.
    pub tile_m: f64,
    /// Share of a tile's side that it has in common with its neighbour.
    pub overlap: f64,
    /// Pixels along a side of tiles and frames.
    pub px: usize,
    /// Season of the map.
    pub map_season: Season,
    /// Ranks at which recall is judged.
    pub ranks: Vec<usize>,
    /// Distances within which a reference counts as found, in metres; the first is the one that targets name.
    pub thresholds_m: Vec<f64>,
    /// Flights, where drones are located.
    pub flights: Option<FlightSetting>,
    /// Street-level views, where those are located.
    pub street: Option<StreetSetting>,
}

/// The flights of a setting; the fields are those of [`FlightPlan`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "FlightPlan says what the fields mean")]
pub struct FlightSetting {
    pub flights: usize,
    pub frames: usize,
    pub unlike: Unlike,
    pub hfov_deg: f64,
    pub height_spread: f64,
    pub tilt_deg: f64,
    pub heading_spread_deg: f64,
    pub oblique: f64,
    pub leaving: f64,
    pub bad: f64,
}

/// The street-level views of a setting; the fields are those of [`StreetPlan`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "StreetPlan says what the fields mean")]
pub struct StreetSetting {
    pub views: usize,
    pub columns: usize,
    pub rows: usize,
    pub unlike: Unlike,
    pub panorama: bool,
    pub north: bool,
    pub hfov_deg: f64,
}

/// The file of settings is not what the program expects: only a change of the program itself can bring this about.
#[derive(Debug, Error)]
#[error("settings.toml: {0}")]
pub struct SettingsError(#[from] toml::de::Error);

impl Setting {
    /// A setting by its name.
    ///
    /// # Errors
    /// The file of settings is broken.
    pub fn named(name: SettingName) -> Result<Self, SettingsError> {
        let settings: Settings = toml::from_str(FILE)?;
        Ok(match name {
            SettingName::Easy => settings.easy,
            SettingName::Hard => settings.hard,
            SettingName::CrossView => settings.cross_view,
        })
    }

    /// Its mapped area.
    pub fn area(&self) -> Area {
        Area { size_m: self.size_m, tile_m: self.tile_m, overlap: self.overlap }
    }
}

impl FlightSetting {
    /// The flights over an area of a seed's world.
    pub fn plan(&self, seed: u64, area: Area, px: usize, map_season: Season) -> FlightPlan {
        FlightPlan {
            seed,
            area,
            flights: self.flights,
            frames: self.frames,
            px,
            unlike: self.unlike,
            map_season,
            hfov_deg: self.hfov_deg,
            height_spread: self.height_spread,
            tilt_deg: self.tilt_deg,
            heading_spread_deg: self.heading_spread_deg,
            oblique: self.oblique,
            leaving: self.leaving,
            bad: self.bad,
        }
    }
}

impl StreetSetting {
    /// The views in an area of a seed's world.
    pub fn plan(&self, seed: u64, area: Area, map_season: Season) -> StreetPlan {
        StreetPlan {
            seed,
            area,
            columns: self.columns,
            rows: self.rows,
            unlike: self.unlike,
            map_season,
            panorama: self.panorama,
            north: self.north,
            hfov_deg: self.hfov_deg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_judged_on_test_seeds_and_large_enough() {
        for (name, tiles) in [(SettingName::Easy, 2000), (SettingName::Hard, 2000), (SettingName::CrossView, 1000)] {
            let setting = Setting::named(name).unwrap();
            assert!(setting.seeds.iter().all(|seed| (1000..2000).contains(seed)), "{name:?}");
            assert!(setting.area().tiles().count() >= tiles, "{name:?}");
            assert!(setting.flights.is_some() != setting.street.is_some());
        }
        assert!(Setting::named(SettingName::Hard).unwrap().size_m >= 2000.0);
    }
}
