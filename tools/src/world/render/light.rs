//! Sun and sky: how light a surface is by where it faces, and how long shadows are.

use super::super::geometry::{Point, point};
use super::super::palette::{Paint, Season};
use super::super::view::conditions::Conditions;
use super::camera::{Space, dot};
use super::canvas::Tagged;

/// Height whose shadow is allowed for beyond the picture, in metres.
const SHADOW_HEIGHT_M: f64 = 18.0;
/// Longest shadow that is allowed for, in metres.
const LONGEST_M: f64 = 42.0;

/// The light of a view.
#[derive(Debug, Clone, Copy)]
pub struct Light {
    sun: Space,
    ambient: f64,
    /// What the sun adds to a surface that faces it.
    direct: f64,
    /// How light the ground is in the sun.
    ground: f64,
    season: Season,
    /// What 256 parts of light become in the shadow.
    shadow: u32,
}

impl Light {
    /// The light under some conditions.
    pub fn new(conditions: &Conditions) -> Self {
        let radians = |degrees: f64| degrees * std::f64::consts::PI / 180.0;
        let (sin_up, cos_up) = libm::sincos(radians(conditions.sun_elevation_deg));
        let (sin_turn, cos_turn) = libm::sincos(radians(conditions.sun_azimuth_deg));
        let sun = [sin_turn * cos_up, cos_turn * cos_up, sin_up];
        let ambient = 0.42 + 0.43 * conditions.overcast;
        let direct = 0.62 * (1.0 - conditions.overcast);
        let ground = ambient + direct * sun[2];
        let shadow = (ambient / ground * 256.0) as u32;
        Self { sun, ambient, direct, ground, season: conditions.season, shadow }
    }

    /// The season.
    pub fn season(&self) -> Season {
        self.season
    }

    /// Direction towards the sun, of length 1.
    pub fn sun(&self) -> Space {
        self.sun
    }

    /// How light a surface is that faces this way, as a share of the sunlit ground.
    pub fn on(&self, normal: Space) -> f64 {
        let facing = dot(normal, self.sun).max(0.0);
        // What faces the ground sees less of the sky.
        let sky = self.ambient * (0.82 + 0.18 * normal[2]);
        (sky + self.direct * facing) / self.ground
    }

    /// What 256 parts of light become in the shadow.
    pub fn shadow(&self) -> u32 {
        self.shadow
    }

    /// The shadow of one metre of height on the ground.
    pub fn shadow_per_metre(&self) -> Point {
        point(-self.sun[0] / self.sun[2], -self.sun[1] / self.sun[2])
    }

    /// How far beyond the picture things may stand whose shadows fall into it, in metres.
    pub fn shadow_reach_m(&self) -> f64 {
        (self.shadow_per_metre().length() * SHADOW_HEIGHT_M).min(LONGEST_M) + 6.0
    }

    /// The colour of a painted surface that is so light, tagged with its grain.
    pub fn tagged(&self, paint: Paint, lightness: f64) -> Tagged {
        let [red, green, blue] = self.colour(paint, lightness);
        pack([red, green, blue], paint.material.grain() as u32)
    }

    /// The colour of a painted surface that is so light.
    pub fn colour(&self, paint: Paint, lightness: f64) -> [u8; 3] {
        let scale = lightness * (1.0 + f64::from(paint.tone) * 0.01);
        paint.material.colour(self.season).map(|value| (f64::from(value) * scale).min(255.0) as u8)
    }
}

/// A colour with a tag below 127.
pub fn pack([red, green, blue]: [u8; 3], tag: u32) -> Tagged {
    u32::from(red) | u32::from(green) << 8 | u32::from(blue) << 16 | tag << 24
}
