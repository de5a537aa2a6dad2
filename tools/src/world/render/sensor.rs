//! Lens and sensor: blur, vignette, exposure, white balance, noise, and what goes wrong.

use super::super::view::conditions::{Bad, Conditions};
use crate::bench::random::Random;

const NOISE: u64 = 0x7365_6e73;

/// A picture of this many pixels per row as lens and sensor give it.
pub fn expose(pixels: Vec<u8>, columns: usize, conditions: &Conditions) -> Vec<u8> {
    let columns = columns.max(1);
    let rows = pixels.len() / (columns * 3);
    let mut pixels = blurred(pixels, columns, rows, conditions);
    let curves = curves(conditions);
    let mut random = Random::of(&[NOISE, conditions.moment]);
    // The sum of two bytes less their mean has a deviation of 104.5.
    let noise = (conditions.noise / 104.5) as f32;
    let middle = [columns as f32 * 0.5, rows as f32 * 0.5];
    let reach = 1.0 / (middle[0] * middle[0] + middle[1] * middle[1]);
    let mut from_middle = [0.5 - middle[0], 0.5 - middle[1]];
    for line in pixels.chunks_exact_mut(columns * 3) {
        from_middle[0] = 0.5 - middle[0];
        for pixel in line.as_chunks_mut::<3>().0 {
            let share = (from_middle[0] * from_middle[0] + from_middle[1] * from_middle[1]) * reach;
            let edge = 1.0 - conditions.vignette as f32 * share;
            let bits = random.bits();
            for (channel, (value, curve)) in pixel.iter_mut().zip(&curves).enumerate() {
                let byte = |at: usize| (bits >> ((channel * 2 + at) * 8) & 255) as f32;
                let clean = curve.get(usize::from(*value)).copied().unwrap_or_default() * edge;
                *value = (clean + (byte(0) + byte(1) - 255.0) * noise + 0.5).clamp(0.0, 255.0) as u8;
            }
            from_middle[0] += 1.0;
        }
        from_middle[1] += 1.0;
    }
    pixels
}

/// What each value of a channel becomes.
fn curves(conditions: &Conditions) -> [[f32; 256]; 3] {
    let gain = conditions.exposure
        * match conditions.bad {
            Some(Bad::Dark) => 0.06,
            Some(Bad::Covered) => 0.015,
            Some(Bad::OverExposed) => 6.0,
            _ => 1.0,
        };
    let mut curves = [[0.0; 256]; 3];
    for (curve, balance) in curves.iter_mut().zip(conditions.white_balance) {
        for (value, out) in curve.iter_mut().enumerate() {
            let light = value as f64 * gain * balance;
            // Contrast about the middle; then highlights are rolled off.
            let steep = 128.0 + (light - 128.0) * conditions.contrast;
            let soft = if steep > 215.0 { 215.0 + (steep - 215.0) * 0.6 } else { steep };
            *out = (soft + conditions.lift) as f32;
        }
    }
    curves
}

fn blurred(pixels: Vec<u8>, columns: usize, rows: usize, conditions: &Conditions) -> Vec<u8> {
    let mut pixels = pixels;
    let defocus = conditions.defocus_px + if conditions.bad == Some(Bad::Blurred) { 7.0 } else { 0.0 };
    let radius = defocus as usize;
    for _ in 0..2 {
        if radius > 0 {
            pixels = along(&pixels, columns, rows, [1, 0], radius);
            pixels = along(&pixels, columns, rows, [0, 1], radius);
        }
    }
    // What is left of the radius below a pixel: a small blur of weights 1 2 1, once.
    if defocus - radius as f64 > 0.5 {
        pixels = along(&pixels, columns, rows, [1, 0], 1);
        pixels = along(&pixels, columns, rows, [0, 1], 1);
    }
    let [x, y] = conditions.motion_px;
    let length = x.abs().max(y.abs());
    if length >= 1.0 {
        pixels = smeared(&pixels, columns, rows, [x, y]);
    }
    pixels
}

/// Means over `2 * radius + 1` pixels along an axis; the edge goes on beyond the picture.
fn along(pixels: &[u8], columns: usize, rows: usize, axis: [i32; 2], radius: usize) -> Vec<u8> {
    let reach = radius as i32;
    let shifts: Vec<[i32; 2]> = (-reach..=reach).map(|step| [axis[0] * step, axis[1] * step]).collect();
    mean_of(pixels, columns, rows, &shifts)
}

/// Means over a line of this length and direction.
fn smeared(pixels: &[u8], columns: usize, rows: usize, [x, y]: [f64; 2]) -> Vec<u8> {
    let steps = (x.abs().max(y.abs())) as i32;
    let at = |step: i32| {
        let share = f64::from(step) / f64::from(steps.max(1)) - 0.5;
        [(x * share).round() as i32, (y * share).round() as i32]
    };
    let shifts: Vec<[i32; 2]> = (0..=steps).map(at).collect();
    mean_of(pixels, columns, rows, &shifts)
}

fn mean_of(pixels: &[u8], columns: usize, rows: usize, shifts: &[[i32; 2]]) -> Vec<u8> {
    let mut sums = vec![0_u32; pixels.len()];
    for [dx, dy] in shifts {
        for (row, sums) in sums.chunks_exact_mut(columns * 3).enumerate() {
            let from = (row as i32 + dy).clamp(0, rows as i32 - 1) as usize;
            let line = pixels.get(from * columns * 3..(from + 1) * columns * 3).unwrap_or_default();
            add_shifted(sums, line, *dx);
        }
    }
    let count = shifts.len().max(1) as u32;
    sums.into_iter().map(|sum| ((sum + count / 2) / count) as u8).collect()
}

/// Adds a row that is shifted by some pixels; the first and the last pixel go on beyond it.
fn add_shifted(sums: &mut [u32], line: &[u8], shift: i32) {
    let (sums, line) = (sums.as_chunks_mut::<3>().0, line.as_chunks::<3>().0);
    let (Some(first), Some(last)) = (line.first(), line.last()) else { return };
    let width = line.len() as i32;
    let (before, skip) = (shift.min(0).abs().min(width) as usize, shift.max(0).min(width) as usize);
    let shifted = std::iter::repeat_n(first, before).chain(line.iter().skip(skip)).chain(std::iter::repeat(last));
    for (sum, value) in sums.iter_mut().zip(shifted) {
        for (sum, value) in sum.iter_mut().zip(value) {
            *sum += u32::from(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_keep_an_even_picture_and_spread_a_point() {
        assert_eq!(along(&[7; 27], 3, 3, [1, 0], 2), [7; 27]);
        let mut point = [0_u8; 15];
        point[6..9].fill(90);
        assert_eq!(along(&point, 5, 1, [1, 0], 1)[3..12], [30; 9]);
        assert_eq!(smeared(&point, 5, 1, [2.0, 0.0])[3..12], [30; 9]);
    }
}
