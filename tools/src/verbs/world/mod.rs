//! `geolocate world`: maps, flights, street-level views and training pairs of the procedural world.

mod area_args;
mod fly;
mod out;
mod pairs;
mod street;
mod tiles;

use clap::{Args, Subcommand};

use crate::cli::Status;
use crate::output::JsonTarget;

/// Draws a world of our own: map tiles, drone flights over them, street-level views, training pairs.
///
/// The same seed and options give the same bytes on every CPU, whatever the number of threads. Seeds below 1000 are for
/// training, 1000 to 1999 for tests; those from 2000 on are left to others' evaluations. A folder gets images/,
/// poses.csv as build and evaluate read it, and world.toml, which says what was made; it must be empty, or --resume
/// goes on with a stopped run of the same options, or --force removes what an earlier run left.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate world tiles --seed 7 --area-km2 1 --out map\n  \
    geolocate world fly --seed 7 --flights 5 --frames 40 --out flights\n  \
    geolocate world tiles --setting hard --seed 1001 --out hard/map\n  \
    geolocate world fly --setting hard --seed 1001 --out hard/flights\n  \
    geolocate world street --setting cross_view --seed 1011 --out cross/street\n  \
    geolocate world pairs --seeds 0..900 --count 10000 --out pairs")]
pub struct WorldArgs {
    /// What to draw
    #[command(subcommand)]
    what: WorldVerb,
    /// Write what was made and how fast as JSON
    #[arg(long, global = true, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

#[derive(Debug, Subcommand)]
enum WorldVerb {
    Tiles(tiles::TilesArgs),
    Fly(Box<fly::FlyArgs>),
    Street(street::StreetArgs),
    Pairs(pairs::PairsArgs),
}

/// Runs the verb.
///
/// # Errors
/// Options do not fit one another, or the folder cannot be written.
pub fn run(args: &WorldArgs) -> anyhow::Result<Status> {
    let json = args.json.as_ref();
    match &args.what {
        WorldVerb::Tiles(tiles) => tiles::run(tiles, json),
        WorldVerb::Fly(fly) => fly::run(fly, json),
        WorldVerb::Street(street) => street::run(street, json),
        WorldVerb::Pairs(pairs) => pairs::run(pairs, json),
    }
}
