//! What is flown over what: made from photos, or from a world.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::flight::Pace;
use super::frame::Flown;

/// All that a demo needs before anything flies.
#[derive(Debug)]
pub(super) struct Plan {
    /// For people: what is shown, in a sentence.
    pub(super) title: String,
    /// What is flown, in order.
    pub(super) frames: Vec<Flown>,
    /// When the next frame is published.
    pub(super) pace: Pace,
    /// Folder of the pictures that the shard refers to.
    pub(super) pictures: PathBuf,
    /// Arguments of `geolocate build` but for encoder and output.
    pub(super) build: Vec<OsString>,
    /// How many references there are.
    pub(super) references: usize,
    /// A fix within so many metres of the truth counts as right.
    pub(super) right_within_m: f64,
    /// The mapped ground from above, where there is a picture of it.
    pub(super) ground: Option<Ground>,
    /// What was made of what, for people: title and text.
    pub(super) facts: Vec<(&'static str, String)>,
}

/// A picture of the ground, north up, and what it covers.
#[derive(Debug)]
pub(super) struct Ground {
    /// The picture.
    pub(super) picture: RgbImage,
    /// Its upper edge.
    pub(super) north_deg: f64,
    /// Its left edge.
    pub(super) west_deg: f64,
    /// Its lower edge.
    pub(super) south_deg: f64,
    /// Its right edge.
    pub(super) east_deg: f64,
}

/// Flags with paths as arguments of a program.
pub(super) fn arguments<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Vec<OsString> {
    pairs.into_iter().flat_map(|(flag, path)| [flag.into(), path.into()]).collect()
}
