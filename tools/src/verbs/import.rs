//! `geolocate import`: public data sets and maps as poses CSVs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::Status;
use crate::import::map::{Bounds, MapRequest, TileFormat};
use crate::import::osv5m::Part;
use crate::import::plain_table::Names;
use crate::import::summary::Summary;
use crate::import::university1652::Task;
use crate::import::vigor::{AreaArg, PartArg};
use crate::import::{
    Request, any_vis_loc, dense_uav, emp16, gta_uav, im2gps, map, mp16, osv5m, plain_table, uav_visloc, university1652,
    vigor, yfcc,
};
use crate::output::{JsonTarget, say};

/// Reads a public data set as it is published, or a map, and writes the poses CSV that build and evaluate take.
///
/// Rows with an impossible place or without a picture are left out, named and counted. Each data set's layout is in
/// docs/import.md. Exit status 3: --check found something wrong; the good rows are written all the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  geolocate import im2gps3k --root im2gps3k --out im2gps3k/poses.csv --check\n  \
    geolocate import osv5m --root osv5m --extract --out osv5m/train.csv --without im2gps3k/poses.csv\n  \
    geolocate import vigor --root VIGOR --area cross --part test --out vigor-cross.csv\n  \
    geolocate import map ortho.tif --footprints-m 40,80,160 --out map/poses.csv")]
