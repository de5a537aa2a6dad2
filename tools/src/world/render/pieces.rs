//! Pieces of the world that were made, kept up to a bound.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::geometry::Bounds;
use super::super::scene::Chunk;
use super::super::town::district::District;
use super::super::town::grid::meshes;
use super::super::town::{Piece, World};

/// Pieces that are kept at most; then all are dropped, which costs little and needs no order.
const MOST_PIECES: usize = 1500;
/// Districts that are kept at most.
const MOST_DISTRICTS: usize = 300;

/// A piece in sight.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) chunk: Arc<Chunk>,
}

/// Pieces that were made.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    districts: HashMap<(i32, i32), Arc<District>>,
    chunks: HashMap<Piece, (Arc<Chunk>, Bounds)>,
}

impl Pieces {
    /// All pieces that reach into bounds, always in the same order.
    pub(super) fn seen(&mut self, world: &World, bounds: &Bounds) -> Vec<Seen> {
        if self.chunks.len() > MOST_PIECES {
            self.chunks.clear();
        }
        if self.districts.len() > MOST_DISTRICTS {
            self.districts.clear();
        }
        let mut wanted = Vec::new();
        for (i, j) in meshes(bounds) {
            let district = self.district(world, i, j);
            wanted.push((Piece::Road(i, j, false), district.clone()));
            wanted.push((Piece::Road(i, j, true), district.clone()));
            if district.bounds.meets(bounds) {
                wanted.push((Piece::Ground(i, j), district.clone()));
                let blocks = district.blocks(bounds);
                wanted.extend(blocks.map(|(u, v)| (Piece::Block(i, j, u, v), district.clone())));
            }
        }
        let mut lines = Vec::new();
        world.line_pieces(bounds, &mut lines);
        let any = self.district(world, 0, 0);
        wanted.extend(lines.into_iter().map(|piece| (piece, any.clone())));
        wanted.iter().filter_map(|(piece, district)| self.chunk(world, *piece, district, bounds)).collect()
    }

    fn chunk(&mut self, world: &World, piece: Piece, district: &District, bounds: &Bounds) -> Option<Seen> {
        let (chunk, own) = self.chunks.entry(piece).or_insert_with(|| {
            let chunk = world.make(piece, district);
            let own = chunk.bounds();
            (Arc::new(chunk), own)
        });
        own.meets(bounds).then(|| Seen { chunk: chunk.clone() })
    }

    fn district(&mut self, world: &World, i: i32, j: i32) -> Arc<District> {
        self.districts.entry((i, j)).or_insert_with(|| Arc::new(District::new(world, i, j))).clone()
    }
}
