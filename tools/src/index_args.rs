//! Arguments that several verbs share: the index with what fits it, a circle on the ground, a number that counts.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use geolocated::locate::Prior;
use index_shards::{OpenError, ShardSet};

use crate::npy::NpyReader;

/// Which shards to search.
#[derive(Debug, Clone, Args)]
pub struct IndexArgs {
    /// Shards to search, all of one space
    #[arg(long, value_name = "FILE.shard[,FILE...]", required = true, value_delimiter = ',')]
    pub index: Vec<PathBuf>,
}

impl IndexArgs {
    /// Opens all shards as one set.
    ///
    /// # Errors
    /// A shard cannot be opened, or is of another space than the first.
    pub fn open(&self) -> Result<ShardSet, OpenError> {
        ShardSet::open(&self.index)
    }
}

/// A circle on the ground, written `LAT,LON,RADIUS_M`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near(pub Prior);

impl FromStr for Near {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, expected LAT,LON,RADIUS_M like 50.1,8.6,500");
        let numbers = text.split(',').map(|part| part.trim().parse::<f64>()).collect::<Result<Vec<_>, _>>();
        let Ok([lat_deg, lon_deg, radius_m]) = numbers.as_deref() else { return Err(wrong()) };
        Prior::new(*lat_deg, *lon_deg, *radius_m).map(Self)
    }
}

/// Parses a number of at least 1.
///
/// # Errors
/// What was found instead.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("found {text:?}, expected a whole number of at least 1")),
    }
}

/// Refuses vectors of another width than those of the index.
///
/// # Errors
/// Both widths and both files.
pub fn check_width(vectors: &NpyReader, shards: &ShardSet) -> anyhow::Result<()> {
    if vectors.columns() == shards.dimensions() {
        return Ok(());
    }
    let index = shards.shards().first().map(|shard| shard.path()).unwrap_or_else(|| Path::new("index"));
    bail!(
        "{}: expected vectors of {} dimensions as in {}, found {}",
        vectors.path().display(),
        shards.dimensions(),
        index.display(),
        vectors.columns()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_three_numbers_that_make_sense() {
        let Near(prior) = "-50.5, 8,250".parse().unwrap();
        assert_eq!((prior.lat_deg, prior.lon_deg, prior.radius_m), (-50.5, 8.0, 250.0));
        for bad in ["", "50,8", "50,8,1,2", "50,x,5", "91,8,5", "50,181,5", "50,8,0", "50,8,-1", "NaN,8,5"] {
            assert!(bad.parse::<Near>().is_err(), "{bad}");
        }
    }
}
