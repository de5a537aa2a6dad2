//! Rivers, which run from west to east, and railways, which run from south to north, through everything.

use super::super::geometry::{Bounds, Point, point};
use super::super::noise::smooth;
use super::super::palette::{Material, plain, toned};
use super::super::scene::{Chunk, Layer, Rows, Tree, TreeKind, normals};
use super::{Piece, World, between, chance, style};

/// Mean distance between rivers, in metres.
const RIVERS_M: f64 = 2300.0;
/// Mean distance between railways, in metres.
const RAILWAYS_M: f64 = 2900.0;
/// Farthest that a line swings from its mean, in metres.
const SWING_M: f64 = 200.0;
/// Length of a piece, in metres.
const PIECE_M: f64 = 160.0;
/// Half the width of a railway's bed, in metres.
const BED_M: f64 = 4.6;
/// A distance that stands for far away, in metres.
const FAR_M: f64 = 1000.0;

const PHASE: u64 = 10;
const BANK: u64 = 11;

/// The northing of river `k` at an easting, and half its width there.
fn river(world: &World, k: i32, x: f64) -> (f64, f64) {
    let seed = world.seed ^ 0x7269_7665;
    let phase = between(&mut world.random(PHASE, [k, 0, 0, 0]), 0.0, RIVERS_M - 2.0 * SWING_M);
    let swing = smooth(seed, x / 640.0, f64::from(k) * 7.0) + 0.35 * smooth(seed, x / 210.0, f64::from(k) * 7.0 + 3.0);
    let half = 13.0 + 14.0 * smooth(seed, x / 500.0, f64::from(k) * 7.0 + 5.0);
    (f64::from(k) * RIVERS_M + phase + (swing / 0.675 - 1.0) * SWING_M, half)
}

/// The easting of railway `k` at a northing.
fn railway(world: &World, k: i32, y: f64) -> f64 {
    let phase = between(&mut world.random(PHASE, [k, 1, 0, 0]), 0.0, RAILWAYS_M - 2.0 * SWING_M);
    let swing = smooth(world.seed ^ 0x7261_696c, y / 900.0, f64::from(k) * 7.0);
    f64::from(k) * RAILWAYS_M + phase + (swing * 2.0 - 1.0) * SWING_M
}

/// The lines of a family that may come near a coordinate.
fn near(spacing_m: f64, from: f64, to: f64) -> std::ops::RangeInclusive<i32> {
    let first = ((from - spacing_m) / spacing_m).floor() as i32;
    first..=(to / spacing_m).floor() as i32 + 1
}

/// At least the distance from the edge of the nearest river or railway, in metres; negative within one.
pub(super) fn distance_m(world: &World, at: Point) -> f64 {
    let mut least = FAR_M;
    for k in near(RIVERS_M, at.y, at.y) {
        let (y, half) = river(world, k, at.x);
        least = least.min((at.y - y).abs() * 0.75 - half);
    }
    for k in near(RAILWAYS_M, at.x, at.x) {
        least = least.min((at.x - railway(world, k, at.y)).abs() * 0.85 - BED_M);
    }
    least
}

/// The pieces that may lie within bounds.
pub(super) fn pieces(world: &World, bounds: &Bounds, found: &mut Vec<Piece>) {
    let cells = |from: f64, to: f64| (from / PIECE_M).floor() as i32..=(to / PIECE_M).floor() as i32;
    let meets = |low: f64, high: f64, at: f64| low - 120.0 < at && at < high + 120.0;
    for k in near(RIVERS_M, bounds.min.y, bounds.max.y) {
        for n in cells(bounds.min.x, bounds.max.x) {
            if meets(bounds.min.y, bounds.max.y, river(world, k, (f64::from(n) + 0.5) * PIECE_M).0) {
                found.push(Piece::River(k, n));
            }
        }
    }
    for k in near(RAILWAYS_M, bounds.min.x, bounds.max.x) {
        for n in cells(bounds.min.y, bounds.max.y) {
            if meets(bounds.min.x, bounds.max.x, railway(world, k, (f64::from(n) + 0.5) * PIECE_M)) {
                found.push(Piece::Railway(k, n));
            }
        }
    }
}

