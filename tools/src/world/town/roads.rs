//! Main roads with their pavements, verges, lines, trees, and the knots where they meet.

use super::super::geometry::{Frame, Point};
use super::super::palette::{Material, plain, toned};
use super::super::scene::{CarPlace, Chunk, Layer, Solid, Tree, TreeKind, circle};
use super::super::scene::{Facade, Roof};
use super::grid::RoadKind;
use super::{World, between, chance, style};
use crate::bench::random::Random;

const ROAD: u64 = 4;
/// Metres along a road from the knot to the zebra crossing.
const CROSSING_M: f64 = 17.0;

/// Makes the road from knot (i, j) to the east or to the north; that to the east brings the knot.
pub(super) fn make(world: &World, i: i32, j: i32, north: bool) -> Chunk {
    let mut chunk = Chunk::default();
    let kind = world.road_kind(i, j, north);
    let line = world.side(i, j, north);
    let mut random = world.random(ROAD, [i, j, i32::from(north), 0]);
    pave(&mut chunk, kind, &line, &mut random);
    mark(&mut chunk, kind, &line);
    cross(&mut chunk, kind, &line);
    furnish(world, &mut chunk, kind, &line, &mut random);
    if !north {
        knot(world, &mut chunk, i, j);
    }
    chunk
}

fn pave(chunk: &mut Chunk, kind: RoadKind, line: &[Point], random: &mut Random) {
    let tone = between(random, -8.0, 8.0);
    match kind {
        RoadKind::Avenue => {
            chunk.strip(Layer::Verge, plain(Material::Paving), line, kind.reach_m());
            let verge = toned(Material::Grass, 4.0);
            chunk.strip_beside(Layer::Verge, verge, line, [7.2, 9.6]);
            chunk.strip_beside(Layer::Verge, verge, line, [-9.6, -7.2]);
            chunk.strip(Layer::Road, toned(Material::Asphalt, tone), line, kind.half_m());
        }
        RoadKind::Main => {
            chunk.strip(Layer::Verge, toned(Material::Paving, -4.0), line, kind.reach_m());
            chunk.strip(Layer::Road, toned(Material::Asphalt, tone), line, kind.half_m());
        }
        RoadKind::Country => {
            chunk.strip(Layer::Verge, toned(Material::Meadow, -6.0), line, kind.reach_m());
            chunk.strip(Layer::Road, toned(Material::AsphaltOld, tone), line, kind.half_m());
        }
        RoadKind::Track => {
            chunk.strip(Layer::Verge, toned(Material::Gravel, -10.0 + tone), line, kind.half_m());
            chunk.strip(Layer::Verge, toned(Material::Meadow, -12.0), line, 0.35);
        }
    }
}

/// Points along a line every so many metres, with the direction there.
pub(super) fn walk(line: &[Point], step_m: f64) -> Vec<Frame> {
    let mut found = Vec::new();
    let mut next_m = 0.0;
    for pair in line.windows(2) {
        let [from, to] = pair else { continue };
        let length = (*to - *from).length();
        let axis = (*to - *from).unit();
        while next_m < length {
            found.push(Frame { origin: *from + axis * next_m, axis });
            next_m += step_m;
        }
        next_m -= length;
    }
    found
}

fn mark(chunk: &mut Chunk, kind: RoadKind, line: &[Point]) {
    let white = plain(Material::Marking);
    let dash = |chunk: &mut Chunk, side: f64, length: f64, gap: f64, half: f64| {
        for at in walk(line, length + gap) {
            chunk.lay(Layer::Marking, white, &at.rectangle([0.0, length], [side - half, side + half]));
        }
    };
    match kind {
        RoadKind::Avenue => {
            chunk.strip_beside(Layer::Marking, white, line, [0.12, 0.3]);
            chunk.strip_beside(Layer::Marking, white, line, [-0.3, -0.12]);
            dash(chunk, 3.4, 3.0, 6.0, 0.09);
            dash(chunk, -3.4, 3.0, 6.0, 0.09);
        }
        RoadKind::Main => dash(chunk, 0.0, 3.0, 6.0, 0.09),
        RoadKind::Country => {
            dash(chunk, 0.0, 4.0, 8.0, 0.07);
            chunk.strip_beside(Layer::Marking, white, line, [2.95, 3.08]);
            chunk.strip_beside(Layer::Marking, white, line, [-3.08, -2.95]);
        }
        RoadKind::Track => {}
    }
}

fn cross(chunk: &mut Chunk, kind: RoadKind, line: &[Point]) {
    if !matches!(kind, RoadKind::Avenue | RoadKind::Main) {
        return;
    }
    let stations = walk(line, CROSSING_M);
    let last = stations.len().saturating_sub(2);
    for at in [stations.get(1), stations.get(last)].into_iter().flatten() {
        zebra(chunk, at, kind.half_m());
    }
}

