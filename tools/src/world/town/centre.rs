//! The inner town: closed blocks of tall houses around courtyards.

use super::super::geometry::Frame;
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof, TreeKind};
use super::blocks::Room;
use super::brush::{Brush, Building};
use super::parking;

/// Fills a block.
pub(super) fn fill(brush: &mut Brush<'_>, room: &Room) {
    match brush.random.below(14) {
        0 => return square(brush, room),
        1 => return parking::lot(brush, room, 150),
        _ => {}
    }
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    if brush.is_free_rectangle(&middle, [-half_u, half_u], [-half_v, half_v], 0.0) {
        brush.lay(Layer::Lot, toned(Material::Paving, -6.0), &middle, [-half_u, half_u], [-half_v, half_v]);
    }
    let deep = brush.between(11.0, 14.0);
    let floors = 3 + brush.random.below(3);
    let gap = brush.chance(0.35);
    // Front and back run from corner to corner, the sides between them.
    for (frame, length, number) in [
        (middle.moved(0.0, -half_v), room.width(), 0),
        (middle.moved(half_u, 0.0).turned(), room.depth() - 2.0 * deep, 1),
        (middle.moved(0.0, half_v).turned().turned(), room.width(), 2),
        (middle.moved(-half_u, 0.0).turned().turned().turned(), room.depth() - 2.0 * deep, 3),
    ] {
        if !(gap && number == 3) {
            wing(brush, &frame, length, deep, floors);
        }
    }
    courtyard(brush, &middle, half_u - deep - 0.5, half_v - deep - 0.5);
}

/// Houses wall to wall along a street; the second axis of the frame leads into the block.
fn wing(brush: &mut Brush<'_>, frame: &Frame, length: f64, deep: f64, floors: usize) {
    let mut from = -length * 0.5;
    while from < length * 0.5 - 1.0 {
        let wanted = brush.between(11.0, 21.0);
        let left = length * 0.5 - from;
        let width = if left - wanted < 8.0 { left } else { wanted };
        let levels = (floors + brush.random.below(3)).saturating_sub(brush.random.below(2)).max(2);
        let roof = if brush.chance(0.68) { Roof::Gable { rise_m: brush.between(2.8, 4.4) } } else { Roof::Flat };
        let flat = brush.pick(&[Material::RoofFlat, Material::RoofPebble, Material::RoofGreen], Material::RoofFlat);
        let roof_paint = if roof == Roof::Flat { plain(flat) } else { brush.roof() };
        let depth = deep + brush.between(-1.0, 0.6);
        let building = Building {
            size: [width, depth],
            eave_m: 1.0 + 3.2 * levels as f64,
            roof,
            wall: brush.wall(),
            roof_paint,
            facade: Facade::Town,
        };
        let spot = frame.moved(from + width * 0.5, depth * 0.5);
        if brush.raise(spot, &building) && roof == Roof::Flat {
            let (u, v) = (brush.between(-0.3, 0.3) * width, brush.between(-2.5, 2.5));
            let grey = toned(Material::WallGrey, -10.0);
            let top = building.eave_m;
            brush.put(spot.moved(u, v), [3.6, 2.8], [top, top + 2.4], [grey, grey]);
        }
        from += width;
    }
}

fn courtyard(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    if half_u < 4.0 || half_v < 4.0 || !brush.is_free_rectangle(middle, [-half_u, half_u], [-half_v, half_v], 0.0) {
        return;
    }
    if brush.chance(0.6) {
        let green = toned(Material::Lawn, brush.between(-14.0, 4.0));
        let edge = brush.between(0.5, 3.0);
        brush.lay(Layer::Yard, green, middle, [edge - half_u, half_u - edge], [edge - half_v, half_v - edge]);
        let count = 2 + brush.random.below(7);
        for _ in 0..count {
            let (u, v) = (brush.between(-half_u, half_u) * 0.85, brush.between(-half_v, half_v) * 0.85);
            let radius = brush.between(1.5, 3.2);
            brush.plant(middle.at(u, v), radius, TreeKind::Broadleaf);
        }
    } else {
        let count = 1 + brush.random.below(3);
        for _ in 0..count {
            let size = [brush.between(6.0, 16.0).min(half_u), brush.between(5.0, 9.0).min(half_v)];
            let (u, v) = (brush.between(-half_u, half_u) * 0.5, brush.between(-half_v, half_v) * 0.5);
            let (wall, eave_m) = (brush.wall(), brush.between(3.0, 7.0));
            let roof_paint = toned(Material::RoofFlat, -10.0);
            let building = Building { size, eave_m, roof: Roof::Flat, wall, roof_paint, facade: Facade::Blank };
            brush.raise(middle.moved(u, v), &building);
        }
        let mut u = -half_u + 3.0;
        while u < half_u - 2.0 {
            brush.park(middle.moved(u, half_v - 3.0).turned(), 120);
            u += 2.7;
        }
    }
}

/// A square with trees around it, stalls or a fountain.
fn square(brush: &mut Brush<'_>, room: &Room) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    if !brush.is_free_rectangle(&middle, [-half_u, half_u], [-half_v, half_v], 0.0) {
        return;
    }
    let paving = brush.pick(&[Material::PavingRed, Material::Paving, Material::Concrete], Material::Paving);
    brush.lay(Layer::Lot, toned(paving, 4.0), &middle, [-half_u, half_u], [-half_v, half_v]);
    let mut u = -half_u + 4.0;
    while u < half_u - 3.0 {
        for v in [-half_v + 4.0, half_v - 4.0] {
            brush.plant(middle.at(u, v), 2.4, TreeKind::Broadleaf);
        }
        u += 8.5;
    }
    if brush.chance(0.5) {
        brush.chunk.disc(Layer::Yard, plain(Material::Concrete), middle.origin, 6.5);
        brush.chunk.disc(Layer::YardDetail, plain(Material::Pool), middle.origin, 5.6);
    } else {
        for number in 0..24 {
            let (u, v) = (f64::from(number % 6) * 6.0 - 15.0, f64::from(number / 6) * 6.5 - 9.0);
            let awning =
                brush.pick(&[Material::PaintWhite, Material::PaintRed, Material::PaintYellow], Material::PaintWhite);
            if u.abs() < half_u - 6.0 && v.abs() < half_v - 8.0 && brush.chance(0.8) {
                brush.put(middle.moved(u, v), [3.4, 2.6], [1.8, 2.5], [plain(awning), plain(awning)]);
            }
        }
    }
}