/// The points of a piece, ten metres apart, with one more at either end for the direction.
fn stations(n: i32) -> impl Iterator<Item = f64> {
    (0..=16).map(move |step| f64::from(n) * PIECE_M + f64::from(step) * 10.0)
}

/// A piece of a river with its banks and the trees on them.
pub(super) fn river_piece(world: &World, k: i32, n: i32) -> Chunk {
    let mut chunk = Chunk::default();
    let stations: Vec<(Point, f64)> =
        stations(n).map(|x| (river(world, k, x), x)).map(|((y, half), x)| (point(x, y), half)).collect();
    let quad = |a: &(Point, f64), b: &(Point, f64), grow: f64| {
        let at = |end: &(Point, f64), side: f64| end.0 + point(0.0, side * (end.1 * 1.33 + grow));
        [at(a, -1.0), at(b, -1.0), at(b, 1.0), at(a, 1.0)]
    };
    for pair in stations.windows(2) {
        if let [a, b] = pair {
            chunk.lay(Layer::Water, toned(Material::Meadow, -6.0), &quad(a, b, 6.0));
            chunk.lay(Layer::Water, plain(Material::Gravel), &quad(a, b, 1.6));
            chunk.lay(Layer::Water, plain(Material::Water), &quad(a, b, 0.0));
        }
    }
    // Within a layer, what comes later lies higher: water above gravel above the bank.
    chunk.surfaces.sort_by_key(|surface| match surface.paint.material {
        Material::Meadow => 0,
        Material::Gravel => 1,
        _ => 2,
    });
    let mut random = world.random(BANK, [k, n, 0, 0]);
    for (at, half) in stations.iter().take(16) {
        for side in [-1.0, 1.0] {
            if chance(&mut random, 0.45) {
                let away = half * 1.33 + between(&mut random, 4.0, 6.5);
                let at = *at + point(between(&mut random, 0.0, 9.0), side * away);
                let (radius_m, kind) = (between(&mut random, 1.6, 3.8), TreeKind::Broadleaf);
                chunk.trees.push(Tree { at, radius_m, height_m: radius_m * 2.3, kind, style: style(&mut random) });
            }
        }
    }
    chunk
}

/// A piece of a railway of two tracks.
pub(super) fn railway_piece(world: &World, k: i32, n: i32) -> Chunk {
    let mut chunk = Chunk::default();
    let line: Vec<Point> = stations(n).map(|y| point(railway(world, k, y), y)).collect();
    let sides = normals(&line);
    for (pair, normal) in line.windows(2).zip(&sides) {
        if let [a, b] = pair {
            let along = (*b - *a).unit();
            let sleepers = Rows { across: along, period_m: 1.3, strength: 9.0 };
            for (paint, rows, half) in [
                (toned(Material::Meadow, -10.0), None, BED_M + 2.5),
                (toned(Material::Gravel, -14.0), None, BED_M),
                (plain(Material::Sleeper), Some(sleepers), 3.5),
            ] {
                let corners = [*a - *normal * half, *b - *normal * half, *b + *normal * half, *a + *normal * half];
                chunk.lay_any(Layer::Bed, paint, rows, &corners);
            }
        }
    }
    chunk.surfaces.sort_by_key(|surface| match surface.paint.material {
        Material::Meadow => 0,
        Material::Gravel => 1,
        _ => 2,
    });
    for rail in [-2.9, -1.4, 1.4, 2.9] {
        chunk.strip_beside(Layer::Rail, plain(Material::Steel), &line, [rail - 0.1, rail + 0.1]);
    }
    chunk
}
