//! `geolocate world pairs`: arrays of map tiles and views of the same places, for training.

use std::str::FromStr;
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use super::area_args::{pixels, seed, share, within};
use super::out::OutArgs;
use crate::cli::Status;
use crate::index_args::at_least_one;
use crate::output::JsonTarget;
use crate::progress::Progress;
use crate::world::data::arrays::{ArrayWriter, Shape};
use crate::world::data::draw;
use crate::world::data::pairs::{FIELDS, Pair, PairPlan};
use crate::world::render::Renderer;
use crate::world::settings::TRAINING_SEEDS;

/// Half the side of the part of a world from which regions are taken, in metres.
const REACH_M: f64 = 3000.0;

/// Seeds from one (included) to another (excluded), written `A..B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seeds {
    first: u64,
    end: u64,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, expected A..B with A < B <= {TRAINING_SEEDS}: the training seeds");
        let (first, end) = text.split_once("..").ok_or_else(wrong)?;
        let (first, end) = (seed(first)?, seed(end)?);
        if first < end && end <= TRAINING_SEEDS { Ok(Self { first, end }) } else { Err(wrong()) }
    }
}

/// Writes pairs for training as NumPy arrays that can be mapped into memory.
///
/// The folder gets map.npy and drone.npy, uint8 [count, px, px, 3] (red, green, blue); with --street also street.npy,
/// uint8 [count, px, 2 px, 3], black where no road is near; and records.npy, float64 [count, 16]: seed, group, places
/// of tile, drone and viewed ground in metres of their world, heading, height, pitch, season, place of the street view
/// (or NaN), roll and horizontal field of view. Row i of all arrays belongs together. Rows of a group lie in one region of one world. A row depends on its
/// number and the options alone, so that --first goes on where an earlier folder ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate world pairs --seeds 0..900 --count 20000 --out pairs\n  \
    geolocate world pairs --seeds 0..900 --first 20000 --count 20000 --out more\n  \
    geolocate world pairs --seeds 0..900 --street --count 20000 --out cross")]
pub(super) struct PairsArgs {
    /// Seeds of the worlds, below 1000
    #[arg(long, value_name = "A..B", default_value = "0..900")]
    seeds: Seeds,
    /// How many pairs
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    count: usize,
    /// Number of the first pair
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: usize,
    /// Pixels along a side
    #[arg(long, value_name = "N", default_value = "224", value_parser = pixels)]
    px: usize,
    /// Side of a tile, in metres
    #[arg(long, value_name = "M", default_value = "80", value_parser = |text: &str| within(text, 10.0, 1000.0))]
    tile_m: f64,
    /// Share of drone views that look aslant
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    oblique: f64,
    /// Farthest that a view lies from the middle of its tile along either axis, as a share of the tile's side
    #[arg(long, value_name = "SHARE", default_value = "0.25", value_parser = |text: &str| within(text, 0.0, 1.0))]
    offset: f64,
    /// Also a street-level panorama of each place
    #[arg(long)]
    street: bool,
    /// Rows that lie in one region
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    group: usize,
    /// Side of a region, in metres
    #[arg(long, value_name = "M", default_value = "600", value_parser = |text: &str| within(text, 1.0, 20_000.0))]
    region_m: f64,
    #[command(flatten)]
    out: OutArgs,
}

impl PairsArgs {
    fn plan(&self) -> PairPlan {
        PairPlan {
            first_seed: self.seeds.first,
            seeds: self.seeds.end - self.seeds.first,
            tile_m: self.tile_m,
            px: self.px,
            oblique: self.oblique,
            offset: self.offset,
            street: self.street.then_some([self.px * 2 / 8 * 8, self.px]),
            group: self.group,
            region_m: self.region_m,
            reach_m: REACH_M,
        }
    }

    /// Lines of the manifest.
    fn describe(&self) -> Vec<(&'static str, String)> {
        vec![
            ("first_seed", self.seeds.first.to_string()),
            ("end_seed", self.seeds.end.to_string()),
            ("first", self.first.to_string()),
            ("count", self.count.to_string()),
            ("px", self.px.to_string()),
            ("tile_m", format!("{:?}", self.tile_m)),
            ("oblique", format!("{:?}", self.oblique)),
            ("offset", format!("{:?}", self.offset)),
            ("street", self.street.to_string()),
            ("group", self.group.to_string()),
            ("region_m", format!("{:?}", self.region_m)),
            ("fields", format!("{FIELDS:?}")),
        ]
    }

    /// Names and shapes of the arrays.
    fn shapes(&self, plan: &PairPlan) -> Vec<(&'static str, Shape)> {
        let pictures = |columns: usize, rows: usize| Shape {
            descr: "|u1",
            record: format!("{rows}, {columns}, 3"),
            record_bytes: columns * rows * 3,
            rows: self.count,
        };
        let fields = FIELDS.len();
        let records = Shape { descr: "<f8", record: fields.to_string(), record_bytes: fields * 8, rows: self.count };
        let mut shapes = vec![("map.npy", pictures(self.px, self.px)), ("drone.npy", pictures(self.px, self.px))];
        if let Some([columns, rows]) = plan.street {
            shapes.push(("street.npy", pictures(columns, rows)));
        }
        shapes.push(("records.npy", records));
        shapes
    }
}

/// Runs the verb.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn run(args: &PairsArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let start = Instant::now();
    let plan = args.plan();
    let folder = args.out.open("pairs", &args.describe())?;
    let shapes = args.shapes(&plan);
    let path = |name: &str| folder.path().join(name);
    let done = shapes.iter().map(|(name, shape)| shape.rows_in(&path(name))).min().unwrap_or_default();
    let done = if folder.is_resumed() { done } else { 0 };
    let failed = |name: &str| format!("{}: cannot write", path(name).display());
    let open = |(name, shape): &(&'static str, Shape)| {
        ArrayWriter::open(&path(name), shape, done).map(|writer| (*name, writer)).with_context(|| failed(name))
    };
    let mut arrays = shapes.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let progress = Progress::new("drawing", args.count - done);
    let numbers = args.first + done..args.first + args.count;
    let draw = |number: &usize, renderer: &mut Renderer| {
        let pair = plan.pair(*number);
        let pictures = pair.draw(renderer, plan.street);
        (pair, pictures)
    };
    let world_of = |number: &usize| plan.world(*number);
    draw::all(numbers, args.out.threads(), world_of, draw, |_, (pair, pictures): (Pair, [Vec<u8>; 3])| {
        let [map, drone, street] = &pictures;
        let fields: Vec<u8> = pair.fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        for (name, array) in &mut arrays {
            let record = match *name {
                "map.npy" => map,
                "drone.npy" => drone,
                "street.npy" => street,
                _ => &fields,
            };
            array.push(record).with_context(|| failed(name))?;
        }
        progress.step();
        anyhow::Ok(())
    })?;
    for (name, array) in arrays {
        array.finish().with_context(|| failed(name))?;
    }
    drop(progress);
    folder.finish()?;
    let views = if args.street { 3 } else { 2 };
    args.out.report(args.count * views, (args.count - done) * views, start, json)?;
    Ok(Status::Done)
}
