//! Draws many shots on several threads, each thread with a renderer of its own.

use std::sync::{Mutex, PoisonError};

use super::super::render::Renderer;
use super::super::town::World;
use crate::ordered::ordered_map;

/// Renderers that wait for work. Which one draws a shot makes no difference to its pixels.
#[derive(Debug, Default)]
pub struct Renderers(Mutex<Vec<Renderer>>);

impl Renderers {
    /// Works with a renderer of a world.
    pub fn with<T>(&self, world: World, work: impl FnOnce(&mut Renderer) -> T) -> T {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = {
            let mut waiting = lock();
            let at = waiting.iter().position(|renderer| renderer.world().seed() == world.seed());
            at.map(|at| waiting.swap_remove(at))
        };
        let mut renderer = found.unwrap_or_else(|| Renderer::new(world));
        let result = work(&mut renderer);
        let mut waiting = lock();
        waiting.push(renderer);
        // Of worlds that are done with, no renderer stays for ever.
        if waiting.len() > MOST_WAITING {
            waiting.remove(0);
        }
        result
    }
}

/// Renderers that are kept for later.
const MOST_WAITING: usize = 8;

/// Draws items in order on some threads: `draw` makes what `done` takes, in the order of the items.
///
/// # Errors
/// The first error of `done`.
pub fn all<I: Send, T: Send, E>(
    items: impl IntoIterator<Item = I>,
    threads: usize,
    world_of: impl Fn(&I) -> World + Sync,
    draw: impl Fn(&I, &mut Renderer) -> T + Sync,
    mut done: impl FnMut(I, T) -> Result<(), E>,
) -> Result<(), E> {
    let renderers = Renderers::default();
    let work = |item: I| {
        let drawn = renderers.with(world_of(&item), |renderer| draw(&item, renderer));
        (item, drawn)
    };
    ordered_map(items, threads, work, |(item, drawn)| done(item, drawn))
}
