//! Who looks at the world: where cameras are, in what light, with what lens.

pub mod area;
pub mod conditions;
pub mod flight;
pub mod shot;
pub mod street;
pub mod track;
pub mod weather;

use crate::bench::random::Random;

/// A number between two bounds.
fn between(random: &mut Random, low: f64, high: f64) -> f64 {
    low + (high - low) * f64::from(random.unit())
}
