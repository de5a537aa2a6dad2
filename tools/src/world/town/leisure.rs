//! Parks and sports grounds.

use std::f64::consts::TAU;

use super::super::geometry::{Frame, Point};
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Facade, Layer, Roof};
use super::blocks::Room;
use super::brush::{Brush, Building};
use super::parking;

/// A piece of a park: paths, trees in groups, now and then a pond or a playground.
pub(super) fn park(brush: &mut Brush<'_>, room: &Room, (u, v): (i32, i32)) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    paths(brush, &middle, half_u, half_v);
    if (u + v).rem_euclid(3) == 0 {
        pond(brush, &middle, half_u.min(half_v) * 0.55);
    }
    let groups = 3 + brush.random.below(4);
    for _ in 0..groups {
        let (u, v) = (brush.between(-half_u, half_u), brush.between(-half_v, half_v));
        let (spread, count, conifers) = (brush.between(5.0, 16.0), 3 + brush.random.below(10), brush.between(0.0, 0.4));
        for _ in 0..count {
            let at = middle.at(u + brush.between(-spread, spread), v + brush.between(-spread, spread));
            let (radius, kind) = (brush.between(1.8, 4.2), brush.tree_kind(conifers));
            if !in_water(brush, at) {
                brush.plant(at, radius, kind);
            }
        }
    }
}

fn in_water(brush: &Brush<'_>, at: Point) -> bool {
    brush.chunk.surfaces.iter().any(|surface| {
        surface.layer == Layer::Yard
            && surface.paint.material == Material::Water
            && super::super::geometry::inside(brush.chunk.corners(surface), at)
    })
}

fn paths(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let paint = plain(brush.pick(&[Material::Gravel, Material::Sand, Material::Concrete], Material::Gravel));
    // Paths meet at the middle of the edges, so that they go on in the next piece.
    let ends = [(-half_u, 0.0), (half_u, 0.0), (0.0, -half_v), (0.0, half_v)];
    let hub = (brush.between(-0.3, 0.3) * half_u, brush.between(-0.3, 0.3) * half_v);
    for (u, v) in ends {
        let swing = brush.between(-9.0, 9.0);
        let line: Vec<Point> = (0..=8)
            .map(|step| {
                let share = f64::from(step) / 8.0;
                let bow = swing * 4.0 * share * (1.0 - share);
                middle.at(
                    hub.0 + (u - hub.0) * share + if u == 0.0 { bow } else { 0.0 },
                    hub.1 + (v - hub.1) * share + if v == 0.0 { bow } else { 0.0 },
                )
            })
            .collect();
        for pair in line.windows(2) {
            if pair.iter().all(|at| brush.is_free(*at, -2.0)) {
                brush.chunk.strip(Layer::YardDetail, paint, pair, 1.5);
            }
        }
    }
    if brush.is_free(middle.at(hub.0, hub.1), 4.0) {
        brush.chunk.disc(Layer::YardDetail, paint, middle.at(hub.0, hub.1), 4.5);
    }
}

fn pond(brush: &mut Brush<'_>, middle: &Frame, radius: f64) {
    let at = middle.at(brush.between(-8.0, 8.0) + radius * 0.5, brush.between(-8.0, 8.0) - radius * 0.4);
    if !brush.is_free(at, radius + 4.0) {
        return;
    }
    let (lobes, phase) = (2.0 + brush.random.below(3) as f64, brush.between(0.0, TAU));
    let shore = |grow: f64| -> Vec<Point> {
        (0..28)
            .map(|step| {
                let turn = TAU * f64::from(step) / 28.0;
                at + Point::at_angle(turn) * (radius * (0.8 + 0.2 * libm::sin(turn * lobes + phase)) + grow)
            })
            .collect()
    };
    brush.chunk.lay_any(Layer::Yard, toned(Material::Meadow, -14.0), None, &shore(2.2));
    brush.chunk.lay_any(Layer::Yard, plain(Material::Water), None, &shore(0.0));
}

/// A pitch, courts, a track, or the car park of a sports ground.
pub(super) fn sports(brush: &mut Brush<'_>, room: &Room, (u, v): (i32, i32)) {
    let middle = room.middle(brush.district);
    let (half_u, half_v) = (room.width() * 0.5, room.depth() * 0.5);
    match (u + 2 * v).rem_euclid(5) {
        0 => track(brush, &middle, half_u, half_v),
        1 => courts(brush, &middle, half_u, half_v),
        2 => {
            let spot = middle.moved(0.0, -half_v * 0.3);
            parking::bays(brush, &spot, [half_u * 0.75, half_v * 0.45], 80);
            let (wall, roof_paint) = (brush.wall(), brush.roof());
            let size = [half_u, 14.0];
            let building = Building { size, eave_m: 5.0, roof: Roof::Flat, wall, roof_paint, facade: Facade::Hall };
            brush.raise(middle.moved(0.0, half_v * 0.55), &building);
        }
        _ => pitch(brush, &middle, [50.0, 32.0]),
    }
    let mut u = -half_u + 2.0;
    while u < half_u {
        if brush.chance(0.5) {
            let (radius, kind) = (brush.between(1.8, 3.2), brush.tree_kind(0.3));
            brush.plant(middle.at(u, -half_v + 3.0), radius, kind);
        }
        u += 7.0;
    }
}

