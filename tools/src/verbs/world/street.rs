//! `geolocate world street`: street-level views with the tiles that show their places.

use std::time::Instant;

use anyhow::Context;
use clap::Args;

use super::area_args::{AreaArgs, Mapped, pixels, within};
use super::out::OutArgs;
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::output::JsonTarget;
use crate::progress::Progress;
use crate::world::data::folder::{IMAGES, OutFolder};
use crate::world::data::{draw, table};
use crate::world::geodesy::Globe;
use crate::world::render::Renderer;
use crate::world::settings::StreetSetting;
use crate::world::town::World;
use crate::world::view::street::{StreetPlan, StreetView};
use crate::world::view::weather::Unlike;

/// Draws street-level views from roads of a mapped square.
///
/// poses.csv names in `positive` the tile whose middle is nearest, in `semi_positives` the other tiles that show the
/// place, by the names that `world tiles` gives them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate world street --seed 7 --views 200 --out street\n  \
    geolocate world street --setting cross_view --seed 1011 --out cross/street")]
pub(super) struct StreetArgs {
    #[command(flatten)]
    area: AreaArgs,
    /// How many views
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = at_least_one, conflicts_with = "setting")]
    views: usize,
    /// Pixels per row [default: 448 for panoramas, else --px]
    #[arg(long, value_name = "N", value_parser = pixels, conflicts_with = "setting")]
    columns: Option<usize>,
    /// How unlike the map season, light, weather and camera are
    #[arg(long, value_enum, default_value = "much", conflicts_with = "setting")]
    unlike: Unlike,
    /// One direction instead of all around
    #[arg(long, conflicts_with = "setting")]
    narrow: bool,
    /// Look along the road instead of north (of panoramas the middle)
    #[arg(long, conflicts_with = "setting")]
    along: bool,
    /// Horizontal field of view of a narrow view, in degrees
    #[arg(long, value_name = "DEG", default_value = "90", conflicts_with = "setting",
        value_parser = |text: &str| within(text, 20.0, 120.0))]
    hfov_deg: f64,
    #[command(flatten)]
    out: OutArgs,
}

impl StreetArgs {
    fn plan(&self, mapped: &Mapped) -> anyhow::Result<(StreetPlan, usize)> {
        let own = StreetSetting {
            views: self.views,
            columns: self.columns.unwrap_or(if self.narrow { mapped.px } else { 448 }),
            rows: mapped.px,
            unlike: self.unlike,
            panorama: !self.narrow,
            north: !self.along,
            hfov_deg: self.hfov_deg,
        };
        let setting = match &mapped.setting {
            None => &own,
            Some((name, setting)) => setting
                .street
                .as_ref()
                .with_context(|| format!("setting {name:?} has no street-level views: world fly"))?,
        };
        anyhow::ensure!(
            !setting.panorama || setting.columns % 8 == 0,
            "--columns: expected a multiple of 8 for panoramas, found {}",
            setting.columns
        );
        Ok((setting.plan(mapped.seed, mapped.area, mapped.season), setting.views))
    }
}

/// Lines of the manifest.
fn describe(mapped: &Mapped, plan: &StreetPlan, views: usize) -> Vec<(&'static str, String)> {
    let mut lines = mapped.describe();
    lines.extend([
        ("views", views.to_string()),
        ("columns", plan.columns.to_string()),
        ("rows", plan.rows.to_string()),
        ("unlike", format!("\"{:?}\"", plan.unlike).to_lowercase()),
        ("panorama", plan.panorama.to_string()),
        ("north", plan.north.to_string()),
        ("hfov_deg", format!("{:?}", plan.hfov_deg)),
    ]);
    lines
}

/// A view and its picture; no picture where it is there already, no view where there is no road at all.
type Drawn = Option<(StreetView, Option<image::ImageResult<Vec<u8>>>)>;

fn draw_view(folder: &OutFolder, plan: &StreetPlan, number: usize, renderer: &mut Renderer) -> Drawn {
    let view = plan.view(&renderer.world(), number)?;
    let is_there = folder.has(&format!("{IMAGES}/{}", view.file()));
    let jpeg = (!is_there).then(|| view.shot.jpeg(renderer));
    Some((view, jpeg))
}

/// Runs the verb.
///
/// # Errors
/// Options do not fit one another, there are no roads, or the folder cannot be written.
pub(super) fn run(args: &StreetArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let start = Instant::now();
    let mapped = args.area.mapped()?;
    let (plan, count) = args.plan(&mapped)?;
    let folder = args.out.open("street", &describe(&mapped, &plan, count))?;
    let (globe, world) = (Globe::of_seed(mapped.seed), World::new(mapped.seed));
    let mut drawn = 0;
    if !folder.is_complete() {
        folder.make_images()?;
        let progress = Progress::new("drawing", count);
        let mut rows = Vec::new();
        let draw = |number: &usize, renderer: &mut Renderer| draw_view(&folder, &plan, *number, renderer);
        draw::all(
            0..count,
            args.out.threads(),
            |_| world,
            draw,
            |_, found| {
                progress.step();
                let (view, jpeg) = found.context("found no road in the square: expected a larger one")?;
                if let Some(jpeg) = jpeg {
                    folder.write(&format!("{IMAGES}/{}", view.file()), &jpeg?)?;
                    drawn += 1;
                }
                rows.push(table::street_row(&globe, &view, mapped.seed));
                anyhow::Ok(())
            },
        )?;
        folder.write("poses.csv", &table::csv(&table::STREET_COLUMNS, &rows)?)?;
    }
    folder.finish()?;
    args.out.report(count, drawn, start, json)?;
    Ok(Status::Done)
}
