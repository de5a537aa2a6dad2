//! Buildings and other solids: walls, roofs, and what is on roofs.

use super::super::geometry::Frame;
use super::super::palette::{Material, Paint, plain, toned};
use super::super::scene::{Facade, Roof, Solid};
use super::camera::{Camera, Space, above, cross, dot};
use super::canvas::{Canvas, Plane};
use super::facade;
use super::light::Light;

/// How far details stand off what they are on, in metres.
const OFF_M: f64 = 0.05;
/// How far roofs reach beyond walls, in metres.
const OVERHANG_M: f64 = 0.4;

/// Draws polygons in space.
pub(super) struct Pen<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) camera: &'a Camera,
    pub(super) light: &'a Light,
}

impl Pen<'_> {
    /// Draws a convex polygon that faces the direction `normal`, if it faces the camera.
    pub(super) fn face(&mut self, polygon: &[Space], normal: Space, paint: Paint) {
        let lightness = self.light.on(normal);
        self.polygon(polygon, normal, paint, lightness);
    }

    /// As [`Self::face`], as light as said.
    pub(super) fn polygon(&mut self, polygon: &[Space], normal: Space, paint: Paint, lightness: f64) {
        let Some(first) = polygon.first() else { return };
        let mut seen = [[0.0; 3]; 12];
        for (seen, at) in seen.iter_mut().zip(polygon) {
            *seen = self.camera.seen(*at);
        }
        let Some(seen) = seen.get(..polygon.len()) else { return };
        let axes = self.camera.axes();
        let turned = axes.map(|axis| dot(axis, normal));
        let distance = dot(turned, self.camera.seen(*first));
        // The camera is at the origin: a plane that faces it lies behind it along its own normal.
        if distance > -1e-6 || !self.camera.project(seen, &mut self.canvas.screen) {
            return;
        }
        let [half_x, half_y] = self.camera.middle();
        let scale = 1.0 / (distance * self.camera.focal());
        let (x, y) = (turned[0] * scale, turned[1] * scale);
        let start = turned[2] / distance - x * half_x - y * half_y;
        let plane = Plane { x: x as f32, y: y as f32, start: start as f32 };
        self.canvas.draw(plane, self.light.tagged(paint, lightness));
    }

    /// A box of a frame: walls and top, nothing on them.
    pub(super) fn block(&mut self, frame: &Frame, half: [f64; 2], from_to_m: [f64; 2], paints: [Paint; 2]) {
        let ([base_m, top_m], [wall, top]) = (from_to_m, paints);
        for side in sides(frame, half[0], half[1]) {
            let quad = side.quad([0.0, side.length], [base_m, top_m], 0.0);
            self.face(&quad, side.normal, wall);
        }
        let corners = frame.rectangle([-half[0], half[0]], [-half[1], half[1]]).map(|at| above(at, top_m));
        self.face(&corners, [0.0, 0.0, 1.0], top);
    }
}

/// A wall from its lower left corner, seen from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) frame: Frame,
    pub(super) length: f64,
    pub(super) normal: Space,
}

impl Side {
    /// The corners of a rectangle on the wall, so far before it.
    pub(super) fn quad(&self, along: [f64; 2], height_m: [f64; 2], off_m: f64) -> [Space; 4] {
        let at = |u: f64, z: f64| above(self.frame.at(u, -off_m), z);
        let ([u0, u1], [z0, z1]) = (along, height_m);
        [at(u0, z0), at(u1, z0), at(u1, z1), at(u0, z1)]
    }
}

/// The four walls: front (below the first axis), right, back, left.
pub(super) fn sides(frame: &Frame, half_u: f64, half_v: f64) -> [Side; 4] {
    let side = |frame: Frame, length: f64| {
        let out = frame.axis.left() * -1.0;
        Side { frame, length, normal: [out.x, out.y, 0.0] }
    };
    let turned = frame.turned();
    let (back, left) = (turned.turned(), turned.turned().turned());
    [
        side(Frame { origin: frame.at(-half_u, -half_v), axis: frame.axis }, half_u * 2.0),
        side(Frame { origin: frame.at(half_u, -half_v), axis: turned.axis }, half_v * 2.0),
        side(Frame { origin: frame.at(half_u, half_v), axis: back.axis }, half_u * 2.0),
        side(Frame { origin: frame.at(-half_u, half_v), axis: left.axis }, half_v * 2.0),
    ]
}

