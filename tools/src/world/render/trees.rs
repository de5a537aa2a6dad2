//! Trees: rough balls of leaves, cones, and in winter bare twigs, with a trunk where it can be seen.

use super::super::noise::NoiseTable;
use super::super::palette::{Material, Paint, Season, plain, toned};
use super::super::scene::{Tree, TreeKind};
use super::camera::{Camera, Space, above, dot};
use super::canvas::Canvas;
use super::light::{Light, pack};
use super::solids::Pen;
use crate::world::geometry::{Frame, point};

/// Radius on the picture, in samples, from which on a crown is drawn as several balls.
const LOBES_FROM: f64 = 14.0;

/// Draws a tree.
pub(super) fn draw(canvas: &mut Canvas, camera: &Camera, light: &Light, noise: &NoiseTable, tree: &Tree) {
    if !camera.sees(above(tree.at, tree.height_m * 0.5), tree.height_m.max(tree.radius_m)) {
        return;
    }
    let scale = camera.scale_at(above(tree.at, tree.height_m * 0.6));
    if tree.kind != TreeKind::Bush && scale > 3.0 {
        trunk(canvas, camera, light, tree);
    }
    let paint = paint(tree);
    match tree.kind {
        TreeKind::Conifer => cone(canvas, camera, light, noise, tree, paint),
        TreeKind::Bush => {
            let ball = Ball { at: above(tree.at, tree.height_m * 0.45), radius_m: tree.radius_m, paint };
            ball.draw(canvas, camera, light, noise, tree.style);
        }
        TreeKind::Broadleaf => crown(canvas, camera, light, noise, tree, paint, scale),
    }
}

fn paint(tree: &Tree) -> Paint {
    let tone = f64::from(tree.style & 31) - 16.0;
    match (tree.kind, tree.style >> 5 & 3) {
        (TreeKind::Conifer, _) => toned(Material::Conifer, tone),
        (TreeKind::Bush, _) => toned(Material::Hedge, tone),
        (_, 0) => toned(Material::BroadleafDark, tone),
        _ => toned(Material::Broadleaf, tone),
    }
}

fn trunk(canvas: &mut Canvas, camera: &Camera, light: &Light, tree: &Tree) {
    let mut pen = Pen { canvas, camera, light };
    let half = 0.05 * tree.radius_m + 0.06;
    let bark = plain(Material::Bark);
    let frame = Frame { origin: tree.at, axis: point(1.0, 0.0) };
    pen.block(&frame, [half, half], [0.0, tree.height_m * 0.55], [bark, bark]);
}

fn crown(
    canvas: &mut Canvas,
    camera: &Camera,
    light: &Light,
    noise: &NoiseTable,
    tree: &Tree,
    paint: Paint,
    scale: f64,
) {
    let radius = tree.radius_m;
    let middle_m = (tree.height_m - radius).max(radius * 0.8);
    if scale * radius < LOBES_FROM {
        let ball = Ball { at: above(tree.at, middle_m), radius_m: radius, paint };
        return ball.draw(canvas, camera, light, noise, tree.style);
    }
    let byte = |number: u32| f64::from(tree.style.rotate_left(number * 5) & 255) / 255.0 - 0.5;
    for number in 0..5 {
        let at = point(tree.at.x + byte(number) * radius, tree.at.y + byte(number + 7) * radius);
        let height = middle_m + (f64::from(number) / 4.0 - 0.55) * radius * 0.9;
        let lobe = paint.tone.saturating_add((byte(number + 3) * 16.0) as i8);
        let ball = Ball {
            at: above(at, height),
            radius_m: radius * (0.58 + 0.16 * byte(number + 5)),
            paint: Paint { tone: lobe, ..paint },
        };
        ball.draw(canvas, camera, light, noise, tree.style.rotate_left(number));
    }
}

