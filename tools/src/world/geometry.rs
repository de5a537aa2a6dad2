//! Points, frames and polygons on the plane of the world: metres east (`x`) and north (`y`) of its origin.

use std::ops::{Add, Mul, Sub};

/// A point or a vector, in metres.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// East.
    pub x: f64,
    /// North.
    pub y: f64,
}

/// A point, written shortly.
pub const fn point(x: f64, y: f64) -> Point {
    Point { x, y }
}

impl Add for Point {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        point(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        point(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f64> for Point {
    type Output = Self;

    fn mul(self, scale: f64) -> Self {
        point(self.x * scale, self.y * scale)
    }
}

impl Point {
    /// The unit vector at an angle in radians, counted from east to north.
    pub fn at_angle(radians: f64) -> Self {
        let (sin, cos) = libm::sincos(radians);
        point(cos, sin)
    }

    /// The scalar product.
    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    /// The third component of the cross product.
    pub fn cross(self, other: Self) -> f64 {
        self.x * other.y - self.y * other.x
    }

    /// The length, in metres.
    pub fn length(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The vector of length 1 in this direction; east where this one has no length.
    pub fn unit(self) -> Self {
        let length = self.length();
        if length > 0.0 { self * (1.0 / length) } else { point(1.0, 0.0) }
    }

    /// The vector turned by a quarter to the left.
    pub fn left(self) -> Self {
        point(-self.y, self.x)
    }

    /// The point between this one (0) and the other (1).
    pub fn towards(self, other: Self, share: f64) -> Self {
        self + (other - self) * share
    }
}

/// A right-angled frame: `axis` is its first unit vector, the second one lies to the left of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Where (0, 0) is.
    pub origin: Point,
    /// The first axis, of length 1.
    pub axis: Point,
}

impl Frame {
    /// The point at (u, v) of the frame.
    pub fn at(&self, u: f64, v: f64) -> Point {
        self.origin + self.axis * u + self.axis.left() * v
    }

    /// The coordinates of a point in the frame.
    pub fn local(&self, at: Point) -> Point {
        let from = at - self.origin;
        point(from.dot(self.axis), from.dot(self.axis.left()))
    }

    /// A frame at (u, v) with the same axes.
    pub fn moved(&self, u: f64, v: f64) -> Self {
        Self { origin: self.at(u, v), axis: self.axis }
    }

    /// The frame turned by a quarter to the left.
    pub fn turned(&self) -> Self {
        Self { origin: self.origin, axis: self.axis.left() }
    }

    /// The corners of a rectangle of the frame, counter-clockwise.
    pub fn rectangle(&self, u: [f64; 2], v: [f64; 2]) -> [Point; 4] {
        let ([u0, u1], [v0, v1]) = (u, v);
        [self.at(u0, v0), self.at(u1, v0), self.at(u1, v1), self.at(u0, v1)]
    }
}

/// A rectangle along the axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// South-west corner.
    pub min: Point,
    /// North-east corner.
    pub max: Point,
}

impl Bounds {
    /// The rectangle that holds nothing.
    pub const EMPTY: Self =
        Self { min: point(f64::INFINITY, f64::INFINITY), max: point(f64::NEG_INFINITY, f64::NEG_INFINITY) };

    /// The least rectangle that holds all points.
    pub fn of(points: &[Point]) -> Self {
        points.iter().fold(Self::EMPTY, |bounds, at| bounds.with(*at))
    }

    /// A square around a point.
    pub fn around(at: Point, reach: f64) -> Self {
        Self { min: at - point(reach, reach), max: at + point(reach, reach) }
    }

    /// The least rectangle that holds this one and a point.
    #[must_use]
    pub fn with(self, at: Point) -> Self {
        Self {
            min: point(self.min.x.min(at.x), self.min.y.min(at.y)),
            max: point(self.max.x.max(at.x), self.max.y.max(at.y)),
        }
    }

    /// The rectangle with a margin on all sides.
    #[must_use]
    pub fn grown(self, margin: f64) -> Self {
        Self { min: self.min - point(margin, margin), max: self.max + point(margin, margin) }
    }

    /// Whether the two have a point in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.min.x <= other.max.x && other.min.x <= self.max.x && self.min.y <= other.max.y && other.min.y <= self.max.y
    }

    /// Whether a point lies in it.
    pub fn holds(&self, at: Point) -> bool {
        self.min.x <= at.x && at.x <= self.max.x && self.min.y <= at.y && at.y <= self.max.y
    }

    /// The corners, counter-clockwise.
    pub fn corners(&self) -> [Point; 4] {
        [self.min, point(self.max.x, self.min.y), self.max, point(self.min.x, self.max.y)]
    }
}

/// The edges of a closed polygon: each point with the next one.
pub fn edges(polygon: &[Point]) -> impl Iterator<Item = (Point, Point)> + '_ {
    polygon.iter().copied().zip(polygon.iter().copied().cycle().skip(1))
}

