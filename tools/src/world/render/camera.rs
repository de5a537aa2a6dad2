//! A pinhole camera over the plane.

use super::super::geometry::{Bounds, Point, point};

/// A point or a vector of space: east, north, up, in metres.
pub type Space = [f64; 3];

/// Nearest that anything is drawn, in metres.
const NEAR_M: f64 = 0.25;
/// Height of what may stand on the ground before a camera, in metres.
const TALLEST_M: f64 = 40.0;

/// The scalar product.
pub fn dot(a: Space, b: Space) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The cross product.
pub fn cross(a: Space, b: Space) -> Space {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn minus(a: Space, b: Space) -> Space {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// A point in space above a point of the plane.
pub fn above(at: Point, height_m: f64) -> Space {
    [at.x, at.y, height_m]
}

/// Where a camera is and how it looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// The point of the plane below it.
    pub at: Point,
    /// Height above the ground, in metres.
    pub height_m: f64,
    /// Direction of the upper edge of the picture (nadir) or of the view, degrees clockwise from north.
    pub heading_deg: f64,
    /// Direction of the view above the horizon, in degrees: -90 straight down.
    pub pitch_deg: f64,
    /// Turn about the direction of the view, in degrees.
    pub roll_deg: f64,
    /// Horizontal field of view, in degrees.
    pub hfov_deg: f64,
}

/// A camera with its axes worked out.
#[derive(Debug, Clone, Copy)]
pub struct Camera {
    position: Space,
    right: Space,
    down: Space,
    forward: Space,
    /// Focal length in samples.
    focal: f64,
    columns: usize,
    rows: usize,
    range_m: f64,
}

fn sincos_deg(degrees: f64) -> (f64, f64) {
    libm::sincos(degrees * std::f64::consts::PI / 180.0)
}

/// Weighs two vectors.
fn mix(a: Space, weight_a: f64, b: Space, weight_b: f64) -> Space {
    [a[0] * weight_a + b[0] * weight_b, a[1] * weight_a + b[1] * weight_b, a[2] * weight_a + b[2] * weight_b]
}

impl Camera {
    /// A camera of this size in pixels that draws what lies within `range_m` of it.
    pub fn new(pose: &Pose, columns: usize, rows: usize, range_m: f64) -> Self {
        let (sin_heading, cos_heading) = sincos_deg(pose.heading_deg);
        let (sin_pitch, cos_pitch) = sincos_deg(pose.pitch_deg);
        let (sin_roll, cos_roll) = sincos_deg(pose.roll_deg);
        let ahead = [sin_heading, cos_heading, 0.0];
        let forward = [ahead[0] * cos_pitch, ahead[1] * cos_pitch, sin_pitch];
        let level = [cos_heading, -sin_heading, 0.0];
        let below = cross(forward, level);
        let (sin_half, cos_half) = sincos_deg(pose.hfov_deg * 0.5);
        let half_columns = (columns * super::SAMPLES) as f64 * 0.5;
        Self {
            position: above(pose.at, pose.height_m),
            right: mix(level, cos_roll, below, sin_roll),
            down: mix(below, cos_roll, level, -sin_roll),
            forward,
            focal: half_columns * cos_half / sin_half,
            columns,
            rows,
            range_m,
        }
    }

    /// Pixels per row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows of pixels.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where it is.
    pub fn position(&self) -> Space {
        self.position
    }

    /// Its axes: to the right, down, forward.
    pub fn axes(&self) -> [Space; 3] {
        [self.right, self.down, self.forward]
    }

    /// Samples per metre at a distance of one metre.
    pub fn focal(&self) -> f64 {
        self.focal
    }

    /// Farthest that anything is drawn, in metres.
    pub fn range_m(&self) -> f64 {
        self.range_m
    }

    /// The middle of the picture, in samples.
    pub fn middle(&self) -> [f64; 2] {
        [(self.columns * super::SAMPLES) as f64 * 0.5, (self.rows * super::SAMPLES) as f64 * 0.5]
    }

    /// A point as the camera sees it: right, down, forward, in metres.
    #[inline]
    pub fn seen(&self, at: Space) -> Space {
        let from = minus(at, self.position);
        [dot(from, self.right), dot(from, self.down), dot(from, self.forward)]
    }

    /// Samples per metre at a point; 0 behind the camera.
    pub fn scale_at(&self, at: Space) -> f64 {
        let depth = dot(minus(at, self.position), self.forward);
        if depth > NEAR_M { self.focal / depth } else { 0.0 }
    }

    /// Whether a ball may be in the picture.
    pub fn sees(&self, at: Space, radius_m: f64) -> bool {
        let [x, y, z] = self.seen(at);
        if z + radius_m < NEAR_M || z - radius_m > self.range_m {
            return false;
        }
        let [half_x, half_y] = self.middle();
        let deep = z.max(NEAR_M) + radius_m;
        // The ball's distance from the pyramid of sight is at least this along either axis.
        (x.abs() - radius_m * 1.5) * self.focal < half_x * deep
            && (y.abs() - radius_m * 1.5) * self.focal < half_y * deep
    }

    /// A point of the camera's space on the picture, in samples.
    #[inline]
    pub fn on_picture(&self, [x, y, z]: Space) -> [f32; 2] {
        let [half_x, half_y] = self.middle();
        let scale = self.focal / z;
        [(x * scale + half_x) as f32, (y * scale + half_y) as f32]
    }

    /// Cuts a polygon of the camera's space where it comes too near and puts it on the picture; what was there in
    /// `screen` is replaced. False when nothing of it is in the picture.
    pub fn project(&self, seen: &[Space], screen: &mut Vec<[f32; 2]>) -> bool {
        screen.clear();
        for (a, b) in seen.iter().zip(seen.iter().cycle().skip(1)) {
            if a[2] >= NEAR_M {
                screen.push(self.on_picture(*a));
            }
            if (a[2] >= NEAR_M) != (b[2] >= NEAR_M) {
                let share = (NEAR_M - a[2]) / (b[2] - a[2]);
                screen.push(self.on_picture([a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, NEAR_M]));
            }
        }
        let [width, height] = self.middle().map(|half| half as f32 * 2.0);
        let within = |axis: usize, size: f32| {
            let mut low = f32::INFINITY;
            let mut high = f32::NEG_INFINITY;
            for at in screen.iter() {
                let value = if axis == 0 { at[0] } else { at[1] };
                low = low.min(value);
                high = high.max(value);
            }
            low < size && high > 0.0
        };
        screen.len() >= 3 && within(0, width) && within(1, height)
    }

    /// The direction of the ray through a sample of the picture; its part along the view is 1.
    pub fn ray(&self, x: f64, y: f64) -> Space {
        let [half_x, half_y] = self.middle();
        let (right, down) = ((x - half_x) / self.focal, (y - half_y) / self.focal);
        mix(mix(self.right, right, self.down, down), 1.0, self.forward, 1.0)
    }

    /// Where the ray through a sample meets the ground; `None` above the horizon.
    pub fn ground_at(&self, x: f64, y: f64) -> Option<Point> {
        let ray = self.ray(x, y);
        (ray[2] < -1e-9).then(|| {
            let reach = -self.position[2] / ray[2];
            point(self.position[0] + ray[0] * reach, self.position[1] + ray[1] * reach)
        })
    }

    /// Bounds of the ground on which what is in the picture may stand.
    pub fn ground_region(&self) -> Bounds {
        let [width, height] = self.middle().map(|half| half * 2.0);
        let eye = point(self.position[0], self.position[1]);
        let mut region = Bounds::EMPTY;
        for (x, y) in [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)] {
            let ray = self.ray(x, y);
            let flat = point(ray[0], ray[1]);
            for level in [0.0, TALLEST_M.min(self.position[2] * 0.8)] {
                let far = self.range_m / flat.length().max(1e-9);
                let reach = if ray[2] < -1e-9 { ((level - self.position[2]) / ray[2]).min(far) } else { far };
                region = region.with(eye + flat * reach);
            }
        }
        // What is near and tall may stand before the lower edge of an oblique picture.
        if self.forward[2] > -0.9 { region.with(eye) } else { region }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pose(heading_deg: f64, pitch_deg: f64) -> Pose {
        Pose { at: point(10.0, 20.0), height_m: 80.0, heading_deg, pitch_deg, roll_deg: 0.0, hfov_deg: 60.0 }
    }

    #[test]
    fn the_middle_of_a_nadir_picture_is_below_the_camera_and_north_is_up() {
        let camera = Camera::new(&pose(0.0, -90.0), 100, 100, 500.0);
        let [x, y] = camera.middle();
        let middle = camera.ground_at(x, y).unwrap();
        assert!((middle - point(10.0, 20.0)).length() < 1e-6);
        let upper = camera.ground_at(x, 0.0).unwrap();
        assert!((upper.x - 10.0).abs() < 1e-6 && upper.y > 60.0, "{upper:?}");
        let right = camera.ground_at(2.0 * x, y).unwrap();
        assert!(right.x > 50.0 && (right.y - 20.0).abs() < 1e-6, "{right:?}");
    }

    #[test]
    fn points_go_to_the_picture_and_back() {
        let camera = Camera::new(&Pose { roll_deg: 7.0, ..pose(123.0, -50.0) }, 100, 80, 500.0);
        let at = camera.ground_at(33.0, 41.0).unwrap();
        let [x, y] = camera.on_picture(camera.seen(above(at, 0.0)));
        assert!((x - 33.0).abs() < 1e-3 && (y - 41.0).abs() < 1e-3, "{x} {y}");
        assert!(camera.sees(above(at, 0.0), 1.0) && !camera.sees([10.0, 20.0, 300.0], 1.0));
    }

    #[test]
    fn heading_turns_clockwise() {
        let camera = Camera::new(&pose(90.0, -90.0), 100, 100, 500.0);
        let upper = camera.ground_at(camera.middle()[0], 0.0).unwrap();
        assert!(upper.x > 50.0 && (upper.y - 20.0).abs() < 1e-6, "{upper:?}");
    }
}