/// A football pitch of this half length and half width, with stripes, lines and goals.
fn pitch(brush: &mut Brush<'_>, middle: &Frame, [long, wide]: [f64; 2]) {
    if !brush.is_free_rectangle(middle, [-long, long], [-wide, wide], 2.0) {
        return;
    }
    brush.lay(Layer::Yard, plain(Material::Turf), middle, [-long - 3.0, long + 3.0], [-wide - 3.0, wide + 3.0]);
    let stripes = 10;
    for stripe in (0..stripes).step_by(2) {
        let u = -long + f64::from(stripe) * long * 0.2;
        brush.lay(Layer::Yard, toned(Material::Turf, 8.0), middle, [u, u + long * 0.2], [-wide, wide]);
    }
    let white = plain(Material::Marking);
    let mut line = |u: [f64; 2], v: [f64; 2]| brush.lay(Layer::YardDetail, white, middle, u, v);
    for side in [-1.0, 1.0] {
        line([-long, long], [side * wide - 0.12, side * wide + 0.12]);
        line([side * long - 0.12, side * long + 0.12], [-wide, wide]);
        let box_u = side * (long - 16.5);
        line([box_u - 0.12, box_u + 0.12], [-20.0, 20.0]);
        for v in [-20.0, 20.0] {
            line([box_u.min(side * long), box_u.max(side * long)], [v - 0.12, v + 0.12]);
        }
    }
    line([-0.12, 0.12], [-wide, wide]);
    let ring = super::super::scene::circle(middle.origin, 9.15);
    let closed: Vec<Point> = ring.iter().chain(ring.first()).copied().collect();
    brush.chunk.strip(Layer::YardDetail, white, &closed, 0.12);
}

/// A track of 400 m around a pitch.
fn track(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let radius = (half_v - 7.0).min(36.0);
    let straight = (half_u - radius - 6.0).min(42.0);
    if straight < 10.0 || !brush.is_free_rectangle(middle, [-straight, straight], [-radius, radius], 10.0) {
        return pitch(brush, middle, [45.0, 28.0]);
    }
    let oval = |grow: f64| -> Vec<Point> {
        (0..32)
            .map(|step| {
                let turn = TAU * (f64::from(step) + 0.5) / 32.0 - TAU / 4.0;
                let unit = Point::at_angle(turn);
                let shift = if step < 16 { straight } else { -straight };
                middle.at(unit.x * (radius + grow) + shift, unit.y * (radius + grow))
            })
            .collect()
    };
    brush.chunk.lay(Layer::Yard, plain(Material::Tartan), &oval(0.0));
    for lane in 1..6 {
        let ring = oval(-1.2 * f64::from(lane));
        let closed: Vec<Point> = ring.iter().chain(ring.first()).copied().collect();
        brush.chunk.strip(Layer::YardDetail, plain(Material::Marking), &closed, 0.05);
    }
    brush.chunk.lay(Layer::YardDetail, plain(Material::Turf), &oval(-7.4));
    let (wall, roof_paint) = (plain(Material::Concrete), plain(Material::RoofMetal));
    let size = [straight * 1.6, 8.0];
    let stand = Building { size, eave_m: 7.0, roof: Roof::Flat, wall, roof_paint, facade: Facade::Hall };
    brush.raise(middle.moved(0.0, radius + 6.0), &stand);
}

/// Tennis courts on clay or on blue ground.
fn courts(brush: &mut Brush<'_>, middle: &Frame, half_u: f64, half_v: f64) {
    let ground = brush.pick(&[Material::Clay, Material::Clay, Material::Tartan], Material::Clay);
    let (columns, rows) = ((half_u / 9.5).floor() as i32, (half_v / 19.5).floor() as i32);
    for row in 0..rows {
        for column in 0..columns {
            let spot = middle.moved(
                (f64::from(column) - f64::from(columns - 1) * 0.5) * 18.5,
                (f64::from(row) - f64::from(rows - 1) * 0.5) * 38.5,
            );
            if !brush.is_free_rectangle(&spot, [-9.0, 9.0], [-18.0, 18.0], 0.0) {
                continue;
            }
            brush.lay(Layer::Yard, plain(ground), &spot, [-9.0, 9.0], [-18.0, 18.0]);
            let mut line = |u: [f64; 2], v: [f64; 2]| {
                brush.lay(Layer::YardDetail, plain(Material::Marking), &spot, u, v);
            };
            for side in [-1.0, 1.0] {
                for u in [side * 5.48, side * 4.11] {
                    line([u - 0.06, u + 0.06], [-11.9, 11.9]);
                }
                line([-5.5, 5.5], [side * 11.88 - 0.06, side * 11.88 + 0.06]);
                line([-4.1, 4.1], [side * 6.4 - 0.06, side * 6.4 + 0.06]);
            }
            line([-0.06, 0.06], [-6.4, 6.4]);
            line([-5.9, 5.9], [-0.08, 0.08]);
        }
    }
}
