//! Arguments that say what a search is asked: which references may be found, and what each end is made of.

use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use index_shards::{Dissimilar, Filter, PerPlace, ReadError, SearchOptions, ShardSet, Window};
use serde::{Deserialize, Serialize};

use crate::index_args::Near;
use crate::pose_row::time_ms;

/// Distance within which references show one place, where `--per-place` does not say it, metres.
const SAME_PLACE_M: f64 = 50.0;

/// Which references may be found.
#[derive(Debug, Clone, Args)]
pub struct FilterArgs {
    /// Search only references within this circle
    #[arg(long, value_name = "LAT,LON,RADIUS_M", allow_hyphen_values = true)]
    near: Option<Near>,
    /// Search only references within these edges, in degrees; WEST is greater than EAST across the antimeridian
    #[arg(long = "box", value_name = "SOUTH,WEST,NORTH,EAST", allow_hyphen_values = true, conflicts_with = "near")]
    edges: Option<Edges>,
    /// Search only references captured in this span, both ends included; times as in the poses, either may be left out
    #[arg(long, value_name = "FROM/TO")]
    captured: Option<Captured>,
    /// Search only references of these sources
    #[arg(long = "source", value_name = "NAME[,NAME...]", value_delimiter = ',')]
    sources: Option<Vec<String>>,
}

impl FilterArgs {
    /// What references must be like to be found.
    pub fn filter(&self) -> Filter {
        let circle = self.near.map(|Near(prior)| Window::from(prior));
        Filter {
            window: circle.or(self.edges.map(|Edges(window)| window)),
            captured_ms: self.captured.clone().map(|Captured(span)| span),
            sources: self.sources.clone(),
        }
    }

    /// Says on standard error which of the wanted sources no shard of the index has.
    ///
    /// # Errors
    /// A shard is damaged or was cut.
    pub fn note_unknown_sources(&self, shards: &ShardSet) -> Result<(), ReadError> {
        let mut unknown: Vec<&str> = self.sources.iter().flatten().map(String::as_str).collect();
        for shard in shards.shards() {
            let known = shard.source_names()?;
            unknown.retain(|source| !known.contains(source));
        }
        for source in unknown {
            eprintln!("geolocate: --source {source}: no reference of the index has this source");
        }
        Ok(())
    }
}

/// What the two ends are made of.
#[derive(Debug, Clone, Args)]
pub struct EndsArgs {
    /// Which references the dissimilar end is made of [default: farthest]
    #[arg(long, value_name = "WAY")]
    dissimilar: Option<Way>,
    /// Seed of --dissimilar random: the same one draws the same references
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "dissimilar")]
    seed: u64,
    /// How far --dissimilar far_in_window looks around the best match where there is no window
    #[arg(long, value_name = "METRES", default_value = "2000", value_parser = metres, requires = "dissimilar")]
    far_radius_m: f64,
    /// At most so many references of one place at either end [radius: 50]
    #[arg(long, value_name = "NUMBER[,RADIUS_M]")]
    per_place: Option<PerPlaceArg>,
}

impl EndsArgs {
    /// `options` with what these arguments say.
    pub fn apply(&self, options: SearchOptions) -> SearchOptions {
        let dissimilar = self.dissimilar_by(self.dissimilar.unwrap_or(Way::Farthest));
        SearchOptions { dissimilar, per_place: self.per_place.map(|PerPlaceArg(limit)| limit), ..options }
    }

    /// One way, with the seed or the radius that these arguments name.
    pub fn dissimilar_by(&self, way: Way) -> Dissimilar {
        match way {
            Way::Farthest => Dissimilar::Farthest,
            Way::None => Dissimilar::None,
            Way::Random => Dissimilar::Random { seed: self.seed },
            Way::Centroid => Dissimilar::Centroid,
            Way::FarInWindow => Dissimilar::FarInWindow { radius_m: self.far_radius_m },
        }
    }
}

/// Ways to choose dissimilar references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Way {
    /// The least similar ones
    Farthest,
    /// None: faster; where a fix is made, all candidates weigh alike
    None,
    /// Any, drawn by --seed
    Random,
    /// Typical ones of the least similar kinds
    Centroid,
    /// The least similar ones within the window, or around the best match
    FarInWindow,
}

impl Way {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Farthest => "farthest",
            Self::None => "none",
            Self::Random => "random",
            Self::Centroid => "centroid",
            Self::FarInWindow => "far_in_window",
        }
    }
}

/// Edges of a part of the ground, written `SOUTH,WEST,NORTH,EAST`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Edges(Window);

