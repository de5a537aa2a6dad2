//! Season, light, weather, lens and sensor of one view.

use super::super::palette::Season;
use crate::bench::random::Random;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Far too little light.
    Dark,
    /// The lens is covered.
    Covered,
    /// Far too much light.
    OverExposed,
    /// Far out of focus.
    Blurred,
    /// The picture of an earlier moment once more.
    Frozen,
}

impl Bad {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Dark, Self::Covered, Self::OverExposed, Self::Blurred, Self::Frozen];

    /// Its name in the column `bad`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Covered => "covered",
            Self::OverExposed => "over_exposed",
            Self::Blurred => "blurred",
            Self::Frozen => "frozen",
        }
    }
}

/// What a view depends on besides place and camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// Season, for plants.
    pub season: Season,
    /// Height of the sun above the horizon, in degrees, 8 to 90.
    pub sun_elevation_deg: f64,
    /// Direction of the sun, degrees clockwise from north.
    pub sun_azimuth_deg: f64,
    /// 0 clear, 1 no sun at all.
    pub overcast: f64,
    /// How deep the shadows of single clouds are, 0 to 1.
    pub cloud: f64,
    /// Where the clouds are.
    pub cloud_shift: [f64; 2],
    /// Share of the ground that is white, about.
    pub snow: f64,
    /// Distance at which half of what is seen is haze, in metres.
    pub haze_m: f64,
    /// Colour of the haze and of the horizon.
    pub haze_colour: [u8; 3],
    /// Decides which cars are parked where.
    pub parked: u64,
    /// Decides which cars drive where, and on the noise.
    pub moment: u64,
    /// Factor on all light.
    pub exposure: f64,
    /// Factors on red, green and blue.
    pub white_balance: [f64; 3],
    /// Contrast about the middle grey, 1 as it is.
    pub contrast: f64,
    /// Added to all values, of 255.
    pub lift: f64,
    /// Share of light that is missing in the corners.
    pub vignette: f64,
    /// Deviation of the noise, of 255.
    pub noise: f64,
    /// Radius of what a point becomes, in pixels.
    pub defocus_px: f64,
    /// Way of a point during the exposure, right and down, in pixels.
    pub motion_px: [f64; 2],
    /// Quality of the JPEG, 1 to 100.
    pub jpeg_quality: u8,
    /// What is wrong with the frame.
    pub bad: Option<Bad>,
}

impl Conditions {
    /// The conditions under which a map is made: a clear summer noon, a sharp lens, no noise.
    pub fn map(seed: u64) -> Self {
        Self {
            season: Season::Summer,
            sun_elevation_deg: 52.0,
            sun_azimuth_deg: 165.0,
            overcast: 0.12,
            cloud: 0.0,
            cloud_shift: [0.0; 2],
            snow: 0.0,
            haze_m: 120_000.0,
            haze_colour: [200, 210, 222],
            parked: seed ^ 0x006d_6170,
            moment: seed ^ 0x006d_6170,
            exposure: 1.0,
            white_balance: [1.0; 3],
            contrast: 1.0,
            lift: 0.0,
            vignette: 0.0,
            noise: 1.0,
            defocus_px: 0.0,
            motion_px: [0.0; 2],
            jpeg_quality: 90,
            bad: None,
        }
    }

    /// The conditions of a map by another flight, for training on more than one map.
    pub fn any_map(random: &mut Random) -> Self {
        let mut between = |low: f64, high: f64| low + (high - low) * f64::from(random.unit());
        let (up, turn, overcast) = (between(38.0, 62.0), between(120.0, 220.0), between(0.0, 0.4));
        let (exposure, contrast) = (between(0.92, 1.08), between(0.92, 1.08));
        let season = if between(0.0, 1.0) < 0.7 { Season::Summer } else { Season::Spring };
        let parked = random.bits();
        Self {
            season,
            sun_elevation_deg: up,
            sun_azimuth_deg: turn,
            overcast,
            exposure,
            contrast,
            moment: random.bits(),
            ..Self::map(parked)
        }
    }
}
