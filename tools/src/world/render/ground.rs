//! What lies flat: surfaces in the order of their layers, then the shadows on them.

use super::super::geometry::{Point, hull, point};
use super::super::palette::{Material, Season, toned};
use super::super::scene::{Layer, Roof, Rows, Solid, Tree, TreeKind};
use super::camera::{Camera, Space, above};
use super::canvas::Canvas;
use super::light::{Light, pack};
use super::pieces::Seen;

/// First tag that names rows; those below are grains.
pub(super) const FIRST_PATTERN: usize = 16;
/// Patterns of rows that a view can have.
const MOST_PATTERNS: usize = 100;
/// Half the side of the ground on which everything lies, in metres.
const WORLD_END_M: f64 = 6000.0;

/// Paints all surfaces; the rows that tags from [`FIRST_PATTERN`] on stand for.
pub(super) fn draw(canvas: &mut Canvas, camera: &Camera, light: &Light, seen: &[Seen], season: Season) -> Vec<Rows> {
    let mut patterns = Vec::new();
    let mut corners = Vec::with_capacity(64);
    let eye = camera.position();
    let all = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
        .map(|(x, y)| point(eye[0] + x * WORLD_END_M, eye[1] + y * WORLD_END_M));
    if put(canvas, camera, &all, &mut corners) {
        canvas.paint(true, light.tagged(toned(Material::Meadow, -4.0), 1.0));
    }
    let mut layers: [Vec<(usize, usize)>; Layer::COUNT] = Default::default();
    for (number, seen) in seen.iter().enumerate() {
        for (index, surface) in seen.chunk.surfaces.iter().enumerate() {
            if let Some(layer) = layers.get_mut(surface.layer as usize) {
                layer.push((number, index));
            }
        }
    }
    for (number, index) in layers.iter().flatten() {
        let Some(chunk) = seen.get(*number).map(|seen| &seen.chunk) else { continue };
        let Some(surface) = chunk.surfaces.get(*index) else { continue };
        if !put(canvas, camera, chunk.corners(surface), &mut corners) {
            continue;
        }
        let mut colour = light.tagged(surface.paint, 1.0);
        if let Some(rows) = surface.rows.filter(|_| patterns.len() < MOST_PATTERNS) {
            patterns.push(rows_in(rows, surface.paint.material, season));
            let tag = FIRST_PATTERN + patterns.len() - 1;
            colour = pack(light.colour(surface.paint, 1.0), tag as u32);
        }
        canvas.paint(surface.convex, colour);
    }
    patterns
}

/// Rows of crops that stand low show their soil more.
fn rows_in(rows: Rows, material: Material, season: Season) -> Rows {
    let bare = match (material, season) {
        (Material::Maize | Material::Beet, Season::Spring) => 1.6,
        (Material::Wheat | Material::Rape, Season::Winter) => 1.5,
        (_, Season::Autumn) => 1.2,
        _ => 1.0,
    };
    Rows { strength: rows.strength * bare, ..rows }
}

/// Puts a polygon of the ground on the picture; false when nothing of it is there.
fn put(canvas: &mut Canvas, camera: &Camera, polygon: &[Point], corners: &mut Vec<Space>) -> bool {
    corners.clear();
    corners.extend(polygon.iter().map(|at| camera.seen(above(*at, 0.0))));
    camera.project(corners, &mut canvas.screen)
}

fn shade(canvas: &mut Canvas, camera: &Camera, light: &Light, polygon: &[Point]) {
    let mut corners = Vec::with_capacity(polygon.len());
    if put(canvas, camera, polygon, &mut corners) {
        canvas.shade(light.shadow());
    }
}

/// The shadow of a solid that stands on the ground.
pub(super) fn solid_shadow(canvas: &mut Canvas, camera: &Camera, light: &Light, solid: &Solid) {
    if solid.base_m > 2.0 {
        return;
    }
    let per_metre = light.shadow_per_metre();
    let middle = solid.frame.origin + per_metre * (solid.top_m() * 0.5);
    let reach = solid.half_u + solid.half_v + per_metre.length() * solid.top_m() * 0.5;
    if !camera.sees(above(middle, 0.0), reach) {
        return;
    }
    let mut outline: Vec<Point> = if matches!(solid.roof, Roof::Cone { .. }) {
        super::super::scene::circle(solid.frame.origin, solid.half_u)
    } else {
        solid.frame.rectangle([-solid.half_u, solid.half_u], [-solid.half_v, solid.half_v]).to_vec()
    };
    let eaves: Vec<Point> = outline.iter().map(|at| *at + per_metre * solid.eave_m).collect();
    outline.extend(eaves);
    let ridge = match solid.roof {
        Roof::Flat => None,
        Roof::Gable { rise_m } => Some((rise_m, solid.half_u)),
        Roof::Hip { rise_m } => Some((rise_m, (solid.half_u - solid.half_v).max(0.0))),
        Roof::Cone { rise_m } => Some((rise_m, 0.0)),
    };
    if let Some((rise_m, half)) = ridge {
        let shift = per_metre * (solid.eave_m + rise_m);
        outline.extend([-half, half].map(|u| solid.frame.at(u, 0.0) + shift));
    }
    shade(canvas, camera, light, &hull(&mut outline));
}

/// The shadow of a tree's crown.
pub(super) fn tree_shadow(canvas: &mut Canvas, camera: &Camera, light: &Light, tree: &Tree) {
    let per_metre = light.shadow_per_metre();
    let (middle_m, half_height) = match tree.kind {
        TreeKind::Bush => (tree.height_m * 0.5, tree.height_m * 0.5),
        _ => (tree.height_m * 0.6, tree.height_m * 0.4),
    };
    let centre = tree.at + per_metre * middle_m;
    let long = tree.radius_m.max(per_metre.length() * half_height);
    if !camera.sees(above(centre, 0.0), long) {
        return;
    }
    let along = per_metre.unit();
    let outline: Vec<Point> = EIGHTHS
        .iter()
        .map(|(cos, sin)| centre + along * (cos * long) + along.left() * (sin * tree.radius_m * 0.95))
        .collect();
    shade(canvas, camera, light, &outline);
}

const DIAGONAL: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// Cosine and sine of the multiples of an eighth of a turn.
const EIGHTHS: [(f64, f64); 8] = [
    (1.0, 0.0),
    (DIAGONAL, DIAGONAL),
    (0.0, 1.0),
    (-DIAGONAL, DIAGONAL),
    (-1.0, 0.0),
    (-DIAGONAL, -DIAGONAL),
    (0.0, -1.0),
    (DIAGONAL, -DIAGONAL),
];
