//! Pairs for training: a tile of the map and a view from a drone, from the street, of the same place.
//!
//! Records come in groups: the records of a group lie in one region of one world, so that those beside a record are
//! hard negatives for it. A record follows from its number and the seeds alone.

use super::super::geometry::{Bounds, Point, point};
use super::super::palette::Season;
use super::super::render::Renderer;
use super::super::render::camera::Pose;
use super::super::town::World;
use super::super::view::area::Area;
use super::super::view::conditions::Conditions;
use super::super::view::shot::{Shot, Sight};
use super::super::view::street::StreetPlan;
use super::super::view::weather::Unlike;
use crate::bench::random::Random;

const GROUP: u64 = 0x6772_6f75;
const RECORD: u64 = 0x7265_636f;

/// Numbers that a record of `records.npy` has, in this order.
pub const FIELDS: [&str; 16] = [
    "seed",
    "group",
    "map_x_m",
    "map_y_m",
    "drone_x_m",
    "drone_y_m",
    "view_x_m",
    "view_y_m",
    "heading_deg",
    "height_m",
    "pitch_deg",
    "season",
    "street_x_m",
    "street_y_m",
    "roll_deg",
    "hfov_deg",
];

/// What pairs are made.
#[derive(Debug, Clone, PartialEq)]
pub struct PairPlan {
    /// First seed of the worlds.
    pub first_seed: u64,
    /// Number of worlds.
    pub seeds: u64,
    /// Side of a tile, in metres.
    pub tile_m: f64,
    /// Pixels along the sides of tiles and drone views.
    pub px: usize,
    /// Share of oblique drone views.
    pub oblique: f64,
    /// Farthest along either axis that a view's ground lies from the middle of its tile, as a share of its side.
    pub offset: f64,
    /// Pixels of a street-level panorama; none are made where this is absent.
    pub street: Option<[usize; 2]>,
    /// Records that lie in one region.
    pub group: usize,
    /// Side of a region, in metres.
    pub region_m: f64,
    /// Farthest that regions lie from the origin of their world, in metres.
    pub reach_m: f64,
}

/// A record before it is drawn.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The world.
    pub seed: u64,
    /// The tile.
    pub map: Shot,
    /// The drone's view.
    pub drone: Shot,
    /// The street-level view, where wanted and where a road is near.
    pub street: Option<Shot>,
    /// The values of [`FIELDS`].
    pub fields: [f64; 16],
}

impl PairPlan {
    /// The world of a record.
    pub fn world(&self, number: usize) -> World {
        World::new(self.seed(number))
    }

    fn seed(&self, number: usize) -> u64 {
        // Neighbouring groups lie in different worlds, so that any part of the records shows many.
        self.first_seed + (number / self.group.max(1)) as u64 % self.seeds.max(1)
    }

    /// A record by its number.
    pub fn pair(&self, number: usize) -> Pair {
        let group = number / self.group.max(1);
        let seed = self.seed(number);
        let mut of_group = Random::of(&[GROUP, seed, group as u64]);
        let region = square(&mut of_group, self.reach_m);
        let map_conditions = Conditions::any_map(&mut of_group);
        let mut random = Random::of(&[RECORD, seed, number as u64]);
        let place = region + square(&mut random, self.region_m * 0.5);
        let (place, street) = match self.street {
            Some(size) => self.street_shot(seed, place, size, map_conditions.season, &mut random),
            None => (place, None),
        };
        let middle = place + square(&mut random, self.offset * self.tile_m);
        let sight = Sight::Map { middle, side_m: self.tile_m };
        let map = Shot { sight, conditions: map_conditions, columns: self.px, rows: self.px };
        let view = place + square(&mut random, 0.05 * self.tile_m);
        let (drone, pose) = self.drone_shot(view, &mut random);
        let at = street.as_ref().map_or(point(f64::NAN, f64::NAN), |_| place);
        let season = Season::ALL.iter().position(|season| *season == drone.conditions.season).unwrap_or_default();
        let fields = [
            seed as f64,
            group as f64,
            middle.x,
            middle.y,
            pose.at.x,
            pose.at.y,
            view.x,
            view.y,
            pose.heading_deg,
            pose.height_m,
            pose.pitch_deg,
            season as f64,
            at.x,
            at.y,
            pose.roll_deg,
            pose.hfov_deg,
        ];
        Pair { seed, map, drone, street, fields }
    }

    /// A street-level view near a place, and where it stands.
    fn street_shot(
        &self,
        seed: u64,
        place: Point,
        [columns, rows]: [usize; 2],
        map_season: Season,
        random: &mut Random,
    ) -> (Point, Option<Shot>) {
        let area = Area { size_m: self.tile_m, tile_m: self.tile_m, overlap: 0.5 };
        let (unlike, hfov_deg) = (Unlike::Any, 90.0);
        let plan = StreetPlan { seed, area, columns, rows, unlike, map_season, panorama: true, north: true, hfov_deg };
        let everywhere = Bounds::around(place, 1000.0);
        match plan.road_near(&World::new(seed), place, &everywhere, random) {
            Some(road) => {
                let view = plan.view_at(0, &road, random);
                (view.pose.at, Some(view.shot))
            }
            None => (place, None),
        }
    }

    /// A drone that looks at a place.
    fn drone_shot(&self, view: Point, random: &mut Random) -> (Shot, Pose) {
        let mut between = |low: f64, high: f64| low + (high - low) * f64::from(random.unit());
        let hfov_deg = between(52.0, 72.0);
        let half = hfov_deg * std::f64::consts::PI / 360.0;
        let height_m = self.tile_m * 0.5 / libm::tan(half) * between(0.68, 1.34);
        let is_oblique = between(0.0, 1.0) < self.oblique;
        let pitch_deg = if is_oblique { between(-62.0, -34.0) } else { -90.0 + between(0.0, 9.0) };
        let heading_deg = between(0.0, 360.0);
        let roll_deg = between(-4.0, 4.0);
        // From where a camera looks at the place: back along the heading by height over the slope of the view.
        let slope = libm::tan(-pitch_deg * std::f64::consts::PI / 180.0);
        let back = if pitch_deg <= -89.99 { 0.0 } else { height_m / slope };
        let (sin, cos) = libm::sincos(heading_deg * std::f64::consts::PI / 180.0);
        let pose = Pose { at: view - point(sin, cos) * back, height_m, heading_deg, pitch_deg, roll_deg, hfov_deg };
        let flight = Conditions::of_flight(random, Unlike::Any, Season::Summer);
        let conditions = flight.of_frame(random, Unlike::Much);
        (Shot { sight: Sight::Camera(pose), conditions, columns: self.px, rows: self.px }, pose)
    }
}

impl Pair {
    /// The pixels of tile, drone view, and street view (black where no road is near).
    pub fn draw(&self, renderer: &mut Renderer, street: Option<[usize; 2]>) -> [Vec<u8>; 3] {
        let empty = street.map_or(0, |[columns, rows]| columns * rows * 3);
        let street = self.street.as_ref().map_or_else(|| vec![0; empty], |shot| shot.pixels(renderer));
        [self.map.pixels(renderer), self.drone.pixels(renderer), street]
    }
}

/// A point of the square around the origin that reaches so far along either axis.
fn square(random: &mut Random, reach: f64) -> Point {
    let mut part = || (f64::from(random.unit()) * 2.0 - 1.0) * reach;
    point(part(), part())
}