/// Draws a solid.
pub(super) fn draw(canvas: &mut Canvas, camera: &Camera, light: &Light, solid: &Solid) {
    let half_height = (solid.top_m() - solid.base_m) * 0.5;
    let middle = above(solid.frame.origin, solid.base_m + half_height);
    if !camera.sees(middle, solid.half_u + solid.half_v + half_height) {
        return;
    }
    let mut pen = Pen { canvas, camera, light };
    if let Roof::Cone { rise_m } = solid.roof {
        return drum(&mut pen, solid, rise_m);
    }
    let scale = camera.scale_at(middle);
    for (number, side) in sides(&solid.frame, solid.half_u, solid.half_v).iter().enumerate() {
        let foot = camera.seen(above(side.frame.origin, solid.base_m));
        if dot(camera.axes().map(|axis| dot(axis, side.normal)), foot) > -1e-6 {
            continue;
        }
        pen.face(&side.quad([0.0, side.length], [solid.base_m, solid.eave_m], 0.0), side.normal, solid.wall);
        if scale > 1.4 {
            facade::draw(&mut pen, solid, side, number, scale);
        }
    }
    match solid.roof {
        Roof::Gable { rise_m } => gable(&mut pen, solid, rise_m, scale),
        Roof::Hip { rise_m } => hip(&mut pen, solid, rise_m, scale),
        _ => flat(&mut pen, solid, scale),
    }
}

fn flat(pen: &mut Pen<'_>, solid: &Solid, scale: f64) {
    let up = [0.0, 0.0, 1.0];
    let top = |inset: f64, z: f64| {
        let (u, v) = (solid.half_u - inset, solid.half_v - inset);
        solid.frame.rectangle([-u, u], [-v, v]).map(|at| above(at, z))
    };
    let has_parapet = solid.facade != Facade::Blank && solid.facade != Facade::Car && scale > 0.8;
    if has_parapet {
        let lighter = Paint { tone: solid.roof_paint.tone.saturating_add(14), ..solid.roof_paint };
        pen.face(&top(0.0, solid.eave_m), up, lighter);
        pen.face(&top(0.5, solid.eave_m + OFF_M * 0.5), up, solid.roof_paint);
    } else {
        pen.face(&top(0.0, solid.eave_m), up, solid.roof_paint);
    }
}

/// A sloped roof plane: the normal from its rise over its run, out along `out`.
fn slope_normal(out: [f64; 2], rise: f64, run: f64) -> Space {
    let length = (rise * rise + run * run).sqrt();
    [out[0] * rise / length, out[1] * rise / length, run / length]
}

fn gable(pen: &mut Pen<'_>, solid: &Solid, rise_m: f64, scale: f64) {
    let (u, v, frame) = (solid.half_u, solid.half_v, &solid.frame);
    let ridge_m = solid.eave_m + rise_m;
    for end in [-1.0, 1.0] {
        let out = frame.axis * end;
        let corners = [
            above(frame.at(u * end, -v * end), solid.eave_m),
            above(frame.at(u * end, v * end), solid.eave_m),
            above(frame.at(u * end, 0.0), ridge_m),
        ];
        pen.face(&corners, [out.x, out.y, 0.0], solid.wall);
    }
    let low_m = solid.eave_m - OVERHANG_M * rise_m / v;
    let (long, wide) = (u + OVERHANG_M * 0.6, v + OVERHANG_M);
    for side in [-1.0, 1.0] {
        let out = frame.axis.left() * side;
        let normal = slope_normal([out.x, out.y], rise_m, v);
        let corners = [
            above(frame.at(-long * side, wide * side), low_m),
            above(frame.at(long * side, wide * side), low_m),
            above(frame.at(long * side, 0.0), ridge_m),
            above(frame.at(-long * side, 0.0), ridge_m),
        ];
        pen.face(&corners, normal, solid.roof_paint);
        if scale > 2.2 {
            on_slope(pen, solid, rise_m, side, normal);
        }
    }
    if scale > 2.0 {
        chimneys(pen, solid, ridge_m);
    }
}

