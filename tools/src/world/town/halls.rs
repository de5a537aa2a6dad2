//! Works and shops: halls, yards, containers, large car parks.

use super::super::geometry::Frame;
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof, TreeKind};
use super::blocks::Room;
use super::brush::{Brush, Building};
use super::parking;

/// Fills a block.
pub(super) fn fill(brush: &mut Brush<'_>, room: &Room) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5 - 1.0, room.depth() * 0.5 - 1.0);
    if !brush.is_free_rectangle(&middle, [-half_u, half_u], [-half_v, half_v], 0.0) {
        return halves(brush, room);
    }
    let yard = brush.pick(&[Material::Asphalt, Material::AsphaltOld, Material::Concrete], Material::Asphalt);
    let tone = brush.between(-10.0, 8.0);
    brush.lay(Layer::Lot, toned(yard, tone), &middle, [-half_u, half_u], [-half_v, half_v]);
    if brush.chance(0.35) {
        // A shop behind its car park.
        let deep = half_v * brush.between(0.36, 0.46);
        hall(brush, &middle.moved(0.0, half_v - deep - 3.0), [half_u * 1.7, deep * 2.0]);
        parking::bays(brush, &middle.moved(0.0, -deep - 1.0), [half_u - 2.0, half_v - deep - 3.0], 130);
        return;
    }
    let split = brush.between(-0.15, 0.15) * half_u;
    let left = [half_u + split - 8.0, half_v * 1.5];
    let right = [half_u - split - 8.0, half_v * brush.between(0.8, 1.4)];
    hall(brush, &middle.moved(-half_u + left[0] * 0.5 + 4.0, half_v * 0.15), left);
    hall(brush, &middle.moved(half_u - right[0] * 0.5 - 4.0, half_v * 0.2), right);
    containers(brush, &middle, half_u, half_v);
    green_edge(brush, &middle, half_u, half_v);
}

/// Beside a bent road there is only room for small halls.
fn halves(brush: &mut Brush<'_>, room: &Room) {
    let middle = room.middle(brush.district);
    for (u, v) in [(-0.25, -0.25), (0.25, -0.25), (0.25, 0.25), (-0.25, 0.25)] {
        let frame = middle.moved(u * room.width(), v * room.depth());
        let half = [room.width() * 0.23, room.depth() * 0.23];
        if brush.is_free_rectangle(&frame, [-half[0], half[0]], [-half[1], half[1]], 0.0) {
            brush.lay(Layer::Lot, plain(Material::AsphaltOld), &frame, [-half[0], half[0]], [-half[1], half[1]]);
            hall(brush, &frame, [half[0] * 1.4, half[1] * 1.2]);
        } else {
            for _ in 0..4 {
                let spot = frame.at(brush.between(-half[0], half[0]), brush.between(-half[1], half[1]));
                let radius = brush.between(1.6, 3.4);
                brush.plant(spot, radius, TreeKind::Broadleaf);
            }
        }
    }
}

fn hall(brush: &mut Brush<'_>, frame: &Frame, size: [f64; 2]) {
    let eave_m = brush.between(5.5, 10.5);
    let gabled = brush.chance(0.4);
    let roof = if gabled { Roof::Gable { rise_m: size[1] * 0.09 } } else { Roof::Flat };
    let metal = brush.pick(
        &[Material::RoofMetal, Material::RoofGrey, Material::RoofPebble, Material::RoofFlat, Material::RoofRed],
        Material::RoofMetal,
    );
    let roof_paint = toned(metal, brush.between(-8.0, 6.0));
    let wall = brush.pick(
        &[Material::WallGrey, Material::WallBlue, Material::WallWhite, Material::RoofMetal, Material::WallBrick],
        Material::WallGrey,
    );
    let facade = Facade::Hall;
    let building = Building { size, eave_m, roof, wall: plain(wall), roof_paint, facade };
    if !brush.raise(*frame, &building) || gabled {
        return;
    }
    // Skylights in strips, and machines.
    let [half_u, half_v] = size.map(|side| side * 0.5);
    let glass = toned(Material::Glass, 60.0);
    if brush.chance(0.6) {
        let mut u = -half_u + 6.0;
        while u < half_u - 5.0 {
            brush.put(frame.moved(u, 0.0), [1.8, half_v * 1.5], [eave_m, eave_m + 0.5], [glass, glass]);
            u += 9.0;
        }
    }
    let count = brush.random.below(6);
    for _ in 0..count {
        let (u, v) = (brush.between(-half_u, half_u) * 0.85, brush.between(-half_v, half_v) * 0.85);
        let steel = plain(Material::RoofMetal);
        let size = [brush.between(1.5, 4.0), brush.between(1.5, 3.0)];
        brush.put(frame.moved(u, v), size, [eave_m, eave_m + 1.6], [steel, steel]);
    }
}

fn containers(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let paints = [Material::PaintBlue, Material::PaintRed, Material::PaintGreen, Material::WallGrey];
    let rows = 1 + brush.random.below(3);
    for row in 0..rows {
        let v = -half_v + 4.0 + row as f64 * 3.2;
        let mut u = -half_u + 8.0;
        while u < half_u - 8.0 {
            if brush.chance(0.5) {
                let paint = toned(brush.pick(&paints, Material::PaintBlue), brush.between(-10.0, 20.0));
                let top = if brush.chance(0.25) { 5.2 } else { 2.6 };
                brush.put(middle.moved(u, v), [6.1, 2.4], [0.0, top], [paint, paint]);
            }
            u += 7.4;
        }
    }
}

fn green_edge(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    brush.lay(Layer::Yard, plain(Material::Grass), middle, [-half_u, half_u], [half_v - 3.0, half_v]);
    let mut u = -half_u + 3.0;
    while u < half_u {
        if brush.chance(0.6) {
            brush.plant(middle.at(u, half_v - 1.6), 1.9, TreeKind::Broadleaf);
        }
        u += 9.0;
    }
}
