//! `geolocate sample`: a few pictures of many, spread over the Earth.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::cli::Status;
use crate::output::{JsonTarget, say};
use crate::sampling::{self, Balance, Request};

/// Chooses pictures from a poses CSV so that they are spread over the ground, for fine-tuning or for a test set.
///
/// Cells are those of H3. The same inputs and seed choose the same pictures. What is chosen is written as a poses CSV, as
/// records for fine-tuning, and as a map.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  geolocate sample --poses mr600k.csv --count 2700 --out chosen.csv --map chosen.svg --sharegpt sft.json\n  \
    geolocate sample --poses mr600k.csv --count 40000 --sparse --population pop.tif --out mr40k-like.csv\n  \
    geolocate sample --poses mp16.csv --vectors mp16.npy --images mp16 --count 2700 --out chosen.csv"
)]
pub struct SampleArgs {
    /// The poses CSV to choose from
    #[arg(long, value_name = "FILE.csv")]
    poses: PathBuf,
    /// How many pictures to choose
    #[arg(long, value_name = "N", default_value_t = 2700)]
    count: usize,
    /// The poses CSV to write, with all columns and the cell
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Resolution of H3, 0 to 9: cells of 4.4 million km² to 0.1 km²; at 2 they are 290 km wide
    #[arg(long, value_name = "R", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=9))]
    resolution: u8,
    /// How many pictures each cell gets
    #[arg(long, value_name = "BALANCE", default_value = "area")]
    balance: Balance,
    /// GeoTIFF of people per pixel in degrees, for --balance population and --sparse
    #[arg(long, value_name = "FILE.tif", required_if_eq("balance", "population"))]
    population: Option<PathBuf>,
    /// Take only the quarter of the cells where the fewest people live, or, without --population, with the fewest pictures
    #[arg(long)]
    sparse: bool,
    /// Vectors of the pictures, float32, row i belongs to row i of the poses: near duplicates are left out
    #[arg(long, value_name = "FILE.npy")]
    vectors: Option<PathBuf>,
    /// Pictures with such a cosine or more to a chosen one are near duplicates of it
    #[arg(long, value_name = "COSINE", default_value_t = 0.95, requires = "vectors")]
    near_duplicate: f32,
    /// Folder of the pictures: those that cannot be decoded, are small, dark, over-exposed or covered are left out
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The shorter side of a picture must have so many pixels
    #[arg(long, value_name = "PX", default_value_t = 224, requires = "images")]
    least_px: u32,
    /// Another seed chooses other pictures
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Write records for fine-tuning in ShareGPT's form
    #[arg(long, value_name = "FILE.json")]
    sharegpt: Option<PathBuf>,
    /// Write a map of what was chosen
    #[arg(long, value_name = "FILE.svg")]
    map: Option<PathBuf>,
    /// Write figures as JSON
    #[arg(long, value_name = "FILE|-")]
    json: Option<JsonTarget>,
}

/// Runs the verb.
///
/// # Errors
/// An input cannot be used, nothing can be chosen, or a file cannot be written.
pub fn run(args: &SampleArgs) -> anyhow::Result<Status> {
    if args.count == 0 {
        bail!("--count: expected at least 1");
    }
    let summary = sampling::run(&Request {
        poses: &args.poses,
        count: args.count,
        out: &args.out,
        resolution: args.resolution,
        balance: args.balance,
        population: args.population.as_deref(),
        sparse: args.sparse,
        vectors: args.vectors.as_deref(),
        near_duplicate: args.near_duplicate,
        images: args.images.as_deref(),
        least_px: args.least_px,
        seed: args.seed,
        sharegpt: args.sharegpt.as_deref(),
        map: args.map.as_deref(),
    })?;
    say(args.json.as_ref(), &summary.text())?;
    if let Some(json) = &args.json {
        json.write(&summary)?;
    }
    Ok(Status::Done)
}
