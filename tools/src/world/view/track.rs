//! Where a drone flies: to and fro in lanes, in curves, straight on.

use std::f64::consts::TAU;

use super::super::geometry::{Bounds, Point, point};
use super::between;
use crate::bench::random::Random;

/// A point of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Station {
    /// Where.
    pub at: Point,
    /// Unit vector of the way.
    pub along: Point,
}

/// How a drone flies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Lanes side by side, there and back.
    Lanes,
    /// A curve that bends now to the left, now to the right.
    Curve,
    /// Straight on, out of the area.
    Leaving,
}

/// The stations of a flight, `step_m` apart.
pub fn stations(random: &mut Random, course: Course, area: &Bounds, count: usize, step_m: f64) -> Vec<Station> {
    let margin = 0.06 * (area.max.x - area.min.x);
    let inner = area.grown(-margin);
    let start = point(between(random, inner.min.x, inner.max.x), between(random, inner.min.y, inner.max.y));
    match course {
        Course::Lanes => lanes(random, start, &inner, count, step_m),
        Course::Curve => curve(random, start, &inner, count, step_m),
        Course::Leaving => leaving(random, area, count, step_m),
    }
}

/// As many stations as asked, each by what the one before says.
fn walk(count: usize, first: Station, mut next: impl FnMut(usize, Station) -> Station) -> Vec<Station> {
    let mut found = Vec::with_capacity(count);
    let mut now = first;
    for index in 0..count {
        found.push(now);
        now = next(index, now);
    }
    found
}

fn lanes(random: &mut Random, start: Point, inner: &Bounds, count: usize, step_m: f64) -> Vec<Station> {
    let along = Point::at_angle(between(random, 0.0, TAU));
    let lane = (between(random, 160.0, 420.0) / step_m).ceil() as usize;
    let spacing = between(random, 30.0, 60.0);
    let mut since = 0;
    walk(count, Station { at: start, along }, |_, now| {
        since += 1;
        let ahead = now.at + now.along * step_m;
        if since < lane && inner.holds(ahead) {
            return Station { at: ahead, along: now.along };
        }
        since = 0;
        let beside = now.at + along.left() * spacing;
        let at = if inner.holds(beside) { beside } else { now.at + along.left() * -spacing };
        Station { at, along: now.along * -1.0 }
    })
}

fn curve(random: &mut Random, start: Point, inner: &Bounds, count: usize, step_m: f64) -> Vec<Station> {
    let middle = inner.min.towards(inner.max, 0.5);
    let mut angle = between(random, 0.0, TAU);
    let mut bend = 0.0;
    walk(count, Station { at: start, along: Point::at_angle(angle) }, |index, now| {
        if index % 6 == 0 {
            bend = between(random, -0.016, 0.016);
        }
        // Near the edge it turns back to the middle.
        let back = now.along.cross((middle - now.at).unit());
        let turn = if inner.holds(now.at + now.along * (step_m * 3.0)) { bend } else { 0.03 * back.signum() };
        angle += turn * step_m;
        let along = Point::at_angle(angle);
        Station { at: now.at + along * step_m, along }
    })
}

/// Over the edge about half-way.
fn leaving(random: &mut Random, area: &Bounds, count: usize, step_m: f64) -> Vec<Station> {
    let middle = area.min.towards(area.max, 0.5);
    let half = (area.max.x - area.min.x) * 0.5;
    let (side, share) = (random.below(4), between(random, -0.8, 0.8) * half);
    let (edge, out) = match side {
        0 => (point(half, share), point(1.0, 0.0)),
        1 => (point(share, half), point(0.0, 1.0)),
        2 => (point(-half, share), point(-1.0, 0.0)),
        _ => (point(share, -half), point(0.0, -1.0)),
    };
    let along = (out + out.left() * between(random, -0.6, 0.6)).unit();
    let first = middle + edge - along * (step_m * count as f64 * 0.4);
    walk(count, Station { at: first, along }, |_, now| Station { at: now.at + along * step_m, along })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drones_stay_inside_but_for_those_that_leave() {
        let area = Bounds::around(Point::default(), 500.0);
        for number in 0..20 {
            for course in [Course::Lanes, Course::Curve, Course::Leaving] {
                let mut random = Random::of(&[number]);
                let stations = stations(&mut random, course, &area, 60, 15.0);
                assert_eq!(stations.len(), 60);
                let inside = stations.iter().filter(|station| area.holds(station.at)).count();
                assert_eq!(inside == 60, course != Course::Leaving, "{course:?} {number}: {inside}");
                assert!(inside > 10, "{course:?} {number}: {inside}");
            }
        }
    }
}
