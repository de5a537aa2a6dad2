//! What stands where: a town of districts between main roads, each with blocks of its own kind, rivers and railways.
//!
//! Districts are the meshes of a jittered grid (`grid`); main roads run along its sides (`roads`). A district has a
//! frame of its own, in which side streets cut it into blocks (`district`, `blocks`). Blocks are filled by kind.

pub mod blocks;
mod brush;
mod centre;
pub mod district;
mod estates;
mod fields;
pub mod grid;
mod halls;
mod houses;
mod landmarks;
mod leisure;
mod lines;
mod parking;
mod roads;

use super::geometry::{Bounds, Point};
use super::scene::Chunk;
use crate::bench::random::Random;
use district::District;

/// A piece of the world that is made at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// The ground of a district.
    Ground(i32, i32),
    /// A block of a district.
    Block(i32, i32, i32, i32),
    /// The main road from a knot of the grid to the east (false) or to the north (true), and the knot.
    Road(i32, i32, bool),
    /// A stretch of a river.
    River(i32, i32),
    /// A stretch of a railway.
    Railway(i32, i32),
}

/// A world: a function of its seed.
#[derive(Debug, Clone, Copy)]
pub struct World {
    seed: u64,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Its seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Random numbers of this world for a purpose and a place.
    fn random(&self, purpose: u64, at: [i32; 4]) -> Random {
        let [a, b, c, d] = at.map(|part| i64::from(part) as u64);
        Random::of(&[self.seed, purpose, a, b, c, d])
    }

    /// Makes a piece. `district` gives districts, perhaps kept ones.
    pub fn make(&self, piece: Piece, district: &District) -> Chunk {
        match piece {
            Piece::Ground(..) => district.ground(),
            Piece::Block(_, _, u, v) => blocks::make(self, district, u, v),
            Piece::Road(i, j, north) => roads::make(self, i, j, north),
            Piece::River(k, n) => lines::river_piece(self, k, n),
            Piece::Railway(k, n) => lines::railway_piece(self, k, n),
        }
    }

    /// The pieces of rivers and railways that may lie within bounds.
    pub fn line_pieces(&self, bounds: &Bounds, found: &mut Vec<Piece>) {
        lines::pieces(self, bounds, found);
    }

    /// Whether a point is farther than `margin_m` from rivers and railways.
    pub fn is_dry(&self, at: Point, margin_m: f64) -> bool {
        lines::distance_m(self, at) > margin_m
    }
}

/// A number between two bounds.
fn between(random: &mut Random, low: f64, high: f64) -> f64 {
    low + (high - low) * f64::from(random.unit())
}

/// Whether something happens that happens in this share of cases.
fn chance(random: &mut Random, share: f64) -> bool {
    f64::from(random.unit()) < share
}

/// One of several things, by chance.
fn pick<T: Copy>(random: &mut Random, of: &[T], otherwise: T) -> T {
    of.get(random.below(of.len())).copied().unwrap_or(otherwise)
}

/// 32 random bits.
fn style(random: &mut Random) -> u32 {
    (random.bits() >> 32) as u32
}