/// A zebra crossing over a road of this half width.
pub(super) fn zebra(chunk: &mut Chunk, at: &Frame, half_m: f64) {
    let asphalt = toned(Material::Asphalt, -4.0);
    chunk.lay(Layer::Marking, asphalt, &at.rectangle([-2.0, 2.0], [-half_m, half_m]));
    let bars = (half_m * 2.0) as i32;
    for bar in 0..bars {
        let side = f64::from(bar) - half_m + 0.25;
        chunk.lay(Layer::Marking, plain(Material::Marking), &at.rectangle([-1.8, 1.8], [side, side + 0.5]));
    }
}

fn furnish(world: &World, chunk: &mut Chunk, kind: RoadKind, line: &[Point], random: &mut Random) {
    let lanes: &[f64] = match kind {
        RoadKind::Avenue => &[1.8, 5.1],
        RoadKind::Main => &[2.2],
        RoadKind::Country => &[1.6],
        RoadKind::Track => &[],
    };
    let often = if kind == RoadKind::Avenue { 64 } else { 40 };
    for at in walk(line, 15.0) {
        for lane in lanes {
            // Cars keep to the right.
            let ahead = Frame { origin: at.at(0.0, -lane), axis: at.axis };
            let back = Frame { origin: at.at(0.0, *lane), axis: at.axis * -1.0 };
            for frame in [ahead, back] {
                chunk.cars.push(CarPlace { frame, often, driving: true, style: style(random) });
            }
        }
    }
    let (side, step, share) = match kind {
        RoadKind::Avenue => (8.4, 12.0, 0.85),
        RoadKind::Main => (6.4, 21.0, 0.3),
        RoadKind::Country => (7.2, 13.0, 0.28),
        RoadKind::Track => (4.2, 9.0, 0.22),
    };
    for at in walk(line, step).into_iter().skip(2) {
        for side in [-side, side] {
            let spot = at.at(between(random, -1.0, 1.0), side);
            if chance(random, share) && world.is_dry(spot, 2.0) {
                let radius_m = between(random, 1.9, 3.4);
                let height_m = radius_m * between(random, 2.2, 2.8);
                let kind = TreeKind::Broadleaf;
                chunk.trees.push(Tree { at: spot, radius_m, height_m, kind, style: style(random) });
            }
        }
    }
}

/// The crossing at a knot: plain asphalt, or a roundabout where thoroughfares meet.
fn knot(world: &World, chunk: &mut Chunk, i: i32, j: i32) {
    let at = world.knot(i, j);
    let arms = [(i, j, false), (i - 1, j, false), (i, j, true), (i, j - 1, true)];
    let kinds = arms.map(|(i, j, north)| world.road_kind(i, j, north));
    let half = kinds.iter().map(|kind| kind.half_m()).fold(0.0, f64::max);
    let reach = kinds.iter().map(|kind| kind.reach_m()).fold(0.0, f64::max);
    let mut random = world.random(ROAD, [i, j, 9, 0]);
    if half < 3.0 {
        chunk.disc(Layer::Verge, toned(Material::Gravel, -10.0), at, half + 1.2);
        return;
    }
    if half > 4.0 && chance(&mut random, 0.4) && world.is_dry(at, 24.0) {
        return roundabout(chunk, at, &mut random);
    }
    chunk.disc(Layer::Verge, plain(Material::Paving), at, reach + 2.0);
    chunk.disc(Layer::Marking, plain(Material::Asphalt), at, half + 1.6);
}

fn roundabout(chunk: &mut Chunk, at: Point, random: &mut Random) {
    let radius = between(random, 15.0, 21.0);
    chunk.disc(Layer::Verge, plain(Material::Paving), at, radius + 3.0);
    chunk.disc(Layer::Marking, plain(Material::Asphalt), at, radius);
    chunk.disc(Layer::Bed, plain(Material::Concrete), at, radius - 7.4);
    chunk.disc(Layer::Bed, toned(Material::Lawn, 2.0), at, radius - 8.4);
    if chance(random, 0.5) {
        let count = 3 + random.below(5);
        for spot in circle(at, radius - 10.5).into_iter().step_by(2).take(count) {
            let (radius_m, kind) = (between(random, 1.2, 2.2), TreeKind::Broadleaf);
            chunk.trees.push(Tree { at: spot, radius_m, height_m: radius_m * 2.6, kind, style: style(random) });
        }
    } else {
        chunk.disc(Layer::Rail, plain(Material::Pool), at, 4.0);
        chunk.solids.push(Solid {
            frame: Frame { origin: at, axis: Point::at_angle(0.3) },
            half_u: 0.9,
            half_v: 0.9,
            base_m: 0.0,
            eave_m: between(random, 3.0, 7.0),
            roof: Roof::Cone { rise_m: 1.0 },
            wall: plain(Material::Concrete),
            roof_paint: plain(Material::Concrete),
            facade: Facade::Blank,
            style: 0,
        });
    }
}

/// A line from point to point of a district, with no piece longer than this.
pub(super) fn cut(points: usize, at: impl Fn(f64) -> Point) -> Vec<Point> {
    (0..=points).map(|index| at(index as f64 / points.max(1) as f64)).collect()
}
