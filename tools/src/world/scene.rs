//! What stands in a part of the world: surfaces on the ground, solids, trees, places for cars.

use super::geometry::{Bounds, Frame, Point};
use super::palette::Paint;

/// What lies above what on the ground, from the lowest to the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The ground of a district.
    Base,
    /// Lots, parcels, lawns.
    Lot,
    /// Water.
    Water,
    /// Paths, yards, drives, car parks, pitches.
    Yard,
    /// What is painted or laid on yards.
    YardDetail,
    /// Pavements of side streets.
    Pavement,
    /// Side streets.
    Street,
    /// Pavements and verges of main roads.
    Verge,
    /// Main roads.
    Road,
    /// Lines on roads.
    Marking,
    /// Islands of roundabouts, beds of railways.
    Bed,
    /// Rails.
    Rail,
}

impl Layer {
    /// How many there are.
    pub const COUNT: usize = 12;
}

/// Parallel rows, as of crops or sleepers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rows {
    /// Unit vector across the rows.
    pub across: Point,
    /// Metres from row to row.
    pub period_m: f64,
    /// Percent by which rows and gaps differ from the mean.
    pub strength: f32,
}

/// A flat surface on the ground: a polygon among the points of its chunk.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    /// What it lies above.
    pub layer: Layer,
    /// What it is made of.
    pub paint: Paint,
    /// Rows on it.
    pub rows: Option<Rows>,
    /// Position of its first point.
    pub start: usize,
    /// Number of its points.
    pub points: usize,
    /// Whether it is convex.
    pub convex: bool,
}

/// The form of a solid, its height above its base not counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Roof {
    /// Flat.
    Flat,
    /// Two planes that meet in a ridge along the first axis.
    Gable {
        /// Height of the ridge above the eaves, in metres.
        rise_m: f64,
    },
    /// Four planes that meet in a ridge along the first axis, or in a point where the solid is square.
    Hip {
        /// Height of the ridge above the eaves, in metres.
        rise_m: f64,
    },
    /// A cone over a round solid of twelve sides.
    Cone {
        /// Height of the tip above the eaves, in metres; 0 for a flat drum.
        rise_m: f64,
    },
}

/// What stands on the walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facade {
    /// Nothing.
    Blank,
    /// Single windows and a door.
    House,
    /// Windows in rows, shops on the ground floor.
    Town,
    /// Windows in bands, balconies.
    Slab,
    /// Gates and a band of windows.
    Hall,
    /// Windscreens.
    Car,
}

/// A box with a roof.
#[derive(Debug, Clone, Copy)]
pub struct Solid {
    /// Its middle and the direction of its first axis.
    pub frame: Frame,
    /// Half its length along the first axis, in metres.
    pub half_u: f64,
    /// Half its width, in metres.
    pub half_v: f64,
    /// Height of its foot above the ground, in metres.
    pub base_m: f64,
    /// Height of its eaves above the ground, in metres.
    pub eave_m: f64,
    /// Its roof.
    pub roof: Roof,
    /// Its walls.
    pub wall: Paint,
    /// What the roof is made of.
    pub roof_paint: Paint,
    /// What stands on the walls.
    pub facade: Facade,
    /// Decides on details: chimneys, windows in the roof, panels.
    pub style: u32,
}

impl Solid {
    /// Height of its highest point above the ground, in metres.
    pub fn top_m(&self) -> f64 {
        self.eave_m
            + match self.roof {
                Roof::Flat => 0.0,
                Roof::Gable { rise_m } | Roof::Hip { rise_m } | Roof::Cone { rise_m } => rise_m,
            }
    }
}

/// What kind of tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// Bare in winter.
    Broadleaf,
    /// Green all year, pointed.
    Conifer,
    /// Low and round.
    Bush,
}

/// A tree or a bush.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// Where it stands.
    pub at: Point,
    /// Radius of its crown, in metres.
    pub radius_m: f64,
    /// Height of its top, in metres.
    pub height_m: f64,
    /// What it is.
    pub kind: TreeKind,
    /// Decides on its form and colour.
    pub style: u32,
}

