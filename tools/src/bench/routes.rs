//! Routes and the passes along them: which rows of a world belong together, and where on the ground they lie.

use std::ops::Range;

use super::random::Random;

/// Fewest and most frames of a route.
const FRAMES: (usize, usize) = (20, 200);
/// Most passes along one route; how many there are is 1 + the smaller of two draws below this.
const PASSES: usize = 4;
/// Rows for each region on average.
const ROWS_PER_REGION: usize = 4000;
/// Fewest regions of a world.
const MIN_REGIONS: usize = 8;
/// Metres of a degree of latitude, to within half a percent.
const METRES_PER_DEGREE: f64 = 111_195.0;
/// Radians of a degree.
const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

/// What a stream of random numbers is for.
const LAYOUT: u64 = 1;
const ROUTE: u64 = 2;
const GROUND: u64 = 3;
const REGION: u64 = 4;

/// A point on the ground, WGS 84 degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroundPoint {
    /// Latitude, here 35 to 60.
    pub lat_deg: f64,
    /// Longitude, here -10 to 30.
    pub lon_deg: f64,
}

/// One pass along a route: consecutive rows of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// The route.
    pub route: u64,
    /// Which pass along it, from 0.
    pub pass: u64,
    /// Its first row.
    pub first_row: usize,
    /// Rows of this pass; a pass that the end of the world cuts has fewer than its route has frames.
    pub rows: usize,
}

/// What a route leads through.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The region, from 0.
    pub region: u64,
    /// Kind of scene at its start and at its end.
    pub scenes: (u64, u64),
    /// Frames of a whole pass.
    pub frames: usize,
}

/// Which routes a world has and in which order their passes come.
#[derive(Debug)]
pub struct Routes {
    seed: u64,
    regions: usize,
    scene_kinds: usize,
    tracks: Vec<Track>,
}

impl Routes {
    /// Lays out `rows` rows. Takes about 0.3 bytes of memory for each of them.
    pub fn new(seed: u64, rows: usize, scene_kinds: usize) -> Self {
        let regions = (rows / ROWS_PER_REGION).max(MIN_REGIONS);
        let mut routes = Self { seed, regions, scene_kinds, tracks: Vec::new() };
        let mut random = Random::of(&[seed, LAYOUT]);
        let mut laid = 0;
        for route in 0.. {
            if laid >= rows {
                break;
            }
            let frames = routes.route(route).frames;
            for pass in 0..=random.below(PASSES).min(random.below(PASSES)) as u64 {
                let length = frames.min(rows.saturating_sub(laid));
                if length > 0 {
                    routes.tracks.push(Track { route, pass, first_row: 0, rows: length });
                }
                laid += length;
            }
        }
        for end in (1..routes.tracks.len()).rev() {
            routes.tracks.swap(end, random.below(end + 1));
        }
        let mut first_row = 0;
        for track in &mut routes.tracks {
            track.first_row = first_row;
            first_row += track.rows;
        }
        routes
    }

    /// The tracks in the order of their rows.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The tracks from the one that holds `row` on.
    pub fn tracks_from(&self, row: usize) -> &[Track] {
        let first = self.tracks.partition_point(|track| track.first_row + track.rows <= row);
        self.tracks.get(first..).unwrap_or_default()
    }

    /// A route by its number; numbers that no track has are routes too, of the same world. Some regions have more
    /// routes than others: the first half of the regions gets seven tenths of them.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a fraction of a count is within the count"
    )]
    pub fn route(&self, route: u64) -> Route {
        let mut random = Random::of(&[self.seed, ROUTE, route]);
        let fraction = random.unit();
        let region = (fraction * fraction * self.regions as f32) as u64;
        let scenes = (random.below(self.scene_kinds) as u64, random.below(self.scene_kinds) as u64);
        let frames = FRAMES.0 + random.below(FRAMES.1 - FRAMES.0 + 1);
        Route { region, scenes, frames }
    }

    /// Where the rows of a range lie. Rows beyond the last are left out.
    pub fn places(&self, range: Range<usize>) -> Vec<GroundPoint> {
        let tracks = self.tracks_from(range.start).iter().take_while(|track| track.first_row < range.end);
        let all = tracks.flat_map(|track| (track.first_row..).zip(self.ground(track)));
        all.filter(|(row, _)| range.contains(row)).map(|(_, point)| point).collect()
    }

    /// Where the frames of a track lie: 10 to 20 m apart on a line that bends, some metres from the other passes.
    pub fn ground(&self, track: &Track) -> Vec<GroundPoint> {
        let mut random = Random::of(&[self.seed, GROUND, track.route]);
        let mut at = self.start(track.route, &mut random);
        let step_m = 10.0 + 10.0 * f64::from(random.unit());
        let mut heading = unit([f64::from(random.normal()), f64::from(random.normal())]);
        let mut aside = Random::of(&[self.seed, GROUND, track.route, track.pass + 1]);
        let aside_m = [3.0 * f64::from(aside.normal()), 3.0 * f64::from(aside.normal())];
        let frames = (0..track.rows).map(|_| {
            let point = moved(at, aside_m);
            at = moved(at, heading.map(|part| part * step_m));
            heading = unit(heading.map(|part| part + 0.08 * f64::from(random.normal())));
            point
        });
        frames.collect()
    }

    /// Where a route starts: around the middle of its region, which is 2 km wide (standard deviation).
    fn start(&self, route: u64, random: &mut Random) -> GroundPoint {
        let mut region = Random::of(&[self.seed, REGION, self.route(route).region]);
        let lat_deg = 36.0 + 23.0 * f64::from(region.unit());
        let middle = GroundPoint { lat_deg, lon_deg: -9.0 + 38.0 * f64::from(region.unit()) };
        moved(middle, [2000.0 * f64::from(random.normal()), 2000.0 * f64::from(random.normal())])
    }
}

