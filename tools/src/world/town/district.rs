//! A district: its outline, its kind, its frame, the taste of its builders.

use std::f64::consts::{FRAC_PI_2, TAU};

use super::super::geometry::{Bounds, Frame, Point, edges, inside, point, segment_distance};
use super::super::palette::{Material, Paint, toned};
use super::super::scene::{Chunk, Layer};
use super::grid::RoadKind;
use super::{World, between, chance, pick};
use crate::bench::random::Random;

const DISTRICT: u64 = 3;

/// What fills a district.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistrictKind {
    /// Closed blocks around courtyards.
    Centre,
    /// Terraces.
    Rows,
    /// Detached houses in gardens.
    Houses,
    /// Slabs between lawns and car parks.
    Estates,
    /// Halls, yards, large car parks.
    Halls,
    /// Lawns, paths, ponds, trees.
    Park,
    /// Pitches, courts, tracks.
    Sports,
    /// Fields and farms.
    Fields,
    /// Forest.
    Forest,
}

use DistrictKind as K;

/// A district of a world.
#[derive(Debug, Clone)]
pub struct District {
    /// Its mesh of the grid.
    pub mesh: (i32, i32),
    /// What fills it.
    pub kind: DistrictKind,
    /// Its outline, counter-clockwise, along the middle of the main roads.
    pub outline: Vec<Point>,
    /// Half the width of the road along each edge of the outline, in metres.
    edge_half_m: Vec<f64>,
    /// Bounds of the outline.
    pub bounds: Bounds,
    /// Its frame; the origin lies near its middle.
    pub frame: Frame,
    /// Size of a block along both axes, in metres, from middle to middle of the streets.
    pub block_m: Point,
    /// How far its streets swing, in metres; 0 where they are straight.
    pub swing_m: f64,
    wave_m: f64,
    phase: Point,
    /// What its roofs are made of.
    pub roofs: [Material; 3],
    /// What its walls are made of.
    pub walls: [Material; 3],
    /// The block that holds the landmark, if there is one.
    pub landmark: Option<(i32, i32)>,
    /// Random bits for what is common to all its blocks.
    pub taste: u64,
}

impl District {
    /// The district of a mesh.
    pub fn new(world: &World, i: i32, j: i32) -> Self {
        let (outline, edge_half_m) = outline(world, i, j);
        let bounds = Bounds::of(&outline);
        let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)].map(|(i, j)| world.knot(i, j));
        let middle = corners.iter().fold(Point::default(), |sum, corner| sum + *corner * 0.25);
        let mut random = world.random(DISTRICT, [i, j, 0, 0]);
        let kind = kind(&mut random, world.urbanity(middle));
        let [first, second, ..] = corners;
        let along = (second - first).unit();
        // Half of the districts stand along their southern road, the others as they like.
        let angle = if chance(&mut random, 0.5) { 0.0 } else { between(&mut random, 0.0, FRAC_PI_2) };
        let turn = Point::at_angle(angle);
        let axis = point(along.x * turn.x - along.y * turn.y, along.x * turn.y + along.y * turn.x);
        let curved = matches!(kind, K::Houses) && chance(&mut random, 0.45);
        let block_m = block_size(&mut random, kind);
        let mut in_town = || random.below(3) as i32 - 1;
        let (u, v) = (in_town(), in_town());
        let landmark = (matches!(kind, K::Centre | K::Rows | K::Houses | K::Estates | K::Halls)
            && chance(&mut random, 0.5))
        .then_some((u, v));
        Self {
            mesh: (i, j),
            kind,
            outline,
            edge_half_m,
            bounds,
            frame: Frame { origin: middle, axis },
            block_m,
            swing_m: if curved { between(&mut random, 7.0, 13.0) } else { 0.0 },
            wave_m: between(&mut random, 190.0, 280.0),
            phase: point(between(&mut random, 0.0, TAU), between(&mut random, 0.0, TAU)),
            roofs: roofs(&mut random, kind),
            walls: walls(&mut random),
            landmark,
            taste: random.bits(),
        }
    }

    /// A frame at (u, v) of the district, turned as its streets are turned there.
    pub fn place(&self, u: f64, v: f64) -> Frame {
        if self.swing_m == 0.0 {
            return self.frame.moved(u, v);
        }
        let here = self.swung(u, v);
        Frame { origin: here, axis: (self.swung(u + 1.0, v) - here).unit() }
    }

    fn swung(&self, u: f64, v: f64) -> Point {
        let turn = TAU / self.wave_m;
        let du = self.swing_m * libm::sin(v * turn + self.phase.x);
        let dv = self.swing_m * libm::sin(u * turn + self.phase.y);
        self.frame.at(u + du, v + dv)
    }

    /// Whether a circle of this radius lies within the district, clear of the main roads.
    pub fn holds(&self, at: Point, radius_m: f64) -> bool {
        self.bounds.holds(at)
            && inside(&self.outline, at)
            && edges(&self.outline)
                .zip(&self.edge_half_m)
                .all(|((a, b), half)| segment_distance(at, a, b) > half + radius_m)
    }

    /// The blocks that may reach into bounds.
    pub fn blocks(&self, bounds: &Bounds) -> impl Iterator<Item = (i32, i32)> + use<> {
        let local = |bounds: &Bounds| {
            let corners = bounds.corners().map(|corner| self.frame.local(corner));
            Bounds::of(&corners).grown(self.swing_m + 4.0)
        };
        let (asked, own) = (local(bounds), local(&self.bounds));
        let cell = |value: f64, size: f64| (value / size).floor() as i32;
        let u0 = cell(asked.min.x.max(own.min.x), self.block_m.x);
        let u1 = cell(asked.max.x.min(own.max.x), self.block_m.x);
        let v0 = cell(asked.min.y.max(own.min.y), self.block_m.y);
        let v1 = cell(asked.max.y.min(own.max.y), self.block_m.y);
        (v0..=v1).flat_map(move |v| (u0..=u1).map(move |u| (u, v)))
    }

    /// The ground on which all else lies.
    pub fn ground(&self) -> Chunk {
        let mut chunk = Chunk::default();
        chunk.lay_any(Layer::Base, self.ground_paint(), None, &self.outline);
        chunk
    }

    fn ground_paint(&self) -> Paint {
        let tone = (self.taste % 13) as f64 - 6.0;
        match self.kind {
            K::Centre => toned(Material::Paving, tone - 4.0),
            K::Halls => toned(Material::Grass, tone - 2.0),
            K::Fields => toned(Material::Meadow, tone),
            K::Forest => toned(Material::Grass, tone - 28.0),
            _ => toned(Material::Grass, tone),
        }
    }

    /// Whether side streets run between its blocks.
    pub fn has_streets(&self) -> bool {
        !matches!(self.kind, K::Park | K::Sports | K::Fields | K::Forest)
    }
}

