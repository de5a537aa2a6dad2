//! Cars: whether one is at its place depends on the time, so that no two flights over a street see the same cars.

use super::super::palette::{Material, Paint, plain, toned};
use super::super::scene::{CarPlace, Facade, Roof, Solid};
use super::super::view::conditions::Conditions;
use super::camera::{Camera, above};
use super::canvas::Canvas;
use super::ground::solid_shadow;
use super::light::Light;
use super::solids::{self, Pen};
use crate::bench::random::Random;

const CAR: u64 = 0x0063_6172;
/// Samples per metre from which on cars have wheels and lights.
const NEAR: f64 = 10.0;

/// Draws the car at a place, if one is there now.
pub(super) fn draw(canvas: &mut Canvas, camera: &Camera, light: &Light, place: &CarPlace, conditions: &Conditions) {
    if !camera.sees(above(place.frame.origin, 0.8), 3.0) {
        return;
    }
    let now = if place.driving { conditions.moment } else { conditions.parked };
    let mut random = Random::of(&[CAR, now, u64::from(place.style)]);
    if random.below(256) >= usize::from(place.often) {
        return;
    }
    let shift = f64::from(random.unit());
    let frame = if place.driving {
        place.frame.moved(shift * 8.0 - 4.0, 0.0)
    } else {
        place.frame.moved(shift * 0.6 - 0.3, f64::from(random.unit()) * 0.3 - 0.15)
    };
    let paint = paint(&mut random);
    let is_van = random.below(10) == 0;
    let (half, body_m, roof_m) = if is_van { ([2.7, 1.0], 1.1, 2.3) } else { ([2.15, 0.89], 0.85, 1.45) };
    let solid = |half: [f64; 2], from_to: [f64; 2], shift: f64, facade: Facade| Solid {
        frame: frame.moved(shift, 0.0),
        half_u: half[0],
        half_v: half[1],
        base_m: from_to[0],
        eave_m: from_to[1],
        roof: Roof::Flat,
        wall: paint,
        roof_paint: paint,
        facade,
        style: 0,
    };
    let shape = solid(half, [0.0, roof_m * 0.8], 0.0, Facade::Blank);
    solid_shadow(canvas, camera, light, &shape);
    solids::draw(canvas, camera, light, &solid(half, [0.28, body_m], 0.0, Facade::Blank));
    let (cabin, back) = if is_van { ([2.2, 0.95], -0.35) } else { ([1.15, 0.76], -0.25) };
    solids::draw(canvas, camera, light, &solid(cabin, [body_m, roof_m], back, Facade::Car));
    let mut pen = Pen { canvas, camera, light };
    windscreens(&mut pen, &solid(cabin, [body_m, roof_m], back, Facade::Car));
    if camera.scale_at(above(frame.origin, 0.5)) > NEAR {
        wheels(&mut pen, &shape);
    }
}

fn paint(random: &mut Random) -> Paint {
    let material = match random.below(16) {
        0..=3 => Material::PaintWhite,
        4..=6 => Material::PaintBlack,
        7..=10 => Material::PaintSilver,
        11 | 12 => Material::PaintBlue,
        13 | 14 => Material::PaintRed,
        _ => Material::PaintGreen,
    };
    toned(material, f64::from(random.unit()) * 24.0 - 12.0)
}

/// Windscreens lie aslant and are seen from above.
fn windscreens(pen: &mut Pen<'_>, cabin: &Solid) {
    let (frame, glass) = (&cabin.frame, plain(Material::Glass));
    for end in [-1.0, 1.0] {
        let (top, foot) = (cabin.half_u * end, (cabin.half_u + 0.55) * end);
        let v = cabin.half_v * 0.92 * end;
        let out = frame.axis * end;
        let normal = [out.x * 0.74, out.y * 0.74, 0.672];
        let corners = [
            above(frame.at(foot, -v), cabin.base_m + 0.02),
            above(frame.at(foot, v), cabin.base_m + 0.02),
            above(frame.at(top, v), cabin.eave_m),
            above(frame.at(top, -v), cabin.eave_m),
        ];
        pen.face(&corners, normal, glass);
    }
}

fn wheels(pen: &mut Pen<'_>, shape: &Solid) {
    let tyre = plain(Material::Tyre);
    for (u, v) in [(-0.62, -0.86), (0.62, -0.86), (0.62, 0.86), (-0.62, 0.86)] {
        let frame = shape.frame.moved(u * shape.half_u, v * shape.half_v);
        pen.block(&frame, [0.32, 0.14], [0.0, 0.62], [tyre, tyre]);
    }
}
