//! Draws the world through a pinhole camera: polygons with a depth buffer, two samples per pixel along either axis.

pub mod camera;
pub mod canvas;
mod cars;
mod facade;
mod finish;
mod ground;
pub mod light;
mod pieces;
mod sensor;
mod solids;
mod trees;

use super::geometry::{Bounds, Point, point};
use super::noise::NoiseTable;
use super::scene::CarPlace;
use super::town::World;
use super::view::conditions::Conditions;
use camera::Camera;
use canvas::Canvas;
use light::Light;
use pieces::{Pieces, Seen};
pub use sensor::expose;

/// Samples per pixel along either axis.
pub const SAMPLES: usize = 2;
/// Distance and height of a camera together up to which a car is left out, in metres.
const CLEARANCE_M: f64 = 8.0;

/// Draws views of one world; keeps pieces of the world that it has made, up to a bound.
#[derive(Debug)]
pub struct Renderer {
    world: World,
    noise: NoiseTable,
    pieces: Pieces,
    canvas: Canvas,
}

impl Renderer {
    /// A renderer of a world.
    pub fn new(world: World) -> Self {
        Self { world, noise: NoiseTable::new(world.seed()), pieces: Pieces::default(), canvas: Canvas::default() }
    }

    /// The world that it draws.
    pub fn world(&self) -> World {
        self.world
    }

    /// Draws a view: red, green and blue of each pixel, row after row, as the camera's sensor gives them.
    pub fn draw(&mut self, camera: &Camera, conditions: &Conditions) -> Vec<u8> {
        expose(self.light(camera, conditions), camera.columns(), conditions)
    }

    /// Draws what falls onto the sensor: before lens and sensor do what they do.
    pub fn light(&mut self, camera: &Camera, conditions: &Conditions) -> Vec<u8> {
        let light = Light::new(conditions);
        let region = camera.ground_region();
        let seen = self.pieces.seen(&self.world, &region.grown(light.shadow_reach_m()));
        self.canvas.clear(camera.columns() * SAMPLES, camera.rows() * SAMPLES);
        let patterns = ground::draw(&mut self.canvas, camera, &light, &seen, conditions.season);
        self.shadows(camera, &light, &seen);
        self.objects(camera, &light, &seen, conditions);
        let scene =
            finish::Scene { camera, canvas: &self.canvas, light: &light, noise: &self.noise, patterns: &patterns };
        finish::resolve(&scene, conditions)
    }

    fn shadows(&mut self, camera: &Camera, light: &Light, seen: &[Seen]) {
        for chunk in seen.iter().map(|seen| &seen.chunk) {
            chunk.solids.iter().for_each(|solid| ground::solid_shadow(&mut self.canvas, camera, light, solid));
            chunk.trees.iter().for_each(|tree| ground::tree_shadow(&mut self.canvas, camera, light, tree));
        }
    }

    fn objects(&mut self, camera: &Camera, light: &Light, seen: &[Seen], conditions: &Conditions) {
        let region: Bounds = camera.ground_region();
        let eye = camera.position();
        // The camera's own car is not in its picture, nor one that would stand in the same place.
        let is_elsewhere = |at: Point| (at - point(eye[0], eye[1])).length() + eye[2] > CLEARANCE_M;
        for chunk in seen.iter().map(|seen| &seen.chunk) {
            let shown = |place: &&CarPlace| region.holds(place.frame.origin) && is_elsewhere(place.frame.origin);
            for place in chunk.cars.iter().filter(shown) {
                cars::draw(&mut self.canvas, camera, light, place, conditions);
            }
            chunk.solids.iter().for_each(|solid| solids::draw(&mut self.canvas, camera, light, solid));
            for tree in &chunk.trees {
                trees::draw(&mut self.canvas, camera, light, &self.noise, tree);
            }
        }
    }
}
