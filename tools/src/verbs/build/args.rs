//! The arguments of `geolocate build`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::partition::PartitionArg;
use crate::index_args::at_least_one;
use crate::layout_arg::LayoutArg;
use crate::output::JsonTarget;
use crate::runtime_args::RuntimeArgs;

/// Builds a shard from pictures with known positions, or from vectors made elsewhere.
///
/// Rows whose picture is missing or bad are named on standard error and counted; the others go in. The order and the
/// bytes of the shard do not depend on the number of threads. The time of creation is SOURCE_DATE_EPOCH (seconds) where
/// that is set, else now; of a partition, else 0.
///
/// A build that was stopped goes on where it stood when it is started again with the same inputs: what is done is kept
/// beside the output, in ".NAME.building". It counts as the same while poses, roles, encoder and matrix are the same;
/// pictures that have changed meanwhile are not looked at again. Memory does not grow with the number of rows; temporary
/// files beside the output do.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    geolocate build --images photos --encoder models/mobilenetv3-small-576 --out reference.shard\n  \
    geolocate build --images set/images --poses set/poses.csv --split set/split.csv --role reference \
    --encoder models/mobilenetv3-small-576 --out reference.shard\n  \
    geolocate build --images photos --encoder models/mobilenetv3-small-576 --pictures tokens \
    --comparator models/smolvlm-256m --out reference.shard\n  \
    geolocate build --vectors v.npy --poses v.csv --space my-model@1 --out reference.shard\n  \
    geolocate build --vectors v.npy --poses v.csv --space my-model@1 --partition 3/8 --out 'part-{i}.shard'\n  \
    geolocate build --images new --encoder models/mobilenetv3-small-576 --replaces reference.shard --out delta.shard\n  \
    geolocate build --remove names.txt --replaces reference.shard --out removed.shard")]
pub struct BuildArgs {
    /// Folder of the pictures; names in the CSV files are relative to it. With --vectors: only rows whose picture is
    /// there go in
    #[arg(long, value_name = "DIR", required_unless_present_any = ["vectors", "remove"])]
    pub(super) images: Option<PathBuf>,
    /// CSV with at least file,lat,lon in WGS 84 degrees; times without a zone are UTC [default: EXIF positions]
    #[arg(long, value_name = "FILE.csv")]
    pub(super) poses: Option<PathBuf>,
    /// CSV with file,role: which picture plays which role; goes before a column "role" of the poses
    #[arg(long, value_name = "FILE.csv")]
    pub(super) split: Option<PathBuf>,
    /// Take rows of these roles [default: reference where roles are known, else all rows]
    #[arg(long, value_name = "ROLE[,ROLE...]", value_delimiter = ',')]
    pub(super) role: Vec<String>,
    /// Model folder or manifest of the encoder, or mini, the built-in one
    #[arg(long, value_name = "MODEL", required_unless_present_any = ["vectors", "remove"],
        conflicts_with = "vectors", requires = "images")]
    pub(super) encoder: Option<PathBuf>,
    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
    /// Vectors made elsewhere: float32 [rows, dimensions], row i belongs to row i of the poses
    #[arg(long, value_name = "FILE.npy", requires = "poses", requires = "space")]
    pub(super) vectors: Option<PathBuf>,
    /// Name of the space of --vectors; only vectors of the same space are ever compared
    #[arg(long, value_name = "ID", requires = "vectors")]
    pub(super) space: Option<String>,
    /// Shard to write; an older one is replaced when the new one is complete. With --partition, {i} stands for the
    /// number of the partition, with leading zeros
    #[arg(long, value_name = "FILE.shard")]
    pub(super) out: PathBuf,
    /// Licence of the imagery, kept in the shard
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) licence: String,
    /// Whom the licence asks to be named, kept in the shard
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) attribution: String,
    /// What all rows come from, so that a search can ask for it [default: column "source" of the poses]
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// What is kept of the pictures in the shard [default: thumbnails with --encoder, none with --vectors]
    #[arg(long, value_name = "WHAT", requires_ifs = [("thumbnails", "images"), ("tokens", "images"),
        ("tokens", "comparator")])]
    pub(super) pictures: Option<Pictures>,
    /// Model folder or manifest of the comparator whose vision tokens are kept with --pictures tokens
    #[arg(long, value_name = "MODEL", requires = "pictures")]
    pub(super) comparator: Option<PathBuf>,
    /// How codes are laid out: auto, flat, lists, or lists=NUMBER
    #[arg(long, value_name = "LAYOUT", default_value = "auto")]
    pub(super) layout: LayoutArg,
    /// Take only a contiguous share of the rows, i of N, i from 0; auto/N takes i from JOB_COMPLETION_INDEX or
    /// SLURM_ARRAY_TASK_ID. Rows whose pose is bad are reported by partition 0. Without --poses every partition reads the
    /// positions of all pictures
    #[arg(long, value_name = "i/N", conflicts_with = "remove")]
    pub(super) partition: Option<PartitionArg>,
    /// Write a delta of these shards: rows of theirs whose name comes again here are not found any more beside it
    #[arg(long, value_name = "BASE.shard[,...]", value_delimiter = ',')]
    pub(super) replaces: Vec<PathBuf>,
    /// Names, one per line, of references of --replaces that are not to be found any more; needs no rows beside it
    #[arg(long, value_name = "NAMES.txt", requires = "replaces")]
    pub(super) remove: Option<PathBuf>,
    /// Stop at the first row or picture that cannot be used
    #[arg(long)]
    pub(super) strict: bool,
    /// Begin anew even where a build that was stopped could go on
    #[arg(long)]
    pub(super) afresh: bool,
    /// How many pictures to work on at the same time, and threads to finish the shard with [default: all cores]
    #[arg(long, value_parser = at_least_one)]
    pub(super) threads: Option<usize>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE|-")]
    pub(super) json: Option<JsonTarget>,
}

/// What is kept of a picture beside its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Pictures {
    /// Nothing
    None,
    /// A small JPEG
    Thumbnails,
    /// What a comparator sees in the picture, and a small JPEG
    Tokens,
}

impl BuildArgs {
    /// What is kept of pictures.
    pub(super) fn pictures(&self) -> Pictures {
        let usual = if self.encoder.is_some() { Pictures::Thumbnails } else { Pictures::None };
        self.pictures.unwrap_or(usual)
    }
}
