//! Arguments that several verbs share: the index, and a circle on the ground.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use geolocated::locate::Prior;
use index_shards::{OpenError, ShardSet};

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