impl FromStr for Edges {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |expected: &str| format!("found {text:?}, expected {expected}");
        let numbers = text.split(',').map(|part| part.trim().parse::<f64>()).collect::<Result<Vec<_>, _>>();
        let Ok([south_deg, west_deg, north_deg, east_deg]) = numbers.as_deref() else {
            return Err(wrong("SOUTH,WEST,NORTH,EAST like 50.0,8.5,50.2,8.7"));
        };
        let (latitudes, longitudes) = (-90.0..=90.0, -180.0..=180.0);
        if ![south_deg, north_deg].into_iter().all(|edge| latitudes.contains(edge)) {
            return Err(wrong("SOUTH and NORTH within -90 and 90"));
        }
        if ![west_deg, east_deg].into_iter().all(|edge| longitudes.contains(edge)) {
            return Err(wrong("WEST and EAST within -180 and 180"));
        }
        if south_deg > north_deg {
            return Err(wrong("SOUTH not above NORTH"));
        }
        let [south_deg, west_deg, north_deg, east_deg] = [*south_deg, *west_deg, *north_deg, *east_deg];
        Ok(Self(Window::Box { south_deg, west_deg, north_deg, east_deg }))
    }
}

/// A span of time, written `FROM/TO`, in Unix milliseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Captured(RangeInclusive<i64>);

impl FromStr for Captured {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |expected: &str| format!("found {text:?}, expected {expected}");
        let like = "FROM/TO like 2026-05-04T00:00:00Z/2026-05-05T00:00:00Z";
        let (from, to) = text.split_once('/').ok_or_else(|| wrong(like))?;
        let time = |text: &str, open: i64| match text.trim() {
            "" => Ok(open),
            text => time_ms(text).ok_or_else(|| wrong(like)),
        };
        // The least value stands for an unknown time.
        let (from, to) = (time(from, i64::MIN + 1)?, time(to, i64::MAX)?);
        if from > to { Err(wrong("FROM not after TO")) } else { Ok(Self(from..=to)) }
    }
}

/// A limit of references per place, written `NUMBER` or `NUMBER,RADIUS_M`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct PerPlaceArg(PerPlace);

impl FromStr for PerPlaceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (most, radius_m) = match text.split_once(',') {
            Some((most, radius_m)) => (most, metres(radius_m)?),
            None => (text, SAME_PLACE_M),
        };
        match most.trim().parse::<usize>() {
            Ok(most) if most > 0 => Ok(Self(PerPlace { most, radius_m })),
            _ => Err(format!("found {text:?}, expected a whole number of at least 1, and perhaps a radius: 2,50")),
        }
    }
}

/// Parses a distance that is not negative.
fn metres(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(metres) if metres.is_finite() && metres >= 0.0 => Ok(metres),
        _ => Err(format!("found {text:?}, expected metres, not negative")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_four_numbers_that_make_sense() {
        let window = Window::Box { south_deg: -1.5, west_deg: 179.0, north_deg: 2.0, east_deg: -179.0 };
        assert_eq!("-1.5, 179,2,-179".parse(), Ok(Edges(window)));
        for (bad, part) in [
            ("", "SOUTH,WEST"),
            ("1,2,3", "SOUTH,WEST"),
            ("1,2,3,4,5", "SOUTH,WEST"),
            ("1,2,x,4", "SOUTH,WEST"),
            ("91,2,3,4", "-90"),
            ("1,181,3,4", "-180"),
            ("3,2,1,4", "not above"),
            ("NaN,2,3,4", "-90"),
        ] {
            let error = bad.parse::<Edges>().unwrap_err();
            assert!(error.contains(part) && error.contains(bad), "{error}");
        }
    }

    #[test]
    fn a_span_of_time_may_be_open_at_either_end() {
        let day = 86_400_000;
        assert_eq!("1970-01-02T00:00:00Z/1970-01-03T00:00:00".parse(), Ok(Captured(day..=2 * day)));
        assert_eq!("1970-01-02T01:00:00+01:00/".parse(), Ok(Captured(day..=i64::MAX)));
        assert_eq!("/1970-01-02".parse(), Ok(Captured(i64::MIN + 1..=day)));
        for bad in ["", "1970-01-02", "yesterday/today", "1970-01-03/1970-01-02"] {
            assert!(bad.parse::<Captured>().unwrap_err().contains("expected"), "{bad}");
        }
    }

    #[test]
    fn a_limit_per_place_is_a_number_and_perhaps_a_radius() {
        assert_eq!("2".parse(), Ok(PerPlaceArg(PerPlace { most: 2, radius_m: SAME_PLACE_M })));
        assert_eq!("1,12.5".parse(), Ok(PerPlaceArg(PerPlace { most: 1, radius_m: 12.5 })));
        for bad in ["", "0", "-1", "1,-5", "1,x", "1,2,3", "1,inf"] {
            assert!(bad.parse::<PerPlaceArg>().is_err(), "{bad}");
        }
    }
}