fn outline(world: &World, i: i32, j: i32) -> (Vec<Point>, Vec<f64>) {
    let mut outline = Vec::with_capacity(44);
    let mut halves = Vec::with_capacity(44);
    let sides = [(i, j, false, false), (i + 1, j, true, false), (i, j + 1, false, true), (i, j, true, true)];
    for (i, j, north, backwards) in sides {
        let mut line = world.side(i, j, north);
        if backwards {
            line.reverse();
        }
        line.pop();
        halves.extend(line.iter().map(|_| RoadKind::reach_m(world.road_kind(i, j, north))));
        outline.append(&mut line);
    }
    (outline, halves)
}

fn kind(random: &mut Random, urbanity: f64) -> DistrictKind {
    // Shares in percent; what is missing to 100 is forest.
    let shares: &[(DistrictKind, usize)] = if urbanity > 0.68 {
        &[(K::Centre, 58), (K::Rows, 14), (K::Estates, 12), (K::Park, 8), (K::Halls, 5), (K::Sports, 3)]
    } else if urbanity > 0.5 {
        &[(K::Rows, 26), (K::Houses, 34), (K::Estates, 14), (K::Park, 6), (K::Sports, 6), (K::Halls, 9), (K::Centre, 5)]
    } else if urbanity > 0.36 {
        &[(K::Houses, 52), (K::Rows, 12), (K::Halls, 10), (K::Sports, 6), (K::Fields, 12), (K::Park, 4)]
    } else {
        &[(K::Fields, 58), (K::Houses, 18), (K::Halls, 6)]
    };
    let mut left = random.below(100);
    for (kind, share) in shares {
        if left < *share {
            return *kind;
        }
        left -= share;
    }
    K::Forest
}

fn block_size(random: &mut Random, kind: DistrictKind) -> Point {
    let (u, v) = match kind {
        K::Centre => ([68.0, 104.0], [58.0, 80.0]),
        K::Rows => ([84.0, 120.0], [50.0, 58.0]),
        K::Houses => ([88.0, 136.0], [60.0, 74.0]),
        K::Estates => ([100.0, 150.0], [84.0, 104.0]),
        K::Halls => ([110.0, 160.0], [90.0, 120.0]),
        K::Park | K::Sports => ([105.0, 135.0], [90.0, 115.0]),
        K::Fields => ([110.0, 210.0], [80.0, 150.0]),
        K::Forest => ([90.0, 110.0], [90.0, 110.0]),
    };
    let within = |random: &mut Random, [low, high]: [f64; 2]| between(random, low, high);
    point(within(random, u), within(random, v))
}

fn roofs(random: &mut Random, kind: DistrictKind) -> [Material; 3] {
    use Material as M;
    let families = [
        [M::RoofRed, M::RoofRed, M::RoofBrown],
        [M::RoofOrange, M::RoofRed, M::RoofOrange],
        [M::RoofGrey, M::RoofSlate, M::RoofGrey],
        [M::RoofBrown, M::RoofRed, M::RoofGrey],
        [M::RoofSlate, M::RoofSlate, M::RoofRed],
    ];
    let flat = [[M::RoofFlat, M::RoofPebble, M::RoofFlat], [M::RoofPebble, M::RoofGreen, M::RoofFlat]];
    if matches!(kind, K::Estates | K::Halls) {
        pick(random, &flat, [M::RoofFlat; 3])
    } else {
        pick(random, &families, [M::RoofRed; 3])
    }
}

fn walls(random: &mut Random) -> [Material; 3] {
    use Material as M;
    let families = [
        [M::WallWhite, M::WallCream, M::WallWhite],
        [M::WallBrick, M::WallBrick, M::WallWhite],
        [M::WallCream, M::WallYellow, M::WallWhite],
        [M::WallWhite, M::WallGrey, M::WallBlue],
        [M::WallGreen, M::WallCream, M::WallYellow],
    ];
    pick(random, &families, [M::WallWhite; 3])
}
