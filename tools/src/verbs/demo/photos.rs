//! A demo on somebody's own photos: most of them are the map, the others are flown.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use quantized_models::DecodeLimits;

use super::flight::Pace;
use super::frame::{Flown, Shows};
use super::hold_out::HeldOut;
use super::plan::{Plan, arguments};
use crate::dataset::load_poses;
use crate::pictures::path_below;
use crate::poses::Pose;

/// Which photo is held out where nothing is said.
const HOLD_OUT: u32 = 3;
/// A fix within so many metres counts as right where nothing is said.
const RIGHT_WITHIN_M: f64 = 25.0;

/// Photos instead of a world.
#[derive(Debug, Args)]
pub(super) struct PhotosArgs {
    /// Folder of photos taken near one another, at least four of them with a position, instead of a world
    #[arg(long, value_name = "DIR", requires = "encoder")]
    pub(super) photos: Option<PathBuf>,
    /// CSV with at least file,lat,lon [default: positions in the EXIF tags]
    #[arg(long, value_name = "FILE.csv", requires = "photos")]
    poses: Option<PathBuf>,
    /// Hold out every Nth photo, in the order of time, and publish it [default: 3]
    #[arg(long, value_name = "N", requires = "photos", value_parser = clap::value_parser!(u32).range(2..))]
    hold_out: Option<u32>,
}

impl PhotosArgs {
    /// Chooses what is flown, and says it.
    ///
    /// # Errors
    /// Too few photos with a position, or `out` cannot be written.
    pub(super) fn plan(&self, photos: &Path, right_within_m: Option<f64>, out: &Path) -> anyhow::Result<Plan> {
        let table = load_poses(self.poses.as_deref(), Some(photos), &DecodeLimits::default())?;
        let held_out = HeldOut::every(&table, self.hold_out.unwrap_or(HOLD_OUT) as usize)?;
        let (poses, split) = held_out.write(out)?;
        let queries = held_out.queries();
        let frames: Vec<Flown> = queries.iter().map(|pose| flown(photos, pose)).collect::<Result<_, _>>()?;
        let (all, references) = (table.poses.len(), held_out.references());
        let mut build = vec!["build".into(), "--role".into(), "reference".into()];
        build.extend(arguments([("--images", photos), ("--poses", poses.as_path()), ("--split", split.as_path())]));
        let shown = photos.canonicalize().with_context(|| format!("{}: cannot be found", photos.display()))?;
        Ok(Plan {
            title: format!("{all} photos: {references} references, {} queries", frames.len()),
            frames,
            pace: Pace::Answered,
            pictures: photos.to_owned(),
            build,
            references,
            right_within_m: right_within_m.unwrap_or(RIGHT_WITHIN_M),
            ground: None,
            facts: vec![("photos", shown.display().to_string())],
        })
    }
}

fn flown(folder: &Path, pose: &Pose) -> anyhow::Result<Flown> {
    Ok(Flown {
        id: pose.file.clone(),
        picture: path_below(folder, &pose.file)?,
        flight: "1".to_owned(),
        lat_deg: pose.place.lat_deg,
        lon_deg: pose.place.lon_deg,
        shows: Shows::Map,
        said: Vec::new(),
        about: pose.file.clone(),
        answers: Vec::new(),
    })
}
