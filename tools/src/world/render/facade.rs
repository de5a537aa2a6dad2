//! What is on walls: windows, doors, shops, balconies, gates; near walls get each window, far ones a band per floor.

use super::super::palette::{Material, Paint, plain, toned};
use super::super::scene::{Facade, Solid};
use super::solids::{Pen, Side};

/// How far windows stand before their wall, in metres.
const OFF_M: f64 = 0.04;
/// Samples per metre from which on each window is drawn.
const EACH_WINDOW: f64 = 2.6;
/// Samples per metre from which on windows have frames.
const FRAMES: f64 = 9.0;

/// How the windows of a wall are set.
#[derive(Debug, Clone, Copy)]
struct Windows {
    /// Metres from floor to floor.
    floor_m: f64,
    /// Metres from window to window.
    every_m: f64,
    /// Width and height, in metres.
    size_m: [f64; 2],
    /// Height of the lower edge above the floor, in metres.
    sill_m: f64,
}

/// Draws what is on a wall; walls are numbered from the front, counter-clockwise; `scale` is samples per metre.
pub(super) fn draw(pen: &mut Pen<'_>, solid: &Solid, side: &Side, number: usize, scale: f64) {
    let is_front = number == 0;
    match solid.facade {
        Facade::Blank => {}
        Facade::House => {
            let every_m = 2.6 + f64::from(solid.style % 8) * 0.15;
            let windows = Windows { floor_m: 2.75, every_m, size_m: [1.15, 1.3], sill_m: 0.95 };
            rows(pen, solid, side, windows, 0.3, scale);
            if is_front && scale > EACH_WINDOW {
                let u = side.length * 0.5 + 0.2;
                let door = toned(Material::Door, f64::from(solid.style >> 5 & 31) - 10.0);
                put(pen, side, [u - 0.5, u + 0.5], [solid.base_m, solid.base_m + 2.15], OFF_M * 1.5, door);
            }
        }
        Facade::Town => {
            let every_m = 2.3 + f64::from(solid.style % 8) * 0.12;
            let windows = Windows { floor_m: 3.2, every_m, size_m: [1.15, 1.75], sill_m: 0.8 };
            // Shops look to the street only.
            rows(pen, solid, side, windows, if is_front { 4.0 } else { 0.8 }, scale);
            if is_front {
                shops(pen, solid, side, scale);
            }
        }
        Facade::Slab => {
            let windows = Windows { floor_m: 2.9, every_m: 3.5, size_m: [2.3, 1.4], sill_m: 0.95 };
            if number.is_multiple_of(2) {
                rows(pen, solid, side, windows, 1.2, scale);
                balconies(pen, solid, side, scale);
            }
        }
        Facade::Hall => gates(pen, solid, side, is_front),
        Facade::Car => {
            let glass = plain(Material::Glass);
            put(pen, side, [0.08, side.length - 0.08], [solid.base_m + 0.06, solid.eave_m - 0.06], 0.01, glass);
        }
    }
}

fn put(pen: &mut Pen<'_>, side: &Side, along: [f64; 2], height_m: [f64; 2], off_m: f64, paint: Paint) {
    pen.face(&side.quad(along, height_m, off_m), side.normal, paint);
}

fn rows(pen: &mut Pen<'_>, solid: &Solid, side: &Side, windows: Windows, first_floor_m: f64, scale: f64) {
    let mut floor_m = solid.base_m + first_floor_m;
    let count = ((side.length - 0.6) / windows.every_m).floor() as i32;
    let mut row = 0_u32;
    while floor_m + windows.sill_m + windows.size_m[1] < solid.eave_m + 0.1 && count > 0 {
        let height = [floor_m + windows.sill_m, floor_m + windows.sill_m + windows.size_m[1]];
        if scale < EACH_WINDOW {
            // Glass over a part of the wall: about their mean colour.
            let band = toned(Material::Glass, 75.0);
            put(pen, side, [0.5, side.length - 0.5], height, OFF_M, band);
        } else {
            window_row(pen, solid, side, windows, height, [row, count as u32], scale);
        }
        floor_m += windows.floor_m;
        row += 1;
    }
}