/// Distance of a point from a straight line between two points, in metres.
pub fn segment_distance(at: Point, from: Point, to: Point) -> f64 {
    let (along, way) = (to - from, at - from);
    let share = (way.dot(along) / along.dot(along).max(1e-9)).clamp(0.0, 1.0);
    (way - along * share).length()
}

/// Whether a point lies in a polygon (even-odd rule).
pub fn inside(polygon: &[Point], at: Point) -> bool {
    let crosses =
        |(a, b): (Point, Point)| (a.y > at.y) != (b.y > at.y) && at.x < a.x + (b.x - a.x) * (at.y - a.y) / (b.y - a.y);
    edges(polygon).filter(|edge| crosses(*edge)).count() % 2 == 1
}

/// The part of a polygon that lies within a convex, counter-clockwise one (Sutherland and Hodgman, 1974). Parts that
/// fall asunder stay joined by edges of no width.
pub fn clipped(subject: &[Point], clip: &[Point]) -> Vec<Point> {
    let mut kept = subject.to_vec();
    for (from, to) in edges(clip) {
        let depth = |at: Point| (to - from).cross(at - from);
        let mut next = Vec::with_capacity(kept.len() + 4);
        for (a, b) in edges(&kept) {
            let (depth_a, depth_b) = (depth(a), depth(b));
            if depth_a >= 0.0 {
                next.push(a);
            }
            if (depth_a >= 0.0) != (depth_b >= 0.0) {
                next.push(a.towards(b, depth_a / (depth_a - depth_b)));
            }
        }
        kept = next;
    }
    kept
}

/// The convex hull, counter-clockwise (Andrew's monotone chain, 1979).
pub fn hull(points: &mut [Point]) -> Vec<Point> {
    points.sort_unstable_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let mut around = half_hull(points.iter());
    around.pop();
    let mut back = half_hull(points.iter().rev());
    back.pop();
    around.append(&mut back);
    around
}

fn half_hull<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Point> {
    let mut chain: Vec<Point> = Vec::with_capacity(8);
    for &at in points {
        while let [.., before, last] = chain.as_slice()
            && (*last - *before).cross(at - *before) <= 0.0
        {
            chain.pop();
        }
        chain.push(at);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: [Point; 4] = [point(0.0, 0.0), point(2.0, 0.0), point(2.0, 2.0), point(0.0, 2.0)];

    #[test]
    fn a_frame_goes_there_and_back() {
        let frame = Frame { origin: point(3.0, 4.0), axis: Point::at_angle(0.7) };
        let there = frame.at(5.0, -2.0);
        let back = frame.local(there);
        assert!((back.x - 5.0).abs() < 1e-12 && (back.y + 2.0).abs() < 1e-12);
    }

    #[test]
    fn points_are_inside_or_outside() {
        assert!(inside(&SQUARE, point(1.0, 1.0)));
        assert!(!inside(&SQUARE, point(3.0, 1.0)) && !inside(&SQUARE, point(1.0, -0.1)));
        assert!((segment_distance(point(1.0, 3.0), SQUARE[3], SQUARE[2]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn clipping_keeps_what_lies_within() {
        let other = SQUARE.map(|at| at + point(1.0, 1.0));
        let both = Bounds::of(&clipped(&other, &SQUARE));
        assert_eq!(both, Bounds { min: point(1.0, 1.0), max: point(2.0, 2.0) });
        assert!(clipped(&SQUARE.map(|at| at + point(9.0, 0.0)), &SQUARE).is_empty());
    }

    #[test]
    fn the_hull_leaves_out_what_lies_inside() {
        let mut points = [SQUARE[2], point(1.0, 1.0), SQUARE[0], point(1.0, 0.5), SQUARE[1], SQUARE[3]];
        assert_eq!(hull(&mut points), SQUARE);
    }
}
