//! What fills a block is put down with a brush: it knows world, district and chunk, and keeps clear of roads and water.

use super::super::geometry::{Frame, Point};
use super::super::palette::{Material, Paint, plain, toned};
use super::super::scene::{CarPlace, Chunk, Facade, Layer, Roof, Solid, Tree, TreeKind};
use super::district::District;
use super::{World, between, chance, pick, style};
use crate::bench::random::Random;

/// Puts things into a block.
pub(super) struct Brush<'a> {
    pub(super) world: &'a World,
    pub(super) district: &'a District,
    pub(super) chunk: &'a mut Chunk,
    pub(super) random: Random,
}

/// A building before it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Building {
    /// Length along the first axis and width, in metres.
    pub(super) size: [f64; 2],
    /// Height of the eaves, in metres.
    pub(super) eave_m: f64,
    pub(super) roof: Roof,
    pub(super) wall: Paint,
    pub(super) roof_paint: Paint,
    pub(super) facade: Facade,
}

impl Brush<'_> {
    /// A number between two bounds.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        between(&mut self.random, low, high)
    }

    /// Whether something happens that happens in this share of cases.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        chance(&mut self.random, share)
    }

    /// One of several things.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T], otherwise: T) -> T {
        pick(&mut self.random, of, otherwise)
    }

    /// 32 random bits.
    pub(super) fn style(&mut self) -> u32 {
        style(&mut self.random)
    }

    /// Whether a circle is free of main roads, water and rails.
    pub(super) fn is_free(&self, at: Point, radius_m: f64) -> bool {
        self.district.holds(at, radius_m) && self.world.is_dry(at, radius_m + 1.0)
    }

    /// Whether a rectangle of a frame is free, judged by its corners and its middle.
    pub(super) fn is_free_rectangle(&self, frame: &Frame, u: [f64; 2], v: [f64; 2], margin_m: f64) -> bool {
        let middle = frame.at((u[0] + u[1]) * 0.5, (v[0] + v[1]) * 0.5);
        frame.rectangle(u, v).iter().all(|corner| self.is_free(*corner, margin_m)) && self.is_free(middle, margin_m)
    }

    /// Lays a rectangle of a frame.
    pub(super) fn lay(&mut self, layer: Layer, paint: Paint, frame: &Frame, u: [f64; 2], v: [f64; 2]) {
        self.chunk.lay(layer, paint, &frame.rectangle(u, v));
    }

    /// Raises a building around a frame's origin if there is room; whether it stands.
    pub(super) fn raise(&mut self, frame: Frame, building: &Building) -> bool {
        let [half_u, half_v] = building.size.map(|side| side * 0.5);
        let free = self.is_free_rectangle(&frame, [-half_u, half_u], [-half_v, half_v], 1.2);
        if free {
            let style = self.style();
            self.chunk.solids.push(Solid {
                frame,
                half_u,
                half_v,
                base_m: 0.0,
                eave_m: building.eave_m,
                roof: building.roof,
                wall: building.wall,
                roof_paint: building.roof_paint,
                facade: building.facade,
                style,
            });
        }
        free
    }

    /// Puts a plain box on the ground or on a roof, without asking for room.
    pub(super) fn put(&mut self, frame: Frame, size: [f64; 2], from_to_m: [f64; 2], paints: [Paint; 2]) {
        let ([half_u, half_v], [base_m, eave_m], [wall, roof_paint]) = (size.map(|side| side * 0.5), from_to_m, paints);
        let (roof, facade, style) = (Roof::Flat, Facade::Blank, self.style());
        self.chunk.solids.push(Solid { frame, half_u, half_v, base_m, eave_m, roof, wall, roof_paint, facade, style });
    }

    /// Plants a tree of about this radius if there is room.
    pub(super) fn plant(&mut self, at: Point, radius_m: f64, kind: TreeKind) {
        if !self.is_free(at, radius_m * 0.5) {
            return;
        }
        let radius_m = radius_m * self.between(0.75, 1.25);
        let slender = match kind {
            TreeKind::Broadleaf => self.between(2.0, 2.7),
            TreeKind::Conifer => self.between(3.4, 4.6),
            TreeKind::Bush => self.between(1.1, 1.5),
        };
        let style = self.style();
        self.chunk.trees.push(Tree { at, radius_m, height_m: radius_m * slender, kind, style });
    }

    /// A broadleaf tree, or with this share a conifer.
    pub(super) fn tree_kind(&mut self, conifers: f64) -> TreeKind {
        if self.chance(conifers) { TreeKind::Conifer } else { TreeKind::Broadleaf }
    }

    /// A place for a car.
    pub(super) fn park(&mut self, frame: Frame, often: u8) {
        let style = self.style();
        self.chunk.cars.push(CarPlace { frame, often, driving: false, style });
    }

    /// One of the district's roofs, slightly toned.
    pub(super) fn roof(&mut self) -> Paint {
        let roofs = self.district.roofs;
        let material = self.pick(&roofs, Material::RoofRed);
        let tone = self.between(-9.0, 9.0);
        toned(material, tone)
    }

    /// One of the district's walls, slightly toned.
    pub(super) fn wall(&mut self) -> Paint {
        let walls = self.district.walls;
        let material = self.pick(&walls, Material::WallWhite);
        let tone = self.between(-6.0, 6.0);
        toned(material, tone)
    }

    /// A hedge along a line of a frame.
    pub(super) fn hedge(&mut self, frame: &Frame, length_m: f64) {
        if length_m > 2.0 && self.is_free_rectangle(frame, [-length_m / 2.0, length_m / 2.0], [-0.4, 0.4], 0.4) {
            let hedge = plain(Material::Hedge);
            self.put(*frame, [length_m, 0.8], [0.0, 1.4], [hedge, hedge]);
        }
    }
}
