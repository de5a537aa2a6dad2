//! Flights: the frames of a drone with where it was, how it looked, and what they are for.

use super::super::geometry::{Bounds, Point};
use super::super::palette::Season;
use super::super::render::camera::{Camera, Pose};
use super::area::Area;
use super::between;
use super::conditions::{Bad, Conditions};
use super::shot::{Shot, Sight};
use super::track::{Course, stations};
use super::weather::Unlike;
use crate::bench::random::Random;

const FLIGHT: u64 = 0x0066_6c79;
/// Seconds between two frames.
pub const INTERVAL_S: f64 = 2.0;

/// What flights are made.
#[derive(Debug, Clone, PartialEq)]
pub struct FlightPlan {
    /// Seed of the world; the flights follow from it.
    pub seed: u64,
    /// The mapped area.
    pub area: Area,
    /// Number of flights.
    pub flights: usize,
    /// Frames of a flight.
    pub frames: usize,
    /// Pixels along either side of a frame.
    pub px: usize,
    /// How unlike the map they are.
    pub unlike: Unlike,
    /// Season of the map.
    pub map_season: Season,
    /// Horizontal field of view, in degrees.
    pub hfov_deg: f64,
    /// Share by which heights differ from that at which a frame shows one tile.
    pub height_spread: f64,
    /// Most that a nadir camera leans, in degrees.
    pub tilt_deg: f64,
    /// Largest angle between the upper edge of a frame and north, in degrees: 180 for any heading.
    pub heading_spread_deg: f64,
    /// Share of flights that look aslant, 35 to 60 degrees below the horizon.
    pub oblique: f64,
    /// Share of flights that leave the area.
    pub leaving: f64,
    /// Share of frames that are bad.
    pub bad: f64,
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To be located.
    Query,
    /// Not of the mapped area, or unusable: to be refused.
    Outside,
    /// On the edge of the area: neither.
    Border,
}

impl Role {
    /// Its name in the column `role`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Outside => "outside",
            Self::Border => "border",
        }
    }
}

/// A frame of a flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Number of the flight.
    pub flight: usize,
    /// Number of the frame within it.
    pub number: usize,
    /// Where the camera was.
    pub pose: Pose,
    /// The ground in the middle of the frame.
    pub view: Point,
    /// What it is for.
    pub role: Role,
    /// How it is drawn: for a frozen frame, as the one before.
    pub shot: Shot,
}

impl Frame {
    /// Its file below the folder of pictures.
    pub fn file(&self) -> String {
        format!("flight_{:03}_{:04}.jpg", self.flight, self.number)
    }
}

impl FlightPlan {
    /// The height at which a level frame shows as much as a tile, in metres.
    pub fn height_m(&self) -> f64 {
        let half = self.hfov_deg * std::f64::consts::PI / 360.0;
        self.area.tile_m * 0.5 / libm::tan(half)
    }

    /// The frames of a flight.
    pub fn flight(&self, number: usize) -> Vec<Frame> {
        let mut random = Random::of(&[FLIGHT, self.seed, number as u64]);
        let conditions = Conditions::of_flight(&mut random, self.unlike, self.map_season);
        let is_leaving = f64::from(random.unit()) < self.leaving;
        let course = match (is_leaving, random.below(2)) {
            (true, _) => Course::Leaving,
            (false, 0) => Course::Lanes,
            _ => Course::Curve,
        };
        let speed = between(&mut random, 4.0, 14.0);
        let stations = stations(&mut random, course, &self.area.covered(), self.frames, speed * INTERVAL_S);
        let style = Style::new(self, &mut random);
        let mut frames: Vec<Frame> = Vec::with_capacity(stations.len());
        for (index, station) in stations.iter().enumerate() {
            let pose = style.pose(self, station.at, station.along, &mut random);
            let mut now = conditions.of_frame(&mut random, self.unlike);
            now.bad = self.bad_frame(&mut random, index);
            let mut shot = Shot { sight: Sight::Camera(pose), conditions: now, columns: self.px, rows: self.px };
            let view = view_of(&pose, self.px);
            let mut role = role(view, &self.area.covered(), self.area.tile_m);
            if let Some(bad) = shot.conditions.bad {
                role = Role::Outside;
                if let (Bad::Frozen, Some(before)) = (bad, frames.last()) {
                    shot = before.shot.clone();
                    shot.conditions.bad = Some(Bad::Frozen);
                }
            }
            frames.push(Frame { flight: number, number: index, pose, view, role, shot });
        }
        frames
    }

    fn bad_frame(&self, random: &mut Random, index: usize) -> Option<Bad> {
        let (is_bad, kind) = (f64::from(random.unit()) < self.bad, random.below(Bad::ALL.len()));
        Bad::ALL.get(kind).copied().filter(|bad| is_bad && (index > 0 || *bad != Bad::Frozen))
    }
}

fn role(view: Point, covered: &Bounds, tile_m: f64) -> Role {
    if covered.holds(view) {
        Role::Query
    } else if covered.grown(tile_m).holds(view) {
        Role::Border
    } else {
        Role::Outside
    }
}

/// The ground in the middle of a picture; below the camera where it looks at the sky.
fn view_of(pose: &Pose, px: usize) -> Point {
    let camera = Camera::new(pose, px, px, 1000.0);
    let [x, y] = camera.middle();
    camera.ground_at(x, y).unwrap_or(pose.at)
}

/// What the frames of a flight have in common.
struct Style {
    height_m: f64,
    pitch_deg: f64,
    heading_offset_deg: f64,
    is_oblique: bool,
}

impl Style {
    fn new(plan: &FlightPlan, random: &mut Random) -> Self {
        let is_oblique = f64::from(random.unit()) < plan.oblique;
        let pitch_deg = if is_oblique { between(random, -60.0, -35.0) } else { -90.0 };
        let spread = between(random, 1.0 - plan.height_spread, 1.0 + plan.height_spread);
        let heading_offset_deg = between(random, -plan.heading_spread_deg, plan.heading_spread_deg);
        Self { height_m: plan.height_m() * spread, pitch_deg, heading_offset_deg, is_oblique }
    }

    fn pose(&self, plan: &FlightPlan, at: Point, along: Point, random: &mut Random) -> Pose {
        let course_deg = libm::atan2(along.x, along.y) * 180.0 / std::f64::consts::PI;
        // Aslant a drone looks where it flies; straight down, any heading up to the spread.
        let is_free = plan.heading_spread_deg >= 180.0;
        let base = if self.is_oblique || is_free { course_deg } else { self.heading_offset_deg };
        let heading = base + between(random, -4.0, 4.0);
        let wobble = 1.0 + between(random, -0.04, 0.04) * plan.height_spread.min(1.0);
        let lean = between(random, 0.0, plan.tilt_deg);
        Pose {
            at,
            height_m: self.height_m * wobble,
            heading_deg: heading - (heading / 360.0).floor() * 360.0,
            pitch_deg: (self.pitch_deg + lean).clamp(-90.0, 0.0),
            roll_deg: between(random, -plan.tilt_deg, plan.tilt_deg) * 0.5,
            hfov_deg: plan.hfov_deg,
        }
    }
}
