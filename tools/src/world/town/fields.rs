//! Open land: fields with rows and hedgerows, farms, forest.

use super::super::geometry::{Bounds, Point, clipped};
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof, Rows, TreeKind};
use super::blocks::Room;
use super::brush::{Brush, Building};

/// The farthest that warped or clipped parcels keep from their edge, in metres.
const EDGE_M: f64 = 1.2;

/// A field, a meadow or a farm.
pub(super) fn field(brush: &mut Brush<'_>, room: &Room, (u, v): (i32, i32)) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    let parcel = middle.rectangle([EDGE_M - half_u, half_u - EDGE_M], [EDGE_M - half_v, half_v - EDGE_M]);
    let polygon = clipped(&brush.district.outline, &parcel);
    if polygon.len() < 3 {
        return;
    }
    let crop = brush.pick(
        &[Material::Wheat, Material::Wheat, Material::Rape, Material::Maize, Material::Beet, Material::Meadow],
        Material::Wheat,
    );
    let tone = brush.between(-7.0, 7.0);
    let across = if brush.chance(0.6) { middle.axis.left() } else { middle.axis };
    let (period_m, strength) = match crop {
        Material::Wheat | Material::Rape => (brush.between(12.0, 21.0), 5.0),
        Material::Meadow => (brush.between(6.0, 9.0), 3.0),
        _ => (brush.between(1.6, 3.0), 12.0),
    };
    let rows = Rows { across, period_m, strength };
    brush.chunk.lay_any(Layer::Lot, toned(crop, tone), Some(rows), &polygon);
    if (u + 2 * v).rem_euclid(7) == 3 && brush.is_free(middle.origin, 26.0) {
        farm(brush, room);
    }
    hedgerow(brush, room);
}

fn hedgerow(brush: &mut Brush<'_>, room: &Room) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    let sides = [(middle.moved(0.0, -half_v), half_u), (middle.moved(-half_u, 0.0).turned(), half_v)];
    for (side, half) in sides {
        let density = brush.pick(&[0.0, 0.0, 0.3, 0.85], 0.0);
        let mut u = -half;
        while u < half {
            if brush.chance(density) {
                let spot = side.at(u, brush.between(-1.2, 1.2));
                let (radius, kind) = if brush.chance(0.4) { (1.2, TreeKind::Bush) } else { (2.6, TreeKind::Broadleaf) };
                brush.plant(spot, radius, kind);
            }
            u += 4.4;
        }
    }
    if brush.chance(0.25) {
        let spot = middle.at(brush.between(-0.7, 0.7) * half_u, brush.between(-0.7, 0.7) * half_v);
        brush.plant(spot, 3.6, TreeKind::Broadleaf);
    }
}

fn farm(brush: &mut Brush<'_>, room: &Room) {
    let middle = room.middle(brush.district);
    brush.lay(Layer::Yard, plain(Material::Gravel), &middle, [-22.0, 22.0], [-18.0, 18.0]);
    let reach = room.depth() * 0.5;
    brush.lay(Layer::Yard, plain(Material::Gravel), &middle, [-2.0, 2.0], [-reach, -17.0]);
    let red = brush.pick(&[Material::RoofRed, Material::RoofBrown], Material::RoofRed);
    let wing = |size, rise_m, facade| Building {
        size,
        eave_m: 4.4,
        roof: Roof::Gable { rise_m },
        wall: plain(Material::WallBrick),
        roof_paint: plain(red),
        facade,
    };
    brush.raise(middle.moved(0.0, 13.0), &wing([34.0, 11.0], 4.0, Facade::Hall));
    brush.raise(middle.moved(-17.0, -4.0).turned(), &wing([20.0, 10.0], 3.6, Facade::Blank));
    brush.raise(middle.moved(15.0, -8.0), &wing([13.0, 9.0], 3.6, Facade::House));
    for _ in 0..7 {
        let spot = middle.at(brush.between(-30.0, 30.0), brush.between(-26.0, -19.0));
        let radius = brush.between(1.6, 3.0);
        brush.plant(spot, radius, TreeKind::Broadleaf);
    }
}

/// A piece of forest: trees on a jittered lattice, thinner in clearings.
pub(super) fn forest(brush: &mut Brush<'_>, room: &Room) {
    let clearing = brush.chance(0.3).then(|| {
        let share = |brush: &mut Brush<'_>| brush.between(0.3, 0.7);
        let (u, v) = (share(brush), share(brush));
        let at = brush.district.place(room.u[0] + u * room.width(), room.v[0] + v * room.depth()).origin;
        (at, brush.between(10.0, 24.0))
    });
    let conifers = brush.pick(&[0.05, 0.3, 0.85], 0.3);
    let step = 5.1;
    let mut v = room.v[0];
    while v < room.v[1] {
        let mut u = room.u[0];
        while u < room.u[1] {
            let (du, dv) = (brush.between(-0.3, 1.3) * step, brush.between(-0.3, 1.3) * step);
            let at = brush.district.frame.at(u + du, v + dv);
            let cleared = clearing.is_some_and(|(middle, radius)| (at - middle).length() < radius);
            if !cleared && brush.chance(0.93) {
                let (radius, kind) = (brush.between(2.2, 4.4), brush.tree_kind(conifers));
                brush.plant(at, if kind == TreeKind::Conifer { radius * 0.7 } else { radius }, kind);
            }
            u += step;
        }
        v += step;
    }
    trail(brush, room);
}

/// A trail through a piece of forest.
fn trail(brush: &mut Brush<'_>, room: &Room) {
    let line: Vec<Point> = [0.0, 0.25, 0.5, 0.75, 1.0]
        .map(|share| {
            let swing = brush.between(-5.0, 5.0);
            brush.district.place(room.u[0] + share * room.width(), room.v[0] + swing).origin
        })
        .to_vec();
    if brush.district.bounds.meets(&Bounds::of(&line)) {
        let kept = line.windows(2).filter(|pair| pair.iter().all(|at| brush.is_free(*at, 0.0)));
        let kept: Vec<Vec<Point>> = kept.map(<[Point]>::to_vec).collect();
        for piece in kept {
            brush.chunk.strip(Layer::Yard, plain(Material::Gravel), &piece, 1.3);
        }
    }
}