/// A point that lies `north` and `east` metres from another.
fn moved(from: GroundPoint, [north_m, east_m]: [f64; 2]) -> GroundPoint {
    let lat_deg = from.lat_deg + north_m / METRES_PER_DEGREE;
    let lon_deg = from.lon_deg + east_m / (METRES_PER_DEGREE * cosine(from.lat_deg));
    GroundPoint { lat_deg, lon_deg }
}

/// Cosine of an angle of at most 65 degrees, to 1e-5: the first terms of its series, as libm's differ between systems.
fn cosine(angle_deg: f64) -> f64 {
    let square = (angle_deg * RADIANS_PER_DEGREE) * (angle_deg * RADIANS_PER_DEGREE);
    1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)))
}

fn unit([x, y]: [f64; 2]) -> [f64; 2] {
    let length = (x * x + y * y).sqrt();
    if length > 0.0 { [x / length, y / length] } else { [1.0, 0.0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_cover_all_rows_once() {
        for rows in [1, 19, 20, 5000, 100_000] {
            let routes = Routes::new(3, rows, 40);
            let mut next = 0;
            for track in routes.tracks() {
                assert_eq!(track.first_row, next);
                assert!(track.rows > 0 && track.rows <= routes.route(track.route).frames);
                next += track.rows;
            }
            assert_eq!(next, rows);
            assert_eq!(routes.tracks_from(rows).len(), 0);
            let last = routes.tracks_from(rows - 1)[0];
            assert_eq!(last.first_row + last.rows, rows);
        }
    }

    #[test]
    fn routes_are_passed_again_by_tracks_that_lie_elsewhere_in_the_order() {
        let routes = Routes::new(3, 100_000, 40);
        let again = routes.tracks().iter().filter(|track| track.pass > 0).count();
        let share = again as f64 / routes.tracks().len() as f64;
        assert!((0.3..0.7).contains(&share), "{share}");
        let adjacent = routes.tracks().windows(2).filter(|pair| pair[0].route == pair[1].route).count();
        assert!(adjacent < 20, "{adjacent}");
    }

    #[test]
    fn frames_of_a_track_are_10_to_20_metres_apart_and_passes_some_metres() {
        let routes = Routes::new(3, 50_000, 40);
        let apart_m = |a: GroundPoint, b: GroundPoint| {
            let east = (b.lon_deg - a.lon_deg) * a.lat_deg.to_radians().cos();
            (b.lat_deg - a.lat_deg).hypot(east) * METRES_PER_DEGREE
        };
        let second = routes.tracks().iter().find(|track| track.pass == 1).unwrap();
        let first = routes.tracks().iter().find(|track| track.route == second.route && track.pass == 0).unwrap();
        let (first, second) = (routes.ground(first), routes.ground(second));
        for pair in first.windows(2) {
            assert!((9.9..20.1).contains(&apart_m(pair[0], pair[1])));
        }
        for (first, second) in first.iter().zip(&second) {
            assert!(apart_m(*first, *second) < 25.0);
            assert!((35.0..60.0).contains(&first.lat_deg) && (-10.0..30.0).contains(&first.lon_deg));
        }
    }

    #[test]
    fn the_cosine_is_exact_enough() {
        for angle_deg in [0.0, 30.0, 45.0, 60.0_f64] {
            assert!((cosine(angle_deg) - angle_deg.to_radians().cos()).abs() < 1e-5, "{angle_deg}");
        }
    }
}
