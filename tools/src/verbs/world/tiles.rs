//! `geolocate world tiles`: the map, cut into tiles with footprints.

use std::time::Instant;

use clap::Args;

use super::area_args::{AreaArgs, Mapped};
use super::out::{OutArgs, pictures};
use crate::cli::Status;
use crate::output::JsonTarget;
use crate::world::data::table;
use crate::world::geodesy::Globe;
use crate::world::town::World;
use crate::world::view::area::TileId;
use crate::world::view::conditions::Conditions;
use crate::world::view::shot::{Shot, Sight};

/// Draws the map of a square as overlapping orthophoto tiles, with their footprints.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate world tiles --seed 7 --area-km2 1 --out map\n  \
    geolocate world tiles --setting hard --seed 1001 --out hard/map\n  \
    geolocate build --images map/images --poses map/poses.csv --encoder MODEL --out map.shard")]
pub(super) struct TilesArgs {
    #[command(flatten)]
    area: AreaArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// The picture of a tile.
fn shot(mapped: &Mapped, tile: TileId) -> Shot {
    let sight = Sight::Map { middle: mapped.area.middle(tile), side_m: mapped.area.tile_m };
    let conditions = Conditions { season: mapped.season, ..Conditions::map(mapped.seed) };
    Shot { sight, conditions, columns: mapped.px, rows: mapped.px }
}

/// Runs the verb.
///
/// # Errors
/// Options do not fit one another, or the folder cannot be written.
pub(super) fn run(args: &TilesArgs, json: Option<&JsonTarget>) -> anyhow::Result<Status> {
    let start = Instant::now();
    let mapped = args.area.mapped()?;
    let folder = args.out.open("tiles", &mapped.describe())?;
    let (area, globe) = (mapped.area, Globe::of_seed(mapped.seed));
    let count = area.per_side() * area.per_side();
    let mut drawn = 0;
    if !folder.is_complete() {
        let shots = area.tiles().map(|tile| (tile.file(), shot(&mapped, tile)));
        drawn = pictures(&folder, World::new(mapped.seed), shots, count, args.out.threads())?;
        let rows: Vec<_> = area.tiles().map(|tile| table::tile_row(&globe, &area, tile)).collect();
        folder.write("poses.csv", &table::csv(&table::TILE_COLUMNS, &rows)?)?;
    }
    folder.finish()?;
    args.out.report(count, drawn, start, json)?;
    Ok(Status::Done)
}
