//! The jittered grid whose sides are main roads and whose meshes are districts.

use super::super::geometry::{Bounds, Point, point};
use super::super::noise::smooth;
use super::{World, between};

/// Mean length of a side of the grid, in metres.
pub const SIDE_M: f64 = 420.0;
/// Pieces into which a side is cut.
const CUTS: i32 = 10;
/// Farthest that a mesh reaches beyond its square of the even grid, in metres.
const REACH_M: f64 = 180.0;

const KNOT: u64 = 1;
const BEND: u64 = 2;

/// What kind of main road.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoadKind {
    /// Four lanes, trees on both sides.
    Avenue,
    /// Two lanes, pavements.
    Main,
    /// Two lanes through the open land.
    Country,
    /// A track between fields.
    Track,
}

impl RoadKind {
    /// Half the width of what is paved for cars, in metres.
    pub fn half_m(self) -> f64 {
        match self {
            Self::Avenue => 7.0,
            Self::Main => 4.6,
            Self::Country => 3.3,
            Self::Track => 1.6,
        }
    }

    /// Half the width with pavements and verges, in metres.
    pub fn reach_m(self) -> f64 {
        match self {
            Self::Avenue => 12.0,
            Self::Main => 7.4,
            Self::Country => 5.0,
            Self::Track => 2.6,
        }
    }
}

impl World {
    /// Where the knot (i, j) lies.
    pub fn knot(&self, i: i32, j: i32) -> Point {
        let mut random = self.random(KNOT, [i, j, 0, 0]);
        let (x, y) = (between(&mut random, -0.2, 0.2), between(&mut random, -0.2, 0.2));
        point((f64::from(i) + x) * SIDE_M, (f64::from(j) + y) * SIDE_M)
    }

    /// How much of a town is around a point: 0 open land, 1 the centre of a town.
    pub fn urbanity(&self, at: Point) -> f64 {
        let wide = smooth(self.seed ^ 0x7572_6261, at.x / 1700.0, at.y / 1700.0);
        let near = smooth(self.seed ^ 0x6e65_6172, at.x / 600.0, at.y / 600.0);
        (0.24 + 0.62 * wide + 0.28 * near).min(1.0)
    }

    /// The line of the main road from knot (i, j) to the next one in the east, or in the north.
    pub fn side(&self, i: i32, j: i32, north: bool) -> Vec<Point> {
        let from = self.knot(i, j);
        let to = if north { self.knot(i, j + 1) } else { self.knot(i + 1, j) };
        let mut random = self.random(BEND, [i, j, i32::from(north), 0]);
        let bend = between(&mut random, -0.13, 0.13);
        let control = from.towards(to, 0.5) + (to - from).left() * bend;
        let at = |cut: i32| {
            let share = f64::from(cut) / f64::from(CUTS);
            from.towards(control, share).towards(control.towards(to, share), share)
        };
        (0..=CUTS).map(at).collect()
    }

    /// What runs along that line.
    pub fn road_kind(&self, i: i32, j: i32, north: bool) -> RoadKind {
        let to = if north { self.knot(i, j + 1) } else { self.knot(i + 1, j) };
        let urbanity = self.urbanity(self.knot(i, j).towards(to, 0.5));
        // Every third line of the grid is a thoroughfare.
        let thorough = (if north { i } else { j }).rem_euclid(3) == 0;
        match (urbanity, thorough) {
            (u, true) if u > 0.5 => RoadKind::Avenue,
            (u, _) if u > 0.38 => RoadKind::Main,
            (_, true) => RoadKind::Country,
            (u, false) if u > 0.3 => RoadKind::Country,
            _ => RoadKind::Track,
        }
    }
}

/// The meshes, or the knots, that may reach into bounds.
pub fn meshes(bounds: &Bounds) -> impl Iterator<Item = (i32, i32)> + use<> {
    let bounds = bounds.grown(REACH_M);
    let cell = |value: f64| (value / SIDE_M).floor() as i32;
    let (west, east) = (cell(bounds.min.x), cell(bounds.max.x));
    (cell(bounds.min.y)..=cell(bounds.max.y)).flat_map(move |j| (west..=east).map(move |i| (i, j)))
}
