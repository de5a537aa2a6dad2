//! Conditions by chance: how unlike the map a flight or a street view is.

use super::super::palette::Season;
use super::between;
use super::conditions::Conditions;
use crate::bench::random::Random;

/// How unlike the map the conditions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Unlike {
    /// The map's season, nearly its light, a good camera.
    Little,
    /// Another season, any light, haze, clouds, a poor camera.
    Much,
    /// Anything, for training: from little to much.
    Any,
}

impl Conditions {
    /// The conditions of a flight or of a walk; `map` is the season of the map.
    pub fn of_flight(random: &mut Random, unlike: Unlike, map: Season) -> Self {
        match unlike {
            Unlike::Little => Self::alike(random, map),
            Unlike::Much => Self::unlike(random, Some(map)),
            Unlike::Any if random.below(4) == 0 => Self::alike(random, map),
            Unlike::Any => Self::unlike(random, None),
        }
    }

    fn alike(random: &mut Random, map: Season) -> Self {
        let mut number = |low: f64, high: f64| between(random, low, high);
        Self {
            season: map,
            sun_elevation_deg: number(40.0, 58.0),
            sun_azimuth_deg: number(140.0, 210.0),
            overcast: number(0.05, 0.3),
            haze_m: number(9000.0, 30_000.0),
            exposure: number(0.92, 1.1),
            white_balance: [number(0.97, 1.03), 1.0, number(0.97, 1.03)],
            contrast: number(0.95, 1.06),
            vignette: number(0.0, 0.12),
            noise: number(1.0, 3.0),
            jpeg_quality: number(82.0, 95.0) as u8,
            cloud: 0.0,
            parked: random.bits(),
            ..Self::map(0)
        }
    }

    /// Conditions of any season but one.
    fn unlike(random: &mut Random, but: Option<Season>) -> Self {
        let seasons: Vec<Season> = Season::ALL.into_iter().filter(|season| Some(*season) != but).collect();
        let season = seasons.get(random.below(seasons.len())).copied().unwrap_or(Season::Autumn);
        let mut number = |low: f64, high: f64| between(random, low, high);
        let highest = match season {
            Season::Winter => 26.0,
            Season::Summer => 62.0,
            _ => 46.0,
        };
        let is_grey = number(0.0, 1.0) < 0.35;
        let haze = number(0.0, 1.0);
        let warm = number(-1.0, 1.0);
        let snow = number(-0.5, 0.75);
        Self {
            season,
            sun_elevation_deg: number(14.0, highest),
            sun_azimuth_deg: number(95.0, 265.0),
            overcast: if is_grey { number(0.6, 1.0) } else { number(0.0, 0.35) },
            cloud: if is_grey { 0.0 } else { number(-0.6, 0.9).max(0.0) },
            cloud_shift: [number(0.0, 256.0), number(0.0, 256.0)],
            snow: if season == Season::Winter { snow.max(0.0) } else { 0.0 },
            haze_m: 700.0 + 9000.0 * haze * haze,
            haze_colour: if is_grey { [196, 200, 204] } else { [200, 210, 222] },
            exposure: number(0.84, 1.3),
            white_balance: [1.0 + 0.1 * warm, 1.0, 1.0 - 0.1 * warm],
            contrast: number(0.8, 1.15),
            lift: number(-8.0, 14.0),
            vignette: number(0.0, 0.45),
            noise: number(1.5, 8.0),
            defocus_px: number(-0.8, 1.3).max(0.0),
            jpeg_quality: number(55.0, 92.0) as u8,
            parked: random.bits(),
            ..Self::map(0)
        }
    }

    /// The conditions of one frame of a flight: cars move, the hand shakes, exposure follows the ground.
    #[must_use]
    pub fn of_frame(&self, random: &mut Random, unlike: Unlike) -> Self {
        let shake = if unlike == Unlike::Little { 1.0 } else { 4.5 };
        let mut number = |low: f64, high: f64| between(random, low, high);
        let (length, turn) = (number(-shake, shake).max(0.0), number(0.0, std::f64::consts::TAU));
        let (sin, cos) = libm::sincos(turn);
        let exposure = self.exposure * number(0.95, 1.05);
        Self { moment: random.bits(), motion_px: [length * cos, length * sin], exposure, ..self.clone() }
    }
}
