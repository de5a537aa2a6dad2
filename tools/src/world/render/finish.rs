//! From samples to pixels: their mean, the grain of the ground, snow, shadows of clouds, haze, the sky.

use super::super::noise::NoiseTable;
use super::super::palette::Grain;
use super::super::scene::Rows;
use super::super::view::conditions::Conditions;
use super::camera::Camera;
use super::canvas::{Canvas, SKY};
use super::ground::FIRST_PATTERN;
use super::light::Light;

/// What is to be finished.
pub(super) struct Scene<'a> {
    pub(super) camera: &'a Camera,
    pub(super) canvas: &'a Canvas,
    pub(super) light: &'a Light,
    pub(super) noise: &'a NoiseTable,
    pub(super) patterns: &'a [Rows],
}

/// How much the ground varies over less than a metre, over metres, over tens of metres.
const GRAINS: [[f32; 3]; 7] = [
    [0.0, 0.0, 0.0],
    [0.10, 0.13, 0.20],
    [0.07, 0.07, 0.10],
    [0.10, 0.10, 0.16],
    [0.30, 0.10, 0.0],
    [0.07, 0.06, 0.05],
    [0.03, 0.05, 0.10],
];

/// How rows of crops vary besides their rows.
const CROP_GRAIN: [f32; 3] = [0.07, 0.09, 0.22];

/// The mean of the four samples of a pixel, and the tag of one of them.
#[inline]
fn mean([a, b]: [u32; 2], [c, d]: [u32; 2]) -> ([f32; 3], u32) {
    // Red and blue are summed side by side: four bytes fit into ten bits.
    const PAIR: u32 = 0x00ff_00ff;
    let pairs = (a & PAIR).wrapping_add(b & PAIR).wrapping_add(c & PAIR).wrapping_add(d & PAIR);
    let green = |sample: u32| sample >> 8 & 0xff;
    let greens = green(a).wrapping_add(green(b)).wrapping_add(green(c)).wrapping_add(green(d));
    ([(pairs & 0xffff) as f32 * 0.25, greens as f32 * 0.25, (pairs >> 16) as f32 * 0.25], a & SKY)
}

/// Red, green and blue of all pixels, row after row.
pub(super) fn resolve(scene: &Scene<'_>, conditions: &Conditions) -> Vec<u8> {
    let (columns, rows) = (scene.camera.columns(), scene.camera.rows());
    let mut pixels = Vec::with_capacity(columns * rows * 3);
    let (far, haze) = (conditions.haze_m as f32, conditions.haze_colour.map(f32::from));
    // 90 m for a camera of 224 pixels and 60 degrees.
    let sharp_m = (90.0 * scene.camera.focal() / (194.0 * super::SAMPLES as f64)) as f32;
    let shader = Shader { scene, conditions, sharp_m, origin: scene.camera.position().map(|part| part as f32) };
    for row in 0..rows {
        let (upper, lower) = (scene.canvas.colours(row * 2), scene.canvas.colours(row * 2 + 1));
        let nearness = scene.canvas.nearness(row * 2);
        let start = scene.camera.ray(1.0, row as f64 * 2.0 + 1.0);
        let end = scene.camera.ray(3.0, row as f64 * 2.0 + 1.0);
        let step = [end[0] - start[0], end[1] - start[1], end[2] - start[2]];
        let [start, step] = [start, step].map(|ray| ray.map(|part| part as f32));
        let samples = upper.as_chunks().0.iter().zip(lower.as_chunks().0).zip(nearness.iter().step_by(2));
        for (column, ((upper, lower), near)) in samples.enumerate() {
            let across = column as f32;
            let ray = [start[0] + step[0] * across, start[1] + step[1] * across, start[2] + step[2] * across];
            let (mut colour, tag) = mean(*upper, *lower);
            if tag == SKY {
                colour = shader.sky(ray);
            } else {
                let reach = shader.reach(ray);
                let depth = if *near > 0.0 { 1.0 / near } else { reach };
                let factor = shader.ground_factor(ray, reach, tag >> 24, *near > 0.0, &mut colour);
                let veil = depth / (depth + far);
                for (value, haze) in colour.iter_mut().zip(haze) {
                    *value = *value * factor * (1.0 - veil) + haze * veil;
                }
            }
            pixels.extend(colour.map(|value| value.clamp(0.0, 255.0) as u8));
        }
    }
    pixels
}

struct Shader<'a> {
    scene: &'a Scene<'a>,
    conditions: &'a Conditions,
    /// Distance from which on fine grain averages out, in metres.
    sharp_m: f32,
    origin: [f32; 3],
}

