//! Estates: slabs of flats between lawns, paths, playgrounds and car parks.

use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof};
use super::blocks::Room;
use super::brush::{Brush, Building};
use super::parking;
use crate::bench::random::Random;

/// Fills a block.
pub(super) fn fill(brush: &mut Brush<'_>, room: &Room) {
    let mut random = Random::of(&[brush.district.taste, 23]);
    let floors = 4 + random.below(6);
    let deep = super::between(&mut random, 11.0, 13.5);
    let is_tower = super::chance(&mut random, 0.25);
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    let across = brush.chance(0.5);
    let spacing = brush.between(30.0, 36.0);
    let reach = if across { half_u } else { half_v };
    let count = ((reach * 2.0 - 8.0) / spacing).floor().max(1.0) as i32;
    for number in 0..count {
        let side = (f64::from(number) - f64::from(count - 1) * 0.5) * spacing;
        let along = if across { half_v } else { half_u };
        let frame = if across { middle.moved(side, 0.0).turned() } else { middle.moved(0.0, side) };
        let shift = brush.between(-4.0, 4.0);
        if number == count - 1 && brush.chance(0.7) {
            parking::bays(brush, &frame, [along * 0.7, 9.0], 120);
            continue;
        }
        let length = if is_tower { deep * 1.5 } else { (along * 2.0 - 14.0).min(66.0) };
        slab(brush, &frame.moved(shift, 0.0), [length, deep], floors);
        lawn(brush, &frame, along, spacing);
    }
}

fn slab(brush: &mut Brush<'_>, frame: &super::super::geometry::Frame, size: [f64; 2], floors: usize) {
    let eave_m = 1.2 + 2.9 * floors as f64;
    let (wall, roof_paint) = (brush.wall(), brush.roof());
    let building = Building { size, eave_m, roof: Roof::Flat, wall, roof_paint, facade: Facade::Slab };
    if !brush.raise(*frame, &building) {
        return;
    }
    let count = (size[0] / 18.0).ceil().max(1.0) as i32;
    for number in 0..count {
        let u = (f64::from(number) - f64::from(count - 1) * 0.5) * 18.0;
        let grey = toned(Material::WallGrey, 4.0);
        brush.put(frame.moved(u, 0.8), [4.2, 3.4], [eave_m, eave_m + 2.6], [grey, toned(Material::RoofFlat, -14.0)]);
        let vent = plain(Material::RoofMetal);
        brush.put(frame.moved(u + 6.0, -2.4), [1.3, 1.3], [eave_m, eave_m + 0.9], [vent, vent]);
    }
    let v = -size[1] * 0.5;
    brush.lay(Layer::Yard, plain(Material::Concrete), frame, [-size[0] * 0.5, size[0] * 0.5], [v - 3.4, v - 1.4]);
    for number in 0..count {
        let u = (f64::from(number) - f64::from(count - 1) * 0.5) * 18.0;
        brush.lay(Layer::Yard, plain(Material::Concrete), frame, [u - 0.9, u + 0.9], [v - 1.6, v]);
    }
}

fn lawn(brush: &mut Brush<'_>, frame: &super::super::geometry::Frame, along: f64, spacing: f64) {
    let count = 4 + brush.random.below(6);
    for _ in 0..count {
        let (u, v) = (brush.between(-along, along) * 0.9, brush.between(9.5, spacing - 9.5));
        let (radius, kind) = (brush.between(1.8, 3.8), brush.tree_kind(0.2));
        brush.plant(frame.at(u, v), radius, kind);
    }
    if brush.chance(0.35) {
        let u = brush.between(-along, along) * 0.6;
        let v = spacing * 0.5;
        if brush.is_free(frame.at(u, v), 9.0) {
            brush.lay(Layer::Yard, plain(Material::Sand), frame, [u - 5.0, u + 5.0], [v - 4.0, v + 4.0]);
            let (red, blue) = (plain(Material::PaintRed), plain(Material::PaintBlue));
            brush.put(frame.moved(u - 2.0, v), [3.0, 1.0], [0.0, 1.8], [red, red]);
            brush.put(frame.moved(u + 2.4, v + 1.0), [1.6, 1.6], [0.0, 1.4], [blue, blue]);
        }
    }
}
