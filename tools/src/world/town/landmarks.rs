//! What a district has once: a church, a school, a tower, tanks, a greenhouse.

use super::super::geometry::Frame;
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof, Solid, TreeKind};
use super::blocks::Room;
use super::brush::{Brush, Building};

/// Fills a block with a landmark.
pub(super) fn fill(brush: &mut Brush<'_>, room: &Room) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    if !brush.is_free_rectangle(&middle, [-half_u, half_u], [-half_v, half_v], 0.0) {
        return super::houses::gardens(brush, room);
    }
    let ground = brush.pick(&[Material::Lawn, Material::Paving, Material::PavingRed], Material::Lawn);
    brush.lay(Layer::Lot, plain(ground), &middle, [-half_u, half_u], [-half_v, half_v]);
    match brush.random.below(5) {
        0 => church(brush, &middle),
        1 => school(brush, &middle, half_u, half_v),
        2 => tower(brush, &middle),
        3 => tanks(brush, &middle, half_u, half_v),
        _ => greenhouses(brush, &middle, half_u, half_v),
    }
    for (u, v) in [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)] {
        let spot = middle.at(u * (half_u - 4.0), v * (half_v - 4.0));
        let radius = brush.between(2.4, 3.8);
        brush.plant(spot, radius, TreeKind::Broadleaf);
    }
}

fn church(brush: &mut Brush<'_>, middle: &Frame) {
    let (wall, roof_paint) = (brush.wall(), toned(Material::RoofSlate, brush.between(-8.0, 12.0)));
    let building = |size, eave_m, roof| Building { size, eave_m, roof, wall, roof_paint, facade: Facade::House };
    let (long, wide) = (brush.between(24.0, 32.0), brush.between(11.0, 14.0));
    brush.raise(*middle, &building([long, wide], 9.0, Roof::Gable { rise_m: 7.0 }));
    brush.raise(middle.moved(long * 0.2, 0.0).turned(), &building([wide * 2.0, 9.0], 8.5, Roof::Gable { rise_m: 5.5 }));
    let height = brush.between(20.0, 28.0);
    let spire = Roof::Hip { rise_m: brush.between(9.0, 16.0) };
    brush.raise(middle.moved(-long * 0.5 - 3.0, 0.0), &building([7.0, 7.0], height, spire));
    brush.lay(Layer::Yard, plain(Material::Gravel), middle, [-long * 0.5 - 14.0, -long * 0.5], [-6.0, 6.0]);
}

fn school(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let (wall, roof_paint) = (brush.wall(), plain(Material::RoofPebble));
    let wing = |size| Building { size, eave_m: 10.2, roof: Roof::Flat, wall, roof_paint, facade: Facade::Slab };
    brush.raise(middle.moved(0.0, half_v - 10.0), &wing([half_u * 1.6, 13.0]));
    brush.raise(middle.moved(half_u * 0.8 - 7.0, 0.0).turned(), &wing([half_v * 0.9, 13.0]));
    brush.lay(
        Layer::Yard,
        plain(Material::Asphalt),
        middle,
        [-half_u * 0.7, half_u * 0.4],
        [-half_v * 0.5, half_v * 0.5],
    );
    let white = plain(Material::Marking);
    for u in [-0.5, -0.1, 0.3] {
        brush.lay(Layer::YardDetail, white, middle, [u * half_u, u * half_u + 0.15], [-half_v * 0.3, half_v * 0.3]);
    }
    brush.lay(
        Layer::Yard,
        plain(Material::Tartan),
        middle,
        [-half_u * 0.7, half_u * 0.4],
        [-half_v + 3.0, -half_v * 0.6],
    );
}

fn tower(brush: &mut Brush<'_>, middle: &Frame) {
    let (wall, roof_paint) = (brush.wall(), plain(Material::RoofFlat));
    let eave_m = brush.between(34.0, 52.0);
    let size = [brush.between(18.0, 24.0), brush.between(16.0, 20.0)];
    let building = Building { size, eave_m, roof: Roof::Flat, wall, roof_paint, facade: Facade::Slab };
    if brush.raise(*middle, &building) {
        let dark = toned(Material::WallGrey, -20.0);
        brush.put(middle.moved(2.0, 1.0), [8.0, 6.0], [eave_m, eave_m + 3.5], [dark, dark]);
        let low = Building { size: [34.0, 20.0], eave_m: 5.0, ..building };
        brush.raise(middle.moved(24.0, 0.0), &low);
    }
}

fn tanks(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let rise_m = brush.between(1.0, 3.0);
    let radius = brush.between(6.0, 9.5);
    let mut u = -half_u + radius + 5.0;
    let wall = brush.pick(&[Material::PaintWhite, Material::RoofMetal, Material::PaintGreen], Material::PaintWhite);
    while u < half_u - radius - 4.0 {
        for v in [-half_v * 0.45, half_v * 0.45] {
            let (eave_m, style) = (brush.between(8.0, 15.0), brush.style());
            if brush.chance(0.85) {
                brush.chunk.solids.push(Solid {
                    frame: middle.moved(u, v),
                    half_u: radius,
                    half_v: radius,
                    base_m: 0.0,
                    eave_m,
                    roof: Roof::Cone { rise_m },
                    wall: plain(wall),
                    roof_paint: plain(wall),
                    facade: Facade::Blank,
                    style,
                });
            }
        }
        u += radius * 2.0 + 5.0;
    }
}

fn greenhouses(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let glass = toned(Material::PaintWhite, -14.0);
    let mut v = -half_v + 8.0;
    while v < half_v - 6.0 {
        let building = Building {
            size: [half_u * 1.6, 8.0],
            eave_m: 2.6,
            roof: Roof::Gable { rise_m: 1.7 },
            wall: glass,
            roof_paint: glass,
            facade: Facade::Blank,
        };
        brush.raise(middle.moved(0.0, v), &building);
        v += 10.0;
    }
}