fn hip(pen: &mut Pen<'_>, solid: &Solid, rise_m: f64, scale: f64) {
    let frame = &solid.frame;
    let (u, v) = (solid.half_u + OVERHANG_M, solid.half_v + OVERHANG_M);
    let ridge = (solid.half_u - solid.half_v).max(0.0);
    let (low_m, ridge_m) = (solid.eave_m - 0.1, solid.eave_m + rise_m);
    for side in [-1.0, 1.0] {
        let out = frame.axis.left() * side;
        let corners = [
            above(frame.at(-u * side, v * side), low_m),
            above(frame.at(u * side, v * side), low_m),
            above(frame.at(ridge * side, 0.0), ridge_m),
            above(frame.at(-ridge * side, 0.0), ridge_m),
        ];
        pen.face(&corners, slope_normal([out.x, out.y], rise_m, v), solid.roof_paint);
        let out = frame.axis * side;
        let corners = [
            above(frame.at(u * side, -v * side), low_m),
            above(frame.at(u * side, v * side), low_m),
            above(frame.at(ridge * side, 0.0), ridge_m),
        ];
        pen.face(&corners, slope_normal([out.x, out.y], rise_m, u - ridge), solid.roof_paint);
    }
    if scale > 2.0 && solid.facade == Facade::House && solid.eave_m < 12.0 {
        chimneys(pen, solid, ridge_m);
    }
}

/// Windows in the roof or solar panels, on the side of the roof to the left (1) or to the right (-1) of the ridge.
fn on_slope(pen: &mut Pen<'_>, solid: &Solid, rise_m: f64, side: f64, normal: Space) {
    if !matches!(solid.facade, Facade::House | Facade::Town) {
        return;
    }
    let bits = if side > 0.0 { solid.style } else { solid.style.rotate_right(9) };
    let quad = |u: [f64; 2], down: [f64; 2]| {
        // `down` counts from the ridge (0) to the eaves (1).
        let at = |u: f64, share: f64| {
            let height = solid.eave_m + rise_m * (1.0 - share);
            let at = above(solid.frame.at(u * side, solid.half_v * share * side), height);
            [at[0] + normal[0] * OFF_M, at[1] + normal[1] * OFF_M, at[2] + normal[2] * OFF_M]
        };
        [at(u[0], down[1]), at(u[1], down[1]), at(u[1], down[0]), at(u[0], down[0])]
    };
    let half = solid.half_u;
    if bits % 9 == 0 {
        pen.face(&quad([-half * 0.7, half * 0.5], [0.18, 0.72]), normal, plain(Material::Solar));
    } else if bits % 3 == 1 {
        let count = 1 + bits / 16 % 3;
        for number in 0..count {
            let u = (f64::from(number) + 0.5) / f64::from(count) * half * 1.5 - half * 0.75;
            pen.face(&quad([u - 0.5, u + 0.5], [0.4, 0.66]), normal, toned(Material::Glass, 20.0));
        }
    }
}

fn chimneys(pen: &mut Pen<'_>, solid: &Solid, ridge_m: f64) {
    if !matches!(solid.facade, Facade::House | Facade::Town) || solid.half_u > 16.0 {
        return;
    }
    let brick = toned(Material::WallBrick, f64::from(solid.style % 24) - 16.0);
    let u = (f64::from(solid.style >> 8 & 255) / 255.0 - 0.5) * solid.half_u * 1.5;
    let v: f64 = if solid.style & 1 == 0 { 0.9 } else { -0.9 };
    let frame = solid.frame.moved(u, v.clamp(-solid.half_v * 0.5, solid.half_v * 0.5));
    pen.block(&frame, [0.42, 0.42], [ridge_m - 2.0, ridge_m + 0.7], [brick, toned(Material::WallDark, -30.0)]);
}

/// A round solid of twelve sides.
fn drum(pen: &mut Pen<'_>, solid: &Solid, rise_m: f64) {
    let ring = super::super::scene::circle(solid.frame.origin, solid.half_u);
    let tip = above(solid.frame.origin, solid.eave_m + rise_m);
    for (a, b) in super::super::geometry::edges(&ring) {
        let out = (b - a).unit().left() * -1.0;
        let wall = [above(a, solid.base_m), above(b, solid.base_m), above(b, solid.eave_m), above(a, solid.eave_m)];
        pen.face(&wall, [out.x, out.y, 0.0], solid.wall);
        let (from, to) = (above(a, solid.eave_m), above(b, solid.eave_m));
        let normal = cross(minus(to, from), minus(tip, from));
        let length = dot(normal, normal).sqrt().max(1e-9);
        pen.face(&[from, to, tip], normal.map(|part| part / length), solid.roof_paint);
    }
}

fn minus(a: Space, b: Space) -> Space {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}