pub struct ImportArgs {
    /// What to import
    #[command(subcommand)]
    what: What,
    /// Write what was read, written and left out as JSON
    #[arg(long, global = true, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// The data sets.
#[derive(Debug, Subcommand)]
enum What {
    /// IM2GPS: 237 photos of Flickr
    Im2gps(WithLabels),
    /// IM2GPS3k: 2,997 photos of Flickr
    Im2gps3k(WithLabels),
    /// YFCC4k: 4,536 photos of YFCC100M
    Yfcc4k(WithLabels),
    /// YFCC26k, also called YFCC25600: 25,600 photos of YFCC100M
    Yfcc26k(WithLabels),
    /// MP-16 and MP16-Pro: 4.7 million photos of Flickr
    Mp16(WithLabels),
    /// EMP-16: JSON lines
    Emp16(WithColumns),
    /// OpenStreetView-5M
    Osv5m(Osv5mArgs),
    /// VIGOR: street panoramas and satellite tiles of four cities
    Vigor(VigorArgs),
    /// University-1652: buildings by drones and satellites, without places
    University1652(University1652Args),
    /// DenseUAV: drones over campuses, with satellite tiles
    Denseuav(DenseUavArgs),
    /// GTA-UAV: drones in a game's world, not on the Earth
    Gtauav(VigorArgs),
    /// UAV-VisLoc: eleven flights over satellite maps
    UavVisloc(Common),
    /// AnyVisLoc: low and oblique drone pictures
    Anyvisloc(Common),
    /// MR600k: any table, whose columns --columns names
    Mr600k(TableArgs),
    /// MR40k: any table, whose columns --columns names
    Mr40k(TableArgs),
    /// Any table with a picture, a latitude and a longitude in each row
    Table(TableArgs),
    /// A map: GeoTIFF, MBTiles, tiles z/x/y, or a picture with a world file or bounds; cut into tiles
    Map(Box<MapArgs>),
}

#[derive(Debug, Args)]
struct Common {
    /// Folder of the data set; names in the poses are relative to it
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// The poses CSV to write
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Also look for rows that name the same picture, pictures without a row and crowded places; exit with status 3 when
    /// anything is wrong
    #[arg(long)]
    check: bool,
    /// First unpack the pictures of all archives below the root, each beside its archive
    #[arg(long)]
    extract: bool,
    /// Keep rows whose pictures are not there
    #[arg(long)]
    no_pictures: bool,
    /// Leave out photos and users that occur in these poses CSVs (columns photo, user): a gallery without the queries
    #[arg(long, value_name = "FILE.csv[,...]", value_delimiter = ',')]
    without: Vec<PathBuf>,
    /// Write all rows that are left out, with the reasons, as CSV
    #[arg(long, value_name = "FILE.csv")]
    dropped: Option<PathBuf>,
}

impl Common {
    fn request(&self) -> Request {
        Request {
            root: self.root.clone(),
            out: self.out.clone(),
            check: self.check,
            extract: self.extract,
            no_pictures: self.no_pictures,
            without: self.without.clone(),
            dropped: self.dropped.clone(),
        }
    }
}

#[derive(Debug, Args)]
struct WithLabels {
    #[command(flatten)]
    common: Common,
    /// The table with the places [default: the one that the data set comes with]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct WithColumns {
    #[command(flatten)]
    common: Common,
    /// Keys that mean something else than usual: file=NAME,lat=NAME,lon=NAME
    #[arg(long, value_name = "KEY=NAME,...")]
    columns: Option<Names>,
}

#[derive(Debug, Args)]
struct TableArgs {
    #[command(flatten)]
    common: Common,
    /// The table
    #[arg(long, value_name = "FILE.csv")]
    labels: PathBuf,
    /// Its columns: file=NAME,lat=NAME,lon=NAME, and also=NAME for each further one that is kept
    #[arg(long, value_name = "KEY=NAME,...")]
    columns: Option<Names>,
}

#[derive(Debug, Args)]
struct Osv5mArgs {
    #[command(flatten)]
    common: Common,
    /// Which part
    #[arg(long, value_name = "PART", default_value = "train")]
    part: Part,
}

#[derive(Debug, Args)]
struct VigorArgs {
    #[command(flatten)]
    common: Common,
    /// Whether training and tests are in the same places
    #[arg(long, value_name = "AREA", default_value = "same")]
    area: AreaArg,
    /// Which part
    #[arg(long, value_name = "PART", default_value = "test")]
    part: PartArg,
}

#[derive(Debug, Args)]
struct University1652Args {
    #[command(flatten)]
    common: Common,
    /// From which pictures to which
    #[arg(long, value_name = "TASK", default_value = "drone-to-satellite")]
    task: Task,
    /// Places of the buildings, a CSV with class,lat,lon [default: none, the rows are for retrieval alone]
    #[arg(long, value_name = "FILE.csv")]
    labels: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct DenseUavArgs {
    #[command(flatten)]
    common: Common,
    /// Extension of the satellite tiles; build reads jpg, png and webp
    #[arg(long, value_name = "EXT", default_value = "tif")]
    satellite_extension: String,
}

#[derive(Debug, Args)]
struct MapArgs {
    /// FILE.tif, FILE.mbtiles, a picture, or a folder of tiles, perhaps written DIR/{z}/{x}/{y}
    #[arg(value_name = "MAP")]
    map: PathBuf,
    /// The poses CSV to write
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Folder for the tiles [default: images, beside the poses CSV]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Sides of the tiles on the ground: those of what frames show
    #[arg(long, value_name = "M[,M...]", value_delimiter = ',', default_value = "40,80,160", value_parser = metres)]
    footprints_m: Vec<f64>,
    /// Share of a side that neighbours have in common
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = overlap)]
    overlap: f64,
    /// Longest side of a tile in pixels
    #[arg(long, value_name = "PX", default_value_t = 512)]
    most_px: u32,
    /// Share of a tile that must show something
    #[arg(long, value_name = "SHARE", default_value = "0.4", value_parser = share)]
    least_filled: f64,
    /// Coordinate system, EPSG:CODE or a PROJ string, where the map does not say or says wrongly
    #[arg(long, value_name = "CRS")]
    crs: Option<String>,
    /// Edges of the map in degrees, where it does not say
    #[arg(long, value_name = "NORTH,WEST,SOUTH,EAST", allow_hyphen_values = true)]
    bounds: Option<Bounds>,
    /// Zoom level of tiles [default: the highest]
    #[arg(long, value_name = "Z")]
    zoom: Option<u8>,
    /// Rows of a folder of tiles count from the south
    #[arg(long)]
    tms: bool,
    /// How tiles are written
    #[arg(long, value_name = "FORMAT", default_value = "jpg")]
    tile_format: TileFormat,
    /// Whose imagery it is, where the map does not say
    #[arg(long, value_name = "TEXT")]
    attribution: Option<String>,
}

fn metres(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(metres) if (1.0..=1e6).contains(&metres) => Ok(metres),
        _ => Err(format!("found {text:?}, expected metres from 1 to a million")),
    }
}

fn overlap(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=0.95).contains(&share) => Ok(share),
        _ => Err(format!("found {text:?}, expected a share from 0 to 0.95")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("found {text:?}, expected a share from 0 to 1")),
    }
}