/// A conifer: balls that grow smaller towards the top.
fn cone(canvas: &mut Canvas, camera: &Camera, light: &Light, noise: &NoiseTable, tree: &Tree, paint: Paint) {
    for (share, size, tone) in [(0.24, 1.0, -10), (0.46, 0.72, -2), (0.66, 0.48, 6), (0.84, 0.26, 12)] {
        let paint = Paint { tone: paint.tone.saturating_add(tone), ..paint };
        let ball = Ball { at: above(tree.at, tree.height_m * share), radius_m: tree.radius_m * size, paint };
        ball.draw(canvas, camera, light, noise, tree.style);
    }
}

/// A rough ball of leaves.
struct Ball {
    at: Space,
    radius_m: f64,
    paint: Paint,
}

impl Ball {
    fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, noise: &NoiseTable, style: u32) {
        let seen = camera.seen(self.at);
        if seen[2] < self.radius_m + 0.3 || seen[2] > camera.range_m() {
            return;
        }
        let [x, y] = camera.on_picture(seen);
        let radius = (self.radius_m * camera.focal() / seen[2]) as f32;
        let leaves = Leaves::new(self, camera, light, style);
        let [first, last] = [y - radius, y + radius].map(|edge| (edge + 0.5).max(0.0) as usize);
        let (depth, radius_m) = (seen[2] as f32, self.radius_m as f32);
        for row in first..last.min(canvas.height()) {
            let dy = (row as f32 + 0.5 - y) / radius;
            let half = (1.0 - dy * dy).max(0.0).sqrt() * radius;
            canvas.run(row, x - half, x + half, &mut |colours, nearness, from, _| {
                for (step, (colour, held)) in colours.iter_mut().zip(nearness).enumerate() {
                    let dx = ((from + step) as f32 + 0.5 - x) / radius;
                    let rest = 1.0 - dx * dx - dy * dy;
                    let near = 1.0 / (depth - radius_m * rest.max(0.0).sqrt());
                    if near <= *held {
                        continue;
                    }
                    if let Some(painted) = leaves.at(noise, [dx, dy], rest) {
                        (*colour, *held) = (painted, near);
                    }
                }
            });
        }
    }
}

/// Colours of leaves from dark to light, and how the ball is lit.
struct Leaves {
    shades: [u32; 16],
    /// Direction to the sun in the camera's axes.
    sun: [f32; 3],
    offset: [f32; 2],
    /// Values of the noise across half the ball.
    spread: f32,
    is_bare: bool,
}

impl Leaves {
    fn new(ball: &Ball, camera: &Camera, light: &Light, style: u32) -> Self {
        let mut shades = [0; 16];
        for (level, shade) in shades.iter_mut().enumerate() {
            // From what lies in the crown's own shadow to what the sun meets.
            let lightness = 0.42 + 0.048 * level as f64;
            *shade = pack(light.colour(ball.paint, lightness), 0);
        }
        let is_leafy = matches!(ball.paint.material, Material::Broadleaf | Material::BroadleafDark);
        Self {
            shades,
            sun: camera.axes().map(|axis| dot(axis, light.sun()) as f32),
            offset: [(style & 255) as f32, (style >> 8 & 255) as f32],
            spread: (ball.radius_m * 2.6) as f32,
            is_bare: is_leafy && light.season() == Season::Winter,
        }
    }

    /// The colour at a place of the disc, or nothing in a gap.
    #[inline]
    fn at(&self, noise: &NoiseTable, [dx, dy]: [f32; 2], rest: f32) -> Option<u32> {
        let [u, v] = [self.offset[0] + dx * self.spread, self.offset[1] + dy * self.spread];
        let rough = noise.at(u * 1.7, v * 1.7);
        // The rim is ragged; bare crowns are mostly gaps.
        if rest < 0.16 + rough * 0.3 || (self.is_bare && noise.at(v * 9.0, u * 9.0) < 0.08) {
            return None;
        }
        let up = rest.max(0.0).sqrt();
        let facing = dx * self.sun[0] + dy * self.sun[1] - up * self.sun[2];
        let fine = noise.at(u * 5.0, v * 5.0);
        let level = 6.5 + facing * 5.5 + fine * 6.0 + rough * 2.5;
        self.shades.get((level.max(0.0) as usize).min(15)).copied()
    }
}