impl Shader<'_> {
    /// Distance along the view at which a ray meets the ground.
    #[inline]
    fn reach(&self, ray: [f32; 3]) -> f32 {
        if ray[2] < -1e-4 { (-self.origin[2] / ray[2]).min(6000.0) } else { 6000.0 }
    }

    /// How light a pixel of the ground is by its grain and by clouds; snow goes into its colour.
    #[inline]
    fn ground_factor(&self, ray: [f32; 3], reach: f32, tag: u32, is_object: bool, colour: &mut [f32; 3]) -> f32 {
        let noise = self.scene.noise;
        let (x, y) = (self.origin[0] + ray[0] * reach, self.origin[1] + ray[1] * reach);
        let cloud = self.cloud(x, y);
        let weights = match (tag as usize).checked_sub(FIRST_PATTERN) {
            None => GRAINS.get(tag as usize).copied().unwrap_or_default(),
            Some(_) => CROP_GRAIN,
        };
        if weights[0] == 0.0 {
            return cloud;
        }
        // Farther off, fine grain averages out.
        let fade = (self.sharp_m / reach).min(1.0);
        let fine = noise.at(x * 1.9, y * 1.9);
        let mid = noise.between(x * 0.31 + 17.0, y * 0.31);
        let coarse = noise.between(x * 0.063, y * 0.063 + 91.0);
        // Close by, the ground has grain of a few centimetres.
        let close = if reach < 14.0 { noise.at(x * 23.0, y * 23.0) * 0.12 } else { 0.0 };
        let mut factor = 1.0 + close + weights[0] * fine * fade + weights[1] * mid + weights[2] * coarse;
        if let Some(rows) = (tag as usize).checked_sub(FIRST_PATTERN).and_then(|at| self.scene.patterns.get(at)) {
            factor += row_wave(rows, x, y, fade);
        }
        let holds_snow = tag == Grain::Grass as u32 || tag == Grain::Loose as u32 || tag == Grain::Roof as u32;
        let snow = self.conditions.snow as f32;
        if snow > 0.0 && (holds_snow || tag as usize >= FIRST_PATTERN) && (!is_object || tag == Grain::Roof as u32) {
            let lies = (snow * 2.2 - 1.0 + coarse * 0.9 + mid * 0.5).clamp(0.0, 0.88);
            for (value, white) in colour.iter_mut().zip([226.0, 230.0, 238.0]) {
                *value += (white - *value) * lies;
            }
            factor += (1.0 - factor) * lies;
        }
        factor * cloud
    }

    /// How much light clouds let through.
    #[inline]
    fn cloud(&self, x: f32, y: f32) -> f32 {
        let amount = self.conditions.cloud as f32;
        if amount <= 0.0 {
            return 1.0;
        }
        let [shift_x, shift_y] = self.conditions.cloud_shift.map(|part| part as f32);
        let value = self.scene.noise.between(x * 0.021 + shift_x, y * 0.021 + shift_y);
        let cover = ((value - 0.12) * 5.0).clamp(0.0, 1.0) * amount;
        1.0 - cover * (1.0 - self.scene.light.shadow() as f32 / 256.0)
    }

    /// The sky: pale at the horizon, with clouds.
    fn sky(&self, ray: [f32; 3]) -> [f32; 3] {
        let flat = (ray[0] * ray[0] + ray[1] * ray[1]).sqrt();
        let slope = (ray[2] / flat.max(1e-3)).max(0.0);
        let high = slope / (slope + 0.35);
        let haze = self.conditions.haze_colour.map(f32::from);
        let overcast = self.conditions.overcast as f32;
        let deep = [96.0, 142.0, 204.0].map(|value: f32| value * (1.0 - overcast) + 196.0 * overcast);
        let (u, v) = (ray[0] / (slope + 0.12), ray[1] / (slope + 0.12));
        let clouds = self.scene.noise.between(u * 5.0 + 40.0, v * 5.0) * 0.6
            + self.scene.noise.between(u * 21.0, v * 21.0) * 0.25;
        let white = ((clouds + 0.5 * self.conditions.cloud as f32 - 0.1) * 1.6).clamp(0.0, 0.85);
        let mut colour = [0.0; 3];
        for ((value, haze), deep) in colour.iter_mut().zip(haze).zip(deep) {
            let clear = haze * (1.0 - high) + deep * high;
            *value = clear + (238.0 - clear) * white;
        }
        colour
    }
}

/// A triangle wave across rows, from `-strength` to `strength` percent; 0 where rows are too fine to be seen.
fn row_wave(rows: &Rows, x: f32, y: f32, fade: f32) -> f32 {
    let across = f64::from(x) * rows.across.x + f64::from(y) * rows.across.y;
    let turns = across / rows.period_m;
    let phase = (turns - turns.floor()) as f32;
    let wave = if phase < 0.5 { phase * 4.0 - 1.0 } else { 3.0 - phase * 4.0 };
    wave * rows.strength * 0.01 * fade
}
