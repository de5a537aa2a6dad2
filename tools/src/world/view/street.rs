//! Street-level views: a camera on a road, looking along it or all around.

use super::super::geometry::{Bounds, Frame, Point, point};
use super::super::palette::Season;
use super::super::render::camera::Pose;
use super::super::town::World;
use super::super::town::blocks::{is_street, street_line};
use super::super::town::district::District;
use super::super::town::grid::{RoadKind, meshes};
use super::area::{Area, TileId};
use super::between;
use super::conditions::Conditions;
use super::shot::{Shot, Sight};
use super::weather::Unlike;
use crate::bench::random::Random;

const STREET: u64 = 0x7374_7265;
/// Half the side of the square in which a road is looked for, in metres.
const REACH_M: f64 = 70.0;
/// How often another place is tried where there is no road.
const TRIES: usize = 60;
/// Height of the camera, in metres.
const EYE_M: f64 = 2.2;

/// What street-level views are made.
#[derive(Debug, Clone, PartialEq)]
pub struct StreetPlan {
    /// Seed of the world; the views follow from it.
    pub seed: u64,
    /// The mapped area.
    pub area: Area,
    /// Pixels per row.
    pub columns: usize,
    /// Rows of pixels.
    pub rows: usize,
    /// How unlike the map they are.
    pub unlike: Unlike,
    /// Season of the map.
    pub map_season: Season,
    /// Whether they show all around.
    pub panorama: bool,
    /// Whether they look north; else along the road, either way.
    pub north: bool,
    /// Horizontal field of view of a view that is no panorama, in degrees.
    pub hfov_deg: f64,
}

/// A street-level view.
#[derive(Debug, Clone, PartialEq)]
pub struct StreetView {
    /// Its number.
    pub number: usize,
    /// Where the camera was and how it looked.
    pub pose: Pose,
    /// The tiles that show the place, that whose middle is nearest first.
    pub tiles: Vec<TileId>,
    /// How it is drawn.
    pub shot: Shot,
}

impl StreetView {
    /// Its file below the folder of pictures.
    pub fn file(&self) -> String {
        format!("street_{:05}.jpg", self.number)
    }
}

/// Points of roads within bounds, with the direction of the road.
pub fn roads_in(world: &World, bounds: &Bounds) -> Vec<Frame> {
    let mut found = Vec::new();
    for (i, j) in meshes(bounds) {
        for north in [false, true] {
            if world.road_kind(i, j, north) != RoadKind::Track {
                pieces(&world.side(i, j, north), &mut found, |_, _| true);
            }
        }
        let district = District::new(world, i, j);
        if !district.has_streets() || !district.bounds.meets(bounds) {
            continue;
        }
        for (u, v) in district.blocks(bounds) {
            for upright in [false, true] {
                let line = street_line(&district, u, v, upright);
                pieces(&line, &mut found, |from, to| {
                    is_street(world, &district, from, to) && district.holds(from.towards(to, 0.5), 0.0)
                });
            }
        }
    }
    found.retain(|at| bounds.holds(at.origin));
    found
}

/// A point per eight metres of a line, where wanted.
fn pieces(line: &[Point], found: &mut Vec<Frame>, wanted: impl Fn(Point, Point) -> bool) {
    for pair in line.windows(2) {
        let [from, to] = pair else { continue };
        if !wanted(*from, *to) {
            continue;
        }
        let axis = (*to - *from).unit();
        let count = ((*to - *from).length() / 8.0).ceil().max(1.0);
        let share = |step: f64| (step + 0.5) / count;
        found.extend((0..count as usize).map(|step| Frame { origin: from.towards(*to, share(step as f64)), axis }));
    }
}

impl StreetPlan {
    /// A view by its number; `None` where no road was found, which is hardly ever.
    pub fn view(&self, world: &World, number: usize) -> Option<StreetView> {
        let mut random = Random::of(&[STREET, self.seed, number as u64]);
        let covered = self.area.covered().grown(-6.0);
        let road = (0..TRIES).find_map(|_| {
            let near = point(
                between(&mut random, covered.min.x, covered.max.x),
                between(&mut random, covered.min.y, covered.max.y),
            );
            self.road_near(world, near, &covered, &mut random)
        })?;
        Some(self.view_at(number, &road, &mut random))
    }

    /// A point of a road near a place and within bounds.
    pub fn road_near(&self, world: &World, near: Point, within: &Bounds, random: &mut Random) -> Option<Frame> {
        let mut roads = roads_in(world, &Bounds::around(near, REACH_M));
        roads.retain(|road| within.holds(road.origin));
        roads.get(random.below(roads.len())).copied()
    }

    /// The view from a point of a road.
    pub fn view_at(&self, number: usize, road: &Frame, random: &mut Random) -> StreetView {
        let axis = if random.below(2) == 0 { road.axis } else { road.axis * -1.0 };
        // Cars keep to the right.
        let at = road.origin + axis.left() * -between(random, 0.6, 1.7);
        let along_deg = libm::atan2(axis.x, axis.y) * 180.0 / std::f64::consts::PI + between(random, -5.0, 5.0);
        let heading = if self.north { 0.0 } else { along_deg };
        let pose = Pose {
            at,
            height_m: EYE_M + between(random, -0.4, 0.5),
            heading_deg: heading - (heading / 360.0).floor() * 360.0,
            pitch_deg: if self.panorama { 0.0 } else { between(random, -3.0, 4.0) },
            roll_deg: 0.0,
            hfov_deg: if self.panorama { 360.0 } else { self.hfov_deg },
        };
        let flight = Conditions::of_flight(random, self.unlike, self.map_season);
        let mut conditions = flight.of_frame(random, Unlike::Little);
        conditions.haze_m = conditions.haze_m.max(1500.0);
        let sight = if self.panorama { Sight::Panorama(pose) } else { Sight::Camera(pose) };
        let shot = Shot { sight, conditions, columns: self.columns, rows: self.rows };
        StreetView { number, pose, tiles: self.area.showing(at), shot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_stand_on_roads_of_the_area_and_name_the_tiles_that_show_them() {
        let plan = StreetPlan {
            seed: 1007,
            area: Area { size_m: 800.0, tile_m: 80.0, overlap: 0.5 },
            columns: 32,
            rows: 32,
            unlike: Unlike::Much,
            map_season: Season::Summer,
            panorama: true,
            north: true,
            hfov_deg: 90.0,
        };
        let world = World::new(plan.seed);
        for number in 0..10 {
            let view = plan.view(&world, number).unwrap();
            let near = plan.area.middle(view.tiles[0]) - view.pose.at;
            assert!(near.x.abs() <= 40.0 && near.y.abs() <= 40.0 && !view.tiles.is_empty());
            let around = roads_in(&world, &Bounds::around(view.pose.at, 8.0));
            assert!(!around.is_empty(), "{view:?}");
        }
    }
}
