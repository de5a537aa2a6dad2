//! `geolocate world fly`: the frames of drones over the map.

use std::time::Instant;

use anyhow::Context;
use clap::Args;

use super::area_args::{AreaArgs, Mapped, share, within};
use super::out::{OutArgs, pictures};
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::output::JsonTarget;
use crate::world::data::table;
use crate::world::geodesy::Globe;
use crate::world::settings::FlightSetting;
use crate::world::town::World;
use crate::world::view::flight::FlightPlan;
use crate::world::view::weather::Unlike;

/// Flies drones over a mapped square: frames, straight down or aslant, in other light than the map's, with poses.
///
/// Columns of poses.csv beside file,lat,lon (the camera): view_lat,view_lon (the ground in the middle of the frame),
/// rel_alt_m, agl_m, heading_deg, pitch_deg, roll_deg, hfov_deg, time, flight, season, kind (nadir, oblique), bad
/// (dark, covered, over_exposed, blurred, frozen, or empty) and role: query; outside for frames of other ground and for
/// bad ones; border for those on the edge of the map.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate world fly --seed 7 --flights 5 --frames 40 --out flights\n  \
    geolocate world fly --setting hard --seed 1001 --out hard/flights\n  \
    geolocate world fly --seed 7 --unlike little --oblique 0.5 --out oblique")]
pub(super) struct FlyArgs {
    #[command(flatten)]
    area: AreaArgs,
    /// How many flights
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one, conflicts_with = "setting")]
    flights: usize,
    /// Frames of a flight, two seconds apart
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one, conflicts_with = "setting")]
    frames: usize,
    /// How unlike the map season, light, weather and camera are
    #[arg(long, value_enum, default_value = "much", conflicts_with = "setting")]
    unlike: Unlike,
    /// Horizontal field of view, in degrees
    #[arg(long, value_name = "DEG", default_value = "60", conflicts_with = "setting",
        value_parser = |text: &str| within(text, 10.0, 120.0))]
    hfov_deg: f64,
    /// Share by which heights differ from that at which a frame shows as much as a tile
    #[arg(long, value_name = "SHARE", default_value = "0.3", conflicts_with = "setting",
        value_parser = |text: &str| within(text, 0.0, 0.9))]
    height_spread: f64,
    /// Most that a nadir camera leans, in degrees
    #[arg(long, value_name = "DEG", default_value = "8", conflicts_with = "setting",
        value_parser = |text: &str| within(text, 0.0, 30.0))]
    tilt_deg: f64,
    /// Largest angle between the upper edge of a nadir frame and north; 180 for any heading
    #[arg(long, value_name = "DEG", default_value = "180", conflicts_with = "setting",
        value_parser = |text: &str| within(text, 0.0, 180.0))]
    heading_spread_deg: f64,
    /// Share of flights that look aslant
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = share, conflicts_with = "setting")]
    oblique: f64,
    /// Share of flights that leave the map
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = share, conflicts_with = "setting")]
    leaving: f64,
    /// Share of frames that are bad
    #[arg(long, value_name = "SHARE", default_value = "0.03", value_parser = share, conflicts_with = "setting")]
    bad: f64,
    #[command(flatten)]
    out: OutArgs,
}

impl FlyArgs {
    fn plan(&self, mapped: &Mapped) -> anyhow::Result<FlightPlan> {
        let own = FlightSetting {
            flights: self.flights,
            frames: self.frames,
            unlike: self.unlike,
            hfov_deg: self.hfov_deg,
            height_spread: self.height_spread,
            tilt_deg: self.tilt_deg,
            heading_spread_deg: self.heading_spread_deg,
            oblique: self.oblique,
            leaving: self.leaving,
            bad: self.bad,
        };
        let setting = match &mapped.setting {
            None => &own,
            Some((name, setting)) => {
                setting.flights.as_ref().with_context(|| format!("setting {name:?} has no flights: world street"))?
            }
        };
        Ok(setting.plan(mapped.seed, mapped.area, mapped.px, mapped.season))
    }
}

/// Lines of the manifest.
fn describe(mapped: &Mapped, plan: &FlightPlan) -> Vec<(&'static str, String)> {
    let mut lines = mapped.describe();
    lines.extend([
        ("flights", plan.flights.to_string()),
        ("frames", plan.frames.to_string()),
        ("unlike", format!("\"{:?}\"", plan.unlike).to_lowercase()),
        ("hfov_deg", format!("{:?}", plan.hfov_deg)),
        ("height_spread", format!("{:?}", plan.height_spread)),
        ("tilt_deg", format!("{:?}", plan.tilt_deg)),
        ("heading_spread_deg", format!("{:?}", plan.heading_spread_deg)),
        ("oblique", format!("{:?}", plan.oblique)),
        ("leaving", format!("{:?}", plan.leaving)),
        ("bad", format!("{:?}", plan.bad)),
    ]);
    lines
}

/// Runs the verb.
///
/// # Errors
/// Options do not fit one another, or the folder cannot be written.
pub(super) fn run(args: &FlyArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let start = Instant::now();
    let mapped = args.area.mapped()?;
    let plan = args.plan(&mapped)?;
    let folder = args.out.open("flights", &describe(&mapped, &plan))?;
    let (globe, count) = (Globe::of_seed(mapped.seed), plan.flights * plan.frames);
    let mut drawn = 0;
    if !folder.is_complete() {
        let frames = || (0..plan.flights).flat_map(|number| plan.flight(number));
        let shots = frames().map(|frame| (frame.file(), frame.shot));
        drawn = pictures(&folder, World::new(mapped.seed), shots, count, args.out.threads())?;
        let rows: Vec<_> = frames().map(|frame| table::frame_row(&globe, &frame, mapped.seed)).collect();
        folder.write("poses.csv", &table::csv(&table::FRAME_COLUMNS, &rows)?)?;
    }
    folder.finish()?;
    args.out.report(count, drawn, start, json)?;
    Ok(Status::Done)
}