fn window_row(
    pen: &mut Pen<'_>,
    solid: &Solid,
    side: &Side,
    windows: Windows,
    height: [f64; 2],
    [row, count]: [u32; 2],
    scale: f64,
) {
    let margin = (side.length - f64::from(count) * windows.every_m) * 0.5;
    for number in 0..count {
        let middle = margin + (f64::from(number) + 0.5) * windows.every_m;
        let half = windows.size_m[0] * 0.5;
        // Some windows have their blinds down or reflect the sky.
        let bits =
            (solid.style ^ row.wrapping_mul(0x9e37_79b9) ^ number.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
        let tone = match bits >> 28 {
            0 | 1 => 120.0,
            2..=5 => 45.0,
            _ => f64::from(bits >> 24 & 15) - 8.0,
        };
        if scale > FRAMES {
            let frame = plain(Material::WindowFrame);
            let (u, z) = ([middle - half - 0.09, middle + half + 0.09], [height[0] - 0.09, height[1] + 0.09]);
            put(pen, side, u, z, OFF_M * 0.5, frame);
        }
        put(pen, side, [middle - half, middle + half], height, OFF_M, toned(Material::Glass, tone));
        if scale > FRAMES {
            let bar = plain(Material::WindowFrame);
            put(pen, side, [middle - 0.04, middle + 0.04], height, OFF_M * 1.5, bar);
        }
    }
}

fn shops(pen: &mut Pen<'_>, solid: &Solid, side: &Side, scale: f64) {
    let awnings = [Material::PaintRed, Material::PaintGreen, Material::WallCream, Material::PaintBlue];
    let sign = awnings.get(solid.style as usize >> 3 & 3).copied().unwrap_or(Material::WallCream);
    put(pen, side, [0.4, side.length - 0.4], [solid.base_m + 3.0, solid.base_m + 3.7], OFF_M, plain(sign));
    if scale < EACH_WINDOW {
        return;
    }
    let count = (side.length / 4.2).floor().max(1.0) as u32;
    let every = side.length / f64::from(count);
    for number in 0..count {
        let u = f64::from(number) * every;
        let tone = if number == solid.style % count { 30.0 } else { -6.0 };
        put(
            pen,
            side,
            [u + 0.4, u + every - 0.4],
            [solid.base_m + 0.35, solid.base_m + 2.8],
            OFF_M,
            toned(Material::Glass, tone),
        );
    }
}

fn balconies(pen: &mut Pen<'_>, solid: &Solid, side: &Side, scale: f64) {
    if scale < EACH_WINDOW * 0.7 {
        return;
    }
    let colours = [Material::WallBlue, Material::WallYellow, Material::WallGreen, Material::WallGrey];
    let paint = plain(colours.get(solid.style as usize & 3).copied().unwrap_or(Material::WallGrey));
    let mut floor_m = solid.base_m + 1.2 + 2.9;
    while floor_m + 2.0 < solid.eave_m {
        let mut u = 3.0;
        while u + 3.2 < side.length {
            put(pen, side, [u, u + 3.2], [floor_m - 0.1, floor_m + 0.95], 0.5, paint);
            u += 10.5;
        }
        floor_m += 2.9;
    }
}

fn gates(pen: &mut Pen<'_>, solid: &Solid, side: &Side, is_front: bool) {
    let (low, high) = (solid.base_m, solid.eave_m);
    put(pen, side, [1.0, side.length - 1.0], [high - 1.6, high - 0.7], OFF_M, toned(Material::Glass, 30.0));
    if !is_front {
        return;
    }
    let gate = toned(Material::WallDark, f64::from(solid.style % 30) - 5.0);
    let mut u = 4.0;
    while u + 4.0 < side.length {
        put(pen, side, [u, u + 3.8], [low, low + 4.0_f64.min(high - low - 2.0)], OFF_M, gate);
        u += 11.0;
    }
}