impl MapArgs {
    fn request(&self) -> MapRequest {
        let beside = || self.out.parent().map(|parent| parent.join("images")).unwrap_or_else(|| "images".into());
        MapRequest {
            map: self.map.clone(),
            out: self.out.clone(),
            images: self.images.clone().unwrap_or_else(beside),
            footprints_m: self.footprints_m.clone(),
            overlap: self.overlap,
            most_px: self.most_px.max(1),
            least_filled: self.least_filled,
            crs: self.crs.clone(),
            bounds: self.bounds,
            zoom: self.zoom,
            tms: self.tms,
            format: self.tile_format,
            attribution: self.attribution.clone(),
        }
    }
}

impl What {
    fn import(&self) -> anyhow::Result<(Summary, bool)> {
        const IM2GPS: [&str; 2] = ["im2gps_places365.csv", "metadata/im2gps_places365.csv"];
        const IM2GPS3K: [&str; 2] = ["im2gps3k_places365.csv", "metadata/im2gps3k_places365.csv"];
        const YFCC4K: [&str; 2] = ["yfcc4k_places365.csv", "yfcc4k_gps.csv"];
        const YFCC26K: [&str; 3] = ["yfcc_25600_places365.csv", "yfcc25600_places365.csv", "yfcc26k_places365.csv"];
        let labels = |args: &WithLabels| (args.common.request(), args.labels.clone());
        let usual = Names::default();
        let (summary, check) = match self {
            Self::Im2gps(args) => {
                let (request, labels) = labels(args);
                (im2gps::import(&request, "im2gps", &IM2GPS, labels.as_deref())?, args.common.check)
            }
            Self::Im2gps3k(args) => {
                let (request, labels) = labels(args);
                (im2gps::import(&request, "im2gps3k", &IM2GPS3K, labels.as_deref())?, args.common.check)
            }
            Self::Yfcc4k(args) => {
                let (request, labels) = labels(args);
                (yfcc::import(&request, "yfcc4k", &YFCC4K, labels.as_deref())?, args.common.check)
            }
            Self::Yfcc26k(args) => {
                let (request, labels) = labels(args);
                (yfcc::import(&request, "yfcc26k", &YFCC26K, labels.as_deref())?, args.common.check)
            }
            Self::Mp16(args) => {
                let (request, labels) = labels(args);
                (mp16::import(&request, labels.as_deref())?, args.common.check)
            }
            Self::Emp16(args) => {
                let names = args.columns.as_ref().unwrap_or(&usual);
                (emp16::import(&args.common.request(), names)?, args.common.check)
            }
            Self::Osv5m(args) => (osv5m::import(&args.common.request(), args.part)?, args.common.check),
            Self::Vigor(args) => (vigor::import(&args.common.request(), args.area, args.part)?, args.common.check),
            Self::University1652(args) => {
                let labels = args.labels.as_deref();
                (university1652::import(&args.common.request(), args.task, labels)?, args.common.check)
            }
            Self::Denseuav(args) => {
                (dense_uav::import(&args.common.request(), &args.satellite_extension)?, args.common.check)
            }
            Self::Gtauav(args) => (gta_uav::import(&args.common.request(), args.area, args.part)?, args.common.check),
            Self::UavVisloc(common) => (uav_visloc::import(&common.request())?, common.check),
            Self::Anyvisloc(common) => (any_vis_loc::import(&common.request())?, common.check),
            Self::Mr600k(args) | Self::Mr40k(args) | Self::Table(args) => {
                let name = match self {
                    Self::Mr600k(_) => "mr600k",
                    Self::Mr40k(_) => "mr40k",
                    _ => "table",
                };
                let names = args.columns.as_ref().unwrap_or(&usual);
                let summary = plain_table::import(&args.common.request(), name, &args.labels, names)?;
                (summary, args.common.check)
            }
            Self::Map(args) => (map::import(&args.request())?, false),
        };
        Ok((summary, check))
    }
}

/// Runs the verb.
///
/// # Errors
/// The data set cannot be read, no row is left, or a file cannot be written.
pub fn run(args: &ImportArgs) -> anyhow::Result<Status> {
    let (summary, check) = args.what.import()?;
    say(args.json.as_ref(), &summary.text())?;
    if let Some(json) = &args.json {
        json.write(&summary)?;
    }
    Ok(if check && summary.has_faults() { Status::RequirementFailed } else { Status::Done })
}
