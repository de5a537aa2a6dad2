//! A world of our own: a procedural town on the plane, evaluated where somebody looks, and cameras over it.
//!
//! Everything is a function of a seed and a position. The world has no borders: [`town`] makes what stands in a piece
//! of it when a view asks for that piece, [`render`] draws it through a pinhole camera, [`view`] decides where cameras are
//! and what light, season and lens they have, [`data`] writes pictures and poses.
//!
//! The same seed gives the same pixels on every CPU: there is nothing but integers, the exact operations of IEEE 754
//! (`+ - * /`, `sqrt`, `floor`, comparisons) and functions of crate `libm`; Rust never contracts a product and a sum. A
//! test reads these sources for functions of the standard library that differ between platforms, and others hold the
//! digests of pictures.

pub mod data;
pub mod geodesy;
pub mod geometry;
pub mod noise;
pub mod palette;
pub mod render;
pub mod scene;
pub mod settings;
pub mod town;
pub mod view;

/// Version of the generator: other versions give other pixels for a seed.
pub const GENERATOR: u32 = 1;

#[cfg(test)]
mod tests {
    use super::geometry::point;
    use super::palette::Season;
    use super::render::Renderer;
    use super::render::camera::Pose;
    use super::town::World;
    use super::view::conditions::Conditions;
    use super::view::shot::{Shot, Sight};
    use super::view::weather::Unlike;
    use crate::bench::random::Random;
    use sha2::{Digest, Sha256};
    use std::path::Path;

    /// Functions of the standard library whose results differ between platforms, or that contract operations.
    const DIFFERING: [&str; 22] = [
        "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sin_cos", "sinh", "cosh", "tanh", "exp", "exp2",
        "exp_m1", "ln", "log", "log2", "log10", "powf", "powi", "hypot", "mul_add",
    ];

    fn lines_that_call(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                lines_that_call(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let calls = |name: &&str| {
                    line.contains(&format!(".{name}("))
                        || ["f32", "f64"].iter().any(|t| line.contains(&format!("{t}::{name}")))
                };
                if DIFFERING.iter().any(calls) && !line.contains("libm::") {
                    found.push(format!("{}:{}: {line}", path.display(), number + 1));
                }
            }
        }
    }

    #[test]
    fn no_function_is_called_that_differs_between_platforms() {
        let mut found = Vec::new();
        lines_that_call(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/world"), &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }

    fn shots() -> [(&'static str, Shot); 5] {
        let drone = Pose {
            at: point(35.0, -60.0),
            height_m: 70.0,
            heading_deg: 33.0,
            pitch_deg: -87.0,
            roll_deg: 2.0,
            hfov_deg: 60.0,
        };
        let street = Pose { at: point(0.0, 3.0), height_m: 2.0, heading_deg: 80.0, pitch_deg: 1.0, ..drone };
        let much = |number: u64| {
            let mut random = Random::of(&[number]);
            Conditions::of_flight(&mut random, Unlike::Much, Season::Summer).of_frame(&mut random, Unlike::Much)
        };
        let shot = |sight, conditions, columns| Shot { sight, conditions, columns, rows: 96 };
        [
            ("tile", shot(Sight::Map { middle: point(0.0, 0.0), side_m: 80.0 }, Conditions::map(1), 96)),
            ("nadir", shot(Sight::Camera(drone), much(1), 96)),
            ("oblique", shot(Sight::Camera(Pose { pitch_deg: -45.0, ..drone }), much(2), 96)),
            ("street", shot(Sight::Camera(Pose { hfov_deg: 90.0, ..street }), much(3), 96)),
            ("panorama", shot(Sight::Panorama(street), much(4), 192)),
        ]
    }

    #[test]
    fn pictures_are_the_same_to_the_byte_on_every_cpu() {
        let mut found = Vec::new();
        for (name, shot) in shots() {
            let bytes = shot.jpeg(&mut Renderer::new(World::new(1004))).unwrap();
            let digest: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            found.push(format!("{name} {digest}"));
        }
        assert_eq!(found, DIGESTS);
    }

    #[test]
    fn what_was_drawn_before_changes_nothing() {
        let mut used = Renderer::new(World::new(1004));
        let [(_, tile), (_, nadir), ..] = shots();
        let first = tile.pixels(&mut used);
        nadir.pixels(&mut used);
        assert!(first == tile.pixels(&mut used) && first == tile.pixels(&mut Renderer::new(World::new(1004))));
        assert!(first != tile.pixels(&mut Renderer::new(World::new(1005))));
    }

    /// First bytes of the SHA-256 of each picture of generator 1; another generator has another version.
    const DIGESTS: [&str; 5] = [
        "tile abda5f27fdfdf6ea",
        "nadir 66f0e784581ab682",
        "oblique 70bb1f7c6b5dc910",
        "street 0ff0083134e84b9e",
        "panorama 2448a6347fe6cce9",
    ];
}