/// A place where a car may stand or drive.
#[derive(Debug, Clone, Copy)]
pub struct CarPlace {
    /// Its middle and the direction in which the car looks.
    pub frame: Frame,
    /// How often a car is there, of 256.
    pub often: u8,
    /// Whether cars drive here, so that every picture shows others.
    pub driving: bool,
    /// Decides with the time about the car.
    pub style: u32,
}

/// All that stands in one part of the world.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    /// Corners of the surfaces.
    pub points: Vec<Point>,
    /// Surfaces on the ground.
    pub surfaces: Vec<Surface>,
    /// Buildings and other solids.
    pub solids: Vec<Solid>,
    /// Trees.
    pub trees: Vec<Tree>,
    /// Places for cars.
    pub cars: Vec<CarPlace>,
}

impl Chunk {
    /// Lays a convex polygon of at least three points.
    pub fn lay(&mut self, layer: Layer, paint: Paint, polygon: &[Point]) {
        self.surface(layer, paint, None, polygon, true);
    }

    /// Lays any polygon, perhaps with rows on it.
    pub fn lay_any(&mut self, layer: Layer, paint: Paint, rows: Option<Rows>, polygon: &[Point]) {
        self.surface(layer, paint, rows, polygon, false);
    }

    fn surface(&mut self, layer: Layer, paint: Paint, rows: Option<Rows>, polygon: &[Point], convex: bool) {
        if polygon.len() >= 3 {
            let start = self.points.len();
            self.points.extend_from_slice(polygon);
            self.surfaces.push(Surface { layer, paint, rows, start, points: polygon.len(), convex });
        }
    }

    /// Lays a strip of some width along a line, a quadrangle per piece; neighbours overlap a little in bends.
    pub fn strip(&mut self, layer: Layer, paint: Paint, line: &[Point], half_width_m: f64) {
        self.strip_beside(layer, paint, line, [-half_width_m, half_width_m]);
    }

    /// Lays a strip between two distances to the left of a line.
    pub fn strip_beside(&mut self, layer: Layer, paint: Paint, line: &[Point], between: [f64; 2]) {
        let normals: Vec<Point> = normals(line);
        let sides: Vec<[Point; 2]> =
            line.iter().zip(&normals).map(|(at, normal)| between.map(|side| *at + *normal * side)).collect();
        for pair in sides.windows(2) {
            if let [[a, b], [c, d]] = pair {
                self.lay(layer, paint, &[*a, *c, *d, *b]);
            }
        }
    }

    /// Lays a disc of twelve or twenty-four sides.
    pub fn disc(&mut self, layer: Layer, paint: Paint, centre: Point, radius_m: f64) {
        self.lay(layer, paint, &circle(centre, radius_m));
    }

    /// The corners of a surface.
    pub fn corners(&self, surface: &Surface) -> &[Point] {
        self.points.get(surface.start..surface.start + surface.points).unwrap_or_default()
    }

    /// Bounds of all that lies in it.
    pub fn bounds(&self) -> Bounds {
        let solids = self.solids.iter().map(|solid| (solid.frame.origin, solid.half_u + solid.half_v));
        let trees = self.trees.iter().map(|tree| (tree.at, tree.radius_m));
        let far = solids.chain(trees).chain(self.cars.iter().map(|car| (car.frame.origin, 4.0)));
        let grow = |bounds: Bounds, (at, reach): (Point, f64)| {
            bounds.with(at - Point { x: reach, y: reach }).with(at + Point { x: reach, y: reach })
        };
        far.fold(Bounds::of(&self.points), grow)
    }
}

/// A regular polygon around a point, with more sides where it is large.
pub fn circle(centre: Point, radius_m: f64) -> Vec<Point> {
    let sides = if radius_m > 8.0 { 24 } else { 12 };
    let turn = std::f64::consts::TAU / f64::from(sides);
    (0..sides).map(|side| centre + Point::at_angle(turn * f64::from(side)) * radius_m).collect()
}

/// Unit vectors to the left of a line, at each of its points.
pub fn normals(line: &[Point]) -> Vec<Point> {
    let last = line.len().saturating_sub(1);
    let at = |index: usize| line.get(index).copied().unwrap_or_default();
    (0..line.len()).map(|index| (at((index + 1).min(last)) - at(index.saturating_sub(1))).unit().left()).collect()
}
